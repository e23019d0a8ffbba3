#pragma once

/// Signals as guest programs see them on x86-64: numbers, flags and the layouts the kernel writes
/// to user stacks (man 7 signal, man 2 sigaction, Linux uapi asm/sigcontext.h and asm/ucontext.h).
/// Depends on nothing.

#include <cstddef>
#include <cstdint>

namespace hearth::guest::abi {

// Numbers, in lower case: the host's headers define the usual names as macros.
inline constexpr int sighup = 1, sigint = 2, sigquit = 3, sigill = 4, sigtrap = 5, sigabrt = 6,
                     sigbus = 7, sigfpe = 8, sigkill = 9, sigusr1 = 10, sigsegv = 11, sigusr2 = 12,
                     sigpipe = 13, sigalrm = 14, sigterm = 15, sigstkflt = 16, sigchld = 17,
                     sigcont = 18, sigstop = 19, sigtstp = 20, sigttin = 21, sigttou = 22,
                     sigurg = 23, sigxcpu = 24, sigxfsz = 25, sigvtalrm = 26, sigprof = 27,
                     sigwinch = 28, sigio = 29, sigpwr = 30, sigsys = 31;
inline constexpr int first_realtime_signal = 32;

inline constexpr std::uint64_t sig_dfl = 0, sig_ign = 1;
inline constexpr int sig_block = 0, sig_unblock = 1, sig_setmask = 2;

inline constexpr std::uint64_t sa_nocldstop = 1, sa_nocldwait = 2, sa_siginfo = 4,
                               sa_expose_tagbits = 0x800, sa_restorer = 0x0400'0000,
                               sa_onstack = 0x0800'0000, sa_restart = 0x1000'0000,
                               sa_nodefer = 0x4000'0000, sa_resethand = 0x8000'0000;

// si_code.
inline constexpr int si_user = 0, si_kernel = 0x80, si_queue = -1, si_timer = -2, si_tkill = -6;
inline constexpr int cld_exited = 1, cld_killed = 2, cld_dumped = 3, cld_stopped = 5,
                     cld_continued = 6;
inline constexpr int ill_illopn = 2, fpe_intdiv = 1, fpe_fltdiv = 3, fpe_fltovf = 4, fpe_fltund = 5,
                     fpe_fltres = 6, fpe_fltinv = 7, segv_maperr = 1, segv_accerr = 2,
                     bus_adraln = 1, bus_adrerr = 2, trap_brkpt = 1, trap_trace = 2;

// sigaltstack.
inline constexpr std::int32_t ss_onstack = 1, ss_disable = 2, ss_autodisarm = -0x7fff'ffff - 1;
inline constexpr std::uint64_t minimum_signal_stack = 2048;

struct sigaction {
    std::uint64_t handler, flags, restorer, mask;
};
static_assert(sizeof(sigaction) == 32);

struct stack {
    std::uint64_t sp;
    std::int32_t flags;
    std::uint32_t padding;
    std::uint64_t size;
};
static_assert(sizeof(stack) == 24);

/// siginfo_t. The union is told apart by code; we fill the members named here, the rest is zero.
struct siginfo {
    std::int32_t number, error, code, padding;
    union {
        struct {
            std::int32_t pid;
            std::uint32_t uid;
            std::uint64_t value;  // of sigqueue
        } sender;
        struct {
            std::int32_t timer, overrun;
            std::uint64_t value;
        } posix_timer;
        struct {
            std::uint64_t address;
        } fault;
        struct {
            std::uint64_t band;
            std::int32_t fd;
        } poll;  // SIGIO, or what F_SETSIG puts in its place
        struct {
            std::int32_t pid;
            std::uint32_t uid;
            std::int32_t status;
        } child;  // SIGCHLD
        std::uint8_t bytes[112];
    };
};
static_assert(sizeof(siginfo) == 128 && offsetof(siginfo, sender) == 16);

/// struct sigcontext_64.
struct sigcontext {
    std::uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip,
        rflags;
    std::uint16_t cs, gs, fs, ss;
    std::uint64_t error_code, trap_number, old_mask, cr2;
    std::uint64_t fpstate;
    std::uint64_t reserved[8];
};
static_assert(sizeof(sigcontext) == 256);

struct ucontext {
    std::uint64_t flags, link;
    abi::stack stack;
    sigcontext context;
    std::uint64_t mask;
};
static_assert(sizeof(ucontext) == 304);
inline constexpr std::uint64_t uc_fp_xstate = 1, uc_sigcontext_ss = 2, uc_strict_restore_ss = 4;

/// What lies at RSP when a handler begins.
struct rt_sigframe {
    std::uint64_t return_address;
    abi::ucontext ucontext;
    abi::siginfo siginfo;
};
static_assert(sizeof(rt_sigframe) == 440);

/// The part of the FXSAVE image that hardware leaves to software (struct _fpx_sw_bytes).
struct fpx_sw_bytes {
    std::uint32_t magic1, extended_size;
    std::uint64_t features;
    std::uint32_t xstate_size;
    std::uint32_t padding[7];
};
static_assert(sizeof(fpx_sw_bytes) == 48);
inline constexpr std::size_t fpx_sw_offset = 464, fxsave_size = 512, xsave_header_size = 64;
inline constexpr std::uint32_t fp_xstate_magic1 = 0x4650'5853, fp_xstate_magic2 = 0x4650'5845;

}  // namespace hearth::guest::abi
