#pragma once

/// The Linux personality of one sandbox: `kernel_state` (the value) bound to guest memory, a
/// filesystem and a host (the resources). It decides what every exit means; the sandbox only runs
/// the vCPU between. Holds no ioctl. Owner thread only.

#include "guest/kernel/host.hpp"
#include "guest/kernel/kernel_state.hpp"
#include "guest/sys/table.hpp"
#include "vmm/guest_memory.hpp"
#include "vmm/vm_exit.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::guest {

namespace vfs {
class filesystem;  // vfs/filesystem.hpp: the mounted trees and host files; a resource
}

/// What the sandbox does next with the vCPU.
struct step {
    enum class kind {
        return_value,   ///< vcpu.return_from_syscall(rax), run
        set_registers,  ///< vcpu.set_state(registers as left by the call), run
        parked,         ///< no task is runnable; see kernel::wait_deadline, resume
        exited,         ///< a process without a parent ended; kernel::exit_status, ended_process
        out_of_memory,  ///< the memory size is reached; the sandbox is over
        run_on,         ///< of on_interrupt only: nothing changed, run as if nothing had been
    };
    kind what = kind::return_value;
    std::uint64_t rax = 0;
};

/// How the guest ended.
struct exit_status {
    int code = 0;    ///< of exit_group
    int signal = 0;  ///< or the signal that killed it
    bool operator==(const exit_status&) const = default;
};

class kernel {
  public:
    kernel(kernel_state state,
           std::shared_ptr<vfs::filesystem> filesystem,
           vmm::guest_memory& memory,
           guest::host& host,
           const syscall_table& table = default_table());

    // -- called by the sandbox's run loop: `registers` are the running task's, in and out
    // ---------------------
    step on_syscall(vmm::vcpu_state& registers);
    step on_exception(vmm::vcpu_state& registers, const vmm::exception_exit& exception);
    /// KVM could not supply host memory at RIP: SIGBUS.
    step on_memory_fault(vmm::vcpu_state& registers);
    /// After `parked`: retries what can go on now; `parked` again when nothing can. On success
    /// `registers` are those of the task that goes on, to be set in full.
    step resume(vmm::vcpu_state& registers);
    /// The running guest was interrupted at a boundary of its own instructions (a kick): sends the
    /// signals of timers that are due. `run_on`, or `set_registers` when a handler begins, or
    /// `exited`.
    step on_interrupt(vmm::vcpu_state& registers);
    /// When parked: the earliest time, guest CLOCK_MONOTONIC, at which resume() finds something to
    /// do by itself; timers (alarm, setitimer, timer_settime) included.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> wait_deadline() const;
    /// While running: when the earliest timer is due. Kick the vCPU then and call on_interrupt;
    /// without that, its signal comes at the next system call.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_timer() const;
    /// Some parked task waits for stdin.
    [[nodiscard]] bool waits_for_input() const;
    [[nodiscard]] guest::exit_status exit_status() const noexcept { return exit_status_; }
    /// Whose that is: the first process, which is the guest's end, or one beside it, without which
    /// the guest goes on when it is resumed.
    [[nodiscard]] pid ended_process() const noexcept { return ended_process_; }

    // -- processes beside the first, which nobody waits for
    /// A new one before anything has run, with the limits and ids of another; it has no program yet.
    /// Null: there is no memory for it.
    process_state* add_process(const process_state& like);
    /// The first one, and those that stem from it, do not run until `start_first`, if ever.
    void hold_first();
    void start_first();

    // -- virtual sockets: connections of the guest to services in this process
    // ---------------------------------
    /// An index of a service connection; stable over snapshot and clone.
    using connection = std::uint32_t;
    /// Connections with something new since the last call: bytes, or the guest closed its end.
    std::vector<connection> take_service_activity();
    /// The next take_service_activity() has something.
    [[nodiscard]] bool has_service_activity() const noexcept;
    /// Bytes the guest has sent and nobody consumed; consume by erasing. Null: no such connection.
    std::string* service_input(connection c);
    [[nodiscard]] bool service_peer_closed(connection c) const;
    void service_send(connection c, std::string_view bytes);
    void service_close(connection c);

    [[nodiscard]] native_exchange& native() noexcept { return state_.native; }

    /// Another state takes the place of this one: the guest is where that was.
    void restore(const kernel_state& state);

    [[nodiscard]] kernel_state& state() noexcept { return state_; }
    [[nodiscard]] const kernel_state& state() const noexcept { return state_; }
    [[nodiscard]] vmm::guest_memory& memory() noexcept { return memory_; }
    [[nodiscard]] guest::host& host() noexcept { return host_; }
    [[nodiscard]] vfs::filesystem& filesystem() noexcept { return *filesystem_; }
    [[nodiscard]] const syscall_table& table() const noexcept { return table_; }

