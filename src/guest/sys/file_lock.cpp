#include "guest/sys/file_lock.hpp"

#include "guest/vfs/file_locks.hpp"

#include <climits>

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <utility>

namespace hearth::guest {
namespace {

using vfs::file_lock;
using vfs::lock_place;

/// The bytes that struct flock means. EINVAL: before the file; EOVERFLOW: beyond any.
outcome<file_lock> range_of(task& t, const vfs::description& d, const abi::flock& asked) {
    std::int64_t from = 0;
    if (asked.whence == SEEK_CUR) from = static_cast<std::int64_t>(d.offset);
    if (asked.whence == SEEK_END) {
        auto attr = vfs::attributes_of(files::context_of(t), files::tree_of(t), d);
        if (!attr) return attr.error();
        from = static_cast<std::int64_t>(attr->size);
    }
    std::int64_t start = 0;
    if (__builtin_add_overflow(from, asked.start, &start)) return os_error{EOVERFLOW};
    if (start < 0) return os_error{EINVAL};
    file_lock lock;
    lock.first = static_cast<std::uint64_t>(start);
    if (asked.length > 0) {
        std::int64_t last = 0;
        if (__builtin_add_overflow(start, asked.length - 1, &last)) return os_error{EOVERFLOW};
        if (last != INT64_MAX) lock.last = static_cast<std::uint64_t>(last);
    } else if (asked.length < 0) {
        if (start + asked.length < 0) return os_error{EINVAL};
        lock.last = lock.first - 1;
        lock.first = static_cast<std::uint64_t>(start + asked.length);
    }
    return lock;
}

/// Whether the holder of a lock waits, himself or by those he waits for, for the one who asks.
bool would_deadlock(task& t, const lock_place& place, const file_lock& asked) {
    const kernel_state& state = t.kernel().state();
    const auto waits_for = [&](part_id holder) -> const vfs::lock_wait* {
        for (const auto& [tid, ts] : state.tasks) {
            const auto* waiting = std::get_if<task_waiting>(&ts.run);
            if (waiting && ts.files == holder && waiting->wait.lock &&
                waiting->wait.lock->lock.files != 0)
                return &*waiting->wait.lock;
        }
        return nullptr;
    };
    const file_lock* held = vfs::conflict(state.vfs, place, asked);
    for (std::size_t i = 0; held && held->files != 0 && i <= state.processes.size(); ++i) {
        if (held->files == asked.files) return true;
        const vfs::lock_wait* next = waits_for(held->files);
        if (!next) return false;
        held = vfs::conflict(state.vfs, next->place, next->lock);
    }
    return false;
}

sysret take(task& t, const lock_place& place, const file_lock& lock, bool waits, int taken) {
    vfs::vfs_state& state = files::state_of(t);
    if (vfs::conflict(state, place, lock)) {
        if (!waits) return sysret::error(taken);
        if (lock.files != 0 && would_deadlock(t, place, lock)) return sysret::error(EDEADLK);
        wait_state wait;
        wait.lock = vfs::lock_wait{place, lock};
        return sysret::park(std::move(wait));
    }
    t.kernel().contend();  // it may be weaker than the one before
    return vfs::set_lock(state, place, lock);
}

}  // namespace

sysret record_lock(task& t, const files::opened& o, int command, std::uint64_t argument) {
    const guest_ptr<abi::flock> p{gva{argument}};
    auto asked = t.read(p);
    if (!asked) return asked.error();
    if (asked->type != F_RDLCK && asked->type != F_WRLCK && asked->type != F_UNLCK)
        return sysret::error(EINVAL);
    if (asked->whence < SEEK_SET || asked->whence > SEEK_END) return sysret::error(EINVAL);
    const bool of_description =
        command == F_OFD_GETLK || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    if (of_description && asked->pid != 0) return sysret::error(EINVAL);
    auto lock = range_of(t, *o.description, *asked);
    if (!lock) return lock.error();
    lock->exclusive = asked->type == F_WRLCK;
    if (of_description) {
        lock->description = static_cast<std::uint32_t>(o.id);
    } else {
        lock->files = t.state().files;
        lock->process = t.process().id;
    }
    const auto place = vfs::place_of(*o.description);
    vfs::vfs_state& state = files::state_of(t);

    if (command == F_GETLK || command == F_OFD_GETLK) {
        if (asked->type == F_UNLCK) return sysret::error(EINVAL);
        const file_lock* const other = place ? vfs::conflict(state, *place, *lock) : nullptr;
        if (!other) {
            asked->type = F_UNLCK;
            return t.write(p, *asked);
        }
        asked->type = other->exclusive ? F_WRLCK : F_RDLCK;
        asked->whence = SEEK_SET;
        asked->start = static_cast<std::int64_t>(other->first);
        asked->length = other->last == file_lock::to_the_end
                            ? 0
                            : static_cast<std::int64_t>(other->last - other->first + 1);
        asked->pid = other->process ? other->process : -1;
        return t.write(p, *asked);
    }
    const int access = static_cast<int>(o.description->flags) & O_ACCMODE;
    if (asked->type == F_RDLCK && access == O_WRONLY) return sysret::error(EBADF);
    if (asked->type == F_WRLCK && access == O_RDONLY) return sysret::error(EBADF);
    if (!place) return 0;  // pipes and the like: nobody else's
    if (asked->type == F_UNLCK) {
        t.kernel().contend();
        return vfs::clear_lock(state, *place, *lock);
    }
    return take(t, *place, *lock, command == F_SETLKW || command == F_OFD_SETLKW, EAGAIN);
}

sysret sys_flock(task& t, int fd, int operation) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    const int kind = operation & ~LOCK_NB;
    if (kind != LOCK_SH && kind != LOCK_EX && kind != LOCK_UN) return sysret::error(EINVAL);
    const auto place = vfs::place_of(*o->description);
    if (!place) return 0;
    file_lock lock{.whole = true,
                   .exclusive = kind == LOCK_EX,
                   .description = static_cast<std::uint32_t>(o->id)};
    // A lock of the other kind goes before the new one is had (man 2 flock).
    t.kernel().contend();
    if (kind == LOCK_UN || vfs::conflict(files::state_of(t), *place, lock))
        if (auto gone = vfs::clear_lock(files::state_of(t), *place, lock); !gone || kind == LOCK_UN)
            return gone;
    return take(t, *place, lock, !(operation & LOCK_NB), EWOULDBLOCK);
}

}  // namespace hearth::guest
