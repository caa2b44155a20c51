// The twin of tally/lines/tags.py: writes tags into names in Graphite's form, if they are clean. Tags of plain lines
// are sorted only.
//
//     page.load;host=web1;env=prod     page.load,env=prod:1|c|#host:web1     page.load;env=prod;host=web1
//     plain                            StatsD                                as it is stored
#include "tags.hpp"

#include <algorithm>
#include <tuple>
#include <vector>

#include "plain.hpp"

namespace tally {
namespace {

constexpr std::string_view FLAG = "true";
// A cell of a name that is not ASCII weighs 1 up to so many bytes, however much memory Python's text takes.
constexpr std::size_t LIGHT_MAX_BYTES = 55;
// The limit for a name with its tags before they are joined.
constexpr std::size_t JOINED_MAX_BYTES = 1024;

struct Tag {
    std::string_view key;
    bool has_value;
    std::string_view value;

    auto order() const { return std::tie(key, has_value, value); }
    bool operator<(const Tag& other) const { return order() < other.order(); }
    bool operator==(const Tag& other) const { return order() == other.order(); }
};
using Tags = std::vector<Tag>;

// Adds the tags of a text, each of which has one of `signs` between its key and its value.
void split_tags(std::string_view text, char separator, std::string_view signs, Tags& tags) {
    while (!text.empty()) {
        const std::string_view tag = text.substr(0, text.find(separator));
        text.remove_prefix(std::min(tag.size() + 1, text.size()));
        const std::size_t sign = tag.find_first_of(signs);
        const bool has_value = sign != tag.npos;
        if (!tag.empty()) tags.push_back({tag.substr(0, sign), has_value, has_value ? tag.substr(sign + 1) : ""});
    }
}

bool is_clean(const Tag& tag) {
    const bool has_clean_value = tag.value.find(';') == tag.value.npos && tag.value.substr(0, 1) != "~";
    return !tag.key.empty() && tag.key.find_first_of(";!^=") == tag.key.npos && has_clean_value;
}

// Writes a name with sorted and unique tags; returns it, or nothing if it is too long.
std::string_view join_tags(std::string_view base, Tags& tags, std::string& stored) {
    std::sort(tags.begin(), tags.end());
    tags.erase(std::unique(tags.begin(), tags.end()), tags.end());
    stored.assign(base);
    for (const Tag& tag : tags) {
        stored.append(1, ';').append(tag.key);
        if (tag.has_value) stored.append(1, '=').append(tag.value);
    }
    return stored.size() <= NAME_MAX_BYTES ? std::string_view(stored) : std::string_view();
}

bool is_valid(std::string_view name) {
    if (is_printable(name)) return name.size() <= NAME_MAX_BYTES;
    return name.size() <= LIGHT_MAX_BYTES && is_utf8(name) && !has_blanks(name) && bare(name).size() == name.size();
}

}  // namespace

std::string_view stored_name(std::string_view plain, std::string& stored) {
    if (!is_valid(plain) || plain.find('|') != plain.npos) return {};
    const std::string_view base = plain.substr(0, plain.find(';'));
    if (base.empty() || base.size() == plain.size()) return base;
    Tags tags;
    split_tags(plain.substr(base.size()), ';', "=", tags);
    return join_tags(base, tags, stored);
}

std::string_view stored_name(const StatsdLine& line, std::string& stored) {
    const std::string_view base = line.name.substr(0, line.name.find_first_of(",#;"));
    std::string_view rest = line.name.substr(base.size());
    if (!is_unchanged(base)) return {};
    if (rest.empty() && line.tags.empty()) return base;
    if (line.name.size() + line.tags.size() > JOINED_MAX_BYTES) return {};
    Tags tags;
    if (!rest.empty() && rest[0] != ';') {
        const std::string_view own = rest.substr(1, rest.find(';') - 1);
        if (own.find('=') == own.npos) return {};
        split_tags(own, ',', "=", tags);
        rest.remove_prefix(own.size() + 1);
    }
    split_tags(rest, ';', "=", tags);
    split_tags(line.tags, ',', ":=", tags);
    for (Tag& tag : tags) {
        if (!is_clean(tag)) return {};
        tag.has_value = true;
        if (tag.value.empty()) tag.value = FLAG;
    }
    return join_tags(base, tags, stored);
}

}  // namespace tally
