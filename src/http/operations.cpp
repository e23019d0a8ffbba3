#include "http/operations.hpp"

#include "http/operations_table.hpp"
#include "http/request_target.hpp"
#include "http/text.hpp"

#include <algorithm>
#include <iterator>

namespace hearth::http {
namespace {

using boost::beast::http::verb;

struct row {
    verb method;
    std::string_view name;
    std::string_view path;  ///< "{}" stands for a parameter
    operation op;
    std::string_view query;  ///< must be among the query, where two operations share a path
};

// Every operation of the service model (botocore lambda/2015-03-31: 1.29 and 2026-08 agree on all
// paths but for trailing slashes). The busiest first.
// clang-format off
constexpr row rows[] = {
    {verb::post,    "Invoke", "/2015-03-31/functions/{}/invocations", operation::invoke, ""},
    {verb::get,     "GetFunction", "/2015-03-31/functions/{}", operation::get_function, ""},
    {verb::get,     "GetFunctionConfiguration", "/2015-03-31/functions/{}/configuration", operation::get_function_configuration, ""},
    {verb::get,     "ListFunctions", "/2015-03-31/functions", operation::list_functions, ""},
    {verb::post,    "CreateFunction", "/2015-03-31/functions", operation::create_function, ""},
    {verb::put,     "UpdateFunctionCode", "/2015-03-31/functions/{}/code", operation::update_function_code, ""},
    {verb::put,     "UpdateFunctionConfiguration", "/2015-03-31/functions/{}/configuration", operation::update_function_configuration, ""},
    {verb::delete_, "DeleteFunction", "/2015-03-31/functions/{}", operation::delete_function, ""},
    {verb::get,     "GetAccountSettings", "/2016-08-19/account-settings", operation::get_account_settings, ""},
    {verb::post,    "InvokeAsync", "/2014-11-13/functions/{}/invoke-async", operation::invoke_async, ""},
    {verb::post,    "CreateEventSourceMapping", "/2015-03-31/event-source-mappings", operation::create_event_source_mapping, ""},
    {verb::get,     "ListEventSourceMappings", "/2015-03-31/event-source-mappings", operation::list_event_source_mappings, ""},
    {verb::delete_, "DeleteEventSourceMapping", "/2015-03-31/event-source-mappings/{}", operation::delete_event_source_mapping, ""},
    {verb::get,     "GetEventSourceMapping", "/2015-03-31/event-source-mappings/{}", operation::get_event_source_mapping, ""},
    {verb::put,     "UpdateEventSourceMapping", "/2015-03-31/event-source-mappings/{}", operation::update_event_source_mapping, ""},
    {verb::post,    "CreateAlias", "/2015-03-31/functions/{}/aliases", operation::create_alias, ""},
    {verb::get,     "ListAliases", "/2015-03-31/functions/{}/aliases", operation::list_aliases, ""},
    {verb::delete_, "DeleteAlias", "/2015-03-31/functions/{}/aliases/{}", operation::delete_alias, ""},
    {verb::get,     "GetAlias", "/2015-03-31/functions/{}/aliases/{}", operation::get_alias, ""},
    {verb::put,     "UpdateAlias", "/2015-03-31/functions/{}/aliases/{}", operation::update_alias, ""},
    {verb::post,    "AddPermission", "/2015-03-31/functions/{}/policy", operation::add_permission, ""},
    {verb::get,     "GetPolicy", "/2015-03-31/functions/{}/policy", operation::get_policy, ""},
    {verb::delete_, "RemovePermission", "/2015-03-31/functions/{}/policy/{}", operation::remove_permission, ""},
    {verb::get,     "ListVersionsByFunction", "/2015-03-31/functions/{}/versions", operation::list_versions_by_function, ""},
    {verb::post,    "PublishVersion", "/2015-03-31/functions/{}/versions", operation::publish_version, ""},
    {verb::get,     "ListTags", "/2017-03-31/tags/{}", operation::list_tags, ""},
    {verb::post,    "TagResource", "/2017-03-31/tags/{}", operation::tag_resource, ""},
    {verb::delete_, "UntagResource", "/2017-03-31/tags/{}", operation::untag_resource, ""},
    {verb::delete_, "DeleteFunctionConcurrency", "/2017-10-31/functions/{}/concurrency", operation::delete_function_concurrency, ""},
    {verb::put,     "PutFunctionConcurrency", "/2017-10-31/functions/{}/concurrency", operation::put_function_concurrency, ""},
    {verb::get,     "GetLayerVersionByArn", "/2018-10-31/layers", operation::get_layer_version_by_arn, "find=LayerVersion"},
    {verb::get,     "ListLayers", "/2018-10-31/layers", operation::list_layers, ""},
    {verb::get,     "ListLayerVersions", "/2018-10-31/layers/{}/versions", operation::list_layer_versions, ""},
    {verb::post,    "PublishLayerVersion", "/2018-10-31/layers/{}/versions", operation::publish_layer_version, ""},
    {verb::delete_, "DeleteLayerVersion", "/2018-10-31/layers/{}/versions/{}", operation::delete_layer_version, ""},
    {verb::get,     "GetLayerVersion", "/2018-10-31/layers/{}/versions/{}", operation::get_layer_version, ""},
    {verb::post,    "AddLayerVersionPermission", "/2018-10-31/layers/{}/versions/{}/policy", operation::add_layer_version_permission, ""},
    {verb::get,     "GetLayerVersionPolicy", "/2018-10-31/layers/{}/versions/{}/policy", operation::get_layer_version_policy, ""},
    {verb::delete_, "RemoveLayerVersionPermission", "/2018-10-31/layers/{}/versions/{}/policy/{}", operation::remove_layer_version_permission, ""},
    {verb::delete_, "DeleteFunctionEventInvokeConfig", "/2019-09-25/functions/{}/event-invoke-config", operation::delete_event_invoke_config, ""},
    {verb::get,     "GetFunctionEventInvokeConfig", "/2019-09-25/functions/{}/event-invoke-config", operation::get_event_invoke_config, ""},
    {verb::put,     "PutFunctionEventInvokeConfig", "/2019-09-25/functions/{}/event-invoke-config", operation::put_event_invoke_config, ""},
    {verb::post,    "UpdateFunctionEventInvokeConfig", "/2019-09-25/functions/{}/event-invoke-config", operation::update_event_invoke_config, ""},
    {verb::get,     "ListFunctionEventInvokeConfigs", "/2019-09-25/functions/{}/event-invoke-config/list", operation::list_event_invoke_configs, ""},
    {verb::get,     "GetFunctionConcurrency", "/2019-09-30/functions/{}/concurrency", operation::get_function_concurrency, ""},
    {verb::get,     "ListProvisionedConcurrencyConfigs", "/2019-09-30/functions/{}/provisioned-concurrency", operation::list_provisioned_concurrency_configs, "List=ALL"},
    {verb::delete_, "DeleteProvisionedConcurrencyConfig", "/2019-09-30/functions/{}/provisioned-concurrency", operation::delete_provisioned_concurrency_config, ""},
    {verb::get,     "GetProvisionedConcurrencyConfig", "/2019-09-30/functions/{}/provisioned-concurrency", operation::get_provisioned_concurrency_config, ""},
    {verb::put,     "PutProvisionedConcurrencyConfig", "/2019-09-30/functions/{}/provisioned-concurrency", operation::put_provisioned_concurrency_config, ""},
    {verb::post,    "CreateCodeSigningConfig", "/2020-04-22/code-signing-configs", operation::create_code_signing_config, ""},
    {verb::get,     "ListCodeSigningConfigs", "/2020-04-22/code-signing-configs", operation::list_code_signing_configs, ""},
    {verb::delete_, "DeleteCodeSigningConfig", "/2020-04-22/code-signing-configs/{}", operation::delete_code_signing_config, ""},
    {verb::get,     "GetCodeSigningConfig", "/2020-04-22/code-signing-configs/{}", operation::get_code_signing_config, ""},
    {verb::put,     "UpdateCodeSigningConfig", "/2020-04-22/code-signing-configs/{}", operation::update_code_signing_config, ""},
    {verb::get,     "ListFunctionsByCodeSigningConfig", "/2020-04-22/code-signing-configs/{}/functions", operation::list_functions_by_code_signing_config, ""},
    {verb::delete_, "DeleteFunctionCodeSigningConfig", "/2020-06-30/functions/{}/code-signing-config", operation::delete_function_code_signing_config, ""},
    {verb::get,     "GetFunctionCodeSigningConfig", "/2020-06-30/functions/{}/code-signing-config", operation::get_function_code_signing_config, ""},
    {verb::put,     "PutFunctionCodeSigningConfig", "/2020-06-30/functions/{}/code-signing-config", operation::put_function_code_signing_config, ""},
    {verb::get,     "GetRuntimeManagementConfig", "/2021-07-20/functions/{}/runtime-management-config", operation::get_runtime_management_config, ""},
    {verb::put,     "PutRuntimeManagementConfig", "/2021-07-20/functions/{}/runtime-management-config", operation::put_runtime_management_config, ""},
    {verb::post,    "CreateFunctionUrlConfig", "/2021-10-31/functions/{}/url", operation::create_function_url_config, ""},
    {verb::delete_, "DeleteFunctionUrlConfig", "/2021-10-31/functions/{}/url", operation::delete_function_url_config, ""},
    {verb::get,     "GetFunctionUrlConfig", "/2021-10-31/functions/{}/url", operation::get_function_url_config, ""},
    {verb::put,     "UpdateFunctionUrlConfig", "/2021-10-31/functions/{}/url", operation::update_function_url_config, ""},
    {verb::get,     "ListFunctionUrlConfigs", "/2021-10-31/functions/{}/urls", operation::list_function_url_configs, ""},
    {verb::post,    "InvokeWithResponseStream", "/2021-11-15/functions/{}/response-streaming-invocations", operation::invoke_with_response_stream, ""},
    {verb::get,     "GetFunctionRecursionConfig", "/2024-08-31/functions/{}/recursion-config", operation::get_function_recursion_config, ""},
    {verb::put,     "PutFunctionRecursionConfig", "/2024-08-31/functions/{}/recursion-config", operation::put_function_recursion_config, ""},
    {verb::post,    "CreateCapacityProvider", "/2025-11-30/capacity-providers", operation::absent, ""},
    {verb::get,     "ListCapacityProviders", "/2025-11-30/capacity-providers", operation::absent, ""},
    {verb::delete_, "DeleteCapacityProvider", "/2025-11-30/capacity-providers/{}", operation::absent, ""},
    {verb::get,     "GetCapacityProvider", "/2025-11-30/capacity-providers/{}", operation::absent, ""},
    {verb::put,     "UpdateCapacityProvider", "/2025-11-30/capacity-providers/{}", operation::absent, ""},
    {verb::get,     "ListFunctionVersionsByCapacityProvider", "/2025-11-30/capacity-providers/{}/function-versions", operation::absent, ""},
    {verb::get,     "GetFunctionScalingConfig", "/2025-11-30/functions/{}/function-scaling-config", operation::get_function_scaling_config, ""},
    {verb::put,     "PutFunctionScalingConfig", "/2025-11-30/functions/{}/function-scaling-config", operation::put_function_scaling_config, ""},
    {verb::post,    "SendDurableExecutionCallbackFailure", "/2025-12-01/durable-execution-callbacks/{}/fail", operation::absent, ""},
    {verb::post,    "SendDurableExecutionCallbackHeartbeat", "/2025-12-01/durable-execution-callbacks/{}/heartbeat", operation::absent, ""},
    {verb::post,    "SendDurableExecutionCallbackSuccess", "/2025-12-01/durable-execution-callbacks/{}/succeed", operation::absent, ""},
    {verb::get,     "GetDurableExecution", "/2025-12-01/durable-executions/{}", operation::absent, ""},
    {verb::post,    "CheckpointDurableExecution", "/2025-12-01/durable-executions/{}/checkpoint", operation::absent, ""},
    {verb::get,     "GetDurableExecutionHistory", "/2025-12-01/durable-executions/{}/history", operation::absent, ""},
    {verb::get,     "GetDurableExecutionState", "/2025-12-01/durable-executions/{}/state", operation::absent, ""},
    {verb::post,    "StopDurableExecution", "/2025-12-01/durable-executions/{}/stop", operation::absent, ""},
    {verb::get,     "ListDurableExecutionsByFunction", "/2025-12-01/functions/{}/durable-executions", operation::absent, ""},
    {verb::get,     "DownloadCode", "/_hearth/functions/{}/code.zip", operation::download_code, ""},
    {verb::get,     "DownloadLayer", "/_hearth/layers/{}/{}/content.zip", operation::download_layer, ""},
    {verb::get,     "GetMetrics", "/metrics", operation::get_metrics, ""},  // AWS's paths begin with a date
    {verb::get,     "GetStatus", "/_hearth/status", operation::get_status, ""},
    {verb::get,     "GetPage", "/", operation::get_page, ""},
    {verb::get,     "GetPage", "/_hearth/page/{}", operation::get_page, ""},
};
// clang-format on

/// Stored, checked and shown, and that is all.
constexpr operation kept_only[] = {
    operation::add_permission,
    operation::remove_permission,
    operation::get_policy,
    operation::add_layer_version_permission,
    operation::remove_layer_version_permission,
    operation::get_layer_version_policy,
    operation::create_code_signing_config,
    operation::update_code_signing_config,
    operation::get_code_signing_config,
    operation::delete_code_signing_config,
    operation::list_code_signing_configs,
    operation::list_functions_by_code_signing_config,
    operation::put_function_code_signing_config,
    operation::delete_function_code_signing_config,
    operation::get_function_code_signing_config,
    operation::put_runtime_management_config,
    operation::get_runtime_management_config,
};

bool contains(std::string_view query, std::string_view part) {
    return query.find(part) != query.npos;
}

}  // namespace

std::string operations_table() {
    std::vector<std::string_view> served, kept, absent;
    for (const row& each : rows) {
        if (!each.path.starts_with("/20")) continue;  // this server's own
        const bool is_kept = std::ranges::find(kept_only, each.op) != std::end(kept_only);
        (each.op == operation::absent ? absent : is_kept ? kept : served).push_back(each.name);
    }
    return make_operations_table("operations",
                                 {{"served", served},
                                  {"kept and shown; nothing acts on them", kept},
                                  {"answer `NotImplementedException` with their name", absent}});
}

std::optional<route> find_route(verb method, std::string_view target) {
    if (target.starts_with("http://") || target.starts_with("https://")) {
        const auto slash = target.find('/', target.find("//") + 2);
        target = slash == target.npos ? "/" : target.substr(slash);
    }
    target = target.substr(0, target.find('#'));
    const split_target asked(target);
    if (!asked.path.starts_with('/')) return std::nullopt;
    const std::string_view path = without_trailing_slashes(asked.path);

    for (const row& each : rows) {
        if (each.method != method || !contains(asked.query, each.query)) continue;
        auto parameters = match_path(each.path, path);
        if (!parameters) continue;
        auto& [first, second, third] = *parameters;
        route found{each.op, each.name, std::move(first), std::move(second), std::move(third), {}};
        found.of_function = contains(each.path, "/functions/{}") || contains(each.path, "/tags/{}");
        for (const auto& [name, text] : split_query(asked.query)) {
            auto key = percent_decode(name), value = percent_decode(text);
            if (!key || !value) return std::nullopt;
            found.query.emplace_back(std::move(*key), std::move(*value));
        }
        return found;
    }
    return std::nullopt;
}

std::string_view action_name(std::string_view operation_name) noexcept {
    // Service Authorization Reference, "Actions, resources, and condition keys for AWS Lambda".
    if (operation_name == "Invoke" || operation_name == "InvokeWithResponseStream")
        return "InvokeFunction";
    if (operation_name == "GetLayerVersionByArn") return "GetLayerVersion";
    if (operation_name == "DownloadLayer") return "GetLayerVersion";
    if (operation_name == "DownloadCode") return "GetFunction";  // which gives the link
    return operation_name;
}

std::vector<std::string_view> action_names() {
    std::vector<std::string_view> names{"InvokeFunctionUrl"};  // of what has no path of its own
    for (const row& each : rows)
        if (each.op != operation::get_page) names.push_back(action_name(each.name));
    return names;
}

}  // namespace hearth::http
