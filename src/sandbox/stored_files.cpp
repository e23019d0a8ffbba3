#include "sandbox/stored_files.hpp"

#include "base/system_error.hpp"
#include "guest/vfs/host_tree.hpp"

#include <fmt/format.h>

namespace hearth::detail {
namespace {

using guest::vfs::mount;

std::string_view kind_of(const mount& m) {
    if (m.what != mount::kind::tree) return m.type();
    return m.tree->changes() ? "host" : "fixed";
}

/// The path below a mount point; null: it is not below it.
const char* below(const std::string& point, const std::string& path) {
    if (point == "/") return path.c_str() + 1;
    if (!path.starts_with(point)) return nullptr;
    if (path.size() == point.size()) return path.c_str() + point.size();
    return path[point.size()] == '/' ? path.c_str() + point.size() + 1 : nullptr;
}

}  // namespace

std::string guest_files::mount_table() const {
    std::string table;
    for (const mount& m : filesystem_.mounts())
        table += fmt::format("{} {}\n", kind_of(m), m.point);
    return table;
}

result<guest_files::opened> guest_files::open(std::string_view path) const {
    const std::string name(path);
    const auto failed = [&](int number) {
        return system_failure(errc::io_failed, "cannot open the guest's " + name, number);
    };
    if (!name.starts_with('/')) return failed(ENOENT);
    const auto& mounts = filesystem_.mounts();
    for (std::uint32_t number = 0; number < mounts.size(); ++number) {
        const mount& m = mounts[number];
        const char* const inner = below(m.point, name);
        if (!inner) continue;
        if (m.what != mount::kind::tree) return failed(EINVAL);
        auto content = m.tree->content(inner, nullptr);
        if (!content) return failed(content.error().number);
        // Of the file that was opened, not of what its name means by now.
        auto now = content->fd && m.tree->changes()
                       ? guest::vfs::attributes_of_host_fd(content->fd->get())
                       : m.tree->lookup(inner);
        if (!now) return failed(now.error().number);
        opened o;
        o.content = std::move(*content);
        o.content.path = name;
        o.identity = {.path = name,
                      .changes = m.tree->changes(),
                      .device = now->device ? now->device : guest::vfs::device_of_mount(number),
                      .inode = now->inode,
                      .size = now->size,
                      .modified = now->modified,
                      .changed = now->changed,
                      .fd_offset = o.content.fd_offset};
        return o;
    }
    return failed(ENOENT);
}

result<guest_files::opened> guest_files::open_again(const stored_file& known) const {
    auto now = open(known.path);
    const auto stale = [&](std::string_view why) {
        return error(errc::snapshot_unusable, fmt::format("it is stale: {} {}", known.path, why));
    };
    if (now.has_error()) return stale("is gone (" + now.error().message() + ")");
    const stored_file& is = now->identity;
    if (is.changes != known.changes || is.inode != known.inode) return stale("has been replaced");
    if (is.size != known.size) return stale("has changed its size");
    if (is.modified != known.modified || is.changed != known.changed)
        return stale("has been modified");
    if (is.fd_offset != known.fd_offset) return stale("has been moved inside its package");
    return now;
}

std::string guest_files::path_of(const guest::vfs::tree_node& node) const {
    const auto& mounts = filesystem_.mounts();
    if (node.mount >= mounts.size() || mounts[node.mount].what != mount::kind::tree) return {};
    return guest::vfs::join(mounts[node.mount].point, node.inner);
}

}  // namespace hearth::detail
