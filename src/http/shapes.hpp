#pragma once

/// Between the control plane's values and the service model's JSON shapes. Pure.

#include <hearth/control.hpp>
#include <hearth/error.hpp>

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hearth::http {

/// A request body that cannot be taken, told apart because AWS names the two differently.
struct shape_fault {
    enum class kind { not_json, wrong_type, refused };
    kind what = kind::refused;
    error why{};
};

template <class T>
using shaped = boost::system::result<T, shape_fault>;

/// Refuses what Hearth does not do yet (images, …) by name; ignores unknown members.
shaped<create_function_request> read_create_function(std::string_view body);
shaped<update_function_code_request> read_update_function_code(std::string_view body);
shaped<update_function_configuration_request> read_update_function_configuration(
    std::string_view body);

shaped<publish_version_request> read_publish_version(std::string_view body);
shaped<create_alias_request> read_create_alias(std::string_view body);
shaped<update_alias_request> read_update_alias(std::string_view body);
/// Of the member that is all there is in the body.
shaped<std::size_t> read_reserved_concurrency(std::string_view body);
shaped<std::size_t> read_provisioned_concurrency(std::string_view body);
std::string write_reserved_concurrency(std::optional<std::size_t> reserved);
std::string write_provisioned_concurrency(const provisioned_concurrency& p);
std::string write_page(const provisioned_concurrency_page& page);
shaped<std::map<std::string, std::string>> read_tags(std::string_view body);
shaped<event_invoke_request> read_event_invoke(std::string_view body);
std::string write_tags(const std::map<std::string, std::string>& tags);
std::string write_event_invoke(const event_invoke_config& c);
std::string write_page(const event_invoke_page& page);

shaped<function_url_request> read_create_function_url(std::string_view body);
shaped<function_url_request> read_update_function_url(std::string_view body);
/// `origin` as in `call`.
std::string write_function_url(const function_url_config& c, std::string_view origin, bool is_new);
std::string write_page(const function_url_page& page, std::string_view origin);

shaped<permission_request> read_permission(std::string_view body);
/// `member`: "Policy" or "Statement", beside the RevisionId.
std::string write_policy(const policy_description& p, std::string_view member);
shaped<publish_layer_request> read_publish_layer(std::string_view body);
/// `location`: where the zip can be had; empty: nowhere.
std::string write_layer(const layer_version& l, std::string_view location);
std::string write_layers(const layer_page& page);
std::string write_layer_versions(const layer_page& page);

/// `qualifier`, if given, shows in the ARN as AWS has it.
std::string write_configuration(const function_configuration& c, std::string_view qualifier = {});
/// `code_location` empty: the function has no zip to download.
std::string write_description(const function_description& d, std::string_view code_location);
/// Listings leave the state out, as AWS does. `list` is the member's name; with `qualified` the ARNs
/// show the versions.
std::string write_page(const function_page& page, std::string_view list, bool qualified);
std::string write_alias(const alias_configuration& a);
std::string write_page(const alias_page& page);
std::string write_account_settings(const account_settings& s);

[[noreturn]] void throw_exception_from_error(const shape_fault& f, const boost::source_location&);

}  // namespace hearth::http
