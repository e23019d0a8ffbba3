#pragma once

/// A vCPU. Registers travel in the shared kvm_run page (KVM_CAP_SYNC_REGS); no KVM_GET/SET_* ioctl on the
/// hot path. Owner thread only, except `kick`, which any thread may call at any time of the vcpu's life.

#include "base/mapping.hpp"
#include "base/unique_fd.hpp"
#include "vmm/kvm.hpp"
#include "vmm/vcpu_state.hpp"
#include "vmm/vm_exit.hpp"

#include <hearth/error.hpp>

#include <memory>

namespace hearth::vmm {

/// While one lives, the kick signal is blocked on this thread, as `vcpu::run` needs; the destructor drains
/// a kick that came late and restores the thread's mask. Two system calls in all. May be nested.
class run_scope {
  public:
    explicit run_scope(int signal) noexcept;
    run_scope(const run_scope&) = delete;
    run_scope& operator=(const run_scope&) = delete;
    ~run_scope();

  private:
    int signal_;
    bool was_blocked_;
};

class vcpu {
  public:
    static result<vcpu> create(const kvm& kvm, int vm_fd, int vcpu_id, int kick_signal);

    vcpu(vcpu&&) noexcept;
    vcpu& operator=(vcpu&&) = delete;
    ~vcpu();

    /// Runs the guest until it stops. The thread must be inside a run_scope.
    vm_exit run();

    /// User registers at the last boundary.
    [[nodiscard]] vcpu_state state() const noexcept;

    /// Fast path, right after a syscall_exit: returns `rax` to the guest, all else as it was.
    void return_from_syscall(std::uint64_t rax) noexcept;

    /// Everything: the next run starts CPL3 code with exactly these registers (start, exec, signal frame,
    /// arch_prctl, exceptions). RFLAGS is masked to what user code may own, IF set; RIP and the bases are
    /// the caller's to have checked for canonical form.
    void set_state(const vcpu_state& state) noexcept;

    [[nodiscard]] result<fpu_state> fpu() const;
    /// Sizes and reserved fields are checked by KVM; bytes from a guest (a signal frame) may be refused.
    result<void> set_fpu(const fpu_state& state);

    /// What RDTSC reads in this guest now, and its frequency (FACTS 7).
    [[nodiscard]] std::uint64_t tsc_now() const noexcept;
    [[nodiscard]] std::uint32_t tsc_khz() const noexcept;

    /// Makes the current run(), or the next one if none is under way, return interrupted_exit soon.
    void kick() noexcept;
    /// Forgets a kick that has not been delivered.
    void clear_kick() noexcept;

  private:
    struct impl;
    explicit vcpu(std::unique_ptr<impl>) noexcept;
    std::unique_ptr<impl> impl_;
};

}  // namespace hearth::vmm
