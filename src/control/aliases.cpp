/// Aliases: names for versions, which may be moved and may share their invocations out.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/paging.hpp"
#include "control/validation.hpp"

#include <algorithm>

namespace hearth {

using control::entry;
using control::entry_ptr;

namespace {

/// What an alias is to be, against the versions there are.
result<void> check_alias(const control_plane::impl& impl,
                         const entry& e,
                         const alias_configuration& a) {
    HEARTH_CHECK(control::check_description(a.description));
    HEARTH_CHECK(control::check_alias_version(a.function_version));
    HEARTH_CHECK(control::check_weights(a.additional_version_weights));
    const auto exists = [&](const std::string& version) -> result<void> {
        if (control::find_version(e, version)) return {};
        return error(errc::not_found, "Function not found: " + impl.arn_of(e.name(), version));
    };
    HEARTH_CHECK(exists(a.function_version));
    for (const auto& [version, weight] : a.additional_version_weights) {
        if (a.function_version == "$LATEST")
            return error(errc::invalid_argument,
                         "$LATEST is not supported for an alias pointing to more than 1 version");
        if (version == a.function_version)
            return error(errc::invalid_argument,
                         "Invalid function version " + version + ". Function version " + version +
                             " is already included in routing configuration.");
        HEARTH_CHECK(exists(version));
    }
    return {};
}

}  // namespace

result<alias_configuration> control_plane::create_alias(create_alias_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_CHECK(control::check_alias_name(request.name));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(request.function_name));
    alias_configuration alias{
        .alias_arn = impl_->arn_of(e->name(), request.name),
        .name = request.name,
        .function_version = std::move(request.function_version),
        .description = std::move(request.description),
        .additional_version_weights = std::move(request.additional_version_weights),
        .revision_id = control::make_uuid()};
    control::function_attributes next;
    {
        const auto guard = impl_->registry_.lock();
        if (e->attributes.aliases.contains(alias.name))
            return error(errc::already_exists, "Alias already exists: " + alias.alias_arn);
        HEARTH_CHECK(check_alias(*impl_, *e, alias));
        next = e->attributes;
    }
    next.aliases.emplace(alias.name, alias);
    HEARTH_CHECK(impl_->change_attributes(e, std::move(next)));
    return alias;
}

result<alias_configuration> control_plane::update_alias(update_alias_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_CHECK(control::check_alias_name(request.name));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(request.function_name));
    control::function_attributes next;
    alias_configuration alias;
    {
        const auto guard = impl_->registry_.lock();
        next = e->attributes;
        const auto at = next.aliases.find(request.name);
        if (at == next.aliases.end())
            return error(errc::not_found,
                         "Alias not found: " + impl_->arn_of(e->name(), request.name));
        if (!request.revision_id.empty() && request.revision_id != at->second.revision_id)
            return control::revision_mismatch();
        alias_configuration& a = at->second;
        if (request.function_version) a.function_version = std::move(*request.function_version);
        if (request.description) a.description = std::move(*request.description);
        if (request.additional_version_weights)
            a.additional_version_weights = std::move(*request.additional_version_weights);
        a.revision_id = control::make_uuid();
        HEARTH_CHECK(check_alias(*impl_, *e, a));
        if (next.provisioned.contains(a.name)) {
            if (!a.additional_version_weights.empty())
                return error(errc::invalid_argument,
                             "Alias with weights can not be used with Provisioned Concurrency");
            if (a.function_version == "$LATEST")
                return error(errc::invalid_argument,
                             "Provisioned Concurrency Configs cannot be applied to unpublished "
                             "function versions.");
            HEARTH_CHECK(control::check_provisioned_once(next, a.name, a.function_version));
        }
        alias = a;
    }
    const bool provisioned = next.provisioned.contains(alias.name);
    HEARTH_CHECK(impl_->change_attributes(e, std::move(next)));
    if (provisioned) impl_->apply_provisioned(e);
    return alias;
}

result<alias_configuration> control_plane::get_alias(std::string_view function,
                                                     std::string_view alias) const {
    HEARTH_CHECK(control::check_alias_name(alias));
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(function));
    const auto guard = impl_->registry_.lock();
    if (const auto at = e->attributes.aliases.find(alias); at != e->attributes.aliases.end())
        return at->second;
    return error(errc::not_found, "Cannot find alias arn: " + impl_->arn_of(e->name(), alias));
}

result<void> control_plane::delete_alias(std::string_view function, std::string_view alias) {
    HEARTH_CHECK(control::check_alias_name(alias));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(function));
    control::function_attributes next;
    {
        const auto guard = impl_->registry_.lock();
        next = e->attributes;
    }
    const auto at = next.aliases.find(alias);
    if (at == next.aliases.end()) return {};
    next.aliases.erase(at);
    const bool was_provisioned = next.provisioned.erase(std::string(alias)) != 0;
    next.event_invoke.erase(std::string(alias)), next.urls.erase(std::string(alias)),
        next.policies.erase(std::string(alias));
    HEARTH_CHECK(impl_->change_attributes(e, std::move(next)));
    if (was_provisioned) impl_->apply_provisioned(e);
    return {};
}

result<alias_page> control_plane::list_aliases(std::string_view function,
                                               std::string_view version,
                                               std::string_view marker,
                                               std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items));
    if (!version.empty()) HEARTH_CHECK(control::check_alias_version(version));
    if (!marker.empty() && control::check_alias_name(marker).has_error())
        return error(errc::invalid_argument, "The Marker is not one that ListAliases returned");
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(function));
    alias_page page;
    const auto guard = impl_->registry_.lock();
    page.next_marker = control::fill_page(
        e->attributes.aliases, marker, max_items, page.aliases, [&](const alias_configuration& a) {
            const bool is_shown = version.empty() || a.function_version == version ||
                                  a.additional_version_weights.contains(std::string(version));
            return is_shown ? &a : nullptr;
        });
    return page;
}

}  // namespace hearth
