// The smallest processor of the C interface: answers with the request's own bytes, and refuses an empty one.

#include <cstdlib>
#include <cstring>

extern "C" {

void* initialize(const char* model_entry, const char* model_config, int* state) {
    (void)model_entry;
    (void)model_config;
    *state = 0;
    return nullptr;  // there is no model; that is no failure
}

int process(void* model, const void* input, int input_size, void** output, int* output_size) {
    (void)model;
    if (input_size == 0) {
        static const char complaint[] = "input data should not be empty";
        *output = strdup(complaint);
        *output_size = static_cast<int>(sizeof complaint - 1);
        return 400;
    }
    *output = std::malloc(static_cast<std::size_t>(input_size));
    std::memcpy(*output, input, static_cast<std::size_t>(input_size));
    *output_size = input_size;
    return 200;
}

}  // extern "C"
