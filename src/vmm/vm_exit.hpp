#pragma once

/// Why a vCPU stopped. Every KVM exit reason has its place; one we do not know carries its number.

#include "vmm/address.hpp"

#include <cstdint>
#include <variant>

namespace hearth::vmm {

/// The guest executed SYSCALL through the stub: `vcpu::state()` holds the arguments.
struct syscall_exit {};

/// An exception at CPL3 (SDM, "Interrupt and Exception Handling"), or an attempt to enter the host in
/// another way than through the stub (reported as #GP).
struct exception_exit {
    std::uint8_t vector = 0;
    std::uint32_t error_code = 0;  ///< as Linux shows it: above the user half always "protection"
    gva fault_address;  ///< CR2, for #PF
};

/// A kick or another signal ended KVM_RUN. Run again to go on.
struct interrupted_exit {};

/// KVM could not get at host memory (KVM_RUN: EFAULT): a file mapping past its end, or memory exhausted.
struct memory_exit {
    std::uint64_t rip = 0;
};

/// Triple fault, failed entry, internal error, or a reason we do not know: the sandbox is poisoned, and the
/// microVM must be destroyed, not used again.
struct unusable_exit {
    std::uint32_t reason = 0;     ///< KVM_EXIT_*; 0 also where KVM_RUN itself failed
    std::uint64_t detail = 0;     ///< suberror, hardware reason, port, or the errno of KVM_RUN
    std::uint64_t rip = 0;
};

using vm_exit = std::variant<syscall_exit, exception_exit, interrupted_exit, memory_exit, unusable_exit>;

}  // namespace hearth::vmm
