#pragma once

#include <cstddef>
#include <cstring>
#include <span>

namespace hearth {

/// Every byte is zero. An empty range is.
inline bool all_zero(std::span<const std::byte> bytes) noexcept {
    return bytes.empty() || (bytes.front() == std::byte{0} &&
                             std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

}  // namespace hearth
