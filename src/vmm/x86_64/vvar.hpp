#pragma once

/// The page that guest code reads without an exit: the vDSO's clock and the stub page's answers. Guest ABI:
/// the vDSO (C) and the stub (machine code) use these offsets, pinned below. Written by the host only while
/// the guest does not run, so readers need no retry loop.

#include <cstddef>
#include <cstdint>

namespace hearth::vmm {

struct vvar {
    // ns = ns0 + ((rdtsc - tsc0) * mul >> shift), with a 128-bit product.
    std::uint64_t tsc0;
    std::uint64_t monotonic_ns0;  ///< CLOCK_MONOTONIC, also BOOTTIME
    std::uint64_t realtime_ns0;   ///< CLOCK_REALTIME
    std::uint32_t mul;
    std::uint32_t shift;
    // Answers of the trivial system calls.
    std::uint32_t pid, tid, ppid;
    std::uint32_t uid, gid, euid, egid;
};
static_assert(offsetof(vvar, mul) == 24 && offsetof(vvar, pid) == 32 && offsetof(vvar, egid) == 56);

}  // namespace hearth::vmm
