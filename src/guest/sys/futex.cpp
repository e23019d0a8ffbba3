#include "guest/sys/futex.hpp"

#include "guest/abi/process.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/sys/time.hpp"

#include <algorithm>

namespace hearth::guest {
namespace {

constexpr std::uint64_t robust_head_size = 24;

/// FUTEX_WAIT and FUTEX_WAIT_BITSET: the first counts its timeout from now, the second names an
/// instant.
sysret wait(task& t,
            guest_ptr<std::uint32_t> word,
            std::uint32_t value,
            guest_ptr<const abi::timespec> timeout,
            bool absolute,
            bool realtime) {
    auto& host = t.kernel().host();
    if (t.wait()) {
        if (t.wait()->deadline && host.monotonic_now() >= *t.wait()->deadline)
            return sysret::error(ETIMEDOUT);
        return sysret::park(*t.wait());
    }
    wait_state wait;
    if (timeout) {
        const auto read = t.read(timeout);
        if (!read) return read.error();
        const auto length = to_duration(*read);
        if (!length) return length.error();
        const auto now = host.monotonic_now();
        if (!absolute)
            wait.deadline = deadline_after(now, *length);
        else if (!realtime)
            wait.deadline = *length;
        else
            wait.deadline = deadline_after(
                now, std::max(std::chrono::nanoseconds{0}, *length - host.realtime_now()));
    } else {
        wait.signal_only = true;  // no other task could wake it
    }
    const auto current = t.read(word);
    if (!current) return current.error();
    if (*current != value) return sysret::error(EAGAIN);
    if (wait.deadline && host.monotonic_now() >= *wait.deadline) return sysret::error(ETIMEDOUT);
    return sysret::park(std::move(wait));
}

}  // namespace

sysret sys_futex(task& t,
                 guest_ptr<std::uint32_t> word,
                 int operation,
                 std::uint32_t value,
                 guest_ptr<const abi::timespec> timeout,
                 guest_ptr<std::uint32_t> second_word,
                 std::uint32_t value3) {
    const bool realtime = operation & abi::futex_clock_realtime;
    const int command = operation & ~(abi::futex_private_flag | abi::futex_clock_realtime);
    if (realtime && command != abi::futex_wait && command != abi::futex_wait_bitset)
        return sysret::error(ENOSYS);
    const auto aligned = [](gva at) { return at.value % sizeof(std::uint32_t) == 0; };
    if (!aligned(word.address)) return sysret::error(EINVAL);
    switch (command) {
        case abi::futex_wait:
            return wait(t, word, value, timeout, false, false);
        case abi::futex_wait_bitset:
            if (value3 == 0) return sysret::error(EINVAL);
            return wait(t, word, value, timeout, true, realtime);
        case abi::futex_wake_bitset:
            if (value3 == 0) return sysret::error(EINVAL);
            [[fallthrough]];
        case abi::futex_wake:
            return t.memory().accessible(word.address, 4, false) ? sysret(0)
                                                                 : sysret::error(EFAULT);
        case abi::futex_cmp_requeue: {
            if (static_cast<std::int32_t>(value) < 0 || !aligned(second_word.address))
                return sysret::error(EINVAL);
            const auto current = t.read(word);
            if (!current) return current.error();
            return *current == value3 ? sysret(0) : sysret::error(EAGAIN);
        }
        case abi::futex_requeue:
            if (static_cast<std::int32_t>(value) < 0 || !aligned(second_word.address))
                return sysret::error(EINVAL);
            return 0;
        default:
            return sysret::error(ENOSYS);  // FUTEX_WAKE_OP and priority inheritance
    }
}

sysret sys_set_robust_list(task& t, guest_ptr<void> head, std::uint64_t length) {
    if (length != robust_head_size) return sysret::error(EINVAL);
    t.state().robust_list = head.address.value;
    return 0;
}

sysret sys_get_robust_list(task& t,
                           int thread,
                           guest_ptr<std::uint64_t> head,
                           guest_ptr<std::uint64_t> length) {
    const auto& tasks = t.kernel().state().tasks;
    const auto it = thread == 0 ? tasks.find(t.state().tid) : tasks.find(thread);
    if (it == tasks.end()) return sysret::error(ESRCH);
    if (auto r = t.write(length, robust_head_size); !r) return r.error();
    return t.write(head, it->second.robust_list);
}

}  // namespace hearth::guest
