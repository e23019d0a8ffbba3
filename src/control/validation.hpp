#pragma once

/// AWS's ranges and patterns (botocore lambda/2015-03-31 and the Lambda quotas page), and its way
/// to say what violates them. Pure.

#include <hearth/control.hpp>
#include <hearth/error.hpp>

#include <map>
#include <string>
#include <string_view>

namespace hearth::control {

/// errc::invalid_argument in AWS's words for a violated constraint of the model. The front tells
/// these (ValidationException) from other bad values (InvalidParameterValueException) by how the
/// sentence begins.
error violation(std::string_view member, std::string_view value, std::string_view constraint);

/// @errors errc::invalid_argument; errc::unsupported for what AWS has and Hearth does not
result<void> check_settings(const function_settings& settings);
result<void> check_role(const std::string& role);
result<void> check_tags(const std::map<std::string, std::string>& tags);
result<void> check_qualifier(std::string_view qualifier);
result<void> check_description(std::string_view description);
result<void> check_alias_name(std::string_view name);
/// The shape Version: $LATEST or a number.
result<void> check_alias_version(std::string_view version);
/// RoutingConfig: one version at most, and its weight from 0 to 1.
result<void> check_weights(const std::map<std::string, double>& weights);

}  // namespace hearth::control
