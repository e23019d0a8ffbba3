/// Where frames come from: page faults, eager supply, file windows, and what is done when memory is
/// short.

#include "base/assert.hpp"
#include "guest/mm/address_space.hpp"
#include "guest/mm/entry_bits.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace hearth::guest::mm {
namespace {

using vmm::page_size;

/// Error code of a #PF (SDM vol. 3, "Page-Fault Exception").
constexpr std::uint32_t fault_write = 1U << 1;
constexpr std::uint32_t fault_fetch = 1U << 4;

constexpr std::uint32_t max_fault_around = 512;
/// Writable pages of a large file mapping that one write fault charges.
constexpr std::uint64_t charge_around = 16;

/// Bytes of an area that its file has, rounded up to pages.
std::uint64_t file_extent(const vma_map::value_type& area) noexcept {
    const vma& v = area.second;
    if (v.memory_file != 0) return v.end - area.first;  // it may grow: asked page by page
    if (v.file_offset >= v.file->size) return 0;
    const std::uint64_t left = v.file->size - v.file_offset;
    const std::uint64_t length = v.end - area.first;
    return left >= length ? length : (left + page_size - 1) & ~(page_size - 1);
}

struct block {
    gva start, end;
};
/// The naturally aligned block of `pages` around a page, cut to an area. Aligned, because programs
/// climb (heaps) as well as descend (thread stacks).
block block_around(const vma_map::value_type& area, gva page, std::uint64_t pages) noexcept {
    const std::uint64_t size = pages * page_size;
    const gva start{page.value & ~(size - 1)};
    return {std::max(start, area.first), std::min(start + size, area.second.end)};
}

}  // namespace

fault_result address_space::fault(gva address, std::uint32_t error_code) {
    if (address >= user_end) {
        return find_vma(state_.vmas, address) == state_.vmas.end() ? fault_result::segv_maperr
                                                                   : fault_result::segv_accerr;
    }
    const gva page = address.page();
    auto area = find_vma(state_.vmas, page);
    if (area == state_.vmas.end()) area = grow_stack(page);
    if (area == state_.vmas.end()) return fault_result::segv_maperr;
    vma& v = area->second;
    const bool write = (error_code & fault_write) != 0;
    const bool allowed = write                             ? v.prot.write
                         : (error_code & fault_fetch) != 0 ? v.prot.execute
                                                           : !v.prot.none();
    if (!allowed) return fault_result::segv_accerr;

    page_entry* entry = tables_.find(page);
    if (entry && !entry->empty()) {
        if (!write || entry->has(page_entry::writable))
            return fault_result::resolved;  // an old TLB entry
        if (!entry->has(page_entry::window)) return own_page(*entry, v);
        // A page of a large private file mapping, written for the first time.
        HEARTH_ASSERT(!entry->has(page_entry::charged));
        const block b = block_around(*area, page, charge_around);
        const auto charge = [&] {
            return charge_window_pages(b.start, b.end) ||
                   charge_window_pages(page, page + page_size);
        };
        if (!charge() && !(reclaim_untouched() && charge())) {
            frames_.mark_exhausted();
            return fault_result::out_of_memory;
        }
        tables_.for_each(b.start, b.end,
                         [&](gva, page_entry& e) { (void)apply_protection(e, v); });
        return fault_result::resolved;
    }

    if (v.file && page - area->first >= file_extent(*area)) return fault_result::bus_adrerr;
    const block b = block_around(*area, page, around(v));
    v.fault_around = std::min(v.fault_around * 2, max_fault_around);
    const auto supplied = [&] {
        entry = tables_.find(page);
        return entry && !entry->empty();
    };
    supply s = supply_pages(*area, b.start, b.end);
    const auto owned = [&] {
        return write && v.copies ? own_page(*entry, v) : fault_result::resolved;
    };
    if (supplied()) {
        if (!v.file) {
            const block near = block_around(*area, page, commit_around);
            commit(std::max(near.start, b.start), std::min(near.end, b.end));
        }
        return owned();
    }
    // The neighbours were too much, or came first.
    s = supply_pages(*area, page, page + page_size);
    if (s == supply::out_of_memory && reclaim_untouched())
        s = supply_pages(*area, page, page + page_size);
    if (supplied()) return owned();
    if (s == supply::past_end_of_file) return fault_result::bus_adrerr;
    frames_.mark_exhausted();
    return fault_result::out_of_memory;
}

