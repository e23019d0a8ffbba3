#pragma once

/// A vCPU put into 64-bit mode at CPL3, before anything of Hearth's own is kept about it: what
/// `vcpu`, the flavour probe and the floor measurement start from. Needs the system area to be
/// written.

#include "base/mapping.hpp"
#include "vmm/kvm.hpp"
#include "vmm/kvm_api.hpp"

#include <hearth/error.hpp>

namespace hearth::vmm::x86_64 {

/// CR4 and XCR0 of a vCPU. XCR0 0: KVM took none, it stays as it is.
struct control_registers {
    std::uint64_t cr4 = 0;
    std::uint64_t xcr0 = 0;
};

struct bare_vcpu {
    kvm_fd fd;
    mapping page;
    control_registers control;
    kvm_sregs user_sregs{};  ///< CPL3 code in the guest's address space; bases zero

    [[nodiscard]] kvm_run& run() const noexcept { return *reinterpret_cast<kvm_run*>(page.data()); }
};

/// Creates and initialises vCPU `id` of the VM. CPUID, control registers, XCR0 and MSRs stay as
/// they are set here for the life of the vCPU; CR4 and XCR0 are kvm's, or, while it has none yet
/// (kvm::open), the best that is accepted. General registers are KVM's reset values.
/// @errors errc::no_room, kvm_failed
result<bare_vcpu> bring_up(const kvm& kvm, const kvm_fd& vm, int id);

/// The whole of guest memory as the VM's slot 0, or another slot beside it. length 0 deletes the
/// slot.
result<void> set_memory_slot(
    const kvm_fd& vm, std::uint32_t slot, std::uint64_t gpa, std::uint64_t length, void* host);

/// KVM_CREATE_VM.
result<kvm_fd> create_vm(const kvm& kvm);

}  // namespace hearth::vmm::x86_64
