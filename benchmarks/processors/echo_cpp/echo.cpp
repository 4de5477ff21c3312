// Answers with the request's own body, through the plain interface: what a call of a library costs.

#include <cstdlib>
#include <cstring>

extern "C" {

void* initialize(const char* model_entry, const char* model_config, int* state) {
    (void)model_entry;
    (void)model_config;
    *state = 0;
    return nullptr;
}

int process(void* model, const void* input, int input_size, void** output, int* output_size) {
    (void)model;
    const auto size = static_cast<std::size_t>(input_size);
    *output = std::malloc(size ? size : 1);
    std::memcpy(*output, input, size);
    *output_size = input_size;
    return 200;
}

}  // extern "C"
