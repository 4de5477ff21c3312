#include "classifier.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "json_scans.h"

// The numbers of the file are little-endian, as this machine's must be.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "digits.bin is little-endian");

namespace {

constexpr char magic[] = "DIGITS01";

void read(std::istream& file, void* into, std::size_t size) {
    file.read(static_cast<char*>(into), static_cast<std::streamsize>(size));
}

}  // namespace

Classifier::Classifier(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("can't read " + path + ": train.py writes it");
    char found[sizeof magic - 1];
    std::uint32_t count = 0;
    float numbers[2];
    read(file, found, sizeof found);
    read(file, &count, sizeof count);
    read(file, numbers, sizeof numbers);
    if (!file || std::memcmp(found, magic, sizeof found) != 0 || count > 1000000) {
        throw std::runtime_error(path + " is no model of this kind");
    }
    count_ = count;
    gamma_ = numbers[0];
    sharpness_ = numbers[1];
    centres_.resize(count_ * pixels_of_a_scan);
    weights_.resize(count_ * digits);
    read(file, centres_.data(), centres_.size() * sizeof(float));
    read(file, weights_.data(), weights_.size() * sizeof(float));
    if (!file || file.peek() != std::ifstream::traits_type::eof()) {
        throw std::runtime_error(path + " is cut off or too long");
    }
}

std::array<double, Classifier::digits> Classifier::scores(const double* scan) const {
    std::array<double, digits> sums{};
    for (std::size_t row = 0; row < count_; ++row) {
        const float* centre = &centres_[row * pixels_of_a_scan];
        double squares = 0;
        for (std::size_t pixel = 0; pixel < pixels_of_a_scan; ++pixel) {
            const double difference = scan[pixel] / black - static_cast<double>(centre[pixel]);
            squares += difference * difference;
        }
        const double similarity = std::exp(-gamma_ * squares);
        const float* weights = &weights_[row * digits];
        for (std::size_t digit = 0; digit < digits; ++digit) {
            sums[digit] += similarity * static_cast<double>(weights[digit]);
        }
    }
    return sums;
}

Classifier::Guess Classifier::classify(const double* scan) const {
    std::array<double, digits> raised = scores(scan);
    const double highest = *std::max_element(raised.begin(), raised.end());
    double sum = 0;
    for (double& score : raised) sum += score = std::exp(sharpness_ * (score - highest));
    const auto best = std::max_element(raised.begin(), raised.end());
    return {static_cast<std::size_t>(best - raised.begin()), *best / sum};
}
