#pragma once

/// One process's virtual memory: its VMAs and the page tables that the host writes into guest
/// memory for it.
///
/// `mm_state` is the value (VMAs, brk, table registry); the page tables themselves live in guest
/// memory and belong to the snapshot's memory. `address_space` is the handle that binds both for
/// the length of a call.
///
/// Invariants: VMAs are page-aligned, disjoint and sorted; a leaf entry never permits more than its
/// VMA; a table frame is bound to its address range for the life of the VM (FACTS 3: shadow links
/// survive); entries that become less permissive are stored first and their frames' translations
/// dropped second; no user mapping reaches `layout::system_area`.
///
/// Frames are given on demand: small mappings at once, large ones by fault, several pages a time
/// (FACTS 4.1: a #PF costs a floor, so a fault brings its neighbours). PROT_NONE costs nothing.
/// Frames that were given ahead and never touched are taken back before a guest is told that memory
/// is out.
///
/// A mapping of a file in guest memory has the file's frames, of which the file is the first owner
/// (shared_files); a private one until it is written.
///
/// Big parts of host files are mapped into guest-physical windows: reads share the page cache,
/// writes copy. Somebody may cut such a file short, so the host never touches a window by its own
/// loads and stores (it would take SIGBUS), only through process_vm_readv/writev.

#include "guest/guest_ptr.hpp"
#include "guest/mm/file_backing.hpp"
#include "guest/mm/frame_allocator.hpp"
#include "guest/mm/page_tables.hpp"
#include "guest/mm/shared_files.hpp"
#include "guest/mm/vma.hpp"
#include "guest/outcome.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/x86_64/layout.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hearth::guest::mm {

