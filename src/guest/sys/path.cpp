#include "guest/sys/path.hpp"

#include "guest/kernel/credentials.hpp"
#include "guest/sys/files.hpp"
#include "guest/sys/time.hpp"
#include "guest/vfs/procfs.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hearth::guest {
namespace {

vfs::owner owner_of(task& t) { return {t.process().uid, t.process().gid}; }
vfs::tmpfs& tmp(task& t) { return files::state_of(t).files; }
vfs::file_pages pages(task& t) { return {t.kernel().state(), t.kernel().memory()}; }

/// The last component names something that can be made or removed.
bool is_name(std::string_view s) { return !s.empty() && s != "." && s != ".."; }

/// A mount point's directory belongs to the mount: it is neither removed nor renamed.
bool is_mount_point(task& t, const vfs::location& l) {
    if (l.what == vfs::location::kind::implied) return true;
    const auto& mounts = files::tree_of(t).mounts();
    return std::any_of(mounts.begin(), mounts.end(),
                       [&](const vfs::mount& m) { return m.point == l.path; });
}

/// Of an entry that is to be made: EEXIST before the read-only tree's EROFS, as Linux has it.
outcome<vfs::inode_id> free_entry(task& t, const files::entry& e) {
    if (e.walk.found) return os_error{EEXIST};
    return files::changeable_directory(t, e);
}

sysret remove(task& t, int directory, guest_ptr<const char> path, bool is_directory) {
    auto e = files::find_entry(t, directory, path);
    if (!e) return e.error();
    const std::string& name = e->walk.name;
    if (is_directory) {
        if (name == ".") return sysret::error(EINVAL);
        if (name == "..") return sysret::error(ENOTEMPTY);
        if (name.empty()) return sysret::error(EBUSY);
    } else if (!is_name(name)) {
        return sysret::error(EISDIR);
    }
    if (!e->walk.found) return sysret::error(ENOENT);
    if (is_mount_point(t, e->walk.child)) return sysret::error(EBUSY);
    auto parent = files::changeable_directory(t, *e);
    if (!parent) return parent.error();
    if (!is_directory && e->walk.must_be_directory)
        return sysret::error(e->walk.child.attr.is_directory() ? EISDIR : ENOTDIR);
    return is_directory ? tmp(t).remove_directory(*parent, name, files::now_of(t))
                        : tmp(t).unlink(*parent, name, files::now_of(t));
}

sysret rename(task& t,
              int from_directory,
              guest_ptr<const char> from,
              int to_directory,
              guest_ptr<const char> to,
              unsigned flags) {
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT))
        return sysret::error(EINVAL);
    if ((flags & RENAME_EXCHANGE) && (flags & (RENAME_NOREPLACE | RENAME_WHITEOUT)))
        return sysret::error(EINVAL);
    if (flags & RENAME_WHITEOUT)
        return sysret::error(EINVAL);  // the filesystem does not support it
    auto a = files::find_entry(t, from_directory, from);
    if (!a) return a.error();
    auto b = files::find_entry(t, to_directory, to);
    if (!b) return b.error();
    if (a->directory.node.mount != b->directory.node.mount) return sysret::error(EXDEV);
    if (!is_name(a->walk.name) || !is_name(b->walk.name)) return sysret::error(EBUSY);
    if (!a->walk.found) return sysret::error(ENOENT);
    if (b->walk.found && (flags & RENAME_NOREPLACE)) return sysret::error(EEXIST);
    if (is_mount_point(t, a->walk.child) || (b->walk.found && is_mount_point(t, b->walk.child)))
        return sysret::error(EBUSY);
    auto source = files::changeable_directory(t, *a);
    if (!source) return source.error();
    auto target = files::changeable_directory(t, *b);
    if (!target) return target.error();
    const bool moves_directory = a->walk.child.attr.is_directory();
    if ((a->walk.must_be_directory || b->walk.must_be_directory) && !moves_directory)
        return sysret::error(ENOTDIR);
    return tmp(t).rename(*source, a->walk.name, *target, b->walk.name, flags, files::now_of(t));
}

