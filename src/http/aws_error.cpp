#include "http/aws_error.hpp"

#include "http/text.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <iterator>

namespace hearth::http {
namespace {

namespace beast_http = boost::beast::http;
using beast_http::status;

struct wire_form {
    aws_error kind;
    status code;
    const char* type;
    const char* message_key;  ///< botocore lambda/2015-03-31, the exception's shape
    const char* fault;        ///< "User" or "Server"
};

// clang-format off
constexpr std::array forms = {
    wire_form{aws_error::resource_not_found, status::not_found, "ResourceNotFoundException", "Message", "User"},
    wire_form{aws_error::resource_conflict, status::conflict, "ResourceConflictException", "message", "User"},
    wire_form{aws_error::resource_in_use, status::bad_request, "ResourceInUseException", "Message", "User"},
    wire_form{aws_error::recursive_invocation, status::bad_request, "RecursiveInvocationException", "Message", "User"},
    wire_form{aws_error::provisioned_concurrency_not_found, status::not_found, "ProvisionedConcurrencyConfigNotFoundException", "message", "User"},
    wire_form{aws_error::code_signing_config_not_found, status::not_found, "CodeSigningConfigNotFoundException", "Message", "User"},
    wire_form{aws_error::invalid_parameter_value, status::bad_request, "InvalidParameterValueException", "message", "User"},
    wire_form{aws_error::validation, status::bad_request, "ValidationException", "message", "User"},
    wire_form{aws_error::invalid_request_content, status::bad_request, "InvalidRequestContentException", "message", "User"},
    wire_form{aws_error::serialization, status::bad_request, "SerializationException", "message", "User"},
    wire_form{aws_error::precondition_failed, status::precondition_failed, "PreconditionFailedException", "message", "User"},
    wire_form{aws_error::code_storage_exceeded, status::bad_request, "CodeStorageExceededException", "message", "User"},
    wire_form{aws_error::policy_length_exceeded, status::bad_request, "PolicyLengthExceededException", "message", "User"},
    wire_form{aws_error::request_too_large, status::payload_too_large, "RequestTooLargeException", "message", "User"},
    wire_form{aws_error::request_entity_too_large, status::payload_too_large, "RequestEntityTooLargeException", "message", "User"},
    wire_form{aws_error::too_many_requests, status::too_many_requests, "TooManyRequestsException", "message", "User"},
    wire_form{aws_error::service, status::internal_server_error, "ServiceException", "Message", "Server"},
    wire_form{aws_error::service_unavailable, status::service_unavailable, "ServiceException", "Message", "Server"},
    wire_form{aws_error::unknown_operation, status::not_found, "UnknownOperationException", "message", "User"},
    wire_form{aws_error::not_implemented, status::not_implemented, "NotImplementedException", "message", "Server"},
    wire_form{aws_error::access_denied, status::forbidden, "AccessDeniedException", "Message", "User"},
    wire_form{aws_error::missing_authentication_token, status::forbidden, "MissingAuthenticationTokenException", "message", "User"},
    wire_form{aws_error::incomplete_signature, status::forbidden, "IncompleteSignatureException", "message", "User"},
    wire_form{aws_error::invalid_signature, status::forbidden, "InvalidSignatureException", "message", "User"},
    wire_form{aws_error::unrecognized_client, status::forbidden, "UnrecognizedClientException", "message", "User"},
    wire_form{aws_error::header_too_large, status::request_header_fields_too_large, "RequestHeaderFieldsTooLarge", "message", "User"},
    wire_form{aws_error::request_timeout, status::request_timeout, "RequestTimeoutException", "message", "User"},
};

struct mapping {
    errc from;
    aws_error to;
};

constexpr std::array mappings = {
    mapping{errc::not_found, aws_error::resource_not_found},
    mapping{errc::already_exists, aws_error::resource_conflict},
    mapping{errc::conflict, aws_error::resource_conflict},
    mapping{errc::not_ready, aws_error::resource_conflict},
    mapping{errc::invalid_argument, aws_error::invalid_parameter_value},
    mapping{errc::unsupported, aws_error::invalid_parameter_value},
    mapping{errc::bad_package, aws_error::invalid_parameter_value},
    mapping{errc::missing_entry_point, aws_error::invalid_parameter_value},
    mapping{errc::not_executable, aws_error::invalid_parameter_value},
    mapping{errc::bad_executable, aws_error::invalid_parameter_value},
    mapping{errc::missing_interpreter, aws_error::invalid_parameter_value},
    mapping{errc::package_too_large, aws_error::request_entity_too_large},
    mapping{errc::payload_too_large, aws_error::request_too_large},
    mapping{errc::precondition_failed, aws_error::precondition_failed},
    mapping{errc::code_storage_exceeded, aws_error::code_storage_exceeded},
    mapping{errc::throttled, aws_error::too_many_requests},
    mapping{errc::recursive_invocation, aws_error::recursive_invocation},
    mapping{errc::no_room, aws_error::service_unavailable},
    mapping{errc::shutting_down, aws_error::service_unavailable},
};
// clang-format on

aws_error kind_of(const error& e) {
    for (const mapping& m : mappings) {
        if (!(e == m.from)) continue;
        // AWS has two classes for bad values; its sentence for a violated constraint is
        // unmistakable.
        if (m.from == errc::invalid_argument &&
            e.detail().starts_with("1 validation error detected: "))
            return aws_error::validation;
        if (m.from == errc::invalid_argument && e.detail().starts_with("The final policy size"))
            return aws_error::policy_length_exceeded;
        // A class of its own for one thing that is not there.
        if (m.from == errc::not_found && e.detail().starts_with("No Provisioned Concurrency Config"))
            return aws_error::provisioned_concurrency_not_found;
        if (m.from == errc::not_found &&
            e.detail().starts_with("The code signing configuration cannot be found."))
            return aws_error::code_signing_config_not_found;
        if (m.from == errc::conflict && e.detail().ends_with("mapping because it is in use."))
            return aws_error::resource_in_use;
        // Too large zipped is the request's fault, too large unzipped the parameter's.
        if (m.from == errc::package_too_large && e.detail().starts_with("Unzipped size"))
            return aws_error::invalid_parameter_value;
        return m.to;
    }
    return aws_error::service;
}

/// AWS's Reason, with which the sentence of an `errc::throttled` begins.
std::string_view throttle_reason(std::string_view message) {
    // botocore lambda/2015-03-31, the shape ThrottleReason.
    static constexpr std::string_view reasons[] = {
        "ConcurrentInvocationLimitExceeded",
        "FunctionInvocationRateLimitExceeded",
        "ReservedFunctionConcurrentInvocationLimitExceeded",
        "ReservedFunctionInvocationRateLimitExceeded",
        "CallerRateLimitExceeded",
        "ConcurrentSnapshotCreateLimitExceeded",
    };
    const auto* const found = std::ranges::find(reasons, message.substr(0, message.find(": ")));
    return found == std::end(reasons) ? reasons[0] : *found;
}

}  // namespace

reply make_error(aws_error kind, std::string_view message) {
    const wire_form* form = &forms.front();
    for (const wire_form& each : forms)
        if (each.kind == kind) form = &each;
    boost::json::object body{{"Type", form->fault}, {form->message_key, printable(message)}};
    reply r{.status = form->code, .headers = {{"x-amzn-ErrorType", form->type}}};
    if (kind == aws_error::too_many_requests) {
        body["Reason"] = throttle_reason(message);
        r.headers.emplace_back("Retry-After", "1");
    }
    r.body = boost::json::serialize(body);
    return r;
}

reply make_error(const error& e) {
    std::string message = e.message();
    if (e == errc::bad_package)
        message =
            "Could not unzip uploaded file. Please check your file, then try to upload again. (" +
            message + ")";
    if (e == errc::throttled && e.detail().empty()) message = "Rate Exceeded.";
    return make_error(kind_of(e), message);
}

}  // namespace hearth::http
