// Hashes, and a table of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tally {

// The seed is unknown to senders, so that they cannot choose names with equal hashes.
std::uint32_t hash(std::string_view text, std::uint64_t seed);
std::uint32_t hash(std::int64_t bucket, std::uint32_t series);

// A table of hashes, from which a position in a vector is found. It never shrinks.
class Index {
  public:
    static constexpr std::uint32_t NONE = 0xFFFFFFFF;

    // Returns the first position with this hash for which `is_same` holds, or NONE.
    template <typename Same>
    std::uint32_t find(std::uint32_t hash, Same is_same) const;
    // Makes room for one more position. Only this can fail; then nothing has changed.
    void reserve();
    void insert(std::uint32_t hash, std::uint32_t position);

  private:
    struct Slot {
        std::uint32_t hash, position;
    };
    std::vector<Slot> slots_;
    std::size_t used_ = 0;
};

template <typename Same>
std::uint32_t Index::find(std::uint32_t hash, Same is_same) const {
    if (slots_.empty()) return NONE;
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
        const Slot& slot = slots_[at];
        if (slot.position == NONE) return NONE;
        if (slot.hash == hash && is_same(slot.position)) return slot.position;
    }
}

}  // namespace tally
