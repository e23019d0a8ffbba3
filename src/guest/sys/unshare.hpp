#pragma once

/// unshare(2): what a thread shared is its own from now on.

#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_unshare(task& t, std::uint64_t flags);

}  // namespace hearth::guest
