/// Published versions: $LATEST as it was, for ever.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/validation.hpp"

#include <algorithm>

namespace hearth {

using control::entry;
using control::entry_ptr;
using control::version_entry;

control_plane::impl::publication control_plane::impl::prepare_version(
    const entry& e,
    const function_configuration& latest,
    std::shared_ptr<const image::package_image> code,
    const std::optional<std::string>& description) const {
    publication p{e.attributes, nullptr};
    if (const auto last = e.published.find(e.attributes.last_version); last != e.published.end()) {
        const function_configuration& before = last->second->stored.current;
        function_settings settings = latest.settings;
        settings.description = before.settings.description;
        // What is not a zip may have no digest worth the name.
        const auto& serving = last->second->serving;
        const bool same_code = before.code_sha256 == latest.code_sha256 &&
                               (e.durable || (serving && serving->spec().code == code));
        if (same_code && before.settings == settings &&
            e.attributes.published_description == latest.settings.description)
            return {e.attributes, last->second, false};
    }
    p.attributes.published_description = latest.settings.description;
    p.version = std::make_shared<version_entry>();
    function_configuration& c = p.version->stored.current;
    c = latest;
    c.version = std::to_string(++p.attributes.last_version);
    if (description) c.settings.description = *description;
    c.last_modified = control::timestamp_now();
    c.revision_id = control::make_uuid();
    c.state = function_state::pending;
    c.state_reason = "The function is being created.";
    c.state_reason_code = "Creating";
    c.last_update = update_status::in_progress;
    c.last_update_reason.clear(), c.last_update_reason_code.clear();
    p.version->policy = e.latest->policy;
    p.version->layers = e.latest->layers;
    p.version->candidate_image = std::move(code);
    return p;
}

result<function_configuration> control_plane::impl::publish(const entry_ptr& e, publication what) {
    {
        const auto guard = registry_.lock();
        if (!what.is_new) return what.version->stored.current;
    }
    const function_configuration published = what.version->stored.current;
    if (e->durable)
        HEARTH_CHECK(storage_->put_both({e->latest->stored, what.attributes}, published));
    {
        const auto guard = registry_.lock();
        e->attributes = std::move(what.attributes);
        e->published.emplace(e->attributes.last_version, what.version);
    }
    start_activation({e, std::move(what.version)}, 0);
    return published;
}

result<function_configuration> control_plane::publish_version(publish_version_request request) {
    if (impl_->draining_) return error(errc::shutting_down);
    if (request.description) HEARTH_CHECK(control::check_description(*request.description));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(request.function_name));
    function_configuration latest;
    std::shared_ptr<const image::package_image> code;
    {
        const auto guard = impl_->registry_.lock();
        const version_entry& v = *e->latest;
        if (v.in_transition() || v.stored.current.state != function_state::active)
            return control::busy(v);
        latest = v.stored.current;
        if (v.serving) code = v.serving->spec().code;
    }
    if (!request.revision_id.empty() && request.revision_id != latest.revision_id)
        return control::revision_mismatch();
    if (!request.code_sha256.empty() && request.code_sha256 != latest.code_sha256)
        return error(errc::invalid_argument,
                     "CodeSHA256 (" + request.code_sha256 +
                         ") is different from current CodeSHA256 in $LATEST (" +
                         latest.code_sha256 +
                         "). Please try again with the CodeSHA256 in $LATEST.");
    auto what = impl_->prepare_version(*e, latest, std::move(code), request.description);
    if (what.is_new) HEARTH_CHECK(impl_->check_code_storage(latest.code_size));
    return impl_->publish(e, std::move(what));
}

result<function_page> control_plane::list_versions(std::string_view name,
                                                   std::string_view marker,
                                                   std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items));
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    // A marker is the last version that was shown.
    const auto after = control::version_number(marker);
    if (!marker.empty() && marker != "$LATEST" && !after)
        return error(errc::invalid_argument,
                     "The Marker is not one that ListVersionsByFunction returned");
    function_page page;
    const auto guard = impl_->registry_.lock();
    if (marker.empty()) page.functions.push_back(e->latest->candidate());
    for (auto at = after ? e->published.upper_bound(*after) : e->published.begin();
         at != e->published.end(); ++at) {
        if (page.functions.size() == max_items) {
            page.next_marker = page.functions.back().version;
            break;
        }
        page.functions.push_back(at->second->stored.current);
    }
    return page;
}

/// With `changes_` held.
result<void> control_plane::impl::delete_version(const entry_ptr& e,
                                                 const control::function_name& name) {
    const auto number = control::version_number(name.qualifier);
    std::shared_ptr<worker::deployed_version> last;  // let go of outside the lock
    std::string code;
    {
        const auto guard = registry_.lock();
        if (!number && e->attributes.aliases.contains(name.qualifier))
            return error(errc::invalid_argument,
                         "Deletion of aliases is not supported by DeleteFunction: use DeleteAlias");
        const auto at = number ? e->published.find(*number) : e->published.end();
        if (at == e->published.end()) return not_found(name);
        std::string aliases;
        for (const auto& [alias, a] : e->attributes.aliases)
            if (a.function_version == name.qualifier ||
                a.additional_version_weights.contains(name.qualifier))
                aliases += (aliases.empty() ? "" : ", ") + alias;
        if (!aliases.empty())
            return error(errc::conflict,
                         "Unable to delete version because the following aliases reference it: [" +
                             aliases + "]");
        code = at->second->stored.current.code_sha256;
    }
    control::function_attributes next = e->attributes;
    if (next.provisioned.erase(name.qualifier) + next.event_invoke.erase(name.qualifier) +
            next.policies.erase(name.qualifier) + next.scaling.erase(name.qualifier) +
            next.runtime_management.erase(name.qualifier) !=
        0) {
        HEARTH_CHECK(change_attributes(e, std::move(next)));
    }
    if (e->durable) HEARTH_CHECK(storage_->remove_version(name.name, *number));
    {
        const auto guard = registry_.lock();
        const auto at = e->published.find(*number);
        ++at->second->generation;
        last = std::move(at->second->serving);
        e->published.erase(at);
    }
    hosts_.remove_snapshots(name.name + "." + name.qualifier);
    drop_package_if_unused(code);
    return {};
}

}  // namespace hearth
