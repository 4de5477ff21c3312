// Echoes, and misbehaves on demand: the C++ counterpart of processors/eas_processors/faults.
//
// The interface has no query, so every request says in its *body* what is to be done with it, written like a
// query: "do=sleep&seconds=2". A body that doesn't begin with "do=" is echoed. `act` below lists the actions
// and what they take. "once=FILE" beside any action: the action happens only if FILE isn't there yet, and
// leaves it behind; otherwise the body is echoed.
//
// Environment (processor_envs of service.json), as for the Python processor:
//   FAULTS_JOURNAL        a file: one line of JSON for each call that reaches the library
//   FAULTS_AT_LOAD        an action while the library is being loaded
//   FAULTS_AT_INITIALIZE  an action in initialize()
// There they may also be "do=refuse&state=N": initialize() sets that state and returns NULL.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

using Arguments = std::map<std::string, std::string>;

std::atomic<int> inside{0};  // calls of process() at this moment

char unquoted(const std::string& text, std::size_t at) {
    return static_cast<char>(std::stoi(text.substr(at + 1, 2), nullptr, 16));
}

std::string decoded(const std::string& text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] == '%' && at + 2 < text.size()) {
            plain += unquoted(text, at);
            at += 2;
        } else {
            plain += text[at] == '+' ? ' ' : text[at];
        }
    }
    return plain;
}

Arguments parsed(const std::string& query) {
    Arguments found;
    for (std::size_t at = 0; at < query.size();) {
        const std::size_t end = std::min(query.find('&', at), query.size());
        const std::string pair = query.substr(at, end - at);
        const std::size_t cut = std::min(pair.find('='), pair.size());
        found[decoded(pair.substr(0, cut))] = cut < pair.size() ? decoded(pair.substr(cut + 1)) : "";
        at = end + 1;
    }
    return found;
}

std::string text(const Arguments& told, const std::string& name, const std::string& otherwise = "") {
    const auto found = told.find(name);
    return found == told.end() ? otherwise : found->second;
}

double number(const Arguments& told, const std::string& name, double otherwise) {
    const auto found = told.find(name);
    return found == told.end() ? otherwise : std::stod(found->second);
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

void pause_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

std::string quoted(const std::string& plain) {
    std::string json = "\"";
    for (const char letter : plain) {
        const auto code = static_cast<unsigned char>(letter);
        if (letter == '"' || letter == '\\') {
            json += '\\';
            json += letter;
        } else if (code < 0x20 || code > 0x7e) {
            char escaped[8];
            std::snprintf(escaped, sizeof escaped, "\\u%04x", code);
            json += escaped;
        } else {
            json += letter;
        }
    }
    return json + '"';
}

void journal(const std::string& event, const std::string& told) {
    const char* path = std::getenv("FAULTS_JOURNAL");
    if (path == nullptr || *path == '\0') {
        return;
    }
    const std::string line = "{\"event\": " + quoted(event) + ", \"id\": \"\", \"pid\": " +
                             std::to_string(getpid()) + ", \"query\": " + quoted(told.substr(0, 200)) + "}\n";
    const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file >= 0) {
        (void)!write(file, line.data(), line.size());
        close(file);
    }
}

// The answer of one call; `data` is what malloc gave, or NULL.
struct Answer {
    int code = 200;
    void* data = nullptr;
    int size = 0;
};

Answer answer(const std::string& body, int code = 200) {
    Answer made{code, std::malloc(body.empty() ? 1 : body.size()), static_cast<int>(body.size())};
    std::memcpy(made.data, body.data(), body.size());
    return made;
}

int signal_called(const std::string& name) {
    static const std::map<std::string, int> signals = {
        {"SIGKILL", SIGKILL}, {"SIGSEGV", SIGSEGV}, {"SIGABRT", SIGABRT}, {"SIGTERM", SIGTERM},
        {"SIGBUS", SIGBUS},   {"SIGFPE", SIGFPE},   {"SIGILL", SIGILL},
    };
    return signals.at(name);
}

void wait_for(const std::string& file) {
    while (!exists(file)) {
        pause_for(0.002);
    }
}

[[noreturn]] void forever() {
    for (;;) {
        pause();
    }
}

// Until `parties` calls are in here at the same time; at most `seconds`.
bool met(int parties, double seconds) {
    static std::atomic<int> come{0};
    const int target = (come.fetch_add(1) / parties + 1) * parties;
    const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    while (come.load() < target) {
        if (std::chrono::steady_clock::now() > until) {
            return false;
        }
        pause_for(0.001);
    }
    return true;
}

