#pragma once

/// System calls on the address space: decoding here, meaning in guest/mm.

#include "guest/guest_ptr.hpp"
#include "guest/kernel/sysret.hpp"

#include <cstddef>
#include <cstdint>

namespace hearth::guest {

class task;

sysret sys_mmap(task& t,
                std::uint64_t address,
                std::uint64_t length,
                int prot,
                int flags,
                int fd,
                std::uint64_t offset);
sysret sys_mprotect(task& t, std::uint64_t address, std::uint64_t length, int prot);
sysret sys_pkey_mprotect(task& t, std::uint64_t address, std::uint64_t length, int prot, int key);
sysret sys_munmap(task& t, std::uint64_t address, std::uint64_t length);
sysret sys_brk(task& t, std::uint64_t address);
sysret sys_mremap(task& t,
                  std::uint64_t old_address,
                  std::uint64_t old_size,
                  std::uint64_t new_size,
                  int flags,
                  std::uint64_t new_address);
sysret sys_msync(task& t, std::uint64_t address, std::uint64_t length, int flags);
sysret sys_mincore(task& t,
                   std::uint64_t address,
                   std::uint64_t length,
                   guest_ptr<std::byte> pages);
sysret sys_madvise(task& t, std::uint64_t address, std::uint64_t length, int advice);
sysret sys_mlock(task& t, std::uint64_t address, std::uint64_t length);
sysret sys_mlock2(task& t, std::uint64_t address, std::uint64_t length, int flags);
sysret sys_munlock(task& t, std::uint64_t address, std::uint64_t length);
sysret sys_mlockall(task& t, int flags);
sysret sys_munlockall(task& t);

}  // namespace hearth::guest
