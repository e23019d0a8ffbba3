#pragma once

/// man 2 execve, execveat.

#include "guest/guest_ptr.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_execve(task&,
                  guest_ptr<const char> path,
                  guest_ptr<const std::uint64_t> arguments,
                  guest_ptr<const std::uint64_t> environment);
sysret sys_execveat(task&,
                    int directory,
                    guest_ptr<const char> path,
                    guest_ptr<const std::uint64_t> arguments,
                    guest_ptr<const std::uint64_t> environment,
                    int flags);

}  // namespace hearth::guest
