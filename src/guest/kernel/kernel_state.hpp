#pragma once

/// Everything the personality knows about its guest, as one value: copyable, comparable, movable,
/// no pointer inside that points inside. A snapshot is a copy of it beside a copy of memory and
/// registers. Aliasing is by index: descriptors hold a `description_id` into an arena, so `dup`
/// survives a copy and two clones never share an offset.

#include "guest/kernel/native_exchange.hpp"
#include "guest/kernel/signal_state.hpp"
#include "guest/kernel/wait_state.hpp"
#include "guest/mm/address_space.hpp"
#include "guest/mm/frame_allocator.hpp"
#include "guest/vfs/fd_table.hpp"
#include "guest/vfs/vfs_state.hpp"
#include "vmm/vcpu_state.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace hearth::guest {

using pid = std::int32_t;

/// No process or thread has this number or one above: /proc/sys/kernel/pid_max.
inline constexpr pid pid_max = 32'768;

struct task_running {
    bool operator==(const task_running&) const = default;
};
struct task_waiting {
    wait_state wait;
    bool operator==(const task_waiting&) const = default;
};
struct task_exited {
    std::int32_t status = 0;  ///< as wait(2) encodes it
    bool operator==(const task_exited&) const = default;
};

/// What clone(2) lets tasks share or have to themselves stands in an arena of the state, under a
/// number that none has again, and goes with the last who has it (parts.hpp). 0: none.
using part_id = std::uint64_t;
template <class T>
struct part {
    T value{};
    std::uint32_t holders = 0;
    bool operator==(const part&) const = default;
};

/// Where the names of files begin, and what new ones may (CLONE_FS).
struct viewpoint {
    std::string working_directory = "/";
    std::string root = "/";  ///< chroot(2): a canonical path
    std::uint32_t umask = 022;
    bool operator==(const viewpoint&) const = default;
};

/// A thread of the guest.
struct task_state {
    pid tid = 1;
    pid process = 1;
    part_id files = 0, view = 0;  ///< its descriptors and viewpoint, until it ends
    vmm::vcpu_state registers;  ///< valid while the task is not on the vCPU
    vmm::fpu_state fpu;         ///< valid while the vCPU holds another task's
    std::variant<task_running, task_waiting, task_exited> run = task_running{};
    task_signals signals;
    std::chrono::nanoseconds cpu_time{};  ///< used until it last left the vCPU
    std::uint64_t clear_child_tid = 0;
    std::uint64_t robust_list = 0;
    std::int32_t nice = 0;  ///< of the thread, as in Linux
    std::string name;       ///< comm, at most 15 bytes
    bool operator==(const task_state&) const = default;
};

/// The user and group ids beside the real ones, which process_state names itself.
struct credentials {
    std::uint32_t euid = 0, suid = 0, fsuid = 0;
    std::uint32_t egid = 0, sgid = 0, fsgid = 0;
    std::vector<std::uint32_t> groups;
    std::uint64_t effective = all_capabilities, permitted = all_capabilities, inheritable = 0,
                  bounding = all_capabilities, ambient = 0;
    std::uint32_t secure_bits = 0;  ///< PR_SET_SECUREBITS
    static constexpr std::uint64_t all_capabilities =
        (1ull << 41) - 1;  // up to CAP_CHECKPOINT_RESTORE
    bool operator==(const credentials&) const = default;
};

/// A timer that sends a signal. Its deadline is of the clock it counts: guest CLOCK_MONOTONIC, or
/// CPU time.
struct interval_timer {
    std::optional<std::chrono::nanoseconds> deadline;
    std::chrono::nanoseconds interval{};
    bool operator==(const interval_timer&) const = default;
};
struct posix_timer {
    interval_timer schedule = {};
    std::int32_t clock = 0;   ///< negative: as cpu_clock() makes it
    std::int32_t signal = 0;  ///< 0: SIGEV_NONE
    std::uint64_t value = 0;
    pid thread = 0;  ///< SIGEV_THREAD_ID; 0: the process
    std::int32_t overrun = 0,
                 pending_overrun = 0;  ///< of the last signal taken; of the one pending
    bool operator==(const posix_timer&) const = default;
};
struct process_timers {
    interval_timer real;                 ///< alarm, ITIMER_REAL
    interval_timer virtual_, profiling;  ///< ITIMER_VIRTUAL, ITIMER_PROF: of its CPU time
    std::optional<std::chrono::nanoseconds> cpu_limit;  ///< CPU time at which RLIMIT_CPU acts next
    std::map<std::int32_t, posix_timer> posix;
    bool operator==(const process_timers&) const = default;
};

/// Job control of a process: whether it is stopped, and what its parent has not heard of by wait yet.
struct job_state {
    std::int32_t stopped_by = 0;  ///< the signal; 0: it runs
    bool told = false;            ///< that it stopped, by SIGCHLD
    bool stop_untold = false, continue_untold = false;
    bool operator==(const job_state&) const = default;
};

