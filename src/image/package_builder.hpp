#pragma once

/// Collects the entries of a package, checks each, and seals the result. All sources of packages go
/// through here, so that a directory is held to the same rules as a zip.

#include "image/package_image.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace hearth::image {

/// Entries a package may have, the directories between included.
inline constexpr std::uint64_t max_entries = 65536;
/// Linux's own limits (limits.h NAME_MAX, PATH_MAX), less the "/var/task/" in front.
inline constexpr std::size_t max_name = 255, max_path = 4000;

class package_builder {
  public:
    /// `root` is where the guest will see it: symlinks may be absolute below it.
    static result<package_builder> create(std::string_view root = task_directory);

    result<void> add_directory(std::string_view path, std::uint32_t mode, std::int64_t mtime);
    result<void> add_symlink(std::string_view path, std::string target, std::int64_t mtime);

    /// A file's content follows in pieces; a name may come once only.
    result<void> begin_file(std::string_view path, std::uint32_t mode, std::int64_t mtime);
    /// @errors errc::package_too_large past 250 MB unzipped in all, counted here and never believed
    result<void> append(std::string_view bytes);

    void describe(std::string code_sha256, std::uint64_t code_size);
    /// Checks that no symlink leaves the tree and seals the contents. The builder is spent.
    result<std::shared_ptr<const package_image>> finish();

    static std::shared_ptr<const package_image> of_callable(in_process_handler handler);

  private:
    package_builder() = default;
    result<void> insert(std::string_view path, package_entry entry);
    result<void> check_symlinks() const;

    std::string_view root_;  ///< a literal
    std::shared_ptr<package_image> image_;
    std::shared_ptr<unique_fd> memory_;
    std::uint64_t end_ = 0;       ///< of what is written to the memfd
    std::uint64_t unzipped_ = 0;  ///< content so far, without page padding
    package_entry* current_ = nullptr;
};

}  // namespace hearth::image
