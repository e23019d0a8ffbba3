#pragma once

/// The native path's system call: reply and next event in one exit (include/hearth/guest.h).

#define HEARTH_GUEST_ABI_ONLY
#include "guest/kernel/task.hpp"
#include "guest/sys/table.hpp"

#include <hearth/guest.h>
#undef HEARTH_GUEST_ABI_ONLY

namespace hearth::guest {

sysret sys_hearth_exchange(task&, guest_ptr<hearth_exchange> exchange);

/// Its row: its number is far above the table's.
const syscall_row& exchange_row() noexcept;

}  // namespace hearth::guest
