#include "guest/sys/futex.hpp"

#include "guest/abi/process.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/sys/time.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace hearth::guest {
namespace {

constexpr std::uint64_t robust_head_size = 24;
constexpr std::uint32_t futex_waiters = 0x8000'0000, futex_owner_died = 0x4000'0000,
                        futex_tid_mask = 0x3fff'ffff;
constexpr int most_robust_locks = 2048;  // ROBUST_LIST_LIMIT

bool same_word(const futex_wait& a, const futex_wait& b) noexcept {
    return a.space == b.space && a.address == b.address && a.file == b.file;
}

/// Those that wait on a word, first come first.
std::vector<futex_wait*> waiters_of(kernel_state& state, const futex_wait& word) {
    std::vector<futex_wait*> found;
    for (auto& [tid, ts] : state.tasks) {
        auto* waiting = std::get_if<task_waiting>(&ts.run);
        if (!waiting || !waiting->wait.futex) continue;
        auto& f = *waiting->wait.futex;
        if (!f.woken && same_word(f, word) && (f.bits & word.bits)) found.push_back(&f);
    }
    std::ranges::sort(found, {}, &futex_wait::ticket);
    return found;
}

/// FUTEX_WAIT and FUTEX_WAIT_BITSET: the first counts its timeout from now, the second names an
/// instant.
sysret wait(task& t,
            guest_ptr<std::uint32_t> word,
            std::uint32_t value,
            std::uint32_t bits,
            guest_ptr<const abi::timespec> timeout,
            bool absolute,
            bool realtime) {
    auto& host = t.kernel().host();
    if (t.wait()) {
        if (t.wait()->futex && t.wait()->futex->woken) return 0;
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
    }
    const auto current = t.read(word);
    if (!current) return current.error();
    if (*current != value) return sysret::error(EAGAIN);
    if (wait.deadline && host.monotonic_now() >= *wait.deadline) return sysret::error(ETIMEDOUT);
    wait.futex = futex_at(t, word.address);
    wait.futex->bits = bits;
    wait.futex->ticket = ++t.kernel().state().futex_tickets;
    return sysret::park(std::move(wait));
}

sysret wake(task& t, gva word, std::uint32_t count, std::uint32_t bits) {
    if (!t.memory().accessible(word, 4, false)) return sysret::error(EFAULT);
    auto key = futex_at(t, word);
    key.bits = bits;
    return t.kernel().wake(key, count);
}

/// Wakes some waiters of one word and makes others wait on another.
sysret requeue(task& t, gva from, std::uint32_t wakes, gva to, std::uint32_t moves) {
    const auto source = futex_at(t, from), target = futex_at(t, to);
    const auto woken = t.kernel().wake(source, wakes);
    std::int64_t moved = 0;
    for (auto* f : waiters_of(t.kernel().state(), source)) {
        if (moved >= moves) break;
        f->space = target.space;
        f->address = target.address;
        f->file = target.file;
        ++moved;
    }
    return woken + moved;
}

/// FUTEX_WAKE_OP: its code is OP << 28 | CMP << 24 | OPARG << 12 | CMPARG (man 2 futex).
sysret wake_op(task& t,
               gva first,
               std::uint32_t wakes,
               guest_ptr<std::uint32_t> second,
               std::uint32_t wakes_second,
               std::uint32_t code) {
    const auto extend = [](std::uint32_t v) {
        return static_cast<std::uint32_t>(static_cast<std::int32_t>(v << 20) >> 20);
    };
    std::uint32_t operand = extend(code >> 12 & 0xfff);
    const std::uint32_t compared = extend(code & 0xfff);
    if (code >> 31) operand = 1u << (operand & 31);  // FUTEX_OP_ARG_SHIFT
    const auto old = t.read(second);
    if (!old) return old.error();
    std::uint32_t now = 0;
    switch (code >> 28 & 7) {
        case 0: now = operand; break;
        case 1: now = *old + operand; break;
        case 2: now = *old | operand; break;
        case 3: now = *old & ~operand; break;
        case 4: now = *old ^ operand; break;
        default: return sysret::error(ENOSYS);
    }
    const auto a = static_cast<std::int32_t>(*old), b = static_cast<std::int32_t>(compared);
    bool also = false;
    switch (code >> 24 & 15) {
        case 0: also = a == b; break;
        case 1: also = a != b; break;
        case 2: also = a < b; break;
        case 3: also = a <= b; break;
        case 4: also = a > b; break;
        case 5: also = a >= b; break;
        default: return sysret::error(ENOSYS);
    }
    if (!t.memory().accessible(first, 4, false)) return sysret::error(EFAULT);
    if (auto r = t.write(second, now); !r) return r.error();
    auto woken = t.kernel().wake(futex_at(t, first), wakes);
    if (also) woken += t.kernel().wake(futex_at(t, second.address), wakes_second);
    return woken;
}

}  // namespace

