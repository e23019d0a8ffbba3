#pragma once

/// One microVM shell: a KVM VM, its memory slot and its vCPU, with the system area written and the vCPU at
/// CPL3 in 64-bit mode. Devices: none. Move-only; used by one thread at a time, except `kick`.

#include "vmm/guest_memory.hpp"
#include "vmm/kvm.hpp"
#include "vmm/vcpu.hpp"

#include <hearth/error.hpp>
#include <hearth/units.hpp>

namespace hearth::vmm {

struct vm_options {
    byte_count memory;  ///< size of the guest-physical region, a multiple of 2 MiB
    /// Answer the trivial calls (getpid, …) inside the stub page, without an exit. Off for tracing.
    bool fast_syscalls = true;
    /// The real-time signal `vcpu::kick` uses; no handler is ever installed for it.
    int kick_signal = 0;  // 0: default_kick_signal()
};

class vm {
  public:
    static result<vm> create(const kvm& kvm, const vm_options& options);

    vm(vm&&) noexcept = default;
    vm& operator=(vm&& other) noexcept;
    ~vm() = default;

    [[nodiscard]] guest_memory& memory() noexcept { return memory_; }
    [[nodiscard]] const guest_memory& memory() const noexcept { return memory_; }
    [[nodiscard]] vmm::vcpu& vcpu() noexcept { return vcpu_; }

    /// Makes every translation to anything stale: a dummy memory slot added and deleted (FACTS 3). For a
    /// present non-leaf entry that was pointed at another table: exec, another snapshot in this shell.
    result<void> drop_all_translations();

  private:
    vm(guest_memory memory, kvm_fd fd, vmm::vcpu vcpu) noexcept;
    // Teardown order, reversed: the vcpu dies before the vm, the vm before memory.
    guest_memory memory_;
    kvm_fd fd_;
    vmm::vcpu vcpu_;
};

}  // namespace hearth::vmm
