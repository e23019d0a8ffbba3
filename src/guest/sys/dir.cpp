#include "guest/sys/dir.hpp"

#include "guest/kernel/credentials.hpp"
#include "guest/sys/files.hpp"

#include <fcntl.h>
#include <linux/capability.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

namespace hearth::guest {
namespace {

/// One record of getdents64: d_ino, d_off, d_reclen, d_type, d_name; of getdents: the type stands
/// in the last byte. man 2 getdents.
std::vector<std::byte> record(const vfs::directory_entry& e, bool new_layout) {
    const std::size_t head = new_layout ? 19 : 18;
    const std::size_t tail = new_layout ? 1 : 2;  // the zero, and the old layout's type
    const std::size_t length = (head + e.name.size() + tail + 7) & ~std::size_t{7};
    std::vector<std::byte> r(length);
    const auto put = [&](std::size_t at, auto value) {
        std::memcpy(r.data() + at, &value, sizeof value);
    };
    put(0, e.inode);
    put(8, e.cookie);
    put(16, static_cast<std::uint16_t>(length));
    if (new_layout)
        put(18, e.type);
    else
        put(length - 1, e.type);
    std::memcpy(r.data() + head, e.name.data(), e.name.size());
    return r;
}

sysret list(task& t, int fd, gva out, unsigned size, bool new_layout) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    if (!std::holds_alternative<vfs::open_directory>(o->description->body))
        return sysret::error(ENOTDIR);
    const auto c = files::context_of(t);
    auto path = files::tree_of(t).path_of(c, *o->description);
    if (!path) return path.error();  // removed while open: ENOENT
    const std::size_t room = std::min(size, 1u << 20);
    std::vector<std::byte> records;
    std::uint64_t position = o->description->offset;
    bool too_small = false;
    auto listed = files::tree_of(t).list(c, *path, position, [&](const vfs::directory_entry& e) {
        const auto r = record(e, new_layout);
        if (r.size() > room - records.size()) {
            too_small = records.empty();
            return false;
        }
        records.insert(records.end(), r.begin(), r.end());
        position = e.cookie;
        return true;
    });
    if (!listed) return listed.error();
    if (too_small) return sysret::error(EINVAL);
    if (auto ok = t.memory().write(out, records); !ok) return ok.error();
    o->description->offset = position;
    return static_cast<std::int64_t>(records.size());
}

sysret change_to(task& t, const vfs::attributes& attr, std::string path) {
    if (!attr.is_directory()) return sysret::error(ENOTDIR);
    t.view().working_directory = std::move(path);
    return 0;
}

}  // namespace

sysret sys_getdents64(task& t, int fd, guest_ptr<void> out, unsigned size) {
    return list(t, fd, out.address, size, true);
}
sysret sys_getdents(task& t, int fd, guest_ptr<void> out, unsigned size) {
    return list(t, fd, out.address, size, false);
}

sysret sys_getcwd(task& t, guest_ptr<char> out, std::uint64_t size) {
    const std::string& place = t.view().working_directory;
    if (auto here = files::tree_of(t).at(files::context_of(t), place); !here) return here.error();
    const std::string path = vfs::seen_from(t.view().root, place);
    if (path.size() + 1 > size) return sysret::error(ERANGE);
    if (auto ok =
            t.memory().write(out.address, std::as_bytes(std::span(path.c_str(), path.size() + 1)));
        !ok)
        return ok.error();
    return static_cast<std::int64_t>(path.size() + 1);
}

sysret sys_chdir(task& t, guest_ptr<const char> path) {
    auto p = files::find_place(t, AT_FDCWD, path, 0);
    if (!p) return p.error();
    if (p->is_open) return sysret::error(ENOTDIR);
    return change_to(t, p->attr, p->location.path);
}

sysret sys_chroot(task& t, guest_ptr<const char> path) {
    auto p = files::find_place(t, AT_FDCWD, path, 0);
    if (!p) return p.error();
    if (p->is_open || !p->attr.is_directory()) return sysret::error(ENOTDIR);
    if (!capable(t.process(), CAP_SYS_CHROOT)) return sysret::error(EPERM);
    t.view().root = p->location.path;
    return 0;
}

sysret sys_fchdir(task& t, int fd) {
    auto o = files::find(t, fd, true);
    if (!o) return o.error();
    const auto c = files::context_of(t);
    auto path = files::tree_of(t).path_of(c, *o->description);
    if (!path) return path.error();
    auto attr = vfs::attributes_of(c, files::tree_of(t), *o->description);
    if (!attr) return attr.error();
    return change_to(t, *attr, std::move(*path));
}

}  // namespace hearth::guest
