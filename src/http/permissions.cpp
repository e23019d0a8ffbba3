/// The operations on resource-based policies, and their shapes.

#include "http/handlers.hpp"
#include "http/json_reader.hpp"

namespace hearth::http {

shaped<permission_request> read_permission(std::string_view body) {
    return read_document(body, [](const reader& r) {
        const auto optional = [&](const char* name) { return r.text(name).value_or(""); };
        permission_request p{.statement_id = r.required_text("StatementId", "statementId"),
                             .action = r.required_text("Action", "action"),
                             .principal = r.required_text("Principal", "principal"),
                             .source_arn = optional("SourceArn"),
                             .source_account = optional("SourceAccount"),
                             .event_source_token = optional("EventSourceToken"),
                             .principal_org_id = optional("PrincipalOrgID"),
                             .function_url_auth_type = optional("FunctionUrlAuthType"),
                             .revision_id = optional("RevisionId")};
        if (r.find("InvokedViaFunctionUrl"))
            p.invoked_via_function_url = r.flag("InvokedViaFunctionUrl");
        return p;
    });
}

std::string write_policy(const policy_description& p, std::string_view member) {
    json::object o{{"RevisionId", p.revision_id}};
    o[json::string_view(member.data(), member.size())] = p.document;
    return json::serialize(o);
}

namespace handlers {

reply add_permission(const call& c) {
    const auto request = read_permission(c.body);
    if (request.has_error()) return refused(request.error());
    return answer(
        c.control.add_permission(c.asked.argument, c.asked.parameter("Qualifier"), *request),
        [](const policy_description& p) {
            return json::serialize(json::object{{"Statement", p.document}});
        },
        boost::beast::http::status::created);
}

reply remove_permission(const call& c) {
    return answer_nothing(
        c.control.remove_permission(c.asked.argument, c.asked.parameter("Qualifier"),
                                    c.asked.second, c.asked.parameter("RevisionId")));
}

reply get_policy(const call& c) {
    return answer(c.control.get_policy(c.asked.argument, c.asked.parameter("Qualifier")),
                  [](const policy_description& p) { return write_policy(p, "Policy"); });
}

}  // namespace handlers
}  // namespace hearth::http
