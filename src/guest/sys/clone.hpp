#pragma once

/// New tasks: man 2 clone, clone3, fork, vfork.

#include "guest/guest_ptr.hpp"
#include "guest/kernel/task.hpp"

#include <cstdint>

namespace hearth::guest {

/// Tasks a guest may have: Lambda's quota of processes and threads.
inline constexpr std::size_t max_tasks = 1024;

sysret sys_clone(task&,
                 std::uint64_t flags,
                 std::uint64_t stack,
                 guest_ptr<std::int32_t> parent_tid,
                 guest_ptr<std::int32_t> child_tid,
                 std::uint64_t tls);
sysret sys_clone3(task&, guest_ptr<const void> arguments, std::uint64_t size);
sysret sys_fork(task&);
sysret sys_vfork(task&);

}  // namespace hearth::guest
