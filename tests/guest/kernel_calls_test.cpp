#include "guest/abi/process.hpp"
#include "kernel_world.hpp"

#include <sys/syscall.h>

using namespace kernel_test;
namespace abi = hearth::guest::abi;

namespace {
constexpr std::uint64_t minus_one = ~0ull;
}  // namespace

TEST_CASE("clocks answer what the host says") {
    world w;
    w.host.monotonic = 5s + 7ns;
    REQUIRE(w.call(SYS_clock_gettime, {abi::clock_monotonic, scratch}) == 0);
    CHECK(w.get<abi::timespec>(scratch).seconds == 5);
    CHECK(w.get<abi::timespec>(scratch).nanoseconds == 7);
    CHECK(w.call(SYS_time, {0}) == 1'700'000'000);
    CHECK(w.call(SYS_clock_gettime, {99, scratch}) == -EINVAL);
    CHECK(w.call(SYS_clock_gettime, {abi::clock_monotonic, 8}) == -EFAULT);
    CHECK(w.call(SYS_clock_getres, {abi::clock_monotonic, 0}) == 0);
    w.put(scratch, abi::timespec{1, 0});
    CHECK(w.call(SYS_clock_settime, {abi::clock_realtime, scratch}) == -EPERM);
    // clock_getcpuclockid(0), and of a process that is not there.
    CHECK(w.call(SYS_clock_gettime, {static_cast<std::uint32_t>((~0 << 3) | 2), scratch}) == 0);
    CHECK(w.call(SYS_clock_gettime, {static_cast<std::uint32_t>((~77 << 3) | 2), scratch}) ==
          -EINVAL);
    // The clock may be asked how it is kept, and is not to be changed.
    w.put(scratch, abi::timex{});
    CHECK(w.call(SYS_adjtimex, {scratch}) == 5);  // TIME_ERROR
    CHECK(w.get<abi::timex>(scratch).status == 0x40);
    CHECK(w.get<abi::timex>(scratch).tick == 10'000);
    CHECK(w.get<abi::timex>(scratch).time.seconds == 1'700'000'000);
    CHECK(w.call(SYS_clock_adjtime, {abi::clock_realtime, scratch}) == 5);
    CHECK(w.call(SYS_clock_adjtime, {abi::clock_monotonic, scratch}) == -EOPNOTSUPP);
    CHECK(w.call(SYS_clock_adjtime, {99, scratch}) == -EINVAL);
    abi::timex change{};
    change.modes = 1;
    w.put(scratch, change);
    CHECK(w.call(SYS_adjtimex, {scratch}) == -EPERM);
    CHECK(w.call(SYS_adjtimex, {8}) == -EFAULT);
}

TEST_CASE("ids are those of the process, and groups and sessions follow man 2") {
    world w;
    CHECK(w.call(SYS_getpid) == first_process);
    CHECK(w.call(SYS_gettid) == first_process);
    CHECK(w.call(SYS_getppid) == 0);
    CHECK(w.call(SYS_getpgid, {0}) == first_process);
    CHECK(w.call(SYS_getpgid, {77}) == -ESRCH);
    CHECK(w.call(SYS_setsid) == -EPERM);           // a group leader
    CHECK(w.call(SYS_setpgid, {0, 0}) == -EPERM);  // a session leader
    CHECK(w.call(SYS_setpgid, {0, minus_one}) == -EINVAL);
    CHECK(w.call(SYS_set_tid_address, {scratch}) == first_process);
    CHECK(w.call(SYS_wait4, {minus_one, 0, 0, 0}) == -ECHILD);
    CHECK(w.call(SYS_wait4, {minus_one, 0, 0x100, 0}) == -EINVAL);
    CHECK(w.call(SYS_waitid, {abi::p_all, 0, 0, abi::wexited, 0}) == -ECHILD);
    CHECK(w.call(SYS_waitid, {abi::p_all, 0, 0, 0, 0}) == -EINVAL);
}

TEST_CASE("root gives its ids up and does not get them back") {
    world w;
    REQUIRE(w.call(SYS_setresuid, {minus_one, 1000, minus_one}) == 0);
    CHECK(w.call(SYS_geteuid) == 1000);
    CHECK(w.call(SYS_getuid) == 0);
    REQUIRE(w.call(SYS_setuid, {0}) == 0);  // the real id allows it
    CHECK(w.call(SYS_geteuid) == 0);
    REQUIRE(w.call(SYS_setuid, {1000}) == 0);
    CHECK(w.call(SYS_setuid, {0}) == -EPERM);
    CHECK(w.call(SYS_setgroups, {0, 0}) == -EPERM);
    REQUIRE(w.call(SYS_getresuid, {scratch, scratch + 4, scratch + 8}) == 0);
    for (int i = 0; i < 3; ++i)
        CHECK(w.get<std::uint32_t>(scratch + static_cast<unsigned>(i) * 4) == 1000);
    CHECK(w.call(SYS_setfsuid, {5}) == 1000);
    CHECK(w.call(SYS_setfsuid, {minus_one}) == 1000);
}

TEST_CASE("arch_prctl sets the bases through a full return") {
    world w;
    CHECK(w.step(SYS_arch_prctl, {abi::arch_set_fs, 0x1234'5000}).what == kind::set_registers);
    CHECK(w.regs.fs_base == 0x1234'5000);
    CHECK(w.regs.rax == 0);
    CHECK(w.call(SYS_arch_prctl, {abi::arch_set_fs, 0x8000'0000'0000}) == -EPERM);
    CHECK(w.call(SYS_arch_prctl, {abi::arch_set_gs, 0xffff'8000'0000'0000}) == -EPERM);
    REQUIRE(w.call(SYS_arch_prctl, {abi::arch_get_fs, scratch}) == 0);
    CHECK(w.get<std::uint64_t>(scratch) == 0x1234'5000);
    CHECK(w.call(SYS_arch_prctl, {0x4711, 0}) == -EINVAL);
}

TEST_CASE("prctl keeps names and flags") {
    world w;
    w.put_text(scratch, "a name longer than fifteen");
    REQUIRE(w.call(SYS_prctl, {abi::pr_set_name, scratch}) == 0);
    REQUIRE(w.call(SYS_prctl, {abi::pr_get_name, scratch + 64}) == 0);
    CHECK(w.get_text(scratch + 64, 16) == std::string("a name longer t\0", 16));
    CHECK(w.call(SYS_prctl, {abi::pr_get_no_new_privs, 0, 0, 0, 0}) == 0);
    CHECK(w.call(SYS_prctl, {abi::pr_set_no_new_privs, 1, 0, 0, 1}) == -EINVAL);
    CHECK(w.call(SYS_prctl, {abi::pr_set_no_new_privs, 1, 0, 0, 0}) == 0);
    CHECK(w.call(SYS_prctl, {abi::pr_get_no_new_privs, 0, 0, 0, 0}) == 1);
    CHECK(w.call(SYS_prctl, {abi::pr_capbset_read, 41}) == -EINVAL);
    CHECK(w.call(SYS_prctl, {99999}) == -EINVAL);
}

TEST_CASE("limits are Lambda's and only go down") {
    world w;
    REQUIRE(w.call(SYS_prlimit64, {0, abi::rlimit_nofile, 0, scratch}) == 0);
    CHECK(w.get<abi::rlimit64>(scratch).soft == 1024);
    REQUIRE(w.call(SYS_getrlimit, {abi::rlimit_stack, scratch}) == 0);
    CHECK(w.get<abi::rlimit64>(scratch).soft == 8u << 20);
    w.put(scratch, abi::rlimit64{100, 200});
    REQUIRE(w.call(SYS_setrlimit, {abi::rlimit_nofile, scratch}) == 0);
    w.put(scratch, abi::rlimit64{100, 201});
    CHECK(w.call(SYS_setrlimit, {abi::rlimit_nofile, scratch}) == -EPERM);
    w.put(scratch, abi::rlimit64{3, 2});
    CHECK(w.call(SYS_setrlimit, {abi::rlimit_nofile, scratch}) == -EINVAL);
    CHECK(w.call(SYS_getrlimit, {16, scratch}) == -EINVAL);
    CHECK(w.call(SYS_prlimit64, {77, abi::rlimit_nofile, 0, scratch}) == -ESRCH);
}

TEST_CASE("uname and sysinfo describe the guest, not the host") {
    world w;
    REQUIRE(w.call(SYS_uname, {scratch}) == 0);
    const auto u = w.get<abi::utsname>(scratch);
    CHECK(std::string(u.sysname) == "Linux");
    CHECK(std::string(u.release) == "6.1.0-hearth");
    CHECK(std::string(u.machine) == "x86_64");
    CHECK(std::string(u.nodename) == "localhost");
    w.host.advance(42s);
    REQUIRE(w.call(SYS_sysinfo, {scratch}) == 0);
    const auto s = w.get<abi::sysinfo>(scratch);
    CHECK(s.uptime == 42);
    CHECK(s.total_ram * s.unit == 8192 * 4096);
    CHECK(s.free_ram <= s.total_ram);
}

TEST_CASE("one CPU is to be seen") {
    world w;
    CHECK(w.call(SYS_sched_getaffinity, {0, 128, scratch}) == 8);
    CHECK(w.get<std::uint64_t>(scratch) == 1);
    CHECK(w.call(SYS_sched_getaffinity, {0, 4, scratch}) == -EINVAL);
    CHECK(w.call(SYS_sched_getaffinity, {77, 8, scratch}) == -ESRCH);
    w.put(scratch, std::uint64_t{2});
    CHECK(w.call(SYS_sched_setaffinity, {0, 8, scratch}) == -EINVAL);
    CHECK(w.call(SYS_getpriority, {0, 0}) == 20);
    CHECK(w.call(SYS_setpriority, {0, 0, 5}) == 0);
    CHECK(w.call(SYS_getpriority, {0, 0}) == 15);
    CHECK(w.call(SYS_setpriority, {0, 0, 0}) == -EACCES);
}

TEST_CASE("numbers of processes and threads stay below pid_max") {
    world w;
    constexpr std::uint64_t thread = 0x1'0f00;  // CLONE_THREAD, _SIGHAND, _FILES, _FS, _VM
    auto& state = w.kernel->state();
    state.last_id = pid_max - 3;
    // Whichever of the threads runs then makes the next.
    for (int i = 0; i < 3; ++i) w.step(SYS_clone, {thread, world::stack_top, 0, 0, 0});
    CHECK(state.tasks.size() == 4);
    CHECK(state.tasks.rbegin()->first == pid_max - 1);
    CHECK(std::next(state.tasks.rbegin())->first == pid_max - 2);
    CHECK(std::next(state.tasks.begin())->first == first_process + 1);
}

TEST_CASE("getrandom fills what it can and checks its flags") {
    world w;
    CHECK(w.call(SYS_getrandom, {scratch, 5000, 0}) == 5000);
    CHECK(w.get<std::uint8_t>(scratch + 1) ==
          static_cast<std::uint8_t>(w.get<std::uint8_t>(scratch) + 1));
    CHECK(w.call(SYS_getrandom, {scratch, 10, 8}) == -EINVAL);
    CHECK(w.call(SYS_getrandom, {scratch, 10, abi::grnd_random | abi::grnd_insecure}) == -EINVAL);
    CHECK(w.call(SYS_getrandom, {8, 10, 0}) == -EFAULT);
    // Up to the end of what is mapped: the part that went is the answer.
    CHECK(w.call(SYS_getrandom, {world::data + world::data_size - 2048, 1 << 20, 0}) == 2048);
}

TEST_CASE("exit_group ends the guest with its code") {
    world w;
    CHECK(w.step(SYS_exit_group, {0x1ff}).what == kind::exited);
    CHECK(w.kernel->exit_status() == exit_status{0xff, 0});
    CHECK(std::get<task_exited>(w.task_of().run).status == 0xff00);
}
