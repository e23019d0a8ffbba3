#pragma once

/// Takes the memory of a guest at rest for a snapshot. Nothing changes in the guest.

#include "guest/kernel/kernel_state.hpp"
#include "sandbox/shell.hpp"
#include "sandbox/snapshot_image.hpp"

#include <hearth/error.hpp>

#include <memory>

namespace hearth::detail {

/// All of it, as a new root. Written pages of file windows become frames: `state`, a copy of the
/// guest's, comes out saying so.
/// @errors errc::no_room
result<std::shared_ptr<const memory_image>> capture_root(vmm::guest_memory& memory,
                                                         guest::kernel_state& state);

/// What differs from the root that the memory is a mapping of. Time grows with the pages written.
/// @errors errc::io_failed: a mapped file was cut short
result<memory_diff> capture_written(vmm::guest_memory& memory,
                                    const guest::kernel_state& state,
                                    const snapshot_image& root);

/// Pages of host memory that this guest alone holds: its page tables and what it wrote since its
/// root, or, without one, all that it touched. A page once written stays private until the shell is
/// wiped or mapped anew. Walks the tables.
std::uint64_t private_pages(const vmm::guest_memory& memory,
                            const guest::kernel_state& state,
                            bool has_root);

}  // namespace hearth::detail
