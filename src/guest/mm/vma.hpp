#pragma once

/// Virtual memory areas: what the guest mapped where, as values in a sorted map, and the operations
/// on such a map that know nothing of frames or page tables.

#include "guest/guest_ptr.hpp"
#include "guest/mm/file_backing.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace hearth::guest::mm {

struct protection {
    bool read = false, write = false, execute = false;
    bool operator==(const protection&) const = default;
    [[nodiscard]] bool none() const noexcept { return !read && !write && !execute; }
};

/// Pages a fault brings at first; doubles with every fault of the area.
inline constexpr std::uint32_t first_fault_around = 16;

struct vma {
    gva end;  // the start is the key
    protection prot;
    bool grows_down = false;
    bool shared = false;  ///< MAP_SHARED of a file: may not become writable
    /// MAP_PRIVATE of a memory_file: who writes has a page of his own.
    bool copies = false;
    bool shared_anonymous = false;  ///< MAP_SHARED | MAP_ANONYMOUS: the same frames after fork
    bool wipe_on_fork = false;      ///< MADV_WIPEONFORK: a child finds zeroes
    std::uint64_t memory_file = 0;  ///< a file in guest memory: its number; `file` has its path
    std::optional<file_backing> file;
    std::uint64_t file_offset = 0;  ///< of the VMA's start
    std::string name;  ///< "[heap]", "[stack]", "[vdso]"; empty: the file's path or anonymous
    std::uint32_t fault_around = first_fault_around;  ///< pages the next fault brings
    bool not_in_child = false;                        ///< MADV_DONTFORK
    bool operator==(const vma&) const = default;
    /// A store is seen by whoever maps the same memory.
    [[nodiscard]] bool shares_frames() const noexcept {
        return shared_anonymous || (memory_file != 0 && !copies);
    }
};

using vma_map = std::map<gva, vma>;

/// The VMA that holds `address`; end() when there is none.
vma_map::iterator find_vma(vma_map& vmas, gva address);
vma_map::const_iterator find_vma(const vma_map& vmas, gva address);
/// Every page of [start, end) is in some VMA.
bool covered(const vma_map& vmas, gva start, gva end);
/// No page of [start, end) is in any VMA.
bool vacant(const vma_map& vmas, gva start, gva end);
/// Makes `at` a border if it lies inside a VMA.
void split_vma(vma_map& vmas, gva at);
/// Joins like neighbours among those that touch [start, end].
void merge_vmas(vma_map& vmas, gva start, gva end);
/// Where a new mapping below this VMA must end: a stack keeps a gap (man 2 mmap, MAP_GROWSDOWN).
gva guarded_start(const vma_map::value_type& v) noexcept;
/// The highest `length` bytes free in [floor, ceiling).
std::optional<gva> find_gap(const vma_map& vmas, std::uint64_t length, gva floor, gva ceiling);

}  // namespace hearth::guest::mm