sysret change_mode(task& t, outcome<vfs::inode_id> id, std::uint32_t mode) {
    if (!id) return id.error();
    vfs::inode* node = tmp(t).find(*id);
    if (!node) return sysret::error(ENOENT);
    if (std::holds_alternative<vfs::symlink_body>(node->body)) return sysret::error(EOPNOTSUPP);
    node->permissions = mode & 07777;
    node->changed = files::now_of(t);
    return 0;
}

sysret change_owner(task& t, outcome<vfs::inode_id> id, std::uint32_t uid, std::uint32_t gid) {
    if (!id) return id.error();
    vfs::inode* node = tmp(t).find(*id);
    if (!node) return sysret::error(ENOENT);
    constexpr std::uint32_t keep = ~std::uint32_t{0};
    if (uid != keep) node->uid = uid;
    if (gid != keep) node->gid = gid;
    if (std::holds_alternative<vfs::file_content>(node->body) && (uid != keep || gid != keep))
        node->permissions &= ~06000u;
    node->changed = files::now_of(t);
    return 0;
}

/// What a time argument asks: keep, now, or a time.
outcome<std::optional<std::chrono::nanoseconds>> wanted_time(task& t, const abi::timespec& ts) {
    if (ts.nanoseconds == UTIME_OMIT) return std::optional<std::chrono::nanoseconds>();
    if (ts.nanoseconds == UTIME_NOW) return std::optional(files::now_of(t));
    if (ts.nanoseconds < 0 || ts.nanoseconds > 999'999'999) return os_error{EINVAL};
    constexpr std::int64_t most = INT64_MAX / 1'000'000'000 - 1;
    return std::optional(std::chrono::nanoseconds(
        std::clamp(ts.seconds, -most, most) * 1'000'000'000 + ts.nanoseconds));
}

sysret set_times(task& t,
                 outcome<vfs::inode_id> id,
                 std::optional<std::array<abi::timespec, 2>> times) {
    const auto now = files::now_of(t);
    std::optional<std::chrono::nanoseconds> accessed = now, modified = now;
    if (times) {
        auto a = wanted_time(t, (*times)[0]);
        if (!a) return a.error();
        auto m = wanted_time(t, (*times)[1]);
        if (!m) return m.error();
        accessed = *a;
        modified = *m;
    }
    if (!id) return id.error();
    vfs::inode* node = tmp(t).find(*id);
    if (!node) return sysret::error(ENOENT);
    if (accessed) node->accessed = *accessed;
    if (modified) node->modified = *modified;
    if (accessed || modified) node->changed = now;
    return 0;
}

outcome<std::optional<std::array<abi::timespec, 2>>> read_timevals(
    task& t, guest_ptr<const abi::timeval> times) {
    std::optional<std::array<abi::timespec, 2>> out;
    if (!times) return out;
    out.emplace();
    for (std::size_t i = 0; i < 2; ++i) {
        auto v = t.read(times + i);
        if (!v) return v.error();
        if (v->microseconds < 0 || v->microseconds >= 1'000'000) return os_error{EINVAL};
        (*out)[i] = {v->seconds, v->microseconds * 1000};
    }
    return out;
}

outcome<vfs::inode_id> inode_at(task& t, int directory, guest_ptr<const char> path, int how) {
    auto p = files::find_place(t, directory, path, how);
    if (!p) return p.error();
    return files::changeable(t, *p);
}

outcome<vfs::inode_id> inode_of(task& t, int fd) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    return files::changeable(t, *o->description);
}

}  // namespace

sysret sys_readlinkat(
    task& t, int directory, guest_ptr<const char> path, guest_ptr<char> out, int size) {
    if (size <= 0) return sysret::error(EINVAL);
    auto p = files::find_place(t, directory, path, files::no_follow | files::empty_path);
    if (!p) return p.error();
    vfs::location link = p->location;
    if (p->is_open) {
        // readlinkat(fd, ""): a symlink opened with O_PATH|O_NOFOLLOW.
        const auto* place = std::get_if<vfs::path_only>(&p->open.description->body);
        if (!place || !p->attr.is_symlink()) return sysret::error(ENOENT);
        link.node = place->node;
    } else if (!p->attr.is_symlink()) {
        return sysret::error(EINVAL);
    }
    auto target = files::tree_of(t).read_link(files::context_of(t), link);
    if (!target) return target.error();
    const bool magic = target->starts_with('/') &&
                       files::tree_of(t).mount_of(link.node).what == vfs::mount::kind::proc;
    if (magic) *target = vfs::shown_from(t.view().root, *target);
    const std::size_t n = std::min(target->size(), static_cast<std::size_t>(size));
    if (auto ok = t.memory().write(out.address, std::as_bytes(std::span(*target).first(n))); !ok)
        return ok.error();
    return static_cast<std::int64_t>(n);
}
sysret sys_readlink(task& t, guest_ptr<const char> path, guest_ptr<char> out, int size) {
    return sys_readlinkat(t, AT_FDCWD, path, out, size);
}

