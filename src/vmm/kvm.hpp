#pragma once

/// /dev/kvm, opened once per runtime: its capabilities and its flavour, found by behaviour (FACTS 2.1).
/// Immutable after `open`, so any thread may use it.

#include "vmm/kvm_fd.hpp"

#include <hearth/error.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hearth::vmm {

/// How a syscall returns to the guest; everything else is the same for both.
enum class flavour {
    hardware,  ///< SYSCALL enters CPL0, `sysretq` returns
    software,  ///< SYSCALL keeps CPL3; the host writes RIP = RCX
};

struct cpuid_table;  // private to vmm: the KVM_SET_CPUID2 argument

class kvm {
  public:
    /// Opens the device, checks API version and capabilities, runs the flavour probe (one throw-away VM).
    /// @errors errc::kvm_missing, kvm_forbidden, kvm_unsupported, kvm_failed; each with the cure in its text
    /// filter: a test's; null for everybody else.
    static result<kvm> open(const char* device = "/dev/kvm", ioctl_filter* filter = nullptr);

    kvm(kvm&&) noexcept;
    kvm& operator=(kvm&&) noexcept;
    ~kvm();

    [[nodiscard]] const kvm_fd& fd() const noexcept { return fd_; }
    [[nodiscard]] vmm::flavour flavour() const noexcept { return flavour_; }
    [[nodiscard]] std::size_t run_page_size() const noexcept { return run_page_size_; }
    [[nodiscard]] std::size_t xsave_size() const noexcept { return xsave_size_; }
    [[nodiscard]] const cpuid_table& cpuid() const noexcept { return *cpuid_; }
    [[nodiscard]] std::uint64_t host_xcr0() const noexcept { return host_xcr0_; }
    /// CR4 and XCR0 of every guest: the best this KVM accepted at the probe. XCR0 0: none, left as it is.
    [[nodiscard]] std::uint64_t guest_cr4() const noexcept { return guest_cr4_; }
    [[nodiscard]] std::uint64_t guest_xcr0() const noexcept { return guest_xcr0_; }
    /// 0: vector state goes into a vCPU by KVM_SET_XSAVE alone (x86_64/fpu_loader.hpp).
    [[nodiscard]] std::size_t loadable_xsave_size() const noexcept { return loadable_xsave_size_; }

  private:
    kvm();
    result<void> check_capabilities();
    result<void> probe();

    kvm_fd fd_;
    vmm::flavour flavour_ = flavour::hardware;
    std::size_t run_page_size_ = 0;
    std::size_t xsave_size_ = 4096;
    std::uint64_t host_xcr0_ = 0;
    std::uint64_t guest_cr4_ = 0;
    std::uint64_t guest_xcr0_ = 0;
    std::size_t loadable_xsave_size_ = 0;
    std::unique_ptr<cpuid_table> cpuid_;
};

/// "hardware KVM" or "software KVM".
const char* to_string(flavour) noexcept;

}  // namespace hearth::vmm
