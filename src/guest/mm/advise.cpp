/// madvise, msync, mincore and mremap.

#include "base/assert.hpp"
#include "guest/mm/address_space.hpp"
#include "guest/mm/entry_bits.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace hearth::guest::mm {
namespace {

using vmm::page_size;

// Newer than Debian 12's headers, or not in every libc.
constexpr int madv_populate_read = 22, madv_populate_write = 23;
constexpr int madv_cold = 20, madv_pageout = 21, madv_soft_offline = 101;

std::uint64_t round_up(std::uint64_t length) noexcept {
    return (length + page_size - 1) & ~(page_size - 1);
}

/// Calls f(area, start, end) for the parts of [start, end) that are mapped. @return whether there
/// was no hole
template <class F>
outcome<bool> for_each_part(vma_map& vmas, gva start, gva end, F&& f) {
    bool whole = true;
    auto it = find_vma(vmas, start);
    if (it == vmas.end()) {
        whole = false;
        it = vmas.lower_bound(start);
    }
    for (gva at = start; it != vmas.end() && it->first < end; ++it) {
        if (it->first > at) whole = false;
        const gva part = std::max(it->first, start);
        const gva part_end = std::min(it->second.end, end);
        if (outcome<void> r = f(it, part, part_end); !r) return r.error();
        at = part_end;
        if (std::next(it) == vmas.end() || std::next(it)->first >= end) whole = whole && at == end;
    }
    return whole;
}

}  // namespace

outcome<void> address_space::advise(gva start, std::uint64_t length, int advice) {
    if (start.offset_in_page() != 0) return os_error{EINVAL};
    if (length > ~std::uint64_t{0} - page_size) return os_error{EINVAL};
    const std::uint64_t bytes = round_up(length);
    if (advice == MADV_HWPOISON || advice == madv_soft_offline) return os_error{EPERM};
    enum {
        nothing,
        discard,
        discard_anonymous,
        populate_read,
        populate_write,
        wipe,
        keep,
        leave_out,
        take_along
    } act = nothing;
    switch (advice) {
        case MADV_NORMAL:
        case MADV_RANDOM:
        case MADV_SEQUENTIAL:
        case MADV_WILLNEED:
        case MADV_MERGEABLE:
        case MADV_UNMERGEABLE:
        case MADV_HUGEPAGE:
        case MADV_NOHUGEPAGE:
        case MADV_DONTDUMP:
        case MADV_DODUMP:
        case madv_cold:
        case madv_pageout:
            break;
        case MADV_DONTNEED:
            act = discard;
            break;
        case MADV_FREE:
            act = discard_anonymous;
            break;  // "at once" is one of the times the manual allows
        case madv_populate_read:
            act = populate_read;
            break;
        case madv_populate_write:
            act = populate_write;
            break;
        case MADV_WIPEONFORK:
            act = wipe;
            break;
        case MADV_KEEPONFORK:
            act = keep;
            break;
        case MADV_DONTFORK:
            act = leave_out;
            break;
        case MADV_DOFORK:
            act = take_along;
            break;
        default:
            return os_error{EINVAL};  // MADV_REMOVE too, which is the files' affair
    }
    if (bytes > user_end.value || start.value > user_end.value - bytes)
        return bytes == 0 ? outcome<void>{} : outcome<void>{os_error{ENOMEM}};
    if (bytes == 0) return {};

    const bool for_fork = act >= wipe;
    if (for_fork) {
        if (state_.vmas.size() + 2 > max_vmas) return os_error{ENOMEM};
        split_vma(state_.vmas, start);
        split_vma(state_.vmas, start + bytes);
    }
    const auto whole =
        for_each_part(state_.vmas, start, start + bytes,
                      [&](vma_iterator area, gva from, gva to) -> outcome<void> {
                          const vma& v = area->second;
                          if (act == discard_anonymous && v.file) return os_error{EINVAL};
                          // A file would show itself again, shared memory be wiped for others.
                          if (act == wipe && (v.file || v.shares_frames())) return os_error{EINVAL};
                          if (act == wipe || act == keep) area->second.wipe_on_fork = act == wipe;
                          if (act == leave_out || act == take_along)
                              area->second.not_in_child = act == leave_out;
                          // What processes share stays, whoever is done with it.
                          if ((act == discard || act == discard_anonymous) && !v.shares_frames())
                              forget(from, to);
                          if (act == populate_read || act == populate_write) {
                              if (act == populate_write ? !v.prot.write : v.prot.none())
                                  return os_error{EINVAL};
                              const supply s = supply_pages(*area, from, to);
                              if (s == supply::out_of_memory) return os_error{ENOMEM};
                              if (s == supply::past_end_of_file) return os_error{EFAULT};
                          }
                          return {};
                      });
    if (for_fork) merge_vmas(state_.vmas, start, start + bytes);
    if (!whole) return whole.error();
    if (!*whole) return os_error{ENOMEM};
    return {};
}

