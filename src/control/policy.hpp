#pragma once

/// A resource-based policy as a list of statements, each a JSON object as AWS writes it. Pure.

#include <hearth/error.hpp>
#include <hearth/permission.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace hearth::control {

struct policy_statement {
    std::string id, document;
    bool operator==(const policy_statement&) const = default;
};

/// Of a function's version or alias, or of a layer's version.
struct resource_policy {
    std::string revision_id;
    std::vector<policy_statement> statements;
    bool operator==(const resource_policy&) const = default;
};

/// AWS's limit for a whole policy.
inline constexpr std::size_t max_policy = 20480;

/// Adds the statement and gives the policy a new revision. Returns the statement's document.
/// @errors errc::invalid_argument; conflict: the id is there; not changed then
result<std::string> add_statement(resource_policy& to,
                                  const permission_request& request,
                                  std::string_view resource);
/// @errors errc::not_found; not changed then
result<void> remove_statement(resource_policy& from, std::string_view id);

/// {"Version": …, "Id": "default", "Statement": […]}
std::string write_policy(const resource_policy& policy);

}  // namespace hearth::control
