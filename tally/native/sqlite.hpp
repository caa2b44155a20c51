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

using Function = void (*)(Context*, int, Value**);
using Final = void (*)(Context*);
using Unused = void (*)();

struct Api {
    void* (*aggregate_context)(Context*, int size_bytes);  // 0
    Unused unused_1[57];
    void (*free)(void*);  // 58
    Unused unused_59[20];
    void (*result_double)(Context*, double);                      // 79
    void (*result_error)(Context*, const char* text, int bytes);  // 80
    Unused unused_81[2];
    void (*result_int64)(Context*, std::int64_t);  // 83
    void (*result_null)(Context*);                 // 84
    Unused unused_85[16];
    void* (*user_data)(Context*);  // 101
    Unused unused_102;
    int (*value_bytes)(Value*);  // 103
    Unused unused_104;
    double (*value_double)(Value*);  // 105
    Unused unused_106;
    std::int64_t (*value_int64)(Value*);  // 107
    Unused unused_108;
    const char* (*value_text)(Value*);  // 109
    Unused unused_110[3];
    int (*value_type)(Value*);  // 113
    Unused unused_114[23];
    void (*result_error_nomem)(Context*);  // 137
    Unused unused_138[8];
    void (*result_error_code)(Context*, int code);  // 146
    Unused unused_147[15];
    int (*create_function_v2)(Database*, const char* name, int arguments, int flags, void* user_data, Function scalar,
                              Function step, Final final, void (*destroy)(void*));  // 162
    Unused unused_163[39];
    void (*result_text64)(Context*, const char* text, std::uint64_t bytes, void (*destroy)(void*),
                          unsigned char encoding);  // 202
    Unused unused_203[36];
    int (*create_window_function)(Database*, const char* name, int arguments, int flags, void* user_data, Function step,
                                  Final final, Final value, Function inverse, void (*destroy)(void*));  // 239
};

constexpr int OK = 0, CORRUPT = 11;
constexpr int INTEGER = 1, FLOAT = 2, TEXT = 3, BLOB = 4, NOTHING = 5;
constexpr unsigned char UTF8 = 1;
constexpr int DETERMINISTIC = 0x800, INNOCUOUS = 0x200000;

// Tells SQLite to copy a text before the function returns.
inline void (*const COPY)(void*) = reinterpret_cast<void (*)(void*)>(static_cast<std::intptr_t>(-1));

// SQLite's functions: the same for all connections, set when the first one loads the extension.
inline const Api* api = nullptr;

}  // namespace tally::sqlite
