#pragma once

#include <hearth/response.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace hearth {

/// An invocation that has ended, as the runtime remembers it: `control_plane::recent_invocations`.
struct recent_invocation {
    std::uint64_t number = 0;  ///< 1, 2, … in the order of their ends, over all functions
    std::string function_name{};
    std::string executed_version{};
    std::string function_error{};  ///< empty: the function succeeded
    std::string log_tail{};        ///< as in `response`
    std::chrono::system_clock::time_point ended{};
    invocation_report report{};
};

/// So many are remembered.
inline constexpr std::size_t max_recent_invocations = 256;

}  // namespace hearth
