// The twin of tally/collector/receiver.py's loops: reads datagrams from a socket, with the times of their receipt.
//
// On Linux one call reads up to 64 datagrams. Each arrives in a slot of the largest size; what was received is copied
// to one block of memory, so that parsing it touches few pages.
#include "receiver.hpp"

#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstring>
#include <ctime>

namespace tally {
namespace {

constexpr std::size_t DATAGRAM_MAX_BYTES = 65'507;
// More memory than this is not kept for the next datagrams.
constexpr std::size_t KEPT_BYTES = 1 << 20;

}  // namespace

std::string_view Reader::operator[](std::size_t number) const {
    const std::size_t first = number == 0 ? 0 : ends_[number - 1];
    return {bytes_.data() + first, ends_[number] - first};
}

void Reader::keep(std::string_view datagram, std::int64_t time) {
    bytes_.insert(bytes_.end(), datagram.begin(), datagram.end());
    ends_.push_back(bytes_.size());
    times_.push_back(time);
}

int Reader::read(int descriptor, std::size_t most, bool is_timed) {
    bytes_.clear();
    ends_.clear();
    times_.clear();
    if (bytes_.capacity() > KEPT_BYTES) bytes_.shrink_to_fit();
    while (size() < most) {
        const int found = read_some(descriptor, most - size(), is_timed);
        if (found >= 0) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK) return 0;
        // What was read before an error is kept; the next call meets the error again, unless it has passed.
        if (errno != EINTR) return size() == 0 ? errno : 0;
    }
    return 0;
}

#ifdef __linux__

namespace {

constexpr std::size_t SLOTS = 64;
constexpr int SO_TIMESTAMPNS_NUMBER = 35;  // SCM_TIMESTAMPNS, socket(7)
// Room for the time only: in a larger buffer, a sender could pass open files.
constexpr std::size_t CONTROL_BYTES = CMSG_SPACE(sizeof(timespec));

std::int64_t time_of(const msghdr& header) {
    const cmsghdr* control = CMSG_FIRSTHDR(&header);
    if (control == nullptr || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SO_TIMESTAMPNS_NUMBER)
        return -1;
    timespec time;
    std::memcpy(&time, CMSG_DATA(control), sizeof time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000 + time.tv_nsec / 1000;
}

}  // namespace

int Reader::read_some(int descriptor, std::size_t most, bool is_timed) {
    if (slots_ == nullptr) slots_.reset(new char[SLOTS * DATAGRAM_MAX_BYTES]);
    const std::size_t count = most < SLOTS ? most : SLOTS;
    mmsghdr messages[SLOTS] = {};
    iovec parts[SLOTS];
    alignas(cmsghdr) char controls[SLOTS][CONTROL_BYTES];
    for (std::size_t at = 0; at < count; ++at) {
        parts[at] = {slots_.get() + at * DATAGRAM_MAX_BYTES, DATAGRAM_MAX_BYTES};
        messages[at].msg_hdr.msg_iov = &parts[at];
        messages[at].msg_hdr.msg_iovlen = 1;
        if (!is_timed) continue;
        messages[at].msg_hdr.msg_control = controls[at];
        messages[at].msg_hdr.msg_controllen = CONTROL_BYTES;
    }
    const int found = recvmmsg(descriptor, messages, static_cast<unsigned int>(count), MSG_DONTWAIT, nullptr);
    for (int at = 0; at < found; ++at) {
        const char* first = slots_.get() + static_cast<std::size_t>(at) * DATAGRAM_MAX_BYTES;
        keep({first, messages[at].msg_len}, is_timed ? time_of(messages[at].msg_hdr) : -1);
    }
    // Fewer than asked for were there: another call would only say so.
    if (found >= 0 && static_cast<std::size_t>(found) < count) return errno = EAGAIN, -1;
    return found;
}

#else

int Reader::read_some(int descriptor, std::size_t, bool) {
    if (slots_ == nullptr) slots_.reset(new char[DATAGRAM_MAX_BYTES]);
    const ssize_t bytes = recv(descriptor, slots_.get(), DATAGRAM_MAX_BYTES, MSG_DONTWAIT);
    if (bytes < 0) return -1;
    keep({slots_.get(), static_cast<std::size_t>(bytes)}, -1);
    return 1;
}

#endif

}  // namespace tally
