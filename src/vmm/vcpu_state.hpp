#pragma once

/// The registers of guest user code at a boundary: after a system call, an exception, or a stop. Always
/// those of CPL3 code, never of the syscall stub (FACTS 2.1: RIP = RCX, RFLAGS = R11 after SYSCALL), so the
/// same value means the same on both KVM flavours and on any vCPU. A value; holds no ioctl.

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth::vmm {

struct vcpu_state {
    std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, rsp = 0, rbp = 0;
    std::uint64_t r8 = 0, r9 = 0, r10 = 0, r11 = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0;
    std::uint64_t rip = 0, rflags = 0x202;
    std::uint64_t fs_base = 0, gs_base = 0;

    bool operator==(const vcpu_state&) const = default;
};

/// x87, SSE, AVX … state in XSAVE's standard format (SDM, "XSAVE Area"), as KVM_GET_XSAVE2 gives it.
/// Empty: the initial state.
struct fpu_state {
    std::vector<std::byte> xsave;
    bool operator==(const fpu_state&) const = default;
};

}  // namespace hearth::vmm
