// Datagrams, read from a socket many at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace tally {

class Reader {
  public:
    // Reads up to `most` datagrams in place of those that it has. Returns 0 or an error of errno.h.
    int read(int descriptor, std::size_t most, bool is_timed);

    std::size_t size() const { return ends_.size(); }
    std::string_view operator[](std::size_t number) const;
    // Returns when the kernel received a datagram, in microseconds since 1970, or -1 if that is not known.
    std::int64_t time(std::size_t number) const { return times_[number]; }

  private:
    // Reads up to `most` datagrams, at least one. Returns how many, or -1 and sets errno.
    int read_some(int descriptor, std::size_t most, bool is_timed);
    void keep(std::string_view datagram, std::int64_t time);

    std::unique_ptr<char[]> slots_;
    std::vector<char> bytes_;
    std::vector<std::size_t> ends_;
    std::vector<std::int64_t> times_;
};

}  // namespace tally
