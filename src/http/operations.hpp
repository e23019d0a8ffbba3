#pragma once

/// Which operation of the Lambda API a request asks for. The table holds every operation of the
/// service model, so that one which is not there yet is refused by its name.

#include <boost/beast/http/verb.hpp>

#include <optional>
#include <ostream>  // Boost 1.81: boost/core/detail/string_view.hpp wants it and leaves it out
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::http {

enum class operation {
    absent,  ///< AWS has it, this server not yet
    invoke,
    invoke_async,
    invoke_with_response_stream,
    get_function,
    get_function_configuration,
    list_functions,
    create_function,
    update_function_code,
    update_function_configuration,
    delete_function,
    publish_version,
    list_versions_by_function,
    create_alias,
    get_alias,
    update_alias,
    delete_alias,
    list_aliases,
    put_function_concurrency,
    get_function_concurrency,
    delete_function_concurrency,
    put_provisioned_concurrency_config,
    get_provisioned_concurrency_config,
    delete_provisioned_concurrency_config,
    list_provisioned_concurrency_configs,
    tag_resource,
    untag_resource,
    list_tags,
    put_event_invoke_config,
    update_event_invoke_config,
    get_event_invoke_config,
    delete_event_invoke_config,
    list_event_invoke_configs,
    create_function_url_config,
    update_function_url_config,
    get_function_url_config,
    delete_function_url_config,
    list_function_url_configs,
    get_account_settings,
    add_permission,
    remove_permission,
    get_policy,
    put_runtime_management_config,
    get_runtime_management_config,
    put_function_recursion_config,
    get_function_recursion_config,
    put_function_scaling_config,
    get_function_scaling_config,
    create_code_signing_config,
    update_code_signing_config,
    get_code_signing_config,
    delete_code_signing_config,
    list_code_signing_configs,
    list_functions_by_code_signing_config,
    put_function_code_signing_config,
    delete_function_code_signing_config,
    get_function_code_signing_config,
    create_event_source_mapping,
    get_event_source_mapping,
    update_event_source_mapping,
    delete_event_source_mapping,
    list_event_source_mappings,
    publish_layer_version,
    get_layer_version,
    get_layer_version_by_arn,
    list_layers,
    list_layer_versions,
    delete_layer_version,
    add_layer_version_permission,
    remove_layer_version_permission,
    get_layer_version_policy,
    download_layer,  ///< not AWS's: where Content.Location points
    http_api,        ///< not of the API: a request for an HTTP API's function (http_api.hpp)
    function_url,    ///< not of the API: a request for a function itself (function_url.hpp)
    download_code,   ///< not AWS's: where GetFunction's Code.Location points
    get_metrics,     ///< not AWS's: for Prometheus
    get_status,      ///< not AWS's: for the page (status.hpp)
    get_page,        ///< not AWS's: the page and its files (page.hpp), which need no key
};

struct route {
    operation op = operation::absent;
    std::string_view name{};  ///< AWS's, a literal
    std::string argument{};   ///< the first path parameter, percent-decoded
    std::string second{};     ///< the second
    std::string third{};      ///< the third
    std::vector<std::pair<std::string, std::string>> query{};
    bool of_function = false;  ///< the argument names a function
    bool by_own_host = false;  ///< reached by a host name of its own (own_host.hpp)

    /// Its first value; empty: not given.
    [[nodiscard]] std::string_view parameter(std::string_view key) const {
        for (const auto& [name_, value] : query)
            if (name_ == key) return value;
        return {};
    }
};

/// AWS's operations by how far they are here, as README shows them: a table in Markdown.
std::string operations_table();

/// Nothing when no operation has that method and path, or an escape in the target is malformed. A
/// trailing slash does not matter, nor does absolute form ("http://host/path").
std::optional<route> find_route(boost::beast::http::verb method, std::string_view target);

/// What IAM calls the action that an operation needs: nearly always the operation's own name.
std::string_view action_name(std::string_view operation_name) noexcept;
/// Of all operations, some of them twice.
std::vector<std::string_view> action_names();

}  // namespace hearth::http
