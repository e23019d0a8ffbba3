#pragma once

/// A guest at rest, as a value: its memory, registers and kernel state. From it any number of
/// clones start, on this machine or, once stored, after a restart. Holds nothing of a vCPU, VM or
/// host descriptor, so the same snapshot serves both KVM flavours.

#include "guest/kernel/kernel_state.hpp"
#include "sandbox/memory_image.hpp"
#include "vmm/vcpu_state.hpp"

#include <hearth/units.hpp>

#include <chrono>
#include <cstdint>
#include <memory>

namespace hearth::detail {

struct snapshot_image {
    /// The snapshot this one's guest was cloned from, when it was; null: this is a root. A root's
    /// memory is all in `base`, and none of its leaf entries is dirty.
    std::shared_ptr<const snapshot_image> root;
    std::shared_ptr<const memory_image> base;  ///< the root's
    /// What this guest wrote since it was cloned, leaf page tables included; empty in a root.
    memory_diff written;

    guest::kernel_state kernel;
    /// Of the task that was on the vCPU, always of user code (never of the system call stub).
    vmm::vcpu_state registers;
    vmm::fpu_state fpu;
    /// No task could go on: `kernel::resume` comes first.
    bool parked = false;

    std::uint64_t memory_limit = 0;          ///< bytes the guest may have
    std::chrono::nanoseconds guest_clock{};  ///< its CLOCK_MONOTONIC when the image was taken
    std::chrono::nanoseconds cpu_time{};     ///< used until then
};

}  // namespace hearth::detail
