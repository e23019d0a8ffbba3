#pragma once

/// What a mapping holds in memory, page by page: /proc/[pid]/smaps and whatever sums it up.

#include "guest/mm/address_space.hpp"

#include <cstdint>

namespace hearth::guest::mm {

/// Pages. Only those that somebody has used count: what was given ahead holds nothing yet.
struct memory_use {
    std::uint64_t clean = 0, dirty = 0;                ///< of this mapping alone
    std::uint64_t shared_clean = 0, shared_dirty = 0;  ///< that other mappings have as well
    std::uint64_t anonymous = 0;                       ///< hold nothing of a file
    std::uint64_t of_memory_file = 0;                  ///< of shared memory, anonymous or named
    std::uint64_t proportional_bytes = 0;              ///< a page in n mappings counts a n-th part
    bool operator==(const memory_use&) const = default;

    [[nodiscard]] std::uint64_t resident() const noexcept {
        return clean + dirty + shared_clean + shared_dirty;
    }
    memory_use& operator+=(const memory_use& o) noexcept;
};

/// Of one area of `space`. Walks its tables: the time grows with what is mapped, not with the
/// range.
[[nodiscard]] memory_use use_of(mm_state& space,
                                frame_allocator& frames,
                                vmm::guest_memory& memory,
                                const vma_map::value_type& area);
/// Of all its areas.
[[nodiscard]] memory_use use_of(mm_state& space,
                                frame_allocator& frames,
                                vmm::guest_memory& memory);

}  // namespace hearth::guest::mm
