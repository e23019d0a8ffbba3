/// What is to become of asynchronous invocations: stored and validated, per version or alias.
/// events.cpp acts on it.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/paging.hpp"
#include "control/validation.hpp"

#include <time.h>

namespace hearth {

using control::entry_ptr;

namespace {

result<void> check_number(const char* member,
                          const std::optional<std::uint64_t>& value,
                          std::uint64_t low,
                          std::uint64_t high) {
    if (!value || (*value >= low && *value <= high)) return {};
    return control::violation(
        member, std::to_string(*value),
        *value < low ? "Member must have value greater than or equal to " + std::to_string(low)
                     : "Member must have value less than or equal to " + std::to_string(high));
}

/// AWS's pattern first: what violates it is another error than what is not served.
result<void> check_destination(const control_plane::impl& impl,
                               const char* member,
                               const std::string& destination,
                               const std::string& own_name) {
    if (destination.empty()) return {};
    if (!destination.starts_with("arn:") || destination.find(':', 4) == destination.npos ||
        destination.size() > 350)
        return control::violation(member, destination,
                                  "Member must satisfy regular expression pattern: "
                                  "^$|arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:([a-z]{2}((-gov)|"
                                  "(-iso(b?)))?-[a-z]+-\\d{1})?:(\\d{12})?:(.*)");
    return impl.check_outcome_target(destination, own_name);
}

error no_config(const std::string& arn) {
    return {errc::not_found, "The function " + arn + " doesn't have an EventInvokeConfig"};
}

/// What the request says, over what there was.
result<event_invoke_config> changed(const control_plane::impl& impl,
                                    const control::function_name& name,
                                    const event_invoke_request& r,
                                    event_invoke_config c) {
    HEARTH_CHECK(check_number("maximumRetryAttempts", r.maximum_retry_attempts, 0, 2));
    HEARTH_CHECK(check_number("maximumEventAgeInSeconds", r.maximum_event_age, 60, 21600));
    HEARTH_CHECK(check_destination(impl, "destinationConfig.onSuccess.destination",
                                   r.on_success.value_or(""), name.name));
    HEARTH_CHECK(check_destination(impl, "destinationConfig.onFailure.destination",
                                   r.on_failure.value_or(""), name.name));
    c.function_arn = impl.arn_of(name.name, key_of(name));
    if (r.maximum_retry_attempts) c.maximum_retry_attempts = r.maximum_retry_attempts;
    if (r.maximum_event_age) c.maximum_event_age = r.maximum_event_age;
    if (r.on_success) c.on_success = *r.on_success;
    if (r.on_failure) c.on_failure = *r.on_failure;
    c.last_modified = ::time(nullptr);
    return c;
}

}  // namespace

result<event_invoke_config> control_plane::put_event_invoke_config(
    const event_invoke_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    if (!request.maximum_retry_attempts && !request.maximum_event_age && !request.has_destinations)
        return error(errc::invalid_argument,
                     "You must specify at least one of error handling or destination setting.");
    HEARTH_TRY(const auto name, impl_->parse(request.function_name, request.qualifier));
    const std::scoped_lock changes(impl_->changes_);
    const auto found = impl_->find_version(name);
    if (found.has_error()) return error(errc::not_found, "The function doesn't exist.");
    HEARTH_TRY(auto config, changed(*impl_, name, request, {}));
    control::function_attributes next = found->function->attributes;
    next.event_invoke.insert_or_assign(key_of(name), config);
    HEARTH_CHECK(impl_->change_attributes(found->function, std::move(next)));
    return config;
}

result<event_invoke_config> control_plane::update_event_invoke_config(
    const event_invoke_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    if (!request.maximum_retry_attempts && !request.maximum_event_age && !request.has_destinations)
        return error(errc::invalid_argument,
                     "You must specify at least one of error handling or destination setting.");
    HEARTH_TRY(const auto name, impl_->parse(request.function_name, request.qualifier));
    const std::scoped_lock changes(impl_->changes_);
    const auto found = impl_->find_version(name);
    if (found.has_error()) return error(errc::not_found, "The function doesn't exist.");
    control::function_attributes next = found->function->attributes;
    const auto at = next.event_invoke.find(key_of(name));
    if (at == next.event_invoke.end()) return no_config(impl_->arn_of(name.name, key_of(name)));
    HEARTH_TRY(auto config, changed(*impl_, name, request, at->second));
    at->second = config;
    HEARTH_CHECK(impl_->change_attributes(found->function, std::move(next)));
    return config;
}

result<event_invoke_config> control_plane::get_event_invoke_config(
    std::string_view name, std::string_view qualifier) const {
    HEARTH_TRY(const auto parsed, impl_->parse(name, qualifier));
    const auto found = impl_->find_version(parsed);
    if (found.has_value()) {
        const auto guard = impl_->registry_.lock();
        const auto& all = found->function->attributes.event_invoke;
        if (const auto at = all.find(key_of(parsed)); at != all.end()) return at->second;
    }
    return no_config(impl_->arn_of(parsed.name, key_of(parsed)));
}

result<void> control_plane::delete_event_invoke_config(std::string_view name,
                                                       std::string_view qualifier) {
    HEARTH_TRY(const auto parsed, impl_->parse(name, qualifier));
    const std::scoped_lock changes(impl_->changes_);
    const auto found = impl_->find_version(parsed);
    if (found.has_error()) return no_config(impl_->arn_of(parsed.name, key_of(parsed)));
    control::function_attributes next = found->function->attributes;
    if (next.event_invoke.erase(key_of(parsed)) == 0)
        return no_config(impl_->arn_of(parsed.name, key_of(parsed)));
    return impl_->change_attributes(found->function, std::move(next));
}

result<event_invoke_page> control_plane::list_event_invoke_configs(std::string_view name,
                                                                   std::string_view marker,
                                                                   std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items, 50));
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    event_invoke_page page;
    const auto guard = impl_->registry_.lock();
    page.next_marker =
        control::fill_page(e->attributes.event_invoke, marker, max_items, page.configs);
    return page;
}

}  // namespace hearth
