/// Reserved concurrency, a function's; and provisioned concurrency, a version's or alias's.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/validation.hpp"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <utility>

namespace hearth {

using control::entry;
using control::entry_ptr;
using control::version_ptr;

namespace {

/// Lambda: 100 executions of the account stay free for functions without a reservation.
constexpr std::size_t least_unreserved = 100;

std::size_t provisioned_sum(const entry& e) {
    std::size_t sum = 0;
    for (const auto& [qualifier, each] : e.attributes.provisioned) sum += each.requested;
    return sum;
}

error below_minimum(const char* what, std::size_t minimum) {
    return {errc::invalid_argument, std::string("Specified ") + what +
                                        " for function decreases account's "
                                        "UnreservedConcurrentExecution below its minimum value of "
                                        "[" +
                                        std::to_string(minimum) + "]."};
}

/// What the attributes give the version, by itself or through an alias.
std::size_t provisioned_for(const entry& e, const std::string& version) {
    for (const auto& [qualifier, each] : e.attributes.provisioned) {
        const auto alias = e.attributes.aliases.find(qualifier);
        if ((alias == e.attributes.aliases.end() ? qualifier : alias->second.function_version) ==
            version)
            return each.requested;
    }
    return 0;
}

/// What the version's scaling configuration says. With the registry's lock held.
function_scaling_config scaling_for(const entry& e, const control::version_entry& v) {
    const auto& all = e.attributes.scaling;
    if (const auto own = all.find(v.stored.current.version); own != all.end()) return own->second;
    const bool is_newest = !e.published.empty() && e.published.rbegin()->second.get() == &v;
    const auto newest = is_newest ? all.find(control::latest_published) : all.end();
    return newest == all.end() ? function_scaling_config() : newest->second;
}

}  // namespace

pool_policy control::scaled_pool(const entry& e, const version_entry& v) {
    pool_policy pool = v.policy.pool;
    const function_scaling_config said = scaling_for(e, v);
    if (said.min_execution_environments) pool.min_idle = *said.min_execution_environments;
    if (said.max_execution_environments) pool.max_concurrency = *said.max_execution_environments;
    return pool;
}

result<void> control::check_provisioned_once(const function_attributes& a,
                                             std::string_view qualifier,
                                             std::string_view version) {
    for (const auto& [other, each] : a.provisioned) {
        if (other == qualifier) continue;
        const auto alias = a.aliases.find(other);
        const bool is_version = alias == a.aliases.end();
        if ((is_version ? other : alias->second.function_version) == version)
            return error(errc::conflict,
                         is_version
                             ? "Alias can't be used for Provisioned Concurrency configuration on "
                               "an already Provisioned version"
                             : "Version is pointed by a Provisioned Concurrency alias");
    }
    return {};
}

std::string_view to_string(provisioned_status s) noexcept {
    switch (s) {
        case provisioned_status::in_progress:
            return "IN_PROGRESS";
        case provisioned_status::ready:
            return "READY";
        case provisioned_status::failed:
            return "FAILED";
    }
    return "";
}

std::size_t control_plane::impl::min_unreserved() const {
    return std::min(least_unreserved, options_.account_concurrency);
}

std::size_t control_plane::impl::carved_without(std::string_view name) const {
    std::size_t sum = 0;
    registry_.visit_from({}, [&](const entry& e) {
        if (e.name() != name) sum += e.reserved().value_or(provisioned_sum(e));
        return true;
    });
    return sum;
}

std::size_t control_plane::impl::unreserved() const {
    std::size_t reserved = 0;
    registry_.visit_from({}, [&](const entry& e) {
        reserved += e.reserved().value_or(0);
        return true;
    });
    return options_.account_concurrency - std::min(reserved, options_.account_concurrency);
}

void control_plane::impl::apply_provisioned(entry_ptr e) {
    {
        const auto guard = registry_.lock();
        if (e->provisionings++ != 0) return;
    }
    boost::asio::post(activations_, [this, e = std::move(e)] {
        // Never two at once for a function: the slower would set what is no longer wanted. What is
        // asked for meanwhile takes another round, which reads the attributes anew.
        for (std::size_t asked = 0; !draining_;) {
            {
                const auto guard = registry_.lock();
                e->provisionings -= asked;
                if (e->provisionings == 0) return;
                asked = e->provisionings;
            }
            apply_provisioned_now(e);
        }
    });
}

void control_plane::impl::apply_provisioned_now(const entry_ptr& e) {
    struct share {
        version_ptr version;
        std::size_t provisioned;
        pool_policy pool;
        bool is_scaled, is_latest;
    };
    std::vector<share> shares;
    bool load_latest = false;
    {
        const auto guard = registry_.lock();
        if (registry_.find_locked(e->name()) != e) return;  // deleted meanwhile
        const auto add = [&](const version_ptr& version, std::size_t provisioned) {
            if (version->stored.current.state != function_state::active) return;
            const pool_policy pool = control::scaled_pool(*e, *version);
            const pool_policy& deployed = version->policy.pool;
            // One that was scaled and is no longer has its first values again.
            const bool was_scaled = std::exchange(
                version->is_scaled, pool.min_idle != deployed.min_idle ||
                                        pool.max_concurrency != deployed.max_concurrency);
            shares.push_back({version, provisioned, pool, was_scaled || version->is_scaled,
                              version == e->latest});
        };
        add(e->latest, 0);
        for (const auto& [number, version] : e->published)
            add(version, provisioned_for(*e, version->stored.current.version));
        load_latest = e->attributes.reserved_concurrency && !e->latest->serving &&
                      e->latest->stored.current.state == function_state::active;
    }
    // A version deployed brings the function's reservation to the worker.
    if (load_latest) (void)load({e, e->latest});
    // What is given up first makes room for the rest.
    std::ranges::stable_sort(shares, {}, &share::provisioned);
    for (const share& s : shares) {
        std::shared_ptr<worker::deployed_version> serving;
        {
            const auto guard = registry_.lock();
            serving = s.version->serving;
        }
        const bool is_to_be_ready = s.provisioned > 0 || (s.is_scaled && s.pool.min_idle > 0);
        if (!serving && !is_to_be_ready) continue;
        result<void> set;
        if (!serving) {
            auto loaded = load({e, s.version});
            if (loaded.has_error())
                set = loaded.error();
            else
                serving = std::move(*loaded);
        }
        if (serving && s.is_scaled)
            (void)serving->set_scaling(s.pool.min_idle, s.pool.max_concurrency);
        if (s.is_latest) continue;  // nothing can be provisioned
        if (serving) set = serving->set_provisioned_concurrency(s.provisioned);
        const auto guard = registry_.lock();
        s.version->provisioned_failure = set.has_error() ? set.error().message() : "";
    }
}

result<void> control_plane::impl::set_reserved(std::string_view name,
                                               std::optional<std::uint64_t> reserved) {
    if (draining_) return error(errc::shutting_down);
    const std::scoped_lock changes(changes_);
    HEARTH_TRY(const entry_ptr e, find_unqualified(name));
    control::function_attributes next;
    std::optional<std::size_t> before, after;
    std::size_t provisioned = 0;
    {
        const auto guard = registry_.lock();
        next = e->attributes;
        before = e->reserved();
        provisioned = provisioned_sum(*e);
        after = reserved ? reserved : e->latest->policy.pool.reserved_concurrency;
    }
    if (reserved && *reserved < provisioned)
        return error(errc::invalid_argument,
                     "ReservedConcurrentExecutions  " + std::to_string(*reserved) +
                         " should not be lower than function's total provisioned concurrency [" +
                         std::to_string(provisioned) + "].");
    const std::size_t others = carved_without(e->name());
    if (reserved && *reserved > before.value_or(provisioned) &&
        (others + min_unreserved() > options_.account_concurrency ||
         *reserved > options_.account_concurrency - min_unreserved() - others))
        return below_minimum("ReservedConcurrentExecutions", min_unreserved());
    next.reserved_concurrency = reserved;
    const std::string arn = arn_of(e->name());
    HEARTH_CHECK(hosts_.set_reserved_concurrency(arn, after));
    auto changed = change_attributes(e, std::move(next));
    if (changed.has_error()) (void)hosts_.set_reserved_concurrency(arn, before);
    return changed;
}

result<void> control_plane::put_function_concurrency(std::string_view name, std::size_t reserved) {
    return impl_->set_reserved(name, reserved);
}

result<void> control_plane::delete_function_concurrency(std::string_view name) {
    return impl_->set_reserved(name, std::nullopt);
}

result<std::optional<std::size_t>> control_plane::get_function_concurrency(
    std::string_view name) const {
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    const auto guard = impl_->registry_.lock();
    return e->reserved();
}

result<control::function_name> control_plane::impl::parse_provisioned(
    std::string_view name, std::string_view qualifier) const {
    HEARTH_TRY(auto parsed, parse(name, qualifier));
    if (parsed.qualifier.empty() || parsed.qualifier == "$LATEST")
        return error(errc::invalid_argument,
                     "The function resource provided must be an alias or a published version.");
    return parsed;
}

provisioned_concurrency control_plane::impl::shown(const target& t,
                                                   const std::string& qualifier,
                                                   const control::provisioned_request& r) const {
    provisioned_concurrency p{.function_arn = arn_of(t.function->name(), qualifier),
                              .requested = r.requested,
                              .last_modified = r.last_modified};
    std::shared_ptr<worker::deployed_version> serving;
    {
        const auto guard = registry_.lock();
        serving = t.version->serving;
        p.status_reason = t.version->provisioned_failure;
        if (t.version->stored.current.state == function_state::failed)
            p.status_reason = t.version->stored.current.state_reason;
    }
    if (serving) p.available = std::min(p.requested, serving->ready_environments());
    p.status = !p.status_reason.empty()     ? provisioned_status::failed
               : p.available == p.requested ? provisioned_status::ready
                                            : provisioned_status::in_progress;
    return p;
}

result<provisioned_concurrency> control_plane::put_provisioned_concurrency(
    std::string_view name, std::string_view qualifier, std::size_t requested) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_TRY(const auto parsed, impl_->parse(name, qualifier));
    if (parsed.qualifier.empty() || parsed.qualifier == "$LATEST")
        return error(errc::invalid_argument,
                     "Provisioned Concurrency Configs cannot be applied to unpublished function "
                     "versions.");
    if (requested == 0)
        return control::violation("provisionedConcurrentExecutions", "0",
                                  "Member must have value greater than or equal to 1");
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const auto found, impl_->find_version(parsed));
    const entry_ptr& e = found.function;
    control::function_attributes next;
    std::optional<std::size_t> reserved;
    std::size_t before = 0, sum = 0;
    {
        const auto guard = impl_->registry_.lock();
        next = e->attributes;
        if (!found.version->stored.current.settings.tenant_isolation.empty())
            return error(errc::invalid_argument,
                         "Provisioned concurrency is not supported for functions with tenant "
                         "isolation mode.");
        reserved = e->reserved();
        sum = provisioned_sum(*e);
        found.version->provisioned_failure.clear();
    }
    if (const auto alias = next.aliases.find(parsed.qualifier); alias != next.aliases.end()) {
        if (!alias->second.additional_version_weights.empty())
            return error(errc::invalid_argument,
                         "Alias with weights can not be used with Provisioned Concurrency");
        if (alias->second.function_version == "$LATEST")
            return error(errc::invalid_argument,
                         "Provisioned Concurrency Configs cannot be applied to unpublished "
                         "function versions.");
    }
    HEARTH_CHECK(control::check_provisioned_once(next, parsed.qualifier,
                                                 found.version->stored.current.version));
    if (const auto at = next.provisioned.find(parsed.qualifier); at != next.provisioned.end())
        before = at->second.requested;
    if (requested > before) {
        const std::size_t whole = sum - before + requested;
        const std::size_t others = impl_->carved_without(e->name());
        const std::size_t limit = impl_->options_.account_concurrency;
        if (reserved && whole > *reserved)
            return error(errc::invalid_argument,
                         "Requested Provisioned Concurrency should not be greater than the "
                         "reservedConcurrentExecution for function");
        if (!reserved && (others + impl_->min_unreserved() > limit ||
                          whole > limit - impl_->min_unreserved() - others))
            return below_minimum("ConcurrentExecutions", impl_->min_unreserved());
    }
    const control::provisioned_request request{requested, control::timestamp_now()};
    next.provisioned.insert_or_assign(parsed.qualifier, request);
    HEARTH_CHECK(impl_->change_attributes(e, std::move(next)));
    impl_->apply_provisioned(e);
    provisioned_concurrency p = impl_->shown(found, parsed.qualifier, request);
    p.available = std::min(p.available, before);
    p.status = provisioned_status::in_progress;
    return p;
}

