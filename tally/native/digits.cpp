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
#include <vector>

#include "context.hpp"

#ifndef __cpp_lib_to_chars
#error "the standard library has no std::to_chars for floating-point numbers"
#endif

namespace tally {
namespace {

using sqlite::api;

// The numbers between which repr() writes no exponent.
constexpr double FIXED_FIRST = 1e-4, FIXED_END = 1e16;
// A double below this converts to an integer of 64 bits.
constexpr double INTEGER_END = 9223372036854775808.0;
constexpr std::string_view FLOAT_PLACE = "!.*g";

char* copy(char* target, std::string_view text) {
    std::memcpy(target, text.data(), text.size());
    return target + text.size();
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

}  // namespace

char* write_float(char* target, double value) {
    if (value == 0) return copy(target, "0.0");  // Without the sign of -0.0, as SQLite writes it.
    if (!std::isfinite(value)) return copy(target, std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    const double size = std::abs(value);
    const auto format =
        size >= FIXED_FIRST && size < FIXED_END ? std::chars_format::fixed : std::chars_format::scientific;
    char* end = std::to_chars(target, target + FLOAT_CHARACTERS, value, format).ptr;
    if (format == std::chars_format::scientific) return end;
    if (is_tie(value)) end[-1] = even_digit(value);
    return static_cast<double>(static_cast<std::int64_t>(size)) == size ? copy(end, ".0") : end;
}

namespace {

char* write_integer(char* target, std::int64_t value) {
    return std::to_chars(target, target + FLOAT_CHARACTERS, value).ptr;
}

bool is_whole(double value) {
    return std::abs(value) < INTEGER_END && value == std::floor(value);
}

// A template, read once for all rows of a group.
class Template {
  public:
    // Reads a template; returns whether it fits so many arguments.
    bool read(std::string_view text, int count) {
        places_.clear();
        for (std::size_t from = 0;;) {
            const std::size_t place = text.find('%', from);
            places_.push_back({std::string(text.substr(from, place - from)), NONE});
            if (place == text.npos) break;
            const std::string_view rest = text.substr(place + 1);
            const bool is_float = rest.substr(0, FLOAT_PLACE.size()) == FLOAT_PLACE;
            if (!is_float && (rest.empty() || (rest[0] != ANY && rest[0] != INTEGER))) return false;
            places_.back().kind = is_float ? FLOAT : rest[0];
            from = place + 1 + (is_float ? FLOAT_PLACE.size() : 1);
        }
        return places_.size() == static_cast<std::size_t>(count) + 1;
    }

    // Appends the template with its placeholders filled in.
    void append_row(std::string& text, sqlite::Value** values) {
        for (const auto& [before, kind] : places_) {
            const std::size_t used = text.size();
            text.resize(used + before.size() + FLOAT_CHARACTERS);
            char* target = copy(text.data() + used, before);
            if (kind == INTEGER) target = write_integer(target, api->value_int64(*values++));
            if (kind == FLOAT) target = write_float(target, api->value_double(*values++));
            text.resize(static_cast<std::size_t>(target - text.data()));
            if (kind == ANY) append_any(text, *values++);
        }
    }

  private:
    static constexpr char NONE = 0, ANY = 's', INTEGER = 'd', FLOAT = 'f';
    struct Place {
        std::string before;
        char kind;
    };

    static void append_any(std::string& text, sqlite::Value* value) {
        const int type = api->value_type(value);
        if (type == sqlite::NOTHING) return;
        if (type != sqlite::INTEGER && type != sqlite::FLOAT) {
            text.append(text_of(value));
            return;
        }
        char buffer[FLOAT_CHARACTERS];
        const double number = api->value_double(value);
        char* end = type == sqlite::INTEGER ? write_integer(buffer, api->value_int64(value))
                    : is_whole(number)      ? write_integer(buffer, static_cast<std::int64_t>(number))
                                            : write_float(buffer, number);
        text.append(buffer, end);
    }

    std::vector<Place> places_;
};

void return_misfit(sqlite::Context* context) {
    api->result_error(context, "the template does not fit the arguments", -1);
}

void text_of_row(sqlite::Context* context, int count, sqlite::Value** values) {
    answer(context, [&] {
        Template row;
        if (count == 0 || !row.read(text_of(values[0]), count - 1)) return return_misfit(context);
        std::string text;
        row.append_row(text, values + 1);
        return_text(context, text);
    });
}

struct Rows {
    std::string text, separator;
    Template row;
    bool has_begun = false;
};

void add_row(sqlite::Context* context, int count, sqlite::Value** values) {
    answer(context, [&] {
        auto& [text, separator, row, has_begun] = state_of<Rows>(context);
        if (!has_begun) {
            if (count < 2 || !row.read(text_of(values[1]), count - 2)) return return_misfit(context);
            separator = text_of(values[0]);
            has_begun = true;
        } else {
            text.append(separator);
        }
        row.append_row(text, values + 2);
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
