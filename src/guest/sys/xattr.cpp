#include "guest/sys/xattr.hpp"

#include "guest/sys/files.hpp"

#include <fcntl.h>
#include <linux/limits.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <string>
#include <string_view>

namespace hearth::guest {
namespace {

using files::place;

outcome<place> at_path(task& t, guest_ptr<const char> path, int how) {
    return files::find_place(t, AT_FDCWD, path, how);
}
outcome<place> at_descriptor(task& t, int fd) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    auto attr = vfs::attributes_of(files::context_of(t), files::tree_of(t), *o->description);
    if (!attr) return attr.error();
    place p;
    p.is_open = true;
    p.open = *o;
    p.attr = *attr;
    return p;
}

/// ERANGE: empty or too long; EOPNOTSUPP: of another class than "user".
outcome<std::string> read_name(task& t, xattr_name from) {
    auto name = t.memory().read_string(from.address, XATTR_NAME_MAX + 1);
    if (!name) return os_error{name.error().number == ENAMETOOLONG ? ERANGE : EFAULT};
    if (name->empty()) return os_error{ERANGE};
    constexpr std::string_view user = "user.";
    if (!name->starts_with(user)) return os_error{EOPNOTSUPP};
    if (name->size() == user.size()) return os_error{EINVAL};
    return name;
}

/// Whose attributes they are. EROFS, EPERM for what cannot have any.
outcome<vfs::inode_id> to_change(task& t, const outcome<place>& p) {
    if (!p) return p.error();
    auto inode = files::changeable(t, *p);
    if (!inode) return inode.error();
    if (!p->attr.is_regular() && !p->attr.is_directory()) return os_error{EPERM};
    return inode;
}
/// ENOTSUP: the tree has none.
outcome<const vfs::inode*> to_read(task& t, const outcome<place>& p) {
    if (!p) return p.error();
    const auto inode = files::changeable(t, *p);
    const vfs::inode* node = inode ? files::state_of(t).files.find(*inode) : nullptr;
    if (!node) return os_error{ENOTSUP};
    return node;
}

/// Gives what fits, or only says how much it is.
sysret give(task& t, std::string_view what, xattr_room to, std::uint64_t size) {
    if (size != 0) {
        if (size < what.size()) return sysret::error(ERANGE);
        if (auto ok = t.memory().write(to.address, std::as_bytes(std::span(what))); !ok)
            return ok.error();
    }
    return static_cast<std::int64_t>(what.size());
}

sysret set(task& t,
           const outcome<place>& p,
           xattr_name name,
           xattr_value value,
           std::uint64_t size,
           int flags) {
    if (flags & ~(XATTR_CREATE | XATTR_REPLACE)) return sysret::error(EINVAL);
    if (size > XATTR_SIZE_MAX) return sysret::error(E2BIG);
    const auto text = read_name(t, name);
    if (!text) return text.error();
    std::string bytes(size, '\0');
    if (auto ok = t.memory().read(value.address, std::as_writable_bytes(std::span(bytes))); !ok)
        return ok.error();
    const auto inode = to_change(t, p);
    if (!inode) return inode.error();
    vfs::tmpfs& files = files::state_of(t).files;
    const bool there = files.find(*inode)->extended.contains(*text);
    if (there && (flags & XATTR_CREATE)) return sysret::error(EEXIST);
    if (!there && (flags & XATTR_REPLACE)) return sysret::error(ENODATA);
    return files.set_extended(*inode, *text, std::move(bytes), files::now_of(t));
}

sysret get(task& t, const outcome<place>& p, xattr_name name, xattr_room to, std::uint64_t size) {
    const auto text = read_name(t, name);
    if (!p) return p.error();
    const auto node = to_read(t, p);
    if (!node) return node.error();
    if (!text) return text.error();
    const auto it = (*node)->extended.find(*text);
    if (it == (*node)->extended.end()) return sysret::error(ENODATA);
    return give(t, it->second, to, size);
}

sysret list(task& t, const outcome<place>& p, xattr_room to, std::uint64_t size) {
    const auto node = to_read(t, p);
    if (!node) return node.error();
    std::string names;
    for (const auto& [name, value] : (*node)->extended) (names += name) += '\0';
    return give(t, names, to, size);
}

sysret remove(task& t, const outcome<place>& p, xattr_name name) {
    const auto text = read_name(t, name);
    if (!text) return text.error();
    const auto inode = to_change(t, p);
    if (!inode) return inode.error();
    return files::state_of(t).files.remove_extended(*inode, *text, files::now_of(t));
}

}  // namespace

sysret sys_setxattr(task& t,
                    guest_ptr<const char> path,
                    xattr_name name,
                    xattr_value value,
                    std::uint64_t size,
                    int flags) {
    return set(t, at_path(t, path, 0), name, value, size, flags);
}
sysret sys_lsetxattr(task& t,
                     guest_ptr<const char> path,
                     xattr_name name,
                     xattr_value value,
                     std::uint64_t size,
                     int flags) {
    return set(t, at_path(t, path, files::no_follow), name, value, size, flags);
}
sysret sys_fsetxattr(
    task& t, int fd, xattr_name name, xattr_value value, std::uint64_t size, int flags) {
    return set(t, at_descriptor(t, fd), name, value, size, flags);
}
sysret sys_getxattr(
    task& t, guest_ptr<const char> path, xattr_name name, xattr_room to, std::uint64_t size) {
    return get(t, at_path(t, path, 0), name, to, size);
}
sysret sys_lgetxattr(
    task& t, guest_ptr<const char> path, xattr_name name, xattr_room to, std::uint64_t size) {
    return get(t, at_path(t, path, files::no_follow), name, to, size);
}
sysret sys_fgetxattr(task& t, int fd, xattr_name name, xattr_room to, std::uint64_t size) {
    return get(t, at_descriptor(t, fd), name, to, size);
}
sysret sys_listxattr(task& t, guest_ptr<const char> path, xattr_room to, std::uint64_t size) {
    return list(t, at_path(t, path, 0), to, size);
}
sysret sys_llistxattr(task& t, guest_ptr<const char> path, xattr_room to, std::uint64_t size) {
    return list(t, at_path(t, path, files::no_follow), to, size);
}
sysret sys_flistxattr(task& t, int fd, xattr_room to, std::uint64_t size) {
    return list(t, at_descriptor(t, fd), to, size);
}
sysret sys_removexattr(task& t, guest_ptr<const char> path, xattr_name name) {
    return remove(t, at_path(t, path, 0), name);
}
sysret sys_lremovexattr(task& t, guest_ptr<const char> path, xattr_name name) {
    return remove(t, at_path(t, path, files::no_follow), name);
}
sysret sys_fremovexattr(task& t, int fd, xattr_name name) {
    return remove(t, at_descriptor(t, fd), name);
}

}  // namespace hearth::guest
