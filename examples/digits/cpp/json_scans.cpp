#include "json_scans.h"

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

namespace {

constexpr std::size_t deepest = 64;

// Reads nested lists of numbers; what else JSON may hold is skipped and remembered as "no number".
class Reader {
public:
    explicit Reader(std::string_view text) : text_(text) {}

    std::vector<double> read() {
        value(0);
        space();
        if (at_ < text_.size()) broken("something follows its end");
        return check();
    }

private:
    [[noreturn]] void broken(const std::string& why) const {
        throw NotScans("neither JSON lists of 64 numbers nor raw bytes of 0..16, 64 a scan: " + why);
    }

    [[noreturn]] void unexpected() const {
        broken(at_ < text_.size() ? "unexpected character at " + std::to_string(at_) : "it ends too early");
    }

    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

    void space() {
        while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos) ++at_;
    }

    bool take(std::string_view word) {
        if (text_.substr(at_, word.size()) != word) return false;
        at_ += word.size();
        return true;
    }

    void value(std::size_t depth) {
        if (depth > deepest) broken("lists are nested too deeply");
        space();
        if (take("[")) {
            list(depth);
        } else {
            leaf(depth);
        }
    }

    void list(std::size_t depth) {
        std::size_t count = 0;
        space();
        if (!take("]")) {
            do {
                value(depth + 1);
                ++count;
                space();
            } while (take(","));
            if (!take("]")) unexpected();
        }
        if (shape_.size() <= depth) shape_.resize(depth + 1, unknown);
        if (shape_[depth] == unknown) shape_[depth] = count;
        if (shape_[depth] != count) ragged_ = true;
    }

    void leaf(std::size_t depth) {
        if (depth_ == unknown) depth_ = depth;
        if (depth_ != depth) ragged_ = true;
        if (take("NaN")) return numbers_.push_back(std::numeric_limits<double>::quiet_NaN());
        if (take("Infinity") || take("-Infinity")) return numbers_.push_back(HUGE_VAL);
        if (peek() == '-' || (peek() >= '0' && peek() <= '9')) return number();
        only_numbers_ = false;
        if (take("true") || take("false") || take("null")) return;
        if (peek() == '"') return string();
        if (peek() == '{') return object(depth);
        unexpected();
    }

    void number() {
        const std::size_t start = at_;
        take("-");
        if (!take("0") && !digits()) unexpected();
        if (take(".") && !digits()) unexpected();
        if (take("e") || take("E")) {
            if (!take("+")) take("-");
            if (!digits()) unexpected();
        }
        numbers_.push_back(std::strtod(std::string(text_.substr(start, at_ - start)).c_str(), nullptr));
    }

    bool digits() {
        const std::size_t start = at_;
        while (peek() >= '0' && peek() <= '9') ++at_;
        return at_ > start;
    }

    void string() {
        for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\') ++at_;
        }
        if (!take("\"")) unexpected();
    }

    void object(std::size_t depth) {
        ++at_;
        space();
        if (take("}")) return;
        const Reader outside = *this;  // numbers inside an object are nobody's pixels
        do {
            space();
            if (peek() != '"') unexpected();
            string();
            space();
            if (!take(":")) unexpected();
            value(depth + 1);
            space();
        } while (take(","));
        if (!take("}")) unexpected();
        const std::size_t end = at_;
        *this = outside;
        at_ = end;
    }

    std::vector<double> check() const {
        if (!only_numbers_) throw NotScans("pixels must be numbers of 0..16");
        if (ragged_ || (depth_ != unknown && depth_ != shape_.size())) broken("its lists differ in length or depth");
        const bool scans = !shape_.empty() && shape_.size() <= 2 && shape_.back() == pixels_of_a_scan;
        if (!scans) throw NotScans("a scan has 64 pixels; these lists have the shape " + shape());
        for (const double pixel : numbers_) {
            if (!(pixel >= 0 && pixel <= black)) throw NotScans("pixels must be numbers of 0..16");
        }
        return numbers_;
    }

    std::string shape() const {
        std::string text;
        for (const std::size_t length : shape_) text += (text.empty() ? "" : ", ") + std::to_string(length);
        return "(" + text + (shape_.size() == 1 ? ",)" : ")");
    }

    static constexpr std::size_t unknown = std::numeric_limits<std::size_t>::max();

    std::string_view text_;
    std::size_t at_ = 0;
    std::vector<double> numbers_;
    std::vector<std::size_t> shape_;  // length of the lists at each depth
    std::size_t depth_ = unknown;     // of the numbers
    bool only_numbers_ = true;
    bool ragged_ = false;
};

}  // namespace

std::vector<double> scans_of_json(std::string_view text) { return Reader(text).read(); }
