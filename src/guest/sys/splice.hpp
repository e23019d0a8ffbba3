#pragma once

/// Moving bytes by way of a pipe: man 2 splice, tee. They are copied, not moved.

#include "guest/guest_ptr.hpp"
#include "guest/kernel/sysret.hpp"
#include "guest/kernel/task.hpp"

#include <cstdint>

namespace hearth::guest {

sysret sys_splice(task& t,
                  int in_fd,
                  guest_ptr<std::int64_t> in_offset,
                  int out_fd,
                  guest_ptr<std::int64_t> out_offset,
                  std::uint64_t count,
                  unsigned flags);
sysret sys_tee(task& t, int in_fd, int out_fd, std::uint64_t count, unsigned flags);

}  // namespace hearth::guest
