// The twin of tally/engine/sketch.py and of two functions in tally/engine/files/functions.py: merges sketches, and
// reads percentiles from them. The text of a sketch is a JSON array of distances between bins and of counts:
//
//     [65467,2,1,1,80,1]    65467: 2 samples, 65468: 1 sample, 65548: 1 sample
#include "sketch.hpp"

#include <charconv>
#include <cmath>
#include <new>

#include "digits.hpp"

namespace tally {
namespace {

using sqlite::api;

const double LOG_GAMMA = std::log((1 + 0.01) / (1 - 0.01));
constexpr std::int64_t ORIGIN = 65'536, FRACTIONS = 65'536;
// So much of a text is told in an error.
constexpr std::size_t TOLD_BYTES = 99;

// Reads the numbers of a JSON array.
class Numbers {
  public:
    explicit Numbers(std::string_view text) : at_(text.data()), last_(text.data() + text.size()) {}

    bool take(char expected) {
        skip_blanks();
        if (at_ == last_ || *at_ != expected) return false;
        ++at_;
        return true;
    }

    bool read(Count& number) {
        skip_blanks();
        const char* first = at_;
        while (at_ != last_ && *at_ != ',' && *at_ != ']' && !is_blank(*at_)) ++at_;
        number = {};
        const auto [end, error] = std::from_chars(first, at_, number.whole);
        number.value = static_cast<double>(number.whole);
        if (error == std::errc() && end == at_) return true;
        number.is_float = true;
        const auto [float_end, float_error] = std::from_chars(first, at_, number.value);
        return float_error == std::errc() && float_end == at_ && std::isfinite(number.value);
    }

    bool is_at_end() {
        skip_blanks();
        return at_ == last_;
    }

  private:
    static bool is_blank(char character) {
        return character == ' ' || character == '\t' || character == '\n' || character == '\r';
    }
    void skip_blanks() {
        while (at_ != last_ && is_blank(*at_)) ++at_;
    }

    const char* at_;
    const char* last_;
};

bool is_zero(const Count& count) {
    return count.value == 0;
}

// Adds the bins of a sketch, or takes them out; bins without samples go away.
void add(Sketch& merged, const Sketch& sketch, bool is_inverse) {
    Sketch result;
    result.reserve(merged.size() + sketch.size());
    auto own = merged.begin();
    for (const Bin& bin : sketch) {
        for (; own != merged.end() && own->number < bin.number; ++own) result.push_back(*own);
        Bin sum{bin.number, is_inverse ? -bin.count : bin.count};
        if (own != merged.end() && own->number == bin.number) sum.count = own++->count + sum.count;
        if (!is_zero(sum.count)) result.push_back(sum);
    }
    result.insert(result.end(), own, merged.end());
    merged = std::move(result);
}

}  // namespace

Count Count::operator+(const Count& other) const {
    if (!is_float && !other.is_float) return of(whole + other.whole);
    return {true, 0, value + other.value};
}

bool load(std::string_view text, Sketch& sketch) {
    sketch.clear();
    Numbers numbers(text);
    Count distance, total;
    std::int64_t number = 0;
    if (!numbers.take('[')) return false;
    do {
        Count count;
        if (!numbers.read(distance) || distance.is_float || !numbers.take(',') || !numbers.read(count)) return false;
        number += distance.whole;
        total = total + count;
        sketch.push_back({number, count});
    } while (numbers.take(','));
    return numbers.take(']') && numbers.is_at_end() && total.value > 0;
}

std::string dump(const Sketch& sketch) {
    std::string text = "[";
    std::int64_t before = 0;
    for (const Bin& bin : sketch) {
        char buffer[2 * FLOAT_CHARACTERS];
        char* end = std::to_chars(buffer, buffer + FLOAT_CHARACTERS, bin.number - before).ptr;
        *end++ = ',';
        end = bin.count.is_float ? write_float(end, bin.count.value)
                                 : std::to_chars(end, end + FLOAT_CHARACTERS, bin.count.whole).ptr;
        if (text.size() > 1) text += ',';
        text.append(buffer, end);
        before = bin.number;
    }
    return text += ']';
}

namespace {

std::string_view text_of(sqlite::Value* value) {
    const char* text = api->value_text(value);
    if (text == nullptr) throw std::bad_alloc();
    return {text, static_cast<std::size_t>(api->value_bytes(value))};
}

void return_invalid(sqlite::Context* context, std::string_view text) {
    const std::string told = "sketch '" + std::string(text.substr(0, TOLD_BYTES)) + "' is not valid";
    api->result_error(context, told.data(), static_cast<int>(told.size()));
    api->result_error_code(context, sqlite::CORRUPT);
}

void return_text(sqlite::Context* context, const std::string& text) {
    api->result_text64(context, text.data(), text.size(), sqlite::COPY, sqlite::UTF8);
}

// The text of a single sketch stays as it is.
struct Merging {
    Sketch merged, other;
    std::string only;
    std::int64_t unknown = 0;

