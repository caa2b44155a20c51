// The few functions of SQLite that the core calls, so that no header of SQLite's is needed to compile it.
//
// SQLite hands a loadable extension a table of its functions, `struct sqlite3_api_routines`
// (https://sqlite.org/loadext.html). A member keeps its position for ever: new ones are only added at the end, so that
// extensions work with later versions. All members are pointers to functions. The members below stand at the positions
// that they have in sqlite3ext.h; those between them are not used. All of them are older than SQLite 3.26.
#pragma once

#include <cstdint>

namespace tally::sqlite {

struct Database;
struct Context;
struct Value;
struct Module;

using Function = void (*)(Context*, int, Value**);
using Final = void (*)(Context*);
using Unused = void (*)();

struct Api {
    void* (*aggregate_context)(Context*, int size_bytes);  // 0
    Unused unused_1[49];
    int (*declare_vtab)(Database*, const char* table);  // 50
    Unused unused_51[28];
    void (*result_double)(Context*, double);                      // 79
    void (*result_error)(Context*, const char* text, int bytes);  // 80
    Unused unused_81[2];
    void (*result_int64)(Context*, std::int64_t);  // 83
    void (*result_null)(Context*);                 // 84
    Unused unused_85[16];
    void* (*user_data)(Context*);       // 101
    const void* (*value_blob)(Value*);  // 102
    int (*value_bytes)(Value*);         // 103
    Unused unused_104;
    double (*value_double)(Value*);  // 105
    Unused unused_106;
    std::int64_t (*value_int64)(Value*);  // 107
    Unused unused_108;
    const char* (*value_text)(Value*);  // 109
    Unused unused_110[3];
    int (*value_type)(Value*);  // 113
    Unused unused_114[5];
    int (*create_module_v2)(Database*, const char* name, const Module*, void* user_data,
                            void (*destroy)(void*));  // 119
    Unused unused_120[17];
    void (*result_error_nomem)(Context*);  // 137
    Unused unused_138[8];
    void (*result_error_code)(Context*, int code);  // 146
    Unused unused_147[15];
    int (*create_function_v2)(Database*, const char* name, int arguments, int flags, void* user_data, Function scalar,
                              Function step, Final final, void (*destroy)(void*));  // 162
    Unused unused_163[38];
    void (*result_blob64)(Context*, const void* blob, std::uint64_t bytes, void (*destroy)(void*));  // 201
    void (*result_text64)(Context*, const char* text, std::uint64_t bytes, void (*destroy)(void*),
                          unsigned char encoding);  // 202
    Unused unused_203[36];
    int (*create_window_function)(Database*, const char* name, int arguments, int flags, void* user_data, Function step,
                                  Final final, Final value, Function inverse, void (*destroy)(void*));  // 239
};

constexpr int OK = 0, NO_MEMORY = 7, CORRUPT = 11, NO_PLAN = 19;
constexpr int INTEGER = 1, FLOAT = 2, TEXT = 3, BLOB = 4, NOTHING = 5;
constexpr unsigned char UTF8 = 1;
constexpr int DETERMINISTIC = 0x800, INNOCUOUS = 0x200000;

// A table whose rows functions provide (https://sqlite.org/vtab.html).
struct Table {
    const Module* module;
    int references;
    char* error;
};

struct Cursor {
    Table* table;
};

constexpr unsigned char EQUAL = 2;

// What SQLite asks of a table (`struct sqlite3_index_info`), up to the last member that is used.
struct Plan {
    const int constraint_count;
    const struct {
        int column;
        unsigned char operation, is_usable;
        int offset;
    }* const constraints;
    const int order_count;
    const struct {
        int column;
        unsigned char is_descending;
    }* const orders;
    struct {
        int argument;
        unsigned char is_checked;
    }* const usages;
    int number;
    char* text;
    int is_text_freed, is_order_kept;
};

struct Module {
    int version;
    Unused create;
    int (*connect)(Database*, void* user_data, int count, const char* const* arguments, Table**, char** error);
    int (*plan)(Table*, Plan*);
    int (*disconnect)(Table*);
    Unused destroy;
    int (*open)(Table*, Cursor**);
    int (*close)(Cursor*);
    int (*begin)(Cursor*, int number, const char* text, int count, Value**);
    int (*next)(Cursor*);
    int (*is_at_end)(Cursor*);
    int (*column)(Cursor*, Context*, int);
    int (*row_number)(Cursor*, std::int64_t*);
    Unused rest[7];
};

// Tells SQLite to copy a text before the function returns.
inline void (*const COPY)(void*) = reinterpret_cast<void (*)(void*)>(static_cast<std::intptr_t>(-1));

// SQLite's functions: the same for all connections, set when the first one loads the extension.
inline const Api* api = nullptr;

}  // namespace tally::sqlite
