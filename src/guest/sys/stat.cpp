#include "guest/sys/stat.hpp"

#include "guest/sys/files.hpp"
#include "guest/vfs/socket.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

namespace hearth::guest {
namespace {

template <class Time>
void set_time(Time& to, std::chrono::nanoseconds from) {
    // Before the epoch the nanoseconds still count forward.
    auto seconds = std::chrono::floor<std::chrono::seconds>(from);
    to.tv_sec = seconds.count();
    to.tv_nsec = static_cast<decltype(to.tv_nsec)>((from - seconds).count());
}

struct ::stat to_stat(const vfs::attributes& a) {
    struct ::stat s {};
    s.st_dev = a.device;
    s.st_ino = a.inode;
    s.st_mode = a.mode;
    s.st_nlink = a.links;
    s.st_uid = a.uid;
    s.st_gid = a.gid;
    s.st_rdev = a.special;
    s.st_size = static_cast<off_t>(a.size);
    s.st_blksize = static_cast<blksize_t>(a.block_size);
    s.st_blocks = static_cast<blkcnt_t>(a.blocks);
    set_time(s.st_atim, a.accessed);
    set_time(s.st_mtim, a.modified);
    set_time(s.st_ctim, a.changed);
    return s;
}

sysret stat_at(
    task& t, int directory, guest_ptr<const char> path, guest_ptr<struct ::stat> out, int how) {
    auto p = files::find_place(t, directory, path, how);
    if (!p) return p.error();
    return t.write(out, to_stat(p->attr));
}

sysret access_at(task& t, int directory, guest_ptr<const char> path, int mode, int how) {
    if (mode & ~(R_OK | W_OK | X_OK)) return sysret::error(EINVAL);
    auto p = files::find_place(t, directory, path, how);
    if (!p) return p.error();
    if (p->is_open) {
        // By its mode bits, as for root; what a read-only tree holds cannot be written.
        if ((mode & W_OK) && files::changeable(t, *p).has_error() &&
            files::changeable(t, *p).error().number == EROFS &&
            (p->attr.is_regular() || p->attr.is_directory()))
            return sysret::error(EROFS);
        if ((mode & X_OK) && p->attr.is_regular() && !(p->attr.mode & 0111))
            return sysret::error(EACCES);
        return 0;
    }
    return files::tree_of(t).access(files::context_of(t), p->location, mode);
}

struct ::statfs statfs_of(task& t, std::uint32_t mount) {
    struct ::statfs s {};
    s.f_bsize = s.f_frsize = 4096;
    s.f_namelen = vfs::max_name_length;
    constexpr long read_only = 1, no_setuid = 2, valid = 0x20;  // ST_RDONLY, ST_NOSUID, ST_VALID
    s.f_flags = no_setuid | valid;
    const vfs::mount& m = files::tree_of(t).mount_of(mount);
    const auto what = m.what;
    if (what == vfs::mount::kind::proc) {
        s.f_type = PROC_SUPER_MAGIC;
    } else if (what == vfs::mount::kind::sys) {
        s.f_type = SYSFS_MAGIC;
        s.f_flags |= read_only;
    } else if (what == vfs::mount::kind::cgroup) {
        s.f_type = CGROUP2_SUPER_MAGIC;
        s.f_flags |= read_only;
    } else if (what == vfs::mount::kind::tmpfs) {
        const vfs::tmpfs& tmp = files::state_of(t).files;
        s.f_type = TMPFS_MAGIC;
        s.f_blocks = tmp.byte_limit() / 4096;
        s.f_bfree = s.f_bavail = (tmp.byte_limit() - tmp.bytes_used()) / 4096;
        s.f_files = tmp.inode_limit();
        s.f_ffree =
            tmp.inode_limit() > tmp.inodes_used() ? tmp.inode_limit() - tmp.inodes_used() : 0;
    } else {
        s.f_type = SQUASHFS_MAGIC;  // a read-only tree, full as those are
        s.f_flags |= read_only;
        s.f_blocks = (m.tree->used_bytes() + 4095) / 4096;
    }
    return s;
}

}  // namespace

sysret sys_stat(task& t, guest_ptr<const char> path, guest_ptr<struct ::stat> out) {
    return stat_at(t, AT_FDCWD, path, out, 0);
}
sysret sys_lstat(task& t, guest_ptr<const char> path, guest_ptr<struct ::stat> out) {
    return stat_at(t, AT_FDCWD, path, out, files::no_follow);
}

sysret sys_fstat(task& t, int fd, guest_ptr<struct ::stat> out) {
    auto o = files::find(t, fd, true);
    if (!o) return o.error();
    auto a = vfs::attributes_of(files::context_of(t), files::tree_of(t), *o->description);
    if (!a) return a.error();
    return t.write(out, to_stat(*a));
}

sysret sys_newfstatat(
    task& t, int directory, guest_ptr<const char> path, guest_ptr<struct ::stat> out, int flags) {
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH))
        return sysret::error(EINVAL);
    return stat_at(t, directory, path, out,
                   (flags & AT_SYMLINK_NOFOLLOW ? files::no_follow : 0) |
                       (flags & AT_EMPTY_PATH ? files::empty_path : 0));
}

