#pragma once

/// kcmp(2): whether two processes, or threads, share something.

#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_kcmp(task& t, int first, int second, int type, std::uint64_t a, std::uint64_t b);

}  // namespace hearth::guest
