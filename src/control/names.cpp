/// From a caller's name of a function to what it names.

#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/validation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace hearth {

using control::entry_ptr;

namespace control {

std::optional<std::uint64_t> version_number(std::string_view text) noexcept {
    std::uint64_t n = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc() || end != text.data() + text.size() || text.starts_with('0'))
        return std::nullopt;
    return n;
}

bool isolates_tenants(const control_plane::impl& impl, const control_plane::impl::target& t) {
    const auto guard = impl.registry_.lock();
    return !t.version->candidate().settings.tenant_isolation.empty();
}

version_ptr find_version(const entry& e, std::string_view qualifier) {
    if (qualifier.empty()) return e.latest;
    if (const auto alias = e.attributes.aliases.find(qualifier);
        alias != e.attributes.aliases.end())
        qualifier = alias->second.function_version;
    if (qualifier == "$LATEST") return e.latest;
    const auto number = version_number(qualifier);
    const auto at = number ? e.published.find(*number) : e.published.end();
    return at == e.published.end() ? nullptr : at->second;
}

std::string key_of(const function_name& name) {
    return name.qualifier.empty() ? "$LATEST" : name.qualifier;
}

result<std::size_t> page_size(std::size_t max_items, std::size_t limit) {
    if (max_items == 0)
        return violation("maxItems", "0", "Member must have value greater than or equal to 1");
    if (max_items > limit)
        return violation("maxItems", std::to_string(max_items),
                         fmt::format("Member must have value less than or equal to {}", limit));
    return std::min(max_items, max_page);
}

}  // namespace control

std::string control_plane::impl::arn_of(std::string_view name, std::string_view qualifier) const {
    std::string arn = control::make_function_arn(options_.region, options_.account_id, name);
    if (!qualifier.empty()) arn.append(":").append(qualifier);
    return arn;
}

error control_plane::impl::not_found(const control::function_name& name) const {
    return {errc::not_found, "Function not found: " + arn_of(name.name, name.qualifier)};
}

result<control::function_name> control_plane::impl::parse(std::string_view text,
                                                          std::string_view qualifier) const {
    HEARTH_TRY(control::function_name name, control::parse_function_name(text));
    HEARTH_CHECK(control::check_qualifier(qualifier));
    if (!qualifier.empty()) {
        if (!name.qualifier.empty() && name.qualifier != qualifier)
            return error(errc::invalid_argument,
                         "The derived qualifier from the function name does not match the "
                         "specified qualifier.");
        name.qualifier = qualifier;
    }
    if ((!name.region.empty() && name.region != options_.region) ||
        (!name.account_id.empty() && name.account_id != options_.account_id))
        return error(
            errc::not_found,
            fmt::format("Function not found: {}: this server serves region {} and account {}", text,
                        options_.region, options_.account_id));
    return name;
}

result<entry_ptr> control_plane::impl::find(const control::function_name& name) const {
    if (entry_ptr e = registry_.find(name.name)) return e;
    return not_found(name);
}

result<entry_ptr> control_plane::impl::find_unqualified(std::string_view text) const {
    HEARTH_TRY(const control::function_name name, parse(text, {}));
    if (!name.qualifier.empty() && name.qualifier != "$LATEST")
        return error(errc::invalid_argument,
                     "This operation is permitted only on the function itself, not on its version "
                     "or alias " +
                         name.qualifier);
    return find(name);
}

result<control_plane::impl::target> control_plane::impl::find_version(
    const control::function_name& name) const {
    HEARTH_TRY(entry_ptr e, find(name));
    const auto guard = registry_.lock();
    auto version = control::find_version(*e, name.qualifier);
    if (!version) return not_found(name);
    return target{std::move(e), std::move(version)};
}

}  // namespace hearth
