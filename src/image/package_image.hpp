#pragma once

/// A deployment package, read and checked: the immutable tree a guest sees at /var/task. File
/// contents stand in one sealed memfd, page-aligned, so guests map them and all environments share
/// the page cache. Packages are data: path traversal, symlinks that leave the tree, bombs, device
/// nodes and set-id bits are refused.

#include "base/unique_fd.hpp"

#include <hearth/error.hpp>
#include <hearth/package.hpp>
#include <hearth/units.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::image {

/// AWS's limits: 50 MB zipped (direct upload), 250 MB unzipped.
inline constexpr std::uint64_t max_zipped = 50ull << 20;
inline constexpr std::uint64_t max_unzipped = 250ull << 20;
inline constexpr std::size_t max_layers = 5;

/// Where the guest sees a package, and its merged layers.
inline constexpr std::string_view task_directory = "/var/task", layer_directory = "/opt";

struct package_entry {
    enum class kind { file, directory, symlink };
    kind type = kind::file;
    std::uint32_t mode = 0644;  ///< permission bits; set-id and sticky never
    std::int64_t mtime = 0;     ///< seconds since the epoch
    std::uint64_t offset = 0;   ///< of a file's content in its memfd; a page multiple
    std::uint64_t size = 0;
    std::uint32_t memory = 0;  ///< which memfd: that of a layer, in what layers were merged to
    std::string target{};  ///< of a symlink
    bool operator==(const package_entry&) const = default;
};

class package_image {
  public:
    /// Reads any kind of package but in_process. @errors errc::bad_package, package_too_large,
    /// missing_entry_point, not_executable, bad_executable, missing_interpreter, io_failed
    static result<std::shared_ptr<const package_image>> load(const package& source);
    static result<std::shared_ptr<const package_image>> from_zip(std::string_view zip);
    /// Layers as one tree, for /opt: of two entries of a name the later layer's is there. Null for
    /// none. At most five, and with the package at most 250 MB unzipped.
    /// @errors errc::invalid_argument (too many), package_too_large, bad_package, io_failed
    static result<std::shared_ptr<const package_image>> load_layers(std::span<const package> layers,
                                                                    const package_image& code);

    /// By path relative to the root, without a leading slash: "bootstrap", "lib/libx.so".
    /// Directories that the zip left out are there too; the root is "".
    [[nodiscard]] const std::map<std::string, package_entry, std::less<>>& entries()
        const noexcept {
        return entries_;
    }
    [[nodiscard]] const package_entry* find(std::string_view path) const;
    /// The sealed memfd with a file's content.
    [[nodiscard]] const std::shared_ptr<const unique_fd>& contents(const package_entry& of) const {
        return contents_[of.memory];
    }
    /// Of all files.
    [[nodiscard]] std::uint64_t unzipped_size() const noexcept;
    /// Of the zip as uploaded (of the content, for other sources): base64 SHA-256 and size, as AWS
    /// reports them.
    [[nodiscard]] const std::string& code_sha256() const noexcept { return code_sha256_; }
    [[nodiscard]] std::uint64_t code_size() const noexcept { return code_size_; }
    /// Set for `package::in_process`: the callable; entries() is empty then.
    [[nodiscard]] const in_process_handler& in_process() const noexcept { return in_process_; }

  private:
    friend class package_builder;
    package_image() = default;
    std::map<std::string, package_entry, std::less<>> entries_;
    std::vector<std::shared_ptr<const unique_fd>> contents_;
    std::string code_sha256_;
    std::uint64_t code_size_ = 0;
    in_process_handler in_process_;
};

/// The program of a function that brings its own: /var/task/bootstrap, or a layer's /opt/bootstrap
/// when the package has none. `layers` may be null.
std::string entry_point_of(const package_image& image, const package_image* layers);

/// Checks that the entry point is there, executable, an x86-64 ELF file (or a #! script), and that
/// its interpreter and needed libraries stand in the package, its layers or under guest_root.
/// @errors as load, naming what is missing
result<void> check_entry_point(const package_image& image,
                               const std::filesystem::path& guest_root,
                               const package_image* layers = nullptr);

}  // namespace hearth::image
