#pragma once

/// Makes the memory in a shell that of a snapshot.
///
/// A shell whose memory is a private mapping of the same root is brought back by copying the pages
/// that were written, which costs neither unmapping nor new faults (FACTS 4.2: thirty times cheaper
/// at 1,024 pages); any other is mapped anew. What was written is known from the dirty bits of the
/// leaf entries. They are sticky: KVM's shadow entry stays writable when the bit is cleared in
/// memory and would not set it again (FACTS 3). So a bit once set stays set for as long as the
/// shell stays with its root, and the page is copied again every time.
///
/// Entries that changed get the recipes of FACTS 3: the entry is stored first, then the
/// translations to the frame it pointed to are dropped. A table is never taken out and its frame
/// never used for another range: tables that the last guest made stay, empty, and are counted to
/// the next one. When that cannot be (the frame is in use in the snapshot), memory is mapped anew.
///
/// A guest with several processes has several spaces, each known by its root. Whole spaces that the
/// last guest made stay in the same way, empty, for processes to come.

#include "guest/kernel/kernel_state.hpp"
#include "sandbox/shell.hpp"
#include "sandbox/snapshot_image.hpp"

#include <hearth/error.hpp>

#include <memory>

namespace hearth::detail {

struct memory_restored {
    bool remapped = false;     ///< everything was mapped anew
    std::uint64_t copied = 0;  ///< pages written back
};

/// The shell says what stands in it (`spaces`, `left_written`) and comes out saying nothing.
/// `state` is a copy of `image->kernel`; it comes out knowing tables that stay. After a failure the
/// shell is no good.
/// @errors errc::no_room, io_failed
result<memory_restored> restore_memory(shell& s,
                                       const std::shared_ptr<const snapshot_image>& image,
                                       guest::kernel_state& state);

}  // namespace hearth::detail
