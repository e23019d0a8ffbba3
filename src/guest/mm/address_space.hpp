#pragma once

/// One process's virtual memory: its VMAs and the page tables that the host writes into guest memory for it.
///
/// `mm_state` is the value (VMAs, brk, table registry); the page tables themselves live in guest memory and
/// belong to the snapshot's memory. `address_space` is the handle that binds both for the length of a call.
///
/// Invariants: VMAs are page-aligned, disjoint and sorted; a leaf entry never permits more than its VMA; a
/// table frame is bound to its address range for the life of the VM (FACTS 3: shadow links survive); entries
/// that become less permissive are stored first and their frames' translations dropped second; no user
/// mapping reaches `layout::system_area`.
///
/// Frames are given on demand: small mappings at once, large ones by fault, several pages a time
/// (FACTS 4.1: a #PF costs a floor, so a fault brings its neighbours). PROT_NONE costs nothing.

#include "guest/guest_ptr.hpp"
#include "guest/mm/file_backing.hpp"
#include "guest/mm/frame_allocator.hpp"
#include "guest/outcome.hpp"
#include "vmm/guest_memory.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace hearth::guest::mm {

struct protection {
    bool read = false, write = false, execute = false;
    bool operator==(const protection&) const = default;
    [[nodiscard]] bool none() const noexcept { return !read && !write && !execute; }
};

struct vma {
    gva end;  // the start is the key
    protection prot;
    bool grows_down = false;
    std::optional<file_backing> file;
    std::uint64_t file_offset = 0;  ///< of the VMA's start
    std::string name;               ///< "[heap]", "[stack]", "[vdso]"; empty: the file's path or anonymous
    bool operator==(const vma&) const = default;
};

struct mm_state {
    std::map<gva, vma> vmas;
    gva brk_start, brk;
    gva mmap_base;  ///< new mappings are placed below it, top down
    gva stack_top;
    // … what the implementation needs besides (file windows, table registry): all values.
    std::map<std::uint64_t, std::uint64_t> windows;  ///< file window: first page number → pages
    bool operator==(const mm_state&) const = default;
};

/// How a page fault ended.
enum class fault_result {
    resolved,       ///< run again
    segv_maperr,    ///< SIGSEGV, SEGV_MAPERR
    segv_accerr,    ///< SIGSEGV, SEGV_ACCERR
    bus_adrerr,     ///< SIGBUS: past the end of a mapped file
    out_of_memory,  ///< the memory size is reached: the sandbox dies with Runtime.OutOfMemory
};

class address_space {
  public:
    address_space(mm_state& state, frame_allocator& frames, vmm::guest_memory& memory) noexcept
        : state_(state), frames_(frames), memory_(memory) {}

    // -- mappings, with Linux's semantics and errnos (man 2 mmap, …) ---------------------------------------
    struct map_request {
        gva hint;
        std::uint64_t length = 0;
        protection prot;
        bool fixed = false, fixed_noreplace = false, shared = false, populate = false, grows_down = false;
        std::optional<file_backing> file;
        std::uint64_t file_offset = 0;
        std::string name;
    };
    outcome<gva> map(const map_request& request);
    outcome<void> unmap(gva start, std::uint64_t length);
    outcome<void> protect(gva start, std::uint64_t length, protection prot);
    outcome<gva> remap(gva old_address, std::uint64_t old_size, std::uint64_t new_size, int flags, gva new_address);
    outcome<void> advise(gva start, std::uint64_t length, int advice);
    gva set_brk(gva new_brk);
    outcome<void> sync(gva start, std::uint64_t length);
    /// One byte a page, bit 0: resident (man 2 mincore).
    outcome<void> residency(gva start, std::uint64_t length, std::span<std::byte> pages);

    /// A #PF from the vCPU. error_code as the SDM's: bit 1 write, bit 4 instruction fetch.
    fault_result fault(gva address, std::uint32_t error_code);

    // -- access by the host on the guest's behalf ------------------------------------------------------------
    // All or nothing is not promised: like the kernel's copy_*_user, a failure may have copied a prefix.
    // Writing marks pages dirty in their entries; frames are given as if the guest had touched them.
    outcome<void> read(gva from, std::span<std::byte> into);
    outcome<void> write(gva to, std::span<const std::byte> from);
    /// Up to and without the terminating zero. ENAMETOOLONG beyond `limit`.
    outcome<std::string> read_string(gva from, std::size_t limit);
    /// Calls `use` with consecutive host spans that make up the range, after checking access to each; stops
    /// when it returns less than the span's length. @return bytes used; EFAULT only if the first is bad.
    outcome<std::size_t> for_each_span(gva start,
                                       std::size_t length,
                                       bool write,
                                       const std::function<std::size_t(std::span<std::byte>)>& use);
    [[nodiscard]] bool accessible(gva start, std::uint64_t length, bool write);

    /// Removes all user mappings and gives their frames back: exec, exit. The caller must make stale
    /// translations impossible afterwards (vm::drop_all_translations, or the VM ends).
    void clear();

    [[nodiscard]] const mm_state& state() const noexcept { return state_; }
    [[nodiscard]] mm_state& state() noexcept { return state_; }
    [[nodiscard]] frame_allocator& frames() noexcept { return frames_; }
    [[nodiscard]] vmm::guest_memory& memory() noexcept { return memory_; }

  private:
    mm_state& state_;
    frame_allocator& frames_;
    vmm::guest_memory& memory_;
};

}  // namespace hearth::guest::mm
