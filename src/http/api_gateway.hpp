#pragma once

/// API Gateway's own API for HTTP APIs (botocore apigatewayv2/2018-11-29) over the control plane's
/// (hearth/http_api.hpp): REST and JSON below /v2/. Blocks for the disk. What is not served, an
/// operation or a member of one, is refused by its name.

#include "http/reply.hpp"

#include <hearth/control.hpp>
#include <hearth/http/access_key.hpp>

#include <boost/beast/http/verb.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace hearth::http::api_gateway {

/// Whether requests for that are for this API.
bool is_for(std::string_view target) noexcept;

struct request_line {
    boost::beast::http::verb method;
    std::string_view target;
    std::string origin;  ///< "http://HOST" as the client names this server; empty when it does not
};

/// `by`: whose request it is; null: anyone's.
reply answer(control_plane& control,
             const request_line& asked,
             std::string_view body,
             const access_key* by);

/// "apigateway:GET", …: what access keys may be allowed, as in IAM.
std::vector<std::string_view> action_names();

/// As http::operations_table.
std::string operations_table();

}  // namespace hearth::http::api_gateway
