#pragma once

/// The unit Hearth states its speed in: one raw round trip SYSCALL at CPL3 → host → back, with
/// nothing of Hearth's own around it.

#include "vmm/kvm.hpp"

#include <hearth/error.hpp>

#include <chrono>

namespace hearth::vmm {

struct floor_timing {
    std::chrono::nanoseconds p50{}, p99{};
};

/// Measures n round trips (at least 100 are made) in a microVM of its own. Blocks; about 25 us each
/// on software KVM.
result<floor_timing> measure_floor(const kvm& kvm, int n);

}  // namespace hearth::vmm
