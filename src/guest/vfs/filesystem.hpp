#pragma once

/// The guest's file namespace: one mount table, and the walk of a path through it. A resource: it
/// holds trees and their host descriptors; what a guest changes is in `vfs_state`. Immutable after
/// `create`, so sandboxes and clones may share one, on any threads.
///
/// Mount points and the directories above them stand, whatever the trees below them say: a walk is
/// decided by its canonical path, and the longest mount point that is a prefix of it.

#include "guest/kernel/host.hpp"
#include "guest/kernel/kernel_state.hpp"
#include "guest/mm/file_backing.hpp"
#include "guest/outcome.hpp"
#include "guest/vfs/description.hpp"
#include "guest/vfs/tree.hpp"
#include "vmm/guest_memory.hpp"

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::image {
class package_image;
struct managed_runtime;
}  // namespace hearth::image

namespace hearth::guest::vfs {

/// Whose view of the files: what a walk needs of the guest. For the length of a call.
struct context {
    kernel_state& state;
    process_state& process;
    viewpoint& view;
    guest::host& host;
    vmm::guest_memory& memory;
};

struct mount {
    enum class kind { tree, tmpfs, proc, sys, cgroup };
    std::string point;  ///< canonical: "/", "/var/task"
    kind what = kind::tree;
    std::shared_ptr<const vfs::tree> tree;
    std::uint32_t permissions = 0755;  ///< of a tmpfs root
    /// Its files are texts made when they are opened.
    [[nodiscard]] bool is_made() const noexcept { return what >= kind::proc; }
    /// As in proc_mounts(5).
    [[nodiscard]] std::string_view type() const noexcept;
};

struct filesystem_options {
    std::vector<mount> mounts;  ///< one must be "/"; no point twice
    byte_count tmp_size{std::uint64_t{512} << 20};
    std::uint64_t tmp_inodes = 64 * 1024;
};

/// What a function sees: the package at /var/task, /tmp, and of the host only /usr, the library and
/// program directories at the root, and what ld.so and TLS clients read in /etc. package may be
/// null (no /var/task content). A managed runtime has its client at /var/runtime and, when it has
/// one, its prefix at /var/lang. Layers, merged, stand at /opt. @errors errc::io_failed
result<filesystem_options> lambda_root(const image::package_image* package,
                                       const std::filesystem::path& guest_root,
                                       byte_count tmp_size,
                                       const image::managed_runtime* runtime = nullptr,
                                       const image::package_image* layers = nullptr);
/// What `hearth run` shows: a host directory, read-only, with its own /tmp, /proc and /dev. Of the
/// host's /tmp only the directories `shown` are there, read-only, as absolute paths inside it:
/// where the caller stands and its program is. Those elsewhere are there anyway.
result<filesystem_options> host_root(const std::filesystem::path& directory,
                                     byte_count tmp_size,
                                     std::span<const std::filesystem::path> shown = {},
                                     bool network = false);

/// Where a path led.
struct location {
    enum class kind {
        node,       ///< in a mounted tree
        implied,    ///< a directory that exists only because a mount point is below it
        open_file,  ///< /proc/self/fd/N: the description itself
    };
    kind what = kind::node;
    std::string path;  ///< canonical
    tree_node node;
    description_id open_file{};
    attributes attr;
};

/// A walk that stops before the last component.
struct walked {
    std::string directory;  ///< canonical path of the last component's directory
    std::string
        name;  ///< the last component; "." or ".." or "" (the path was "/") name no entry to make
    bool must_be_directory = false;  ///< trailing slash
    bool found = false;
    location child;  ///< when found
};

class filesystem {
  public:
    static result<std::shared_ptr<filesystem>> create(filesystem_options options);

    /// The value side as a guest finds it at boot: empty tmpfs trees with their limits.
    [[nodiscard]] vfs_state initial_state(std::chrono::nanoseconds now) const;

    // -- names
    // -----------------------------------------------------------------------------------------------
    enum class last { follow, no_follow };
    /// `base` is a canonical directory path, used when `path` is relative. ENOENT for an empty
    /// path.
    [[nodiscard]] outcome<location> resolve(const context& c,
                                            std::string_view base,
                                            std::string_view path,
                                            last l = last::follow) const;
    /// For calls that make or remove a name; the directory exists.
    [[nodiscard]] outcome<walked> walk(const context& c,
                                       std::string_view base,
                                       std::string_view path,
                                       last l) const;
    /// What stands at a canonical path.
    [[nodiscard]] outcome<location> at(const context& c, std::string_view canonical) const;

    // -- nodes
    // -----------------------------------------------------------------------------------------------
    [[nodiscard]] const mount& mount_of(const tree_node& node) const { return mounts_[node.mount]; }
    [[nodiscard]] const mount& mount_of(std::uint32_t number) const { return mounts_[number]; }
    /// Those with a place in the tree.
    [[nodiscard]] std::span<const mount> mounts() const noexcept {
        return std::span(mounts_).first(memory_files());
    }
    /// The mount of memfd_create's files, which has none.
    [[nodiscard]] std::uint32_t memory_files() const noexcept {
        return static_cast<std::uint32_t>(mounts_.size() - 1);
    }
    [[nodiscard]] bool writable(const location& l) const;
    [[nodiscard]] outcome<attributes> attributes_of(const context& c, const tree_node& node) const;
    [[nodiscard]] outcome<std::string> read_link(const context& c, const location& l) const;
    /// Entries after `cookie`, "." and ".." first; calls `give` until it returns false.
    [[nodiscard]] outcome<void> list(const context& c,
                                     const std::string& canonical,
                                     std::uint64_t cookie,
                                     const std::function<bool(const directory_entry&)>& give) const;
    /// A regular file of a tree mount.
    [[nodiscard]] outcome<mm::file_backing> content(const tree_node& node,
                                                    const file_identity* expected = nullptr) const;
    /// access(2): F_OK, R_OK, W_OK, X_OK.
    [[nodiscard]] outcome<void> access(const context& c, const location& l, int mode) const;
    /// The canonical path of an open directory (or O_PATH place) now: tmpfs directories may have
    /// been moved.
    [[nodiscard]] outcome<std::string> path_of(const context& c, const description& d) const;

    /// For exec: resolves `path` from the process's working directory; a regular file with an x
    /// bit. ENOENT, EACCES, ELOOP, …; the backing's path is the canonical one, for /proc/self/exe.
    [[nodiscard]] outcome<mm::file_backing> open_program(const context& c,
                                                         std::string_view path) const;

  private:
    filesystem() = default;
    [[nodiscard]] std::uint32_t mount_at(std::string_view canonical) const;
    [[nodiscard]] bool above_a_mount(std::string_view canonical) const;

    std::vector<mount> mounts_;               // the last: memory_files()
    std::vector<std::uint32_t> root_number_;  // of a tmpfs mount: its index in vfs_state::roots
    filesystem_options options_;
};

/// st_dev of what has no host device: a mount's own number.
std::uint64_t device_of_mount(std::uint32_t mount);

/// "a" below "/x" is "/x/a", below "/" is "/a".
std::string join(std::string_view directory, std::string_view name);
/// "/a" of "/x/a" where "/x" is the root; of a path outside of it, as getcwd shows that.
std::string seen_from(std::string_view root, std::string_view canonical);
/// As links and texts of /proc show it: by its whole name where the root does not lead to it
/// (fs/d_path.c, d_path).
[[nodiscard]] std::string shown_from(std::string_view root, std::string_view canonical);
/// "/x" of "/x/a", "/" of "/x".
std::string_view parent_path(std::string_view canonical);

}  // namespace hearth::guest::vfs
