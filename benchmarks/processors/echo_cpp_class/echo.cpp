// Answers with the request's own body, through the class of the versioned interface.

#include <eas/processor.hpp>

class Echo : public eas::Processor {
public:
    eas::Response process(const eas::Request& request) override { return std::string(request.body()); }
};

EAS_REGISTER_PROCESSOR(Echo)
