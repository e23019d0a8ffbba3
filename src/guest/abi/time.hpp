#pragma once

/// Time as guest programs see it: layouts and clock numbers (man 2 clock_gettime). Depends on
/// nothing.

#include <cstdint>

namespace hearth::guest::abi {

struct timespec {
    std::int64_t seconds, nanoseconds;
};
struct timeval {
    std::int64_t seconds, microseconds;
};
struct timezone {
    std::int32_t minutes_west, dst;
};
struct itimerval {
    timeval interval, value;
};
struct itimerspec {
    timespec interval, value;
};
/// struct sigevent, 64 bytes.
struct sigevent {
    std::uint64_t value;
    std::int32_t signal, notify, thread;
    std::int32_t padding[11];
};
static_assert(sizeof(sigevent) == 64);

/// struct timex, 208 bytes.
struct timex {
    std::uint32_t modes, padding;
    std::int64_t offset, frequency, max_error, estimated_error;
    std::int32_t status, padding2;
    std::int64_t constant, precision, tolerance;
    timeval time;
    std::int64_t tick;
    std::int64_t pps[8];
    std::int32_t tai, reserved[11];
};
static_assert(sizeof(timex) == 208);

inline constexpr int clock_realtime = 0, clock_monotonic = 1, clock_process_cputime = 2,
                     clock_thread_cputime = 3, clock_monotonic_raw = 4, clock_realtime_coarse = 5,
                     clock_monotonic_coarse = 6, clock_boottime = 7, clock_realtime_alarm = 8,
                     clock_boottime_alarm = 9, clock_tai = 11;
inline constexpr int timer_abstime = 1;
inline constexpr int itimer_real = 0, itimer_virtual = 1, itimer_prof = 2;
inline constexpr int sigev_signal = 0, sigev_none = 1, sigev_thread_id = 4;
/// USER_HZ: what times(2) counts in.
inline constexpr std::int64_t ticks_per_second = 100;

struct tms {
    std::int64_t user, system, children_user, children_system;
};

}  // namespace hearth::guest::abi
