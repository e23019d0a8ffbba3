#pragma once

/// A vCPU. Registers travel in the shared kvm_run page (KVM_CAP_SYNC_REGS); no KVM_GET/SET_* ioctl on the
/// hot path. Owner thread only, except `kick`, which any thread may call at any time of the vcpu's life.

#include "vmm/guest_memory.hpp"
#include "vmm/kvm.hpp"
#include "vmm/vcpu_state.hpp"
#include "vmm/vm_exit.hpp"

#include <hearth/error.hpp>

#include <cstdint>
#include <memory>

namespace hearth::vmm {

/// The signal `vcpu::kick` uses unless vm_options names another: SIGRTMIN + 7.
int default_kick_signal() noexcept;

/// While one lives, the kick signal is blocked on this thread, as `vcpu::run` needs; the destructor restores
/// the thread's mask. Two system calls in all. May be nested. No signal handler is involved: KVM_RUN alone
/// unblocks the signal, and `run` takes a late one off the thread before it returns.
class run_scope {
  public:
    /// signal: the vm's kick signal, or 0 for the default one.
    explicit run_scope(int signal) noexcept;
    run_scope(const run_scope&) = delete;
    run_scope& operator=(const run_scope&) = delete;
    ~run_scope();

    [[nodiscard]] int signal() const noexcept { return signal_; }
    /// The signals blocked inside KVM_RUN, as the kernel's 64 bits: the thread's own less the kick signal.
    [[nodiscard]] std::uint64_t run_mask() const noexcept { return run_mask_; }

  private:
    int signal_;
    bool was_blocked_;
    std::uint64_t run_mask_;
};

class vcpu {
  public:
    /// memory: the VM's slot 0, with the system area written; its host mapping must outlive the vcpu.
    /// kick_signal: a real-time signal the embedder does not use.
    static result<vcpu> create(
        const kvm& kvm, const kvm_fd& vm_fd, const guest_memory& memory, int vcpu_id, int kick_signal);

    vcpu(vcpu&&) noexcept;
    vcpu& operator=(vcpu&&) noexcept;
    ~vcpu();

    /// Runs the guest until it stops. The thread must be inside a run_scope of this vcpu's signal; an
    /// assertion checks that. Without the scope at hand, the thread's signal mask is asked for: one more
    /// system call.
    ///
    /// Running again with nothing set goes on: after a syscall_exit RAX is returned unchanged, after an
    /// exception_exit the instruction is tried again, after an interrupted_exit nothing is lost.
    vm_exit run(const run_scope& scope);
    vm_exit run();

    /// User registers at the last boundary. Inside the stub page, after an interrupted_exit, they are those
    /// of a SYSCALL about to be executed (RIP = RCX - 2, RAX the number) or, once it was answered, just past
    /// it; so they can be set in any vCPU. Where software KVM had to let an IN or OUT of the
    /// program's own through to us (reported as #GP), RIP may be past it.
    [[nodiscard]] vcpu_state state() const noexcept;

    /// Fast path, right after a syscall_exit: returns `rax` to the guest, all else as it was.
    void return_from_syscall(std::uint64_t rax) noexcept;

    /// Everything: the next run starts CPL3 code with exactly these registers (start, exec, signal frame,
    /// arch_prctl, exceptions). RFLAGS is masked to what user code may own, IF set. Any RIP is safe: one
    /// outside the user half makes the next run() an exception_exit (#GP, or #PF if canonical). Bases are
    /// made canonical by sign extension; a caller that must refuse others checks first.
    void set_state(const vcpu_state& state) noexcept;

    /// The page-table root that the next run() uses (CR3): a page whose upper half of the user half
    /// leads to the system area as layout::pml4 does. Followed by set_state().
    void set_root(gpa pml4) noexcept;
    [[nodiscard]] gpa root() const noexcept;

    [[nodiscard]] result<fpu_state> fpu() const;
    /// Empty: the initial state. Shorter images (at least 576 bytes) are extended by zeroes. Reserved fields
    /// are checked, by KVM or here; bytes from a guest (a signal frame) may be refused, and then nothing changes.
    /// @errors errc::invalid_argument
    result<void> set_fpu(const fpu_state& state);

    /// What RDTSC reads in this guest now, and its frequency (FACTS 7).
    [[nodiscard]] std::uint64_t tsc_now() const noexcept;
    [[nodiscard]] std::uint32_t tsc_khz() const noexcept;

    /// Makes the current run(), or the next one if none is under way, return interrupted_exit soon. An exit
    /// that is already on its way is reported first; the run after it is the interrupted one.
    void kick() noexcept;
    /// Forgets a kick that has not been delivered.
    void clear_kick() noexcept;

    [[nodiscard]] int kick_signal() const noexcept;

  private:
    struct impl;
    explicit vcpu(std::unique_ptr<impl>) noexcept;
    std::unique_ptr<impl> impl_;
};

}  // namespace hearth::vmm
