// Sketches: how many samples fall into each bin of a logarithmic scale.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sqlite.hpp"

namespace tally {

// The scale, as in tally/engine/sketch.py.
inline const double LOG_GAMMA = std::log((1 + 0.01) / (1 - 0.01));
constexpr std::int64_t ORIGIN = 65'536, FRACTIONS = 65'536;

// A count is an integer or a float, as in Python: 2 and 2.0 have different texts.
class Count {
  public:
    Count() : Count(std::int64_t{0}) {}
    explicit Count(std::int64_t whole) : whole_(whole), is_float_(false) {}
    explicit Count(double real) : real_(real), is_float_(true) {}

    bool is_float() const { return is_float_; }
    std::int64_t whole() const { return whole_; }
    double value() const { return is_float_ ? real_ : static_cast<double>(whole_); }
    bool is_positive() const { return is_float_ ? real_ > 0 : whole_ > 0; }
    void operator+=(const Count& other) {
        const bool is_whole = !is_float_ && !other.is_float_;
        std::int64_t sum = 0;
        if (!is_whole || __builtin_add_overflow(whole_, other.whole_, &sum)) {
            *this = Count(value() + other.value());
        } else {
            whole_ = sum;
        }
    }
    Count operator-() const { return is_float_ ? Count(-real_) : Count(-whole_); }

  private:
    union {
        std::int64_t whole_;
        double real_;
    };
    bool is_float_;
};

struct Bin {
    std::int64_t number;
    Count count;
};

// Bins in ascending order.
using Sketch = std::vector<Bin>;

// Returns the bin of a value at level 0.
std::int64_t find_bin(double value);

// Returns a count as a sketch keeps it: whole, or the nearest multiple of 1 / 65536.
Count to_weight(double count);

// Returns both sketches merged.
Sketch merge(const Sketch& one, const Sketch& other);
void add(Sketch& merged, const Bin& bin);

// Returns the sketch so many levels higher.
Sketch coarsen(const Sketch& sketch, int levels);

// Reads the text of a sketch; returns whether it is valid.
bool load(std::string_view text, Sketch& sketch);
std::string dump(const Sketch& sketch);

// Merges many sketches. Nearly all bins of a sketch are near each other, so each sign has an array of counts by bin. A
// bit for each bin tells whether it has samples, so that the others cost little.
class Merger {
  public:
    void add(std::int64_t number) { at(number) += Count(std::int64_t{1}); }
    // Adds the sketch in a text, or takes it out; returns whether the text is valid.
    bool add(std::string_view text, bool is_inverse = false);
    Sketch sketch() const;
    // Removes all samples, and keeps the arrays.
    void clear();

  private:
    static constexpr std::int64_t BLOCK_BINS = 64;

    struct Block {
        std::uint64_t has_samples = 0;
        Count counts[BLOCK_BINS];
    };
    struct Side {
        std::int64_t first = 0;  // A multiple of BLOCK_BINS.
        std::uint64_t bins = 0;  // Those of all blocks.
        std::vector<Block> blocks;

        Count& at(std::int64_t number) {
            if (static_cast<std::uint64_t>(number - first) >= bins) grow(number);
            const auto place = static_cast<std::uint64_t>(number - first);
            Block& block = blocks[place / BLOCK_BINS];
            block.has_samples |= std::uint64_t{1} << place % BLOCK_BINS;
            return block.counts[place % BLOCK_BINS];
        }
        void grow(std::int64_t number);
    };

    Count& at(std::int64_t number) { return sides_[number < 0 ? 0 : number == 0 ? 1 : 2].at(number); }

    Side sides_[3];
};

// Registers the SQL functions of sketches with a connection; returns SQLite's result code.
int register_sketch_functions(sqlite::Database* database);

}  // namespace tally
