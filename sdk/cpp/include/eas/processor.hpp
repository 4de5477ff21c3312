// A processor as a C++17 class over the versioned interface of <eas/processor.h>:
//
//     #include <eas/processor.hpp>
//
//     class Echo : public eas::Processor {
//     public:
//         eas::Response process(const eas::Request& request) override {
//             return std::string(request.body());
//         }
//     };
//
//     EAS_REGISTER_PROCESSOR(Echo)
//
// One object is made and serves all threads: process is called by several at once. Exceptions are answers:
// eas::Error with its status, any other with 400, what() and X-EAS-Error: processor_exception.
#ifndef EAS_PROCESSOR_HPP
#define EAS_PROCESSOR_HPP

#include <chrono>
#include <cstdio>
#include <exception>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <eas/processor.h>

namespace eas {

// One HTTP request. Everything that it returns by view is valid during the call that got it.
class Request {
public:
    explicit Request(const eas_request& raw) : raw_(&raw) {}

    // The client's bytes, where they were received: nothing is copied. Empty for GET and HEAD.
    std::string_view body() const { return {static_cast<const char*>(raw_->body), raw_->body_size}; }

    // "POST", "GET" or "HEAD".
    std::string_view method() const { return view(eas_request_method(raw_)); }

    // The path of the URL, /api/predict/<name>[/suffix], percent-encoded as the client sent it.
    std::string_view path() const { return view(eas_request_path(raw_)); }

    // What follows the "?" of the URL, percent-encoded; empty without one.
    std::string_view query() const { return view(eas_request_query(raw_)); }

    // The first field of that name, in any case.
    std::optional<std::string_view> header(const std::string& name) const {
        const eas_text value = eas_request_header(raw_, name.c_str());
        if (value.data == nullptr) return std::nullopt;
        return view(value);
    }

    // All fields, in the order in which they came.
    std::vector<std::pair<std::string_view, std::string_view>> headers() const {
        std::vector<std::pair<std::string_view, std::string_view>> all;
        eas_text name, value;
        for (std::size_t cursor = 0; eas_request_next_header(raw_, &cursor, &name, &value);) {
            all.emplace_back(view(name), view(value));
        }
        return all;
    }

    // The client's X-Request-Id, or one made by the engine: what the engine's log says.
    std::string id() const {
        char text[EAS_REQUEST_ID_SIZE];
        return std::string(text, eas_request_id(raw_, text));
    }

    // When the engine answers 408 by itself (steady_clock is CLOCK_MONOTONIC on Linux).
    std::chrono::steady_clock::time_point deadline() const {
        const std::chrono::duration<double> since(raw_->deadline);
        return std::chrono::steady_clock::time_point(
            std::chrono::duration_cast<std::chrono::steady_clock::duration>(since));
    }

    // Seconds until then; negative when it is over.
    double remaining() const {
        return std::chrono::duration<double>(deadline() - std::chrono::steady_clock::now()).count();
    }

    // Whether nobody waits for the answer any more. Long computations may look now and then, and give up.
    bool cancelled() const { return *raw_->cancelled != 0; }

private:
    static std::string_view view(eas_text text) { return {text.data, text.size}; }

    const eas_request* raw_;
};

// An answer. Texts and strings are answers with status 200.
struct Response {
    Response() = default;
    Response(std::string content, int code = 200) : body(std::move(content)), status(code) {}
    Response(const char* text, int code = 200) : body(text), status(code) {}

    std::string body;
    int status = 200;  // 200 to 599
    std::vector<std::pair<std::string, std::string>> headers;
};

// An answer with a status, thrown from any depth.
class Error : public std::runtime_error {
public:
    Error(int code, const std::string& text) : std::runtime_error(text), status(code) {}

    const int status;
};

// What a processor derives from: define process, or process_batch, or both.
class Processor {
public:
    Processor() = default;
    Processor(const Processor&) = delete;
    Processor& operator=(const Processor&) = delete;
    virtual ~Processor() = default;

    // Once, before the first request. An exception ends the start, and its what() is told to the operator.
    //   model_entry: absolute path of the model, a directory ends in "/"; empty without a model.
    //   model_config: the text of model_config in service.json.
    virtual void initialize(const std::string& model_entry, const std::string& model_config) {
        (void)model_entry;
        (void)model_config;
    }

    // Answers one request; called by several threads at once.
    virtual Response process(const Request& request) {
        std::vector<Response> answers = process_batch({request});
        if (answers.size() != 1) throw std::logic_error("process_batch gave no answer for its request");
        return std::move(answers.front());
    }

    // Answers several, in their order. An exception (or another number of answers) fails the request that is to
    // blame, alone: as nobody knows which it is, process_batch is called again with each half of the same requests,
    // with each half of a half that throws, and so on. So a request may be seen several times, in smaller batches.
    virtual std::vector<Response> process_batch(const std::vector<Request>& requests) {
        std::vector<Response> answers;
        answers.reserve(requests.size());
        for (const Request& request : requests) answers.push_back(process(request));
        return answers;
    }
};

// Private to this file.
namespace detail {

// An answer and the fields that point into it.
struct Held {
    Response answer;
    std::vector<eas_header> headers;

