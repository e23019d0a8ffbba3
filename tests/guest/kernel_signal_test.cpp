#include "guest/abi/signal.hpp"
#include "guest/kernel/signals.hpp"
#include "kernel_world.hpp"

#include <sys/syscall.h>

using namespace kernel_test;
namespace abi = hearth::guest::abi;

namespace {

step raise(world& w, int number) {
    return w.step(SYS_tgkill, {first_process, first_process, static_cast<std::uint64_t>(number)});
}
abi::rt_sigframe frame(world& w) { return w.get<abi::rt_sigframe>(w.regs.rsp); }
/// The handler's RET, then the restorer's system call.
step sigreturn(world& w) {
    REQUIRE(w.get<std::uint64_t>(w.regs.rsp) == restorer);
    w.regs.rsp += 8;
    w.regs.rip = restorer;
    return w.step(SYS_rt_sigreturn);
}
vmm::fpu_state some_fpu() {
    vmm::fpu_state fpu;
    fpu.xsave.assign(4096, std::byte{0});
    for (std::size_t i = 32; i < 416; ++i) fpu.xsave[i] = std::byte(i * 7);
    fpu.xsave[0] = std::byte{0x7f}, fpu.xsave[1] = std::byte{3};
    fpu.xsave[24] = std::byte{0x80}, fpu.xsave[25] = std::byte{0x1f};
    fpu.xsave[512] = std::byte{7};  // XSTATE_BV: x87, SSE, AVX
    for (std::size_t i = 576; i < 832; ++i) fpu.xsave[i] = std::byte(i * 3);
    return fpu;
}

}  // namespace

