#pragma once

/// What guest memory holds in a snapshot: the pages that are not zero, in a sealed memfd, each at
/// its guest-physical address. Immutable, so any number of clones map it privately (copy-on-write)
/// and any thread reads it.
///
/// Pages are kept in extents. A few zero pages between two of them are holes of the memfd inside
/// one extent, so that a clone needs few host mappings.

#include "base/mapping.hpp"
#include "base/unique_fd.hpp"
#include "vmm/address.hpp"

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace hearth::detail {

class memory_image {
  public:
    struct extent {
        vmm::gpa first;
        std::uint64_t pages = 0;
        bool operator==(const extent&) const = default;
    };

    /// Makes one, page by page in ascending order.
    class builder {
      public:
        /// size: of the guest-physical region; a page multiple.
        /// @errors errc::no_room: no memfd (its limit, or no descriptor left)
        static result<builder> create(byte_count size);
        /// Pages at `first`, after everything added before. Zero pages are left out.
        /// @errors errc::no_room: the memfd cannot grow
        result<void> add(vmm::gpa first, std::span<const std::byte> pages);
        /// Seals it.
        result<std::shared_ptr<const memory_image>> finish() &&;

      private:
        builder() = default;
        std::unique_ptr<memory_image> image_;
    };

    /// The memfd; read-only for everyone from now on.
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }
    /// Ascending, disjoint, with gaps between them.
    [[nodiscard]] std::span<const extent> extents() const noexcept { return extents_; }
    /// A page of the image. Null: it is not in any extent, so it is zero (or a file window's).
    [[nodiscard]] const std::byte* page(vmm::gpa at) const noexcept;
    /// The guest-physical region's size.
    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// Pages that are held and not zero.
    [[nodiscard]] std::uint64_t pages() const noexcept { return pages_; }

  private:
    memory_image() = default;

    unique_fd fd_;
    mapping view_;  // read-only, from the first to the last extent
    std::uint64_t size_ = 0;
    std::uint64_t pages_ = 0;
    std::vector<extent> extents_;
};

/// Pages that differ from an image: what one environment wrote. Sorted by address.
struct memory_diff {
    std::vector<std::uint64_t> pages;  ///< guest-physical page numbers, ascending
    std::vector<std::byte> bytes;      ///< their contents, one after the other

    [[nodiscard]] const std::byte* page(vmm::gpa at) const noexcept;
};

}  // namespace hearth::detail
