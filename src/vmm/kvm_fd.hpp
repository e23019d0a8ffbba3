#pragma once

/// A descriptor of KVM's: the device, a VM or a vCPU, with who may refuse calls on it. Holds no
/// ioctl.

#include "base/unique_fd.hpp"

#include <utility>

namespace hearth::vmm {

/// The seam for fault injection: asked before each ioctl on what stems from one kvm. Called by any
/// thread, several at once; outlives that kvm and its microVMs.
class ioctl_filter {
  public:
    /// 0: the call is made. Else it is not, and fails with that errno.
    virtual int refuse(unsigned long request) noexcept = 0;

  protected:
    ~ioctl_filter() = default;
};

class kvm_fd {
  public:
    kvm_fd() noexcept = default;
    kvm_fd(unique_fd fd, ioctl_filter* filter) noexcept : fd_(std::move(fd)), filter_(filter) {}

    [[nodiscard]] int get() const noexcept { return fd_.get(); }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(fd_); }
    /// Null, but in tests.
    [[nodiscard]] ioctl_filter* filter() const noexcept { return filter_; }

  private:
    unique_fd fd_;
    ioctl_filter* filter_ = nullptr;
};

}  // namespace hearth::vmm
