#pragma once

/// A microVM shell: a VM with what stands in its memory. A shell outlives the guests that run in it
/// one after the other; whoever comes next has the memory of the one before replaced
/// (memory_restore.hpp) or wiped (`make_blank`), never left. Move-only; one owner at a time.

#include "guest/kernel/kernel_state.hpp"
#include "sandbox/snapshot_image.hpp"
#include "vmm/vm.hpp"

#include <hearth/error.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

namespace hearth::detail {

struct shell {
    shell(vmm::vm v) noexcept  // NOLINT(google-explicit-constructor): a fresh VM is a shell
        : vm(std::move(v)) {}

    vmm::vm vm;

    /// Nothing was ever in it, or it was wiped.
    bool blank = true;
    /// The root snapshot that memory above `layout::first_free` is a private mapping of; null:
    /// none. Then a leaf entry that is as in the root but for its accessed and dirty bits, and not
    /// dirty, points to a frame that holds what the root's does.
    std::shared_ptr<const snapshot_image> root;
    /// What stands in memory while no guest has it in its own state: the page tables and file
    /// windows of each of its spaces,
    struct space {
        vmm::gpa root;
        std::vector<guest::mm::page_table> tables;
        std::map<std::uint64_t, guest::mm::file_window> windows;
    };
    std::vector<space> spaces;
    /// and the frames that were written although no entry says so (frame_allocator).
    std::set<std::uint64_t> left_written;
    /// Takes them from the guest that is leaving.
    void keep_layout(guest::kernel_state& state);
    void forget_layout() noexcept;

    /// Wipes memory, tables and translations: for a guest that is loaded, not cloned.
    result<void> make_blank();
};

}  // namespace hearth::detail
