// Groups of rows by a key.
#pragma once

#include "sqlite.hpp"

namespace tally {

// Registers the SQL functions of this file with a connection; returns SQLite's result code.
int register_group_functions(sqlite::Database* database);

}  // namespace tally
