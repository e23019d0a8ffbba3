/// Tags of functions and of event source mappings.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/event_sources.hpp"
#include "control/validation.hpp"

#include <optional>

namespace hearth {

using control::entry_ptr;

namespace {

result<entry_ptr> tagged(const control_plane::impl& impl, std::string_view arn) {
    if (!arn.starts_with("arn:"))
        return control::violation("resource", arn,
                                  "Member must satisfy regular expression pattern: "
                                  "arn:(aws[a-zA-Z-]*)?:lambda:[a-z]{2}(-gov)?-[a-z]+-\\d{1}:"
                                  "\\d{12}:function:[a-zA-Z0-9-_]+(:(\\$LATEST|[a-zA-Z0-9-_]+))?");
    HEARTH_TRY(const auto name, impl.parse(arn, {}));
    if (!name.qualifier.empty())
        return error(errc::invalid_argument,
                     "Tags on function aliases and versions are not supported. Please specify a "
                     "function ARN.");
    return impl.find(name);
}

/// The mapping that the ARN names; nothing: it names none. @errors errc::not_found
result<std::optional<event_source_mapping>> tagged_mapping(const control_plane::impl& impl,
                                                           std::string_view arn) {
    constexpr std::string_view kind = ":event-source-mapping:";
    const auto at = arn.find(kind);
    if (at == arn.npos) return std::nullopt;
    HEARTH_TRY(auto m, impl.event_sources_->get(arn.substr(at + kind.size())));
    if (m.arn != arn || m.state == event_source_state::deleting)
        return error(errc::not_found, "The resource you requested does not exist.");
    return std::optional(std::move(m));
}

}  // namespace

result<void> control_plane::tag_resource(std::string_view arn,
                                         const std::map<std::string, std::string>& tags) {
    if (impl_->draining_) return error(errc::shutting_down);
    if (tags.empty())
        return error(errc::invalid_argument,
                     "An error occurred and the request cannot be processed.");
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(auto mapping, tagged_mapping(*impl_, arn));
    if (mapping) {
        for (const auto& [key, value] : tags) mapping->tags.insert_or_assign(key, value);
        HEARTH_CHECK(control::check_tags(mapping->tags));
        return impl_->event_sources_->put(std::move(*mapping));
    }
    HEARTH_TRY(const entry_ptr e, tagged(*impl_, arn));
    control::function_attributes next = e->attributes;
    for (const auto& [key, value] : tags) next.tags.insert_or_assign(key, value);
    HEARTH_CHECK(control::check_tags(next.tags));
    return impl_->change_attributes(e, std::move(next));
}

result<void> control_plane::untag_resource(std::string_view arn,
                                           const std::vector<std::string>& keys) {
    if (impl_->draining_) return error(errc::shutting_down);
    if (keys.empty()) return control::violation("tagKeys", "null", "Member must not be null");
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(auto mapping, tagged_mapping(*impl_, arn));
    if (mapping) {
        for (const std::string& key : keys) mapping->tags.erase(key);
        return impl_->event_sources_->put(std::move(*mapping));
    }
    HEARTH_TRY(const entry_ptr e, tagged(*impl_, arn));
    control::function_attributes next = e->attributes;
    for (const std::string& key : keys) next.tags.erase(key);
    return impl_->change_attributes(e, std::move(next));
}

result<std::map<std::string, std::string>> control_plane::list_tags(std::string_view arn) const {
    HEARTH_TRY(auto mapping, tagged_mapping(*impl_, arn));
    if (mapping) return std::move(mapping->tags);
    HEARTH_TRY(const entry_ptr e, tagged(*impl_, arn));
    const auto guard = impl_->registry_.lock();
    return e->attributes.tags;
}

}  // namespace hearth
