#pragma once

/// Which of AWS's services a request is for. Lambda's is known by its path (operations.hpp); others
/// put all they have behind one path and name the operation in X-Amz-Target or in a form. Pure.

#include <string_view>

namespace hearth::http {

enum class aws_service { lambda, api_gateway, events, kinesis, logs, sqs };

/// What the name of an operation and its input are written in.
enum class protocol { rest_json, json, query, cbor };

struct service_call {
    aws_service service = aws_service::lambda;
    protocol how = protocol::rest_json;
    std::string_view operation{};  ///< in X-Amz-Target; empty: it stands elsewhere
};

/// Of a POST that is no operation of Lambda's. Views into `target`.
service_call find_service(std::string_view target, std::string_view content_type) noexcept;

/// What requests for it are signed for.
std::string_view signing_name(aws_service s) noexcept;

}  // namespace hearth::http
