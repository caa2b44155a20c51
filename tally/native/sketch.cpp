// The twin of tally/engine/sketch.py: makes and merges sketches, and reads and writes their texts. The text of a sketch
// is a JSON array of distances between bins and of counts:
//
//     [65467,2,1,1,80,1]    65467: 2 samples, 65468: 1 sample, 65548: 1 sample
#include "sketch.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <new>

#include "digits.hpp"

namespace tally {
namespace {

// Below this, a whole count is an integer of 64 bits.
constexpr double WHOLE_END = 9e18;
constexpr bool IS_LITTLE_ENDIAN = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
constexpr std::int64_t SPARE_BINS = 64;
// The least number of characters that a bin takes.
constexpr std::size_t BIN_CHARACTERS = 4;

// Reads the numbers of a JSON array.
class Numbers {
  public:
    explicit Numbers(std::string_view text) : at_(text.data()), last_(text.data() + text.size()) {}

    bool take(char expected) {
        if (at_ != last_ && *at_ != expected) skip_blanks();
        if (at_ == last_ || *at_ != expected) return false;
        ++at_;
        return true;
    }

    // Reads a number of up to seven digits, as nearly all are, without a branch that depends on how many there are.
    bool read_short(std::int64_t& whole) {
        if (last_ - at_ < 8 || !IS_LITTLE_ENDIAN) return false;
        std::uint64_t digits;
        std::memcpy(&digits, at_, 8);
        digits ^= 0x3030303030303030;
        const std::uint64_t others = ((digits + 0x7676767676767676) | digits) & 0x8080808080808080;
        const int bits = others == 0 ? 0 : __builtin_ctzll(others) - 7;
        if (bits == 0 || (at_[bits / 8] != ',' && at_[bits / 8] != ']')) return false;
        digits <<= 64 - bits;
        digits = (digits * 10 + (digits >> 8)) & 0x00FF00FF00FF00FF;
        digits = (digits * 100 + (digits >> 16)) & 0x0000FFFF0000FFFF;
        whole = static_cast<std::int64_t>((digits * 10000 + (digits >> 32)) & 0xFFFFFFFF);
        at_ += bits / 8;
        return true;
    }

    bool read(Count& number) {
        skip_blanks();
        std::int64_t whole = 0;
        const auto [end, error] = std::from_chars(at_, last_, whole);
        if (error == std::errc() && is_end(end)) {
            number = Count(whole);
            at_ = end;
            return true;
        }
        double real = 0;
        const auto [float_end, float_error] = std::from_chars(at_, last_, real);
        number = Count(real);
        at_ = float_end;
        return float_error == std::errc() && is_end(float_end) && std::isfinite(real);
    }

    bool is_at_end() {
        skip_blanks();
        return at_ == last_;
    }

  private:
    bool is_end(const char* at) const { return at == last_ || *at == ',' || *at == ']' || is_blank(*at); }
    static bool is_blank(char character) {
        return character == ' ' || character == '\t' || character == '\n' || character == '\r';
    }
    void skip_blanks() {
        while (at_ != last_ && is_blank(*at_)) ++at_;
    }

