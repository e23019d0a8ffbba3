/// Runtime management, recursion and scaling: what a function says of them.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/validation.hpp"

#include <utility>

namespace hearth {

using control::entry_ptr;

namespace {

constexpr std::uint64_t max_environments = 15000;

struct place {
    entry_ptr function;
    std::string key;  ///< a version's number, or $LATEST
};

/// These are of versions, not of aliases.
result<place> find_place(const control_plane::impl& impl,
                         std::string_view name,
                         std::string_view qualifier) {
    if (qualifier == control::latest_published) {
        HEARTH_TRY(entry_ptr e, impl.find_unqualified(name));
        return place{std::move(e), std::string(qualifier)};
    }
    HEARTH_TRY(const auto parsed, impl.parse(name, qualifier));
    HEARTH_TRY(auto found, impl.find_version(parsed));
    const std::string key = control::key_of(parsed);
    if (key != "$LATEST" && !control::version_number(key))
        return error(errc::invalid_argument,
                     "This operation is for versions, and " + key + " is an alias");
    return place{std::move(found.function), key};
}

result<void> check_environments(const char* member, const std::optional<std::uint64_t>& n) {
    if (!n || *n <= max_environments) return {};
    return control::violation(member, std::to_string(*n),
                              "Member must have value less than or equal to 15000");
}

}  // namespace

result<runtime_management_config> control_plane::put_runtime_management_config(
    std::string_view name, std::string_view qualifier, runtime_management_config config) {
    if (impl_->draining_) return error(errc::shutting_down);
    const std::string& when = config.update_runtime_on;
    if (when != "Auto" && when != "FunctionUpdate" && when != "Manual")
        return control::violation("updateRuntimeOn", when,
                                  "Member must satisfy enum value set: [Auto, FunctionUpdate, "
                                  "Manual]");
    if ((when == "Manual") != !config.runtime_version_arn.empty())
        return error(errc::invalid_argument,
                     "RuntimeVersionArn is to be given with UpdateRuntimeOn Manual, and only then");
    if (config.runtime_version_arn.size() > 2048 ||
        (when == "Manual" && !config.runtime_version_arn.starts_with("arn:")))
        return control::violation("runtimeVersionArn", config.runtime_version_arn,
                                  "Member must satisfy regular expression pattern: "
                                  "^arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso(b?)))?-[a-z]+-"
                                  "\\d{1}::runtime:.+$");
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const place at, find_place(*impl_, name, qualifier));
    config.function_arn = impl_->arn_of(at.function->name(), at.key);
    control::function_attributes next = at.function->attributes;
    next.runtime_management.insert_or_assign(at.key, config);
    HEARTH_CHECK(impl_->change_attributes(at.function, std::move(next)));
    return config;
}

result<runtime_management_config> control_plane::get_runtime_management_config(
    std::string_view name, std::string_view qualifier) const {
    HEARTH_TRY(const place at, find_place(*impl_, name, qualifier));
    const auto guard = impl_->registry_.lock();
    const auto& all = at.function->attributes.runtime_management;
    if (const auto found = all.find(at.key); found != all.end()) return found->second;
    return runtime_management_config{.function_arn = impl_->arn_of(at.function->name(), at.key)};
}

result<void> control_plane::put_function_recursion_config(std::string_view name,
                                                          std::string_view recursive_loop) {
    if (impl_->draining_) return error(errc::shutting_down);
    if (recursive_loop != "Allow" && recursive_loop != "Terminate")
        return control::violation("recursiveLoop", recursive_loop,
                                  "Member must satisfy enum value set: [Allow, Terminate]");
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    control::function_attributes next = e->attributes;
    next.recursive_loop = recursive_loop;
    return impl_->change_attributes(e, std::move(next));
}

result<std::string> control_plane::get_function_recursion_config(std::string_view name) const {
    HEARTH_TRY(const entry_ptr e, impl_->find_unqualified(name));
    const auto guard = impl_->registry_.lock();
    const std::string& said = e->attributes.recursive_loop;
    return said.empty() ? std::string("Terminate") : said;
}

result<function_state> control_plane::put_function_scaling_config(
    std::string_view name, std::string_view qualifier, const function_scaling_config& config) {
    if (impl_->draining_) return error(errc::shutting_down);
    HEARTH_CHECK(check_environments("minExecutionEnvironments", config.min_execution_environments));
    HEARTH_CHECK(check_environments("maxExecutionEnvironments", config.max_execution_environments));
    if (config.min_execution_environments && config.max_execution_environments &&
        *config.min_execution_environments > *config.max_execution_environments)
        return error(errc::invalid_argument,
                     "MinExecutionEnvironments must not be greater than MaxExecutionEnvironments");
    const std::scoped_lock changes(impl_->changes_);
    HEARTH_TRY(const place at, find_place(*impl_, name, qualifier));
    control::function_attributes next = at.function->attributes;
    next.scaling.insert_or_assign(at.key, config);
    HEARTH_CHECK(impl_->change_attributes(at.function, std::move(next)));
    impl_->apply_provisioned(at.function);
    const auto guard = impl_->registry_.lock();
    return at.function->latest->stored.current.state;
}

result<function_scaling> control_plane::get_function_scaling_config(
    std::string_view name, std::string_view qualifier) const {
    HEARTH_TRY(const place at, find_place(*impl_, name, qualifier));
    function_scaling scaling{impl_->arn_of(at.function->name(), at.key), {}};
    std::shared_ptr<worker::deployed_version> serving;
    {
        const auto guard = impl_->registry_.lock();
        const control::entry& e = *at.function;
        const auto& all = e.attributes.scaling;
        const auto found = all.find(at.key);
        if (found == all.end()) return scaling;
        scaling.requested = found->second;
        control::version_ptr version;
        if (at.key != control::latest_published)
            version = control::find_version(e, at.key);
        else if (!e.published.empty())
            version = e.published.rbegin()->second;
        if (version) serving = version->serving;
    }
    // Who is not loaded yet is kept to the maximum from its first invocation on.
    const std::uint64_t least = scaling.requested->min_execution_environments.value_or(0);
    if (least == 0 || (serving && serving->ready_environments() >= least))
        scaling.applied = std::exchange(scaling.requested, std::nullopt);
    return scaling;
}

}  // namespace hearth
