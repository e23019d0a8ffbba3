#include "guest/sys/timerfd.hpp"

#include "guest/kernel/signals.hpp"
#include "guest/sys/files.hpp"
#include "guest/sys/time.hpp"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <cerrno>

namespace hearth::guest {
namespace {

using std::chrono::nanoseconds;

static_assert(sizeof(::signalfd_siginfo) == 128);

outcome<vfs::timer_descriptor*> find_descriptor(task& t, int fd) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    auto* timer = std::get_if<vfs::timer_descriptor>(&o->description->body);
    if (!timer) return os_error{EINVAL};
    return timer;
}

abi::itimerspec left_on(task& t, const vfs::timer_descriptor& timer) {
    const nanoseconds now = t.kernel().host().monotonic_now();
    if (!timer.deadline) return {to_timespec(timer.interval), {}};
    // A periodic timer shows the time to its next expiration, unread ones aside.
    nanoseconds next = *timer.deadline;
    if (next <= now && timer.interval.count() > 0)
        next += timer.interval * static_cast<std::int64_t>(timer.due(now));
    const nanoseconds least{next > now || timer.interval.count() > 0 ? 1 : 0};
    return {to_timespec(timer.interval), to_timespec(std::max(least, next - now))};
}

::signalfd_siginfo to_signalfd(const signal_info& info) {
    ::signalfd_siginfo out{};
    out.ssi_signo = static_cast<std::uint32_t>(info.number);
    out.ssi_errno = info.error;
    out.ssi_code = info.code;
    out.ssi_pid = static_cast<std::uint32_t>(info.sender_pid);
    out.ssi_uid = info.sender_uid;
    if (info.code == abi::si_timer) {
        out.ssi_tid = static_cast<std::uint32_t>(info.timer);
        out.ssi_overrun = static_cast<std::uint32_t>(info.overrun);
        out.ssi_int = static_cast<std::int32_t>(info.address);
        out.ssi_ptr = info.address;
    } else if (info.number == abi::sigchld && info.code > 0) {
        out.ssi_status = static_cast<std::int32_t>(info.address);
    } else if (info.code == abi::si_queue) {
        out.ssi_int = static_cast<std::int32_t>(info.address);
        out.ssi_ptr = info.address;
    } else if (info.number == abi::sigio || info.number >= abi::first_realtime_signal) {
        if (info.code > 0) out.ssi_band = static_cast<std::uint32_t>(info.address);
        if (info.code > 0) out.ssi_fd = info.timer;
    }
    return out;
}

}  // namespace

sysret sys_timerfd_create(task& t, int clock, int flags) {
    if (flags & ~(TFD_CLOEXEC | TFD_NONBLOCK)) return sysret::error(EINVAL);
    switch (clock) {
        case abi::clock_realtime:
        case abi::clock_monotonic:
        case abi::clock_boottime:
        case abi::clock_realtime_alarm:
        case abi::clock_boottime_alarm:
            break;
        default:
            return sysret::error(EINVAL);
    }
    vfs::description d;
    d.flags = static_cast<std::uint32_t>(O_RDWR | (flags & TFD_NONBLOCK));
    d.path = "anon_inode:[timerfd]";
    vfs::timer_descriptor timer;
    timer.clock = clock;
    d.body = timer;
    return files::install(t, files::state_of(t).add(std::move(d)), flags & TFD_CLOEXEC);
}

sysret sys_timerfd_settime(task& t,
                           int fd,
                           int flags,
                           guest_ptr<const abi::itimerspec> in,
                           guest_ptr<abi::itimerspec> old) {
    if (flags & ~(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET)) return sysret::error(EINVAL);
    const auto value = t.read(in);
    if (!value) return value.error();
    const auto length = to_duration(value->value), interval = to_duration(value->interval);
    if (!length || !interval) return sysret::error(EINVAL);
    auto timer = find_descriptor(t, fd);
    if (!timer) return timer.error();
    const abi::itimerspec before = left_on(t, **timer);
    // The clock is never set from inside, so nothing cancels a timer.
    (*timer)->expired += (*timer)->due(t.kernel().host().monotonic_now());
    (*timer)->deadline.reset();
    (*timer)->interval = *interval;
    if (length->count())
        (*timer)->deadline = flags & TFD_TIMER_ABSTIME
                                 ? monotonic_at(t, (*timer)->clock, *length)
                                 : deadline_after(t.kernel().host().monotonic_now(), *length);
    return old ? sysret(t.write(old, before)) : sysret(0);
}

sysret sys_timerfd_gettime(task& t, int fd, guest_ptr<abi::itimerspec> out) {
    auto timer = find_descriptor(t, fd);
    if (!timer) return timer.error();
    return t.write(out, left_on(t, **timer));
}

sysret sys_signalfd4(
    task& t, int fd, guest_ptr<const std::uint64_t> mask, std::uint64_t size, int flags) {
    if (size != sizeof(signal_set) || (flags & ~(SFD_CLOEXEC | SFD_NONBLOCK)))
        return sysret::error(EINVAL);
    const auto set = t.read(mask);
    if (!set) return set.error();
    const signal_set wanted = *set & ~signals::unblockable;
    if (fd != -1) {
        auto o = files::find(t, fd);
        if (!o) return o.error();
        auto* known = std::get_if<vfs::signal_descriptor>(&o->description->body);
        if (!known) return sysret::error(EINVAL);
        known->mask = wanted;
        return fd;
    }
    vfs::description d;
    d.flags = static_cast<std::uint32_t>(O_RDWR | (flags & SFD_NONBLOCK));
    d.path = "anon_inode:[signalfd]";
    d.body = vfs::signal_descriptor{wanted};
    return files::install(t, files::state_of(t).add(std::move(d)), flags & SFD_CLOEXEC);
}
sysret sys_signalfd(task& t, int fd, guest_ptr<const std::uint64_t> mask, std::uint64_t size) {
    return sys_signalfd4(t, fd, mask, size, 0);
}

outcome<std::size_t> read_signals(task& t, signal_set mask, vfs::user_buffers& to) {
    constexpr std::size_t one = sizeof(::signalfd_siginfo);
    if (to.size() < one) return os_error{EINVAL};
    std::size_t done = 0;
    while (to.size() >= one) {
        const signal_info* next = signals::peek(t.state(), t.process(), mask);
        if (!next) break;
        const ::signalfd_siginfo info = to_signalfd(*next);
        auto n = to.put(std::as_bytes(std::span(&info, 1)));
        if (!n || *n < one) {
            if (done) break;
            return os_error{EFAULT};
        }
        signals::take(t.state(), t.process(), mask);
        done += one;
    }
    if (done == 0) return os_error{EAGAIN};
    return done;
}

}  // namespace hearth::guest
