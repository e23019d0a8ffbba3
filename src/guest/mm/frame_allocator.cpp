#include "guest/mm/frame_allocator.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <iterator>

namespace hearth::guest::mm {
namespace {

using vmm::gpa;
using vmm::page_size;

/// How many fragments allocate_some looks at before it takes the best it saw: a guest decides how
/// fragmented the space is, not how long the host searches.
constexpr int search_bound = 64;

}  // namespace

frame_allocator::frame_allocator(gpa first, gpa end, std::uint64_t limit_pages)
    : limit_(limit_pages) {
    const std::uint64_t from = first.page_up().value / page_size;
    const std::uint64_t to = end.value / page_size;
    if (to > from) free_.emplace(from, to - from);
}

void frame_allocator::take(std::map<std::uint64_t, std::uint64_t>::iterator from,
                           std::uint64_t pages) {
    const auto [first, length] = *from;
    HEARTH_ASSERT(pages <= length);
    const auto next = free_.erase(from);
    if (length > pages) free_.emplace_hint(next, first + pages, length - pages);
}

void frame_allocator::give_back(std::uint64_t first, std::uint64_t pages) {
    if (pages == 0) return;
    auto next = free_.lower_bound(first);
    // A frame released twice would be given to two owners: an isolation invariant, so we stop.
    HEARTH_ASSERT(next == free_.end() || next->first >= first + pages);
    if (next != free_.begin()) {
        const auto before = std::prev(next);
        HEARTH_ASSERT(before->first + before->second <= first);
        if (before->first + before->second == first) {
            first = before->first;
            pages += before->second;
            free_.erase(before);
        }
    }
    if (next != free_.end() && next->first == first + pages) {
        pages += next->second;
        next = free_.erase(next);
    }
    free_.emplace_hint(next, first, pages);
}

void frame_allocator::count(std::uint64_t pages) noexcept {
    used_ += pages;
    peak_ = std::max(peak_, used_);
}

std::optional<gpa> frame_allocator::allocate(std::uint64_t pages) {
    if (pages == 0 || pages > limit_ - used_) return std::nullopt;
    const auto it =
        std::find_if(free_.begin(), free_.end(), [&](const auto& r) { return r.second >= pages; });
    if (it == free_.end()) return std::nullopt;
    const gpa first{it->first * page_size};
    take(it, pages);
    count(pages);
    return first;
}

std::optional<frame_allocator::run> frame_allocator::allocate_some(std::uint64_t wanted) {
    wanted = std::min(wanted, limit_ - used_);
    if (wanted == 0 || free_.empty()) return std::nullopt;
    auto best = free_.begin();
    int looked = 0;
    for (auto it = free_.begin(); it != free_.end() && looked < search_bound; ++it, ++looked) {
        if (it->second > best->second) best = it;
        if (best->second >= wanted) break;
    }
    const run r{gpa{best->first * page_size}, std::min(wanted, best->second)};
    take(best, r.pages);
    count(r.pages);
    return r;
}

void frame_allocator::release(gpa first, std::uint64_t pages) {
    HEARTH_ASSERT(pages <= used_);
    const std::uint64_t page = first.value / page_size;
    if (!left_written_.empty())
        left_written_.erase(left_written_.lower_bound(page),
                            left_written_.lower_bound(page + pages));
    give_back(page, pages);
    used_ -= pages;
}

bool frame_allocator::is_free(gpa frame) const noexcept {
    const std::uint64_t page = frame.value / page_size;
    auto it = free_.upper_bound(page);
    return it != free_.begin() && page - std::prev(it)->first < std::prev(it)->second;
}

bool frame_allocator::allocate_at(gpa frame) {
    if (used_ >= limit_ || !is_free(frame)) return false;
    const std::uint64_t page = frame.value / page_size;
    const auto it = std::prev(free_.upper_bound(page));
    const auto [first, length] = *it;
    const auto next = free_.erase(it);
    if (first + length > page + 1) free_.emplace_hint(next, page + 1, first + length - page - 1);
    if (page > first) free_.emplace(first, page - first);
    count(1);
    return true;
}

std::optional<gpa> frame_allocator::reserve_window(std::uint64_t pages) {
    if (pages == 0) return std::nullopt;
    const auto it = std::find_if(free_.rbegin(), free_.rend(),
                                 [&](const auto& r) { return r.second >= pages; });
    if (it == free_.rend()) return std::nullopt;
    it->second -= pages;
    const std::uint64_t first = it->first + it->second;
    if (it->second == 0) free_.erase(it->first);
    return gpa{first * page_size};
}

void frame_allocator::release_window(gpa first, std::uint64_t pages) {
    give_back(first.value / page_size, pages);
}

bool frame_allocator::charge(std::uint64_t pages) {
    if (pages > limit_ - used_) return false;
    count(pages);
    return true;
}

void frame_allocator::uncharge(std::uint64_t pages) {
    HEARTH_ASSERT(pages <= used_);
    used_ -= pages;
}

std::uint64_t frame_allocator::free_space_pages() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& [first, pages] : free_) sum += pages;
    return sum;
}

bool frame_allocator::unshare(gpa frame) {
    if (shared_.empty()) return false;
    const auto it = shared_.find(frame.value / page_size);
    if (it == shared_.end()) return false;
    if (--it->second == 0) shared_.erase(it);
    return true;
}

}  // namespace hearth::guest::mm
