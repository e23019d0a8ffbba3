/// Copies of address spaces that share their pages until somebody writes.
///
/// A frame may have several owners: entries of several spaces point to it, all of them without the
/// writable bit unless the memory is meant to be shared. Who writes to a page of private memory gets
/// a frame of its own; the last owner keeps the old one. Windows of files belong to one space: a
/// child maps the file again, and has copies of the pages that were written.

#include "guest/mm/address_space.hpp"
#include "guest/mm/entry_bits.hpp"
#include "guest/mm/window_copy.hpp"

#include <array>
#include <cerrno>
#include <cstring>

namespace hearth::guest::mm {
namespace {

using vmm::page_size;

/// No fork leaves less guest-physical space than this, or a quarter of a small guest's: 64 MiB.
/// Children that have not run yet are still to write their share of what they have in common, a
/// Python process about 2 MiB.
constexpr std::uint64_t fork_reserve_pages = 16384;

/// Up to so many pages a child has copies from the start: 16 MiB, a shell or a Python process. To
/// copy a page takes a microsecond, to let both processes fault on it two exits and more.
constexpr std::uint64_t copied_at_once = 4096;

/// The process writes to it without a fault.
bool is_writable_frame(const page_entry& e) {
    return e.has(page_entry::writable | page_entry::present) && e.touched() &&
           !e.has(page_entry::window);
}

}  // namespace

bool make_root(mm_state& state, frame_allocator& frames, vmm::guest_memory& memory) {
    // PML4, and the two tables above the system area's, which user mappings share.
    std::array<std::optional<gpa>, 3> made;
    for (auto& frame : made) {
        frame = frames.allocate(1);
        if (!frame) {
            for (auto& other : made)
                if (other) frames.release(*other, 1);
            return false;
        }
    }
    constexpr std::uint64_t link = table_link | page_entry::accessed;
    memory.word(*made[0] + 255 * 8) = made[1]->value | link;
    memory.word(*made[1] + 511 * 8) = made[2]->value | link;
    memory.word(*made[2] + 511 * 8) = system_link;
    state.root = *made[0];
    state.tables = {{system_pdpt_start, 3, *made[1]}, {system_pd_start, 2, *made[2]}};
    return true;
}

void release_tables(const mm_state& state, frame_allocator& frames) {
    frames.release(state.root, 1);
    for (const page_table& t : state.tables) frames.release(t.frame, 1);
}

outcome<void> address_space::fork_into(mm_state& state) {
    state.vmas = state_.vmas;
    std::erase_if(state.vmas, [](const auto& area) { return area.second.not_in_child; });
    state.barriers = state_.barriers;
    state.brk_start = state_.brk_start;
    state.brk = state_.brk;
    state.mmap_base = state_.mmap_base;
    state.stack_top = state_.stack_top;
    state.random_bytes = state_.random_bytes;
    state.arguments = state_.arguments;
    state.environment = state_.environment;
    state.environment_end = state_.environment_end;
    state.auxiliary = state_.auxiliary;
    address_space child(state, frames_, memory_, files_);
    for (const auto& [start, area] : state.vmas) count_mapped(area, area.end - start);

    const bool copies = copies_at_fork();
    // Translations through which this process could still write. They are few runs of frames, wide
    // and near each other: what lies between two is dropped with them.
    gpa low{~std::uint64_t{0}}, high{0};
    outcome<void> result;
    for (auto& [start, of_parent] : state_.vmas) {
        if (start >= user_end) break;
        const vma& area = of_parent;  // a lambda takes no structured binding along
        if (area.wipe_on_fork || area.not_in_child) continue;
        if (area.shared_anonymous && !area.prot.none() &&
            supply_pages({start, area}, start, area.end) == supply::out_of_memory) {
            result = os_error{ENOMEM};
            break;
        }
        bool windows = false;
        if (area.file) {
            tables_.for_each(start, area.end, [&](gva, page_entry& e) {
                windows = windows || e.has(page_entry::window);
            });
            if (windows) child.supply_window(state.vmas.find(start), window_threshold);
        }
        tables_.for_each(start, area.end, [&](gva page, page_entry& e) {
            if (!result) return;
            const bool was_writable = e.has(page_entry::writable | page_entry::present);
            result = fork_page(child, area, page, e, copies);
            if (was_writable && !e.has(page_entry::writable) && e.touched()) {
                low = std::min(low, e.frame());
                high = std::max(high, e.frame() + page_size);
            }
        });
        if (!result) break;
    }
    if (low < high) memory_.drop_translations(low, high - low);
    // The last of the space is for those who are there: they must be able to write what they share.
    const std::uint64_t reserve = std::min(frames_.limit_pages() / 4, fork_reserve_pages);
    if (result && frames_.free_space_pages() < reserve) result = os_error{ENOMEM};
    return result;
}

/// Whether a child gets copies of what it could write, instead of a share: they are few, and most
/// of the guest's memory is free, so that they keep nobody from a fork.
bool address_space::copies_at_fork() {
    const std::uint64_t quarter = frames_.limit_pages() / 4;
    if (frames_.used_pages() > quarter || frames_.free_space_pages() < 3 * quarter) return false;
    std::uint64_t writable = 0;
    for (const auto& [start, area] : state_.vmas) {
        if (start >= user_end || writable > copied_at_once) break;
        if (!area.prot.write || area.shares_frames() || area.wipe_on_fork || area.not_in_child)
            continue;
        tables_.for_each(start, area.end,
                         [&](gva, page_entry& e) { writable += is_writable_frame(e); });
    }
    return writable <= copied_at_once;
}

outcome<void> address_space::fork_page(
    address_space& child, const vma& area, gva page, page_entry& e, bool copies) {
    const bool window = e.has(page_entry::window);
    if (window ? !e.has(page_entry::dirty) : !e.touched() && !area.shared_anonymous) return {};
    page_entry* const other = child.tables_.ensure(page);
    if (!other) return os_error{ENOMEM};
    const bool share = !copies || area.shares_frames() || !is_writable_frame(e);
    if (!window && other->empty() && share) {
        if (area.shares_frames())
            e.set(page_entry::accessed);  // untouched frames are taken back when memory is short
        else
            e.raw &= ~page_entry::writable;
        *other = e;
        frames_.share(e.frame());
        return {};
    }
    // A copy: into the child's own window, or into a frame.
    std::array<std::byte, page_size> bytes;
    const std::byte* const from = memory_.at(e.frame(), page_size);
    if (window) {
        if (!copy_from_window(bytes.data(), from, page_size)) return os_error{ENOMEM};
    } else {
        std::memcpy(bytes.data(), from, page_size);
    }
    if (other->has(page_entry::window)) {
        if (!other->has(page_entry::charged)) {
            if (!frames_.charge(1)) return os_error{ENOMEM};
            other->set(page_entry::charged);
        }
        if (!copy_to_window(memory_.at(other->frame(), page_size), bytes.data(), page_size))
            return os_error{ENOMEM};
        (void)set_protection(*other, area.prot);
        other->set(page_entry::accessed | page_entry::dirty);
        return {};
    }
    // The child may have a frame by now: the page in which a mapped file ends.
    const auto frame = other->empty() ? frames_.allocate(1) : other->frame();
    if (!frame) return os_error{ENOMEM};
    std::memcpy(memory_.at(*frame, page_size), bytes.data(), page_size);
    other->raw = frame->value | permission_bits(area.prot) | page_entry::owned |
                 page_entry::accessed | page_entry::dirty;
    return {};
}

bool address_space::apply_protection(page_entry& e, const vma& area) {
    protection allowed = area.prot;
    if (!area.shares_frames() && frames_.is_shared(e.frame()) && allowed.write) {
        allowed.write = false;
        allowed.read = true;
    }
    return set_protection(e, allowed);
}

fault_result address_space::own_page(page_entry& e, const vma& area) {
    if (area.shares_frames() || !frames_.is_shared(e.frame())) {
        (void)set_protection(e, area.prot);
        return fault_result::resolved;
    }
    auto frame = frames_.allocate(1);
    if (!frame && reclaim_untouched()) frame = frames_.allocate(1);
    if (!frame) {
        frames_.mark_exhausted();
        return fault_result::out_of_memory;
    }
    const gpa old = e.frame();
    std::memcpy(memory_.at(*frame, page_size), memory_.at(old, page_size), page_size);
    e.raw = frame->value | permission_bits(area.prot) | page_entry::owned | page_entry::accessed |
            page_entry::dirty;
    frames_.unshare(old);
    memory_.drop_translations(old, page_size);
    return fault_result::resolved;
}

std::optional<address_space::shared_place> address_space::shared_place_of(gva address) {
    const auto area = find_vma(state_.vmas, address);
    if (area == state_.vmas.end() || !area->second.shares_frames()) return std::nullopt;
    if (const auto file = area->second.memory_file)
        return shared_place{file, area->second.file_offset + (address - area->first)};
    const page_entry* const e = entry_for(address.page(), false);
    if (!e) return std::nullopt;
    return shared_place{0, (e->frame() + address.offset_in_page()).value};
}

}  // namespace hearth::guest::mm
