#pragma once

/// Layouts and constants of process and system calls on x86-64. Depends on nothing but
/// abi/time.hpp.

#include "guest/abi/time.hpp"

#include <cstddef>
#include <cstdint>

namespace hearth::guest::abi {

struct rlimit64 {
    std::uint64_t soft, hard;
};
inline constexpr std::uint64_t rlim_infinity = ~0ull;
inline constexpr int rlimit_cpu = 0, rlimit_fsize = 1, rlimit_data = 2, rlimit_stack = 3,
                     rlimit_core = 4, rlimit_rss = 5, rlimit_nproc = 6, rlimit_nofile = 7,
                     rlimit_memlock = 8, rlimit_as = 9, rlimit_locks = 10, rlimit_sigpending = 11,
                     rlimit_msgqueue = 12, rlimit_nice = 13, rlimit_rtprio = 14, rlimit_rttime = 15,
                     rlimit_count = 16;

struct rusage {
    timeval user, system;
    std::int64_t max_resident_kib, shared, unshared_data, unshared_stack, minor_faults,
        major_faults, swaps, blocks_in, blocks_out, messages_sent, messages_received, signals,
        voluntary_switches, involuntary_switches;
};
static_assert(sizeof(rusage) == 144);
inline constexpr int rusage_self = 0, rusage_children = -1, rusage_thread = 1;

struct utsname {
    char sysname[65], nodename[65], release[65], version[65], machine[65], domainname[65];
};
static_assert(sizeof(utsname) == 390);

struct sysinfo {
    std::int64_t uptime;
    std::uint64_t loads[3], total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
    std::uint16_t processes, padding;
    std::uint32_t padding2;
    std::uint64_t total_high, free_high;
    std::uint32_t unit;
    std::uint32_t padding3;
};
static_assert(sizeof(sysinfo) == 112 && offsetof(sysinfo, total_high) == 88);

struct cap_header {
    std::uint32_t version;
    std::int32_t pid;
};
struct cap_data {
    std::uint32_t effective, permitted, inheritable;
};
inline constexpr std::uint32_t cap_version_1 = 0x1998'0330, cap_version_2 = 0x2007'1026,
                               cap_version_3 = 0x2008'0522;

struct sched_param {
    std::int32_t priority;
};
inline constexpr int sched_other = 0, sched_fifo = 1, sched_rr = 2, sched_batch = 3, sched_idle = 5,
                     sched_deadline = 6, sched_reset_on_fork = 0x4000'0000;

inline constexpr int arch_set_gs = 0x1001, arch_set_fs = 0x1002, arch_get_fs = 0x1003,
                     arch_get_gs = 0x1004, arch_get_cpuid = 0x1011, arch_set_cpuid = 0x1012;

inline constexpr int pr_set_pdeathsig = 1, pr_get_pdeathsig = 2, pr_get_dumpable = 3,
                     pr_set_dumpable = 4, pr_get_keepcaps = 7, pr_set_keepcaps = 8,
                     pr_get_timing = 13, pr_set_timing = 14, pr_set_name = 15, pr_get_name = 16,
                     pr_get_seccomp = 21, pr_set_seccomp = 22, pr_capbset_read = 23,
                     pr_capbset_drop = 24, pr_get_tsc = 25, pr_set_tsc = 26, pr_get_securebits = 27,
                     pr_set_securebits = 28, pr_set_timerslack = 29, pr_get_timerslack = 30,
                     pr_set_child_subreaper = 36, pr_get_child_subreaper = 37,
                     pr_set_no_new_privs = 38, pr_get_no_new_privs = 39, pr_get_tid_address = 40,
                     pr_set_thp_disable = 41, pr_get_thp_disable = 42, pr_cap_ambient = 47;
inline constexpr int last_capability = 40;  // CAP_CHECKPOINT_RESTORE
inline constexpr std::uint64_t all_capabilities = (1ull << (last_capability + 1)) - 1;

inline constexpr int grnd_nonblock = 1, grnd_random = 2, grnd_insecure = 4;
/// getrandom's cap on one call: INT_MAX >> 6 pages' worth less one byte (man 2 getrandom, NOTES).
inline constexpr std::uint64_t getrandom_max = 33'554'431;

inline constexpr int futex_wait = 0, futex_wake = 1, futex_requeue = 3, futex_cmp_requeue = 4,
                     futex_wake_op = 5, futex_lock_pi = 6, futex_unlock_pi = 7,
                     futex_trylock_pi = 8, futex_wait_bitset = 9, futex_wake_bitset = 10,
                     futex_private_flag = 128, futex_clock_realtime = 256;

inline constexpr int p_all = 0, p_pid = 1, p_pgid = 2, p_pidfd = 3;
inline constexpr int wnohang = 1, wuntraced = 2, wstopped = 2, wexited = 4, wcontinued = 8,
                     wnowait = 0x0100'0000;
inline constexpr unsigned wait_thread_flags = 0xe000'0000u;  // __WNOTHREAD | __WALL | __WCLONE

}  // namespace hearth::guest::abi
