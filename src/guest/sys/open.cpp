#include "guest/sys/open.hpp"

#include "guest/kernel/parts.hpp"
#include "guest/sys/file_lock.hpp"
#include "guest/sys/files.hpp"
#include "guest/sys/news.hpp"
#include "guest/vfs/file_locks.hpp"
#include "guest/vfs/news.hpp"
#include "guest/vfs/open.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/memfd.h>
#include <linux/openat2.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

namespace hearth::guest {
namespace {

/// The other side of a FIFO has not come yet. The descriptor is there meanwhile, so that it goes
/// with the process.
sysret wait_for_partner(description_id id, int fd) {
    wait_state wait;
    wait.opening = id;
    wait.progress = static_cast<std::uint64_t>(fd);
    return sysret::park(std::move(wait));
}

sysret go_on_opening(task& t, description_id id, int fd) {
    const vfs::descriptor* d = t.files().find(fd);
    if (!d || d->description != id) return sysret::error(EBADF);  // another thread closed it
    if (!vfs::waits_for_partner(files::state_of(t), id)) return fd;
    if (t.interrupted()) files::close_descriptor(t, fd);
    return wait_for_partner(id, fd);
}

sysret open_at(task& t, int directory, guest_ptr<const char> path, int flags, std::uint32_t mode) {
    if (t.wait() && t.wait()->opening)
        return go_on_opening(t, *t.wait()->opening, static_cast<int>(t.wait()->progress));
    auto name = t.read_path(path);
    if (!name) return name.error();
    if (auto room = files::check_free_descriptor(t); !room) return room.error();
    auto base = files::base_of(t, directory, *name);
    if (!base) return base.error();
    auto id = vfs::open(files::context_of(t), files::tree_of(t), *base, *name, flags, mode);
    if (!id) return id.error();
    const auto fd = files::install(t, *id, flags & O_CLOEXEC);
    if (!fd) return fd.error();
    if (std::holds_alternative<vfs::pipe_end>(files::state_of(t).find(*id)->body))
        t.kernel().contend();  // somebody may have waited for this
    if (vfs::waits_for_partner(files::state_of(t), *id)) return wait_for_partner(*id, *fd);
    return fd;
}

sysret duplicate(task& t, int fd, int from, bool close_on_exec) {
    auto o = files::find(t, fd, true);
    if (!o) return o.error();
    if (from < 0 || from >= files::descriptor_limit(t)) return sysret::error(EINVAL);
    files::state_of(t).retain(o->id);
    return files::install(t, o->id, close_on_exec, from);
}

sysret duplicate_to(task& t, int fd, int to, bool close_on_exec) {
    auto o = files::find(t, fd, true);
    if (!o || to < 0 || to >= files::descriptor_limit(t)) return sysret::error(EBADF);
    files::state_of(t).retain(o->id);
    files::close_descriptor(t, to);
    t.files().set(to, {o->id, close_on_exec});
    return to;
}

sysret pipe_size(task& t, const files::opened& o, int command, std::uint64_t argument) {
    const auto* end = std::get_if<vfs::pipe_end>(&o.description->body);
    if (!end) return sysret::error(EBADF);
    vfs::pipe& pipe = files::state_of(t).pipes[end->pipe];
    if (command == F_SETPIPE_SZ) {
        const auto wanted = static_cast<std::uint32_t>(argument);
        if (wanted == 0 || wanted > (1u << 31)) return sysret::error(EINVAL);
        const std::size_t size = std::max<std::size_t>(std::bit_ceil(wanted), 4096);
        if (size > vfs::pipe::max_capacity) return sysret::error(EPERM);
        if (size < pipe.bytes.size()) return sysret::error(EBUSY);
        std::size_t all = size;
        for (const auto& [id, p] : files::state_of(t).pipes)
            all += id == end->pipe ? 0 : p.capacity;
        if (size > pipe.capacity && all > vfs::max_pipe_bytes) return sysret::error(EPERM);
        pipe.capacity = size;
    }
    return static_cast<std::int64_t>(pipe.capacity);
}

sysret seals(task& t, const files::opened& o, int command, std::uint64_t argument) {
    const auto* file = std::get_if<vfs::tmpfs_file>(&o.description->body);
    vfs::inode* node = file ? files::state_of(t).files.find(file->inode) : nullptr;
    if (!node) return sysret::error(EINVAL);
    if (command == F_GET_SEALS) return static_cast<std::int64_t>(node->seals);
    constexpr std::uint64_t known =
        F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
    if (argument & ~known) return sysret::error(EINVAL);
    if ((o.description->flags & O_ACCMODE) == O_RDONLY || (node->seals & F_SEAL_SEAL))
        return sysret::error(EPERM);
    // Who can write through a mapping now could go on.
    if ((argument & F_SEAL_WRITE) && !(node->seals & F_SEAL_WRITE) &&
        vfs::file_pages(t.kernel().state(), t.kernel().memory()).is_mapped_writable(file->inode))
        return sysret::error(EBUSY);
    node->seals |= static_cast<std::uint32_t>(argument);
    return 0;
}

}  // namespace

sysret sys_open(task& t, guest_ptr<const char> path, int flags, std::uint32_t mode) {
    return open_at(t, AT_FDCWD, path, flags, mode);
}
sysret sys_creat(task& t, guest_ptr<const char> path, std::uint32_t mode) {
    return open_at(t, AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
sysret sys_openat(
    task& t, int directory, guest_ptr<const char> path, int flags, std::uint32_t mode) {
    return open_at(t, directory, path, flags, mode);
}

sysret sys_openat2(task& t,
                   int directory,
                   guest_ptr<const char> path,
                   guest_ptr<const void> how,
                   std::uint64_t size) {
    if (size < sizeof(abi::open_how)) return sysret::error(EINVAL);
    if (size > 4096) return sysret::error(E2BIG);
    std::vector<std::byte> raw(size);
    if (auto ok = t.memory().read(how.address, raw); !ok) return ok.error();
    // A longer structure of a later kernel must hold nothing we do not know
    // (copy_struct_from_user).
    if (std::any_of(raw.begin() + sizeof(abi::open_how), raw.end(),
                    [](std::byte b) { return b != std::byte{0}; }))
        return sysret::error(E2BIG);
    abi::open_how h{};
    std::memcpy(&h, raw.data(), sizeof h);
    constexpr std::uint64_t known = O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND |
                                    O_NONBLOCK | O_SYNC | FASYNC | O_DIRECT | 0100000u |
                                    O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_PATH |
                                    O_TMPFILE;
    if ((h.flags & ~known) || (h.mode & ~std::uint64_t{07777})) return sysret::error(EINVAL);
    if (h.mode && !(h.flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)))) return sysret::error(EINVAL);
    constexpr std::uint64_t resolve_known = RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS |
                                            RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH |
                                            RESOLVE_IN_ROOT | RESOLVE_CACHED;
    if (h.resolve & ~resolve_known) return sysret::error(EINVAL);
    // A promise of confinement that the walk does not make is refused, not ignored.
    if (h.resolve) return sysret::error(EOPNOTSUPP);
    return open_at(t, directory, path, static_cast<int>(h.flags),
                   static_cast<std::uint32_t>(h.mode));
}

sysret sys_close(task& t, int fd) {
    if (!t.files().find(fd)) return sysret::error(EBADF);
    files::close_descriptor(t, fd);
    return 0;
}

sysret sys_close_range(task& t, unsigned first, unsigned last, unsigned flags) {
    if (flags & ~(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)) return sysret::error(EINVAL);
    if (first > last) return sysret::error(EINVAL);
    if (flags & CLOSE_RANGE_UNSHARE) parts::own_files(t.kernel().state(), t.state());
    std::vector<int> hit;
    for (const auto& [fd, d] : t.files().all())
        if (static_cast<unsigned>(fd) >= first && static_cast<unsigned>(fd) <= last)
            hit.push_back(fd);
    for (int fd : hit) {
        if (flags & CLOSE_RANGE_CLOEXEC)
            t.files().find(fd)->close_on_exec = true;
        else
            files::close_descriptor(t, fd);
    }
    return 0;
}

sysret sys_dup(task& t, int fd) { return duplicate(t, fd, 0, false); }
sysret sys_dup2(task& t, int fd, int to) {
    if (fd == to) return t.files().find(fd) ? sysret(to) : sysret::error(EBADF);
    return duplicate_to(t, fd, to, false);
}
sysret sys_dup3(task& t, int fd, int to, int flags) {
    if ((flags & ~O_CLOEXEC) || fd == to) return sysret::error(EINVAL);
    return duplicate_to(t, fd, to, flags & O_CLOEXEC);
}

sysret sys_fcntl(task& t, int fd, int command, std::uint64_t argument) {
    auto o = files::find(t, fd, true);
    if (!o) return o.error();
    // Of an O_PATH descriptor only these (fcntl.c, check_fcntl_cmd).
    const bool on_place = command == F_DUPFD || command == F_DUPFD_CLOEXEC || command == F_GETFD ||
                          command == F_SETFD || command == F_GETFL;
    if ((o->description->flags & O_PATH) && !on_place) return sysret::error(EBADF);
    const int number = static_cast<int>(argument);
    constexpr std::uint32_t settable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME;
    switch (command) {
        case F_DUPFD:
            return duplicate(t, fd, number, false);
        case F_DUPFD_CLOEXEC:
            return duplicate(t, fd, number, true);
        case F_GETFD:
            return o->descriptor->close_on_exec ? FD_CLOEXEC : 0;
        case F_SETFD:
            o->descriptor->close_on_exec = number & FD_CLOEXEC;
            return 0;
        case F_GETFL:
            return static_cast<std::int64_t>(o->description->flags);
        case F_SETFL:
            if (vfs::tells_news(*o->description))
                if (auto done = set_async(t, *o, fd, number & FASYNC); !done) return done;
            o->description->flags = (o->description->flags & ~settable) |
                                    (static_cast<std::uint32_t>(number) & settable);
            return 0;
        case F_GETLK:
        case F_SETLK:
        case F_SETLKW:
        case F_OFD_GETLK:
        case F_OFD_SETLK:
        case F_OFD_SETLKW:
            return record_lock(t, *o, command, argument);
        case F_GETPIPE_SZ:
        case F_SETPIPE_SZ:
            return pipe_size(t, *o, command, argument);
        case F_ADD_SEALS:
        case F_GET_SEALS:
            return seals(t, *o, command, argument);
        case F_SETOWN:
        case F_GETOWN:
        case F_SETOWN_EX:
        case F_GETOWN_EX:
        case F_SETSIG:
        case F_GETSIG:
            return news_control(t, *o, command, argument);
        default:
            return sysret::error(EINVAL);
    }
}

sysret sys_memfd_create(task& t, guest_ptr<const char> name, unsigned flags) {
    if (flags & MFD_HUGETLB) return sysret::error(ENOSYS);
    if (flags & ~(MFD_CLOEXEC | MFD_ALLOW_SEALING)) return sysret::error(EINVAL);
    constexpr std::size_t longest = vfs::max_name_length - 6;  // "memfd:"
    auto text = t.memory().read_string(name.address, longest + 1);
    if (!text) return os_error{text.error().number == ENAMETOOLONG ? EINVAL : text.error().number};
    auto id = vfs::make_memory_file(files::context_of(t), files::tree_of(t), *text,
                                    flags & MFD_ALLOW_SEALING, true);
    if (!id) return id.error();
    return files::install(t, *id, flags & MFD_CLOEXEC);
}

sysret sys_umask(task& t, std::uint32_t mask) {
    const std::uint32_t before = t.view().umask;
    t.view().umask = mask & 0777;
    return before;
}

}  // namespace hearth::guest
