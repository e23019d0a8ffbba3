/// Permissions: the resource-based policies of functions, their versions and aliases.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/policy.hpp"
#include "control/validation.hpp"

namespace hearth {

using control::entry;
using control::entry_ptr;
using control::resource_policy;

namespace {

/// @errors errc::not_found: no such version or alias
result<control_plane::impl::target> find_resource(const control_plane::impl& impl,
                                                  const control::function_name& name) {
    if (name.qualifier == "$LATEST")
        return error(errc::invalid_argument,
                     "We currently do not support adding policies for $LATEST.");
    return impl.find_version(name);
}

/// The revision that a precondition is held against: the policy's, or before there is one that of
/// the resource itself. With the registry's lock held.
std::string revision_of(const control_plane::impl::target& t, const std::string& qualifier) {
    const auto& attributes = t.function->attributes;
    if (const auto at = attributes.policies.find(qualifier); at != attributes.policies.end())
        return at->second.revision_id;
    if (const auto at = attributes.aliases.find(qualifier); at != attributes.aliases.end())
        return at->second.revision_id;
    return t.version->candidate().revision_id;
}

error no_policy() { return {errc::not_found, "The resource you requested does not exist."}; }

}  // namespace

result<policy_description> control_plane::add_permission(std::string_view name,
                                                         std::string_view qualifier,
                                                         const permission_request& request) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const auto parsed, impl_->parse(name, qualifier));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const auto found, find_resource(*impl_, parsed));
    const std::string key = control::key_of(parsed);
    control::function_attributes next;
    {
        const auto guard = impl_->registry_.lock();
        if (!request.revision_id.empty() && request.revision_id != revision_of(found, key))
            return control::revision_mismatch();
        next = found.function->attributes;
    }
    resource_policy& policy = next.policies[key];
    HEARTH_TRY(auto statement, control::add_statement(
                                   policy, request, impl_->arn_of(parsed.name, parsed.qualifier)));
    policy_description added{std::move(statement), policy.revision_id};
    HEARTH_CHECK(impl_->change_attributes(found.function, std::move(next)));
    return added;
}

result<void> control_plane::remove_permission(std::string_view name,
                                              std::string_view qualifier,
                                              std::string_view statement_id,
                                              std::string_view revision_id) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const auto parsed, impl_->parse(name, qualifier));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const auto found, find_resource(*impl_, parsed));
    control::function_attributes next;
    {
        const auto guard = impl_->registry_.lock();
        next = found.function->attributes;
    }
    const auto at = next.policies.find(control::key_of(parsed));
    if (at == next.policies.end()) return no_policy();
    if (!revision_id.empty() && revision_id != at->second.revision_id)
        return control::revision_mismatch();
    HEARTH_CHECK(control::remove_statement(at->second, statement_id));
    if (at->second.statements.empty()) next.policies.erase(at);
    return impl_->change_attributes(found.function, std::move(next));
}

result<policy_description> control_plane::get_policy(std::string_view name,
                                                     std::string_view qualifier) const {
    HEARTH_TRY(const auto parsed, impl_->parse(name, qualifier));
    HEARTH_TRY(const auto found, find_resource(*impl_, parsed));
    const auto guard = impl_->registry_.lock();
    const auto& policies = found.function->attributes.policies;
    const auto at = policies.find(control::key_of(parsed));
    if (at == policies.end()) return no_policy();
    return policy_description{control::write_policy(at->second), at->second.revision_id};
}

}  // namespace hearth
