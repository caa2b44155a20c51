// Lines and their fields.
#pragma once

#include <cstdint>
#include <string_view>

namespace tally {

// Why a line is rejected, in the order of tally/lines/plain.py. The other reasons are left to Python.
enum class Reason { EMPTY, ENCODING, FIELDS, NAME, VALUE, TIMESTAMP, FUTURE };

constexpr std::size_t NAME_MAX_BYTES = 255;

// What a parser found. UNSURE is left to Python: it is rare, and not worth a second implementation.
enum class Verdict { GOOD, BAD, UNSURE };

struct Number {
    Verdict verdict;
    double value;
};

struct Second {
    Verdict verdict;
    std::int64_t value;
    Reason reason;  // If it is BAD.
};

// The fields of a line, which are separated by spaces and tabs. Only the first four are kept.
struct Fields {
    int count = 0;
    std::string_view each[4];
};

struct Clock {
    std::int64_t now;
    std::int64_t max_future_s;
};

// Returns a line without a CR at its end and a byte order mark at its start.
std::string_view bare(std::string_view line);

Fields split(std::string_view line);

// Returns whether a text is ASCII without white space and control characters.
bool is_printable(std::string_view text);
// Returns whether a text in UTF-8 has any white space or control characters.
bool has_blanks(std::string_view text);

bool is_ascii(std::string_view text);
bool is_utf8(std::string_view text);

// Parses a value: a decimal number within the bounds.
Number parse_value(std::string_view text);

// Returns whether a text that is no value stands for a missing measurement: nan in any case, with or without a sign.
bool is_missing(std::string_view text);

Second parse_timestamp(std::string_view text, const Clock& clock);

}  // namespace tally
