// The twin of tally/engine/sketch.py: makes and merges sketches, and reads and writes their texts. The text of a sketch
// is a JSON array of distances between bins and of counts:
//
//     [65467,2,1,1,80,1]    65467: 2 samples, 65468: 1 sample, 65548: 1 sample
#include "sketch.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <memory>

#include "digits.hpp"

namespace tally {
namespace {

// Below this, a whole count is an integer of 64 bits.
constexpr double WHOLE_END = 9e18;
constexpr bool IS_LITTLE_ENDIAN = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
// The least number of characters that a bin takes.
constexpr std::size_t BIN_CHARACTERS = 4;

// Reads the numbers of a JSON array.
class Numbers {
  public:
    explicit Numbers(std::string_view text) : begin_(text.data()), at_(begin_), last_(text.data() + text.size()) {}

    bool take(char expected) {
        if (at_ != last_ && *at_ != expected) skip_blanks();
        if (at_ == last_ || *at_ != expected) return false;
        ++at_;
        return true;
    }

    bool read(Count& number) {
        skip_blanks();
        std::int64_t whole = 0;
        const auto [end, error] = std::from_chars(at_, last_, whole);
        if (error == std::errc() && is_end(end)) {
            number = Count(whole);
            return take_number(end);
        }
        double real = 0;
        const auto [float_end, float_error] = std::from_chars(at_, last_, real);
        number = Count(real);
        return float_error == std::errc() && is_end(float_end) && take_number(float_end);
    }

    // Reads pairs of whole numbers of up to seven digits, as nearly all are, as long as another pair follows. Finds the
    // ends of all numbers in a block at once. `take` returns whether a pair is valid.
    template <typename Take>
    void read_pairs(Take take) {
        if (at_ == last_ || *at_ != ',' || at_ - begin_ < WORD || !IS_LITTLE_ENDIAN) return;
        for (const char* first = at_ + 1;; first = at_ + 1) {
            std::uint64_t ends = find_ends(first);
            if ((ends & (ends - 1)) == 0) return;
            for (const char* block = first; (ends & (ends - 1)) != 0;) {
                const char* middle = block + __builtin_ctzll(ends);
                ends &= ends - 1;
                const char* end = block + __builtin_ctzll(ends);
                ends &= ends - 1;
                const bool are_short = is_short(middle - first) && is_short(end - middle - 1);
                if (*middle != ',' || *end != ',' || !are_short || *first == '0' || middle[1] == '0') return;
                if (!take(parse(middle, middle - first), parse(end, end - middle - 1))) return;
                at_ = end;
                first = end + 1;
            }
        }
    }

    bool is_at_end() {
        skip_blanks();
        return at_ == last_;
    }

  private:
    static constexpr std::ptrdiff_t WORD = 8, BLOCK = 64;
    static constexpr std::uint64_t ZEROS = 0x3030303030303030;

    static bool is_short(std::ptrdiff_t digits) { return 0 < digits && digits < WORD; }

    static std::uint64_t load_word(const char* at) {
        std::uint64_t word;
        std::memcpy(&word, at, WORD);
        return word;
    }

    // Returns a bit for each character of a block that is no digit.
    std::uint64_t find_ends(const char* block) const {
        char last[BLOCK];
        if (last_ - block < BLOCK) {
            std::memset(last, 0, BLOCK);
            std::memcpy(last, block, static_cast<std::size_t>(last_ - block));
            block = last;
        }
        std::uint64_t ends = 0;
        for (std::ptrdiff_t at = 0; at != BLOCK; at += WORD) {
            const std::uint64_t digits = load_word(block + at) ^ ZEROS;
            const std::uint64_t others = ((digits + 0x7676767676767676) | digits) & 0x8080808080808080;
            ends |= (((others >> 7) * 0x0102040810204080) >> 56) << at;
        }
        return ends;
    }

