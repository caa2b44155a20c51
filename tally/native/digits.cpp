// The twin of tally/engine/asking/digits.py: numbers and rows as text.
//
// SQLite has no function that prints the fewest digits that read back as the same double. `std::to_chars` finds them,
// and here they are laid out as Python's repr() lays them out:
//
//     0.25  78.11538461538461  1e-05  1e+22  5e-324
//
// Two SQL functions fill in a template, which has the placeholders of SQLite's format():
//
//     tally_text(template, ...)               text of one row
//     tally_texts(separator, template, ...)   text of all rows of a group
//
//     %d       an integer
//     %!.*g    a float
//     %s       text, or a count: an integer wherever it is whole
#include "digits.hpp"

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "context.hpp"

#ifndef __cpp_lib_to_chars
#error "the standard library has no std::to_chars for floating-point numbers"
#endif

namespace tally {
namespace {

using sqlite::api;

// The exponents between which repr() writes no exponent.
constexpr int FIXED_FIRST = -4, FIXED_LAST = 15;
// A double below this converts to an integer of 64 bits.
constexpr double INTEGER_END = 9223372036854775808.0;
constexpr std::string_view FLOAT_PLACE = "!.*g";

char* copy(char* target, std::string_view text) {
    std::memcpy(target, text.data(), text.size());
    return target + text.size();
}

char* write_zeros(char* target, int count) {
    std::memset(target, '0', static_cast<std::size_t>(count));
    return target + count;
}

// Of two shortest decimals that are equally near, std::to_chars may take either one, and Python takes the even one.
// There are two only where doubles are a quarter apart: 2000000004000018.25 is as near to .2 as to .3.
bool is_tie(double value) {
    const double quarters = std::abs(value) * 4;
    return quarters >= 0x1p52 && quarters < 0x1p53 && std::fmod(quarters, 2) == 1;
}

char even_digit(double value) {
    return std::fmod(std::abs(value) * 4, 4) == 1 ? '2' : '8';
}

// Writes digits whose first one stands for `exponent` powers of ten, without an exponent.
char* write_fixed(char* target, std::string_view digits, int exponent) {
    const int count = static_cast<int>(digits.size());
    if (exponent < 0) {
        target = write_zeros(copy(target, "0."), -exponent - 1);
        return copy(target, digits);
    }
    if (count <= exponent + 1) return copy(write_zeros(copy(target, digits), exponent + 1 - count), ".0");
    target = copy(target, digits.substr(0, static_cast<std::size_t>(exponent) + 1));
    *target++ = '.';
    return copy(target, digits.substr(static_cast<std::size_t>(exponent) + 1));
}

}  // namespace

char* write_float(char* target, double value) {
    if (value == 0) return copy(target, "0.0");  // Without the sign of -0.0, as SQLite writes it.
    if (!std::isfinite(value)) return copy(target, std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    // For example -1.25e+02: a digit, a point if more follow, and an exponent of at least two digits.
    char scientific[FLOAT_CHARACTERS];
    char* end = std::to_chars(scientific, scientific + sizeof scientific, value, std::chars_format::scientific).ptr;
    char* first = scientific;
    if (*first == '-') *target++ = *first++;
    char* mark = static_cast<char*>(std::memchr(first, 'e', static_cast<std::size_t>(end - first)));
    int exponent = 0;
    std::from_chars(mark + (mark[1] == '+' ? 2 : 1), end, exponent);
    if (exponent < FIXED_FIRST || exponent > FIXED_LAST) {
        return copy(target, {first, static_cast<std::size_t>(end - first)});
    }
    char digits[FLOAT_CHARACTERS];
    char* last = digits;
    *last++ = *first;
    if (first[1] == '.') last = copy(last, {first + 2, static_cast<std::size_t>(mark - first - 2)});
    if (is_tie(value)) last[-1] = even_digit(value);
    return write_fixed(target, {digits, static_cast<std::size_t>(last - digits)}, exponent);
}

namespace {

void append_integer(std::string& text, std::int64_t value) {
    char buffer[FLOAT_CHARACTERS];
    text.append(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
}

void append_float(std::string& text, double value) {
    char buffer[FLOAT_CHARACTERS];
    text.append(buffer, write_float(buffer, value));
}

bool is_whole(double value) {
    return std::abs(value) < INTEGER_END && value == std::floor(value);
}

void append_any(std::string& text, sqlite::Value* value) {
    switch (api->value_type(value)) {
        case sqlite::INTEGER:
            return append_integer(text, api->value_int64(value));
        case sqlite::FLOAT: {
            const double number = api->value_double(value);
            if (is_whole(number)) return append_integer(text, static_cast<std::int64_t>(number));
            return append_float(text, number);
        }
        case sqlite::NOTHING:
            return;
        default:
            text.append(text_of(value));
    }
}

// Appends a template with its placeholders filled in; returns whether it fits the arguments.
bool append_row(std::string& text, int count, sqlite::Value** values) {
    const char* first = count > 0 ? api->value_text(values[0]) : nullptr;
    if (first == nullptr) return false;
    std::string_view rest(first, static_cast<std::size_t>(api->value_bytes(values[0])));
    for (int used = 1;; ++used) {
        const std::size_t place = rest.find('%');
        text.append(rest.substr(0, place));
        if (place == rest.npos) return used == count;
        rest.remove_prefix(place + 1);
        if (used == count || rest.empty()) return false;
        if (rest[0] == 's') {
            append_any(text, values[used]);
        } else if (rest[0] == 'd') {
            append_integer(text, api->value_int64(values[used]));
        } else if (rest.substr(0, FLOAT_PLACE.size()) == FLOAT_PLACE) {
            append_float(text, api->value_double(values[used]));
        } else {
            return false;
        }
        rest.remove_prefix(rest[0] == '!' ? FLOAT_PLACE.size() : 1);
    }
}

void return_misfit(sqlite::Context* context) {
    api->result_error(context, "the template does not fit the arguments", -1);
}

void text_of_row(sqlite::Context* context, int count, sqlite::Value** values) {
    answer(context, [&] {
        std::string text;
        append_row(text, count, values) ? return_text(context, text) : return_misfit(context);
    });
}

struct Rows {
    std::string text;
    bool has_begun = false;
};

void add_row(sqlite::Context* context, int count, sqlite::Value** values) {
    answer(context, [&] {
        auto& [text, has_begun] = state_of<Rows>(context);
        if (has_begun) append_any(text, values[0]);
        has_begun = true;
        if (!append_row(text, count - 1, values + 1)) return_misfit(context);
    });
}

void text_of_rows(sqlite::Context* context) {
    end_state<Rows>(context, [&](const Rows& rows) { return_text(context, rows.text); });
}

}  // namespace

int register_text_functions(sqlite::Database* database) {
    constexpr int FLAGS = sqlite::UTF8 | sqlite::DETERMINISTIC | sqlite::INNOCUOUS;
    const int result =
        api->create_function_v2(database, "tally_text", -1, FLAGS, nullptr, text_of_row, nullptr, nullptr, nullptr);
    if (result != sqlite::OK) return result;
    return api->create_function_v2(database, "tally_texts", -1, FLAGS, nullptr, nullptr, add_row, text_of_rows,
                                   nullptr);
}

}  // namespace tally
