#include "http/management.hpp"

#include "http/handlers.hpp"
#include "http/metrics_text.hpp"

#include <charconv>

namespace hearth::http {
namespace {

reply get_metrics(const call& c) {
    return {.body = write_metrics(c.control.metrics()),
            .content_type = std::string(metrics_content_type)};
}

struct handler {
    operation op;
    reply (*answer)(const call&);
    bool waits_for_disk;
};

constexpr handler handled[] = {
    {operation::get_function, handlers::get_function, false},
    {operation::get_function_configuration, handlers::get_function_configuration, false},
    {operation::list_functions, handlers::list_functions, false},
    {operation::create_function, handlers::create_function, true},
    {operation::update_function_code, handlers::update_function_code, true},
    {operation::update_function_configuration, handlers::update_function_configuration, true},
    {operation::delete_function, handlers::delete_function, true},
    {operation::get_account_settings, handlers::get_account_settings, false},
    {operation::publish_version, handlers::publish_version, true},
    {operation::list_versions_by_function, handlers::list_versions, false},
    {operation::create_alias, handlers::create_alias, true},
    {operation::get_alias, handlers::get_alias, false},
    {operation::update_alias, handlers::update_alias, true},
    {operation::delete_alias, handlers::delete_alias, true},
    {operation::list_aliases, handlers::list_aliases, false},
    {operation::put_function_concurrency, handlers::put_function_concurrency, true},
    {operation::get_function_concurrency, handlers::get_function_concurrency, false},
    {operation::delete_function_concurrency, handlers::delete_function_concurrency, true},
    {operation::put_provisioned_concurrency_config, handlers::put_provisioned_concurrency_config, true},
    {operation::get_provisioned_concurrency_config, handlers::get_provisioned_concurrency_config, false},
    {operation::delete_provisioned_concurrency_config, handlers::delete_provisioned_concurrency_config, true},
    {operation::list_provisioned_concurrency_configs, handlers::list_provisioned_concurrency_configs, false},
    {operation::tag_resource, handlers::tag_resource, true},
    {operation::untag_resource, handlers::untag_resource, true},
    {operation::list_tags, handlers::list_tags, false},
    {operation::put_event_invoke_config, handlers::put_event_invoke_config, true},
    {operation::update_event_invoke_config, handlers::update_event_invoke_config, true},
    {operation::get_event_invoke_config, handlers::get_event_invoke_config, false},
    {operation::delete_event_invoke_config, handlers::delete_event_invoke_config, true},
    {operation::list_event_invoke_configs, handlers::list_event_invoke_configs, false},
    {operation::create_function_url_config, handlers::create_function_url_config, true},
    {operation::update_function_url_config, handlers::update_function_url_config, true},
    {operation::get_function_url_config, handlers::get_function_url_config, false},
    {operation::delete_function_url_config, handlers::delete_function_url_config, true},
    {operation::list_function_url_configs, handlers::list_function_url_configs, false},
    {operation::add_permission, handlers::add_permission, true},
    {operation::remove_permission, handlers::remove_permission, true},
    {operation::get_policy, handlers::get_policy, false},
    {operation::put_runtime_management_config, handlers::put_runtime_management_config, true},
    {operation::get_runtime_management_config, handlers::get_runtime_management_config, false},
    {operation::put_function_recursion_config, handlers::put_function_recursion_config, true},
    {operation::get_function_recursion_config, handlers::get_function_recursion_config, false},
    {operation::put_function_scaling_config, handlers::put_function_scaling_config, true},
    {operation::get_function_scaling_config, handlers::get_function_scaling_config, false},
    {operation::get_function_code_signing_config, handlers::get_function_code_signing_config, false},
    {operation::create_code_signing_config, handlers::create_code_signing_config, true},
    {operation::update_code_signing_config, handlers::update_code_signing_config, true},
    {operation::get_code_signing_config, handlers::get_code_signing_config, false},
    {operation::delete_code_signing_config, handlers::delete_code_signing_config, true},
    {operation::list_code_signing_configs, handlers::list_code_signing_configs, false},
    {operation::list_functions_by_code_signing_config, handlers::list_functions_by_code_signing_config, false},
    {operation::put_function_code_signing_config, handlers::put_function_code_signing_config, true},
    {operation::delete_function_code_signing_config, handlers::delete_function_code_signing_config, true},
    {operation::create_event_source_mapping, handlers::create_event_source_mapping, true},
    {operation::get_event_source_mapping, handlers::get_event_source_mapping, false},
    {operation::update_event_source_mapping, handlers::update_event_source_mapping, true},
    {operation::delete_event_source_mapping, handlers::delete_event_source_mapping, true},
    {operation::list_event_source_mappings, handlers::list_event_source_mappings, false},
    {operation::publish_layer_version, handlers::publish_layer_version, true},
    {operation::get_layer_version, handlers::get_layer_version, false},
    {operation::get_layer_version_by_arn, handlers::get_layer_version_by_arn, false},
    {operation::list_layers, handlers::list_layers, false},
    {operation::list_layer_versions, handlers::list_layer_versions, false},
    {operation::delete_layer_version, handlers::delete_layer_version, true},
    {operation::add_layer_version_permission, handlers::add_layer_version_permission, true},
    {operation::remove_layer_version_permission, handlers::remove_layer_version_permission, true},
    {operation::get_layer_version_policy, handlers::get_layer_version_policy, false},
    {operation::download_layer, handlers::download_layer, true},
    {operation::download_code, handlers::download_code, true},
    {operation::get_metrics, get_metrics, true},  // a thousand functions are megabytes of text
    {operation::get_status, handlers::get_status, true},  // so here
};

const handler* find(operation op) noexcept {
    for (const handler& each : handled)
        if (each.op == op) return &each;
    return nullptr;
}

}  // namespace

reply refused(const shape_fault& fault) {
    switch (fault.what) {
        case shape_fault::kind::not_json:
            return make_error(aws_error::invalid_request_content,
                              "Could not parse request body into json: " + fault.why.message());
        case shape_fault::kind::wrong_type:
            return make_error(aws_error::serialization, fault.why.message());
        case shape_fault::kind::refused:
            break;
    }
    return make_error(fault.why);
}

result<std::size_t> max_items(const route& asked) {
    const auto text = asked.parameter("MaxItems");
    std::size_t n = 50;
    if (text.empty()) return n;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec == std::errc() && end == text.data() + text.size()) return n;
    return error(errc::invalid_argument, "MaxItems must be an integer");
}

bool waits_for_disk(operation op) noexcept {
    const handler* h = find(op);
    return h && h->waits_for_disk;
}

reply manage(control_plane& control,
             const route& asked,
             std::string_view body,
             std::string_view origin,
             const access_key* by) {
    if (const handler* h = find(asked.op)) return h->answer({control, asked, body, origin, by});
    return make_error(aws_error::not_implemented,
                      std::string(asked.name) + " is not implemented by this server yet");
}

}  // namespace hearth::http
