#include "sandbox/memory_capture.hpp"

#include "base/all_zero.hpp"
#include "base/try.hpp"
#include "guest/mm/window_copy.hpp"
#include "sandbox/table_pages.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <iterator>
#include <optional>
#include <span>
#include <unordered_set>
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
    /// A page that several entries point to was found at each.
    void sort() {
        std::ranges::sort(items, {}, &item::at);
        const auto same = [](const item& a, const item& b) { return a.at == b.at; };
        items.erase(std::unique(items.begin(), items.end(), same), items.end());
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

/// The tables and pages of one space, for a root.
result<void> add_space(page_list& pages,
                       vmm::guest_memory& memory,
                       guest::kernel_state& state,
                       guest::mm::mm_state& mm) {
    const auto add_table = [&](gpa at) { pages.items.push_back({at, memory.base() + at.value}); };
    if (mm.root != vmm::layout::pml4) add_table(mm.root);
    for (const page_table& t : mm.tables) {
        if (t.level != 1) {
            add_table(t.frame);
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
                HEARTH_TRY(const gpa frame, own_frame(state, mm, e));
                if (!guest::mm::copy_from_window(pages.add_copy(frame), bytes, page_size))
                    return file_cut_short();
                constexpr std::uint64_t gone =
                    page_entry::frame_mask | page_entry::window | page_entry::charged;
                e.raw = (e.raw & ~gone) | frame.value;
            }
        }
    }
    return {};
}

/// The tables that the space with this root had in a snapshot.
std::span<const page_table> tables_of(const guest::kernel_state& state, gpa root) {
    std::span<const page_table> found;
    guest::for_each_space(state, [&](const guest::mm::mm_state& mm) {
        if (mm.root == root) found = mm.tables;
    });
    return found;
}

}  // namespace

result<std::shared_ptr<const memory_image>> capture_root(vmm::guest_memory& memory,
                                                         guest::kernel_state& state) {
    page_list pages;
    add_fixed_tables(pages, memory);
    std::optional<error> fault;
    guest::for_each_space(state, [&](guest::mm::mm_state& mm) {
        if (fault) return;
        if (auto added = add_space(pages, memory, state, mm); added.has_error())
            fault = added.error();
    });
    if (fault) return *fault;
    state.frames.forget_left_written();
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
    const auto& left_written = state.frames.left_written();
    static constexpr page_entry none[table_entries] = {};
    bool cut_short = false;
    guest::for_each_space(state, [&](const guest::mm::mm_state& mm) {
        const auto root_tables = tables_of(root.kernel, mm.root);
        for (std::size_t n = 0; n < mm.tables.size(); ++n) {
            const page_table& t = mm.tables[n];
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
                if (!differ(e, before[i]) && !contents_differ(e, before[i])) {
                    if (left_written.empty() || !e.touched() ||
                        !left_written.contains(e.frame().value / page_size))
                        continue;
                } else {
                    changed = true;
                }
                if (!e.touched()) continue;
                const std::byte* const bytes = memory.base() + e.frame().value;
                if (!e.has(page_entry::window)) {
                    add_if_changed(e.frame(), bytes);
                } else if (e.has(page_entry::dirty)) {
                    cut_short = cut_short || !guest::mm::copy_from_window(pages.add_copy(e.frame()),
                                                                          bytes, page_size);
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
    });
    if (cut_short) return file_cut_short();
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
    std::unordered_set<std::uint64_t> shared;  // counted once
    guest::for_each_space(state, [&](const guest::mm::mm_state& mm) {
        for (const page_table& t : mm.tables) {
            ++pages;
            if (t.level != 1) continue;
            const page_entry* const entries = entries_at(memory, t.frame);
            for (std::size_t i = 0; i < table_entries; ++i) {
                const page_entry e = entries[i];
                // A file's page is the page cache's until it is written.
                const auto bits = e.has(page_entry::window) ? page_entry::dirty : written;
                if ((e.raw & bits) == 0) continue;
                if (state.frames.is_shared(e.frame()) && !shared.insert(e.frame().value).second)
                    continue;
                ++pages;
            }
        }
    });
    return pages;
}

}  // namespace hearth::detail
