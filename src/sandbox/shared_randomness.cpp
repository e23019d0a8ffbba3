#include "sandbox/shared_randomness.hpp"

#include "sandbox/table_pages.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

namespace hearth::detail {
namespace {

using guest::mm::page_table;
using vmm::gpa;
using vmm::gva;
using vmm::page_size;

/// Eight bytes: shorter runs are found by chance, and are no seed.
constexpr std::size_t window = sizeof(std::uint64_t);

std::uint64_t window_at(const std::byte* at) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, at, window);
    return value;
}

/// Every window of the given bytes, with where it stands among them.
class window_index {
  public:
    explicit window_index(const random_record& record) : seen_(bits / 64) {
        const auto given = record.bytes();
        if (given.size() < window) return;
        entries_.reserve(given.size() - window + 1);
        for (std::size_t i = 0; i + window <= given.size(); ++i) {
            if (!record.one_source(i, i + window - 1)) continue;
            const std::uint64_t value = window_at(given.data() + i);
            entries_.emplace_back(value, i);
            const std::uint64_t h = hash(value);
            seen_[h / 64] |= std::uint64_t{1} << (h % 64);
        }
        std::ranges::sort(entries_);
    }

    /// Calls `found(offset)` for each place of the window.
    template <class F>
    void look_up(std::uint64_t value, F&& found) const {
        const std::uint64_t h = hash(value);
        if (!(seen_[h / 64] >> (h % 64) & 1)) [[likely]]
            return;
        auto it = std::ranges::lower_bound(entries_, std::pair{value, std::size_t{0}});
        for (; it != entries_.end() && it->first == value; ++it) found(it->second);
    }

  private:
    // 16 bits for each window that random_record holds at most: one in 16 is a false alarm.
    static constexpr std::uint64_t bits = random_record::limit * 16;
    static std::uint64_t hash(std::uint64_t value) noexcept {
        return (value * 0x9e37'79b9'7f4a'7c15) >> 42;  // Fibonacci hashing to 22 bits
    }
    static_assert(bits == std::uint64_t{1} << 22);

    std::vector<std::pair<std::uint64_t, std::size_t>> entries_;
    std::vector<std::uint64_t> seen_;
};

/// Looks through one process's memory page by page, in ascending order.
class searcher {
  public:
    searcher(const snapshot_image& image,
             const random_record& given,
             const window_index& index,
             const guest::mm::mm_state& mm,
             shared_randomness& found) noexcept
        : image_(image), given_(given), index_(index), mm_(mm), found_(found) {}

    void search() {
        std::vector<page_table> leaves;
        for (const page_table& t : mm_.tables)
            if (t.level == 1) leaves.push_back(t);
        std::ranges::sort(leaves, {}, [](const page_table& t) { return t.start; });
        for (const page_table& t : leaves) {
            const std::byte* const bytes = content(t.frame);
            if (!bytes) continue;
            const page_entry* const entries = entries_of(bytes);
            for (std::size_t i = 0; i < table_entries && found_.complete; ++i) {
                const page_entry e = entries[i];
                if (!e.touched()) continue;
                // A file's page that nobody wrote is the file's.
                const std::byte* const page =
                    e.has(page_entry::window) ? image_.written.page(e.frame()) : content(e.frame());
                if (page) look_at(t.start + i * page_size, page);
            }
        }
    }

  private:
    /// A run that may go on: what was given from `offset` on stands at [address, end).
    struct run {
        std::size_t place;  ///< of found_
        std::uint64_t end;
        std::uint64_t distance;  ///< address less offset
    };

    [[nodiscard]] const std::byte* content(gpa frame) const noexcept {
        if (const std::byte* p = image_.written.page(frame)) return p;
        return image_.base->page(frame);
    }

    void look_at(gva at, const std::byte* page) {
        // The end of the page before comes along, so that no window is missed.
        const std::size_t before = at.value == next_ ? window - 1 : 0;
        std::memmove(buffer_.data() + window - 1 - before, buffer_.data() + buffer_.size() - before,
                     before);
        std::memcpy(buffer_.data() + window - 1, page, page_size);
        next_ = at.value + page_size;
        for (std::size_t i = window - 1 - before; i + window <= buffer_.size(); ++i) {
            const std::uint64_t value = window_at(buffer_.data() + i);
            if (value == 0) continue;
            index_.look_up(value,
                           [&](std::size_t offset) { note(at.value + i - (window - 1), offset); });
            if (!found_.complete) return;
        }
    }

    void note(std::uint64_t address, std::size_t offset) {
        const std::uint64_t own = mm_.random_bytes.value;
        constexpr std::uint64_t at_random_size = 16;
        if (own != 0 && address >= own && address + window <= own + at_random_size) return;
        std::erase_if(runs_, [&](const run& r) { return r.end + 1 < address + window; });
        for (run& r : runs_) {
            if (r.distance != address - offset) continue;
            found_.places[r.place].length += address + window - r.end;
            r.end = address + window;
            return;
        }
        if (found_.places.size() == shared_randomness::max_places) {
            found_.complete = false;
            return;
        }
        const auto area = guest::mm::find_vma(mm_.vmas, gva{address});
        std::string mapping;
        if (area != mm_.vmas.end()) {
            mapping = area->second.name;
            if (mapping.empty() && area->second.file) mapping = area->second.file->path;
        }
        runs_.push_back({found_.places.size(), address + window, address - offset});
        found_.places.push_back(
            {given_.source_of(offset), gva{address}, window, std::move(mapping)});
    }

    const snapshot_image& image_;
    const random_record& given_;
    const window_index& index_;
    const guest::mm::mm_state& mm_;
    shared_randomness& found_;
    std::array<std::byte, window - 1 + page_size> buffer_{};
    std::uint64_t next_ = 0;  // the address after the last page
    std::vector<run> runs_;
};

}  // namespace

shared_randomness find_shared_randomness(const snapshot_image& image, const random_record& given) {
    shared_randomness found;
    const window_index index(given);
    for (const auto& [id, process] : image.kernel.processes)
        searcher(image, given, index, process.mm, found).search();
    return found;
}

}  // namespace hearth::detail
