/// Function URLs: their configurations, and whose URL an id is.

#include "base/try.hpp"
#include "control/ascii.hpp"
#include "control/control_plane_impl.hpp"
#include "control/cors.hpp"
#include "control/paging.hpp"
#include "control/validation.hpp"

#include <algorithm>

namespace hearth {

using control::entry_ptr;

namespace {

result<void> check_one_of(const char* member,
                          const std::string& value,
                          const char* one,
                          const char* other) {
    if (value == one || value == other) return {};
    return control::violation(
        member, value,
        std::string("Member must satisfy enum value set: [") + one + ", " + other + "]");
}

/// A URL leads to $LATEST or an alias, never to a version.
result<control::function_name> parse_url_name(const control_plane::impl& impl,
                                              std::string_view text,
                                              std::string_view qualifier) {
    HEARTH_TRY(auto name, impl.parse(text, qualifier));
    if (!name.qualifier.empty() && name.qualifier != "$LATEST" &&
        std::ranges::all_of(name.qualifier, control::is_digit))
        return control::violation("qualifier", name.qualifier,
                                  "Member must satisfy regular expression pattern: "
                                  "(^\\$LATEST$)|((?!^[0-9]+$)([a-zA-Z0-9-_]+))");
    return name;
}

error no_url() { return {errc::not_found, "The resource you requested does not exist."}; }

std::string time_now() {
    std::string now = control::timestamp_now();
    return now.replace(now.find('+'), now.npos, "Z");
}

/// What the request says, over what there was.
result<void> change(const function_url_request& r, function_url_config& c) {
    if (r.auth_type) c.auth_type = *r.auth_type;
    if (r.invoke_mode) c.invoke_mode = *r.invoke_mode;
    if (r.cors && *r.cors == cors_settings{})
        c.cors.reset();
    else if (r.cors)
        c.cors = r.cors;
    HEARTH_CHECK(check_one_of("authType", c.auth_type, "NONE", "AWS_IAM"));
    HEARTH_CHECK(check_one_of("invokeMode", c.invoke_mode, "BUFFERED", "RESPONSE_STREAM"));
    if (c.cors)
        HEARTH_CHECK(
            control::check_cors(*c.cors, {"GET", "PUT", "HEAD", "POST", "PATCH", "DELETE", "*"}));
    c.last_modified_time = time_now();
    return {};
}

}  // namespace

result<function_url_config> control_plane::create_function_url_config(
    const function_url_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const auto name, parse_url_name(*impl_, request.function_name, request.qualifier));
    function_url_config url;
    HEARTH_CHECK(change(request, url));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const auto found, impl_->find_version(name));
    if (control::isolates_tenants(*impl_, found))
        return error(errc::invalid_argument,
                     "Function URLs are not supported for functions with tenant isolation mode.");
    control::function_attributes next = found.function->attributes;
    url.function_arn = impl_->arn_of(name.name, key_of(name) == "$LATEST" ? "" : name.qualifier);
    if (next.urls.contains(key_of(name)))
        return error(errc::already_exists,
                     "Failed to create function url config for [functionArn = " + url.function_arn +
                         "]. Error message:  FunctionUrlConfig exists for this Lambda function");
    url.url_id = control::make_uuid();
    std::erase(url.url_id, '-');
    url.creation_time = url.last_modified_time;
    next.urls.emplace(key_of(name), url);
    HEARTH_CHECK(impl_->change_attributes(found.function, std::move(next)));
    return url;
}

result<function_url_config> control_plane::update_function_url_config(
    const function_url_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const auto name, parse_url_name(*impl_, request.function_name, request.qualifier));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find(name));
    control::function_attributes next = e->attributes;
    const auto at = next.urls.find(key_of(name));
    if (at == next.urls.end()) return no_url();
    HEARTH_CHECK(change(request, at->second));
    function_url_config url = at->second;
    HEARTH_CHECK(impl_->change_attributes(e, std::move(next)));
    return url;
}

result<function_url_config> control_plane::get_function_url_config(
    std::string_view name, std::string_view qualifier) const {
    HEARTH_TRY(const auto parsed, parse_url_name(*impl_, name, qualifier));
    HEARTH_TRY(const entry_ptr e, impl_->find(parsed));
    const auto guard = impl_->registry_.lock();
    const auto at = e->attributes.urls.find(key_of(parsed));
    if (at == e->attributes.urls.end()) return no_url();
    return at->second;
}

result<void> control_plane::delete_function_url_config(std::string_view name,
                                                       std::string_view qualifier) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const auto parsed, parse_url_name(*impl_, name, qualifier));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find(parsed));
    control::function_attributes next = e->attributes;
    if (next.urls.erase(key_of(parsed)) == 0) return no_url();
    return impl_->change_attributes(e, std::move(next));
}

result<function_url_page> control_plane::list_function_url_configs(std::string_view name,
                                                                   std::string_view marker,
                                                                   std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items, 50));
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    function_url_page page;
    const auto guard = impl_->registry_.lock();
    page.next_marker = control::fill_page(e->attributes.urls, marker, max_items, page.configs);
    return page;
}

result<function_url_config> control_plane::find_function_url(std::string_view url_id) const {
    return impl_->registry_.find_url(url_id);
}

}  // namespace hearth
