#pragma once

/// What a function signs its requests with, to AWS's services or to what looks like them. At AWS it
/// comes from the function's role; here there are no roles, so whoever runs the runtime says.

#include <functional>
#include <string>

namespace hearth {

struct function_credentials {
    std::string access_key_id{};
    std::string secret_access_key{};
    std::string session_token{};  ///< empty: none
};

/// By the function's name. Called on threads that run guests, whenever one asks: it does not block.
/// An empty access_key_id: the function has none of its own.
using credentials_source = std::function<function_credentials(const std::string& function)>;

/// What functions have that have none: SDKs work, servers that take any key too, and where keys are
/// verified the refusal names it.
inline const char* const no_credentials_id = "HEARTHNOCREDENTIALS";

}  // namespace hearth
