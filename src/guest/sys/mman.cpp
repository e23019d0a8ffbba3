#include "guest/sys/mman.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/task.hpp"
#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/mappable.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

namespace hearth::guest {
namespace {

using mm::address_space;
using vmm::page_size;

// Not in every libc's header.
constexpr int prot_sem = 0x8;
constexpr int map_uninitialized = 0x400'0000;
constexpr int map_32bit = 0x40;
constexpr int mlock_onfault = 1;

/// Flags of mmap that are understood, or that Linux itself ignores.
constexpr int known_map_flags = MAP_TYPE | MAP_FIXED | MAP_ANONYMOUS | map_32bit | MAP_GROWSDOWN |
                                MAP_DENYWRITE | MAP_EXECUTABLE | MAP_LOCKED | MAP_NORESERVE |
                                MAP_POPULATE | MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB |
                                MAP_FIXED_NOREPLACE | map_uninitialized;

mm::protection protection_of(int prot) noexcept {
    return {(prot & PROT_READ) != 0, (prot & PROT_WRITE) != 0, (prot & PROT_EXEC) != 0};
}
bool valid(int prot) noexcept {
    return (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC | prot_sem)) == 0;
}

/// Every page of the range is mapped; nothing here is ever swapped, so a lock holds already.
sysret locked(task& t, std::uint64_t address, std::uint64_t length) {
    const std::uint64_t start = address & ~(page_size - 1);
    const std::uint64_t lead = address - start;
    if (length > std::numeric_limits<std::uint64_t>::max() - lead - page_size)
        return sysret::error(EINVAL);
    return t.memory().sync(gva{start}, length + lead);
}

/// MADV_REMOVE: holes in the files that are mapped shared there, zeroes in memory that has none.
sysret remove(task& t, std::uint64_t address, std::uint64_t length) {
    if (address % page_size != 0 || length > mm::user_end.value) return sysret::error(EINVAL);
    const std::uint64_t bytes = (length + page_size - 1) & ~(page_size - 1);
    if (bytes == 0) return 0;
    if (address > mm::user_end.value - bytes) return sysret::error(ENOMEM);
    struct part {
        std::uint64_t file, offset, length;  // 0: none, and its address
    };
    std::vector<part> parts;
    auto& kernel = t.kernel();
    const auto& vmas = t.memory().state().vmas;
    const gva start{address}, end = start + bytes;
    gva at = start;
    int failure = 0;
    for (auto it = mm::find_vma(vmas, start); it != vmas.end() && at < end; ++it) {
        if (it->first > at) break;
        const mm::vma& v = it->second;
        const gva stop = std::min(v.end, end);
        if (v.shared_anonymous) {
            parts.push_back({0, at.value, stop - at});
            at = stop;
            continue;
        }
        if (v.memory_file == 0 || v.copies ||
            v.shared) {  // neither shared nor of a file, or not to be written
            failure = v.file ? EACCES : EINVAL;
            break;
        }
        parts.push_back({v.memory_file, v.file_offset + (at - it->first), stop - at});
        at = stop;
    }
    vfs::file_pages files(kernel.state(), kernel.memory());
    for (const part& p : parts) {
        if (p.file == 0) {
            t.memory().wipe(gva{p.offset}, gva{p.offset} + p.length);
            continue;
        }
        const auto punched = files.punch(static_cast<vfs::inode_id>(p.file), p.offset, p.length,
                                         kernel.host().realtime_now());
        if (!punched) return punched.error();
    }
    if (failure) return sysret::error(failure);
    return at < end ? sysret::error(ENOMEM) : sysret(0);
}

}  // namespace

sysret sys_mmap(task& t,
                std::uint64_t address,
                std::uint64_t length,
                int prot,
                int flags,
                int fd,
                std::uint64_t offset) {
    if ((flags & ~known_map_flags) != 0 || !valid(prot)) return sysret::error(EINVAL);
    if (offset % page_size != 0 || length == 0) return sysret::error(EINVAL);
    if ((flags & MAP_HUGETLB) != 0)
        return sysret::error(ENOMEM);  // the pool of huge pages is empty
    const int type = flags & MAP_TYPE;
    if (type != MAP_PRIVATE && type != MAP_SHARED && type != MAP_SHARED_VALIDATE)
        return sysret::error(EINVAL);

    address_space::map_request q;
    q.hint = gva{address};
    q.length = length;
    q.prot = protection_of(prot);
    q.fixed = (flags & MAP_FIXED) != 0;
    q.fixed_noreplace = (flags & MAP_FIXED_NOREPLACE) != 0;
    q.populate = (flags & (MAP_POPULATE | MAP_LOCKED)) != 0 && (flags & MAP_NONBLOCK) == 0;
    q.grows_down = (flags & MAP_GROWSDOWN) != 0;
    q.low_2gib = (flags & map_32bit) != 0;
    q.shared = type != MAP_PRIVATE;
    if ((flags & MAP_ANONYMOUS) == 0) {
        if (q.grows_down) return sysret::error(EINVAL);
        if (auto found = vfs::find_mappable(t, fd, q); !found) return found.error();
        q.file_offset = offset;
    }
    return t.memory().map(q);
}