TEST_CASE("a handler runs on the kernel's frame and rt_sigreturn gives every register back") {
    world w;
    w.host.fpu = some_fpu();
    install(w, abi::sigusr1, abi::sa_siginfo, signal_bit(abi::sigusr2));
    w.regs.rbx = 0x1111, w.regs.rbp = 0x2222, w.regs.r12 = 0x3333, w.regs.r15 = 0x4444;
    w.regs.fs_base = 0x5555'0000, w.regs.rflags = 0x202 | 0x8d5 | 0x400;
    REQUIRE(raise(w, abi::sigusr1).what == kind::set_registers);

    // What the handler sees.
    const auto interrupted_rsp = world::stack_top - 256;
    CHECK(w.regs.rip == handler);
    CHECK(w.regs.rdi == abi::sigusr1);
    CHECK(w.regs.rsi == w.regs.rsp + offsetof(abi::rt_sigframe, siginfo));
    CHECK(w.regs.rdx == w.regs.rsp + offsetof(abi::rt_sigframe, ucontext));
    CHECK(w.regs.rsp % 16 == 8);  // as after a CALL
    CHECK((w.regs.rflags & 0x400) == 0);
    CHECK(w.regs.fs_base == 0x5555'0000);
    const auto f = frame(w);
    CHECK(f.return_address == restorer);
    CHECK(f.siginfo.number == abi::sigusr1);
    CHECK(f.siginfo.code == abi::si_tkill);
    CHECK(f.siginfo.sender.pid == first_process);
    const auto& c = f.ucontext.context;
    CHECK(c.rbx == 0x1111);
    CHECK(c.rax == 0);  // tgkill's value
    CHECK(c.rsp == interrupted_rsp);
    CHECK(c.fpstate % 64 == 0);
    CHECK(c.fpstate + 836 <= interrupted_rsp - 128);  // below the red zone
    const auto sw = w.get<abi::fpx_sw_bytes>(c.fpstate + abi::fpx_sw_offset);
    CHECK(sw.magic1 == abi::fp_xstate_magic1);
    CHECK(sw.xstate_size == 832);
    CHECK(sw.extended_size == 836);
    CHECK((sw.features & 7) == 7);
    CHECK(w.get<std::uint32_t>(c.fpstate + sw.xstate_size) == abi::fp_xstate_magic2);
    CHECK(w.task_of().signals.blocked == (signal_bit(abi::sigusr1) | signal_bit(abi::sigusr2)));

    // The handler clobbers what it likes.
    vmm::vcpu_state expected = w.regs;
    expected = {.rax = c.rax,
                .rbx = c.rbx,
                .rcx = c.rcx,
                .rdx = c.rdx,
                .rsi = c.rsi,
                .rdi = c.rdi,
                .rsp = c.rsp,
                .rbp = c.rbp,
                .r8 = c.r8,
                .r9 = c.r9,
                .r10 = c.r10,
                .r11 = c.r11,
                .r12 = c.r12,
                .r13 = c.r13,
                .r14 = c.r14,
                .r15 = c.r15,
                .rip = c.rip,
                .rflags = c.rflags,
                .fs_base = 0x5555'0000,
                .gs_base = 0};
    w.regs.rbx = w.regs.r12 = w.regs.r15 = 0xbad;
    w.host.fpu = {};
    REQUIRE(sigreturn(w).what == kind::set_registers);
    CHECK(w.regs == expected);
    CHECK(w.task_of().signals.blocked == 0);
    const auto original = some_fpu();
    REQUIRE(w.host.fpu.xsave.size() >= 832);
    for (std::size_t i = 0; i < 832; ++i) {
        if (i >= abi::fpx_sw_offset && i < 512) continue;  // software's bytes
        REQUIRE(w.host.fpu.xsave[i] == original.xsave[i]);
    }
}

TEST_CASE("a frame cannot forge privileges") {
    world w;
    install(w, abi::sigusr1);
    raise(w, abi::sigusr1);
    const auto at = w.regs.rsp + offsetof(abi::rt_sigframe, ucontext);
    auto uc = w.get<abi::ucontext>(at);
    SECTION("flags a program does not own are masked") {
        uc.context.rflags = ~0ull;
        w.put(at, uc);
        REQUIRE(sigreturn(w).what == kind::set_registers);
        CHECK((w.regs.rflags & ~std::uint64_t{0x5'0dd5}) == 0x202);  // no IOPL, VM, NT, VIF …
    }
    SECTION("SIGKILL and SIGSTOP cannot be blocked") {
        uc.mask = ~0ull;
        w.put(at, uc);
        sigreturn(w);
        CHECK(w.task_of().signals.blocked ==
              ~(signal_bit(abi::sigkill) | signal_bit(abi::sigstop)));
    }
    SECTION("a jump out of the user half is SIGSEGV") {
        uc.context.rip = 0xffff'8000'0000'0000;
        w.put(at, uc);
        CHECK(sigreturn(w).what == kind::exited);
        CHECK(w.kernel->exit_status().signal == abi::sigsegv);
    }
    SECTION("vector state the processor refuses is SIGSEGV") {
        w.host.refuse_fpu = true;
        CHECK(sigreturn(w).what == kind::exited);
        CHECK(w.kernel->exit_status().signal == abi::sigsegv);
    }
    SECTION("a frame that is not there is SIGSEGV") {
        w.regs.rsp = 0x7777'0000'0000;
        CHECK(w.step(SYS_rt_sigreturn).what == kind::exited);
    }
}

TEST_CASE("an alternate stack is used when asked for, and never run over") {
    world w;
    const std::uint64_t stack = w.data + 0x8000, size = 0x2000;
    w.put(scratch, abi::stack{stack, 0, 0, size});
    REQUIRE(w.call(SYS_sigaltstack, {scratch, 0}) == 0);
    install(w, abi::sigusr1, abi::sa_onstack | abi::sa_nodefer);
    raise(w, abi::sigusr1);
    CHECK(w.regs.rsp > stack);
    CHECK(w.regs.rsp < stack + size);
    // While on it, it may not be changed, and shows so.
    CHECK(w.call(SYS_sigaltstack, {scratch, 0}) == -EPERM);
    REQUIRE(w.call(SYS_sigaltstack, {0, scratch}) == 0);
    CHECK(w.get<abi::stack>(scratch).flags == abi::ss_onstack);
    // Frame upon frame: in the end there is no room, and that is SIGSEGV.
    step s{};
    int nested = 0;
    do {
        s = raise(w, abi::sigusr1);
    } while (s.what == kind::set_registers && ++nested < 100);
    CHECK(s.what == kind::exited);
    CHECK(nested > 3);
    CHECK(w.kernel->exit_status().signal == abi::sigsegv);
}

TEST_CASE("sigaltstack refuses what man 2 says") {
    world w;
    w.put(scratch, abi::stack{w.data, 0, 0, 100});
    CHECK(w.call(SYS_sigaltstack, {scratch, 0}) == -ENOMEM);
    w.put(scratch, abi::stack{w.data, 64, 0, 8192});
    CHECK(w.call(SYS_sigaltstack, {scratch, 0}) == -EINVAL);
    CHECK(w.call(SYS_sigaltstack, {8, 0}) == -EFAULT);
}

TEST_CASE("blocked signals wait, and come when they are unblocked") {
    world w;
    install(w, abi::sigusr1);
    w.put(scratch, signal_bit(abi::sigusr1));
    REQUIRE(w.call(SYS_rt_sigprocmask, {abi::sig_block, scratch, 0, 8}) == 0);
    CHECK(raise(w, abi::sigusr1).what == kind::return_value);
    REQUIRE(w.call(SYS_rt_sigpending, {scratch + 8, 8}) == 0);
    CHECK(w.get<std::uint64_t>(scratch + 8) == signal_bit(abi::sigusr1));
    CHECK(w.step(SYS_rt_sigprocmask, {abi::sig_unblock, scratch, 0, 8}).what ==
          kind::set_registers);
    CHECK(w.regs.rip == handler);
}

TEST_CASE("standard signals merge while blocked and real-time ones queue in order") {
    world w;
    install(w, abi::sigusr1, abi::sa_siginfo);
    install(w, 40, abi::sa_siginfo);
    w.put(scratch, ~0ull);
    w.call(SYS_rt_sigprocmask, {abi::sig_setmask, scratch, 0, 8});
    raise(w, abi::sigusr1), raise(w, abi::sigusr1);
    for (std::uint64_t i = 1; i <= 3; ++i) {
        abi::siginfo info{};
        info.code = abi::si_queue;
        info.sender.value = i;
        w.put(scratch + 64, info);
        REQUIRE(w.call(SYS_rt_sigqueueinfo, {first_process, 40, scratch + 64}) == 0);
    }
    CHECK(w.task_of().signals.pending.size() == 1);
    CHECK(w.process().pending.size() == 3);
    w.put(scratch, std::uint64_t{0});
    w.step(SYS_rt_sigprocmask, {abi::sig_setmask, scratch, 0, 8});
    // Lowest first, each blocking itself: 10 and the first 40 have frames now.
    CHECK(frame(w).siginfo.number == 40);
    CHECK(frame(w).siginfo.sender.value == 1);
    sigreturn(w);
    CHECK(frame(w).siginfo.sender.value == 2);
    sigreturn(w);
    CHECK(frame(w).siginfo.sender.value == 3);
    sigreturn(w);
    CHECK(frame(w).siginfo.number == abi::sigusr1);
    sigreturn(w);
    CHECK(w.process().pending.empty());
    CHECK(w.regs.rip < handler);
}

TEST_CASE("what a full queue refuses is told to its sender") {
    world w;
    w.put(scratch, ~0ull);
    w.call(SYS_rt_sigprocmask, {abi::sig_setmask, scratch, 0, 8});
    abi::siginfo info{};
    info.code = abi::si_queue;
    w.put(scratch + 64, info);
    for (std::size_t i = 0; i < signals::queue_limit; ++i)
        REQUIRE(w.call(SYS_rt_sigqueueinfo, {first_process, 40, scratch + 64}) == 0);
    CHECK(w.call(SYS_rt_sigqueueinfo, {first_process, 40, scratch + 64}) == -EAGAIN);
    CHECK(w.call(SYS_rt_sigqueueinfo, {first_process, 41, scratch + 64}) == -EAGAIN);
    CHECK(w.process().pending.size() == signals::queue_limit);
    for (int i = 0; i < 3; ++i) CHECK(w.call(SYS_kill, {first_process, 41}) == 0);
    CHECK(w.process().pending.size() == signals::queue_limit + 1);
    CHECK(w.call(SYS_kill, {first_process, abi::sigusr1}) == 0);
    CHECK(w.process().pending.size() == signals::queue_limit + 2);
    // A thread has a queue of its own, and what is in all of them together counts.
    CHECK(w.call(SYS_tkill, {first_process, 40}) == -EAGAIN);
    w.process().pending.clear();
    for (std::size_t i = 0; i < signals::queue_limit; ++i)
        REQUIRE(w.call(SYS_tkill, {first_process, 40}) == 0);
    CHECK(w.call(SYS_tkill, {first_process, 40}) == -EAGAIN);
    CHECK(w.call(SYS_rt_sigqueueinfo, {first_process, 40, scratch + 64}) == -EAGAIN);
}

TEST_CASE("default actions end the guest or are nothing") {
    world w;
    CHECK(raise(w, abi::sigchld).what == kind::return_value);
    CHECK(raise(w, abi::sigwinch).what == kind::return_value);
    CHECK(raise(w, abi::sigtstp).what == kind::return_value);
    CHECK(w.task_of().signals.pending.empty());
    SECTION("SIGTERM") {
        CHECK(raise(w, abi::sigterm).what == kind::exited);
        CHECK(w.kernel->exit_status() == exit_status{0, abi::sigterm});
        CHECK(w.step(SYS_getpid).what == kind::exited);
    }
    SECTION("SIGKILL cannot be handled") {
        w.put(scratch, abi::sigaction{handler, abi::sa_restorer, restorer, 0});
        CHECK(w.call(SYS_rt_sigaction, {abi::sigkill, scratch, 0, 8}) == -EINVAL);
        CHECK(w.step(SYS_kill, {first_process, abi::sigkill}).what == kind::exited);
    }
}

TEST_CASE("SA_RESETHAND and SA_NODEFER act") {
    world w;
    install(w, abi::sigusr1, abi::sa_resethand | abi::sa_nodefer);
    raise(w, abi::sigusr1);
    CHECK(w.task_of().signals.blocked == 0);
    CHECK(raise(w, abi::sigusr1).what == kind::exited);
}

TEST_CASE("a handler without SA_RESTORER has no way back: SIGSEGV") {
    world w;
    w.put(scratch, abi::sigaction{handler, 0, 0, 0});
    REQUIRE(w.call(SYS_rt_sigaction, {abi::sigusr1, scratch, 0, 8}) == 0);
    CHECK(raise(w, abi::sigusr1).what == kind::exited);
    CHECK(w.kernel->exit_status().signal == abi::sigsegv);
}

TEST_CASE("sigaction answers the old action, clears unknown flags and drops what becomes ignored") {
    world w;
    w.put(scratch, abi::sigaction{handler, abi::sa_restorer | 0x400, restorer, ~0ull});
    REQUIRE(w.call(SYS_rt_sigaction, {abi::sigusr1, scratch, 0, 8}) == 0);
    REQUIRE(w.call(SYS_rt_sigaction, {abi::sigusr1, 0, scratch, 8}) == 0);
    const auto a = w.get<abi::sigaction>(scratch);
    CHECK(a.handler == handler);
    CHECK(a.flags == abi::sa_restorer);
    CHECK(a.mask == ~(signal_bit(abi::sigkill) | signal_bit(abi::sigstop)));
    CHECK(w.call(SYS_rt_sigaction, {abi::sigusr1, 0, 0, 16}) == -EINVAL);
    CHECK(w.call(SYS_rt_sigaction, {65, 0, 0, 8}) == -EINVAL);
    CHECK(w.call(SYS_rt_sigaction, {0, 0, 0, 8}) == -EINVAL);

    w.put(scratch, ~0ull);
    w.call(SYS_rt_sigprocmask, {abi::sig_setmask, scratch, 0, 8});
    raise(w, abi::sigusr1);
    w.put(scratch, abi::sigaction{abi::sig_ign, 0, 0, 0});
    w.call(SYS_rt_sigaction, {abi::sigusr1, scratch, 0, 8});
    CHECK(w.task_of().signals.pending.empty());
}

TEST_CASE("exceptions become the signals a program knows") {
    world w;
    const auto dies_of = [](std::uint8_t vector) {
        world fresh;
        CHECK(
            fresh.kernel
                ->on_exception(fresh.regs, {.vector = vector, .error_code = 0, .fault_address = {}})
                .what == kind::exited);
        return fresh.kernel->exit_status().signal;
    };
    CHECK(dies_of(0) == abi::sigfpe);
    CHECK(dies_of(1) == abi::sigtrap);
    CHECK(dies_of(3) == abi::sigtrap);
    CHECK(dies_of(6) == abi::sigill);
    CHECK(dies_of(12) == abi::sigsegv);
    CHECK(dies_of(13) == abi::sigsegv);
    CHECK(dies_of(16) == abi::sigfpe);
    CHECK(dies_of(17) == abi::sigbus);
    CHECK(dies_of(19) == abi::sigfpe);

    install(w, abi::sigsegv, abi::sa_siginfo);
    const auto s =
        w.kernel->on_exception(w.regs, {.vector = 14, .error_code = 6, .fault_address = gva{0x10}});
    REQUIRE(s.what == kind::set_registers);
    CHECK(w.regs.rip == handler);
    const auto f = frame(w);
    CHECK(f.siginfo.number == abi::sigsegv);
    CHECK(f.siginfo.code == abi::segv_maperr);
    CHECK(f.siginfo.fault.address == 0x10);
    CHECK(f.ucontext.context.trap_number == 14);
    CHECK(f.ucontext.context.error_code == 6);
    CHECK(f.ucontext.context.cr2 == 0x10);

    // A second fault inside the handler: SIGSEGV is blocked, and that kills.
    CHECK(
        w.kernel->on_exception(w.regs, {.vector = 14, .error_code = 6, .fault_address = gva{0x10}})
            .what == kind::exited);
    CHECK(w.kernel->exit_status().signal == abi::sigsegv);
}

TEST_CASE("a store to code is SEGV_ACCERR, and a page not yet given is no signal at all") {
    world w;
    install(w, abi::sigsegv, abi::sa_siginfo);
    REQUIRE(
        w.kernel
            ->on_exception(w.regs, {.vector = 14, .error_code = 7, .fault_address = gva{w.code}})
            .what == kind::set_registers);
    CHECK(frame(w).siginfo.code == abi::segv_accerr);
    const auto before = w.regs;
    CHECK(w.kernel
              ->on_exception(
                  w.regs, {.vector = 14, .error_code = 6, .fault_address = gva{w.data + 0x5'0000}})
              .what == kind::set_registers);
    CHECK(w.regs == before);
}

TEST_CASE("INT n is SIGSEGV whichever way the machine reports it") {
    world w;
    // The area is made writable for the moment it takes to place the instruction.
    REQUIRE(w.space().protect(gva{w.code}, 4096, {true, true, false}).has_value());
    w.put(w.code + 0x100, std::uint16_t{0x80cd});
    w.regs.rip = w.code + 0x100;
    CHECK(
        w.kernel->on_exception(w.regs, {.vector = 6, .error_code = 0, .fault_address = {}}).what ==
        kind::exited);
    CHECK(w.kernel->exit_status().signal == abi::sigsegv);
}

TEST_CASE("kill tells processes apart") {
    world w;
    CHECK(w.call(SYS_kill, {first_process, 0}) == 0);
    CHECK(w.call(SYS_kill, {0, 0}) == 0);
    CHECK(w.call(SYS_kill, {4711, 0}) == -ESRCH);
    CHECK(w.call(SYS_kill, {static_cast<std::uint64_t>(-1), 9}) == -ESRCH);  // nobody else is there
    CHECK(w.call(SYS_kill, {first_process, 65}) == -EINVAL);
    CHECK(w.call(SYS_tgkill, {first_process, 99, 0}) == -ESRCH);
    CHECK(w.call(SYS_tgkill, {99, first_process, 0}) == -ESRCH);
    CHECK(w.call(SYS_tkill, {0, 0}) == -EINVAL);
}