sysret sys_mkdirat(task& t, int directory, guest_ptr<const char> path, std::uint32_t mode) {
    auto e = files::find_entry(t, directory, path);
    if (!e) return e.error();
    auto parent = free_entry(t, *e);
    if (!parent) return parent.error();
    auto made = tmp(t).create_directory(*parent, e->walk.name, mode & 01777 & ~t.view().umask,
                                        owner_of(t), files::now_of(t));
    return made ? sysret(0) : sysret(made.error());
}
sysret sys_mkdir(task& t, guest_ptr<const char> path, std::uint32_t mode) {
    return sys_mkdirat(t, AT_FDCWD, path, mode);
}

sysret sys_mknodat(
    task& t, int directory, guest_ptr<const char> path, std::uint32_t mode, unsigned device) {
    const std::uint32_t type = mode & S_IFMT;
    if (type != 0 && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR &&
        type != S_IFBLK)
        return sysret::error(EINVAL);
    auto e = files::find_entry(t, directory, path);
    if (!e) return e.error();
    auto parent = free_entry(t, *e);
    if (!parent) return parent.error();
    const std::uint32_t permissions = mode & 07777 & ~t.view().umask;
    if (e->walk.must_be_directory) return sysret::error(ENOENT);
    if (type == S_IFCHR || type == S_IFBLK) {
        if (!capable(t.process(), CAP_MKNOD)) return sysret::error(EPERM);
        auto made = tmp(t).create_device(*parent, e->walk.name, permissions,
                                         {device, type == S_IFBLK}, owner_of(t), files::now_of(t));
        return made ? sysret(0) : sysret(made.error());
    }
    const auto make = type == S_IFIFO    ? &vfs::tmpfs::create_fifo
                      : type == S_IFSOCK ? &vfs::tmpfs::create_socket
                                         : &vfs::tmpfs::create_file;
    auto made = (tmp(t).*make)(*parent, e->walk.name, permissions, owner_of(t), files::now_of(t));
    return made ? sysret(0) : sysret(made.error());
}
sysret sys_mknod(task& t, guest_ptr<const char> path, std::uint32_t mode, unsigned device) {
    return sys_mknodat(t, AT_FDCWD, path, mode, device);
}

sysret sys_rmdir(task& t, guest_ptr<const char> path) { return remove(t, AT_FDCWD, path, true); }
sysret sys_unlink(task& t, guest_ptr<const char> path) { return remove(t, AT_FDCWD, path, false); }
sysret sys_unlinkat(task& t, int directory, guest_ptr<const char> path, int flags) {
    if (flags & ~AT_REMOVEDIR) return sysret::error(EINVAL);
    return remove(t, directory, path, flags & AT_REMOVEDIR);
}

sysret sys_rename(task& t, guest_ptr<const char> from, guest_ptr<const char> to) {
    return rename(t, AT_FDCWD, from, AT_FDCWD, to, 0);
}
sysret sys_renameat(task& t,
                    int from_directory,
                    guest_ptr<const char> from,
                    int to_directory,
                    guest_ptr<const char> to) {
    return rename(t, from_directory, from, to_directory, to, 0);
}
sysret sys_renameat2(task& t,
                     int from_directory,
                     guest_ptr<const char> from,
                     int to_directory,
                     guest_ptr<const char> to,
                     unsigned flags) {
    return rename(t, from_directory, from, to_directory, to, flags);
}

