// Exceptions where there is no memory left.
#pragma once

#include <cxxabi.h>

namespace tally {

// The C++ runtime allocates memory when a thread throws for the first time, and ends the process with status 127 if
// there is none. Whatever Python or SQLite calls that may throw calls this first, so that running out of memory is an
// error.
inline void prepare_to_throw() {
    // Volatile, because the compiler may leave out a call whose result is not used.
    [[maybe_unused]] void* volatile state = abi::__cxa_get_globals();
}

}  // namespace tally
