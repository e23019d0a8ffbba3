#pragma once

/// The operations' handlers, one to each but Invoke: in a file per concept, and which are behind
/// which operation in management.cpp. What they share stands here.

#include "http/aws_error.hpp"
#include "http/operations.hpp"
#include "http/reply.hpp"
#include "http/shapes.hpp"

#include <hearth/control.hpp>
#include <hearth/http/access_key.hpp>

#include <string>
#include <string_view>

namespace hearth::http {

struct call {
    control_plane& control;
    const route& asked;
    std::string_view body;
    std::string_view origin;  ///< this server's, "http://HOST", for links back; empty: unknown
    const access_key* by = nullptr;  ///< whose request it is; null: anyone's
};

/// Of a body that could not be taken.
reply refused(const shape_fault& fault);
/// A link back to this server, whose origin is known. It lives ten minutes, as AWS's, where requests
/// must be signed.
std::string link_to(const call& c, const std::string& path);
/// The query parameter MaxItems, 50 when it is not given.
result<std::size_t> max_items(const route& asked);

/// An answer made from what an operation gave, or its error.
template <class T, class Write>
reply answer(const result<T>& outcome,
             Write write,
             boost::beast::http::status status = boost::beast::http::status::ok) {
    if (outcome.has_error()) return make_error(outcome.error());
    return {.status = status, .body = write(*outcome)};
}
inline reply answer_nothing(const result<void>& outcome) {
    if (outcome.has_error()) return make_error(outcome.error());
    return {.status = boost::beast::http::status::no_content};
}

namespace handlers {

// functions.cpp
reply get_function(const call& c);
reply get_function_configuration(const call& c);
reply list_functions(const call& c);
reply create_function(const call& c);
reply update_function_code(const call& c);
reply update_function_configuration(const call& c);
reply delete_function(const call& c);
reply get_account_settings(const call& c);
reply download_code(const call& c);
// versions.cpp
reply publish_version(const call& c);
reply list_versions(const call& c);
reply create_alias(const call& c);
reply get_alias(const call& c);
reply update_alias(const call& c);
reply delete_alias(const call& c);
reply list_aliases(const call& c);
// attributes.cpp
reply tag_resource(const call& c);
reply untag_resource(const call& c);
reply list_tags(const call& c);
reply put_event_invoke_config(const call& c);
reply update_event_invoke_config(const call& c);
reply get_event_invoke_config(const call& c);
reply delete_event_invoke_config(const call& c);
reply list_event_invoke_configs(const call& c);
// function_urls.cpp
reply create_function_url_config(const call& c);
reply update_function_url_config(const call& c);
reply get_function_url_config(const call& c);
reply delete_function_url_config(const call& c);
reply list_function_url_configs(const call& c);
// permissions.cpp
reply add_permission(const call& c);
reply remove_permission(const call& c);
reply get_policy(const call& c);
// function_options.cpp
reply put_runtime_management_config(const call& c);
reply get_runtime_management_config(const call& c);
reply put_function_recursion_config(const call& c);
reply get_function_recursion_config(const call& c);
reply put_function_scaling_config(const call& c);
reply get_function_scaling_config(const call& c);
// code_signing.cpp
reply create_code_signing_config(const call& c);
reply update_code_signing_config(const call& c);
reply get_code_signing_config(const call& c);
reply delete_code_signing_config(const call& c);
reply list_code_signing_configs(const call& c);
reply list_functions_by_code_signing_config(const call& c);
reply put_function_code_signing_config(const call& c);
reply delete_function_code_signing_config(const call& c);
reply get_function_code_signing_config(const call& c);
// event_source_mappings.cpp
reply create_event_source_mapping(const call& c);
reply get_event_source_mapping(const call& c);
reply update_event_source_mapping(const call& c);
reply delete_event_source_mapping(const call& c);
reply list_event_source_mappings(const call& c);
// layers.cpp
reply publish_layer_version(const call& c);
reply get_layer_version(const call& c);
reply get_layer_version_by_arn(const call& c);
reply list_layers(const call& c);
reply list_layer_versions(const call& c);
reply delete_layer_version(const call& c);
reply download_layer(const call& c);
reply add_layer_version_permission(const call& c);
reply remove_layer_version_permission(const call& c);
reply get_layer_version_policy(const call& c);
// concurrency.cpp
reply put_function_concurrency(const call& c);
reply get_function_concurrency(const call& c);
reply delete_function_concurrency(const call& c);
reply put_provisioned_concurrency_config(const call& c);
reply get_provisioned_concurrency_config(const call& c);
reply delete_provisioned_concurrency_config(const call& c);
reply list_provisioned_concurrency_configs(const call& c);

// status.cpp
reply get_status(const call& c);

}  // namespace handlers
}  // namespace hearth::http
