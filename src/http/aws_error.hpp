#pragma once

/// AWS's errors on the wire: HTTP status, x-amzn-ErrorType, and a body whose message key is spelled
/// per shape.

#include "http/reply.hpp"

#include <hearth/error.hpp>

#include <string>
#include <string_view>

namespace hearth::http {

enum class aws_error {
    resource_not_found,
    resource_conflict,
    resource_in_use,
    recursive_invocation,
    provisioned_concurrency_not_found,
    code_signing_config_not_found,
    invalid_parameter_value,
    validation,
    invalid_request_content,
    serialization,
    precondition_failed,
    code_storage_exceeded,
    policy_length_exceeded,
    request_too_large,         ///< an invocation's payload
    request_entity_too_large,  ///< a deployment package
    too_many_requests,
    service,
    service_unavailable,
    unknown_operation,
    not_implemented,
    access_denied,
    missing_authentication_token,
    incomplete_signature,
    invalid_signature,
    unrecognized_client,
    header_too_large,
    request_timeout,
};

reply make_error(aws_error kind, std::string_view message);
/// By the one table from errc to AWS's errors.
reply make_error(const error& e);

}  // namespace hearth::http