/// What the threads of a process share.
struct process_state {
    pid id = 1;
    std::uint64_t serial = 0;  ///< tells it from others that had its number
    std::chrono::nanoseconds started{};  ///< guest CLOCK_MONOTONIC
    pid parent = 0;
    mm::mm_state mm;    ///< unless it lives in another's
    pid memory_of = 0;  ///< vfork, CLONE_VM: the process whose mm this one uses; 0: its own
    bool vforked = false;               ///< its parent waits until it execs or ends
    std::int32_t exit_signal = 0;       ///< what its parent gets when it ends
    std::optional<std::int32_t> ended;  ///< a zombie: the status as wait(2) encodes it
    job_state job;
    std::chrono::nanoseconds ended_threads_time{};  ///< CPU time of threads that are gone
    std::chrono::nanoseconds children_time{};       ///< of children that were waited for, and theirs
    part_id actions = 0;  ///< what signals do; others may have the same (CLONE_SIGHAND)
    std::vector<signal_info> pending;  ///< sent to the process, for whichever thread takes them
    process_timers timers;
    pid group = 1, session = 1;
    credentials ids;
    std::string executable;          ///< /proc/self/exe
    std::uint32_t uid = 0, gid = 0;  ///< the real ones; `ids` has the others
    std::map<int, std::pair<std::uint64_t, std::uint64_t>> limits;  ///< RLIMIT_* → soft, hard
    bool executed = false;  ///< another program since it was made
    bool dumpable = true;
    bool no_new_privileges = false, child_subreaper = false, no_huge_pages = false;
    std::int32_t parent_death_signal = 0;
    std::uint32_t personality = 0;
    std::uint64_t timer_slack = 50'000;  ///< nanoseconds; kept, not acted on
    bool operator==(const process_state&) const = default;
};

/// What differs between two clones of one snapshot: see renew_identity.
struct identity {
    std::array<std::byte, 16> boot_id{};
    std::string hostname = "localhost";
    std::string domainname = "(none)";
    std::chrono::nanoseconds boot_time{};  ///< guest CLOCK_MONOTONIC when this guest booted
    /// Guest CLOCK_MONOTONIC less the host's: not zero where a snapshot came from another boot.
    std::chrono::nanoseconds clock_offset{};
    bool operator==(const identity&) const = default;
};

struct kernel_state {
    std::map<pid, process_state> processes;
    std::map<pid, task_state> tasks;
    std::map<part_id, part<vfs::fd_table>> tables;  ///< of descriptors
    std::map<part_id, part<viewpoint>> views;
    std::map<part_id, part<signal_actions>> actions;
    part_id last_part = 0;
    std::vector<pid> timed;  ///< processes that have timers running; perhaps others too
    mm::frame_allocator frames;
    vfs::vfs_state vfs;
    native_exchange native;
    guest::identity identity;
    pid running = 1;              ///< the task on the vCPU, or the last one that was
    std::chrono::nanoseconds running_since{};  ///< of the guest's CPU time: `running` has its own from then
    pid fpu_owner = 0;            ///< whose vector state is in the vCPU; 0: the running task's
    pid last_id = 0;              ///< given to a process or thread
    std::uint64_t process_serials = 0;
    std::uint64_t futex_tickets = 0;
    std::vector<mm::mm_state> retired;  ///< spaces of ended processes: tables bound to them
    bool operator==(const kernel_state&) const = default;
};

/// The clock of a process's or a thread's CPU time, as clock_getcpuclockid encodes it (Linux,
/// posix-timers_types.h): which of three measures there are makes no difference here.
constexpr std::int32_t cpu_clock(pid id, bool of_thread) noexcept {
    constexpr std::int32_t sched = 2, per_thread = 4;
    return static_cast<std::int32_t>(~static_cast<std::uint32_t>(id) << 3) | sched |
           (of_thread ? per_thread : 0);
}
constexpr pid cpu_clock_owner(std::int32_t clock) noexcept { return ~(clock >> 3); }
constexpr bool is_thread_clock(std::int32_t clock) noexcept { return (clock & 4) != 0; }

/// The memory a process lives in.
inline mm::mm_state& memory_of(kernel_state& state, process_state& p) {
    return p.memory_of ? state.processes.at(p.memory_of).mm : p.mm;
}
inline const mm::mm_state& memory_of(const kernel_state& state, const process_state& p) {
    return p.memory_of ? state.processes.at(p.memory_of).mm : p.mm;
}

inline vfs::fd_table& files_of(kernel_state& state, const task_state& ts) {
    return state.tables.at(ts.files).value;
}
inline viewpoint& view_of(kernel_state& state, const task_state& ts) {
    return state.views.at(ts.view).value;
}
inline signal_actions& actions_of(kernel_state& state, const process_state& p) {
    return state.actions.at(p.actions).value;
}
inline const signal_actions& actions_of(const kernel_state& state, const process_state& p) {
    return state.actions.at(p.actions).value;
}

/// Calls `f(mm_state&)` for every space there are tables of: those that processes live in, by
/// their ids, then those that wait for one.
template <class State, class F>
void for_each_space(State& state, F&& f) {
    for (auto& [id, process] : state.processes)
        if (process.memory_of == 0 && !process.ended) f(process.mm);
    for (auto& mm : state.retired) f(mm);
}

static_assert(std::is_copy_constructible_v<kernel_state> &&
              std::is_copy_assignable_v<kernel_state>);
static_assert(std::is_nothrow_move_constructible_v<kernel_state> ||
              std::is_move_constructible_v<kernel_state>);

}  // namespace hearth::guest