inline constexpr gva user_start{0x1'0000};                 ///< as vm.mmap_min_addr
inline constexpr gva user_end = vmm::layout::system_area;  ///< user mappings end here
inline constexpr std::size_t max_vmas = 65'530;            ///< as vm.max_map_count
inline constexpr std::uint64_t stack_limit = 8ULL << 20;   ///< as RLIMIT_STACK
/// Mappings up to this size get their frames when made: a fault costs a floor, a frame next to
/// nothing.
inline constexpr std::uint64_t eager_limit = 256ULL << 10;
/// From this size on a part of a host file is mapped, below it is copied.
inline constexpr std::uint64_t window_threshold = 64ULL << 10;
/// The same for segments of a program that exec loads. Most of their pages are used at once, and
/// KVM brings eight neighbours with a fault on a page of ours, none with one on a file's.
inline constexpr std::uint64_t program_window_threshold = 512ULL << 10;
/// Private writable mappings up to this size are copied too: relocations and stores reach most of
/// their pages, and in a window each costs KVM two slow faults and a flush.
inline constexpr std::uint64_t written_copy_limit = 2ULL << 20;
/// Pages around a fault on anonymous memory for which the host's memory is made as well: KVM finds
/// it there in a fifth of the time that it takes to have it made (FACTS 4.1).
inline constexpr std::uint64_t commit_around = 64;
/// Pages around a fault on a file in guest memory: its holes there are filled.
inline constexpr std::uint64_t shared_file_around = 16;
/// Private writable file mappings up to this size are charged whole; larger ones as they are
/// written.
inline constexpr std::uint64_t charge_whole_limit = 8ULL << 20;

/// Guest-physical pages that stand for a part of a host file.
struct file_window {
    std::uint64_t pages = 0;
    std::uint64_t live = 0;  ///< pages of it that some entry still points to; none: the window goes
    file_backing file;       ///< what is mapped there, from
    std::uint64_t offset = 0;  ///< this place of it on
    bool operator==(const file_window&) const = default;
};

struct mm_state {
    gpa root{vmm::layout::pml4};  ///< of the page tables; CR3
    vma_map vmas;
    gva brk_start, brk;
    gva mmap_base;  ///< new mappings are placed below it, top down
    gva stack_top;
    gva random_bytes;  ///< AT_RANDOM: 16 bytes that every clone must have renewed
    /// What exec put on the stack: the arguments' strings and, up to its end, the environment's;
    /// and the auxiliary vector.
    gva arguments, environment, environment_end, auxiliary;
    std::map<std::uint64_t, file_window> windows;  ///< first page number → window
    std::vector<page_table> tables;                ///< those that mappings needed so far
    std::uint32_t barriers = 0;  ///< membarrier(2): what its process has registered for
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
    /// Without `files` no file in guest memory can be mapped, and pages of one are not supplied.
    address_space(mm_state& state,
                  frame_allocator& frames,
                  vmm::guest_memory& memory,
                  shared_files* files = nullptr) noexcept
        : state_(state),
          frames_(frames),
          memory_(memory),
          files_(files),
          tables_(memory, frames, state.tables, state.root) {}

    // -- mappings, with Linux's semantics and errnos (man 2 mmap, …)
    // ---------------------------------------
    struct map_request {
        gva hint;
        std::uint64_t length = 0;
        protection prot;
        bool fixed = false, fixed_noreplace = false, shared = false, populate = false,
             grows_down = false;
        bool program = false;  ///< a segment that exec loads: see program_window_threshold
        bool low_2gib = false;  ///< MAP_32BIT
        std::optional<file_backing> file;
        std::uint64_t file_offset = 0;
        std::uint64_t memory_file = 0;  ///< `file` is in guest memory: its number
        bool file_writable = false;     ///< `shared`, and it is open for writing
        std::string name;
    };
    outcome<gva> map(const map_request& request);
    outcome<void> unmap(gva start, std::uint64_t length);
    outcome<void> protect(gva start, std::uint64_t length, protection prot);
    outcome<gva> remap(gva old_address,
                       std::uint64_t old_size,
                       std::uint64_t new_size,
                       int flags,
                       gva new_address);
    outcome<void> advise(gva start, std::uint64_t length, int advice);
    gva set_brk(gva new_brk);
    outcome<void> sync(gva start, std::uint64_t length);
    /// One byte a page, bit 0: resident (man 2 mincore).
    outcome<void> residency(gva start, std::uint64_t length, std::span<std::byte> pages);

    /// A #PF from the vCPU. error_code as the SDM's: bit 1 write, bit 4 instruction fetch.
    fault_result fault(gva address, std::uint32_t error_code);

    // -- access by the host on the guest's behalf
    // ------------------------------------------------------------ All or nothing is not promised:
    // like the kernel's copy_*_user, a failure may have copied a prefix. Writing marks pages dirty
    // in their entries; frames are given as if the guest had touched them. EFAULT also when memory
    // ran out: then frames().exhausted() holds and the sandbox is over. The system area is EFAULT.
    outcome<void> read(gva from, std::span<std::byte> into);
    outcome<void> write(gva to, std::span<const std::byte> from);
    /// Up to and without the terminating zero, which `limit` counts as PATH_MAX does. ENAMETOOLONG
    /// beyond.
    outcome<std::string> read_string(gva from, std::size_t limit);
    /// Calls `use` with consecutive host spans that make up the range, after checking access to
    /// each; stops when it returns less than the span's length. @return bytes used; EFAULT only if
    /// the first is bad. A span may be a copy (file windows): it is valid only inside `use`.
    outcome<std::size_t> for_each_span(gva start,
                                       std::size_t length,
                                       bool write,
                                       const std::function<std::size_t(std::span<std::byte>)>& use);
    /// The range is mapped and its protection allows it. Gives no frames; a file may still end
    /// inside.
    [[nodiscard]] bool accessible(gva start, std::uint64_t length, bool write) const;

    /// Makes `child`, whose mappings are none but whose root stands (make_root), a copy of this one.
    /// Pages that hold something are shared: those of private mappings are copied by whoever writes
    /// first. ENOMEM: the child must be cleared.
    outcome<void> fork_into(mm_state& child);
    /// Memory that other mappings may show at other addresses, by what is the same in all of them.
    struct shared_place {
        std::uint64_t file = 0;     ///< a file in guest memory; 0: anonymous
        std::uint64_t address = 0;  ///< in the file; or guest-physical
        bool operator==(const shared_place&) const = default;
    };
    [[nodiscard]] std::optional<shared_place> shared_place_of(gva address);
    /// Zeroes for all who share the memory of [start, end), which is no file's.
    void wipe(gva start, gva end);
    /// A file in guest memory gives up its pages [first, end): no entry points to them any more.
    /// `copies` of them go too, as when it is truncated.
    void forget_file(std::uint64_t file, std::uint64_t first, std::uint64_t end, bool copies);

    /// Removes all mappings, also those shown for the system area, and gives their frames back:
    /// exec, exit. Translations to them are dropped; the tables stay, bound to their ranges.
    void clear();

    [[nodiscard]] const mm_state& state() const noexcept { return state_; }
    [[nodiscard]] mm_state& state() noexcept { return state_; }
    [[nodiscard]] frame_allocator& frames() noexcept { return frames_; }
    [[nodiscard]] vmm::guest_memory& memory() noexcept { return memory_; }

    /// Pages that hold something: touched frames and written file pages. Walks the tables.
    [[nodiscard]] std::uint64_t touched_pages();

  private:
    using vma_iterator = vma_map::iterator;
    enum class supply { done, out_of_memory, past_end_of_file };

    // address_space.cpp
    [[nodiscard]] std::optional<gva> place(const map_request& request, std::uint64_t length) const;
    /// Clears the entries of a range, gives its frames and windows back, drops the translations.
    void drop(gva start, gva end);
    /// Tells of pages of files in guest memory that are mapped now, or no more.
    void count_mapped(const vma& area, std::uint64_t bytes);
    void count_unmapped(const vma& area, std::uint64_t bytes);
    void release_window_pages(gpa first, std::uint64_t pages);
    /// Gives up frames that entries pointed to; contents go with their last owner.
    void release_frames(gpa first, std::uint64_t pages, bool touched);
    // fork.cpp
    bool copies_at_fork();
    outcome<void> fork_page(
        address_space& child, const vma& area, gva page, page_entry& e, bool copies);
    /// A write to a page that others may share.
    fault_result own_page(page_entry& e, const vma& area);
    /// Gives an entry the protection of its area, as far as the sharing of its frame allows.
    bool apply_protection(page_entry& e, const vma& area);
    void supply_eagerly(vma_iterator area,
                        gva start,
                        gva end,
                        std::uint64_t limit = eager_limit);

    // advise.cpp
    /// MADV_DONTNEED: contents go, the mapping stays.
    void forget(gva start, gva end);
    /// mremap with an old size of zero: what is shared is mapped a second time, from an address on.
    outcome<gva> view_again(vma_iterator area, gva from, std::uint64_t length, int flags, gva to);
    outcome<gva> share_again(vma_iterator area, gva from, std::uint64_t length, int flags, gva to);
    /// Moves a part of one VMA with its entries; the target is vacant.
    outcome<gva> move(gva from, std::uint64_t old_size, gva to, std::uint64_t new_size, bool keep);

    // supply.cpp
    /// Gives frames to the empty pages of [start, end) inside one VMA; stops at the first it
    /// cannot.
    supply supply_pages(const vma_map::value_type& area, gva start, gva end);
    std::optional<gva> end_of_empty(gva start, gva end);
    supply supply_shared(const vma_map::value_type& area, gva start, gva end);
    supply supply_anonymous(const vma& area, gva start, gva end);
    supply supply_copy(const vma_map::value_type& area, gva start, gva end);
    /// Maps the whole pages of a host file that the area covers, if there are enough of them.
    void supply_window(vma_iterator area, std::uint64_t threshold);
    /// Has the host make memory for the frames of a range, which are about to be used.
    void commit(gva start, gva end);
    bool charge_window_pages(gva start, gva end);
    /// Takes back anonymous frames that nobody touched. @return whether there were any
    bool reclaim_untouched();
    vma_iterator grow_stack(gva address);
    std::uint64_t around(const vma& area) const noexcept;

    // access.cpp
    /// The entry of a page, made to permit the access; null: EFAULT.
    page_entry* entry_for(gva page, bool write);
    struct span_of_frames {
        gpa first;
        std::uint64_t length = 0;
        bool window = false;
    };
    enum class intent {
        read,
        write_some,  ///< mark_written says how much
        write_all,
    };
    /// The frames from `at` on that follow each other, up to `length` bytes; nothing: EFAULT.
    std::optional<span_of_frames> span_at(gva at, std::uint64_t length, intent i);
    void mark_written(gva at, std::uint64_t length);

    mm_state& state_;
    frame_allocator& frames_;
    vmm::guest_memory& memory_;
    shared_files* files_;
    page_tables tables_;
};

/// Gives an empty mm_state tables of its own, with the system area in them. False: no frame is left.
[[nodiscard]] bool make_root(mm_state& state, frame_allocator& frames, vmm::guest_memory& memory);
/// Counts the tables of a cleared mm_state with a root of its own as free. Nothing is zeroed and no
/// translation dropped: for the state of a snapshot, whose memory does not hold them.
void release_tables(const mm_state& state, frame_allocator& frames);

}  // namespace hearth::guest::mm
