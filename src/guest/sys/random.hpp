#pragma once

#include "guest/kernel/task.hpp"

namespace hearth::guest {

/// man 2 getrandom.
sysret sys_getrandom(task&, guest_ptr<void> out, std::uint64_t length, std::uint32_t flags);

}  // namespace hearth::guest
