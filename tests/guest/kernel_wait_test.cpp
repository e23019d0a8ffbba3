#include "guest/abi/process.hpp"
#include "guest/abi/signal.hpp"
#include "guest/kernel/signals.hpp"
#include "kernel_world.hpp"

#include <sys/syscall.h>

using namespace kernel_test;
namespace abi = hearth::guest::abi;

namespace {

void send(world& w, int number) { w.kernel->post_signal(w.process(), {.number = number}); }
/// The frame on top of the stack: what was interrupted.
abi::sigcontext interrupted(world& w) {
    return w.get<abi::rt_sigframe>(w.regs.rsp).ucontext.context;
}

}  // namespace

TEST_CASE("nanosleep parks until its time and no longer") {
    world w;
    w.put(scratch, abi::timespec{2, 500});
    REQUIRE(w.step(SYS_nanosleep, {scratch, 0}).what == kind::parked);
    CHECK(w.kernel->wait_deadline() == w.host.monotonic + 2s + 500ns);
    CHECK(w.kernel->resume(w.regs).what == kind::parked);
    w.host.advance(2s);
    CHECK(w.kernel->resume(w.regs).what == kind::parked);
    w.host.advance(500ns);
    const auto rip = w.regs.rip;
    CHECK(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(w.regs.rax == 0);
    CHECK(w.regs.rip == rip);
    CHECK_FALSE(w.kernel->wait_deadline());
}

TEST_CASE("a signal ends a sleep with EINTR and what remained") {
    world w;
    install(w, abi::sigusr1, abi::sa_restart);  // sleeping is never restarted
    w.put(scratch, abi::timespec{10, 0});
    REQUIRE(w.step(SYS_nanosleep, {scratch, scratch + 16}).what == kind::parked);
    w.host.advance(3s);
    send(w, abi::sigusr1);
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(w.regs.rip == handler);
    CHECK(static_cast<std::int64_t>(interrupted(w).rax) == -EINTR);
    const auto left = w.get<abi::timespec>(scratch + 16);
    CHECK(left.seconds == 7);
    CHECK(left.nanoseconds == 0);
}

TEST_CASE("an ignored signal does not end a sleep") {
    world w;
    w.put(scratch, abi::timespec{10, 0});
    REQUIRE(w.step(SYS_nanosleep, {scratch, 0}).what == kind::parked);
    send(w, abi::sigchld);
    CHECK(w.kernel->resume(w.regs).what == kind::parked);
    CHECK(w.process().pending.empty());
}

TEST_CASE("absolute sleeps go by their clock") {
    world w;
    const auto at = w.host.realtime + 4s;
    w.put(scratch, abi::timespec{std::chrono::duration_cast<std::chrono::seconds>(at).count(), 0});
    REQUIRE(
        w.step(SYS_clock_nanosleep, {abi::clock_realtime, abi::timer_abstime, scratch, 0}).what ==
        kind::parked);
    CHECK(w.kernel->wait_deadline() == w.host.monotonic + 4s);
    w.host.advance(4s);
    CHECK(w.kernel->resume(w.regs).what == kind::set_registers);
    // One that has passed does not wait.
    CHECK(w.call(SYS_clock_nanosleep,
                 {abi::clock_monotonic, abi::timer_abstime, scratch + 64, 0}) == 0);
    w.put(scratch, abi::timespec{1, 1'000'000'000});
    CHECK(w.call(SYS_nanosleep, {scratch, 0}) == -EINVAL);
    w.put(scratch, abi::timespec{-1, 0});
    CHECK(w.call(SYS_nanosleep, {scratch, 0}) == -EINVAL);
    CHECK(w.call(SYS_nanosleep, {8, 0}) == -EFAULT);
    CHECK(w.call(SYS_clock_nanosleep, {55, 0, scratch, 0}) == -EINVAL);
}

TEST_CASE("pause ends by a handler only") {
    world w;
    install(w, abi::sigusr1);
    REQUIRE(w.step(SYS_pause).what == kind::parked);
    CHECK_FALSE(w.kernel->wait_deadline());
    CHECK(w.kernel->resume(w.regs).what == kind::parked);
    send(w, abi::sigusr1);
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(static_cast<std::int64_t>(interrupted(w).rax) == -EINTR);
}

TEST_CASE("a fatal signal ends a parked guest") {
    world w;
    REQUIRE(w.step(SYS_pause).what == kind::parked);
    send(w, abi::sigterm);
    CHECK(w.kernel->resume(w.regs).what == kind::exited);
    CHECK(w.kernel->exit_status().signal == abi::sigterm);
    CHECK(w.kernel->resume(w.regs).what == kind::exited);
}

TEST_CASE("sigsuspend waits under its own mask and gives the old one back to the frame") {
    world w;
    install(w, abi::sigusr1);
    w.put(scratch, signal_bit(abi::sigusr1) | signal_bit(abi::sigusr2));
    w.call(SYS_rt_sigprocmask, {abi::sig_setmask, scratch, 0, 8});
    send(w, abi::sigusr1);
    w.put(scratch, std::uint64_t{0});
    // It is pending already: the call ends at once.
    REQUIRE(w.step(SYS_rt_sigsuspend, {scratch, 8}).what == kind::set_registers);
    CHECK(w.regs.rip == handler);
    const auto f = w.get<abi::rt_sigframe>(w.regs.rsp);
    CHECK(f.ucontext.mask == (signal_bit(abi::sigusr1) | signal_bit(abi::sigusr2)));
    CHECK(static_cast<std::int64_t>(f.ucontext.context.rax) == -EINTR);
    w.regs.rsp += 8;
    w.step(SYS_rt_sigreturn);
    CHECK(w.task_of().signals.blocked == (signal_bit(abi::sigusr1) | signal_bit(abi::sigusr2)));
}

TEST_CASE("sigtimedwait takes a blocked signal, or times out") {
    world w;
    w.put(scratch, signal_bit(abi::sigusr1));
    w.call(SYS_rt_sigprocmask, {abi::sig_setmask, scratch, 0, 8});
    w.put(scratch + 8, abi::timespec{1, 0});
    REQUIRE(w.step(SYS_rt_sigtimedwait, {scratch, scratch + 64, scratch + 8, 8}).what ==
            kind::parked);
    send(w, abi::sigusr1);
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(w.regs.rax == abi::sigusr1);
    CHECK(w.get<abi::siginfo>(scratch + 64).number == abi::sigusr1);
    REQUIRE(w.step(SYS_rt_sigtimedwait, {scratch, 0, scratch + 8, 8}).what == kind::parked);
    w.host.advance(1s);
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(static_cast<std::int64_t>(w.regs.rax) == -EAGAIN);
    w.put(scratch + 8, abi::timespec{0, 0});
    CHECK(w.call(SYS_rt_sigtimedwait, {scratch, 0, scratch + 8, 8}) == -EAGAIN);
}

TEST_CASE("a futex wait checks its word, parks, and times out") {
    world w;
    w.put(scratch, std::uint32_t{5});
    w.put(scratch + 8, abi::timespec{1, 0});
    CHECK(w.call(SYS_futex, {scratch, abi::futex_wait, 4, 0}) == -EAGAIN);
    CHECK(w.call(SYS_futex, {scratch + 1, abi::futex_wait, 5, 0}) == -EINVAL);
    CHECK(w.call(SYS_futex, {16, abi::futex_wait, 5, 0}) == -EFAULT);
    CHECK(w.call(SYS_futex, {scratch, abi::futex_wake | abi::futex_private_flag, 1}) == 0);
    REQUIRE(w.step(SYS_futex, {scratch, abi::futex_wait, 5, scratch + 8}).what == kind::parked);
    w.host.advance(1s);
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(static_cast<std::int64_t>(w.regs.rax) == -ETIMEDOUT);
}

TEST_CASE("a futex wait without a timeout is restarted after an SA_RESTART handler") {
    world w;
    install(w, abi::sigusr1, abi::sa_restart);
    w.put(scratch, std::uint32_t{5});
    REQUIRE(w.step(SYS_futex, {scratch, abi::futex_wait, 5, 0}).what == kind::parked);
    const auto after = w.regs.rip;
    send(w, abi::sigusr1);
    REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
    CHECK(interrupted(w).rip == after - 2);  // at the SYSCALL again
    CHECK(interrupted(w).rax == SYS_futex);
    CHECK(interrupted(w).rdi == scratch);
}

TEST_CASE("alarm comes on time, to a parked guest and to a running one") {
    world w;
    install(w, abi::sigalrm);
    CHECK(w.call(SYS_alarm, {3}) == 0);
    CHECK(w.call(SYS_alarm, {5}) == 3);
    CHECK(w.kernel->next_timer() == w.host.monotonic + 5s);
    SECTION("parked") {
        REQUIRE(w.step(SYS_pause).what == kind::parked);
        CHECK(w.kernel->wait_deadline() == w.host.monotonic + 5s);
        w.host.advance(5s);
        CHECK(w.kernel->resume(w.regs).what == kind::set_registers);
    }
    SECTION("running") {
        CHECK(w.kernel->on_interrupt(w.regs).what == kind::run_on);
        w.host.advance(5s);
        CHECK(w.kernel->on_interrupt(w.regs).what == kind::set_registers);
    }
    SECTION("at a system call") {
        w.host.advance(6s);
        CHECK(w.step(SYS_getpid).what == kind::set_registers);
        CHECK(interrupted(w).rax == first_process);
    }
    CHECK(w.regs.rip == handler);
    CHECK_FALSE(w.kernel->next_timer());
}

TEST_CASE("interval timers repeat, and POSIX timers count their overruns") {
    world w;
    install(w, abi::sigalrm);
    w.put(scratch, abi::itimerval{{1, 0}, {2, 0}});
    REQUIRE(w.call(SYS_setitimer, {abi::itimer_real, scratch, 0}) == 0);
    w.host.advance(2s);
    CHECK(w.step(SYS_getpid).what == kind::set_registers);
    CHECK(w.kernel->next_timer() == w.host.monotonic + 1s);
    REQUIRE(w.call(SYS_getitimer, {abi::itimer_real, scratch}) == 0);
    CHECK(w.get<abi::itimerval>(scratch).value.seconds == 1);
    w.put(scratch, abi::itimerval{});
    REQUIRE(w.call(SYS_setitimer, {abi::itimer_real, scratch, 0}) == 0);
    CHECK_FALSE(w.kernel->next_timer());

    install(w, 34, abi::sa_siginfo);
    w.put(scratch, abi::sigevent{.value = 0x1234,
                                 .signal = 34,
                                 .notify = abi::sigev_signal,
                                 .thread = 0,
                                 .padding = {}});
    REQUIRE(w.call(SYS_timer_create, {abi::clock_monotonic, scratch, scratch + 64}) == 0);
    const auto id = static_cast<std::uint64_t>(w.get<std::int32_t>(scratch + 64));
    w.put(scratch, abi::itimerspec{{0, 100'000'000}, {0, 100'000'000}});
    REQUIRE(w.call(SYS_timer_settime, {id, 0, scratch, 0}) == 0);
    w.host.advance(550ms);
    REQUIRE(w.step(SYS_getpid).what == kind::set_registers);
    const auto info = w.get<abi::rt_sigframe>(w.regs.rsp).siginfo;
    CHECK(info.code == abi::si_timer);
    CHECK(info.posix_timer.value == 0x1234);
    CHECK(info.posix_timer.overrun == 4);
    CHECK(w.call(SYS_timer_getoverrun, {id}) == 4);
    CHECK(w.call(SYS_timer_delete, {id}) == 0);
    CHECK(w.call(SYS_timer_delete, {id}) == -EINVAL);
}

TEST_CASE("a timer's signal comes though the queue is full") {
    world w;
    w.put(scratch,
          abi::sigevent{
              .value = 7, .signal = 40, .notify = abi::sigev_signal, .thread = 0, .padding = {}});
    REQUIRE(w.call(SYS_timer_create, {abi::clock_monotonic, scratch, scratch + 64}) == 0);
    w.put(scratch, ~0ull);
    w.call(SYS_rt_sigprocmask, {abi::sig_setmask, scratch, 0, 8});
    auto& pending = w.process().pending;
    pending.assign(signals::queue_limit, {.number = 41, .code = abi::si_queue});
    w.put(scratch, abi::itimerspec{{1, 0}, {1, 0}});
    REQUIRE(w.call(SYS_timer_settime, {0, 0, scratch, 0}) == 0);
    for (int i = 0; i < 3; ++i) {
        w.host.advance(1s);
        w.call(SYS_getpid);
    }
    REQUIRE(pending.size() == signals::queue_limit + 1);  // once: then it overruns
    CHECK(pending.back().number == 40);
    CHECK(pending.back().address == 7);
}

namespace {
/// A system call after some time on the vCPU.
step after_running(world& w, std::chrono::nanoseconds time) {
    w.host.advance(time);
    w.host.cpu += time;
    return w.step(SYS_getpid);
}
}  // namespace

TEST_CASE(
    "timers on CPU time stand still while the guest sleeps, and are kicked for while it runs") {
    world w;
    const auto [which, number] = GENERATE(std::pair{abi::itimer_virtual, abi::sigvtalrm},
                                          std::pair{abi::itimer_prof, abi::sigprof});
    install(w, number);
    w.put(scratch, abi::itimerval{{1, 0}, {2, 0}});
    REQUIRE(w.call(SYS_setitimer, {static_cast<std::uint64_t>(which), scratch, 0}) == 0);
    CHECK(w.kernel->next_timer() == w.host.monotonic + 2s);
    CHECK_FALSE(w.kernel->wait_deadline());
    w.host.advance(5s);
    CHECK(w.step(SYS_getpid).what == kind::return_value);
    CHECK(w.kernel->next_timer() == w.host.monotonic + 2s);
    CHECK(after_running(w, 1500ms).what == kind::return_value);
    REQUIRE(w.call(SYS_getitimer, {static_cast<std::uint64_t>(which), scratch}) == 0);
    CHECK(w.get<abi::itimerval>(scratch).value.microseconds == 500'000);
    CHECK(w.get<abi::itimerval>(scratch).interval.seconds == 1);
    // A copy of the state goes on where this one stands.
    const auto copy = w.kernel->state();
    CHECK(after_running(w, 500ms).what == kind::set_registers);
    CHECK(w.regs.rip == handler);
    CHECK(w.kernel->next_timer() == w.host.monotonic + 1s);
    w.kernel->restore(copy);
    w.host.cpu -= 500ms;
    CHECK(w.kernel->next_timer() == w.host.monotonic + 500ms);
    w.put(scratch, abi::itimerval{});
    REQUIRE(w.call(SYS_setitimer, {static_cast<std::uint64_t>(which), scratch, 0}) == 0);
    CHECK_FALSE(w.kernel->next_timer());
    CHECK(w.call(SYS_setitimer, {3, scratch, 0}) == -EINVAL);
    CHECK(w.call(SYS_getitimer, {3, scratch}) == -EINVAL);
}

TEST_CASE("clocks of CPU time are found by their numbers, and refused when they are nobody's") {
    world w;
    const auto clock = [](int id, bool thread) {
        return static_cast<std::uint32_t>(cpu_clock(id, thread));
    };
    const auto create = [&](std::uint64_t id) {
        return w.call(SYS_timer_create, {id, 0, scratch + 64});
    };
    CHECK(create(abi::clock_process_cputime) == 0);
    CHECK(create(abi::clock_thread_cputime) == 0);
    CHECK(create(clock(first_process, false)) == 0);
    CHECK(create(clock(first_process, true)) == 0);
    CHECK(create(clock(0, false)) == 0);
    CHECK(create(clock(first_process + 5, false)) == -EINVAL);
    CHECK(create(clock(first_process + 5, true)) == -EINVAL);
    CHECK(create(clock(first_process, false) | 3) == -EINVAL);  // a descriptor's clock
    CHECK(create(abi::clock_boottime_alarm) == -EOPNOTSUPP);
    CHECK(create(10) == -EINVAL);
    w.put(scratch, abi::timespec{1, 0});
    const auto sleep = [&](std::uint64_t id) {
        return w.call(SYS_clock_nanosleep, {id, 0, scratch, 0});
    };
    CHECK(sleep(abi::clock_thread_cputime) == -EOPNOTSUPP);
    CHECK(sleep(clock(0, true)) == -EINVAL);
    CHECK(sleep(clock(first_process, true)) == -EINVAL);
    CHECK(sleep(clock(first_process + 5, false)) == -EINVAL);
    CHECK(sleep(clock(first_process, false) | 3) == -EINVAL);
}

TEST_CASE("a sleep on CPU time ends with it, or by a signal with what remained") {
    world w;
    install(w, abi::sigusr1);
    w.put(scratch, abi::timespec{2, 0});
    REQUIRE(
        w.step(SYS_clock_nanosleep, {abi::clock_process_cputime, 0, scratch, scratch + 16}).what ==
        kind::parked);
    w.host.advance(10s);
    CHECK(w.kernel->resume(w.regs).what == kind::parked);
    CHECK_FALSE(w.kernel->wait_deadline());
    SECTION("its time") {
        w.host.cpu += 2s;
        REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
        CHECK(w.regs.rax == 0);
    }
    SECTION("a signal") {
        w.host.cpu += 500ms;
        send(w, abi::sigusr1);
        REQUIRE(w.kernel->resume(w.regs).what == kind::set_registers);
        CHECK(static_cast<std::int64_t>(interrupted(w).rax) == -EINTR);
        CHECK(w.get<abi::timespec>(scratch + 16).seconds == 1);
        CHECK(w.get<abi::timespec>(scratch + 16).nanoseconds == 500'000'000);
    }
}

TEST_CASE("the limit of CPU time sends SIGXCPU every second, and kills in the end") {
    world w;
    install(w, abi::sigxcpu);
    w.put(scratch, abi::rlimit64{2, 4});
    REQUIRE(w.call(SYS_setrlimit, {abi::rlimit_cpu, scratch}) == 0);
    CHECK(w.kernel->next_timer());
    CHECK(after_running(w, 1s).what == kind::return_value);
    const auto handled = [&] {  // the handler ends
        const auto mask = w.get<abi::rt_sigframe>(w.regs.rsp).ucontext.mask;
        w.task_of().signals.blocked = mask;
    };
    CHECK(after_running(w, 1s).what == kind::set_registers);
    CHECK(w.regs.rip == handler);
    handled();
    REQUIRE(w.call(SYS_getrlimit, {abi::rlimit_cpu, scratch}) == 0);
    CHECK(w.get<abi::rlimit64>(scratch).soft == 3);
    CHECK(after_running(w, 1s).what == kind::set_registers);
    handled();
    CHECK(after_running(w, 500ms).what == kind::return_value);
    CHECK(after_running(w, 500ms).what == kind::exited);
    CHECK(w.kernel->exit_status().signal == abi::sigkill);
}

TEST_CASE("a limit of CPU time that no clock can hold is none") {
    world w;
    w.put(scratch, abi::rlimit64{~std::uint64_t{0} - 1, ~std::uint64_t{0}});
    REQUIRE(w.call(SYS_setrlimit, {abi::rlimit_cpu, scratch}) == 0);
    CHECK_FALSE(w.kernel->next_timer());
    w.put(scratch, abi::rlimit64{0, ~std::uint64_t{0}});
    install(w, abi::sigxcpu);
    w.put(scratch, abi::rlimit64{0, ~std::uint64_t{0}});
    CHECK(w.step(SYS_setrlimit, {abi::rlimit_cpu, scratch}).what == kind::set_registers);
    CHECK(w.regs.rip == handler);
}
