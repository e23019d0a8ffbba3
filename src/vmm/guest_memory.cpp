#include "vmm/guest_memory.hpp"

#include "base/all_zero.hpp"
#include "base/assert.hpp"
#include "base/system_error.hpp"
#include "base/try.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string>

namespace hearth::vmm {
namespace {

// Huge mappings need host and guest address aligned alike (FACTS 4.1).
constexpr std::uint64_t huge_page_size = 2u << 20;

// Newer than some libc headers; the values are <linux/mman.h>'s and never change.
constexpr int madv_populate_write = 23;   // Linux 5.14
constexpr int madv_dontneed_locked = 24;  // Linux 5.18

constexpr bool page_multiple(std::uint64_t n) noexcept { return n % page_size == 0; }

struct host_range {
    std::byte* where;  ///< null: nothing, or not inside
    std::size_t bytes;
};
/// The pages that hold [address, address+length); the kernel rounds the end up.
host_range whole_pages(const guest_memory& memory, gpa address, std::uint64_t length) noexcept {
    if (length == 0 || !memory.at(address, length)) return {nullptr, 0};
    const std::uint64_t before = address.offset_in_page();
    return {memory.at(address.page(), length + before), length + before};
}

}  // namespace

result<guest_memory> guest_memory::create(byte_count size) {
    const std::uint64_t bytes = size.bytes();
    if (bytes == 0 || !page_multiple(bytes))
        return error(errc::invalid_argument, "guest memory of " + std::to_string(bytes) +
                                                 " bytes: it must be a positive multiple of 4096");
    if (bytes > std::numeric_limits<std::uint64_t>::max() - huge_page_size)
        return error(errc::no_room, "guest memory larger than the address space");

    const std::uint64_t reserved = bytes + huge_page_size;
    void* whole =
        ::mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (whole == MAP_FAILED)
        return system_failure(errc::no_room,
                              "reserving " + std::to_string(bytes) + " bytes of address space");

    guest_memory memory;
    memory.reservation_ = mapping(whole, reserved);
    const auto start = reinterpret_cast<std::uintptr_t>(whole);
    const auto aligned = (start + huge_page_size - 1) & ~(huge_page_size - 1);
    memory.base_ = static_cast<std::byte*>(whole) + (aligned - start);
    memory.size_ = bytes;
    if (auto mapped = memory.unmap_file(gpa{0}, bytes); mapped.has_error()) return mapped.error();
    // Where Linux (seen on 6.18) cuts a host mapping in two, as drop_translations makes it do, it
    // first splits the huge page that might lie there, and KVM hears that 2 MiB are gone. Not so in
    // 2 MiB that are not wholly inside one mapping: with its first page a mapping of its own, the
    // lowest, where small programs are, keep what is not meant. Best effort.
    ::madvise(memory.base_, page_size, MADV_DONTDUMP);
    return memory;
}

result<void> guest_memory::map_file(gpa address,
                                    std::uint64_t length,
                                    int fd,
                                    std::uint64_t offset) {
    std::byte* where = at(address, length);
    if (!where || length == 0 || !page_multiple(address.value | length | offset) ||
        offset > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max()) - length)
        return error(errc::invalid_argument,
                     "a file may be mapped only at whole pages of guest memory");
    if (::mmap(where, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
               static_cast<off_t>(offset)) == MAP_FAILED) {
        auto failure = system_failure(errc::io_failed, "mapping a file into guest memory");
        // A failed MAP_FIXED may have removed what was there: leave no hole in the memory slot.
        (void)unmap_file(address, length);
        return failure;
    }
    ::madvise(where, length, MADV_DONTFORK);
    leave_snapshot(address.value, address.value + length);
    return {};
}

void guest_memory::leave_snapshot(std::uint64_t start, std::uint64_t end) {
    std::vector<range> left;
    for (const range& r : snapshot_ranges_) {
        if (r.start < start) left.push_back({r.start, std::min(r.end, start)});
        if (r.end > end) left.push_back({std::max(r.start, end), r.end});
    }
    snapshot_ranges_ = std::move(left);
}

result<void> guest_memory::unmap_file(gpa address, std::uint64_t length) {
    std::byte* where = at(address, length);
    if (!where || length == 0 || !page_multiple(address.value | length))
        return error(errc::invalid_argument, "only whole pages of guest memory may be unmapped");
    if (::mmap(where, length, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        return system_failure(errc::no_room,
                              "mapping " + std::to_string(length) + " bytes of guest memory");
    // A child of the embedder has no use for guests, and fork would copy their page tables.
    ::madvise(where, length, MADV_DONTFORK);
    leave_snapshot(address.value, address.value + length);
    return {};
}

result<void> guest_memory::map_snapshot(gpa address, std::uint64_t length, int memfd) {
    HEARTH_CHECK(map_file(address, length, memfd, address.value));
    snapshot_ranges_.push_back({address.value, address.value + length});
    return {};
}

result<void> guest_memory::make_blank(gpa start) {
    const std::uint64_t from = start.page_up().value;
    if (from >= size_) return error(errc::invalid_argument, "nothing of guest memory lies there");
    return unmap_file(gpa{from}, size_ - from);
}

void guest_memory::discard(gpa address, std::uint64_t length) noexcept {
    const auto [where, bytes] = whole_pages(*this, address, length);
    if (!where) return;
    if (::madvise(where, bytes, MADV_DONTNEED) != 0) {
        // EINVAL: the embedder uses mlockall(2). Old contents must not be seen again, so failure is
        // no option.
        HEARTH_ASSERT(::madvise(where, bytes, madv_dontneed_locked) == 0);
    }
    const auto first = static_cast<std::uint64_t>(where - base_);
    for (const range& r : snapshot_ranges_) {
        const std::uint64_t end = std::min(r.end, first + bytes);
        for (std::uint64_t at = std::max(r.start, first); at < end; at += page_size)
            if (!all_zero({base_ + at, page_size})) std::memset(base_ + at, 0, page_size);
    }
}

void guest_memory::drop_translations(gpa address, std::uint64_t length) noexcept {
    const auto [where, bytes] = whole_pages(*this, address, length);
    if (!where) return;
    // PROT_READ fires the MMU notifier; PROT_WRITE again merges the VMAs back into one.
    if (::mprotect(where, bytes, PROT_READ) == 0 &&
        ::mprotect(where, bytes, PROT_READ | PROT_WRITE) == 0)
        return;
    // ENOMEM: a split would pass vm.max_map_count. The whole region splits nothing.
    HEARTH_ASSERT(::mprotect(base_, size_, PROT_READ) == 0);
    HEARTH_ASSERT(::mprotect(base_, size_, PROT_READ | PROT_WRITE) == 0);
}

void guest_memory::populate(gpa address, std::uint64_t length) noexcept {
    const auto [where, bytes] = whole_pages(*this, address, length);
    if (where) ::madvise(where, bytes, madv_populate_write);
}

}  // namespace hearth::vmm
