// Lines and their fields.
#pragma once

#include <cstdint>
#include <string_view>

namespace tally {

// Why a line is rejected, as in tally/lines/plain.py; the other reasons are left to Python.
enum class Reason { EMPTY, FIELDS, NAME, VALUE, TIMESTAMP, FUTURE };
constexpr const char* REASONS[] = {"empty", "fields", "name", "value", "timestamp", "future"};
constexpr int REASON_COUNT = 6;

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

// Returns whether a name is stored unchanged if it is not too long: it has neither tags nor a bar, and is ASCII.
bool is_simple_name(std::string_view name);

bool is_ascii(std::string_view text);

// Parses a value: a decimal number within the bounds.
Number parse_value(std::string_view text);

// Returns whether a text that is no value stands for a missing measurement: nan in any case, with or without a sign.
bool is_missing(std::string_view text);

Second parse_timestamp(std::string_view text, const Clock& clock);

}  // namespace tally
