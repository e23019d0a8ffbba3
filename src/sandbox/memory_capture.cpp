#include "sandbox/memory_capture.hpp"

#include "base/all_zero.hpp"
#include "base/try.hpp"
#include "guest/mm/window_copy.hpp"
#include "sandbox/table_pages.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <iterator>
#include <utility>
#include <vector>

namespace hearth::detail {
namespace {

using guest::mm::page_table;
using vmm::gpa;
using vmm::page_size;

struct copied_page {
    alignas(page_size) std::array<std::byte, page_size> bytes;
};

/// Pages with where their contents stand now; sorted before use.
struct page_list {
    struct item {
        gpa at;
        const std::byte* bytes;
    };
    std::vector<item> items;
    std::deque<copied_page> copies;

    std::byte* add_copy(gpa at) {
        copies.emplace_back();
        items.push_back({at, copies.back().bytes.data()});
        return copies.back().bytes.data();
    }
    void sort() {
        std::ranges::sort(items, {}, [](const item& i) { return i.at; });
    }
};

/// A fixed table without the system's own entry, which every shell has.
void add_fixed_tables(page_list& pages, const vmm::guest_memory& memory) {
    for (const fixed_table& t : fixed_tables) {
        std::byte* const copy = pages.add_copy(t.frame);
        std::memcpy(copy, memory.base() + t.frame.value, page_size);
        std::memset(copy + t.system_entry * sizeof(page_entry), 0, sizeof(page_entry));
    }
}

error file_cut_short() { return {errc::io_failed, "a mapped file was cut short"}; }

/// A written page of a file window becomes a frame of the guest's own.
result<gpa> own_frame(guest::kernel_state& state, guest::mm::mm_state& mm, page_entry e) {
    auto& frames = state.frames;
    if (e.has(page_entry::charged)) frames.uncharge(1);
    const auto frame = frames.allocate(1);
    if (!frame) return error(errc::no_room, "no guest-physical address left for a snapshot");
    const std::uint64_t page = e.frame().value / page_size;
    const auto window = std::prev(mm.windows.upper_bound(page));
    if (--window->second.live == 0) {
        frames.release_window(gpa{window->first * page_size}, window->second.pages);
        mm.windows.erase(window);
    }
    return *frame;
}

}  // namespace

result<std::shared_ptr<const memory_image>> capture_root(vmm::guest_memory& memory,
                                                         guest::kernel_state& state) {
    page_list pages;
    add_fixed_tables(pages, memory);
    for (auto& [id, process] : state.processes) {
        for (const page_table& t : process.mm.tables) {
            if (t.level != 1) {
                pages.items.push_back({t.frame, memory.base() + t.frame.value});
                continue;
            }
            std::byte* const copy = pages.add_copy(t.frame);
            std::memcpy(copy, memory.base() + t.frame.value, page_size);
            auto* const entries = reinterpret_cast<page_entry*>(copy);
            for (std::size_t i = 0; i < table_entries; ++i) {
                page_entry& e = entries[i];
                if (e.has(page_entry::of_file)) e = {};  // the file has the contents itself
                if (!e.touched()) continue;              // empty, or its frame is still zero
                const bool written = e.has(page_entry::dirty);
                e.raw &= ~(page_entry::dirty | page_entry::fresh);
                const std::byte* const bytes = memory.base() + e.frame().value;
                if (!e.has(page_entry::window)) {
                    pages.items.push_back({e.frame(), bytes});
                } else if (written) {
                    HEARTH_TRY(const gpa frame, own_frame(state, process.mm, e));
                    if (!guest::mm::copy_from_window(pages.add_copy(frame), bytes, page_size))
                        return file_cut_short();
                    constexpr std::uint64_t gone =
                        page_entry::frame_mask | page_entry::window | page_entry::charged;
                    e.raw = (e.raw & ~gone) | frame.value;
                }
            }
        }
    }
    pages.sort();

    HEARTH_TRY(auto builder, memory_image::builder::create(byte_count(memory.size())));
    for (std::size_t i = 0; i < pages.items.size();) {
        const auto& first = pages.items[i];
        std::size_t n = 1;
        while (i + n < pages.items.size() && pages.items[i + n].at == first.at + n * page_size &&
               pages.items[i + n].bytes == first.bytes + n * page_size)
            ++n;
        HEARTH_CHECK(builder.add(first.at, {first.bytes, n * page_size}));
        i += n;
    }
    return std::move(builder).finish();
}

result<memory_diff> capture_written(vmm::guest_memory& memory,
                                    const guest::kernel_state& state,
                                    const snapshot_image& root) {
    page_list pages;
    const auto add_if_changed = [&](gpa at, const std::byte* bytes) {
        const std::byte* const was = root.base->page(at);
        const bool same =
            was ? std::memcmp(bytes, was, page_size) == 0 : all_zero({bytes, page_size});
        if (!same) pages.items.push_back({at, bytes});
    };
    const auto& root_tables = root.kernel.processes.begin()->second.mm.tables;
    static constexpr page_entry none[table_entries] = {};
    for (const auto& [id, process] : state.processes) {
        const auto& tables = process.mm.tables;
        for (std::size_t n = 0; n < tables.size(); ++n) {
            const page_table& t = tables[n];
            if (t.level != 1) continue;  // they follow from the list of tables
            // The root's stand first in every clone's list. (Where one did not, its pages would
            // only be compared for nothing.)
            const bool old = n < root_tables.size() && root_tables[n] == t;
            const std::byte* const was = old ? root.base->page(t.frame) : nullptr;
            const page_entry* const before = was ? entries_of(was) : none;
            const page_entry* const now = entries_at(memory, t.frame);
            bool changed = !old, of_files = false;
            for (std::size_t i = 0; i < table_entries; ++i) {
                page_entry e = now[i];
                if (e.has(page_entry::of_file)) {  // the file has the contents itself
                    e = {};
                    of_files = true;
                }
                if (!differ(e, before[i]) && !contents_differ(e, before[i])) continue;
                changed = true;
                if (!e.touched()) continue;
                const std::byte* const bytes = memory.base() + e.frame().value;
                if (!e.has(page_entry::window)) {
                    add_if_changed(e.frame(), bytes);
                } else if (e.has(page_entry::dirty)) {
                    if (!guest::mm::copy_from_window(pages.add_copy(e.frame()), bytes, page_size))
                        return file_cut_short();
                }
            }
            if (!changed) continue;
            if (!of_files) {
                add_if_changed(t.frame, memory.base() + t.frame.value);
                continue;
            }
            auto* const copy = entries_in(pages.add_copy(t.frame));
            for (std::size_t i = 0; i < table_entries; ++i)
                copy[i] = now[i].has(page_entry::of_file) ? page_entry{} : now[i];
        }
    }
    pages.sort();

    memory_diff diff;
    diff.pages.reserve(pages.items.size());
    diff.bytes.reserve(pages.items.size() * page_size);
    for (const auto& item : pages.items) {
        diff.pages.push_back(item.at.value / page_size);
        diff.bytes.insert(diff.bytes.end(), item.bytes, item.bytes + page_size);
    }
    return diff;
}

std::uint64_t private_pages(const vmm::guest_memory& memory,
                            const guest::kernel_state& state,
                            bool has_root) {
    const std::uint64_t written = has_root ? page_entry::dirty : used_bits;
    std::uint64_t pages = 0;
    for (const auto& [id, process] : state.processes) {
        for (const page_table& t : process.mm.tables) {
            ++pages;
            if (t.level != 1) continue;
            const page_entry* const entries = entries_at(memory, t.frame);
            for (std::size_t i = 0; i < table_entries; ++i) {
                const page_entry e = entries[i];
                // A file's page is the page cache's until it is written.
                const auto bits = e.has(page_entry::window) ? page_entry::dirty : written;
                pages += (e.raw & bits) != 0 ? 1 : 0;
            }
        }
    }
    return pages;
}

}  // namespace hearth::detail
