#pragma once

/// Futexes: man 2 futex, set_robust_list, get_robust_list. All tasks share one vCPU, so what the host
/// does to a word between two instructions of a guest is atomic.

#include "guest/abi/time.hpp"
#include "guest/kernel/task.hpp"

namespace hearth::guest {

/// The futex at an address of the task's memory, for waiting on it or waking its waiters.
futex_wait futex_at(task&, gva address);
/// The words of the robust locks a thread holds when it ends: their owner has died.
void walk_robust_list(task&);
/// The word that tells others that a thread has left this memory (man 2 set_tid_address).
void clear_child_tid(task&);

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
