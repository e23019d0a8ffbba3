#pragma once

/// What the code around snapshots needs to know of page-table pages. Private to the room.

#include "guest/mm/page_tables.hpp"
#include "vmm/x86_64/layout.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace hearth::detail {

using guest::mm::page_entry;
inline constexpr std::size_t table_entries = 512;
inline constexpr std::uint64_t used_bits = page_entry::accessed | page_entry::dirty;

/// The fixed tables above user mappings, and which of their entries is the system's own.
struct fixed_table {
    vmm::gpa frame;
    std::size_t system_entry;
};
inline constexpr std::array<fixed_table, 3> fixed_tables{
    {{vmm::layout::pml4, 255}, {vmm::layout::system_pdpt, 511}, {vmm::layout::system_pd, 511}}};

/// Two entries for one page that map it differently.
constexpr bool differ(page_entry a, page_entry b) noexcept {
    return ((a.raw ^ b.raw) & ~(used_bits | page_entry::fresh)) != 0;
}
/// Of two entries that map alike, in guests with the same root: whether the frame may hold
/// different bytes. One that neither wrote is as in the root for both, or still zero for both.
constexpr bool contents_differ(page_entry a, page_entry b) noexcept {
    return (((a.raw | b.raw) & page_entry::dirty) | ((a.raw ^ b.raw) & page_entry::fresh)) != 0;
}

/// Of so many entries of two tables, in the terms of the above: none differs, none's contents do.
/// Most entries of most tables are alike, so this is what a comparison costs.
constexpr std::size_t entries_at_once = 8;
constexpr bool all_alike(const page_entry* a, const page_entry* b) noexcept {
    std::uint64_t differences = 0;
    for (std::size_t i = 0; i < entries_at_once; ++i)
        differences |= ((a[i].raw ^ b[i].raw) & ~used_bits) |
                       ((a[i].raw | b[i].raw) & std::uint64_t{page_entry::dirty});
    return differences == 0;
}

/// The table's page in memory.
inline page_entry* entries_at(const vmm::guest_memory& memory, vmm::gpa table) noexcept {
    return reinterpret_cast<page_entry*>(memory.base() + table.value);
}
inline page_entry* entries_in(std::byte* page) noexcept {
    return reinterpret_cast<page_entry*>(page);
}
inline const page_entry* entries_of(const std::byte* page) noexcept {
    return reinterpret_cast<const page_entry*>(page);
}

}  // namespace hearth::detail