sysret sys_statx(task& t,
                 int directory,
                 guest_ptr<const char> path,
                 int flags,
                 unsigned mask,
                 guest_ptr<struct ::statx> out) {
    constexpr int known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH |
                          AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
    if ((flags & ~known) || (mask & STATX__RESERVED)) return sysret::error(EINVAL);
    if ((flags & (AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC)) ==
        (AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC))
        return sysret::error(EINVAL);
    auto p = files::find_place(t, directory, path,
                               (flags & AT_SYMLINK_NOFOLLOW ? files::no_follow : 0) |
                                   (flags & AT_EMPTY_PATH ? files::empty_path : 0));
    if (!p) return p.error();
    const vfs::attributes& a = p->attr;
    struct ::statx s {};
    s.stx_mask = STATX_BASIC_STATS;
    if (p->is_open || files::tree_of(t).writable(p->location)) s.stx_mask |= STATX_BTIME;
    s.stx_blksize = static_cast<std::uint32_t>(a.block_size);
    s.stx_nlink = static_cast<std::uint32_t>(a.links);
    s.stx_uid = a.uid;
    s.stx_gid = a.gid;
    s.stx_mode = static_cast<std::uint16_t>(a.mode);
    s.stx_ino = a.inode;
    s.stx_size = a.size;
    s.stx_blocks = a.blocks;
    set_time(s.stx_atime, a.accessed);
    set_time(s.stx_mtime, a.modified);
    set_time(s.stx_ctime, a.changed);
    if (s.stx_mask & STATX_BTIME) set_time(s.stx_btime, a.born);
    s.stx_rdev_major = major(a.special);
    s.stx_rdev_minor = minor(a.special);
    s.stx_dev_major = major(a.device);
    s.stx_dev_minor = minor(a.device);
    return t.write(out, s);
}

sysret sys_access(task& t, guest_ptr<const char> path, int mode) {
    return access_at(t, AT_FDCWD, path, mode, 0);
}
sysret sys_faccessat(task& t, int directory, guest_ptr<const char> path, int mode) {
    return access_at(t, directory, path, mode, 0);
}
sysret sys_faccessat2(task& t, int directory, guest_ptr<const char> path, int mode, int flags) {
    if (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) return sysret::error(EINVAL);
    return access_at(t, directory, path, mode,
                     (flags & AT_SYMLINK_NOFOLLOW ? files::no_follow : 0) |
                         (flags & AT_EMPTY_PATH ? files::empty_path : 0));
}

sysret sys_statfs(task& t, guest_ptr<const char> path, guest_ptr<struct ::statfs> out) {
    auto p = files::find_place(t, AT_FDCWD, path, 0);
    if (!p) return p.error();
    return t.write(out, statfs_of(t, p->is_open ? 0 : p->location.node.mount));
}

sysret sys_fstatfs(task& t, int fd, guest_ptr<struct ::statfs> out) {
    auto o = files::find(t, fd, true);
    if (!o) return o.error();
    const vfs::description& d = *o->description;
    std::optional<std::uint32_t> mount;
    if (const auto* file = std::get_if<vfs::tree_file>(&d.body)) mount = file->node.mount;
    if (const auto* file = std::get_if<vfs::tmpfs_file>(&d.body)) mount = file->mount;
    if (const auto* directory = std::get_if<vfs::open_directory>(&d.body))
        mount = directory->node.mount;
    if (const auto* place = std::get_if<vfs::path_only>(&d.body)) mount = place->node.mount;
    if (const auto* text = std::get_if<vfs::text_file>(&d.body)) mount = text->node.mount;
    if (const auto* dev = std::get_if<vfs::device>(&d.body)) mount = dev->node.mount;
    if (mount) return t.write(out, statfs_of(t, *mount));
    struct ::statfs s {};
    s.f_bsize = s.f_frsize = 4096;
    s.f_namelen = vfs::max_name_length;
    s.f_type = std::holds_alternative<vfs::pipe_end>(d.body) ? PIPEFS_MAGIC
               : vfs::is_socket(d)                           ? SOCKFS_MAGIC
                                                             : ANON_INODE_FS_MAGIC;
    return t.write(out, s);
}

}  // namespace hearth::guest
