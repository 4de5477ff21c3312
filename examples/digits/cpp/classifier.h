// The digits model: kernel ridge regression over the training scans (train.py), from digits.bin.
#ifndef DIGITS_CLASSIFIER_H
#define DIGITS_CLASSIFIER_H

#include <array>
#include <cstddef>
#include <string>
#include <vector>

class Classifier {
public:
    static constexpr std::size_t digits = 10;

    struct Guess {
        std::size_t digit;
        double probability;
    };

    // Errors: std::runtime_error, when the file isn't there or is no such model.
    explicit Classifier(const std::string& path);

    // The likeliest digit of one scan: 64 pixels of 0..16. Any number of threads may ask at once.
    Guess classify(const double* scan) const;

private:
    std::array<double, digits> scores(const double* scan) const;

    std::size_t count_ = 0;
    double gamma_ = 0;
    double sharpness_ = 0;
    std::vector<float> centres_;  // count_ x 64
    std::vector<float> weights_;  // count_ x 10
};

#endif