    // -- for handlers
    // --------------------------------------------------------------------------------------------
    void set_exit_status(guest::exit_status s) noexcept { exit_status_ = s; }
    /// Queues a signal for a task; it is delivered when its call returns, or ends its wait with
    /// EINTR. False: its queue is full, and the signal lost.
    bool post_signal(task_state& to, const signal_info& info);
    /// The same for a process: any thread of it that does not block the signal takes it.
    bool post_signal(process_state& to, const signal_info& info);
    /// The owners of descriptions hear of what has happened to them since (news.cpp).
    void tell_of_news();
    /// The task on the vCPU and its process.
    [[nodiscard]] task_state& running_task() noexcept;
    [[nodiscard]] process_state& process_of(const task_state& t) noexcept;
    /// A signal the running task cannot refuse, for a fault of its own (force_sig): if it is
    /// blocked or ignored, the default action follows.
    void force_signal(task_state& to, const signal_info& info);
    /// Ends one task, or its whole process. The end of one without a parent is told to the owner.
    void exit_task(task& t, int code);
    void exit_process(process_state& p, guest::exit_status status);
    // Job control (job_control.cpp).
    /// The process group has no member whose parent could continue it (POSIX, "orphaned").
    [[nodiscard]] bool orphaned(pid group, const process_state* without = nullptr) const;
    // CPU time (cpu_time.cpp).
    /// The running task's time until now is counted to it.
    void count_cpu_time();
    [[nodiscard]] std::chrono::nanoseconds cpu_time_of(const process_state& p) const;
    [[nodiscard]] std::chrono::nanoseconds cpu_time_of(const task_state& ts) const;
    /// What a clock of cpu_clock() shows. Nothing: its owner is gone.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> cpu_time_on(std::int32_t clock) const;
    // Timers (timers.cpp).
    /// A timer of the process was set: it is looked after from now on.
    void watch_timers(const process_state& p);
    /// RLIMIT_CPU has been set, or inherited.
    void set_cpu_limit(process_state& p);
    /// A parent has taken the status of a zombie: it is gone.
    void reap(process_state& p);
    /// Ends the other threads of the caller's process, which then is its own leader (execve).
    void end_other_threads(task& t);
    // Memory of processes (memory_spaces.cpp).
    /// A copy-on-write copy of the task's memory for a new process. ENOMEM
    outcome<void> fork_memory(task& t, mm::mm_state& child);
    /// Empty memory; false: there is none left.
    bool new_memory(mm::mm_state& mm);
    /// Another process lives in this one's memory too.
    [[nodiscard]] bool memory_is_lent(const process_state& p) const;
    /// Leaves the memory a process lives in, which others may go on using.
    void leave_memory(process_state& p);
    /// A number no process, thread, group or session has.
    pid fresh_id();
    /// Wakes up to `count` waiters of a futex, first come first. @return how many
    std::int64_t wake(const futex_wait& word, std::uint32_t count);
    /// The running task lets others go first (sched_yield; or they have news from outside).
    void yield() noexcept {
        slice_end_ = {};
        contended_ = true;
    }
    /// Another task has become able to run.
    void contend() noexcept { contended_ = true; }
    /// The vector state of the running task, for a copy of it.
    vmm::fpu_state running_fpu();
    void set_running_fpu(const vmm::fpu_state& fpu);

  private:
    /// RLIMIT_SIGPENDING of the receiver.
    [[nodiscard]] bool has_room_for(const process_state& to, const signal_info& info);
    /// `left`: how many may still be told.
    void tell(const vfs::news_owner& owner, const signal_info& info, std::size_t& left);
    /// The signal that would act on the task now.
    const signal_info* next_action(task_state& ts, process_state& p) {
        if (ts.signals.pending.empty() && p.pending.empty()) [[likely]]
            return nullptr;
        return first_action(ts, p);
    }
    const signal_info* first_action(task_state& ts, process_state& p);
    sysret dispatch(task& t, const syscall_row* row);
    step finish(task& t, sysret&& result, const syscall_row* row, bool all_registers);
    step deliver_signals(task& t);
    /// The step that lets a task go on which was parked: registers in full.
    std::optional<step> try_resume(task_state& ts, vmm::vcpu_state& registers);
    // scheduling.cpp
    /// What the running task's step means for the vCPU when there are other tasks.
    step go_on(step s, vmm::vcpu_state& registers);
    step run_next(vmm::vcpu_state& registers);
    std::optional<step> try_run(task_state& ts, vmm::vcpu_state& registers);
    void take_fpu(task_state& ts);
    void forget_ended_tasks();
    [[nodiscard]] bool others_may_run(const task_state& ts) const;
    // job_control.cpp
    /// What a signal does when it is sent, whoever blocks it. @return whether it goes on to be queued
    bool send_job_signal(process_state& to, int number, bool takes);
    bool tell_of_stops();
    void tell_of_job(process_state& p, int code, int signal);
    void hang_up_orphans(pid group);
    [[nodiscard]] bool stopped(const task_state& ts) const;
    // exit.cpp
    void release_thread(process_state& p, task_state& ts);
    [[nodiscard]] pid reaper_for(const process_state& p) const;
    void tell_parent(process_state& p);
    [[nodiscard]] bool wait_is_over(task_state& ts, const wait_state& wait);
    int floating_point_code(std::uint8_t vector);
    // timers.cpp
    void expire_timers();
    void expire_timers_of(process_state& p);
    void send_timer_signal(process_state& p, posix_timer& timer, int number, std::int64_t times);
    void act_on_cpu_limit(process_state& p);
    [[nodiscard]] std::optional<std::chrono::nanoseconds> first_timer() const;
    [[nodiscard]] std::optional<std::chrono::nanoseconds> running_time_left() const;
    void trace_call(task& t, const syscall_row* row);
    void trace_result(sysret& result, const vmm::vcpu_state& registers, bool resumed);

    kernel_state state_;
    std::shared_ptr<vfs::filesystem> filesystem_;
    vmm::guest_memory& memory_;
    guest::host& host_;
    const syscall_table& table_;
    guest::exit_status exit_status_;
    bool over_ = false;                       // the owner is to hear of ended_process_
    pid ended_process_ = 0;
    bool contended_ = false;                  // some other task may want the vCPU
    std::chrono::nanoseconds slice_end_{};    // guest CLOCK_MONOTONIC
    std::string traced_;  // the call being traced: name and arguments, formatted before it runs
};

}  // namespace hearth::guest
