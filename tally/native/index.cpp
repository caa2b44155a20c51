// A table of hashes with open addresses, which are probed one after another.
#include "index.hpp"

#include <cstring>
#include <utility>

namespace tally {
namespace {

constexpr std::uint64_t FACTOR = 0x9E3779B97F4A7C15;

std::uint64_t mix(std::uint64_t value) {
    const auto product = static_cast<unsigned __int128>(value) * FACTOR;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

}  // namespace

std::uint32_t hash(std::string_view text, std::uint64_t seed) {
    std::uint64_t found = seed ^ text.size();
    for (; text.size() >= 8; text.remove_prefix(8)) {
        std::uint64_t part;
        std::memcpy(&part, text.data(), 8);
        found = mix(found ^ part) + seed;
    }
    std::uint64_t part = 0;
    std::memcpy(&part, text.data(), text.size());
    return static_cast<std::uint32_t>(mix(mix(found ^ part) + seed));
}

std::uint32_t hash(std::int64_t bucket, std::uint32_t series) {
    return static_cast<std::uint32_t>(mix(mix(static_cast<std::uint64_t>(bucket)) ^ series));
}

void Index::reserve() {
    if ((used_ + 1) * 2 <= slots_.size()) return;
    Index larger;
    larger.slots_.resize(slots_.empty() ? 64 : slots_.size() * 2, Slot{0, NONE});
    for (const Slot& slot : slots_) {
        if (slot.position != NONE) larger.insert(slot.hash, slot.position);
    }
    *this = std::move(larger);
}

void Index::insert(std::uint32_t hash, std::uint32_t position) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = hash & mask;
    while (slots_[at].position != NONE) at = (at + 1) & mask;
    slots_[at] = {hash, position};
    ++used_;
}

}  // namespace tally
