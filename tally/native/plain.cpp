// The twin of tally/lines/plain.py: splits lines, and parses names, values and timestamps.
//
//     requests.get.index 0.25 1700000001
//     ^name              ^value ^timestamp, optional
#include "plain.hpp"

#include <charconv>
#include <cmath>
#include <cstring>

namespace tally {
namespace {

constexpr std::string_view MARK = "\xEF\xBB\xBF";
constexpr double VALUE_MAX = 1e100;
constexpr int DIGITS_MAX = 15;
// Both a whole number of so many digits and a power of ten up to the last one are exact as doubles, so that one product
// or quotient of them is rounded once, and correctly (Clinger, How to read floating point numbers accurately, 1990).
constexpr int EXACT_DIGITS = 15;
constexpr double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                             1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
constexpr int EXACT_POWER = 22;

bool is_digit(char character) {
    return character >= '0' && character <= '9';
}

bool is_blank(char character) {
    return character == ' ' || character == '\t';
}

// Reads digits; each one is appended to `whole` as long as it stays exact.
struct Digits {
    const char* at;
    const char* last;
    std::int64_t whole = 0;
    int count = 0;  // Without leading zeros.

    int read() {
        const char* first = at;
        for (; at != last && is_digit(*at); ++at) {
            if (count < EXACT_DIGITS) whole = whole * 10 + (*at - '0');
            if (whole != 0) ++count;
        }
        return static_cast<int>(at - first);
    }
};

// Reads an exponent such as e-5 at the end of a number; returns whether it is none, or well formed.
bool read_exponent(const char* at, const char* last, int& exponent) {
    if (at == last) return true;
    if (*at != 'e' && *at != 'E') return false;
    if (++at == last) return false;
    const bool is_negative = *at == '-';
    if (*at == '-' || *at == '+') ++at;
    if (at == last) return false;
    exponent = 0;
    for (; at != last; ++at) {
        if (!is_digit(*at)) return false;
        if (exponent < 10'000) exponent = exponent * 10 + (*at - '0');
    }
    if (is_negative) exponent = -exponent;
    return true;
}

Number within_bounds(double value) {
    return {std::abs(value) <= VALUE_MAX ? Verdict::GOOD : Verdict::BAD, value};
}

// Converts a well-formed number that is not exact in one step.
Number convert(std::string_view text) {
    double value = 0;
    const char* first = text.data() + (text[0] == '+' ? 1 : 0);
    const auto [end, error] = std::from_chars(first, text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return {Verdict::UNSURE, 0};
    return within_bounds(value);
}

// Reads digits alone, or digits and a point with more digits, which are ignored; returns whether it is well formed.
bool read_second(std::string_view text, std::int64_t& second) {
    Digits digits{text.data(), text.data() + text.size()};
    if (digits.read() == 0 || digits.count > DIGITS_MAX) return false;
    second = digits.whole;
    if (digits.at == digits.last) return true;
    if (*digits.at++ != '.') return false;
    Digits decimals{digits.at, digits.last};
    decimals.read();
    return decimals.at == decimals.last;
}

// Returns whether a text cannot be a number, because of a character that no number has.
bool is_no_number(std::string_view text) {
    return text.find_first_not_of("0123456789.+-eE") != text.npos;
}

}  // namespace

std::string_view bare(std::string_view line) {
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.substr(0, MARK.size()) == MARK) line.remove_prefix(MARK.size());
    return line;
}

Fields split(std::string_view line) {
    Fields fields;
    const char* at = line.data();
    const char* last = at + line.size();
    for (;;) {
        while (at != last && is_blank(*at)) ++at;
        if (at == last) return fields;
        const char* first = at;
        while (at != last && !is_blank(*at)) ++at;
        if (fields.count == 4) return fields;
        fields.each[fields.count++] = {first, static_cast<std::size_t>(at - first)};
    }
}

bool is_printable(std::string_view text) {
    for (const unsigned char character : text) {
        if (character <= ' ' || character >= 0x7F) return false;
    }
    return true;
}

bool is_ascii(std::string_view text) {
    unsigned char all = 0;
    for (const char character : text) all |= static_cast<unsigned char>(character);
    return all < 0x80;
}

bool is_utf8(std::string_view text) {
    std::size_t more = 0;           // So many bytes are left of a character.
    unsigned low = 0, high = 0xBF;  // What the next one of them may be.
    for (const unsigned char byte : text) {
        if (more != 0) {
            if (byte < low || byte > high) return false;
            --more;
            low = 0x80, high = 0xBF;
        } else if (byte >= 0x80) {
            if (byte < 0xC2 || byte > 0xF4) return false;
            more = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
            // Neither longer than needed, nor a surrogate, nor beyond the last character.
            low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
            high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
        }
    }
    return more == 0;
}

bool has_blanks(std::string_view text) {
    for (std::size_t at = 0; at != text.size(); ++at) {
        const std::string_view rest = text.substr(at, 3);
        const auto last = static_cast<unsigned char>(rest.back());
        if (static_cast<unsigned char>(rest[0]) <= ' ' || rest[0] == 0x7F) return true;
        if (rest[0] == '\xC2' && static_cast<unsigned char>(rest[1]) <= 0xA0) return true;
        if (rest == "\u1680" || rest == "\u205F" || rest == "\u3000") return true;
        // U+2000 to U+200A, U+2028, U+2029 and U+202F
        const bool is_other = last <= 0x8A || last == 0xA8 || last == 0xA9 || last == 0xAF;
        if (rest.substr(0, 2) == "\xE2\x80" && is_other) return true;
    }
    return false;
}

Number parse_value(std::string_view text) {
    const char* first = text.data();
    const char* last = first + text.size();
    const bool is_negative = first != last && *first == '-';
    if (first != last && (*first == '-' || *first == '+')) ++first;
    Digits digits{first, last};
    const int whole = digits.read();
    int decimals = 0;
    if (digits.at != last && *digits.at == '.') {
        ++digits.at;
        decimals = digits.read();
    }
    int exponent = 0;
    if (whole + decimals == 0 || !read_exponent(digits.at, last, exponent)) return {Verdict::BAD, 0};
    const int power = exponent - decimals;
    if (digits.count > EXACT_DIGITS || std::abs(power) > EXACT_POWER) return convert(text);
    const double number = static_cast<double>(digits.whole);
    const double value = power < 0 ? number / POWERS[-power] : number * POWERS[power];
    return within_bounds(is_negative ? -value : value);
}

bool is_missing(std::string_view text) {
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.remove_prefix(1);
    return text.size() == 3 && (text[0] | 0x20) == 'n' && (text[1] | 0x20) == 'a' && (text[2] | 0x20) == 'n';
}

Second parse_timestamp(std::string_view text, const Clock& clock) {
    if (text == "-1") return {Verdict::GOOD, clock.now, {}};
    std::int64_t second = 0;
    if (read_second(text, second)) {
        const bool is_future = second > clock.now + clock.max_future_s;
        return {is_future ? Verdict::BAD : Verdict::GOOD, second, Reason::FUTURE};
    }
    return {is_no_number(text) ? Verdict::BAD : Verdict::UNSURE, 0, Reason::TIMESTAMP};
}

}  // namespace tally