    const char* at_;
    const char* last_;
};

}  // namespace

std::int64_t find_bin(double value) {
    if (value == 0) return 0;
    const auto distance = static_cast<std::int64_t>(std::ceil(std::log(std::abs(value)) / LOG_GAMMA));
    return value > 0 ? ORIGIN + distance : -ORIGIN - distance;
}

Count to_weight(double count) {
    if (count == std::floor(count) && count < WHOLE_END) return Count(static_cast<std::int64_t>(count));
    return Count(std::nearbyint(count * FRACTIONS) / FRACTIONS);
}

void add(Sketch& merged, const Sketch& sketch) {
    merged.reserve(merged.size() + sketch.size());
    std::size_t missing = 0;
    auto own = merged.begin();
    for (const Bin& bin : sketch) {
        while (own != merged.end() && own->number < bin.number) ++own;
        if (own != merged.end() && own->number == bin.number) {
            own->count = own->count + bin.count;
        } else {
            ++missing;
        }
    }
    // Insert the missing ones from the last to the first, so that each bin moves once.
    std::size_t from = merged.size(), to = from + missing;
    merged.resize(to);
    for (auto bin = sketch.rbegin(); to != from; ++bin) {
        while (from != 0 && merged[from - 1].number > bin->number) merged[--to] = merged[--from];
        if (from == 0 || merged[from - 1].number != bin->number) merged[--to] = *bin;
    }
}

void add(Sketch& merged, const Bin& bin) {
    const auto is_before = [](const Bin& one, const Bin& other) { return one.number < other.number; };
    const auto own = std::lower_bound(merged.begin(), merged.end(), bin, is_before);
    if (own == merged.end() || own->number != bin.number) {
        merged.insert(own, bin);
    } else {
        own->count = own->count + bin.count;
    }
}

Sketch coarsen(const Sketch& sketch, int levels) {
    Sketch coarse;
    coarse.reserve(sketch.size());
    const std::int64_t most = (std::int64_t{1} << levels) - 1;
    for (const Bin& bin : sketch) {
        // Away from zero; a shift rounds down.
        const std::int64_t number = (bin.number > 0 ? bin.number + most : bin.number) >> levels;
        if (!coarse.empty() && coarse.back().number == number) {
            coarse.back().count = coarse.back().count + bin.count;
        } else {
            coarse.push_back({number, bin.count});
        }
    }
    return coarse;
}

namespace {

// Calls `take` for each bin in a text; returns whether the text is valid.
template <typename Take>
bool read_bins(std::string_view text, Take take) {
    Numbers numbers(text);
    std::int64_t number = 0;
    if (!numbers.take('[')) return false;
    do {
        std::int64_t distance = 0, whole = 0;
        Count count;
        if (!numbers.read_short(distance)) {
            if (!numbers.read(count) || count.is_float()) return false;
            distance = count.whole();
        }
        if (distance >= 4 * ORIGIN || distance <= -4 * ORIGIN || !numbers.take(',')) return false;
        number += distance;
        if (number >= 2 * ORIGIN || number <= -2 * ORIGIN) return false;
        if (numbers.read_short(whole)) {
            count = Count(whole);
        } else if (!numbers.read(count)) {
            return false;
        }
        if (!count.is_positive()) return false;
        take(number, count);
    } while (numbers.take(','));
    return numbers.take(']') && numbers.is_at_end();
}

}  // namespace

bool load(std::string_view text, Sketch& sketch) {
    sketch.clear();
    sketch.reserve(text.size() / BIN_CHARACTERS);
    return read_bins(text, [&](std::int64_t number, const Count& count) { sketch.push_back({number, count}); });
}

Count& Merger::Side::at(std::int64_t number) {
    if (counts.empty()) first = number;
    const auto size = static_cast<std::int64_t>(counts.size());
    if (number >= first + size) {
        counts.resize(static_cast<std::size_t>(number - first + 1 + SPARE_BINS));
    } else if (number < first) {
        const std::int64_t before = first - number + SPARE_BINS;
        counts.insert(counts.begin(), static_cast<std::size_t>(before), Count());
        first -= before;
    }
    return counts[static_cast<std::size_t>(number - first)];
}

bool Merger::add(std::string_view text, bool is_inverse) {
    return read_bins(text, [&](std::int64_t number, const Count& count) {
        Count& sum = sides_[number < 0 ? 0 : number == 0 ? 1 : 2].at(number);
        sum = sum + (is_inverse ? -count : count);
        if (is_inverse && sum.value() == 0) sum = Count();
    });
}

Sketch Merger::sketch() const {
    Sketch merged;
    for (const Side& side : sides_) {
        std::int64_t number = side.first;
        for (const Count& count : side.counts) {
            if (count.value() != 0) merged.push_back({number, count});
            ++number;
        }
    }
    return merged;
}

namespace {

char* write_integer(char* target, std::int64_t value) {
    if (value < 0 || value > 9) return std::to_chars(target, target + FLOAT_CHARACTERS, value).ptr;
    *target = static_cast<char>('0' + value);
    return target + 1;
}

}  // namespace

std::string dump(const Sketch& sketch) {
    std::string text(sketch.size() * 2 * FLOAT_CHARACTERS + 2, '[');
    char* end = text.data() + 1;
    std::int64_t before = 0;
    for (const Bin& bin : sketch) {
        if (end != text.data() + 1) *end++ = ',';
        end = write_integer(end, bin.number - before);
        *end++ = ',';
        end = bin.count.is_float() ? write_float(end, bin.count.value()) : write_integer(end, bin.count.whole());
        before = bin.number;
    }
    *end++ = ']';
    text.resize(static_cast<std::size_t>(end - text.data()));
    return text;
}

}  // namespace tally