std::uint64_t address_space::around(const vma& area) const noexcept {
    const std::uint64_t left = frames_.limit_pages() - frames_.used_pages();
    std::uint64_t pages = area.memory_file != 0 ? shared_file_around : area.fault_around;
    while (pages > 1 && pages > left / 8) pages /= 2;
    return pages;
}

address_space::vma_iterator address_space::grow_stack(gva page) {
    const auto stack = state_.vmas.lower_bound(page);
    if (stack == state_.vmas.end() || !stack->second.grows_down) return state_.vmas.end();
    if (stack->second.end - page > stack_limit || page < user_start) return state_.vmas.end();
    if (stack != state_.vmas.begin()) {
        const auto& below = *std::prev(stack);
        constexpr std::uint64_t gap = 256 * page_size;
        if (page - below.second.end < gap) return state_.vmas.end();
    }
    auto node = state_.vmas.extract(stack);
    node.key() = page;
    return state_.vmas.insert(std::move(node)).position;
}

address_space::supply address_space::supply_pages(const vma_map::value_type& area,
                                                  gva start,
                                                  gva end) {
    if (area.second.memory_file != 0) return supply_shared(area, start, end);
    return area.second.file ? supply_copy(area, start, end)
                            : supply_anonymous(area.second, start, end);
}

/// Where the run of empty entries that begins at `start` ends, tables made; `start` itself when
/// that entry is taken. Nothing: no frame for a table.
std::optional<gva> address_space::end_of_empty(gva start, gva end) {
    const page_entry* e = tables_.ensure(start);
    if (!e) return std::nullopt;
    while (e && e->empty()) {
        start += page_size;
        e = start < end ? tables_.ensure(start) : nullptr;
    }
    return start;
}

address_space::supply address_space::supply_shared(const vma_map::value_type& area,
                                                   gva start,
                                                   gva end) {
    const vma& v = area.second;
    // The host may have filled them.
    std::uint64_t bits = permission_bits(v.prot) | page_entry::owned | page_entry::of_file |
                         page_entry::accessed | page_entry::dirty;
    if (v.copies) bits &= ~page_entry::writable;
    for (; start < end; start += page_size) {
        page_entry* const e = tables_.ensure(start);
        if (!e) return supply::out_of_memory;
        if (!e->empty()) continue;
        if (!files_) return supply::past_end_of_file;
        const auto page =
            files_->page_of(v.memory_file, (v.file_offset + (start - area.first)) / page_size);
        if (page.what == shared_files::page::kind::out_of_memory) return supply::out_of_memory;
        if (page.what != shared_files::page::kind::found) return supply::past_end_of_file;
        frames_.share(page.frame);
        e->raw = page.frame.value | bits;
    }
    return supply::done;
}

address_space::supply address_space::supply_anonymous(const vma& area, gva start, gva end) {
    const std::uint64_t bits = permission_bits(area.prot) | page_entry::owned | page_entry::fresh |
                               (area.shared_anonymous ? page_entry::shared : 0);
    while (start < end) {
        const auto stop = end_of_empty(start, end);
        if (!stop) return supply::out_of_memory;
        if (*stop == start) {
            start += page_size;
            continue;
        }
        const auto run = frames_.allocate_some((*stop - start) / page_size);
        if (!run) return supply::out_of_memory;
        for (std::uint64_t i = 0; i < run->pages; ++i, start += page_size)
            tables_.find(start)->raw = (run->first.value + i * page_size) | bits;
    }
    return supply::done;
}

address_space::supply address_space::supply_copy(const vma_map::value_type& area,
                                                 gva start,
                                                 gva end) {
    const vma& v = area.second;
    const gva file_end = area.first + file_extent(area);
    const bool beyond = end > file_end;
    end = std::min(end, file_end);
    // The host wrote the pages: accessed and dirty, whatever the guest does with them.
    const std::uint64_t bits =
        permission_bits(v.prot) | page_entry::owned | page_entry::accessed | page_entry::dirty;
    while (start < end) {
        const auto stop = end_of_empty(start, end);
        if (!stop) return supply::out_of_memory;
        if (*stop == start) {
            start += page_size;
            continue;
        }
        const auto run = frames_.allocate_some((*stop - start) / page_size);
        if (!run) return supply::out_of_memory;
        const std::uint64_t bytes = run->pages * page_size;
        const std::uint64_t offset = v.file_offset + (start - area.first);
        const std::uint64_t there = std::min(bytes, v.file->size - offset);
        if (run->pages >= 4) memory_.populate(run->first, bytes);
        const auto copied = read_backing(*v.file, offset, {memory_.at(run->first, bytes), bytes});
        if (copied < 0 || static_cast<std::uint64_t>(copied) != there) {
            memory_.discard(run->first, bytes);
            frames_.release(run->first, run->pages);
            return supply::past_end_of_file;
        }
        for (std::uint64_t i = 0; i < run->pages; ++i, start += page_size)
            tables_.find(start)->raw = (run->first.value + i * page_size) | bits;
    }
    return beyond ? supply::past_end_of_file : supply::done;
}

