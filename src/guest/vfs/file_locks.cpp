#include "guest/vfs/file_locks.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

namespace hearth::guest::vfs {
namespace {

using lock_list = std::vector<file_lock>;

std::size_t count(const vfs_state& state) {
    std::size_t total = 0;
    for (const auto& [place, locks] : state.locks) total += locks.size();
    return total;
}

/// What `by` covers of its owner's locks goes.
void cut(lock_list& locks, const file_lock& by) {
    lock_list left;
    for (const file_lock& l : locks) {
        if (!l.is_owner_of(by) || !l.overlaps(by)) {
            left.push_back(l);
            continue;
        }
        if (l.first < by.first) {
            left.push_back(l);
            left.back().last = by.first - 1;
        }
        if (l.last > by.last) {
            left.push_back(l);
            left.back().first = by.last + 1;
        }
    }
    locks = std::move(left);
}

/// Adds a lock where its owner has none, joined with those of its kind beside it.
void add(lock_list& locks, file_lock lock) {
    std::erase_if(locks, [&](const file_lock& l) {
        if (!l.is_owner_of(lock) || l.exclusive != lock.exclusive) return false;
        if (l.last != file_lock::to_the_end && l.last + 1 == lock.first)
            lock.first = l.first;
        else if (lock.last != file_lock::to_the_end && lock.last + 1 == l.first)
            lock.last = l.last;
        else
            return false;
        return true;
    });
    locks.push_back(lock);
}

template <class Gone>
void forget(vfs_state& state, Gone gone) {
    for (auto& [place, locks] : state.locks) std::erase_if(locks, gone);
    std::erase_if(state.locks, [](const auto& entry) { return entry.second.empty(); });
}

}  // namespace

std::optional<lock_place> place_of(const description& d) {
    const auto of_node = [](const tree_node& node) {
        const auto inode = static_cast<std::uint64_t>(node.inode);
        return inode ? lock_place{inode, 0, {}} : lock_place{0, node.mount, node.inner};
    };
    if (const auto* file = std::get_if<tmpfs_file>(&d.body))
        return lock_place{static_cast<std::uint64_t>(file->inode), 0, {}};
    if (const auto* file = std::get_if<tree_file>(&d.body)) return of_node(file->node);
    if (const auto* directory = std::get_if<open_directory>(&d.body))
        return of_node(directory->node);
    return std::nullopt;
}

const file_lock* conflict(const vfs_state& state, const lock_place& place, const file_lock& lock) {
    const auto it = state.locks.find(place);
    if (it == state.locks.end()) return nullptr;
    const auto found = std::ranges::find_if(it->second, [&](const file_lock& l) {
        return l.whole == lock.whole && !l.is_owner_of(lock) && l.overlaps(lock) &&
               (l.exclusive || lock.exclusive);
    });
    return found == it->second.end() ? nullptr : &*found;
}

outcome<void> set_lock(vfs_state& state, const lock_place& place, const file_lock& lock) {
    if (count(state) + 2 > max_locks) return os_error{ENOLCK};
    lock_list& locks = state.locks[place];
    cut(locks, lock);
    add(locks, lock);
    return {};
}

outcome<void> clear_lock(vfs_state& state, const lock_place& place, const file_lock& lock) {
    const auto it = state.locks.find(place);
    if (it == state.locks.end()) return {};
    const bool in_two = std::ranges::any_of(it->second, [&](const file_lock& l) {
        return l.is_owner_of(lock) && l.first < lock.first && l.last > lock.last;
    });
    if (in_two && count(state) >= max_locks) return os_error{ENOLCK};
    cut(it->second, lock);
    if (it->second.empty()) state.locks.erase(it);
    return {};
}

void forget_records(vfs_state& state, std::uint64_t files, const description& d) {
    if (state.locks.empty()) [[likely]]
        return;
    if (const auto place = place_of(d)) (void)clear_lock(state, *place, {.files = files});
}

void forget_records(vfs_state& state, std::uint64_t files) {
    forget(state, [&](const file_lock& l) { return l.files == files; });
}

void forget_locks(vfs_state& state, description_id id) {
    forget(state, [&](const file_lock& l) {
        return l.files == 0 && l.description == static_cast<std::uint32_t>(id);
    });
}

}  // namespace hearth::guest::vfs
