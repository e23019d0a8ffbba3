#pragma once

/// A directory of the host, read-only. Every access goes through openat2 beneath the directory's
/// own descriptor, with symlinks and magic links refused (the walker resolves links in the guest's
/// namespace), so nothing outside can be named. Only regular files and directories are opened;
/// devices, fifos and sockets of the host never. man 2 openat2.
///
/// Keeps a bounded cache of opened files, shared by all guests: the page cache and mappings with
/// it. mutex_ guards the cache; it is a leaf and held over no system call.

#include "base/unique_fd.hpp"
#include "guest/vfs/tree.hpp"

#include <hearth/error.hpp>

#include <filesystem>
#include <list>
#include <map>
#include <mutex>
#include <optional>

namespace hearth::guest::vfs {

class host_tree final : public tree {
  public:
    /// @errors errc::io_failed: no such directory, not readable, or the kernel has no openat2
    /// (before 5.6)
    static result<std::shared_ptr<const host_tree>> open(const std::filesystem::path& directory);

    [[nodiscard]] outcome<attributes> lookup(std::string_view path) const override;
    [[nodiscard]] outcome<std::string> read_link(std::string_view path) const override;
    [[nodiscard]] outcome<listing> list(std::string_view path, bool again) const override;
    [[nodiscard]] outcome<mm::file_backing> content(std::string_view path,
                                                    const file_identity* expected) const override;
    [[nodiscard]] outcome<void> access(std::string_view path, int mode) const override;
    [[nodiscard]] bool walks_whole_paths() const noexcept override { return true; }
    [[nodiscard]] bool changes() const noexcept override { return true; }
    [[nodiscard]] std::uint64_t used_bytes() const override;

    static constexpr std::size_t max_cached_files = 256;
    static constexpr std::size_t max_cached_listings = 16;

  private:
    explicit host_tree(unique_fd root) : root_(std::move(root)) {}
    [[nodiscard]] outcome<unique_fd> open_beneath(std::string_view path, int flags) const;

    /// Least recently used goes first.
    template <class T>
    struct cache {
        std::list<std::pair<std::string, T>> order;
        std::map<std::string_view, typename std::list<std::pair<std::string, T>>::iterator> index;
        T* find(std::string_view key);
        /// @return what had to go, for the caller to destroy after the lock.
        std::optional<T> put(std::string_view key, T value, std::size_t limit);
    };
    unique_fd root_;
    mutable std::mutex mutex_;
    struct opened {
        std::shared_ptr<const unique_fd> fd;
        file_identity identity;
    };
    mutable cache<opened> files_;
    mutable cache<listing> listings_;
};

/// Of an open host file.
outcome<attributes> attributes_of_host_fd(int fd);

}  // namespace hearth::guest::vfs
