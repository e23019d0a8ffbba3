#pragma once

/// Route keys of HTTP APIs: which are ones. Pure.

#include <hearth/error.hpp>

#include <string_view>

namespace hearth::control {

/// "$default", or METHOD and a path whose segments are literals or variables, of which the last may
/// be greedy. @errors errc::invalid_argument
result<void> check_route_key(std::string_view key);

}  // namespace hearth::control
