#include "guest/vfs/memory_tree.hpp"

#include <dirent.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace hearth::guest::vfs {
namespace {

std::string_view parent_of(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}
std::string_view last_of(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

memory_tree::memory_tree(std::map<std::string, node, std::less<>> nodes) {
    nodes.try_emplace("", directory());
    // Walking by a copy of the keys: parents are added while we go.
    std::vector<std::string> paths;
    for (const auto& [path, n] : nodes) paths.push_back(path);
    for (const std::string& path : paths) {
        for (std::string_view up = parent_of(path); !up.empty(); up = parent_of(up)) {
            if (nodes.contains(up)) break;
            nodes.emplace(std::string(up), directory());
        }
    }
    std::uint64_t inode = 1;
    for (auto& [path, n] : nodes) {
        placed p;
        static_cast<node&>(p) = std::move(n);
        p.inode = inode++;
        used_bytes_ += p.content.size;
        nodes_.emplace(path, std::move(p));
    }
    std::map<std::string_view, std::vector<directory_entry>> children;
    for (auto& [path, p] : nodes_) {
        if (path.empty()) continue;
        auto& siblings = children[parent_of(path)];
        siblings.push_back({std::string(last_of(path)), p.inode,
                            static_cast<std::uint8_t>(IFTODT(p.mode)), siblings.size() + 3});
        if (S_ISDIR(p.mode)) ++nodes_.find(parent_of(path))->second.subdirectories;
    }
    for (auto& [path, p] : nodes_) {
        if (!S_ISDIR(p.mode)) continue;
        p.children =
            std::make_shared<const std::vector<directory_entry>>(std::move(children[path]));
    }
}

std::shared_ptr<const memory_tree> memory_tree::of_package(const image::package_image& package) {
    std::map<std::string, node, std::less<>> nodes;
    for (const auto& [path, entry] : package.entries()) {
        node n;
        n.modified = entry.mtime;
        switch (entry.type) {
            case image::package_entry::kind::directory:
                n.mode = S_IFDIR | (entry.mode & 0777);
                break;
            case image::package_entry::kind::symlink:
                n.mode = S_IFLNK | 0777;
                n.target = entry.target;
                break;
            case image::package_entry::kind::file:
                n.mode = S_IFREG | (entry.mode & 0777);
                n.content.fd = package.contents(entry);
                n.content.fd_offset = entry.offset;
                n.content.size = entry.size;
                break;
        }
        nodes.emplace(path, std::move(n));
    }
    return std::make_shared<const memory_tree>(std::move(nodes));
}

memory_tree::node memory_tree::directory(std::uint32_t permissions) {
    node n;
    n.mode = S_IFDIR | permissions;
    return n;
}
memory_tree::node memory_tree::text(std::string content, std::uint32_t permissions) {
    node n;
    n.mode = S_IFREG | permissions;
    const auto* bytes = reinterpret_cast<const std::byte*>(content.data());
    n.content.bytes = std::make_shared<const std::vector<std::byte>>(bytes, bytes + content.size());
    n.content.size = content.size();
    return n;
}
memory_tree::node memory_tree::symlink(std::string target) {
    node n;
    n.mode = S_IFLNK | 0777;
    n.target = std::move(target);
    return n;
}
memory_tree::node memory_tree::character_device(unsigned major,
                                                unsigned minor,
                                                std::uint32_t permissions) {
    node n;
    n.mode = S_IFCHR | permissions;
    n.special = makedev(major, minor);
    return n;
}

outcome<attributes> memory_tree::lookup(std::string_view path) const {
    const auto it = nodes_.find(path);
    if (it == nodes_.end()) return os_error{ENOENT};
    const placed& p = it->second;
    attributes a;
    a.inode = p.inode;
    a.mode = p.mode;
    a.links = S_ISDIR(p.mode) ? 2 + p.subdirectories : 1;
    a.special = p.special;
    a.size = S_ISLNK(p.mode) ? p.target.size() : S_ISDIR(p.mode) ? 4096 : p.content.size;
    a.blocks = S_ISREG(p.mode) ? (a.size + 511) / 512 : 0;
    a.accessed = a.modified = a.changed = a.born = std::chrono::seconds(p.modified);
    return a;
}

outcome<std::string> memory_tree::read_link(std::string_view path) const {
    const auto it = nodes_.find(path);
    if (it == nodes_.end()) return os_error{ENOENT};
    if (!S_ISLNK(it->second.mode)) return os_error{EINVAL};
    return it->second.target;
}

outcome<listing> memory_tree::list(std::string_view path, bool) const {
    const auto it = nodes_.find(path);
    if (it == nodes_.end()) return os_error{ENOENT};
    if (!it->second.children) return os_error{ENOTDIR};
    return it->second.children;
}

outcome<mm::file_backing> memory_tree::content(std::string_view path, const file_identity*) const {
    const auto it = nodes_.find(path);
    if (it == nodes_.end()) return os_error{ENOENT};
    if (!S_ISREG(it->second.mode)) return os_error{EINVAL};
    return it->second.content;
}

outcome<void> memory_tree::access(std::string_view path, int mode) const {
    const auto it = nodes_.find(path);
    if (it == nodes_.end()) return os_error{ENOENT};
    // As for root: reading is always allowed, executing needs one x bit.
    if ((mode & X_OK) && !S_ISDIR(it->second.mode) && !(it->second.mode & 0111))
        return os_error{EACCES};
    return {};
}

}  // namespace hearth::guest::vfs
