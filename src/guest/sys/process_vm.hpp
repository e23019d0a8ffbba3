#pragma once

/// Memory of other processes: man 2 process_vm_readv.

#include "guest/abi/file.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_process_vm_readv(task&,
                            int process,
                            guest_ptr<const abi::iovec> local,
                            std::uint64_t local_count,
                            guest_ptr<const abi::iovec> remote,
                            std::uint64_t remote_count,
                            std::uint64_t flags);
sysret sys_process_vm_writev(task&,
                             int process,
                             guest_ptr<const abi::iovec> local,
                             std::uint64_t local_count,
                             guest_ptr<const abi::iovec> remote,
                             std::uint64_t remote_count,
                             std::uint64_t flags);

/// ptrace(2): nobody is traced. EPERM for who would begin it, ESRCH for the rest.
sysret sys_ptrace(task&, std::int64_t request, int process);

}  // namespace hearth::guest
