#pragma once

/// Names of what the pool decides about. `index` is small and used again after the thing is gone,
/// so that whoever performs the decisions can keep its own objects in a vector; `generation` tells
/// the successive bearers of an index apart. A default-made id names nothing.

#include <compare>
#include <cstdint>

namespace hearth::pool {

template <class Tag>
struct id {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;  ///< from 1; 0: no one

    [[nodiscard]] explicit operator bool() const noexcept { return generation != 0; }
    friend auto operator<=>(const id&, const id&) = default;
};

using function_id = id<struct function_tag>;        ///< what shares a reserved concurrency
using version_id = id<struct version_tag>;          ///< a deployed version of a function
using environment_id = id<struct environment_tag>;  ///< an execution environment
using shell_id = id<struct shell_tag>;              ///< a VM and its vCPU

}  // namespace hearth::pool
