// What SQL functions share: the state of an aggregate, texts, and exceptions that become SQLite's errors.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>

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

// A text that grows, and that SQLite takes over as it is. A std::string would be filled with zeros and copied.
class Text {
  public:
    Text() = default;
    Text(const Text&) = delete;
    Text& operator=(const Text&) = delete;
    ~Text() { std::free(begin_); }

    // Returns the end, where there is room for so many more bytes then.
    char* reserve(std::size_t bytes) {
        if (room_ - size_ < bytes) grow(bytes);
        return begin_ + size_;
    }

    void end_at(const char* end) { size_ = static_cast<std::size_t>(end - begin_); }

    void append(std::string_view text) {
        std::memcpy(reserve(text.size()), text.data(), text.size());
        size_ += text.size();
    }

    // Gives the text away, as the result of a function.
    void give(sqlite::Context* context) {
        sqlite::api->result_text64(context, std::exchange(begin_, nullptr), size_, std::free, sqlite::UTF8);
    }

  private:
    void grow(std::size_t bytes) {
        const std::size_t room = std::max(2 * room_, size_ + bytes);
        void* moved = std::realloc(begin_, room);
        if (moved == nullptr) throw std::bad_alloc();
        begin_ = static_cast<char*>(moved);
        room_ = room;
    }

    char* begin_ = nullptr;
    std::size_t size_ = 0, room_ = 0;
};

}  // namespace tally