void address_space::commit(gva start, gva end) {
    const auto flush = [this](const frame_run& run) {
        if (!run.window) memory_.populate(run.first, run.bytes());
    };
    frame_run run;
    tables_.for_each(start, end, [&](gva, page_entry& e) { run.add(e, flush); });
    run.finish(flush);
}

void address_space::supply_window(vma_iterator area, std::uint64_t threshold) {
    const vma& v = area->second;
    const file_backing& file = *v.file;
    if (!file.fd || file.fd_offset % page_size != 0 || v.file_offset >= file.size) return;
    // Whole pages inside the file only: after the last byte another file of the same memfd may
    // begin.
    const std::uint64_t bytes =
        std::min(v.end - area->first, (file.size - v.file_offset) & ~(page_size - 1));
    if (bytes < threshold) return;
    const std::uint64_t pages = bytes / page_size;
    const auto first = frames_.reserve_window(pages);
    if (!first) return;  // then pages are copied as they are touched
    if (memory_.map_file(*first, bytes, file.fd->get(), file.fd_offset + v.file_offset)
            .has_error()) {
        frames_.release_window(*first, pages);
        return;
    }
    const bool writable =
        v.prot.write && v.end - area->first <= charge_whole_limit && frames_.charge(pages);
    // Accessed from the start, which spares KVM a store to the entry at each fault: a window's
    // translations are always dropped when it changes.
    std::uint64_t bits =
        permission_bits(v.prot) | page_entry::owned | page_entry::window | page_entry::accessed;
    if (writable)
        bits |= page_entry::charged;
    else
        bits &= ~page_entry::writable;
    std::uint64_t done = 0;
    for (; done < pages; ++done) {
        page_entry* const e = tables_.ensure(area->first + done * page_size);
        if (!e) break;
        e->raw = (first->value + done * page_size) | bits;
    }
    if (writable && done < pages) frames_.uncharge(pages - done);
    if (done == 0) {
        if (memory_.unmap_file(*first, bytes).has_value()) {
            frames_.release_window(*first, pages);
            return;
        }
    }
    state_.windows.emplace(first->value / page_size, file_window{pages, done, file, v.file_offset});
    // The page in which the file ends is not in the window; a copy now is cheaper than a fault.
    if (done == pages && area->first + bytes < v.end && v.file_offset + bytes < file.size)
        (void)supply_copy(*area, area->first + bytes, area->first + bytes + page_size);
}

bool address_space::charge_window_pages(gva start, gva end) {
    constexpr std::uint64_t window = page_entry::window;
    std::uint64_t pages = 0;
    tables_.for_each(start, end, [&](gva, page_entry& e) {
        if (e.has(window) && !e.has(page_entry::charged)) ++pages;
    });
    if (!frames_.charge(pages)) return false;
    tables_.for_each(start, end, [&](gva, page_entry& e) {
        if (e.has(window)) e.set(page_entry::charged);
    });
    return true;
}

bool address_space::reclaim_untouched() {
    std::uint64_t reclaimed = 0;
    const auto flush = [&](const frame_run& run) {
        release_frames(run.first, run.pages, false);
        reclaimed += run.pages;
    };
    for (auto& [start, area] : state_.vmas) {
        if (start >= user_end) break;
        area.fault_around = 1;
        if (area.file) continue;
        frame_run run;
        tables_.for_each(start, area.end, [&](gva, page_entry& e) {
            if (!e.touched()) run.add(std::exchange(e, {}), flush);
        });
        run.finish(flush);
    }
    return reclaimed != 0;
}

std::uint64_t address_space::touched_pages() {
    std::uint64_t pages = 0;
    tables_.for_each(gva{0}, user_end, [&](gva, page_entry& e) {
        if (e.has(page_entry::window) ? e.has(page_entry::charged | page_entry::dirty)
                                      : e.touched())
            ++pages;
    });
    return pages;
}

}  // namespace hearth::guest::mm
