// Groups rows by an integer key, as `GROUP BY` does in tally/engine/asking/columns.py, with a table of hashes instead
// of a temporary B-tree:
//
//     tally_fold_count_sum(key, count, sum)   aggregate: the groups, as a blob
//     tally_groups(blob)                      table: key, count, sum, min, max, in ascending order of the key
//
// There is a `tally_fold` for each set of columns that a question may need. Columns that were not folded are undefined.
#include "groups.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "context.hpp"

namespace tally {
namespace {

using sqlite::api;

// A sum as SQLite's sum() computes it: integers exactly, and floats with the error of each addition
// (https://en.wikipedia.org/wiki/Kahan_summation_algorithm#Further_enhancements).
class Sum {
  public:
    void add(sqlite::Value* value) {
        if (api->value_type(value) == sqlite::INTEGER) return add(api->value_int64(value));
        become_float();
        add(api->value_double(value));
    }

    void return_to(sqlite::Context* context) const {
        if (!is_float_) return api->result_int64(context, whole_);
        api->result_double(context, std::isfinite(error_) ? float_ + error_ : float_);
    }

  private:
    // Larger integers are added to floats in two parts, which both are exact.
    static constexpr std::int64_t LARGE = std::int64_t{1} << 52, PART = 16'384;

    static std::int64_t small_part(std::int64_t value) { return value > -LARGE && value < LARGE ? 0 : value % PART; }

    void become_float() {
        if (is_float_) return;
        is_float_ = true;
        error_ = static_cast<double>(small_part(whole_));
        float_ = static_cast<double>(whole_ - small_part(whole_));
    }

    void add(std::int64_t value) {
        std::int64_t sum = 0;
        if (!is_float_ && !__builtin_add_overflow(whole_, value, &sum)) {
            whole_ = sum;
            return;
        }
        become_float();
        const std::int64_t small = small_part(value);
        add(static_cast<double>(value - small));
        if (small != 0) add(static_cast<double>(small));
    }

    void add(double value) {
        const double sum = float_ + value;
        error_ += std::abs(float_) > std::abs(value) ? (float_ - sum) + value : (value - sum) + float_;
        float_ = sum;
    }

    std::int64_t whole_ = 0;
    double float_ = 0, error_ = 0;
    bool is_float_ = false;
};

enum Column { KEY, COUNT, SUM, MIN, MAX, INPUT };

struct Group {
    std::int64_t key;
    Sum count, sum;
    double min = INFINITY, max = -INFINITY;

    void add(Column column, sqlite::Value* value) {
        if (column == COUNT) return count.add(value);
        if (column == SUM) return sum.add(value);
        const double number = api->value_double(value);
        if (column == MIN && number < min) min = number;
        if (column == MAX && number > max) max = number;
    }
};

class Groups {
  public:
    // Returns the group of a key. The rows of each name have the same keys in the same order, so the next one is
    // likely.
    Group& of(std::int64_t key) {
        if (++at_ >= groups_.size()) at_ = 0;
        if (at_ < groups_.size() && groups_[at_].key == key) return groups_[at_];
        const auto [found, is_new] = positions_.try_emplace(key, groups_.size());
        if (is_new) groups_.push_back({key, {}, {}});
        at_ = found->second;
        return groups_[at_];
    }

    const std::vector<Group>& sorted() {
        const auto is_before = [](const Group& one, const Group& other) { return one.key < other.key; };
        if (!std::is_sorted(groups_.begin(), groups_.end(), is_before)) {
            std::sort(groups_.begin(), groups_.end(), is_before);
        }
        return groups_;
    }