    bool read_only() {
        if (only.empty()) return true;
        const bool is_valid = load(only, merged);
        if (is_valid) only.clear();
        return is_valid;
    }
};

// What SQLite keeps for a group, filled with zeros at first.
struct Slot {
    Merging* merging;
};

Merging& merging_of(sqlite::Context* context) {
    auto* slot = static_cast<Slot*>(api->aggregate_context(context, sizeof(Slot)));
    if (slot == nullptr) throw std::bad_alloc();
    if (slot->merging == nullptr) slot->merging = new Merging;
    return *slot->merging;
}

void change(sqlite::Context* context, sqlite::Value* value, bool is_inverse) {
    try {
        Merging& merging = merging_of(context);
        if (is_inverse && !merging.read_only()) return return_invalid(context, merging.only);
        if (api->value_type(value) == sqlite::NOTHING) {
            merging.unknown += is_inverse ? -1 : 1;
            return;
        }
        const std::string_view text = text_of(value);
        if (text.empty()) return;
        if (!is_inverse && merging.only.empty() && merging.merged.empty()) {
            merging.only.assign(text);
            return;
        }
        if (!merging.read_only()) return return_invalid(context, merging.only);
        if (!load(text, merging.other)) return return_invalid(context, text);
        add(merging.merged, merging.other, is_inverse);
    } catch (const std::bad_alloc&) {
        api->result_error_nomem(context);
    }
}

void step(sqlite::Context* context, int, sqlite::Value** values) {
    change(context, values[0], false);
}

void inverse(sqlite::Context* context, int, sqlite::Value** values) {
    change(context, values[0], true);
}

void value(sqlite::Context* context) {
    try {
        const Merging& merging = merging_of(context);
        if (merging.unknown != 0 || (merging.only.empty() && merging.merged.empty())) return api->result_null(context);
        return_text(context, merging.only.empty() ? dump(merging.merged) : merging.only);
    } catch (const std::bad_alloc&) {
        api->result_error_nomem(context);
    }
}

void finish(sqlite::Context* context) {
    auto* slot = static_cast<Slot*>(api->aggregate_context(context, 0));
    if (slot == nullptr || slot->merging == nullptr) return api->result_null(context);
    value(context);
    delete slot->merging;
    slot->merging = nullptr;
}

// A percentile as a fraction: 99.9 is 999 / 1000.
struct Fraction {
    std::int64_t above = 0, below = 100;
};

Fraction parse_percentile(std::string_view text) {
    Fraction found;
    bool is_decimal = false;
    for (const char character : text) {
        if (character == '.') {
            is_decimal = true;
            continue;
        }
        found.above = found.above * 10 + (character - '0');
        if (is_decimal) found.below *= 10;
    }
    return found;
}

// Returns the nearest rank among `count` samples, computed exactly: max(1, ceil(above / below * count)).
double find_rank(const Fraction& fraction, const Count& count) {
    const __int128 parts = count.is_float ? static_cast<__int128>(count.value * FRACTIONS)
                                          : static_cast<__int128>(count.whole) * FRACTIONS;
    const __int128 whole = static_cast<__int128>(fraction.below) * FRACTIONS;
    const __int128 rank = (fraction.above * parts + whole - 1) / whole;
    return rank > 1 ? static_cast<double>(rank) : 1;
}

// Returns the value that is equally far, relatively, from both ends of a bin.
double middle(std::int64_t number, int level) {
    const double width = LOG_GAMMA * static_cast<double>(1 << level);
    const auto distance = static_cast<double>(std::abs(number) - (ORIGIN >> level));
    const double size = std::exp(distance * width) * 2 / (std::exp(width) + 1);
    return number > 0 ? size : number < 0 ? -size : 0.0;
}

double find_percentile(const Sketch& sketch, const Fraction& fraction, int level) {
    Count total;
    for (const Bin& bin : sketch) total = total + bin.count;
    const double rank = find_rank(fraction, total);
    Count reached;
    for (const Bin& bin : sketch) {
        reached = reached + bin.count;
        if (reached.value >= rank) return middle(bin.number, level);
    }
    return middle(sketch.back().number, level);
}

// percentile(bins, p, level, min, max)
void percentile(sqlite::Context* context, int, sqlite::Value** values) {
    try {
        if (api->value_type(values[0]) == sqlite::NOTHING) return api->result_null(context);
        const Fraction fraction = parse_percentile(text_of(values[1]));
        const double low = api->value_double(values[3]), high = api->value_double(values[4]);
        if (fraction.above == 0) return api->result_double(context, low);
        if (fraction.above == fraction.below) return api->result_double(context, high);
        Sketch sketch;
        const std::string_view text = text_of(values[0]);
        if (!load(text, sketch)) return return_invalid(context, text);
        const double found = find_percentile(sketch, fraction, static_cast<int>(api->value_int64(values[2])));
        api->result_double(context, found < low ? low : found > high ? high : found);
    } catch (const std::bad_alloc&) {
        api->result_error_nomem(context);
    }
}

}  // namespace

int register_sketch_functions(sqlite::Database* database) {
    constexpr int FLAGS = sqlite::UTF8 | sqlite::DETERMINISTIC | sqlite::INNOCUOUS;
    const int result =
        api->create_window_function(database, "merge_bins", 1, FLAGS, nullptr, step, finish, value, inverse, nullptr);
    if (result != sqlite::OK) return result;
    return api->create_function_v2(database, "percentile", 5, FLAGS, nullptr, percentile, nullptr, nullptr, nullptr);
}

}  // namespace tally