    // Returns the number of up to seven digits before `end`. Nearly all have one or two, which take no branch that
    // depends on how many there are.
    static std::int64_t parse(const char* end, std::ptrdiff_t count) {
        if (count <= 2) return (end[-1] - '0') + (count - 1) * 10 * (end[-2] - '0');
        const auto others = 64 - 8 * count;
        std::uint64_t digits = ((load_word(end - WORD) ^ ZEROS) >> others) << others;
        digits = (digits * 10 + (digits >> 8)) & 0x00FF00FF00FF00FF;
        digits = (digits * 100 + (digits >> 16)) & 0x0000FFFF0000FFFF;
        return static_cast<std::int64_t>((digits * 10000 + (digits >> 32)) & 0xFFFFFFFF);
    }

    // Takes a number if JSON has it: with a digit on each side of a point, and without leading zeros.
    bool take_number(const char* end) {
        const char* first = at_ + (*at_ == '-' ? 1 : 0);
        at_ = end;
        if (!is_digit(*first)) return false;
        const char* point = std::find(first, end, '.');
        if (point != end && (point + 1 == end || !is_digit(point[1]))) return false;
        return *first != '0' || first + 1 == end || !is_digit(first[1]);
    }

    static bool is_digit(char character) { return character >= '0' && character <= '9'; }
    bool is_end(const char* at) const { return at == last_ || *at == ',' || *at == ']' || is_blank(*at); }
    static bool is_blank(char character) {
        return character == ' ' || character == '\t' || character == '\n' || character == '\r';
    }
    void skip_blanks() {
        while (at_ != last_ && is_blank(*at_)) ++at_;
    }

