#pragma once

/// Files of the guest's trees that a stored snapshot stands on. It holds none of their bytes and no
/// descriptor: it says which file it was, and that file must be there again. Files of a package are
/// fixed by its hash, which is part of the snapshot's key; a host's file is known by inode, size
/// and times. (Not by device: its number may change with a restart of the host.)

#include "guest/mm/file_backing.hpp"
#include "guest/vfs/filesystem.hpp"

#include <hearth/error.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::detail {

struct stored_file {
    std::string path;     ///< canonical, in the guest's namespace
    bool changes = true;  ///< a host's file; otherwise of a package or made up by us
    std::uint64_t device = 0, inode = 0, size = 0;
    std::chrono::nanoseconds modified{}, changed{};
    std::uint64_t fd_offset = 0;  ///< where its content begins in its descriptor
};

/// The guest's trees, for the length of a save or a load.
class guest_files {
  public:
    explicit guest_files(const guest::vfs::filesystem& filesystem) noexcept
        : filesystem_(filesystem) {}

    /// Mount points and what is there, by number: a stored node says its mount by that number.
    [[nodiscard]] std::string mount_table() const;

    struct opened {
        stored_file identity;
        guest::mm::file_backing content;
    };
    /// A regular file of a mounted tree, as it is now. @errors errc::io_failed
    [[nodiscard]] result<opened> open(std::string_view path) const;
    /// @errors errc::snapshot_unusable, naming the file: it is not the one it was
    [[nodiscard]] result<opened> open_again(const stored_file& known) const;

    /// A node of a tree mount; empty: it is of none.
    [[nodiscard]] std::string path_of(const guest::vfs::tree_node& node) const;

  private:
    const guest::vfs::filesystem& filesystem_;
};

}  // namespace hearth::detail
