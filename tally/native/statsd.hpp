// StatsD lines.
#pragma once

#include <string_view>

namespace tally {

// A line such as page.time:320:280|ms|@0.5|#env:prod with counters, timings or histograms.
struct StatsdLine {
    static constexpr int VALUES_MAX = 32;

    std::string_view name, tags;
    bool has_simple_name = false;  // The name is stored unchanged.
    double values[VALUES_MAX];
    int count = 0;
    double weight = 1;
};

// Parses a line of the usual form; returns false if it is not, or not valid: Python decides then.
bool parse_statsd(std::string_view line, StatsdLine& found);

}  // namespace tally
