#pragma once

/// A read-only tree of files: a package, a directory of the host, or files made up in memory. Paths
/// are relative to its root, canonical, without a leading slash; the root is "". Trees resolve no
/// symlinks: the walker does, because a link's target is a matter of the whole guest namespace.
/// Threads: all calls are const and may come from several sandboxes at once.

#include "guest/mm/file_backing.hpp"
#include "guest/outcome.hpp"
#include "guest/vfs/attributes.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::guest::vfs {

struct directory_entry {
    std::string name;
    std::uint64_t inode = 0;
    std::uint8_t type = 0;  ///< DT_*
    std::uint64_t cookie = 0;
    bool operator==(const directory_entry&) const = default;
};
struct file_identity {
    std::uint64_t device = 0, inode = 0;
    bool operator==(const file_identity&) const = default;
};
using listing = std::shared_ptr<const std::vector<directory_entry>>;

class tree {
  public:
    virtual ~tree() = default;

    /// ENOENT; ENOTDIR; ELOOP when a component before the last is a symlink (only if
    /// `walks_whole_paths`).
    [[nodiscard]] virtual outcome<attributes> lookup(std::string_view path) const = 0;
    /// Of a symlink; EINVAL for anything else.
    [[nodiscard]] virtual outcome<std::string> read_link(std::string_view path) const = 0;
    /// Without "." and ".."; sorted by name. `again`: the caller goes on in a listing it has begun.
    [[nodiscard]] virtual outcome<listing> list(std::string_view path, bool again) const = 0;
    /// Of a regular file. EACCES when the host does not let us read it. `expected`: the file must
    /// still be the one of that device and inode; ESTALE.
    [[nodiscard]] virtual outcome<mm::file_backing> content(
        std::string_view path, const file_identity* expected) const = 0;
    /// R_OK and X_OK beyond the mode bits: what the host lets this process do. W_OK is the mount's
    /// matter.
    [[nodiscard]] virtual outcome<void> access(std::string_view path, int mode) const = 0;
    /// A lookup of a whole path tells ENOENT from "a symlink is in the way", so one call resolves
    /// it.
    [[nodiscard]] virtual bool walks_whole_paths() const noexcept { return false; }
    /// What its files take, for statfs(2): of a host directory, all of that filesystem's.
    [[nodiscard]] virtual std::uint64_t used_bytes() const = 0;
    /// Files may change under us: sizes are asked anew.
    [[nodiscard]] virtual bool changes() const noexcept { return false; }
};

}  // namespace hearth::guest::vfs
