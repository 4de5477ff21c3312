// The body says what process() returns and gives: "<code> <what>", where <what> is copy, null, null5, negative,
// literal0 (a pointer with size 0) or untouched. "address" answers with the input's address and its first byte's
// neighbour behind the end, so that a test can see whether anything was copied; "meet" returns when five are in.

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace {

std::atomic<int> inside{0};
std::string told;

void give(const std::string& text, void** output, int* size) {
    *output = std::malloc(text.size() + 1);
    std::memcpy(*output, text.data(), text.size());
    *size = static_cast<int>(text.size());
}

bool five_are_in() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    inside.fetch_add(1);
    while (inside.load() < 5) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace

extern "C" {

void* initialize(const char* model_entry, const char* model_config, int* state) {
    told = std::string(model_entry) + "|" + model_config;
    *state = std::strcmp(model_config, "refuse") == 0 ? -7 : 0;
    return &told;
}

int process(void* model, const void* input, int size, void** output, int* output_size) {
    const char* bytes = static_cast<const char*>(input);
    const std::string body(bytes, static_cast<std::size_t>(size));
    if (body == "model") {
        give(*static_cast<std::string*>(model), output, output_size);
        return 0;
    }
    if (body == "meet") {
        give(five_are_in() ? "met" : "alone", output, output_size);
        return 200;
    }
    if (body.compare(0, 7, "address") == 0) {
        char text[64];
        std::snprintf(text, sizeof text, "%p", input);
        give(text, output, output_size);
        return 200;
    }
    if (body.empty()) {  // a pointer to an empty string
        give(bytes != nullptr && *bytes == '\0' ? "empty" : "no string", output, output_size);
        return 200;
    }
    char* rest = nullptr;
    const int code = static_cast<int>(std::strtol(body.c_str(), &rest, 10));
    const std::string what = rest + (*rest == ' ' ? 1 : 0);
    if (what == "copy") {
        give(body, output, output_size);
    } else if (what == "null") {
        *output = nullptr;
        *output_size = 0;
    } else if (what == "null5") {
        *output = nullptr;
        *output_size = 5;
    } else if (what == "negative") {
        *output = std::malloc(8);
        *output_size = -3;
    } else if (what == "literal0") {
        *output = std::malloc(8);
        *output_size = 0;
    }
    return code;
}

int get_serving_model_info(void*, void** output, int* size) {
    give(std::string("\n\x06/m/a/1", 8), output, size);
    return 0;
}

}  // extern "C"
