#pragma once

/// The guest-physical region of one microVM: its host mapping, private (copy-on-write), the whole of one
/// KVM memory slot at GPA 0. Holds no ioctl, so what stands on it is tested without KVM. Owner thread only.
///
/// Nothing here trusts a guest: every access is checked against the size, overflow-safe.

#include "base/mapping.hpp"
#include "vmm/address.hpp"

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hearth::vmm {

class guest_memory {
  public:
    /// Anonymous, zero, MAP_NORESERVE, 2 MiB aligned; nothing is populated. size: a multiple of a page.
    /// @errors errc::no_room
    static result<guest_memory> create(byte_count size);

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    [[nodiscard]] std::byte* base() const noexcept { return base_; }

    /// Host address of [at, at+length), or null when any of it lies outside.
    [[nodiscard]] std::byte* at(gpa address, std::uint64_t length) const noexcept {
        if (length > size_ || address.value > size_ - length) return nullptr;
        return base_ + address.value;
    }
    /// A page-table entry or other aligned word. The caller knows it is inside.
    [[nodiscard]] std::uint64_t& word(gpa address) const noexcept {
        return *reinterpret_cast<std::uint64_t*>(base_ + address.value);
    }

    /// Replaces the frames by a private mapping of a file: reads share the page cache, writes copy.
    /// Offsets and lengths are page multiples; bytes past the end of the file fault (KVM_RUN: EFAULT).
    /// The frames must not be in use by any guest mapping.
    result<void> map_file(gpa address, std::uint64_t length, int fd, std::uint64_t offset);

    /// Replaces frames that held a file by anonymous zeroes again.
    result<void> unmap_file(gpa address, std::uint64_t length);

    /// Replaces frames by a snapshot's: a private mapping of its memfd, in which each page lies at its
    /// guest-physical address. Ascending calls; only a sealed memfd, whose pages cannot go away. What is
    /// discarded of them reads as zeroes, not as the snapshot again.
    result<void> map_snapshot(gpa address, std::uint64_t length, int memfd);

    /// Everything from `start` on is anonymous and zero again, whatever was mapped there.
    result<void> make_blank(gpa start);

    /// Gives the frames back to the host: they read as zeroes, or as the file again that map_file put there.
    /// Also drops every translation to them, on both flavours (FACTS 3): store the page-table entries first.
    void discard(gpa address, std::uint64_t length) noexcept;

    /// Drops every translation to the frames and keeps their contents: mprotect(R) + mprotect(RW) on the
    /// host mapping, the recipe for entries that became less permissive. Entries first, then this.
    void drop_translations(gpa address, std::uint64_t length) noexcept;

    /// Faults frames in ahead of their use (MADV_POPULATE_WRITE); best effort.
    void populate(gpa address, std::uint64_t length) noexcept;

  private:
    mapping reservation_;        // larger than the region: alignment
    std::byte* base_ = nullptr;  // 2 MiB aligned inside it
    std::uint64_t size_ = 0;

    struct range {
        std::uint64_t start = 0, end = 0;
    };
    /// Something else is mapped there from now on.
    void leave_snapshot(std::uint64_t start, std::uint64_t end);

    std::vector<range> snapshot_ranges_;  // ascending; where map_snapshot's pages stand
};

}  // namespace hearth::vmm
