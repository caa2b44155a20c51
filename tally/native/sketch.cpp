// The twin of tally/engine/sketch.py: makes and merges sketches, and reads and writes their texts. The text of a sketch
// is a JSON array of distances between bins and of counts:
//
//     [65467,2,1,1,80,1]    65467: 2 samples, 65468: 1 sample, 65548: 1 sample
#include "sketch.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <new>

#include "digits.hpp"

namespace tally {
namespace {

// Below this, a whole count is an integer of 64 bits.
constexpr double WHOLE_END = 9e18;
constexpr int SHORT_DIGITS = 9;
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

    bool read(Count& number) {
        if (read_short(number)) return true;
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
    // Nearly all numbers have a few digits, which are read several times as fast as by std::from_chars.
    bool read_short(Count& number) {
        std::int64_t whole = 0;
        const char* at = at_;
        while (at != last_ && at - at_ < SHORT_DIGITS && *at >= '0' && *at <= '9') whole = whole * 10 + (*at++ - '0');
        if (at == at_ || at == last_ || (*at != ',' && *at != ']')) return false;
        number = Count(whole);
        at_ = at;
        return true;
    }
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

void add(Sketch& merged, const Sketch& sketch, bool is_inverse) {
    const auto counted = [&](const Bin& bin) { return is_inverse ? -bin.count : bin.count; };
    merged.reserve(merged.size() + sketch.size());
    std::size_t missing = 0;
    auto own = merged.begin();
    for (const Bin& bin : sketch) {
        while (own != merged.end() && own->number < bin.number) ++own;
        if (own != merged.end() && own->number == bin.number) {
            own->count = own->count + counted(bin);
        } else {
            ++missing;
        }
    }
    // Insert the missing ones from the last to the first, so that each bin moves once.
    std::size_t from = merged.size(), to = from + missing;
    merged.resize(to);
    for (auto bin = sketch.rbegin(); to != from; ++bin) {
        while (from != 0 && merged[from - 1].number > bin->number) merged[--to] = merged[--from];
        if (from == 0 || merged[from - 1].number != bin->number) merged[--to] = {bin->number, counted(*bin)};
    }
    if (!is_inverse) return;
    const auto is_empty = [](const Bin& bin) { return bin.count.value() == 0; };
    merged.erase(std::remove_if(merged.begin(), merged.end(), is_empty), merged.end());
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

bool load(std::string_view text, Sketch& sketch) {
    sketch.clear();
    sketch.reserve(text.size() / BIN_CHARACTERS);
    Numbers numbers(text);
    Count distance, count;
    std::int64_t number = 0;
    if (!numbers.take('[')) return false;
    do {
        if (!numbers.read(distance) || !numbers.take(',') || !numbers.read(count)) return false;
        if (distance.is_float() || std::abs(distance.whole()) >= 4 * ORIGIN || !count.is_positive()) return false;
        number += distance.whole();
        if (std::abs(number) >= 2 * ORIGIN) return false;
        sketch.push_back({number, count});
    } while (numbers.take(','));
    return numbers.take(']') && numbers.is_at_end();
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
