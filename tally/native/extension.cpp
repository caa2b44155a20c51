// The core as a loadable extension of SQLite: registers its SQL functions with a connection.
#include "digits.hpp"
#include "sqlite.hpp"

extern "C" __attribute__((visibility("default"))) int tally_functions(tally::sqlite::Database* database,
                                                                      char** /*error*/, const tally::sqlite::Api* api) {
    tally::sqlite::api = api;
    return tally::register_text_functions(database);
}
