#pragma once

/// The clock of the vvar page: what the host writes there so that guest code turns a TSC value into
/// time without an exit. Pure; the reader in guest code is vdso/vdso.c and does the same
/// arithmetic.

#include "vmm/x86_64/vvar.hpp"

#include <chrono>
#include <cstdint>

namespace hearth::guest::exec {

/// ns = ticks * mul >> shift.
struct tsc_scale {
    std::uint32_t mul = 0, shift = 0;
    bool operator==(const tsc_scale&) const = default;
};
/// The finest scale with a 32-bit factor: its error is below one part in 2^31. Zero khz: no clock.
tsc_scale scale_of(std::uint64_t tsc_khz) noexcept;

/// The guest's TSC and the clocks that it shall show, read at one instant.
struct clock_reading {
    std::uint64_t tsc = 0;
    std::chrono::nanoseconds monotonic{};
    std::chrono::nanoseconds realtime{};
};

/// What the vDSO answers for CLOCK_MONOTONIC when the guest's TSC is `tsc`.
std::chrono::nanoseconds monotonic_at(const vmm::vvar& v, std::uint64_t tsc) noexcept;

/// Ties the page to a new reading. Monotonic time never steps back: where the reading lies behind
/// what the guest may already have seen, the clock goes on from there. Realtime follows the host,
/// as clock_settime does.
void refresh_clock(vmm::vvar& v, std::uint64_t tsc_khz, const clock_reading& now) noexcept;

}  // namespace hearth::guest::exec
