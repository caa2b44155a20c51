// The core as a loadable extension of SQLite: registers its SQL functions with a connection.
#include "digits.hpp"
#include "groups.hpp"
#include "sketch.hpp"
#include "sqlite.hpp"

extern "C" __attribute__((visibility("default"))) int tally_functions(tally::sqlite::Database* database,
                                                                      char** /*error*/, const tally::sqlite::Api* api) {
    tally::sqlite::api = api;
    int result = tally::register_text_functions(database);
    if (result == tally::sqlite::OK) result = tally::register_group_functions(database);
    return result == tally::sqlite::OK ? tally::register_sketch_functions(database) : result;
}
