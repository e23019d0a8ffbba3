#include "guest/exec/vvar_clock.hpp"

#include <algorithm>
#include <bit>

namespace hearth::guest::exec {

tsc_scale scale_of(std::uint64_t tsc_khz) noexcept {
    if (tsc_khz == 0 || tsc_khz > 0xffff'ffff) return {};
    constexpr std::uint64_t ns_per_ms = 1'000'000;
    // The largest, up to 43, with which mul has 32 bits: ns_per_ms << shift below tsc_khz << 32.
    auto shift =
        static_cast<std::uint32_t>(32 + std::bit_width(tsc_khz) - std::bit_width(ns_per_ms));
    if (shift > 43)
        shift = 43;
    else if (ns_per_ms << shift >= tsc_khz << 32)
        --shift;
    const std::uint64_t mul = ((ns_per_ms << shift) + tsc_khz / 2) / tsc_khz;
    return {static_cast<std::uint32_t>(std::min<std::uint64_t>(mul, 0xffff'ffff)), shift};
}

std::chrono::nanoseconds monotonic_at(const vmm::vvar& v, std::uint64_t tsc) noexcept {
    __extension__ using product = unsigned __int128;
    std::uint64_t ns = v.monotonic_ns0;
    if (tsc > v.tsc0) ns += static_cast<std::uint64_t>((product{tsc - v.tsc0} * v.mul) >> v.shift);
    return std::chrono::nanoseconds(static_cast<std::int64_t>(ns));
}

void refresh_clock(vmm::vvar& v, std::uint64_t tsc_khz, const clock_reading& now) noexcept {
    const auto seen = v.mul == 0 ? std::chrono::nanoseconds::zero() : monotonic_at(v, now.tsc);
    const tsc_scale scale = scale_of(tsc_khz);
    v.tsc0 = now.tsc;
    v.monotonic_ns0 = static_cast<std::uint64_t>(std::max(now.monotonic, seen).count());
    v.realtime_ns0 = static_cast<std::uint64_t>(now.realtime.count());
    v.mul = scale.mul;
    v.shift = scale.shift;
}

}  // namespace hearth::guest::exec