sysret sys_mprotect(task& t, std::uint64_t address, std::uint64_t length, int prot) {
    constexpr int grows = PROT_GROWSDOWN | PROT_GROWSUP;
    const int direction = prot & grows;
    prot &= ~grows;
    if (!valid(prot) || direction == grows) return sysret::error(EINVAL);
    if (direction == PROT_GROWSUP)
        return sysret::error(EINVAL);  // there are no such mappings on x86
    if (direction == PROT_GROWSDOWN) {
        // The change extends down to the start of the stack (man 2 mprotect).
        const auto& vmas = t.memory().state().vmas;
        const auto area = mm::find_vma(vmas, gva{address});
        if (area == vmas.end()) return sysret::error(ENOMEM);
        if (!area->second.grows_down || address % page_size != 0) return sysret::error(EINVAL);
        if (length > mm::user_end.value) return sysret::error(ENOMEM);
        length += address - area->first.value;
        address = area->first.value;
    }
    return t.memory().protect(gva{address}, length, protection_of(prot));
}

sysret sys_pkey_mprotect(task& t, std::uint64_t address, std::uint64_t length, int prot, int key) {
    if (key != -1) return sysret::error(EINVAL);  // no protection keys were handed out
    return sys_mprotect(t, address, length, prot);
}

sysret sys_munmap(task& t, std::uint64_t address, std::uint64_t length) {
    return t.memory().unmap(gva{address}, length);
}

sysret sys_brk(task& t, std::uint64_t address) {
    return static_cast<std::int64_t>(t.memory().set_brk(gva{address}).value);
}

sysret sys_mremap(task& t,
                  std::uint64_t old_address,
                  std::uint64_t old_size,
                  std::uint64_t new_size,
                  int flags,
                  std::uint64_t new_address) {
    return t.memory().remap(gva{old_address}, old_size, new_size, flags, gva{new_address});
}

sysret sys_msync(task& t, std::uint64_t address, std::uint64_t length, int flags) {
    constexpr int both = MS_ASYNC | MS_SYNC;
    if ((flags & ~(both | MS_INVALIDATE)) != 0 || (flags & both) == both)
        return sysret::error(EINVAL);
    return t.memory().sync(gva{address}, length);
}

sysret sys_mincore(task& t,
                   std::uint64_t address,
                   std::uint64_t length,
                   guest_ptr<std::byte> pages) {
    if (address % page_size != 0) return sysret::error(EINVAL);
    if (length > mm::user_end.value || address > mm::user_end.value - length)
        return sysret::error(ENOMEM);
    // A few pages of answers at a time: a range may be as large as the address space.
    constexpr std::uint64_t step = 4096 * page_size;
    std::vector<std::byte> answers;
    for (std::uint64_t done = 0; done < length;) {
        const std::uint64_t part = std::min(length - done, step);
        answers.resize((part + page_size - 1) / page_size);
        if (auto r = t.memory().residency(gva{address + done}, part, answers); !r) return r.error();
        if (auto r = t.memory().write(pages.address + done / page_size, answers); !r)
            return r.error();
        done += part;
    }
    return 0;
}

sysret sys_madvise(task& t, std::uint64_t address, std::uint64_t length, int advice) {
    if (advice == MADV_REMOVE) return remove(t, address, length);
    return t.memory().advise(gva{address}, length, advice);
}

sysret sys_mlock(task& t, std::uint64_t address, std::uint64_t length) {
    return locked(t, address, length);
}

sysret sys_mlock2(task& t, std::uint64_t address, std::uint64_t length, int flags) {
    if ((flags & ~mlock_onfault) != 0) return sysret::error(EINVAL);
    return locked(t, address, length);
}

sysret sys_munlock(task& t, std::uint64_t address, std::uint64_t length) {
    return locked(t, address, length);
}

sysret sys_mlockall(task&, int flags) {
    constexpr int known = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT;
    if (flags == 0 || (flags & ~known) != 0 || flags == MCL_ONFAULT) return sysret::error(EINVAL);
    return 0;
}

sysret sys_munlockall(task&) { return 0; }

}  // namespace hearth::guest
