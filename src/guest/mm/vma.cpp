#include "guest/mm/vma.hpp"

#include <algorithm>
#include <iterator>

namespace hearth::guest::mm {
namespace {

/// Linux's stack_guard_gap.
constexpr std::uint64_t stack_guard = 256 * vmm::page_size;

bool alike(const vma_map::value_type& low, const vma_map::value_type& high) {
    const vma& a = low.second;
    const vma& b = high.second;
    if (a.end != high.first || a.prot != b.prot || a.shared != b.shared ||
        a.shared_anonymous != b.shared_anonymous || a.memory_file != b.memory_file ||
        a.copies != b.copies || a.wipe_on_fork != b.wipe_on_fork ||
        a.not_in_child != b.not_in_child || a.name != b.name)
        return false;
    // Two stacks stay two: the border of one is where it grows.
    if (a.grows_down || b.grows_down) return a.grows_down && b.grows_down;
    if (a.file.has_value() != b.file.has_value()) return false;
    if (!a.file) return true;
    return a.file_offset + (a.end - low.first) == b.file_offset && *a.file == *b.file;
}

}  // namespace

vma_map::iterator find_vma(vma_map& vmas, gva address) {
    auto it = vmas.upper_bound(address);
    if (it == vmas.begin()) return vmas.end();
    --it;
    return address < it->second.end ? it : vmas.end();
}

vma_map::const_iterator find_vma(const vma_map& vmas, gva address) {
    auto it = vmas.upper_bound(address);
    if (it == vmas.begin()) return vmas.end();
    --it;
    return address < it->second.end ? it : vmas.end();
}

bool covered(const vma_map& vmas, gva start, gva end) {
    for (auto it = find_vma(vmas, start); start < end; ++it) {
        if (it == vmas.end() || it->first > start) return false;
        start = it->second.end;
    }
    return true;
}

bool vacant(const vma_map& vmas, gva start, gva end) {
    const auto it = vmas.lower_bound(end);
    return start >= end || it == vmas.begin() || std::prev(it)->second.end <= start;
}

void split_vma(vma_map& vmas, gva at) {
    const auto it = find_vma(vmas, at);
    if (it == vmas.end() || it->first == at) return;
    vma upper = it->second;
    if (upper.file) upper.file_offset += at - it->first;
    it->second.end = at;
    vmas.emplace_hint(std::next(it), at, std::move(upper));
}

void merge_vmas(vma_map& vmas, gva start, gva end) {
    auto it = vmas.lower_bound(start);
    if (it != vmas.begin()) --it;
    while (it != vmas.end() && it->first <= end) {
        const auto next = std::next(it);
        if (next == vmas.end()) return;
        if (alike(*it, *next)) {
            it->second.end = next->second.end;
            it->second.fault_around = std::max(it->second.fault_around, next->second.fault_around);
            vmas.erase(next);
        } else {
            it = next;
        }
    }
}

gva guarded_start(const vma_map::value_type& v) noexcept {
    if (!v.second.grows_down) return v.first;
    return {v.first.value > stack_guard ? v.first.value - stack_guard : 0};
}

std::optional<gva> find_gap(const vma_map& vmas, std::uint64_t length, gva floor, gva ceiling) {
    gva gap_end = ceiling;
    auto it = vmas.lower_bound(ceiling);
    if (it != vmas.end()) gap_end = std::min(gap_end, guarded_start(*it));
    while (true) {
        const gva low = it == vmas.begin() ? floor : std::max(floor, std::prev(it)->second.end);
        if (gap_end >= low && gap_end - low >= length) return gap_end - length;
        if (it == vmas.begin()) return std::nullopt;
        --it;
        gap_end = std::min(gap_end, guarded_start(*it));
        if (gap_end <= floor) return std::nullopt;
    }
}

}  // namespace hearth::guest::mm
