// The twin of tally/lines/statsd.py, for lines of the usual form. All others are left to it.
//
//     page.time:320:280|ms|@0.5|#env:prod,beta
//     ^name     ^values ^type ^rate ^tags
#include "statsd.hpp"

#include "plain.hpp"

namespace tally {
namespace {

constexpr double RATE_MIN = 1e-9;
constexpr std::size_t MEMBER_MAX_BYTES = 255;

bool is_usual(std::string_view line) {
    for (const unsigned char character : line) {
        if (character <= ' ' || character >= 0x7F || character == '[') return false;
    }
    return !line.empty() && line[0] != '_';
}

// Removes the text before the first of `ends` from a line, and returns it.
std::string_view take_until(std::string_view& rest, std::string_view ends) {
    const std::string_view taken = rest.substr(0, rest.find_first_of(ends));
    rest.remove_prefix(taken.size());
    return taken;
}

bool take(std::string_view& rest, std::string_view prefix) {
    if (rest.substr(0, prefix.size()) != prefix) return false;
    rest.remove_prefix(prefix.size());
    return true;
}

bool parse_values(std::string_view text, StatsdLine& found) {
    for (;;) {
        if (found.count == StatsdLine::VALUES_MAX) return false;
        const auto [verdict, value] = parse_value(take_until(text, ":"));
        if (verdict != Verdict::GOOD) return false;
        found.values[found.count++] = value;
        if (text.empty()) return true;
        text.remove_prefix(1);
    }
}

bool parse_rate(std::string_view text, double& weight) {
    const auto [verdict, rate] = parse_value(text);
    if (verdict != Verdict::GOOD || rate < RATE_MIN || rate > 1) return false;
    weight = 1 / rate;
    return true;
}

bool find_kind(std::string_view type, StatsdLine::Kind& kind) {
    if (type == "g") kind = StatsdLine::GAUGE;
    if (type == "s") kind = StatsdLine::SET;
    return type == "c" || type == "ms" || type == "h" || type == "d" || kind != StatsdLine::SAMPLED;
}

bool parse_content(std::string_view text, StatsdLine& found) {
    if (found.kind == StatsdLine::SET) {
        found.member = text;
        return !text.empty() && text.size() <= MEMBER_MAX_BYTES;
    }
    found.is_change = found.kind == StatsdLine::GAUGE && (text[0] == '+' || text[0] == '-');
    return parse_values(text, found) && (found.kind != StatsdLine::GAUGE || found.count == 1);
}

}  // namespace

bool is_unchanged(std::string_view name) {
    for (const char character : name) {
        const bool is_letter = (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
        const bool is_digit = character >= '0' && character <= '9';
        if (!is_letter && !is_digit && character != '_' && character != '.' && character != '-') return false;
    }
    return !name.empty() && name.size() <= NAME_MAX_BYTES;
}

bool parse_statsd(std::string_view line, StatsdLine& found) {
    if (!is_usual(line)) return false;
    found.name = take_until(line, ":");
    if (!take(line, ":")) return false;
    const std::string_view values = take_until(line, "|");
    if (!take(line, "|")) return false;
    if (values.empty() || !find_kind(take_until(line, "|:"), found.kind) || !parse_content(values, found)) return false;
    if (take(line, "|@") && !parse_rate(take_until(line, "|:"), found.weight)) return false;
    if (take(line, "|#")) found.tags = take_until(line, "|");
    return line.empty();
}

}  // namespace tally
