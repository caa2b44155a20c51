// The twin of tally/engine/storing/rollup.py: adds the samples of lines to cells.
//
// A name is a series. Other spellings of a name, with its tags in another order or as StatsD clients write them, lead
// to the same series. Values of the open bucket are kept beside their series, and
// are merged into its cell when the bucket closes.
//
//     spellings   bytes -> series
//     series      values of the open bucket
//     cells       bucket, series -> count, sum, low, high, sketch
//
// What fails for lack of memory changes nothing that is counted: room is made before anything changes.
#include "rollup.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tags.hpp"

namespace tally {
namespace {

// Beside one other spelling for each name.
constexpr std::int64_t OTHER_SPELLINGS_MAX = 4096;
// Before and after the name in the spelling of a StatsD line. No plain name contains it.
constexpr char STATSD = '\1';
// So many bins weigh as much as a cell.
constexpr std::int64_t CELL_BINS = 8;

// Makes room for one more item.
template <typename Items>
void make_room(Items& items, std::size_t count = 1) {
    if (items.size() + count > items.capacity()) items.reserve(2 * items.size() + count + 16);
}

void merge(Cell& cell, const Cell& other) {
    cell.count += other.count;
    cell.sum += other.sum;
    if (other.low < cell.low) cell.low = other.low;
    if (other.high > cell.high) cell.high = other.high;
}

bool is_equal(const Cell& cell) {
    return cell.low == cell.high;
}

Bin bin_of(const Cell& cell) {
    return {find_bin(cell.low), to_weight(cell.count)};
}

// Joins the sketch of another cell. If one of the two is unknown, or all samples are equal, the result is empty.
void join(Stored& one, const Cell& other, const Sketch& sketch) {
    const bool are_equal = is_equal(one.cell) && is_equal(other) && one.cell.low == other.low;
    if (one.sketch.empty() && sketch.empty() && are_equal) return;
    if (one.sketch.empty() && is_equal(one.cell)) one.sketch.push_back(bin_of(one.cell));
    const bool is_known = !one.sketch.empty() && (!sketch.empty() || is_equal(other));
    if (!is_known) {
        one.sketch = {};
    } else if (sketch.empty()) {
        add(one.sketch, bin_of(other));
    } else {
        one.sketch = merge(one.sketch, sketch);
    }
}

}  // namespace

void Values::add(double value, bool is_compensated) {
    const double total = sum + value;
    if (is_compensated) {
        error += std::abs(sum) >= std::abs(value) ? (sum - total) + value : (value - total) + sum;
    }
    sum = total;
    if (count == 0) low = high = value;
    if (value < low) low = value;
    if (value > high) high = value;
    ++count;
}

Cell Values::cell() const {
    const bool is_corrected = error != 0 && std::isfinite(error);
    return {count, is_corrected ? sum + error : sum, low, high};
}

std::int64_t Rollup::bucket_of(std::int64_t timestamp) const {
    const std::int64_t rest = timestamp % options_.resolution;
    return timestamp - rest - (rest < 0 ? options_.resolution : 0);
}

std::string_view Rollup::text(const Spelling& spelling) const {
    return {names_.data() + spelling.first, spelling.bytes};
}

std::string_view Rollup::name(std::uint32_t series) const {
    return text(spellings_[series_[series].spelling]);
}

std::uint32_t Rollup::find_series(std::string_view spelling) const {
    const auto is_same = [&](std::uint32_t position) { return text(spellings_[position]) == spelling; };
    const std::uint32_t position = spelling_index_.find(hash(spelling, options_.seed), is_same);
    return position == Index::NONE ? position : spellings_[position].series;
}

void Rollup::spell(std::string_view spelling, std::uint32_t series) {
    spelling_index_.reserve();
    make_room(spellings_);
    make_room(names_, spelling.size());
    spelling_index_.insert(hash(spelling, options_.seed), static_cast<std::uint32_t>(spellings_.size()));
    spellings_.push_back({names_.size(), static_cast<std::uint32_t>(spelling.size()), series});
    names_.append(spelling);
}

std::uint32_t Rollup::intern(std::string_view name, std::int64_t weight) {
    const auto series = static_cast<std::uint32_t>(series_.size());
    make_room(series_);
    spell(name, series);
    series_.push_back({static_cast<std::uint32_t>(spellings_.size() - 1), weight, {}, 0});
    return series;
}

void Rollup::add_spelling(std::string_view spelling, std::string_view name) {
    const std::uint32_t series = find_series(name);
    const auto others = static_cast<std::int64_t>(spellings_.size()) - 2 * static_cast<std::int64_t>(series_.size());
    if (series == Index::NONE || others >= OTHER_SPELLINGS_MAX || find_series(spelling) != Index::NONE) return;
    spell(spelling, series);
}

std::uint32_t Rollup::find_cell(std::int64_t bucket, std::uint32_t series) const {
    const auto is_same = [&](std::uint32_t position) {
        return cells_[position].series == series && cells_[position].bucket == bucket;
    };
    return cell_index_.find(hash(bucket, series), is_same);
}

std::int64_t Rollup::merge_cell(std::int64_t bucket, std::uint32_t series, const Cell& cell, bool is_sketched,
                                Sketch sketch) {
    const std::uint32_t position = find_cell(bucket, series);
    if (position == Index::NONE) {
        cell_index_.reserve();
        make_room(cells_);
        cell_index_.insert(hash(bucket, series), static_cast<std::uint32_t>(cells_.size()));
        cells_.push_back({bucket, series, cell, std::move(sketch)});
        return static_cast<std::int64_t>(cells_.back().sketch.size());
    }
    Stored& stored = cells_[position];
    const auto before = static_cast<std::int64_t>(stored.sketch.size());
    if (is_sketched) {
        join(stored, cell, sketch);
    } else {
        stored.sketch = {};
    }
    merge(stored.cell, cell);
    return static_cast<std::int64_t>(stored.sketch.size()) - before;
}

void Rollup::add_bins(std::int64_t gained) {
    size += (bins_ + gained) / CELL_BINS - bins_ / CELL_BINS;
    bins_ += gained;
}

bool Rollup::has_cell(std::int64_t bucket, std::uint32_t series) const {
    const bool is_open = bucket == open_ && series_[series].values.count > 0;
    return is_open || find_cell(bucket, series) != Index::NONE;
}

bool Rollup::has(std::int64_t bucket, std::string_view name) const {
    const std::uint32_t series = find_series(name);
    return series != Index::NONE && has_cell(bucket, series);
}

const Stored* Rollup::find(std::int64_t bucket, std::string_view name) const {
    const std::uint32_t series = find_series(name);
    const std::uint32_t position = series == Index::NONE ? series : find_cell(bucket, series);
    return position == Index::NONE ? nullptr : &cells_[position];
}

void Rollup::set(std::int64_t bucket, std::string_view name, const Cell& cell, Sketch sketch, std::int64_t weight) {
    std::uint32_t series = find_series(name);
    if (series == Index::NONE) series = intern(name, weight);
    const std::uint32_t position = find_cell(bucket, series);
    if (position == Index::NONE) {
        merge_cell(bucket, series, cell, false, std::move(sketch));
        return;
    }
    cells_[position].cell = cell;
    cells_[position].sketch = std::move(sketch);
}

void Rollup::open(std::int64_t now, std::int64_t fold_values) {
    const std::int64_t bucket = bucket_of(now);
    if (bucket == open_ && pending_ < fold_values) return;
    fold();
    open_ = bucket;
}

// Puts the bins of each series beside each other, in the order of the series with values.
void Rollup::group_bins() {
    std::vector<Observed> grouped(observed_.size());
    std::size_t end = 0;
    for (const std::uint32_t series : with_values_) {
        series_[series].first = end;
        end += static_cast<std::size_t>(series_[series].values.count);
    }
    for (const Observed& each : observed_) grouped[series_[each.series].first++] = each;
    observed_.swap(grouped);
}

// Bins are weighed at the end, so that what the first ones weigh does not decide about the last ones. What is merged is
// removed at once, so that it is not merged again after memory ran out.
void Rollup::fold() {
    const bool is_sketched = makes_sketches();
    std::reverse(with_values_.begin(), with_values_.end());
    if (options_.is_sketched) group_bins();
    Merger merger;
    std::int64_t gained = 0;
    while (!with_values_.empty()) {
        const std::uint32_t series = with_values_.back();
        Values& values = series_[series].values;
        const auto count = static_cast<std::ptrdiff_t>(values.count);
        Sketch sketch;
        if (is_sketched && count > 1) {
            for (auto each = observed_.end() - count; each != observed_.end(); ++each) merger.add(each->bin);
            sketch = merger.sketch();
            merger.clear();
        }
        gained += merge_cell(open_, series, values.cell(), is_sketched, std::move(sketch));
        counted += count;
        pending_ -= count;
        values = {};
        with_values_.pop_back();
        if (options_.is_sketched) observed_.resize(observed_.size() - static_cast<std::size_t>(count));
    }
    add_bins(gained);
}

void Rollup::clear() {
    Rollup empty(options_);
    empty.open_ = open_;
    empty.counted = counted;
    empty.free = free;
    empty.most = most;
    *this = std::move(empty);
}

void Rollup::add_value(std::uint32_t series, double value, std::int64_t bucket) {
    if (bucket != open_) {
        add_bins(merge_cell(bucket, series, {1, value, value, value}, makes_sketches()));
        ++counted;
        return;
    }
    Values& values = series_[series].values;
    make_room(with_values_);
    if (options_.is_sketched) observed_.push_back({series, static_cast<std::int32_t>(find_bin(value))});
    if (values.count == 0) with_values_.push_back(series);
    values.add(value, options_.is_compensated);
    ++pending_;
}

bool Rollup::add_sample(std::string_view name, double value, std::int64_t timestamp, std::int64_t weight) {
    const std::int64_t bucket = bucket_of(timestamp);
    std::uint32_t series = find_series(name);
    if (series == Index::NONE || !has_cell(bucket, series)) {
        if (weight == 0) return false;
        if (series == Index::NONE) series = intern(name, weight);
        size += weight;
    }
    add_value(series, value, bucket);
    return true;
}

template <typename FindName>
std::uint32_t Rollup::learn(std::string_view spelling, FindName find_name) {
    const std::string_view name = find_name();
    if (name.empty()) return Index::NONE;
    // A series weighs nothing if the value of its gauge is rejected. There are not many without a cell.
    const bool has_room = size < free && static_cast<std::int64_t>(series_.size()) < size + OTHER_SPELLINGS_MAX;
    std::uint32_t series = name == spelling ? Index::NONE : find_series(name);
    if (series == Index::NONE && has_room) series = intern(name, 1);
    if (series != Index::NONE && name != spelling) add_spelling(spelling, name);
    return series;
}

template <typename FindName>
Admitted Rollup::admit(std::string_view spelling, FindName find_name, std::int64_t bucket) {
    std::uint32_t series = find_series(spelling);
    if (series == Index::NONE) series = learn(spelling, find_name);
    if (series == Index::NONE || has_cell(bucket, series)) return {series, 0};
    const std::int64_t weight = series_[series].weight;
    return size + weight > free ? Admitted{Index::NONE, 0} : Admitted{series, weight};
}

Fate Rollup::add(std::string_view line, std::int64_t now) {
    const Fields fields = split(line);
    const Clock clock{now, options_.max_future_s};
    if (fields.count == 2 || fields.count == 3) {
        const auto [verdict, value] = parse_value(fields.each[1]);
        Second second{Verdict::GOOD, now, {}};
        if (fields.count == 3) second = parse_timestamp(fields.each[2], clock);
        if (verdict == Verdict::GOOD && second.verdict == Verdict::GOOD) {
            const std::string_view name = fields.each[0];
            const std::int64_t bucket = bucket_of(second.value);
            const Admitted cell = admit(name, [&] { return stored_name(name, name_); }, bucket);
            if (cell.series != Index::NONE) {
                size += cell.weight;
                add_value(cell.series, value, bucket);
                return {Fate::ADDED};
            }
        }
    }
    const bool has_bar = line.find('|') != line.npos;
    if (!is_ascii(line)) {
        if (!is_utf8(line)) return {Fate::REJECTED, Reason::ENCODING};
        return {Fate::UNSURE, {}, has_bar ? std::string_view() : fields.each[0]};
    }
    if (has_bar) return fields.count == 1 ? add_statsd(line, now) : Fate{Fate::UNSURE};
    return classify(fields, clock);
}

Fate Rollup::add_statsd(std::string_view line, std::int64_t now) {
    StatsdLine found;
    if (!parse_statsd(line, found)) return {Fate::UNSURE};
    std::string_view spelling = found.name;
    if (!found.has_simple_name()) {
        key_.assign(1, STATSD).append(found.name).append(1, STATSD).append(found.tags);
        spelling = key_;
    }
    if (found.kind == StatsdLine::SET) return ask_about_set(found, spelling);
    const std::int64_t bucket = bucket_of(now);
    const bool is_sketched = makes_sketches();
    const Admitted cell = admit(spelling, [&] { return stored_name(found, name_); }, bucket);
    if (cell.series == Index::NONE) return {Fate::UNSURE, {}, spelling};
    if (found.kind == StatsdLine::GAUGE) {
        asked_ = {name(cell.series), {}, found.values[0], found.is_change, bucket, cell};
        return {Fate::GAUGE};
    }
    size += cell.weight;
    std::int64_t gained = 0;
    for (int at = 0; at < found.count; ++at) {
        const double value = found.values[at];
        gained += merge_cell(bucket, cell.series, {found.weight, value * found.weight, value, value}, is_sketched);
    }
    add_bins(gained);
    ++counted;
    return {Fate::ADDED};
}

void Rollup::add_gauge(double value) {
    const auto& [series, weight] = asked_.cell;
    const std::int64_t gained = merge_cell(asked_.bucket, series, {1, value, value, value}, makes_sketches());
    size += weight;
    add_bins(gained);
    ++counted;
}

// The members of a set have no cell until the rollup is taken.
Fate Rollup::ask_about_set(const StatsdLine& line, std::string_view spelling) {
    const std::uint32_t series = find_series(spelling);
    const std::string_view known = series == Index::NONE ? stored_name(line, name_) : name(series);
    asked_ = {known, line.member, 0, false, 0, {}};
    return known.empty() ? Fate{Fate::UNSURE} : Fate{Fate::SET};
}

// Returns why an ASCII line was not added, in the order in which Python looks at it.
Fate Rollup::classify(const Fields& fields, const Clock& clock) const {
    if (fields.count < 2 || fields.count > 3) return {Fate::REJECTED, Reason::FIELDS};
    const std::string_view name = fields.each[0], value = fields.each[1];
    if (name.size() > NAME_MAX_BYTES || !is_printable(name)) return {Fate::REJECTED, Reason::NAME};
    const Verdict verdict = parse_value(value).verdict;
    if (verdict == Verdict::BAD) return {Fate::REJECTED, is_missing(value) ? Reason::EMPTY : Reason::VALUE};
    if (verdict == Verdict::GOOD && fields.count == 3) {
        const Second second = parse_timestamp(fields.each[2], clock);
        if (second.verdict == Verdict::BAD) return {Fate::REJECTED, second.reason};
    }
    return {Fate::UNSURE, {}, name};
}

}  // namespace tally
