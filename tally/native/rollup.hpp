// Samples, aggregated in memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "index.hpp"
#include "plain.hpp"
#include "sketch.hpp"
#include "statsd.hpp"

namespace tally {

struct Cell {
    double count, sum, low, high;
};

// Values of the open bucket since they were last merged into its cell. From Python 3.12 on, sum() also adds up the
// rounding errors, and so does this, so that both give the same sum.
struct Values {
    double count = 0, sum = 0, error = 0, low = 0, high = 0;

    void add(double value, bool is_compensated);
    Cell cell() const;
};

// The bin of a value of the open bucket.
struct Observed {
    std::uint32_t series;
    std::int32_t bin;
};

// The sketch is empty if the cell has none: its samples are equal, or it is unknown.
struct Stored {
    std::int64_t bucket;
    std::uint32_t series;
    Cell cell;
    Sketch sketch;
};

// What happens to a line: added, rejected for `reason`, or left to Python, which may remember the spelling of its name.
// Of a gauge or a set, only what Python keeps is left to it: see `Asked`.
struct Fate {
    enum Kind { ADDED, REJECTED, UNSURE, GAUGE, SET } kind;
    Reason reason = Reason::EMPTY;
    std::string_view spelling = {};
};

// A series for whose cell there is room. The cell will add `weight`.
struct Admitted {
    std::uint32_t series;
    std::int64_t weight;
};

// The gauge or the set of a line.
struct Asked {
    std::string_view name, member;
    double value;
    bool is_change;
    std::int64_t bucket;
    Admitted cell;
};

class Rollup {
  public:
    struct Options {
        std::int64_t resolution, max_future_s;
        std::uint64_t seed;
        bool is_compensated, is_sketched;
    };

    explicit Rollup(const Options& options) : options_(options) {}

    // Opens the bucket of `now`. Merges the values of the open bucket first if it is another one, or if there are many.
    void open(std::int64_t now, std::int64_t fold_values);
    // Adds a line that is not empty, if its cell exists or fits into `free`.
    Fate add(std::string_view line, std::int64_t now);
    const Asked& asked() const { return asked_; }
    // Adds a line of a gauge, whose value is now another.
    void add_gauge(double value);
    // Adds a sample; for a new cell only if `weight` is not 0. Returns whether it was added.
    bool add_sample(std::string_view name, double value, std::int64_t timestamp, std::int64_t weight);
    // Remembers another spelling of a name, as far as there is room.
    void add_spelling(std::string_view spelling, std::string_view name);
    bool has(std::int64_t bucket, std::string_view name) const;
    // Returns a cell without the values of the open bucket, or null.
    const Stored* find(std::int64_t bucket, std::string_view name) const;
    // Sets a cell. The weight is that of the name. Bins are not weighed.
    void set(std::int64_t bucket, std::string_view name, const Cell& cell, Sketch sketch, std::int64_t weight);
    // Adds the weight of bins that cells have gained.
    void add_bins(std::int64_t gained);
    void fold();
    void clear();

    std::int64_t accepted() const { return counted + pending_; }
    const std::vector<Stored>& cells() const { return cells_; }
    std::string_view name(std::uint32_t series) const;
    std::uint32_t series_count() const { return static_cast<std::uint32_t>(series_.size()); }

    // The weight of all cells, of bins and of set members, and the number of lines whose samples are in cells.
    std::int64_t size = 0, counted = 0;
    // The most weight for any name, and for sketches.
    std::int64_t free = 0, most = 0;

  private:
    struct Series {
        std::uint32_t spelling;
        std::int64_t weight;
        Values values;
        std::size_t first;  // Where its next bin goes when they are grouped.
    };
    struct Spelling {
        std::size_t first;
        std::uint32_t bytes, series;
    };

    std::int64_t bucket_of(std::int64_t timestamp) const;
    std::string_view text(const Spelling& spelling) const;
    std::uint32_t find_series(std::string_view spelling) const;
    std::uint32_t intern(std::string_view name, std::int64_t weight);
    void spell(std::string_view text, std::uint32_t series);
    std::uint32_t find_cell(std::int64_t bucket, std::uint32_t series) const;
    bool makes_sketches() const { return options_.is_sketched && size < most; }
    // Merges a cell, with its sketch if `is_sketched`; returns how many bins were gained.
    std::int64_t merge_cell(std::int64_t bucket, std::uint32_t series, const Cell& cell, bool is_sketched,
                            Sketch sketch = {});
    bool has_cell(std::int64_t bucket, std::uint32_t series) const;
    // Returns the series of a name if its cell in `bucket` exists or can be created, or NONE. `find_name` is asked for
    // the name of an unknown spelling.
    template <typename FindName>
    Admitted admit(std::string_view spelling, FindName find_name, std::int64_t bucket);
    template <typename FindName>
    std::uint32_t learn(std::string_view spelling, FindName find_name);
    void add_value(std::uint32_t series, double value, std::int64_t bucket);
    void group_bins();
    Fate add_statsd(std::string_view line, std::int64_t now);
    Fate ask_about_set(const StatsdLine& line, std::string_view spelling);
    Fate classify(const Fields& fields, const Clock& clock) const;

    Options options_;
    std::int64_t open_ = -1, pending_ = 0, bins_ = 0;
    std::string names_;
    std::vector<Spelling> spellings_;
    std::vector<Series> series_;
    std::vector<std::uint32_t> with_values_;
    std::vector<Observed> observed_;  // Of all series with values, if there are sketches.
    std::vector<Stored> cells_;
    Index spelling_index_, cell_index_;
    std::string key_, name_;
    Asked asked_;
};

}  // namespace tally
