// batch_process and async_process beside a process() that nobody should call.
// -DWITH_ASYNC exports async_process, -DWITH_BATCH batch_process.

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#define EAS_PLAIN_INTERFACE
#include <eas/processor.h>

namespace {

void give(const std::string& text, void** output, int* size) {
    *output = std::malloc(text.size() + 1);
    std::memcpy(*output, text.data(), text.size());
    *size = static_cast<int>(text.size());
}

}  // namespace

void* initialize(const char*, const char*, int* state) {
    *state = 0;
    return nullptr;
}

int process(void*, const void*, int, void** output, int* output_size) {
    give("process was called", output, output_size);
    return 500;
}

#ifdef WITH_BATCH
// Answers each input with "<count>/<where the NULL is>:<input>"; the code is the first input's number.
int batch_process(void*, const void* inputs[], int* input_sizes, void* outputs[], int* output_sizes, int count) {
    int end = 0;
    while (inputs[end] != nullptr) ++end;
    const bool ended = input_sizes[end] == 0 && outputs[end] == nullptr;
    for (int at = 0; at < end; ++at) {
        const std::string body(static_cast<const char*>(inputs[at]), static_cast<std::size_t>(input_sizes[at]));
        give(std::to_string(count) + "/" + std::to_string(ended ? end : -1) + ":" + body, &outputs[at],
             &output_sizes[at]);
    }
    return std::atoi(static_cast<const char*>(inputs[0]));
}
#endif

#ifdef WITH_ASYNC
namespace {

std::atomic<int> inside{0};

// The body says how: "parts", "now", "twice", "unknown", "error <code>", "null", "bad", "meet".
void run(std::string body, int64_t id, DoneCallback done) {
    const auto say = [&](const std::string& text, int finished, int code) {
        done(text.data(), static_cast<int>(text.size()), id, finished, code);
    };
    if (body == "parts") {
        say("one ", 0, 0);
        say("two ", 0, 0);
        say("three", 1, 200);
    } else if (body == "twice") {
        say("first", 1, 0);
        say("second", 1, 0);
    } else if (body == "unknown") {
        done("x", 1, id + 1000000, 1, 0);
        say("known", 1, 0);
    } else if (body.compare(0, 6, "error ") == 0) {
        say("as told", 1, std::stoi(body.substr(6)));
    } else if (body == "null") {
        done(nullptr, 0, id, 1, 0);
    } else if (body == "bad") {
        done(nullptr, 4, id, 1, 0);
    } else if (body == "meet") {
        inside.fetch_add(1);
        while (inside.load() < 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        say("met", 1, 0);
    } else {
        say(body, 1, 0);
    }
}

}  // namespace

void async_process(void*, const void* input, int input_size, int64_t request_id, DoneCallback done) {
    std::string body(static_cast<const char*>(input), static_cast<std::size_t>(input_size));
    if (body == "now") {  // on the caller's thread, before this returns
        run(body, request_id, done);
        return;
    }
    std::thread(run, std::move(body), request_id, done).detach();
}
#endif
