// The versioned interface through the class: the path's last part says what is done.

#include <eas/processor.hpp>

#include <cstdio>
#include <string>
#include <thread>

class Versioned : public eas::Processor {
public:
    ~Versioned() override { std::puts("destroyed"); }

    void initialize(const std::string& model_entry, const std::string& model_config) override {
        if (model_config == "refuse") throw std::runtime_error("no such\nmodel: " + model_entry);
        if (model_config == "strange") throw 5;
        model_ = model_entry + "|" + model_config;
    }

    eas::Response process(const eas::Request& request) override {
        const std::string_view path = request.path();
        const std::string what(path.substr(path.rfind('/') + 1));
        if (what == "model") return model_;
        if (what == "tell") return told(request);
        if (what == "fields") return fields(request);
        if (what == "throw") throw std::runtime_error("ouch");
        if (what == "error") throw eas::Error(422, "not like this");
        if (what == "strange") throw 5;
        if (what == "big") return std::string(3 << 20, 'b');
        if (what == "status") return {"", std::stoi(std::string(request.body()))};
        if (what == "split") {
            eas::Response broken("x");
            broken.headers.emplace_back("X-A", "1\r\nX-B: 2");
            return broken;
        }
        if (what == "cancelled") {
            while (!request.cancelled()) std::this_thread::yield();
            return "seen";
        }
        return std::string(request.body());
    }

    std::vector<eas::Response> process_batch(const std::vector<eas::Request>& requests) override {
        std::vector<eas::Response> answers;
        for (const eas::Request& request : requests) {
            if (request.body() == "throw") throw eas::Error(503, "the whole batch");
            if (request.body() == "lose") continue;
            answers.emplace_back(std::to_string(requests.size()) + ":" + std::string(request.body()));
        }
        return answers;
    }

private:
    static std::string told(const eas::Request& request) {
        std::string text;
        text += "method " + std::string(request.method()) + "\n";
        text += "path " + std::string(request.path()) + "\n";
        text += "query " + std::string(request.query()) + "\n";
        text += "id " + request.id() + "\n";
        text += "absent " + std::string(request.header("x-absent") ? "no" : "yes") + "\n";
        text += "remaining " + std::to_string(static_cast<int>(request.remaining())) + "\n";
        text += "cancelled " + std::string(request.cancelled() ? "yes" : "no") + "\n";
        for (const auto& field : request.headers()) {
            text += std::string(field.first) + "=" + std::string(field.second) + "\n";
        }
        return text;
    }

    static eas::Response fields(const eas::Request& request) {
        eas::Response answer("with fields", 201);
        answer.headers.emplace_back("Content-Type", "text/x-test");
        answer.headers.emplace_back("X-Given", std::string(request.header("X-GIVEN").value_or("none")));
        return answer;
    }

    std::string model_;
};

EAS_REGISTER_PROCESSOR(Versioned)