sysret sys_linkat(task& t,
                  int from_directory,
                  guest_ptr<const char> from,
                  int to_directory,
                  guest_ptr<const char> to,
                  int flags) {
    if (flags & ~(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH)) return sysret::error(EINVAL);
    auto p = files::find_place(t, from_directory, from,
                               (flags & AT_SYMLINK_FOLLOW ? 0 : files::no_follow) |
                                   (flags & AT_EMPTY_PATH ? files::empty_path : 0));
    if (!p) return p.error();
    auto e = files::find_entry(t, to_directory, to);
    if (!e) return e.error();
    if (e->walk.found) return sysret::error(EEXIST);
    const std::uint32_t mount = p->is_open ? e->directory.node.mount : p->location.node.mount;
    if (mount != e->directory.node.mount) return sysret::error(EXDEV);
    auto parent = files::changeable_directory(t, *e);
    if (!parent) return parent.error();
    auto file = files::changeable(t, *p);
    if (!file) return os_error{p->is_open ? EXDEV : file.error().number};
    if (e->walk.must_be_directory) return sysret::error(ENOENT);
    return tmp(t).link(*file, *parent, e->walk.name, files::now_of(t));
}
sysret sys_link(task& t, guest_ptr<const char> from, guest_ptr<const char> to) {
    return sys_linkat(t, AT_FDCWD, from, AT_FDCWD, to, 0);
}

sysret sys_symlinkat(task& t,
                     guest_ptr<const char> target,
                     int directory,
                     guest_ptr<const char> path) {
    auto text = t.read_path(target);
    if (!text) return text.error();
    auto e = files::find_entry(t, directory, path);
    if (!e) return e.error();
    auto parent = free_entry(t, *e);
    if (!parent) return parent.error();
    if (e->walk.must_be_directory) return sysret::error(ENOENT);
    auto made = tmp(t).create_symlink(*parent, e->walk.name, *text, owner_of(t), files::now_of(t));
    return made ? sysret(0) : sysret(made.error());
}
sysret sys_symlink(task& t, guest_ptr<const char> target, guest_ptr<const char> path) {
    return sys_symlinkat(t, target, AT_FDCWD, path);
}

sysret sys_fchmodat(task& t, int directory, guest_ptr<const char> path, std::uint32_t mode) {
    return change_mode(t, inode_at(t, directory, path, 0), mode);
}
sysret sys_chmod(task& t, guest_ptr<const char> path, std::uint32_t mode) {
    return sys_fchmodat(t, AT_FDCWD, path, mode);
}
sysret sys_fchmod(task& t, int fd, std::uint32_t mode) {
    return change_mode(t, inode_of(t, fd), mode);
}

sysret sys_fchownat(task& t,
                    int directory,
                    guest_ptr<const char> path,
                    std::uint32_t uid,
                    std::uint32_t gid,
                    int flags) {
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return sysret::error(EINVAL);
    return change_owner(t,
                        inode_at(t, directory, path,
                                 (flags & AT_SYMLINK_NOFOLLOW ? files::no_follow : 0) |
                                     (flags & AT_EMPTY_PATH ? files::empty_path : 0)),
                        uid, gid);
}
sysret sys_chown(task& t, guest_ptr<const char> path, std::uint32_t uid, std::uint32_t gid) {
    return sys_fchownat(t, AT_FDCWD, path, uid, gid, 0);
}
sysret sys_lchown(task& t, guest_ptr<const char> path, std::uint32_t uid, std::uint32_t gid) {
    return sys_fchownat(t, AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW);
}
sysret sys_fchown(task& t, int fd, std::uint32_t uid, std::uint32_t gid) {
    return change_owner(t, inode_of(t, fd), uid, gid);
}

sysret sys_utimensat(task& t,
                     int directory,
                     guest_ptr<const char> path,
                     guest_ptr<const abi::timespec> times,
                     int flags) {
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return sysret::error(EINVAL);
    std::optional<std::array<abi::timespec, 2>> wanted;
    if (times) {
        wanted.emplace();
        for (std::size_t i = 0; i < 2; ++i) {
            auto v = t.read(times + i);
            if (!v) return v.error();
            (*wanted)[i] = *v;
        }
        if ((*wanted)[0].nanoseconds == UTIME_OMIT && (*wanted)[1].nanoseconds == UTIME_OMIT)
            return 0;
    }
    if (!path) {  // futimens
        if (directory == AT_FDCWD) return sysret::error(EFAULT);
        if (flags) return sysret::error(EINVAL);
        return set_times(t, inode_of(t, directory), wanted);
    }
    return set_times(t,
                     inode_at(t, directory, path,
                              (flags & AT_SYMLINK_NOFOLLOW ? files::no_follow : 0) |
                                  (flags & AT_EMPTY_PATH ? files::empty_path : 0)),
                     wanted);
}

