#include "guest/vfs/fd_table.hpp"

#include <cerrno>

namespace hearth::guest::vfs {

const descriptor* fd_table::find(int fd) const noexcept {
    const auto it = entries_.find(fd);
    return it == entries_.end() ? nullptr : &it->second;
}
descriptor* fd_table::find(int fd) noexcept {
    const auto it = entries_.find(fd);
    return it == entries_.end() ? nullptr : &it->second;
}

outcome<int> fd_table::insert(descriptor d, int from) {
    if (from < 0) from = 0;
    int free = from;
    for (auto it = entries_.lower_bound(from); it != entries_.end() && it->first == free; ++it)
        ++free;
    if (free >= max_descriptors) return os_error{EMFILE};
    entries_.emplace(free, d);
    return free;
}

void fd_table::set(int fd, descriptor d) { entries_[fd] = d; }

std::optional<descriptor> fd_table::remove(int fd) {
    const auto it = entries_.find(fd);
    if (it == entries_.end()) return std::nullopt;
    const descriptor d = it->second;
    entries_.erase(it);
    return d;
}

}  // namespace hearth::guest::vfs
