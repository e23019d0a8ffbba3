#include "sandbox/memory_restore.hpp"

#include "base/assert.hpp"
#include "base/try.hpp"
#include "guest/mm/window_copy.hpp"
#include "sandbox/table_pages.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace hearth::detail {
namespace {

using guest::mm::file_window;
using guest::mm::page_table;
using vmm::gpa;
using vmm::gva;
using vmm::page_size;
using window_map = std::map<std::uint64_t, file_window>;

namespace layout = vmm::layout;

constexpr page_entry no_entries[table_entries] = {};

template <class State>
auto spaces_of(State& state) {
    std::vector<decltype(&state.retired.front())> spaces;
    guest::for_each_space(state, [&](auto& mm) { spaces.push_back(&mm); });
    return spaces;
}

/// The window that holds a page, in one of several spaces; null: it is no window's.
template <class Spaces>
const window_map::value_type* window_at(const Spaces& spaces, std::uint64_t page) {
    for (const auto& space : spaces) {
        const window_map& windows = std::to_address(space)->windows;
        const auto next = windows.upper_bound(page);
        if (next != windows.begin() &&
            page - std::prev(next)->first < std::prev(next)->second.pages)
            return &*std::prev(next);
    }
    return nullptr;
}

bool same_mapping(const file_window& a, const file_window& b) noexcept {
    return a.pages == b.pages && a.offset == b.offset && a.file == b.file;
}

result<void> map_window(vmm::guest_memory& memory, std::uint64_t first, const file_window& w) {
    return memory.map_file(gpa{first * page_size}, w.pages * page_size, w.file.fd->get(),
                           w.file.fd_offset + w.offset);
}

/// Brings memory that is a mapping of the snapshot's root to the snapshot.
class transition {
  public:
    transition(shell& s, const snapshot_image& image, guest::kernel_state& state) noexcept
        : shell_(s),
          memory_(s.vm.memory()),
          image_(image),
          root_(*s.root),
          target_(spaces_of(image.kernel)),
          state_(state) {
        for (auto& space : s.spaces) live_.push_back(&space);
        several_ = live_.size() > 1 || target_.size() > 1;
        std::ranges::set_union(s.left_written, state.frames.left_written(),
                               std::back_inserter(left_written_));
    }

    /// False, and nothing has changed: the tables that stand in memory and the snapshot's are in
    /// each other's way.
    bool plan();
    result<std::uint64_t> perform();

  private:
    struct leaf {
        gpa frame;
        bool live = false, wanted = false;
    };
    struct new_table {
        gpa root;
        page_table table;
    };
    struct page_copy {
        gpa frame;
        bool window = false, zero = false;
    };

    /// A page as the snapshot has it; null: zero.
    [[nodiscard]] const std::byte* page(gpa at) const noexcept {
        if (const std::byte* p = image_.written.page(at)) return p;
        return root_.base->page(at);
    }
    [[nodiscard]] bool left_written(gpa frame) const noexcept {
        return !left_written_.empty() &&
               std::ranges::binary_search(left_written_, frame.value / page_size);
    }
    bool plan_space(const shell::space* live, const guest::mm::mm_state& wanted);
    bool keep_table(guest::mm::mm_state& mm, const page_table& t);
    void compare(const leaf& t);
    void drop_stale();
    result<void> change_windows();
    void link_tables();
    result<void> copy_pages();

    shell& shell_;
    vmm::guest_memory& memory_;
    const snapshot_image& image_;
    const snapshot_image& root_;
    std::vector<const guest::mm::mm_state*> target_;  // the snapshot's spaces
    std::vector<const shell::space*> live_;           // those that stand in memory
    bool several_ = false;                            // a frame may have several owners
    guest::kernel_state& state_;

