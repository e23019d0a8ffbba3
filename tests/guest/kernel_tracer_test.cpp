#include "guest/abi/signal.hpp"
#include "kernel_world.hpp"

#include <sys/syscall.h>

using namespace kernel_test;
namespace abi = hearth::guest::abi;

TEST_CASE("the tracer prints a line per call as strace does") {
    world w;
    w.host.trace_on = true;
    w.call(SYS_getpid);
    w.call(SYS_kill, {77, 9});
    w.call(SYS_rt_sigaction, {10, 0, world::data, 8});
    w.call(SYS_io_uring_setup, {1, 2});
    w.call(400, {1});
    CHECK(
        w.host.lines ==
        std::vector<std::string>{
            "getpid() = 8", "kill(77, 9) = -1 ESRCH (No such process)",
            "rt_sigaction(10, NULL, 0x100000, 8) = 0",
            "io_uring_setup(0x1, 0x2, 0x0, 0x0, 0x0, 0x0) = -1 ENOSYS (Function not implemented)",
            "syscall_0x190(0x1, 0x0, 0x0, 0x0, 0x0, 0x0) = -1 ENOSYS (Function not implemented)"});
}

TEST_CASE("the tracer shows waits, their ends, signals and the end") {
    world w;
    w.host.trace_on = true;
    w.put(world::data, abi::timespec{1, 0});
    w.step(SYS_nanosleep, {world::data, 0});
    w.host.advance(1s);
    w.kernel->resume(w.regs);
    w.step(SYS_pause);
    w.kernel->post_signal(w.process(), {.number = abi::sigterm, .sender_pid = 3});
    w.kernel->resume(w.regs);
    CHECK(w.host.lines ==
          std::vector<std::string>{
              "nanosleep(0x100000, NULL) = ? <waits for 1001000000000 ns on the clock>",
              "<... nanosleep resumed> = 0", "pause() = ? <waits for a signal>",
              "<... pause resumed> = -1 EINTR (Interrupted system call)",
              "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=3, si_uid=0} ---",
              "+++ killed by SIGTERM +++"});
}

TEST_CASE("the tracer shows a fault's address") {
    world w;
    w.host.trace_on = true;
    w.kernel->on_exception(w.regs, {.vector = 14, .error_code = 4, .fault_address = gva{0x10}});
    REQUIRE(w.host.lines.size() == 2);
    CHECK(w.host.lines[0] ==
          "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10} ---");
}