// What ends the process, or never ends; returns for any other action.
void end(const std::string& what, const Arguments& told) {
    if (what == "segfault") {
        *static_cast<volatile int*>(nullptr) = 1;
    } else if (what == "abort") {
        std::abort();
    } else if (what == "exit") {  // runs atexit handlers and destructors
        std::exit(static_cast<int>(number(told, "code", 0)));
    } else if (what == "vanish") {  // without a word
        _exit(static_cast<int>(number(told, "code", 1)));
    } else if (what == "kill") {
        kill(getpid(), signal_called(text(told, "signal", "SIGKILL")));
        forever();
    } else if (what == "throw") {  // nothing above catches it
        throw std::runtime_error(text(told, "message", "told to fail"));
    } else if (what == "hang") {
        forever();
    }
}

Answer act(const std::string& body, const Arguments& told) {
    const std::string what = text(told, "do");
    const double seconds = number(told, "seconds", 1.0);
    end(what, told);
    if (what == "pid") return answer(std::to_string(getpid()));
    if (what == "inside") return answer(std::to_string(inside.load()));
    if (what == "answer" || what == "big") {  // `size` bytes of `fill` with `status`
        const auto size = static_cast<std::size_t>(number(told, "size", 0));
        const std::string fill = text(told, "fill", "x");
        return answer(std::string(size, fill[0]), static_cast<int>(number(told, "status", 200)));
    }
    if (what == "null") {  // NULL, with `size` and `status` as told
        return {static_cast<int>(number(told, "status", 200)), nullptr, static_cast<int>(number(told, "size", 0))};
    }
    if (what == "negative") return {200, std::malloc(1), -1};
    if (what == "sleep") {
        pause_for(seconds);
    } else if (what == "wait") {  // until `file` is there
        wait_for(text(told, "file"));
    } else if (what == "spin") {
        const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
        while (std::chrono::steady_clock::now() < until) {
        }
    } else if (what == "meet") {
        const bool all = met(static_cast<int>(number(told, "parties", 2)), number(told, "seconds", 30));
        return all ? answer(body) : answer("the others didn't come", 500);
    } else if (what == "leak") {
        const auto size = static_cast<std::size_t>(number(told, "size", 1 << 20));
        std::memset(std::malloc(size), 'x', size);
    } else if (what == "fork") {  // a child that keeps every descriptor
        const pid_t child = fork();
        if (child == 0) {
            if (!text(told, "session").empty()) setsid();
            pause_for(number(told, "seconds", 60));
            _exit(0);
        }
        return answer(std::to_string(child));
    } else if (what == "later") {  // answers, and does `then` after `seconds`, with nothing in here
        std::thread([told, seconds] {
            pause_for(seconds);
            end(text(told, "then"), told);
        }).detach();
    } else if (what == "print") {
        std::printf("%s\n", text(told, "text").c_str());
    } else if (what != "echo") {
        return answer("there is no action " + what, 400);
    }
    return answer(body);
}

bool is_due(const Arguments& told) {
    const std::string once = text(told, "once");
    if (once.empty()) return true;
    const int file = open(once.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file >= 0) close(file);
    return file >= 0;
}

Answer respond(const std::string& body) {
    if (body.compare(0, 3, "do=") != 0) return answer(body);
    const Arguments told = parsed(body);
    return is_due(told) ? act(body, told) : answer(body);
}

void at(const char* variable) {
    const char* told = std::getenv(variable);
    if (told != nullptr && *told != '\0') {
        std::free(respond(told).data);
    }
}

struct AtLoad {
    AtLoad() {
        journal("load", "");
        at("FAULTS_AT_LOAD");
    }
} at_load;

}  // namespace

extern "C" {

void* initialize(const char* model_entry, const char* model_config, int* state) {
    std::printf("model_entry='%s' model_config='%s'\n", model_entry, model_config);
    journal("initialize", "");
    const char* told = std::getenv("FAULTS_AT_INITIALIZE");
    const Arguments arguments = parsed(told == nullptr ? "" : told);
    if (text(arguments, "do") == "refuse") {
        *state = static_cast<int>(number(arguments, "state", 400));
        return nullptr;
    }
    at("FAULTS_AT_INITIALIZE");
    *state = 0;
    static int model;
    return &model;
}

int process(void* model, const void* input, int size, void** output, int* output_size) {
    (void)model;
    const std::string body(static_cast<const char*>(input), static_cast<std::size_t>(size));
    journal("process", body);
    inside.fetch_add(1);
    const Answer made = respond(body);
    inside.fetch_sub(1);
    *output = made.data;
    *output_size = made.size;
    return made.code;
}

}  // extern "C"
