#pragma once

/// The writable trees (/tmp, /dev/shm) and anonymous files (memfd_create): one store of inodes with
/// one limit of bytes (the function's ephemeral storage) and one of inodes. A value.
///
/// An inode lives while a name or an open description refers to it. Errors are Linux's errnos; on
/// failure nothing has changed.

#include "base/codec_access.hpp"
#include "guest/outcome.hpp"
#include "guest/vfs/attributes.hpp"
#include "guest/vfs/file_content.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

namespace hearth::guest::vfs {

enum class inode_id : std::uint64_t { none = 0 };

inline constexpr std::size_t max_name_length = 255;

struct directory_body {
    struct entry {
        inode_id inode{};
        std::uint64_t cookie = 0;
        bool operator==(const entry&) const = default;
    };
    inode_id parent{};
    std::string name;  ///< its own, in the parent; empty for a root
    std::map<std::string, entry, std::less<>> names;
    std::map<std::uint64_t, std::string>
        order;                      ///< by cookie: a listing survives changes made during it
    std::uint64_t next_cookie = 3;  ///< 1 and 2 are "." and ".."
    bool operator==(const directory_body&) const = default;
};
struct symlink_body {
    std::string target;
    bool operator==(const symlink_body&) const = default;
};

/// A name for a socket; what it leads to is found by the inode.
struct socket_body {
    bool operator==(const socket_body&) const = default;
};

/// mkfifo(3). Those who have it open share a pipe, which goes with the last of them.
struct fifo_body {
    std::uint32_t pipe = 0;  ///< its pipe_id; 0: nobody has it open
    bool operator==(const fifo_body&) const = default;
};

/// mknod(2).
struct device_body {
    std::uint64_t number = 0;  ///< as st_rdev has it
    bool block = false;
    bool operator==(const device_body&) const = default;
};

struct inode {
    std::uint32_t permissions = 0;  ///< without the type
    std::uint32_t uid = 0, gid = 0;
    std::uint32_t links = 0;  ///< names; a directory's counts as Linux counts
    std::uint32_t opens = 0;  ///< open descriptions
    std::map<std::string, std::string, std::less<>> extended;  ///< attributes, man 7 xattr
    std::uint32_t seals = 0;  ///< F_SEAL_*; only a memfd has any to give
    std::chrono::nanoseconds accessed{}, modified{}, changed{}, born{};
    std::variant<file_content, directory_body, symlink_body, socket_body, fifo_body, device_body>
        body;
    bool operator==(const inode&) const = default;
};

struct owner {
    std::uint32_t uid = 0, gid = 0;
};

class tmpfs {
  public:
    using time = std::chrono::nanoseconds;

    tmpfs() = default;
    tmpfs(std::uint64_t byte_limit, std::uint64_t inode_limit)
        : byte_limit_(byte_limit), inode_limit_(inode_limit) {}

    inode_id add_root(std::uint32_t permissions, time now);
    [[nodiscard]] const inode* find(inode_id id) const;
    [[nodiscard]] inode* find(inode_id id);
    [[nodiscard]] attributes attributes_of(inode_id id) const;
    /// The path from its root, "/a/b" or ""; ENOENT when the directory was removed.
    [[nodiscard]] outcome<std::string> path_of(inode_id directory) const;
    /// The root above a directory.
    [[nodiscard]] inode_id root_of(inode_id directory) const;

    [[nodiscard]] outcome<inode_id> lookup(inode_id directory, std::string_view name) const;
    outcome<inode_id> create_file(
        inode_id directory, std::string_view name, std::uint32_t permissions, owner who, time now);
    outcome<inode_id> create_directory(
        inode_id directory, std::string_view name, std::uint32_t permissions, owner who, time now);
    outcome<inode_id> create_symlink(
        inode_id directory, std::string_view name, std::string_view target, owner who, time now);
    outcome<inode_id> create_socket(
        inode_id directory, std::string_view name, std::uint32_t permissions, owner who, time now);
    outcome<inode_id> create_fifo(
        inode_id directory, std::string_view name, std::uint32_t permissions, owner who, time now);
    outcome<inode_id> create_device(inode_id directory,
                                    std::string_view name,
                                    std::uint32_t permissions,
                                    const device_body& what,
                                    owner who,
                                    time now);
    /// A file without a name; it goes with its last open description.
    outcome<inode_id> create_anonymous(std::uint32_t permissions,
                                       std::uint32_t seals,
                                       owner who,
                                       time now);
    outcome<void> link(inode_id file, inode_id directory, std::string_view name, time now);
    outcome<void> unlink(inode_id directory, std::string_view name, time now);
    outcome<void> remove_directory(inode_id directory, std::string_view name, time now);
    /// flags: RENAME_NOREPLACE, RENAME_EXCHANGE.
    outcome<void> rename(inode_id from,
                         std::string_view from_name,
                         inode_id to,
                         std::string_view to_name,
                         unsigned flags,
                         time now);

    std::size_t read(inode_id file, std::uint64_t offset, std::span<std::byte> out) const;
    /// May write less when the room ends; ENOSPC when nothing fits.
    outcome<std::size_t> write(inode_id file,
                               std::uint64_t offset,
                               std::span<const std::byte> in,
                               time now);
    outcome<void> truncate(inode_id file, std::uint64_t size, time now);
    outcome<void> allocate(
        inode_id file, std::uint64_t offset, std::uint64_t length, bool keep_size, time now);
    /// Room for a piece that a mapping is about to show; times stay as they are. ENOSPC
    outcome<void> fill_hole(inode_id file, std::uint64_t offset, std::uint64_t length);
    outcome<void> punch(inode_id file, std::uint64_t offset, std::uint64_t length, time now);

    /// ENOSPC, also beyond max_extended of one inode.
    outcome<void> set_extended(inode_id id, std::string_view name, std::string value, time now);
    outcome<void> remove_extended(inode_id id, std::string_view name, time now);

    void opened(inode_id id);
    void closed(inode_id id);

    [[nodiscard]] std::uint64_t byte_limit() const noexcept { return byte_limit_; }
    [[nodiscard]] std::uint64_t bytes_used() const noexcept { return bytes_used_; }
    [[nodiscard]] std::uint64_t inode_limit() const noexcept { return inode_limit_; }
    [[nodiscard]] std::uint64_t inodes_used() const noexcept { return inodes_.size(); }

    bool operator==(const tmpfs&) const = default;

  private:
    friend struct codec::access;
    static auto fields(auto& self) {
        return std::tie(self.inodes_, self.next_, self.byte_limit_, self.bytes_used_,
                        self.inode_limit_);
    }
    outcome<directory_body*> open_directory(inode_id id);
    outcome<inode_id> add(inode node);
    outcome<inode_id> create(inode_id directory, std::string_view name, inode node, time now);
    void attach(inode_id directory, std::string_view name, inode_id child);
    void detach(inode_id directory, std::string_view name);
    void forget_if_unused(inode_id id);

    std::map<inode_id, inode> inodes_;
    std::uint64_t next_ = 1;
    std::uint64_t byte_limit_ = 0, bytes_used_ = 0;
    std::uint64_t inode_limit_ = 0;
};

/// What a directory entry costs of the byte limit besides its inode, so that names cannot grow the
/// host unseen.
inline constexpr std::uint64_t inode_cost = 1024;
/// The same for an extended attribute, besides its name and value.
inline constexpr std::uint64_t extended_cost = 128;
/// All of an inode's extended attributes may cost this much. Disk filesystems give a block or so.
inline constexpr std::uint64_t max_extended = 16 * 1024;

}  // namespace hearth::guest::vfs
