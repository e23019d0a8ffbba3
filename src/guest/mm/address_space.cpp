#include "guest/mm/address_space.hpp"

#include "base/assert.hpp"
#include "guest/mm/entry_bits.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

namespace hearth::guest::mm {
namespace {

using vmm::page_size;

/// A length in whole pages; nothing when it is zero or beyond any address space.
std::optional<std::uint64_t> whole_pages(std::uint64_t length) noexcept {
    if (length == 0 || length > user_end.value) return std::nullopt;
    return (length + page_size - 1) & ~(page_size - 1);
}

bool inside_user_half(gva start, std::uint64_t length) noexcept {
    return length <= user_end.value && start.value <= user_end.value - length;
}

}  // namespace

std::optional<gva> address_space::place(const map_request& request, std::uint64_t length) const {
    if (request.low_2gib) return find_gap(state_.vmas, length, user_start, gva{0x8000'0000});
    if (request.hint.value != 0 && request.hint < user_end) {
        const gva hint = std::max(request.hint.page_up(), user_start);
        if (inside_user_half(hint, length) && vacant(state_.vmas, hint, hint + length)) {
            const auto above = state_.vmas.lower_bound(hint + length);
            if (above == state_.vmas.end() || hint + length <= guarded_start(*above)) return hint;
        }
    }
    const gva base = state_.mmap_base.value == 0 ? user_end : std::min(state_.mmap_base, user_end);
    if (auto below = find_gap(state_.vmas, length, user_start, base)) return below;
    return find_gap(state_.vmas, length, base, user_end);
}

outcome<gva> address_space::map(const map_request& request) {
    if (request.length == 0 || request.file_offset % page_size != 0) return os_error{EINVAL};
    const auto length = whole_pages(request.length);
    if (!length) return os_error{ENOMEM};
    if (request.file && request.file_offset > ~std::uint64_t{0} - *length)
        return os_error{EOVERFLOW};
    // A store would have to reach the file and every other mapping of it.
    if (request.file && request.shared && request.prot.write && request.memory_file == 0)
        return os_error{ENODEV};
    if (request.memory_file != 0 && !files_) return os_error{ENODEV};
    if (state_.vmas.size() + 1 >= max_vmas) return os_error{ENOMEM};

    gva start;
    if (request.fixed || request.fixed_noreplace) {
        start = request.hint;
        if (start.offset_in_page() != 0) return os_error{EINVAL};
        if (!inside_user_half(start, *length)) return os_error{ENOMEM};
        if (start < user_start) return os_error{EPERM};
        if (request.fixed_noreplace) {
            if (!vacant(state_.vmas, start, start + *length)) return os_error{EEXIST};
        } else if (auto r = unmap(start, *length); !r) {
            return r.error();
        }
    } else {
        const auto place_found = place(request, *length);
        if (!place_found) return os_error{ENOMEM};
        start = *place_found;
    }

    vma area{.end = start + *length,
             .prot = request.prot,
             .grows_down = request.grows_down && !request.file,
             .shared = request.shared && request.file.has_value() && !request.file_writable,
             .copies = request.memory_file != 0 && !request.shared,
             .shared_anonymous = request.shared && !request.file,
             .memory_file = request.memory_file,
             .file = request.file,
             .file_offset = request.file ? request.file_offset : 0,
             .name = request.name};
    const auto it = state_.vmas.emplace(start, std::move(area)).first;
    std::uint64_t at_once = request.program ? program_window_threshold : eager_limit;
    count_mapped(it->second, *length);
    if (request.memory_file != 0) {
        at_once = shared_file_around * page_size;
    } else if (it->second.file) {
        const bool written = request.prot.write && *length <= written_copy_limit;
        if (written)
            at_once = written_copy_limit;
        else
            supply_window(it, request.program ? program_window_threshold : window_threshold);
    }
    if (request.populate && !request.prot.none()) {
        (void)supply_pages(*it, start, it->second.end);  // best effort, as MAP_POPULATE
        commit(start, it->second.end);
    } else {
        supply_eagerly(it, start, it->second.end, at_once);
    }
    merge_vmas(state_.vmas, start, start + *length);
    return start;
}

void address_space::supply_eagerly(vma_iterator area, gva start, gva end, std::uint64_t limit) {
    const vma& v = area->second;
    if (v.prot.none() || end - start > limit) return;
    if (!v.file && !v.prot.write) return;
    // Near the limit frames are given where they are touched.
    if (frames_.limit_pages() - frames_.used_pages() < 2 * (limit / page_size)) return;
    (void)supply_pages(*area, start, end);
}

outcome<void> address_space::unmap(gva start, std::uint64_t length) {
    const auto bytes = whole_pages(length);
    if (start.offset_in_page() != 0 || !bytes || !inside_user_half(start, *bytes))
        return os_error{EINVAL};
    const gva end = start + *bytes;
    if (vacant(state_.vmas, start, end)) return {};
    if (state_.vmas.size() + 2 > max_vmas) {
        const auto it = find_vma(state_.vmas, start);
        if (it != state_.vmas.end() && it->first < start && end < it->second.end)
            return os_error{ENOMEM};
    }
    split_vma(state_.vmas, start);
    split_vma(state_.vmas, end);
    const auto first = state_.vmas.lower_bound(start), last = state_.vmas.lower_bound(end);
    vma_map files;  // told of when no entry points to them any more
    for (auto it = first; it != last;) {
        const auto next = std::next(it);
        if (it->second.memory_file != 0) files.insert(state_.vmas.extract(it));
        it = next;
    }
    state_.vmas.erase(state_.vmas.lower_bound(start), last);
    drop(start, end);
    for (const auto& [at, area] : files) count_unmapped(area, area.end - at);
    return {};
}

void address_space::count_mapped(const vma& area, std::uint64_t bytes) {
    if (area.memory_file != 0 && files_) files_->mapped(area.memory_file, bytes / page_size);
}

void address_space::count_unmapped(const vma& area, std::uint64_t bytes) {
    if (area.memory_file != 0 && files_) files_->unmapped(area.memory_file, bytes / page_size);
}

void address_space::drop(gva start, gva end) {
    const auto flush = [this](const frame_run& run) {
        if (run.charged != 0) frames_.uncharge(run.charged);
        if (run.window) {
            release_window_pages(run.first, run.pages);
            return;
        }
        release_frames(run.first, run.pages, run.touched);
    };
    frame_run run;
    tables_.for_each(start, end, [&](gva, page_entry& e) {
        if (e.has(page_entry::shared | page_entry::dirty)) frames_.note_left_written(e.frame());
        run.add(std::exchange(e, {}), flush);
    });
    run.finish(flush);
}

void address_space::release_frames(gpa first, std::uint64_t pages, bool touched) {
    const auto release = [&](gpa from, std::uint64_t n) {
        if (n == 0) return;
        // An untouched frame is still zero, and nothing translates to it.
        if (touched) memory_.discard(from, n * page_size);
        frames_.release(from, n);
    };
    if (!frames_.any_shared()) [[likely]]
        return release(first, pages);
    std::uint64_t begun = 0;
    std::uint64_t kept = 0;  // shared frames in front of page i, whose translations must go
    const auto drop_kept = [&](std::uint64_t end) {
        if (kept) memory_.drop_translations(first + (end - kept) * page_size, kept * page_size);
        kept = 0;
    };
    for (std::uint64_t i = 0; i < pages; ++i) {
        if (frames_.unshare(first + i * page_size)) {
            release(first + begun * page_size, i - begun);
            begun = i + 1;
            ++kept;
        } else {
            drop_kept(i);
        }
    }
    drop_kept(pages);
    release(first + begun * page_size, pages - begun);
}

void address_space::release_window_pages(gpa first, std::uint64_t pages) {
    std::uint64_t page = first.value / page_size;
    while (pages != 0) {
        auto it = state_.windows.upper_bound(page);
        HEARTH_ASSERT(it != state_.windows.begin());
        --it;
        auto& [window_first, window] = *it;
        HEARTH_ASSERT(page < window_first + window.pages);
        const std::uint64_t n = std::min(pages, window_first + window.pages - page);
        HEARTH_ASSERT(n <= window.live);
        window.live -= n;
        if (window.live == 0 &&
            memory_.unmap_file(gpa{window_first * page_size}, window.pages * page_size)
                .has_value()) {
            frames_.release_window(gpa{window_first * page_size}, window.pages);
            state_.windows.erase(it);
        } else {
            // Copies go back to the host and every translation is dropped. A window that could not
            // be turned back (no room for host mappings) stays reserved, with nothing alive in it.
            memory_.discard(gpa{page * page_size}, n * page_size);
        }
        page += n;
        pages -= n;
    }
}

outcome<void> address_space::protect(gva start, std::uint64_t length, protection prot) {
    if (start.offset_in_page() != 0) return os_error{EINVAL};
    if (length == 0) return {};
    const auto bytes = whole_pages(length);
    if (!bytes || !inside_user_half(start, *bytes)) return os_error{ENOMEM};
    const gva end = start + *bytes;

    // Up to a hole the change is made, then ENOMEM, as Linux does.
    gva covered_end = start;
    for (auto it = find_vma(state_.vmas, start); it != state_.vmas.end() && covered_end < end;
         ++it) {
        if (it->first > covered_end) break;
        if (it->second.shared && prot.write) return os_error{EACCES};
        covered_end = it->second.end;
    }
    if (covered_end == start) return os_error{ENOMEM};
    const bool hole = covered_end < end;
    covered_end = std::min(covered_end, end);
    if (state_.vmas.size() + 2 > max_vmas) return os_error{ENOMEM};

    split_vma(state_.vmas, start);
    split_vma(state_.vmas, covered_end);
    const auto drop_stale = [this](const frame_run& run) {
        memory_.drop_translations(run.first, run.bytes());
    };
    frame_run stale;
    bool refused = hole;
    for (auto it = state_.vmas.find(start); it != state_.vmas.end() && it->first < covered_end;
         ++it) {
        vma& v = it->second;
        if (prot.write && !v.prot.write && v.file && v.end - it->first <= charge_whole_limit &&
            !charge_window_pages(it->first, v.end)) {
            refused = true;
            break;
        }
        v.prot = prot;
        tables_.for_each(it->first, v.end, [&](gva, page_entry& e) {
            if (apply_protection(e, v) && e.touched()) stale.add(e, drop_stale);
        });
        supply_eagerly(it, it->first, v.end);
    }
    stale.finish(drop_stale);
    merge_vmas(state_.vmas, start, covered_end);
    if (refused) return os_error{ENOMEM};
    return {};
}

gva address_space::set_brk(gva new_brk) {
    if (new_brk < state_.brk_start || new_brk >= user_end) return state_.brk;
    const gva old_end = state_.brk.page_up();
    const gva new_end = new_brk.page_up();
    if (new_end < old_end) {
        if (!unmap(new_end, old_end - new_end)) return state_.brk;
    } else if (new_end > old_end) {
        const auto above = state_.vmas.lower_bound(old_end);
        const bool free = vacant(state_.vmas, old_end, new_end) &&
                          (above == state_.vmas.end() || new_end <= guarded_start(*above));
        if (!free) return state_.brk;
        map_request heap;
        heap.hint = old_end;
        heap.length = new_end - old_end;
        heap.prot = {true, true, false};
        heap.fixed_noreplace = true;
        heap.name = "[heap]";
        if (!map(heap)) return state_.brk;
        // One that grows again has used what it had.
        if (state_.brk > state_.brk_start && heap.length <= commit_around * page_size)
            commit(old_end, new_end);
    }
    return state_.brk = new_brk;
}

void address_space::clear() {
    const vma_map gone = std::exchange(state_.vmas, {});
    drop(gva{0}, user_end);
    for (const auto& [start, area] : gone) count_unmapped(area, area.end - start);
}

}  // namespace hearth::guest::mm
