// Numbers and rows as text.
#pragma once

#include <cstddef>
#include <string>

#include "sqlite.hpp"

namespace tally {

// The most characters that `write_float` writes: a sign, 17 digits, a point and up to 4 zeros or an exponent.
constexpr std::size_t FLOAT_CHARACTERS = 32;

// Writes the shortest decimal that reads back as the same double, as Python's repr() does, and -0.0 as 0.0; returns its
// end.
char* write_float(char* target, double value);

// Registers the SQL functions of this file with a connection; returns SQLite's result code.
int register_text_functions(sqlite::Database* database);

}  // namespace tally