void address_space::forget(gva start, gva end) {
    const auto flush = [this](const frame_run& run) {
        if (!run.window)
            release_frames(run.first, run.pages, run.touched);
        else if (run.touched)
            memory_.discard(run.first, run.bytes());
    };
    frame_run run;
    tables_.for_each(start, end, [&](gva, page_entry& e) {
        const page_entry was = e;
        // A window page keeps its place and shows the file again; its charge stays with it.
        if (!e.has(page_entry::window)) e = {};
        run.add(was, flush);
    });
    run.finish(flush);
}

void address_space::wipe(gva start, gva end) {
    tables_.for_each(start, end, [&](gva, page_entry& e) {
        if (e.touched()) std::memset(memory_.at(e.frame(), page_size), 0, page_size);
    });
}

void address_space::forget_file(std::uint64_t file,
                                std::uint64_t first,
                                std::uint64_t end,
                                bool copies) {
    const auto flush = [this](const frame_run& run) {
        release_frames(run.first, run.pages, run.touched);
    };
    for (const auto& [start, v] : state_.vmas) {
        if (v.memory_file != file) continue;
        const std::uint64_t shown = v.file_offset / page_size;
        const std::uint64_t from = std::max(first, shown);
        const std::uint64_t to = std::min(end, shown + (v.end - start) / page_size);
        if (from >= to) continue;
        frame_run run;
        tables_.for_each(start + (from - shown) * page_size, start + (to - shown) * page_size,
                         [&](gva, page_entry& e) {
                             if (copies || e.has(page_entry::of_file))
                                 run.add(std::exchange(e, {}), flush);
                         });
        run.finish(flush);
    }
}

outcome<void> address_space::sync(gva start, std::uint64_t length) {
    if (start.offset_in_page() != 0) return os_error{EINVAL};
    if (length > ~std::uint64_t{0} - page_size) return os_error{ENOMEM};
    const std::uint64_t bytes = round_up(length);
    if (bytes > user_end.value || start.value > user_end.value - bytes) return os_error{ENOMEM};
    // Shared mappings have the file's own pages, so everything is in step already.
    if (!covered(state_.vmas, start, start + bytes)) return os_error{ENOMEM};
    return {};
}

outcome<void> address_space::residency(gva start,
                                       std::uint64_t length,
                                       std::span<std::byte> pages) {
    if (start.offset_in_page() != 0) return os_error{EINVAL};
    if (length > user_end.value || start.value > user_end.value - length) return os_error{ENOMEM};
    const std::uint64_t count = round_up(length) / page_size;
    if (pages.size() < count) return os_error{EINVAL};
    const gva end = start + count * page_size;
    if (!covered(state_.vmas, start, end)) return os_error{ENOMEM};
    std::fill_n(pages.begin(), count, std::byte{0});
    tables_.for_each(start, end, [&](gva page, page_entry& e) {
        if (e.touched()) pages[(page - start) / page_size] = std::byte{1};
    });
    return {};
}

