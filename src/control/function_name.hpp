#pragma once

/// The ways a caller may name a function: "name", "name:qualifier", "123456789012:function:name",
/// "arn:aws:lambda:us-east-1:123456789012:function:name:qualifier". Pure.

#include <hearth/error.hpp>

#include <string>
#include <string_view>

namespace hearth::control {

struct function_name {
    std::string name;
    std::string qualifier;   ///< empty: none was given
    std::string region;      ///< empty: not named
    std::string account_id;  ///< empty: not named
    bool operator==(const function_name&) const = default;
};

/// By the pattern of the service model (FunctionName), names of at most 64 characters.
/// @errors errc::invalid_argument with AWS's sentence
result<function_name> parse_function_name(std::string_view text);

/// "arn:aws:lambda:REGION:ACCOUNT:function:NAME"
std::string make_function_arn(std::string_view region,
                              std::string_view account_id,
                              std::string_view name);

}  // namespace hearth::control