sysret sys_futimesat(task& t,
                     int directory,
                     guest_ptr<const char> path,
                     guest_ptr<const abi::timeval> times) {
    auto wanted = read_timevals(t, times);
    if (!wanted) return wanted.error();
    if (!path) return set_times(t, inode_of(t, directory), *wanted);
    return set_times(t, inode_at(t, directory, path, 0), *wanted);
}
sysret sys_utimes(task& t, guest_ptr<const char> path, guest_ptr<const abi::timeval> times) {
    return sys_futimesat(t, AT_FDCWD, path, times);
}

sysret sys_utime(task& t, guest_ptr<const char> path, guest_ptr<const std::int64_t> times) {
    std::optional<std::array<abi::timespec, 2>> wanted;
    if (times) {
        auto a = t.read(times);
        if (!a) return a.error();
        auto m = t.read(times + 1);
        if (!m) return m.error();
        wanted = {abi::timespec{*a, 0}, abi::timespec{*m, 0}};
    }
    return set_times(t, inode_at(t, AT_FDCWD, path, 0), wanted);
}

sysret sys_truncate(task& t, guest_ptr<const char> path, std::int64_t length) {
    if (length < 0) return sysret::error(EINVAL);
    auto p = files::find_place(t, AT_FDCWD, path, 0);
    if (!p) return p.error();
    if (p->attr.is_directory()) return sysret::error(EISDIR);
    if (!p->attr.is_regular()) return sysret::error(EINVAL);
    auto id = files::changeable(t, *p);
    if (!id) return os_error{id.error().number == EPERM ? EACCES : id.error().number};
    return pages(t).truncate(*id, static_cast<std::uint64_t>(length), files::now_of(t));
}

sysret sys_ftruncate(task& t, int fd, std::int64_t length) {
    if (length < 0) return sysret::error(EINVAL);
    auto o = files::find(t, fd);
    if (!o) return o.error();
    const auto* file = std::get_if<vfs::tmpfs_file>(&o->description->body);
    if (!file || (o->description->flags & O_ACCMODE) == O_RDONLY) return sysret::error(EINVAL);
    return pages(t).truncate(file->inode, static_cast<std::uint64_t>(length), files::now_of(t));
}

sysret sys_fallocate(task& t, int fd, int mode, std::int64_t offset, std::int64_t length) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    if (offset < 0 || length <= 0) return sysret::error(EINVAL);
    if ((o->description->flags & O_ACCMODE) == O_RDONLY) return sysret::error(EBADF);
    const auto* file = std::get_if<vfs::tmpfs_file>(&o->description->body);
    if (!file) return sysret::error(vfs::is_stream(*o->description) ? ESPIPE : ENODEV);
    if (offset > INT64_MAX - length) return sysret::error(EFBIG);
    const auto at = static_cast<std::uint64_t>(offset), n = static_cast<std::uint64_t>(length);
    switch (mode) {
        case 0:
        case FALLOC_FL_KEEP_SIZE:
            return tmp(t).allocate(file->inode, at, n, mode != 0, files::now_of(t));
        case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
            return pages(t).punch(file->inode, at, n, files::now_of(t));
        default:
            return sysret::error(EOPNOTSUPP);
    }
}

sysret sys_fsync(task& t, int fd) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    // Pipes and sockets cannot be synchronised (man 2 fsync).
    const bool file = vfs::seekable(*o->description) &&
                      !std::holds_alternative<vfs::device>(o->description->body);
    return file ? 0 : sysret::error(EINVAL);
}
sysret sys_sync(task&) { return 0; }
sysret sys_sync_file_range(
    task& t, int fd, std::int64_t offset, std::int64_t length, unsigned flags) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    if (offset < 0 || length < 0 || offset > INT64_MAX - length || (flags & ~7u))
        return sysret::error(EINVAL);
    if (!vfs::seekable(*o->description)) return sysret::error(ESPIPE);
    return 0;
}

}  // namespace hearth::guest
