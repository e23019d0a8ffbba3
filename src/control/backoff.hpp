#pragma once

/// How long to wait before something is tried again.

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace hearth::control {

/// After so many failures in a row, of which there was one at least: first `least`, then twice as
/// long each time, `most` at most.
[[nodiscard]] constexpr std::chrono::milliseconds backoff(std::chrono::milliseconds least,
                                                          std::chrono::milliseconds most,
                                                          std::size_t failures) {
    auto wait = least;
    for (std::size_t i = 1; i < failures && wait < most; ++i) wait *= 2;
    return std::min(wait, most);
}

}  // namespace hearth::control
