#include "guest/vfs/made_files.hpp"

#include <dirent.h>

#include <algorithm>
#include <cerrno>

namespace hearth::guest::vfs {
namespace {

bool is_above(std::string_view directory, std::string_view path) {
    if (directory.empty()) return true;
    return path.size() > directory.size() && path.starts_with(directory) &&
           path[directory.size()] == '/';
}

const made_file* find(made_files files, std::string_view path) {
    const auto it = std::ranges::lower_bound(files, path, {}, &made_file::path);
    return it != files.end() && it->path == path ? &*it : nullptr;
}

bool is_directory(made_files files, std::string_view path) {
    return std::ranges::any_of(files, [&](const made_file& f) { return is_above(path, f.path); });
}

std::uint32_t mode_of(const made_file& f) {
    if (f.make) return S_IFREG | 0444;
    return f.target.empty() ? S_IFDIR | 0555 : S_IFLNK | 0777;
}

}  // namespace

attributes made_node(std::uint32_t mode, std::string_view path) {
    attributes a;
    a.mode = mode;
    a.links = S_ISDIR(mode) ? 2 : 1;
    a.block_size = 1024;
    // FNV-1a, short of colliding with other trees' roots.
    std::uint64_t h = 0xcbf29ce484222325u;
    for (char ch : path) h = (h ^ static_cast<unsigned char>(ch)) * 0x100000001b3u;
    a.inode = (h >> 16) | (std::uint64_t{1} << 47);
    return a;
}

outcome<attributes> lookup(made_files files, std::string_view path) {
    if (const made_file* f = find(files, path)) return made_node(mode_of(*f), path);
    if (is_directory(files, path)) return made_node(S_IFDIR | 0555, path);
    return os_error{ENOENT};
}

outcome<std::string> read_link(made_files files, std::string_view path) {
    const made_file* f = find(files, path);
    if (!f) return os_error{is_directory(files, path) ? EINVAL : ENOENT};
    if (f->target.empty()) return os_error{EINVAL};
    return std::string(f->target);
}

outcome<std::vector<directory_entry>> list(made_files files, std::string_view path) {
    std::vector<directory_entry> out;
    if (const auto here = lookup(files, path); !here || !S_ISDIR(here->mode))
        return os_error{here ? ENOTDIR : ENOENT};
    const std::string prefix = path.empty() ? std::string() : std::string(path) + "/";
    std::string_view before;
    for (const made_file& f : files) {
        if (!is_above(path, f.path)) continue;
        const std::string_view rest = f.path.substr(prefix.size());
        const std::string_view name = rest.substr(0, rest.find('/'));
        if (name == before) continue;
        before = name;
        const std::uint32_t mode = name.size() == rest.size() ? mode_of(f) : S_IFDIR;
        out.push_back({std::string(name), made_node(mode, prefix + std::string(name)).inode,
                       static_cast<std::uint8_t>(IFTODT(mode)), out.size() + 3});
    }
    return out;
}

outcome<std::string> text(made_files files, const context& c, std::string_view path) {
    const made_file* f = find(files, path);
    if (!f || !f->make) return os_error{ENOENT};
    return f->make(c);
}

}  // namespace hearth::guest::vfs
