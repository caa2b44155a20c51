// The twin of tally/engine/files/functions.py: SQL functions that merge sketches, and read percentiles from them.
#include <cmath>

#include "context.hpp"
#include "sketch.hpp"

namespace tally {
namespace {

using sqlite::api;

// So much of a text is told in an error.
constexpr std::size_t TOLD_BYTES = 99;

void return_invalid(sqlite::Context* context, std::string_view text) {
    const std::string told = "sketch '" + std::string(text.substr(0, TOLD_BYTES)) + "' is not valid";
    api->result_error(context, told.data(), static_cast<int>(told.size()));
    api->result_error_code(context, sqlite::CORRUPT);
}

// Thrown where a text is not that of a sketch.
struct Invalid {
    std::string_view text;
};

Sketch sketch_of(sqlite::Value* value) {
    Sketch sketch;
    const std::string_view text = text_of(value);
    if (!load(text, sketch)) throw Invalid{text};
    return sketch;
}

// As `answer`, for functions that read sketches.
template <typename Body>
void answer_sketch(sqlite::Context* context, Body body) {
    answer(context, [&] {
        try {
            body();
        } catch (const Invalid& invalid) {
            return_invalid(context, invalid.text);
        }
    });
}

bool is_null(sqlite::Value* value) {
    return api->value_type(value) == sqlite::NOTHING;
}

// Bins without samples go away. The text of a single sketch stays as it is, and is read when another one comes.
struct Merging {
    Merger merger;
    std::string only;
    std::int64_t known = 0, unknown = 0;

    void change(std::string_view text, bool is_inverse) {
        known += is_inverse ? -1 : 1;
        if (known == 1 && !is_inverse) {
            merger = {};
            only.assign(text);
            return;
        }
        read_only();
        if (!merger.add(text, is_inverse)) throw Invalid{text};
    }

    void read_only() {
        if (!only.empty() && !merger.add(only)) throw Invalid{only};
        only.clear();
    }

    std::string text() const { return known == 0 || !only.empty() ? only : dump(merger.sketch()); }
};

void change(sqlite::Context* context, sqlite::Value* value, bool is_inverse) {
    answer_sketch(context, [&] {
        Merging& merging = state_of<Merging>(context);
        if (is_inverse) merging.read_only();
        if (is_null(value)) {
            merging.unknown += is_inverse ? -1 : 1;
        } else if (const std::string_view text = text_of(value); !text.empty()) {
            merging.change(text, is_inverse);
        }
    });
}

void step(sqlite::Context* context, int, sqlite::Value** values) {
    change(context, values[0], false);
}

void inverse(sqlite::Context* context, int, sqlite::Value** values) {
    change(context, values[0], true);
}

void return_merged(sqlite::Context* context, const Merging& merging) {
    const std::string text = merging.unknown == 0 ? merging.text() : "";
    text.empty() ? api->result_null(context) : return_text(context, text);
}

void value(sqlite::Context* context) {
    answer(context, [&] { return_merged(context, state_of<Merging>(context)); });
}

void finish(sqlite::Context* context) {
    end_state<Merging>(context, [&](const Merging& merging) { return_merged(context, merging); });
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
    const __int128 parts = count.is_float() ? static_cast<__int128>(count.value() * FRACTIONS)
                                            : static_cast<__int128>(count.whole()) * FRACTIONS;
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
    for (const Bin& bin : sketch) total += bin.count;
    const double rank = find_rank(fraction, total);
    Count reached;
    for (const Bin& bin : sketch) {
        reached += bin.count;
        if (reached.value() >= rank) return middle(bin.number, level);
    }
    return middle(sketch.back().number, level);
}

// join_bins(bins, bins)
void join_bins(sqlite::Context* context, int, sqlite::Value** values) {
    answer_sketch(context, [&] {
        if (is_null(values[0]) || is_null(values[1])) return api->result_null(context);
        return_text(context, dump(merge(sketch_of(values[0]), sketch_of(values[1]))));
    });
}

// coarsen_bins(bins, levels)
void coarsen_bins(sqlite::Context* context, int, sqlite::Value** values) {
    answer_sketch(context, [&] {
        if (is_null(values[0])) return api->result_null(context);
        return_text(context, dump(coarsen(sketch_of(values[0]), static_cast<int>(api->value_int64(values[1])))));
    });
}

// percentile(bins, p, level, min, max)
void percentile(sqlite::Context* context, int, sqlite::Value** values) {
    answer_sketch(context, [&] {
        if (is_null(values[0])) return api->result_null(context);
        const Fraction fraction = parse_percentile(text_of(values[1]));
        const double low = api->value_double(values[3]), high = api->value_double(values[4]);
        if (fraction.above == 0) return api->result_double(context, low);
        if (fraction.above == fraction.below) return api->result_double(context, high);
        const double found =
            find_percentile(sketch_of(values[0]), fraction, static_cast<int>(api->value_int64(values[2])));
        api->result_double(context, found < low ? low : found > high ? high : found);
    });
}

struct Scalar {
    const char* name;
    int arguments;
    sqlite::Function function;
};
constexpr Scalar SCALARS[] = {
    {"join_bins", 2, join_bins}, {"coarsen_bins", 2, coarsen_bins}, {"percentile", 5, percentile}};

}  // namespace

int register_sketch_functions(sqlite::Database* database) {
    constexpr int FLAGS = sqlite::UTF8 | sqlite::DETERMINISTIC | sqlite::INNOCUOUS;
    int result =
        api->create_window_function(database, "merge_bins", 1, FLAGS, nullptr, step, finish, value, inverse, nullptr);
    for (const auto& [name, arguments, function] : SCALARS) {
        if (result != sqlite::OK) return result;
        result =
            api->create_function_v2(database, name, arguments, FLAGS, nullptr, function, nullptr, nullptr, nullptr);
    }
    return result;
}

}  // namespace tally
