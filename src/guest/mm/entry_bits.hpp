#pragma once

/// How a protection looks in a leaf entry. Private to the room.

#include "guest/mm/page_tables.hpp"
#include "guest/mm/vma.hpp"

namespace hearth::guest::mm {

/// x86 has no write-only and no execute-only pages (without protection keys): either implies
/// reading.
inline std::uint64_t permission_bits(protection prot) noexcept {
    if (prot.none()) return 0;
    return page_entry::present | page_entry::user | (prot.write ? page_entry::writable : 0) |
           (prot.execute ? 0 : page_entry::no_execute);
}

/// Gives an entry a protection; a window page becomes writable only once it is charged.
/// @return whether it permits less than before, so that translations may be stale
inline bool set_protection(page_entry& e, protection prot) noexcept {
    constexpr std::uint64_t mask =
        page_entry::present | page_entry::user | page_entry::writable | page_entry::no_execute;
    std::uint64_t bits = permission_bits(prot);
    if (e.has(page_entry::window) && !e.has(page_entry::charged)) bits &= ~page_entry::writable;
    const std::uint64_t old = e.raw;
    e.raw = (old & ~mask) | bits;
    if (!(old & page_entry::present)) return false;
    return !(bits & page_entry::present) || ((old & ~bits) & page_entry::writable) != 0 ||
           ((bits & ~old) & page_entry::no_execute) != 0;
}

/// Collects entries that point to consecutive frames of one kind, so that one host call serves all.
class frame_run {
  public:
    /// Adds an entry; calls `flush(run)` first if it does not continue the run.
    template <class Flush>
    void add(page_entry e, Flush&& flush) {
        const bool is_window = e.has(page_entry::window);
        if (pages != 0 && (e.frame() != first + pages * vmm::page_size || is_window != window)) {
            flush(*this);
            *this = {};
        }
        if (pages == 0) first = e.frame(), window = is_window;
        ++pages;
        touched |= e.touched();
        charged += e.has(page_entry::charged) ? 1 : 0;
    }
    template <class Flush>
    void finish(Flush&& flush) {
        if (pages != 0) flush(*this);
        *this = {};
    }

    gpa first;
    std::uint64_t pages = 0;
    std::uint64_t charged = 0;
    bool touched = false, window = false;

    [[nodiscard]] std::uint64_t bytes() const noexcept { return pages * vmm::page_size; }
};

}  // namespace hearth::guest::mm