    const char* begin_;
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

Sketch merge(const Sketch& one, const Sketch& other) {
    Sketch merged(one.size() + other.size());
    auto end = merged.begin();
    auto own = one.begin(), second = other.begin();
    while (own != one.end() && second != other.end()) {
        if (own->number == second->number) {
            *end = *own++;
            end++->count += second++->count;
        } else {
            *end++ = own->number < second->number ? *own++ : *second++;
        }
    }
    end = std::copy(second, other.end(), std::copy(own, one.end(), end));
    merged.erase(end, merged.end());
    return merged;
}

void add(Sketch& merged, const Bin& bin) {
    const auto is_before = [](const Bin& one, const Bin& other) { return one.number < other.number; };
    const auto own = std::lower_bound(merged.begin(), merged.end(), bin, is_before);
    if (own == merged.end() || own->number != bin.number) {
        merged.insert(own, bin);
    } else {
        own->count += bin.count;
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
            coarse.back().count += bin.count;
        } else {
            coarse.push_back({number, bin.count});
        }
    }
    return coarse;
}

namespace {

bool is_within(std::int64_t number, std::int64_t end) {
    return -end < number && number < end;
}

// Calls `take` for each bin in a text; returns whether the text is valid.
template <typename Take>
bool read_bins(std::string_view text, Take take) {
    Numbers numbers(text);
    std::int64_t number = 0;
    bool is_first = true;
    if (!numbers.take('[')) return false;
    do {
        Count distance, count;
        if (!numbers.read(distance) || distance.is_float() || !numbers.take(',') || !numbers.read(count)) return false;
        if (!is_within(distance.whole(), 4 * ORIGIN) || !count.is_positive()) return false;
        if (!is_first && distance.whole() < 1) return false;
        is_first = false;
        number += distance.whole();
        if (!is_within(number, 2 * ORIGIN)) return false;
        take(number, count);
        numbers.read_pairs([&](std::int64_t more, std::int64_t whole) {
            const std::int64_t next = number + more;
            if (next >= 2 * ORIGIN) return false;
            take(number = next, Count(whole));
            return true;
        });
    } while (numbers.take(','));
    return numbers.take(']') && numbers.is_at_end();
}

}  // namespace

bool load(std::string_view text, Sketch& sketch) {
    sketch.resize(text.size() / BIN_CHARACTERS);
    auto end = sketch.begin();
    const bool is_valid = read_bins(text, [&](std::int64_t number, const Count& count) { *end++ = {number, count}; });
    sketch.erase(end, sketch.end());
    return is_valid;
}

void Merger::Side::grow(std::int64_t number) {
    if (blocks.empty()) first = number & -BLOCK_BINS;
    if (number < first) {
        const std::int64_t more = (first - number - 1) / BLOCK_BINS + 1;
        blocks.insert(blocks.begin(), static_cast<std::size_t>(more), Block());
        first -= more * BLOCK_BINS;
    }
    const auto block = static_cast<std::size_t>((number - first) / BLOCK_BINS);
    if (block >= blocks.size()) blocks.resize(block + 1);
    bins = blocks.size() * BLOCK_BINS;
}

bool Merger::add(std::string_view text, bool is_inverse) {
    if (!is_inverse) return read_bins(text, [&](std::int64_t number, const Count& count) { at(number) += count; });
    return read_bins(text, [&](std::int64_t number, const Count& count) {
        Count& sum = at(number);
        sum += -count;
        if (sum.value() == 0) sum = Count();
    });
}

Sketch Merger::sketch() const {
    std::size_t most = 0;
    for (const Side& side : sides_) {
        for (const Block& block : side.blocks)
            most += static_cast<std::size_t>(__builtin_popcountll(block.has_samples));
    }
    Sketch merged;
    merged.reserve(most);
    for (const Side& side : sides_) {
        std::int64_t first = side.first;
        for (const Block& block : side.blocks) {
            for (std::uint64_t bits = block.has_samples; bits != 0; bits &= bits - 1) {
                const int bin = __builtin_ctzll(bits);
                if (block.counts[bin].value() != 0) merged.push_back({first + bin, block.counts[bin]});
            }
            first += BLOCK_BINS;
        }
    }
    return merged;
}

void Merger::clear() {
    for (Side& side : sides_) {
        for (Block& block : side.blocks) {
            for (; block.has_samples != 0; block.has_samples &= block.has_samples - 1) {
                block.counts[__builtin_ctzll(block.has_samples)] = Count();
            }
        }
    }
}

namespace {

// The texts of small numbers, each with a comma.
class Texts {
  public:
    constexpr Texts() {
        for (std::int64_t value = 0; value != END; ++value) {
            Entry& entry = entries_[value];
            if (value >= 100) entry.text[entry.bytes++] = static_cast<char>('0' + value / 100);
            if (value >= 10) entry.text[entry.bytes++] = static_cast<char>('0' + value / 10 % 10);
            entry.text[entry.bytes++] = static_cast<char>('0' + value % 10);
            entry.text[entry.bytes++] = ',';
        }
    }

    char* write(char* target, std::int64_t value) const {
        if (value < 0 || value >= END) {
            target = std::to_chars(target, target + FLOAT_CHARACTERS, value).ptr;
            *target++ = ',';
            return target;
        }
        std::memcpy(target, entries_[value].text, sizeof Entry::text);
        return target + entries_[value].bytes;
    }

  private:
    static constexpr std::int64_t END = 1000;
    struct Entry {
        char text[4] = {};
        int bytes = 0;
    };
    Entry entries_[END] = {};
};

constexpr Texts TEXTS;

}  // namespace

std::string dump(const Sketch& sketch) {
    if (sketch.empty()) return "[]";
    const std::unique_ptr<char[]> text(new char[(sketch.size() + 1) * 2 * FLOAT_CHARACTERS]);
    char* end = text.get();
    *end++ = '[';
    std::int64_t before = 0;
    for (const Bin& bin : sketch) {
        end = TEXTS.write(end, bin.number - before);
        if (bin.count.is_float()) {
            end = write_float(end, bin.count.value());
            *end++ = ',';
        } else {
            end = TEXTS.write(end, bin.count.whole());
        }
        before = bin.number;
    }
    end[-1] = ']';
    return {text.get(), end};
}

}  // namespace tally