    void show(eas_response& response) {
        headers.clear();
        for (const auto& field : answer.headers) headers.push_back({field.first.c_str(), field.second.c_str()});
        response.status = answer.status;
        response.body = answer.body.data();
        response.body_size = answer.body.size();
        response.headers = headers.data();
        response.header_count = headers.size();
    }
};

constexpr std::size_t kept_at_most = std::size_t{1} << 20;  // bytes that each thread keeps between calls

// Small answers wait in their thread for its next call, so that nothing has to be released.
inline void put(eas_response& response, Response answer) {
    if (answer.body.size() <= kept_at_most) {
        thread_local Held kept;
        kept.answer = std::move(answer);
        kept.show(response);
        return;
    }
    auto held = std::make_unique<Held>();
    held->answer = std::move(answer);
    held->show(response);
    response.context = held.release();
    response.release = [](void* context) { delete static_cast<Held*>(context); };
}

// What the exception that is being handled answers. One that was hardly meant as an answer the host tells the log, too.
inline Response failure() noexcept {
    try {
        throw;
    } catch (const Error& error) {
        return Response(error.what(), error.status);
    } catch (const std::exception& error) {
        const char* const what = error.what();
        return Response(what != nullptr && *what != '\0' ? what : "a C++ exception without a message", EAS_RAISED);
    } catch (...) {
        return Response("the processor threw something that is no std::exception", EAS_RAISED);
    }
}

template <class Class>
int initialize(const char* model_entry, const char* model_config, void** processor, char* message,
               std::size_t message_size) {
    try {
        auto made = std::make_unique<Class>();
        Processor& made_processor = *made;
        made_processor.initialize(model_entry, model_config);
        *processor = static_cast<Processor*>(made.release());
        return 0;
    } catch (...) {
        std::snprintf(message, message_size, "%s", failure().body.c_str());
        return 1;
    }
}

inline void process(void* processor, const eas_request* request, eas_response* response) {
    try {
        put(*response, static_cast<Processor*>(processor)->process(Request(*request)));
    } catch (...) {
        put(*response, failure());
    }
}

// Answers requests as one batch, held[i] for requests[i]. If that throws, each half is a batch of its own, down to
// the request that is to blame. Those that nobody waits for any more aren't tried again.
inline void answer_all(Processor& processor, const std::vector<Request>& requests, Held* const* held) {
    const std::size_t count = requests.size();
    try {
        std::vector<Response> answers = processor.process_batch(requests);
        if (answers.size() != count) {
            throw std::logic_error("process_batch gave " + std::to_string(answers.size()) + " answers to " +
                                   std::to_string(count) + " request" + (count == 1 ? "" : "s"));
        }
        for (std::size_t i = 0; i < count; ++i) held[i]->answer = std::move(answers[i]);
        return;
    } catch (...) {
        held[0]->answer = failure();
    }
    if (count == 1) return;
    std::fprintf(stderr, "a batch of %zu requests raised %s; its halves are called by themselves\n", count,
                 held[0]->answer.body.c_str());
    for (const bool first : {true, false}) {
        const std::size_t middle = (count + 1) / 2;
        std::vector<Request> part;
        std::vector<Held*> answers;
        for (std::size_t i = first ? 0 : middle; i < (first ? middle : count); ++i) {
            if (requests[i].cancelled()) {
                held[i]->answer = Response("nobody waited for it any more", 400);
                continue;
            }
            part.push_back(requests[i]);
            answers.push_back(held[i]);
        }
        if (!part.empty()) answer_all(processor, part, answers.data());
    }
}

inline void process_batch(void* processor, const eas_request* const* requests, eas_response* const* responses,
                          std::size_t count) {
    thread_local std::vector<Held> kept;
    kept.clear();
    kept.resize(count);
    std::vector<Request> given;
    std::vector<Held*> held;
    given.reserve(count);
    held.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        given.emplace_back(*requests[i]);
        held.push_back(&kept[i]);
    }
    answer_all(*static_cast<Processor*>(processor), given, held.data());
    for (std::size_t i = 0; i < count; ++i) kept[i].show(*responses[i]);
}

inline void destroy(void* processor) { delete static_cast<Processor*>(processor); }

template <class Class>
constexpr bool has_process = !std::is_same_v<decltype(&Class::process), decltype(&Processor::process)>;
template <class Class>
constexpr bool has_batch = !std::is_same_v<decltype(&Class::process_batch), decltype(&Processor::process_batch)>;

template <class Class>
constexpr eas_processor table() {
    static_assert(std::is_base_of_v<Processor, Class>, "a processor derives from eas::Processor");
    static_assert(has_process<Class> || has_batch<Class>, "define process or process_batch (both public)");
    return {EAS_ABI_VERSION,
            static_cast<std::uint32_t>(sizeof(eas_processor)),
            &initialize<Class>,
            &process,
            has_batch<Class> ? &process_batch : nullptr,
            &destroy};
}

}  // namespace detail
}  // namespace eas

// Once in the library, outside every namespace: exports Class.
#define EAS_REGISTER_PROCESSOR(Class)                                         \
    EAS_EXPORT const eas_processor* eas_processor_v1(void) {                  \
        static const eas_processor table = ::eas::detail::table<Class>();     \
        return &table;                                                        \
    }

#endif  // EAS_PROCESSOR_HPP
