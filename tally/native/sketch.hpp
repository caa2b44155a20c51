// Sketches: how many samples fall into each bin of a logarithmic scale.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sqlite.hpp"

namespace tally {

// A count is an integer or a float, as in Python: 2 and 2.0 have different texts.
struct Count {
    bool is_float = false;
    std::int64_t whole = 0;
    double value = 0;  // Also of an integer.

    static Count of(std::int64_t whole) { return {false, whole, static_cast<double>(whole)}; }
    Count operator+(const Count& other) const;
    Count operator-() const { return {is_float, -whole, -value}; }
};

struct Bin {
    std::int64_t number;
    Count count;
};

// Bins in ascending order.
using Sketch = std::vector<Bin>;

// Reads the text of a sketch; returns whether it is valid.
bool load(std::string_view text, Sketch& sketch);
std::string dump(const Sketch& sketch);

// Registers the SQL functions of this file with a connection; returns SQLite's result code.
int register_sketch_functions(sqlite::Database* database);

}  // namespace tally
