#pragma once

/// Hands out guest-physical frames and enforces the function's memory size. A value (all
/// bookkeeping is here, none in guest memory). Frames come zeroed: a frame given back must have
/// been discarded first.
///
/// The guest-physical region is larger than the memory size: frames are taken from the bottom, file
/// windows (which cost no memory of the function's) from the top.

#include "base/codec_access.hpp"
#include "vmm/address.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>

namespace hearth::guest::mm {

class frame_allocator {
  public:
    struct run {
        vmm::gpa first;
        std::uint64_t pages = 0;
        bool operator==(const run&) const = default;
    };

    frame_allocator() = default;
    /// Frames live in [first, end) of guest-physical space; at most `limit_pages` are out at a
    /// time.
    frame_allocator(vmm::gpa first, vmm::gpa end, std::uint64_t limit_pages);

    /// `pages` contiguous frames; nothing when the limit or the space is reached.
    [[nodiscard]] std::optional<vmm::gpa> allocate(std::uint64_t pages);
    /// Between one and `wanted` contiguous frames, as many as are at hand; nothing when the limit
    /// or the space is reached. Bounded time, however fragmented the guest made the space.
    [[nodiscard]] std::optional<run> allocate_some(std::uint64_t wanted);
    void release(vmm::gpa first, std::uint64_t pages);
    /// Exactly this frame. False when it is not free or the limit is reached.
    [[nodiscard]] bool allocate_at(vmm::gpa frame);
    /// Neither a frame in use nor part of a window.
    [[nodiscard]] bool is_free(vmm::gpa frame) const noexcept;

    /// Space for a file window: guest-physical addresses that cost no frames and no limit. From the
    /// top.
    [[nodiscard]] std::optional<vmm::gpa> reserve_window(std::uint64_t pages);
    void release_window(vmm::gpa first, std::uint64_t pages);

    /// Counts pages against the limit without handing out frames (written private file pages).
    [[nodiscard]] bool charge(std::uint64_t pages);
    void uncharge(std::uint64_t pages);

    /// One more owner of a frame that is in use (fork).
    void share(vmm::gpa frame) { ++shared_[frame.value / vmm::page_size]; }
    /// One owner less. False: it has only one, who may release it.
    bool unshare(vmm::gpa frame);
    [[nodiscard]] bool is_shared(vmm::gpa frame) const {
        return !shared_.empty() && shared_.contains(frame.value / vmm::page_size);
    }
    [[nodiscard]] std::uint64_t owners(vmm::gpa frame) const {
        const auto it = shared_.find(frame.value / vmm::page_size);
        return it == shared_.end() ? 1 : std::uint64_t{1} + it->second;
    }
    [[nodiscard]] bool any_shared() const noexcept { return !shared_.empty(); }

    /// The owner through whose entry a shared frame was written leaves it to the others, in whose
    /// entries that does not show.
    void note_left_written(vmm::gpa frame) { left_written_.insert(frame.value / vmm::page_size); }
    /// Their page numbers.
    [[nodiscard]] const std::set<std::uint64_t>& left_written() const noexcept {
        return left_written_;
    }
    /// Memory is a snapshot now, by which writing is judged.
    void forget_left_written() noexcept { left_written_.clear(); }

    [[nodiscard]] std::uint64_t used_pages() const noexcept { return used_; }
    [[nodiscard]] std::uint64_t peak_pages() const noexcept { return peak_; }
    [[nodiscard]] std::uint64_t limit_pages() const noexcept { return limit_; }
    /// Pages of guest-physical space that are neither frames in use nor windows.
    [[nodiscard]] std::uint64_t free_space_pages() const noexcept;

    /// A page could not be supplied although everything was tried: the sandbox is over. Set by
    /// address_space, so that a system call which met it while copying out can tell OOM from
    /// EFAULT.
    [[nodiscard]] bool exhausted() const noexcept { return exhausted_; }
    void mark_exhausted() noexcept { exhausted_ = true; }

    bool operator==(const frame_allocator&) const = default;

  private:
    friend struct codec::access;
    static auto fields(auto& self) {
        return std::tie(self.free_, self.used_, self.peak_, self.limit_, self.exhausted_,
                        self.shared_, self.left_written_);
    }
    void take(std::map<std::uint64_t, std::uint64_t>::iterator from, std::uint64_t pages);
    void give_back(std::uint64_t first, std::uint64_t pages);
    void count(std::uint64_t pages) noexcept;

    std::map<std::uint64_t, std::uint64_t> free_;  // first page number → pages; coalesced
    std::uint64_t used_ = 0, peak_ = 0, limit_ = 0;
    bool exhausted_ = false;
    std::map<std::uint64_t, std::uint32_t> shared_;  // page number → owners beside the first
    std::set<std::uint64_t> left_written_;
};

}  // namespace hearth::guest::mm