  private:
    std::vector<Group> groups_;
    std::unordered_map<std::int64_t, std::size_t> positions_;
    std::size_t at_ = 0;
};

struct Fold {
    const char* name;
    Column columns[4];
    int count;
};

constexpr Fold FOLDS[] = {{"tally_fold_count", {COUNT}, 1},
                          {"tally_fold_sum", {SUM}, 1},
                          {"tally_fold_min", {MIN}, 1},
                          {"tally_fold_max", {MAX}, 1},
                          {"tally_fold_count_sum", {COUNT, SUM}, 2},
                          {"tally_fold_count_sum_min_max", {COUNT, SUM, MIN, MAX}, 4}};

void add_row(sqlite::Context* context, int count, sqlite::Value** values) {
    answer(context, [&] {
        const auto* fold = static_cast<const Fold*>(api->user_data(context));
        Group& group = state_of<Groups>(context).of(api->value_int64(values[0]));
        for (int each = 1; each < count; ++each) group.add(fold->columns[each - 1], values[each]);
    });
}

void return_groups(sqlite::Context* context) {
    end_state<Groups>(context, [&](Groups& state) {
        const auto& groups = state.sorted();
        api->result_blob64(context, groups.data(), groups.size() * sizeof(Group), sqlite::COPY);
    });
}

struct Cursor : sqlite::Cursor {
    std::vector<Group> groups;
    std::size_t at = 0;
};

int connect(sqlite::Database* database, void*, int, const char* const*, sqlite::Table** table, char**) {
    *table = new (std::nothrow) sqlite::Table{};
    if (*table == nullptr) return sqlite::NO_MEMORY;
    return api->declare_vtab(database, "CREATE TABLE groups (key, count, sum, min, max, input HIDDEN)");
}

int disconnect(sqlite::Table* table) {
    delete table;
    return sqlite::OK;
}

int plan(sqlite::Table*, sqlite::Plan* plan) {
    for (int each = 0; each < plan->constraint_count; ++each) {
        const auto& [column, operation, is_usable, offset] = plan->constraints[each];
        if (column != INPUT || operation != sqlite::EQUAL || !is_usable) continue;
        plan->usages[each] = {1, true};
        plan->is_order_kept = plan->order_count == 1 && plan->orders[0].column == KEY && !plan->orders[0].is_descending;
        return sqlite::OK;
    }
    return sqlite::NO_PLAN;
}

int open(sqlite::Table*, sqlite::Cursor** cursor) {
    *cursor = new (std::nothrow) Cursor{};
    return *cursor == nullptr ? sqlite::NO_MEMORY : sqlite::OK;
}

int close(sqlite::Cursor* cursor) {
    delete static_cast<Cursor*>(cursor);
    return sqlite::OK;
}

int begin(sqlite::Cursor* cursor, int, const char*, int, sqlite::Value** values) {
    auto& groups = static_cast<Cursor*>(cursor)->groups;
    prepare_to_throw();
    try {
        const void* blob = api->value_blob(*values);
        groups.resize(static_cast<std::size_t>(api->value_bytes(*values)) / sizeof(Group));
        if (!groups.empty()) std::memcpy(static_cast<void*>(groups.data()), blob, groups.size() * sizeof(Group));
        static_cast<Cursor*>(cursor)->at = 0;
    } catch (const std::bad_alloc&) {
        return sqlite::NO_MEMORY;
    }
    return sqlite::OK;
}

int next(sqlite::Cursor* cursor) {
    ++static_cast<Cursor*>(cursor)->at;
    return sqlite::OK;
}

int is_at_end(sqlite::Cursor* cursor) {
    return static_cast<Cursor*>(cursor)->at >= static_cast<Cursor*>(cursor)->groups.size();
}

int return_column(sqlite::Cursor* cursor, sqlite::Context* context, int column) {
    const Group& group = static_cast<Cursor*>(cursor)->groups[static_cast<Cursor*>(cursor)->at];
    switch (column) {
        case KEY:
            api->result_int64(context, group.key);
            break;
        case COUNT:
            group.count.return_to(context);
            break;
        case SUM:
            group.sum.return_to(context);
            break;
        default:
            api->result_double(context, column == MIN ? group.min : group.max);
    }
    return sqlite::OK;
}

int row_number(sqlite::Cursor* cursor, std::int64_t* number) {
    *number = static_cast<std::int64_t>(static_cast<Cursor*>(cursor)->at);
    return sqlite::OK;
}

const sqlite::Module MODULE = {0,     nullptr, connect, plan,      disconnect,    nullptr,    open,
                               close, begin,   next,    is_at_end, return_column, row_number, {}};

}  // namespace

int register_group_functions(sqlite::Database* database) {
    constexpr int FLAGS = sqlite::UTF8 | sqlite::DETERMINISTIC | sqlite::INNOCUOUS;
    int result = api->create_module_v2(database, "tally_groups", &MODULE, nullptr, nullptr);
    for (const Fold& fold : FOLDS) {
        if (result != sqlite::OK) return result;
        result = api->create_function_v2(database, fold.name, fold.count + 1, FLAGS, const_cast<Fold*>(&fold), nullptr,
                                         add_row, return_groups, nullptr);
    }
    return result;
}

}  // namespace tally