    std::vector<leaf> leaves_;
    std::vector<gpa> new_roots_;         // the snapshot's, not there yet
    std::vector<new_table> new_tables_;  // the same; parents first
    // There, not the snapshot's: tables in spaces of it by root, and whole spaces. They count as
    // used.
    std::vector<guest::mm::mm_state> kept_spaces_;
    std::uint64_t kept_tables_ = 0;
    std::vector<std::uint64_t> left_written_;  // pages, ascending
    std::vector<std::pair<gpa, page_entry>>
        stale_;                // frames some entry pointed to, with that entry
    std::vector<gpa> placed_;  // frames that changed entries point to now
    std::vector<page_copy> copies_;
};

bool transition::plan() {
    for (const guest::mm::mm_state* wanted : target_) {
        const auto live = std::ranges::find(live_, wanted->root, &shell::space::root);
        if (live == live_.end()) new_roots_.push_back(wanted->root);
        if (!plan_space(live == live_.end() ? nullptr : *live, *wanted)) return false;
    }
    for (const shell::space* live : live_) {
        if (std::ranges::find(target_, live->root, &guest::mm::mm_state::root) != target_.end())
            continue;
        if (!state_.frames.allocate_at(live->root)) return false;
        guest::mm::mm_state& mm = kept_spaces_.emplace_back();
        mm.root = live->root;
        for (const page_table& t : live->tables)
            if (!keep_table(mm, t)) return false;
    }
    // A guest that spread its pages far must not cost the next ones their memory.
    return kept_tables_ <= std::max<std::uint64_t>(16, state_.frames.limit_pages() / 64);
}

bool transition::plan_space(const shell::space* space, const guest::mm::mm_state& target) {
    if (space && space->tables == target.tables) {
        for (const page_table& t : target.tables)
            if (t.level == 1) leaves_.push_back({t.frame, true, true});
        return true;
    }
    using place = std::pair<std::uint32_t, gva>;
    std::map<place, gpa> live, wanted;
    if (space)
        for (const page_table& t : space->tables) live.emplace(place{t.level, t.start}, t.frame);
    for (const page_table& t : target.tables) {
        const place here{t.level, t.start};
        wanted.emplace(here, t.frame);
        if (const auto it = live.find(here); it != live.end()) {
            if (it->second != t.frame) return false;
        } else {
            new_tables_.push_back({target.root, t});
        }
        if (t.level == 1) leaves_.push_back({t.frame, live.contains(here), true});
    }
    if (!space) return true;
    guest::mm::mm_state kept;
    kept.root = target.root;
    for (const page_table& t : space->tables)
        if (!wanted.contains({t.level, t.start}) && !keep_table(kept, t)) return false;
    if (!kept.tables.empty()) kept_spaces_.push_back(std::move(kept));
    return true;
}

bool transition::keep_table(guest::mm::mm_state& mm, const page_table& t) {
    // Not where the snapshot has a table or data of its own.
    if (!state_.frames.allocate_at(t.frame)) return false;
    mm.tables.push_back(t);
    ++kept_tables_;
    if (t.level == 1) leaves_.push_back({t.frame, true, false});
    return true;
}

/// Stores what changed in one leaf table and notes whose pages must be looked after.
void transition::compare(const leaf& t) {
    page_entry* const live = t.live ? entries_at(memory_, t.frame) : nullptr;
    const std::byte* const bytes = t.wanted ? page(t.frame) : nullptr;
    const page_entry* const want = bytes ? entries_of(bytes) : no_entries;
    const bool skips = live && !several_ && left_written_.empty();
    for (std::size_t i = 0; i < table_entries; ++i) {
        while (skips && i % entries_at_once == 0 && all_alike(live + i, want + i))
            if ((i += entries_at_once) == table_entries) return;
        const page_entry was = live ? live[i] : page_entry{};
        const page_entry now = want[i];
        if (!differ(was, now)) [[likely]] {
            // With several owners of a frame, one whose entry stays keeps it as well.
            if (several_ && now.touched()) placed_.push_back(now.frame());
            if (!contents_differ(was, now) && !left_written(now.frame())) [[likely]]
                continue;
            copies_.push_back({was.frame(), was.has(page_entry::window), !now.touched()});
            live[i].raw = now.raw | (was.raw & used_bits);
            continue;
        }
        if (!was.empty()) stale_.emplace_back(was.frame(), was);
        if (live) live[i] = now;
        if (now.touched()) {
            placed_.push_back(now.frame());
            if (!now.has(page_entry::window) || now.has(page_entry::dirty))
                copies_.push_back({now.frame(), now.has(page_entry::window), false});
        }
    }
}

/// Entries are stored; now the translations to the frames they pointed to go, and what is nobody's
/// any more becomes zero.
void transition::drop_stale() {
    std::ranges::sort(stale_, {}, [](const auto& s) { return s.first; });
    std::ranges::sort(placed_);
    for (std::size_t i = 0; i < stale_.size();) {
        const auto kept = [&](std::size_t n) {
            return std::ranges::binary_search(placed_, stale_[n].first);
        };
        const gpa first = stale_[i].first;
        const bool window = stale_[i].second.has(page_entry::window);
        const bool keep = kept(i) && !window;
        bool touched = stale_[i].second.touched();
        std::size_t n = 1;
        while (i + n < stale_.size() && stale_[i + n].first == first + n * page_size &&
               stale_[i + n].second.has(page_entry::window) == window &&
               (kept(i + n) && !window) == keep)
            touched |= stale_[i + n++].second.touched();
        if (touched) {
            if (keep) {
                memory_.drop_translations(first, n * page_size);
                // Who does not have it any more may have written it for those who do.
                for (std::size_t k = 0; several_ && k < n; ++k)
                    copies_.push_back({first + k * page_size, false, false});
            } else {
                memory_.discard(first, n * page_size);
            }
        }
        i += n;
    }
}

result<void> transition::change_windows() {
    const auto stands = [&](const auto& spaces, const window_map::value_type& w) {
        const auto* const other = window_at(spaces, w.first);
        return other && other->first == w.first && same_mapping(other->second, w.second);
    };
    for (const shell::space* space : live_) {
        for (const auto& w : space->windows) {
            if (!stands(target_, w))
                HEARTH_CHECK(
                    memory_.unmap_file(gpa{w.first * page_size}, w.second.pages * page_size));
        }
    }
    for (const guest::mm::mm_state* space : target_) {
        for (const auto& w : space->windows)
            if (!stands(live_, w)) HEARTH_CHECK(map_window(memory_, w.first, w.second));
    }
    return {};
}

void transition::link_tables() {
    for (const gpa root : new_roots_)
        std::fill_n(entries_at(memory_, root), table_entries, page_entry{});
    for (const auto& [root, t] : new_tables_) {
        page_entry* const entries = entries_at(memory_, t.frame);
        const std::byte* const bytes = t.level == 1 ? page(t.frame) : nullptr;
        if (bytes)
            std::memcpy(entries, bytes, page_size);
        else
            std::fill_n(entries, table_entries, page_entry{});
        if (t.level == 2 && t.start == guest::mm::system_pd_start)
            entries[table_entries - 1].raw = guest::mm::system_link;
        gpa parent = root;
        for (const unsigned shift : {39U, 30U, 21U}) {
            page_entry& e = entries_at(memory_, parent)[(t.start.value >> shift) & 511];
            if (shift == 12 + 9 * t.level) {
                e.raw = t.frame.value | guest::mm::table_link;
                break;
            }
            HEARTH_ASSERT(e.has(page_entry::present));  // parents stand first in the list
            parent = e.frame();
        }
    }
}

result<void> transition::copy_pages() {
    for (const page_copy& c : copies_) {
        std::byte* const into = memory_.base() + c.frame.value;
        if (!c.window) {
            if (const std::byte* const from = c.zero ? nullptr : page(c.frame))
                std::memcpy(into, from, page_size);
            else
                std::memset(into, 0, page_size);
        } else if (const std::byte* const from = image_.written.page(c.frame)) {
            if (!guest::mm::copy_to_window(into, from, page_size))
                return error(errc::io_failed, "a mapped file was cut short");
        } else {
            const std::uint64_t number = c.frame.value / page_size;
            const auto* const w = window_at(target_, number);
            HEARTH_ASSERT(w);
            const std::uint64_t offset = w->second.offset + (number - w->first) * page_size;
            if (guest::mm::read_backing(w->second.file, offset, {into, page_size}) !=
                static_cast<std::int64_t>(page_size))
                return error(errc::io_failed, w->second.file.path + " was cut short");
        }
    }
    return {};
}

result<std::uint64_t> transition::perform() {
    for (const leaf& t : leaves_) compare(t);
    if (!stale_.empty()) drop_stale();
    const bool same_windows = std::ranges::equal(live_, target_, {}, &shell::space::windows,
                                                 &guest::mm::mm_state::windows);
    if (!same_windows) HEARTH_CHECK(change_windows());
    link_tables();
    HEARTH_CHECK(copy_pages());
    for (guest::mm::mm_state& kept : kept_spaces_) {
        const auto spaces = spaces_of(state_);
        const auto of = std::ranges::find(spaces, kept.root, &guest::mm::mm_state::root);
        if (of == spaces.end())
            state_.retired.push_back(std::move(kept));
        else
            (*of)->tables.insert((*of)->tables.end(), kept.tables.begin(), kept.tables.end());
    }
    return copies_.size();
}

/// Clears the links to user mappings in the fixed tables, or takes a snapshot's.
void set_fixed_tables(vmm::guest_memory& memory, const memory_image* image) {
    for (const fixed_table& t : fixed_tables) {
        page_entry* const entries = entries_at(memory, t.frame);
        const page_entry system = entries[t.system_entry];
        const std::byte* const from = image ? image->page(t.frame) : nullptr;
        if (from)
            std::memcpy(entries, from, page_size);
        else
            std::fill_n(entries, table_entries, page_entry{});
        entries[t.system_entry] = system;
    }
}

/// Maps a root's memory in place of whatever is there.
result<void> map_root(shell& s, const std::shared_ptr<const snapshot_image>& root) {
    vmm::guest_memory& memory = s.vm.memory();
    if (memory.size() != root->base->size())
        return error(errc::invalid_argument, "the shell's memory is not of the snapshot's size");
    const bool used = !s.blank;
    s.root.reset();
    s.blank = false;
    s.forget_layout();
    if (used) HEARTH_CHECK(memory.make_blank(layout::first_free));
    set_fixed_tables(memory, root->base.get());
    for (const auto& e : root->base->extents()) {
        // Below, every shell has pages of its own.
        const gpa end = e.first + e.pages * page_size;
        const gpa first = std::max(e.first, layout::first_free);
        if (first < end) HEARTH_CHECK(memory.map_snapshot(first, end - first, root->base->fd()));
    }
    for (const guest::mm::mm_state* mm : spaces_of(root->kernel)) {
        for (const auto& [first, w] : mm->windows) HEARTH_CHECK(map_window(memory, first, w));
        s.spaces.push_back({mm->root, mm->tables, mm->windows});
    }
    if (used) HEARTH_CHECK(s.vm.drop_all_translations());
    s.root = root;
    return {};
}

}  // namespace