outcome<gva> address_space::remap(
    gva old_address, std::uint64_t old_size, std::uint64_t new_size, int flags, gva new_address) {
    const bool may_move = (flags & MREMAP_MAYMOVE) != 0;
    const bool fixed = (flags & MREMAP_FIXED) != 0;
    const bool keep = (flags & MREMAP_DONTUNMAP) != 0;
    if ((flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) return os_error{EINVAL};
    if ((fixed || keep) && !may_move) return os_error{EINVAL};
    if (old_address.offset_in_page() != 0 || new_size == 0) return os_error{EINVAL};
    if (new_size > user_end.value || old_size > user_end.value) return os_error{EINVAL};
    old_size = round_up(old_size);
    new_size = round_up(new_size);
    if (keep && old_size != new_size) return os_error{EINVAL};
    if (old_address.value > user_end.value - old_size) return os_error{EFAULT};
    if (fixed) {
        if (new_address.offset_in_page() != 0 || new_address.value > user_end.value - new_size)
            return os_error{EINVAL};
        if (new_address < old_address + old_size && old_address < new_address + new_size)
            return os_error{EINVAL};
        if (new_address < user_start) return os_error{EPERM};
    }

    auto area = find_vma(state_.vmas, old_address);
    if (area == state_.vmas.end() || area->second.end < old_address + old_size)
        return os_error{EFAULT};
    if (keep && area->second.file) return os_error{EINVAL};
    if (old_size == 0) return view_again(area, old_address, new_size, flags, new_address);
    if (state_.vmas.size() + 4 > max_vmas) return os_error{ENOMEM};

    if (!fixed && !keep) {
        if (new_size <= old_size) {
            if (new_size < old_size) {
                if (auto r = unmap(old_address + new_size, old_size - new_size); !r)
                    return r.error();
            }
            return old_address;
        }
        const gva old_end = old_address + old_size;
        const gva new_end = old_address + new_size;
        const auto above = state_.vmas.lower_bound(old_end);
        if (area->second.end == old_end && new_end <= user_end &&
            vacant(state_.vmas, old_end, new_end) &&
            (above == state_.vmas.end() || new_end <= guarded_start(*above))) {
            area->second.end = new_end;
            count_mapped(area->second, new_size - old_size);
            supply_eagerly(area, old_end, new_end);
            merge_vmas(state_.vmas, old_address, new_end);
            return old_address;
        }
        if (!may_move) return os_error{ENOMEM};
    }

    if (fixed) {
        if (auto r = unmap(new_address, new_size); !r) return r.error();
    } else {
        const auto found = place({}, new_size);
        if (!found) return os_error{ENOMEM};
        new_address = *found;
    }
    if (new_size < old_size) {
        if (auto r = unmap(old_address + new_size, old_size - new_size); !r) return r.error();
        old_size = new_size;
    }
    return move(old_address, old_size, new_address, new_size, keep);
}

outcome<gva> address_space::view_again(
    vma_iterator area, gva from, std::uint64_t length, int flags, gva to) {
    const vma& v = area->second;
    if (v.shared_anonymous) return share_again(area, from, length, flags, to);
    const bool shared = v.shared || (v.memory_file != 0 && !v.copies);
    if (!shared) return os_error{EINVAL};
    if ((flags & MREMAP_MAYMOVE) == 0) return os_error{ENOMEM};
    map_request q;
    q.length = length;
    q.prot = v.prot;
    q.fixed = (flags & MREMAP_FIXED) != 0;
    if (q.fixed) q.hint = to;
    q.shared = true;
    q.file = v.file;
    q.file_offset = v.file_offset + (from - area->first);
    q.memory_file = v.memory_file;
    q.file_writable = !v.shared;
    q.name = v.name;
    return map(q);
}

outcome<gva> address_space::share_again(
    vma_iterator area, gva from, std::uint64_t length, int flags, gva to) {
    if ((flags & MREMAP_MAYMOVE) == 0) return os_error{ENOMEM};
    // Such memory is known by its entries alone, so there is none beyond them.
    if (length > area->second.end - from) return os_error{EINVAL};
    if ((flags & MREMAP_FIXED) != 0) {
        if (to < from + length && from < to + length) return os_error{EINVAL};
        if (auto r = unmap(to, length); !r) return r.error();
        area = find_vma(state_.vmas, from);
    } else {
        const auto found = place({}, length);
        if (!found) return os_error{ENOMEM};
        to = *found;
    }
    if (state_.vmas.size() >= max_vmas) return os_error{ENOMEM};
    if (!area->second.prot.none() &&
        supply_pages(*area, from, from + length) == supply::out_of_memory)
        return os_error{ENOMEM};
    bool enough = true;
    tables_.for_each(from, from + length, [&](gva page, page_entry&) {
        enough = enough && tables_.ensure(to + (page - from)) != nullptr;
    });
    if (!enough) return os_error{ENOMEM};
    vma view = area->second;
    view.end = to + length;
    count_mapped(state_.vmas.emplace(to, std::move(view)).first->second, length);
    tables_.for_each(from, from + length, [&](gva page, page_entry& e) {
        if (e.empty()) return;
        e.set(page_entry::accessed);  // as fork_page
        *tables_.find(to + (page - from)) = e;
        frames_.share(e.frame());
    });
    merge_vmas(state_.vmas, to, to + length);
    return to;
}

outcome<gva> address_space::move(
    gva from, std::uint64_t old_size, gva to, std::uint64_t new_size, bool keep) {
    // Tables first: after this nothing can fail.
    bool enough = true;
    tables_.for_each(from, from + old_size, [&](gva page, page_entry&) {
        enough = enough && tables_.ensure(to + (page - from)) != nullptr;
    });
    if (!enough) return os_error{ENOMEM};

    split_vma(state_.vmas, from);
    split_vma(state_.vmas, from + old_size);
    const auto old_area = state_.vmas.find(from);
    HEARTH_ASSERT(old_area != state_.vmas.end());
    vma area = old_area->second;
    area.end = to + new_size;
    if (area.name == "[heap]") area.name.clear();
    const bool grown = new_size > old_size;
    if (keep)
        merge_vmas(state_.vmas, from, from + old_size);
    else
        state_.vmas.erase(old_area);
    const auto moved = state_.vmas.emplace(to, std::move(area)).first;
    if (grown) count_mapped(moved->second, new_size - old_size);

    const auto drop_stale = [this](const frame_run& run) {
        memory_.drop_translations(run.first, run.bytes());
    };
    frame_run stale;
    tables_.for_each(from, from + old_size, [&](gva page, page_entry& e) {
        const page_entry was = std::exchange(e, {});
        *tables_.find(to + (page - from)) = was;
        if (was.touched()) stale.add(was, drop_stale);
    });
    stale.finish(drop_stale);
    if (grown) supply_eagerly(moved, to + old_size, to + new_size);
    merge_vmas(state_.vmas, to, to + new_size);
    return to;
}

}  // namespace hearth::guest::mm