result<provisioned_concurrency> control_plane::get_provisioned_concurrency(
    std::string_view name, std::string_view qualifier) const {
    HEARTH_TRY(const auto parsed, impl_->parse_provisioned(name, qualifier));
    HEARTH_TRY(const auto found, impl_->find_version(parsed));
    control::provisioned_request request;
    {
        const auto guard = impl_->registry_.lock();
        const auto& all = found.function->attributes.provisioned;
        const auto at = all.find(parsed.qualifier);
        if (at == all.end())
            return error(errc::not_found,
                         "No Provisioned Concurrency Config found for this function");
        request = at->second;
    }
    return impl_->shown(found, parsed.qualifier, request);
}

result<void> control_plane::delete_provisioned_concurrency(std::string_view name,
                                                           std::string_view qualifier) {
    HEARTH_TRY(const auto parsed, impl_->parse_provisioned(name, qualifier));
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const auto found, impl_->find_version(parsed));
    control::function_attributes next;
    {
        const auto guard = impl_->registry_.lock();
        next = found.function->attributes;
        found.version->provisioned_failure.clear();
    }
    if (next.provisioned.erase(parsed.qualifier) == 0) return {};
    HEARTH_CHECK(impl_->change_attributes(found.function, std::move(next)));
    impl_->apply_provisioned(found.function);
    return {};
}

result<provisioned_concurrency_page> control_plane::list_provisioned_concurrency(
    std::string_view name, std::string_view marker, std::size_t max_items) const {
    HEARTH_TRY(max_items, control::page_size(max_items, 50));
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    struct row {
        std::string qualifier;
        control::provisioned_request request;
        version_ptr version;
    };
    std::vector<row> rows;
    provisioned_concurrency_page page;
    {
        const auto guard = impl_->registry_.lock();
        const auto& all = e->attributes.provisioned;
        for (auto at = marker.empty() ? all.begin() : all.upper_bound(marker); at != all.end();
             ++at) {
            auto version = control::find_version(*e, at->first);
            if (!version) continue;
            if (rows.size() == max_items) {
                page.next_marker = rows.back().qualifier;
                break;
            }
            rows.push_back({at->first, at->second, std::move(version)});
        }
    }
    for (const row& r : rows)
        page.configs.push_back(impl_->shown({e, r.version}, r.qualifier, r.request));
    return page;
}

}  // namespace hearth