result<void> shell::make_blank() {
    if (blank) return {};
    HEARTH_CHECK(vm.memory().make_blank(layout::first_free));
    set_fixed_tables(vm.memory(), nullptr);
    HEARTH_CHECK(vm.drop_all_translations());
    blank = true;
    root.reset();
    forget_layout();
    return {};
}

void shell::keep_layout(guest::kernel_state& state) {
    forget_layout();
    guest::for_each_space(state, [&](guest::mm::mm_state& mm) {
        spaces.push_back({mm.root, std::move(mm.tables), std::move(mm.windows)});
    });
    left_written = state.frames.left_written();
}

void shell::forget_layout() noexcept {
    spaces.clear();
    left_written.clear();
}

result<memory_restored> restore_memory(shell& s,
                                       const std::shared_ptr<const snapshot_image>& image,
                                       guest::kernel_state& state) {
    const auto root = image->root ? image->root : image;
    memory_restored done;
    std::optional<transition> change;
    if (s.root == root) {
        change.emplace(s, *image, state);
        if (!change->plan()) {
            // plan() has counted tables that now go.
            state.frames = image->kernel.frames;
            change.reset();
        }
    }
    if (!change) {
        HEARTH_CHECK(map_root(s, root));
        done.remapped = true;
        if (image == root) {
            s.forget_layout();
            return done;
        }
        change.emplace(s, *image, state);
        if (!change->plan())
            return error(errc::sandbox_poisoned, "a snapshot's page tables contradict its root's");
    }
    const auto copied = change->perform();
    s.forget_layout();
    if (copied.has_error()) {
        s.root.reset();  // half of it stands: whoever comes next maps everything anew
        return copied.error();
    }
    done.copied = *copied;
    return done;
}

}  // namespace hearth::detail
