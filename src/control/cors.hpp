#pragma once

/// What settings for cross-origin requests may say. Pure.

#include <hearth/error.hpp>
#include <hearth/function_url.hpp>

#include <string_view>
#include <vector>

namespace hearth::control {

/// `methods`: those that may be allowed, "*" among them.
/// @errors errc::invalid_argument in AWS's words
result<void> check_cors(const cors_settings& c, const std::vector<std::string_view>& methods);

}  // namespace hearth::control
