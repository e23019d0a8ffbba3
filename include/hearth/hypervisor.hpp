#pragma once

#include <hearth/error.hpp>

#include <filesystem>
#include <memory>

namespace hearth {

struct hypervisor_options {
    std::filesystem::path device = "/dev/kvm";
    /// As in runtime_options: the real-time signal that interrupts a running vCPU.
    int kick_signal_offset = 7;
};

/// The host's KVM, opened once and probed for its flavour, and what all sandboxes on it share: one
/// thread that watches their deadlines. A cheap handle; sandboxes and snapshots keep it alive.
/// Thread-safe.
class hypervisor {
  public:
    /// Takes milliseconds (the probe runs a throw-away microVM), so open it once.
    /// @errors errc::kvm_missing, kvm_forbidden, kvm_unsupported, kvm_failed: each with the cure in
    ///         its text; invalid_argument the signal is beyond SIGRTMAX
    [[nodiscard]] static result<hypervisor> open(hypervisor_options options = {});

    /// "hardware KVM" or "software KVM".
    [[nodiscard]] const char* flavour() const noexcept;

    struct impl;

  private:
    friend class sandbox;
    friend class snapshot;
    explicit hypervisor(std::shared_ptr<impl> i) noexcept : impl_(std::move(i)) {}
    std::shared_ptr<impl> impl_;
};

}  // namespace hearth
