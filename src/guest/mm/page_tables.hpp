#pragma once

/// The guest's four-level page tables (SDM vol. 3, "4-Level Paging"), which live in guest memory
/// and are written by the host only. 4 KiB leaves. Table frames come from the frame allocator and
/// stay bound to their address range for the life of the VM, even when empty: KVM's shadow links
/// survive every zap of a frame (FACTS 3). A handle for the length of a call.

#include "guest/guest_ptr.hpp"
#include "guest/mm/frame_allocator.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/x86_64/layout.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hearth::guest::mm {

/// A leaf entry. Empty (zero), present, or held: a frame is bound to the page, whose protection is
/// PROT_NONE. The bits 9 to 11 and 52 to 54 are ignored by the processor and are ours.
struct page_entry {
    static constexpr std::uint64_t present = 1, writable = 2, user = 4, accessed = 1 << 5,
                                   dirty = 1 << 6;
    static constexpr std::uint64_t owned = 1 << 9;    ///< a frame is bound to this page
    static constexpr std::uint64_t window = 1 << 10;  ///< the frame is a page of a file window
    static constexpr std::uint64_t charged =
        1 << 11;  ///< window page counted against the memory size
    /// A zero frame given since the snapshot that memory is a mapping of was taken: not dirty, it
    /// is still zero. The same frame given back and given again looks different by it.
    static constexpr std::uint64_t fresh = std::uint64_t{1} << 52;
    /// The frame is a page of a file in guest memory, whatever happens to this entry.
    static constexpr std::uint64_t of_file = std::uint64_t{1} << 53;
    /// A frame of shared memory: other entries may write to it too, so that it was written through
    /// this one must not be forgotten with it.
    static constexpr std::uint64_t shared = std::uint64_t{1} << 54;
    static constexpr std::uint64_t no_execute = std::uint64_t{1} << 63;
    static constexpr std::uint64_t frame_mask = 0x000f'ffff'ffff'f000;

    std::uint64_t raw = 0;

    [[nodiscard]] bool empty() const noexcept { return raw == 0; }
    [[nodiscard]] bool has(std::uint64_t bits) const noexcept { return (raw & bits) == bits; }
    [[nodiscard]] gpa frame() const noexcept { return {raw & frame_mask}; }
    /// The processor (or the host on the guest's behalf) used it since it was made: there may be a
    /// translation, and the frame may hold something. KVM never makes a translation from an entry
    /// without the accessed bit, and neither does a processor.
    [[nodiscard]] bool touched() const noexcept { return (raw & (accessed | dirty)) != 0; }
    void set(std::uint64_t bits) noexcept { raw |= bits; }
};
static_assert(sizeof(page_entry) == 8);

/// A table that some mapping needed: where it stands. A root is not listed, nor are the fixed
/// tables above the system area; of a space with a root of its own, the tables in their place are.
struct page_table {
    gva start;                ///< of the range it answers for
    std::uint32_t level = 1;  ///< 1: leaf entries (2 MiB), 2: 1 GiB, 3: 512 GiB
    gpa frame;
    bool operator==(const page_table&) const = default;
};

/// How tables are linked, and how the system area's is in every space.
inline constexpr std::uint64_t table_link =
    page_entry::present | page_entry::writable | page_entry::user;
inline constexpr std::uint64_t system_link =
    vmm::layout::system_pt.value | table_link | page_entry::accessed;
/// Where the tables begin that lead to the system area.
inline constexpr gva system_pdpt_start{255ULL << 39},
    system_pd_start{(255ULL << 39) | (511ULL << 30)};

class page_tables {
  public:
    /// `made` gets every table that `ensure` links; a parent stands before its children.
    page_tables(vmm::guest_memory& memory,
                frame_allocator& frames,
                std::vector<page_table>& made,
                gpa root) noexcept
        : memory_(memory), frames_(frames), made_(made), root_(root) {}

    /// The entry of a page below `layout::system_area`; null when there is no table for it.
    [[nodiscard]] page_entry* find(gva page) noexcept {
        page_entry* const table = table_of(page);
        return table ? table + index(page, 12) : nullptr;
    }
    /// The same, making the tables; null when no frame is left.
    [[nodiscard]] page_entry* ensure(gva page);

    /// Calls `f(gva, page_entry&)` for each entry of [start, end) that is not empty, ascending.
    /// Absent tables are skipped, so the time grows with the tables, not with the range.
    template <class F>
    void for_each(gva start, gva end, F&& f) {
        for (std::uint64_t a = start.value; a < end.value;) {
            std::uint64_t next = 0;
            page_entry* const table = walk(gva{a}, next);
            next = std::min(next, end.value);
            if (table) {
                for (; a < next; a += vmm::page_size) {
                    page_entry& e = table[index(gva{a}, 12)];
                    if (!e.empty()) f(gva{a}, e);
                }
            }
            a = next;
        }
    }

  private:
    static constexpr std::uint64_t leaf_span = std::uint64_t{1} << 21;

    static std::size_t index(gva a, unsigned shift) noexcept { return (a.value >> shift) & 511; }
    page_entry* table_at(gpa table) noexcept {
        return reinterpret_cast<page_entry*>(memory_.base() + table.value);
    }
    page_entry* table_of(gva page) noexcept {
        if ((page.value & ~(leaf_span - 1)) == cached_range_) return cached_table_;
        std::uint64_t next = 0;
        return walk(page, next);
    }
    /// The leaf table for `a`, or null; `next` is where the range answered for ends.
    page_entry* walk(gva a, std::uint64_t& next) noexcept;

    vmm::guest_memory& memory_;
    frame_allocator& frames_;
    std::vector<page_table>& made_;
    gpa root_;
    // The last leaf table met. Tables never move or go away, so it cannot become wrong.
    std::uint64_t cached_range_ = ~std::uint64_t{0};
    page_entry* cached_table_ = nullptr;
};

}  // namespace hearth::guest::mm
