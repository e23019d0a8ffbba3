#pragma once

/// A tree whose every node is known: a deployment package, or made-up files (/etc/passwd,
/// /dev/null). Immutable once built.

#include "guest/vfs/tree.hpp"
#include "image/package_image.hpp"

#include <map>
#include <optional>
#include <string>

namespace hearth::guest::vfs {

class memory_tree final : public tree {
  public:
    struct node {
        std::uint32_t mode = 0;  ///< type and permissions
        std::int64_t modified = 0;
        std::uint64_t special = 0;  ///< of a device
        std::string target;         ///< of a symlink
        mm::file_backing content;   ///< of a file
    };

    /// Nodes by path; directories that are missing above a node are added.
    explicit memory_tree(std::map<std::string, node, std::less<>> nodes);
    /// /var/task: contents stay in the package's memfd, shared by all.
    static std::shared_ptr<const memory_tree> of_package(const image::package_image& package);

    static node directory(std::uint32_t permissions = 0755);
    static node text(std::string content, std::uint32_t permissions = 0644);
    static node symlink(std::string target);
    static node character_device(unsigned major, unsigned minor, std::uint32_t permissions = 0666);

    [[nodiscard]] outcome<attributes> lookup(std::string_view path) const override;
    [[nodiscard]] outcome<std::string> read_link(std::string_view path) const override;
    [[nodiscard]] outcome<listing> list(std::string_view path, bool again) const override;
    [[nodiscard]] outcome<mm::file_backing> content(std::string_view path,
                                                    const file_identity* expected) const override;
    [[nodiscard]] outcome<void> access(std::string_view path, int mode) const override;
    [[nodiscard]] std::uint64_t used_bytes() const override { return used_bytes_; }

  private:
    struct placed : node {
        std::uint64_t inode = 0;
        std::uint64_t subdirectories = 0;
        listing children;
    };
    std::map<std::string, placed, std::less<>> nodes_;
    std::uint64_t used_bytes_ = 0;
};

}  // namespace hearth::guest::vfs
