// The digits service in C++: the same requests and, to the last character, the same answers as ../app.py.
//
// A request is one or more scans of 8 x 8 pixels, 0 = white to 16 = black, row by row: a JSON list of 64 numbers,
// a list of such lists, or raw bytes, 64 a scan. The answer is JSON, one object a scan, in the same order:
// [{"digit": 7, "probability": 0.9915}]. Anything else is answered with 400 and what is wrong with it.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <eas/processor.hpp>

#include "classifier.h"
#include "json_scans.h"

namespace {

std::vector<double> read_scans(std::string_view data) {
    if (data.empty()) {
        throw NotScans("an empty request: send 64 pixels of 0..16 a scan, as JSON lists or as raw bytes");
    }
    // JSON can't look like raw bytes: its brackets and digits are characters above 16.
    const auto is_pixel = [](char byte) { return static_cast<unsigned char>(byte) <= black; };
    if (data.size() % pixels_of_a_scan == 0 && std::all_of(data.begin(), data.end(), is_pixel)) {
        return {data.begin(), data.end()};
    }
    return scans_of_json(data);
}

// Four decimals, without the zeros at the end but for the first one, as Python writes it.
std::string shown(double probability) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4f", probability);
    std::string number = text;
    const std::size_t last = number.find_last_not_of('0');
    return number.substr(0, number[last] == '.' ? last + 2 : last + 1);
}

class Digits : public eas::Processor {
public:
    void initialize(const std::string& model_entry, const std::string&) override {
        classifier_ = std::make_unique<Classifier>(model_entry + "digits.bin");
    }

    eas::Response process(const eas::Request& request) override {
        const std::vector<double> scans = read_scans(request.body());  // NotScans: 400 and its text
        std::string answer = "[";
        for (std::size_t at = 0; at < scans.size(); at += pixels_of_a_scan) {
            const Classifier::Guess guess = classifier_->classify(&scans[at]);
            if (at > 0) answer += ", ";
            answer += "{\"digit\": " + std::to_string(guess.digit) + ", \"probability\": " +
                      shown(guess.probability) + "}";
        }
        return answer + "]";
    }

private:
    std::unique_ptr<Classifier> classifier_;
};

}  // namespace

EAS_REGISTER_PROCESSOR(Digits)
