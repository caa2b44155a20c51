// The twin of tally/engine/asking/digits.py: numbers and rows as text.
//
// SQLite has no function that prints the fewest digits that read back as the same double. They are found here, and laid
// out as Python's repr() lays them out:
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
//
// A double is c * 2^q with whole c and q, and c < 2^53. The decimals nearer to it than to its neighbours read back as
// the same double. In units of 10^-places, the greatest power of ten that is not above 2^q, there are at most ten of
// them, so at most one of them ends in 0. That one has the fewest digits, otherwise the nearest. This is the idea of
// Schubfach (Raffaello Giulietti, 2020), without its approximations: where repr() writes no exponent, all numbers fit
// into 128 bits. Numbers with an exponent are left to `std::to_chars`.
#include "digits.hpp"

#include <array>
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

constexpr std::uint64_t EIGHT_DIGITS = 100'000'000;

// The powers of 5 and 10 up to the most places of a decimal from FIXED_FIRST on. 10^20 has too many bits, and no use.
template <std::uint64_t base>
constexpr auto POWERS = [] {
    std::array<std::uint64_t, 21> powers{1};
    for (std::size_t at = 1; at < powers.size(); ++at) powers[at] = powers[at - 1] * base;
    return powers;
}();

// The texts of 00 to 99.
constexpr auto PAIRS = [] {
    std::array<char, 200> pairs{};
    for (std::size_t number = 0; number < 100; ++number) {
        pairs[2 * number] = static_cast<char>('0' + number / 10);
        pairs[2 * number + 1] = static_cast<char>('0' + number % 10);
    }
    return pairs;
}();

char* copy(char* target, std::string_view text) {
    std::memcpy(target, text.data(), text.size());
    return target + text.size();
}

char* write_integer(char* target, std::int64_t value) {
    return std::to_chars(target, target + FLOAT_CHARACTERS, value).ptr;
}

void write_pair(char* target, std::uint32_t number) {
    std::memcpy(target, &PAIRS[2 * number], 2);
}

void write_eight(char* target, std::uint32_t number) {
    const std::uint32_t high = number / 10'000, low = number % 10'000;
    write_pair(target, high / 100);
    write_pair(target + 2, high % 100);
    write_pair(target + 4, low / 100);
    write_pair(target + 6, low % 100);
}

// Writes a number with so many digits, zeros first; returns their end.
char* write_digits(char* target, std::uint64_t number, int count) {
    char* const end = target + count;
    char* at = end;
    for (; at - target >= 8; number /= EIGHT_DIGITS)
        write_eight(at -= 8, static_cast<std::uint32_t>(number % EIGHT_DIGITS));
    for (; at - target >= 2; number /= 100) write_pair(at -= 2, static_cast<std::uint32_t>(number % 100));
    if (at != target) *target = static_cast<char>('0' + number);
    return end;
}

struct Decimal {
    std::uint64_t digits;
    int places;
};

// Returns the shortest decimal of a double with an integer part of at most 53 bits and a fraction, from FIXED_FIRST on.
// It may end in zeros. Of two that are equally near, the last digit is even, as repr() has it.
Decimal find_shortest(double value) {
    std::uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    constexpr std::uint64_t FIRST_BIT = std::uint64_t{1} << 52, ONE = std::uint64_t{1} << 60;
    const std::uint64_t fraction = bits & (FIRST_BIT - 1), number = fraction | FIRST_BIT;
    const int exponent = static_cast<int>(bits >> 52) - 1075;
    // The neighbour below a power of two is half as far. Then `places` is that of three quarters of the distance.
    const bool is_power = fraction == 0;
    // -floor(log10(2^exponent)), by a multiple of log10(2).
    const int places = -((exponent * 1'262'611 - (is_power ? 524'031 : 0)) >> 22);
    // A quarter of the distance to the neighbour above, in fractions of ONE: 10^places * 2^exponent / 4.
    const std::uint64_t quarter = POWERS<5>[static_cast<std::size_t>(places)] << (places + exponent + 58);
    // Halfway decimals read back as the double that is even.
    const std::uint64_t odd = number & 1, most_below = quarter * (is_power ? 1 : 2) - odd,
                        most_above = quarter * 2 - odd;
    const auto exact = static_cast<unsigned __int128>(quarter) * (4 * number);
    const auto below = static_cast<std::uint64_t>(exact >> 60);
    const std::uint64_t rest = static_cast<std::uint64_t>(exact) & (ONE - 1), last = below % 10;
    const bool is_zero_below = last * ONE + rest <= most_below, is_zero_above = (10 - last) * ONE - rest <= most_above;
    const bool is_nearer_above = (rest > ONE / 2) | ((rest == ONE / 2) & (below & 1));
    const bool is_above = (rest > most_below) | ((ONE - rest <= most_above) & is_nearer_above);
    return {below - last + (is_zero_below ? 0 : is_zero_above ? 10 : last + is_above), places};
}

// Writes what is infinite, not a number, or has an exponent.
char* write_unusual(char* target, double value) {
    if (!std::isfinite(value)) return copy(target, std::isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    return std::to_chars(target, target + FLOAT_CHARACTERS, value, std::chars_format::scientific).ptr;
}

}  // namespace

char* write_float(char* target, double value) {
    if (value == 0) return copy(target, "0.0");  // Without the sign of -0.0, as SQLite writes it.
    const double size = std::abs(value);
    if (!(size >= FIXED_FIRST && size < FIXED_END)) return write_unusual(target, value);
    if (value < 0) *target++ = '-';
    const auto whole = static_cast<std::int64_t>(size);
    target = write_integer(target, whole);
    if (static_cast<double>(whole) == size) return copy(target, ".0");
    const auto [digits, places] = find_shortest(size);
    *target++ = '.';
    const std::uint64_t power = POWERS<10>[static_cast<std::size_t>(places)];
    target = write_digits(target, digits - static_cast<std::uint64_t>(whole) * power, places);
    while (target[-1] == '0') --target;
    return target;
}

namespace {

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
    void append_row(Text& text, sqlite::Value** values) const {
        for (const auto& [before, kind] : places_) {
            char* end = copy(text.reserve(before.size() + FLOAT_CHARACTERS), before);
            if (kind == INTEGER) end = write_integer(end, api->value_int64(*values++));
            if (kind == FLOAT) end = write_float(end, api->value_double(*values++));
            text.end_at(end);
            if (kind == ANY) append_any(text, *values++);
        }
    }

  private:
    static constexpr char NONE = 0, ANY = 's', INTEGER = 'd', FLOAT = 'f';
    struct Place {
        std::string before;
        char kind;
    };

    static void append_any(Text& text, sqlite::Value* value) {
        const int type = api->value_type(value);
        if (type == sqlite::NOTHING) return;
        if (type != sqlite::INTEGER && type != sqlite::FLOAT) return text.append(text_of(value));
        char* end = text.reserve(FLOAT_CHARACTERS);
        const double number = api->value_double(value);
        text.end_at(type == sqlite::INTEGER ? write_integer(end, api->value_int64(value))
                    : is_whole(number)      ? write_integer(end, static_cast<std::int64_t>(number))
                                            : write_float(end, number));
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
        Text text;
        row.append_row(text, values + 1);
        text.give(context);
    });
}

struct Rows {
    Text text;
    std::string separator;
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
    end_state<Rows>(context, [&](Rows& rows) { rows.text.give(context); });
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
