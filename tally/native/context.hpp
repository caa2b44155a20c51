// What SQL functions share: the state of an aggregate, texts, and exceptions that become SQLite's errors.
#pragma once

#include <new>
#include <string>
#include <string_view>

#include "sqlite.hpp"
#include "throwing.hpp"

namespace tally {

// Runs a function, and turns exceptions into SQLite's errors.
template <typename Body>
void answer(sqlite::Context* context, Body body) {
    prepare_to_throw();
    try {
        body();
    } catch (const std::bad_alloc&) {
        sqlite::api->result_error_nomem(context);
    }
}

// What SQLite keeps for a group, filled with zeros at first.
template <typename State>
struct Slot {
    State* state;
};

// Returns the state of an aggregate for the group, which is made for its first row.
template <typename State>
State& state_of(sqlite::Context* context) {
    auto* slot = static_cast<Slot<State>*>(sqlite::api->aggregate_context(context, sizeof(Slot<State>)));
    if (slot == nullptr) throw std::bad_alloc();
    if (slot->state == nullptr) slot->state = new State;
    return *slot->state;
}

// Calls `body` with the state of a group that ends, or answers NULL if it had no rows.
template <typename State, typename Body>
void end_state(sqlite::Context* context, Body body) {
    auto* slot = static_cast<Slot<State>*>(sqlite::api->aggregate_context(context, 0));
    if (slot == nullptr || slot->state == nullptr) return sqlite::api->result_null(context);
    answer(context, [&] { body(*slot->state); });
    delete slot->state;
    slot->state = nullptr;
}

inline std::string_view text_of(sqlite::Value* value) {
    const char* text = sqlite::api->value_text(value);
    if (text == nullptr) throw std::bad_alloc();
    return {text, static_cast<std::size_t>(sqlite::api->value_bytes(value))};
}

inline void return_text(sqlite::Context* context, const std::string& text) {
    sqlite::api->result_text64(context, text.data(), text.size(), sqlite::COPY, sqlite::UTF8);
}

}  // namespace tally
