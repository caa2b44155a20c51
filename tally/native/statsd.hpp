// StatsD lines.
#pragma once

#include <string_view>

namespace tally {

// Returns whether statsd leaves a name as it is, and it has no tags.
bool is_unchanged(std::string_view name);

// A line such as page.time:320:280|ms|@0.5|#env:prod: the values of a counter, a timing or a histogram, one value of a
// gauge, or a member of a set.
struct StatsdLine {
    static constexpr int VALUES_MAX = 32;
    enum Kind { SAMPLED, GAUGE, SET };

    Kind kind = SAMPLED;
    std::string_view name, tags, member;
    double values[VALUES_MAX];
    int count = 0;
    bool is_change = false;
    double weight = 1;

    bool has_simple_name() const { return tags.empty() && is_unchanged(name); }
};

// Parses a line of the usual form; returns false if it is not, or not valid: Python decides then.
bool parse_statsd(std::string_view line, StatsdLine& found);

}  // namespace tally
