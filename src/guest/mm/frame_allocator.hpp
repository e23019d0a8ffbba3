#pragma once

/// Hands out guest-physical frames and enforces the function's memory size. A value (all bookkeeping is
/// here, none in guest memory). Frames come zeroed: a frame given back must have been discarded first.

#include "vmm/address.hpp"

#include <cstdint>
#include <map>
#include <optional>

namespace hearth::guest::mm {

class frame_allocator {
  public:
    frame_allocator() = default;
    /// Frames live in [first, end) of guest-physical space; at most `limit_pages` are out at a time.
    frame_allocator(vmm::gpa first, vmm::gpa end, std::uint64_t limit_pages);

    /// `pages` contiguous frames; nothing when the limit or the space is reached.
    [[nodiscard]] std::optional<vmm::gpa> allocate(std::uint64_t pages);
    void release(vmm::gpa first, std::uint64_t pages);

    /// Space for a file window: guest-physical addresses that cost no frames and no limit. From the top.
    [[nodiscard]] std::optional<vmm::gpa> reserve_window(std::uint64_t pages);
    void release_window(vmm::gpa first, std::uint64_t pages);

    /// Counts pages against the limit without handing out frames (written private file pages).
    [[nodiscard]] bool charge(std::uint64_t pages);
    void uncharge(std::uint64_t pages);

    [[nodiscard]] std::uint64_t used_pages() const noexcept { return used_; }
    [[nodiscard]] std::uint64_t peak_pages() const noexcept { return peak_; }
    [[nodiscard]] std::uint64_t limit_pages() const noexcept { return limit_; }

    bool operator==(const frame_allocator&) const = default;

  private:
    std::map<std::uint64_t, std::uint64_t> free_;  // first page number → pages; coalesced
    std::uint64_t used_ = 0, peak_ = 0, limit_ = 0;
};

}  // namespace hearth::guest::mm
