#include "guest/vfs/user_buffers.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace hearth::guest::vfs {

outcome<std::size_t> user_buffers::put(std::span<const std::byte> bytes) {
    return each(bytes.size(), true, [&](std::span<std::byte> to) {
        std::memcpy(to.data(), bytes.data(), to.size());
        bytes = bytes.subspan(to.size());
        return to.size();
    });
}

outcome<std::size_t> user_buffers::take(std::span<std::byte> out) {
    return each(out.size(), false, [&](std::span<std::byte> from) {
        std::memcpy(out.data(), from.data(), from.size());
        out = out.subspan(from.size());
        return from.size();
    });
}

std::uint64_t guest_buffers::size() const {
    std::uint64_t total = 0;
    for (std::size_t i = at_; i < segments_.size(); ++i) total += segments_[i].length;
    return total;
}

outcome<std::size_t> guest_buffers::each(std::uint64_t max, bool into_guest, const use& f) {
    std::size_t total = 0;
    while (max && at_ < segments_.size()) {
        segment& s = segments_[at_];
        if (s.length == 0) {
            ++at_;
            continue;
        }
        const std::uint64_t n = std::min(max, s.length);
        auto used = memory_.for_each_span(s.start, n, into_guest, f);
        if (!used) {
            if (total) return total;
            return used.error();
        }
        s.start += *used;
        s.length -= *used;
        max -= *used;
        total += *used;
        if (*used < n) break;
    }
    return total;
}

void guest_buffers::skip(std::uint64_t n) {
    while (n && at_ < segments_.size()) {
        segment& s = segments_[at_];
        const std::uint64_t part = std::min(n, s.length);
        s.start += part;
        s.length -= part;
        n -= part;
        if (s.length == 0) ++at_;
    }
}

outcome<std::size_t> host_buffer::each(std::uint64_t max, bool, const use& f) {
    const std::size_t n = std::min<std::uint64_t>(max, bytes_.size());
    if (n == 0) return std::size_t{0};
    const std::size_t used = f(bytes_.first(n));
    bytes_ = bytes_.subspan(used);
    return used;
}

}  // namespace hearth::guest::vfs
