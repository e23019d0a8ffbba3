#pragma once

/// Futexes: man 2 futex, set_robust_list, get_robust_list. One task so far: nobody else can wake a
/// waiter.

#include "guest/abi/time.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

sysret sys_futex(task&,
                 guest_ptr<std::uint32_t> word,
                 int operation,
                 std::uint32_t value,
                 guest_ptr<const abi::timespec> timeout,
                 guest_ptr<std::uint32_t> second_word,
                 std::uint32_t value3);
sysret sys_set_robust_list(task&, guest_ptr<void> head, std::uint64_t length);
sysret sys_get_robust_list(task&,
                           int thread,
                           guest_ptr<std::uint64_t> head,
                           guest_ptr<std::uint64_t> length);

}  // namespace hearth::guest
