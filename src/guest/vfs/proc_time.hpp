#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace hearth::guest::vfs::proc {

/// USER_HZ, 100, in which /proc counts time.
inline std::uint64_t ticks(std::chrono::nanoseconds t) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(t.count(), 0) / 10'000'000);
}

}  // namespace hearth::guest::vfs::proc
