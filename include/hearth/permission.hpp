#pragma once

/// Resource-based policies: who may call a function, said statement by statement. They are stored
/// and shown as AWS does; nothing here acts on them yet.

#include <optional>
#include <string>

namespace hearth {

/// Of AddPermission, and with fewer members AddLayerVersionPermission.
struct permission_request {
    std::string statement_id{}, action{}, principal{};
    std::string source_arn{}, source_account{}, event_source_token{}, principal_org_id{};
    std::string function_url_auth_type{};  ///< with lambda:InvokeFunctionUrl only
    std::optional<bool> invoked_via_function_url{};
    std::string revision_id{};  ///< empty: no precondition
};

/// What an operation on a policy answers with.
struct policy_description {
    std::string document{};  ///< JSON: the policy, or the statement that was added
    std::string revision_id{};
};

}  // namespace hearth