std::int64_t kernel::wake(const futex_wait& word, std::uint32_t count) {
    std::int64_t woken = 0;
    for (auto* f : waiters_of(state_, word)) {
        if (woken >= count) break;
        f->woken = true;
        ++woken;
    }
    if (woken) contend();
    return woken;
}

futex_wait futex_at(task& t, gva address) {
    const auto& p = t.process();
    if (const auto place = t.memory().shared_place_of(address))
        return {.address = place->address, .file = place->file};
    return {.space = p.memory_of ? p.memory_of : p.id, .address = address.value};
}

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
    // Those with two words take a count in the place of the timeout.
    const auto second_count = static_cast<std::uint32_t>(timeout.address.value);
    const auto counts_valid = [&] {
        return static_cast<std::int32_t>(value) >= 0 &&
               static_cast<std::int32_t>(second_count) >= 0 && aligned(second_word.address);
    };
    switch (command) {
        case abi::futex_wait:
            return wait(t, word, value, ~0u, timeout, false, false);
        case abi::futex_wait_bitset:
            if (value3 == 0) return sysret::error(EINVAL);
            return wait(t, word, value, value3, timeout, true, realtime);
        case abi::futex_wake_bitset:
            if (value3 == 0) return sysret::error(EINVAL);
            return wake(t, word.address, value, value3);
        case abi::futex_wake:
            return wake(t, word.address, value, ~0u);
        case abi::futex_wake_op:
            if (!aligned(second_word.address)) return sysret::error(EINVAL);
            return wake_op(t, word.address, value, second_word, second_count, value3);
        case abi::futex_cmp_requeue: {
            if (!counts_valid()) return sysret::error(EINVAL);
            const auto current = t.read(word);
            if (!current) return current.error();
            if (*current != value3) return sysret::error(EAGAIN);
            return requeue(t, word.address, value, second_word.address, second_count);
        }
        case abi::futex_requeue:
            if (!counts_valid()) return sysret::error(EINVAL);
            return requeue(t, word.address, value, second_word.address, second_count);
        default:
            return sysret::error(ENOSYS);  // priority inheritance
    }
}

void walk_robust_list(task& t) {
    const std::uint64_t head = std::exchange(t.state().robust_list, 0);
    if (head == 0) return;
    struct {
        std::uint64_t next, offset, pending;
    } list{};
    if (!t.memory().read(gva{head}, std::as_writable_bytes(std::span(&list, 1)))) return;
    const auto owner = static_cast<std::uint32_t>(t.state().tid);
    const auto died = [&](std::uint64_t entry, bool pending) {
        const guest_ptr<std::uint32_t> word{gva{(entry & ~std::uint64_t{1}) + list.offset}};
        const auto value = t.read(word);
        if (!value) return;
        // It ended between giving the lock back and waking who waits for it, or was woken itself
        // and ended before it took the lock: the next in line is not to wait for ever.
        if (pending && (*value & futex_tid_mask) == 0) {
            t.kernel().wake(futex_at(t, word.address), 1);
            return;
        }
        if ((*value & futex_tid_mask) != owner) return;
        if (!t.write(word, (*value & futex_waiters) | futex_owner_died)) return;
        if (*value & futex_waiters) t.kernel().wake(futex_at(t, word.address), 1);
    };
    std::uint64_t entry = list.next;
    for (int i = 0; i < most_robust_locks && entry != head && entry != 0; ++i) {
        const auto next = t.read(guest_ptr<std::uint64_t>{gva{entry & ~std::uint64_t{1}}});
        if (entry != list.pending) died(entry, false);
        if (!next) return;
        entry = *next;
    }
    if (list.pending) died(list.pending, true);
}

void clear_child_tid(task& t) {
    const gva at{std::exchange(t.state().clear_child_tid, 0)};
    if (at.value == 0) return;
    if (t.write(guest_ptr<std::int32_t>{at}, 0)) t.kernel().wake(futex_at(t, at), 1);
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
