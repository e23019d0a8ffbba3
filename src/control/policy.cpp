#include "control/policy.hpp"

#include "base/try.hpp"
#include "control/ascii.hpp"
#include "control/control_plane_impl.hpp"
#include "control/validation.hpp"

#include <boost/json.hpp>

#include <algorithm>

namespace hearth::control {
namespace {

namespace json = boost::json;

template <class Allowed>
bool is_made_of(std::string_view text, std::size_t low, std::size_t high, Allowed allowed) {
    return text.size() >= low && text.size() <= high && std::ranges::all_of(text, allowed);
}

bool is_action(std::string_view text) {
    if (text == "*" || text == "lambda:*") return true;
    return text.starts_with("lambda:") && text.size() <= 128 &&
           is_made_of(text.substr(7), 1, 121, is_alpha);
}

bool is_account_number(std::string_view text) { return is_made_of(text, 12, 12, is_digit); }

error mismatch(std::string_view member, std::string_view value, std::string_view pattern) {
    return violation(member, value,
                     "Member must satisfy regular expression pattern: " + std::string(pattern));
}

/// The patterns of the service model.
result<void> check(const permission_request& r) {
    const auto visible = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7F; };
    if (!is_made_of(r.statement_id, 1, 100,
                    [](char c) { return is_alnum(c) || c == '-' || c == '_'; }))
        return mismatch("statementId", r.statement_id, "([a-zA-Z0-9-_]+)");
    if (!is_action(r.action))
        return mismatch("action", r.action, "(lambda:[*]|lambda:[a-zA-Z]+|[*])");
    if (!is_made_of(r.principal, 1, 2048, visible))
        return mismatch("principal", r.principal, "[^\\s]+");
    if (!r.source_arn.empty() &&
        !(r.source_arn.starts_with("arn:") && is_made_of(r.source_arn, 8, 2048, visible)))
        return mismatch("sourceArn", r.source_arn,
                        "arn:(aws[a-zA-Z0-9-]*):([a-zA-Z0-9\\-])+:([a-z]{2}(-gov)?-[a-z]+-\\d{1})?:"
                        "(\\d{12})?:(.*)");
    if (!r.source_account.empty() && !is_account_number(r.source_account))
        return mismatch("sourceAccount", r.source_account, "\\d{12}");
    if (!r.event_source_token.empty() && !is_made_of(r.event_source_token, 1, 256, [](char c) {
            return is_alnum(c) || c == '.' || c == '_' || c == '-';
        }))
        return mismatch("eventSourceToken", r.event_source_token, "[a-zA-Z0-9._\\-]+");
    if (!r.principal_org_id.empty() &&
        !(r.principal_org_id.starts_with("o-") &&
          is_made_of(std::string_view(r.principal_org_id).substr(2), 10, 32,
                     [](char c) { return is_lower(c) || is_digit(c); })))
        return mismatch("principalOrgID", r.principal_org_id, "^o-[a-z0-9]{10,32}$");
    if (const auto& type = r.function_url_auth_type; !type.empty()) {
        if (type != "NONE" && type != "AWS_IAM")
            return violation("functionUrlAuthType", type,
                             "Member must satisfy enum value set: [NONE, AWS_IAM]");
        if (r.action != "lambda:InvokeFunctionUrl")
            return error(errc::invalid_argument,
                         "FunctionUrlAuthType is only supported for lambda:InvokeFunctionUrl "
                         "action");
    }
    return {};
}

/// A service, an account (its root), an ARN, or everybody.
json::value principal(const std::string& text) {
    if (text == "*") return "*";
    if (is_account_number(text)) return json::object{{"AWS", "arn:aws:iam::" + text + ":root"}};
    if (text.starts_with("arn:")) return json::object{{"AWS", text}};
    return json::object{{"Service", text}};
}

json::object conditions(const permission_request& r) {
    json::object equals;
    const auto add = [&](const char* key, const std::string& value) {
        if (!value.empty()) equals[key] = value;
    };
    add("AWS:SourceAccount", r.source_account);
    add("lambda:EventSourceToken", r.event_source_token);
    add("aws:PrincipalOrgID", r.principal_org_id);
    add("lambda:FunctionUrlAuthType", r.function_url_auth_type);
    json::object all;
    if (!equals.empty()) all["StringEquals"] = std::move(equals);
    if (!r.source_arn.empty()) all["ArnLike"] = {{"AWS:SourceArn", r.source_arn}};
    if (r.invoked_via_function_url)
        all["Bool"] = {
            {"lambda:InvokedViaFunctionUrl", *r.invoked_via_function_url ? "true" : "false"}};
    return all;
}

}  // namespace

result<std::string> add_statement(resource_policy& to,
                                  const permission_request& request,
                                  std::string_view resource) {
    HEARTH_CHECK(check(request));
    for (const policy_statement& each : to.statements)
        if (each.id == request.statement_id)
            return error(errc::conflict,
                         "The statement id (" + request.statement_id +
                             ") provided already exists. Please provide a new statement id, or "
                             "remove the existing statement.");
    json::object statement{{"Sid", request.statement_id},
                           {"Effect", "Allow"},
                           {"Principal", principal(request.principal)},
                           {"Action", request.action},
                           {"Resource", json::string_view(resource.data(), resource.size())}};
    if (auto all = conditions(request); !all.empty()) statement["Condition"] = std::move(all);
    resource_policy next = to;
    next.statements.push_back({request.statement_id, json::serialize(statement)});
    if (const std::size_t size = write_policy(next).size(); size > max_policy)
        return error(errc::invalid_argument, "The final policy size (" + std::to_string(size) +
                                                 ") is bigger than the limit (" +
                                                 std::to_string(max_policy) + ").");
    next.revision_id = make_uuid();
    to = std::move(next);
    return to.statements.back().document;
}

result<void> remove_statement(resource_policy& from, std::string_view id) {
    const auto removed =
        std::erase_if(from.statements, [&](const policy_statement& s) { return s.id == id; });
    if (removed == 0)
        return error(errc::not_found,
                     "Statement " + std::string(id) + " is not found in resource policy.");
    from.revision_id = make_uuid();
    return {};
}

std::string write_policy(const resource_policy& policy) {
    // The statements are JSON already.
    std::string text = R"({"Version":"2012-10-17","Id":"default","Statement":[)";
    for (const policy_statement& each : policy.statements)
        text += (&each == &policy.statements.front() ? "" : ",") + each.document;
    return text + "]}";
}

}  // namespace hearth::control
