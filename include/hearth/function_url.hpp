#pragma once

/// Function URLs: a function, or an alias of it, as an HTTP endpoint of its own. AWS's shapes as
/// C++ values; the HTTP front serves the URLs (see http/server.hpp).

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hearth {

struct cors_settings {
    bool allow_credentials = false;
    /// "*" allows all; of methods GET, PUT, HEAD, POST, PATCH, DELETE and "*".
    std::vector<std::string> allow_headers{}, allow_methods{}, allow_origins{}, expose_headers{};
    std::optional<std::uint64_t> max_age{};  ///< seconds, up to 86,400
    bool operator==(const cors_settings&) const = default;
};

struct function_url_config {
    std::string url_id{};        ///< 32 of [0-9a-f]; the first label of the URL's host
    std::string function_arn{};  ///< with the alias, if it is an alias's
    /// "NONE", or "AWS_IAM": for signed requests only.
    std::string auth_type{};
    /// "BUFFERED" or "RESPONSE_STREAM": answers are sent whole, or as the function writes them. Of
    /// an answer in one piece the second also takes what is no JSON document for the body itself.
    std::string invoke_mode = "BUFFERED";
    std::optional<cors_settings> cors{};
    std::string creation_time{}, last_modified_time{};  ///< "2023-04-05T06:07:08.123Z"
    bool operator==(const function_url_config&) const = default;
};

/// Fields without a value: not given.
struct function_url_request {
    std::string function_name{};
    std::string qualifier{};  ///< an alias; empty or "$LATEST": the function itself
    std::optional<std::string> auth_type{}, invoke_mode{};
    std::optional<cors_settings> cors{};  ///< one that says nothing takes away what there was
};

struct function_url_page {
    std::vector<function_url_config> configs{};
    std::string next_marker{};
};

}  // namespace hearth
