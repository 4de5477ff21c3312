// Scans out of JSON: a list of 64 numbers, or a list of such lists.
#ifndef DIGITS_JSON_SCANS_H
#define DIGITS_JSON_SCANS_H

#include <cstddef>
#include <stdexcept>
#include <string_view>
#include <vector>

constexpr std::size_t pixels_of_a_scan = 64;
constexpr double black = 16;

// The request isn't one or more scans; what() says why, for the caller.
struct NotScans : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// The pixels of all scans, row by row. Errors: NotScans.
std::vector<double> scans_of_json(std::string_view text);

#endif
