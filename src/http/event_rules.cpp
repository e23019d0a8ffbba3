#include "http/event_rules.hpp"

#include "http/authentication.hpp"
#include "http/json_protocol.hpp"
#include "http/json_reader.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace hearth::http::event_rules {
namespace {

using boost::beast::http::status;

constexpr std::string_view bus = "default";

std::string text_of(const reader& r, std::string_view name) { return r.text(name).value_or(""); }

/// What of AWS's is not here, though the shape is.
result<void> check_absent(const reader& r,
                          std::string_view where,
                          std::initializer_list<std::string_view> names) {
    for (const std::string_view each : names)
        if (r.says_something(each))
            return error(errc::unsupported, std::string(where) + "'s " + std::string(each) +
                                                " is not implemented by this server yet");
    return {};
}

result<void> check_bus(const control_plane& control, const reader& r) {
    const std::string name = text_of(r, "EventBusName");
    if (name.empty() || name == bus ||
        (name.starts_with("arn:aws:events:") &&
         name.ends_with(":" + control.account_id() + ":event-bus/default")))
        return {};
    return error(errc::not_found, "Event bus " + name +
                                      " does not exist: this server has the default one, whose "
                                      "rules are scheduled");
}

/// Of a rule's name, or of a rule's ARN where AWS takes one.
std::string rule_name(const reader& r, std::string_view member, std::string_view shown) {
    std::string text = r.required_text(member, shown);
    if (const auto slash = text.rfind(":rule/"); text.starts_with("arn:") && slash != text.npos)
        text.erase(0, slash + 6);
    return text;
}

std::size_t limit(const reader& r) {
    const auto n = r.number("Limit").value_or(100);
    if (n < 1 || n > 100)
        refuse(errc::invalid_argument,
               "1 validation error detected: Value '" + std::to_string(n) +
                   "' at 'limit' failed to satisfy constraint: Member must have value between 1 "
                   "and 100");
    return static_cast<std::size_t>(n);
}

void add_token(json::object& to, const std::string& marker) {
    if (!marker.empty()) to["NextToken"] = marker;
}

json::object shape_of(const event_rule& r) {
    json::object o{{"Name", r.name},
                   {"Arn", r.arn},
                   {"ScheduleExpression", r.schedule_expression},
                   {"State", r.enabled ? "ENABLED" : "DISABLED"},
                   {"EventBusName", bus}};
    if (!r.description.empty()) o["Description"] = r.description;
    if (!r.role_arn.empty()) o["RoleArn"] = r.role_arn;
    return o;
}

std::map<std::string, std::string> tags_of(const reader& r) {
    std::map<std::string, std::string> tags;
    const json::value* list = r.find("Tags");
    if (!list) return tags;
    if (!list->is_array()) wrong_type("Tags", "a list");
    for (const json::value& each : list->get_array()) {
        if (!each.is_object()) wrong_type("Tags", "a list of objects");
        const reader tag(each.get_object());
        tags.insert_or_assign(tag.required_text("Key", "tags.key"),
                              tag.required_text("Value", "tags.value"));
    }
    return tags;
}

json::object put_rule(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    put_rule_request request{.name = r.required_text("Name", "name"),
                             .schedule_expression = r.text("ScheduleExpression"),
                             .description = r.text("Description"),
                             .role_arn = r.text("RoleArn"),
                             .tags = tags_of(r)};
    taken(check_absent(r, "PutRule", {"EventPattern"}));
    if (const auto state = r.text("State")) {
        if (*state != "ENABLED" && *state != "DISABLED")
            refuse(errc::invalid_argument,
                   "1 validation error detected: Value '" + *state +
                       "' at 'state' failed to satisfy constraint: Member must satisfy enum value "
                       "set: [ENABLED, DISABLED]");
        request.enabled = *state == "ENABLED";
    } else {
        request.enabled = true;  // AWS's PutRule without a state enables
    }
    const event_rule made = taken(control.put_rule(request));
    return json::object{{"RuleArn", made.arn}};
}

json::object delete_rule(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    taken(control.delete_rule(r.required_text("Name", "name")));
    return json::object();
}

json::object describe_rule(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    const event_rule rule = taken(control.get_rule(r.required_text("Name", "name")));
    json::object o = shape_of(rule);
    o["CreatedBy"] = control.account_id();
    return o;
}

json::object list_rules(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    const rule_page page =
        control.list_rules(text_of(r, "NamePrefix"), text_of(r, "NextToken"), limit(r));
    json::object o;
    json::array& rules = o["Rules"].emplace_array();
    for (const event_rule& each : page.rules) rules.push_back(shape_of(each));
    add_token(o, page.next_marker);
    return o;
}

template <bool Enabled>
json::object enable_rule(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    taken(control.enable_rule(r.required_text("Name", "name"), Enabled));
    return json::object();
}

json::object no_failures() { return {{"FailedEntryCount", 0}, {"FailedEntries", json::array()}}; }

json::object put_targets(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    const std::string rule = r.required_text("Rule", "rule");
    const json::value* list = r.find("Targets");
    if (!list) must_not_be_null("targets");
    if (!list->is_array()) wrong_type("Targets", "a list");
    std::vector<rule_target> targets;
    for (const json::value& each : list->get_array()) {
        if (!each.is_object()) wrong_type("Targets", "a list of objects");
        const reader t(each.get_object());
        taken(check_absent(t, "a target",
                           {"InputPath", "InputTransformer", "KinesisParameters",
                            "RunCommandParameters", "EcsParameters", "BatchParameters",
                            "SqsParameters", "HttpParameters", "RedshiftDataParameters",
                            "SageMakerPipelineParameters", "DeadLetterConfig", "RetryPolicy"}));
        targets.push_back({.id = t.required_text("Id", "targets.id"),
                           .arn = t.required_text("Arn", "targets.arn"),
                           .input = text_of(t, "Input"),
                           .role_arn = text_of(t, "RoleArn")});
    }
    if (targets.empty())
        refuse(errc::invalid_argument,
               "1 validation error detected: Value '[]' at 'targets' failed to satisfy "
               "constraint: Member must have length greater than or equal to 1");
    taken(control.put_targets(rule, targets));
    return no_failures();
}

json::object remove_targets(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    const auto ids = r.texts("Ids");
    if (!ids) must_not_be_null("ids");
    taken(control.remove_targets(r.required_text("Rule", "rule"), *ids));
    return no_failures();
}

json::object list_targets_by_rule(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    const event_rule rule = taken(control.get_rule(r.required_text("Rule", "rule")));
    // The token is the id with which the next page begins.
    auto each = rule.targets.begin();
    if (const std::string token = text_of(r, "NextToken"); !token.empty()) {
        each = std::ranges::find(rule.targets, token, &rule_target::id);
        if (each == rule.targets.end())
            refuse(errc::invalid_argument, "The NextToken names no target of the rule any more");
    }
    json::object o;
    json::array& targets = o["Targets"].emplace_array();
    const std::size_t most = limit(r);
    for (; each != rule.targets.end() && targets.size() < most; ++each) {
        json::object t{{"Id", each->id}, {"Arn", each->arn}};
        if (!each->input.empty()) t["Input"] = each->input;
        if (!each->role_arn.empty()) t["RoleArn"] = each->role_arn;
        targets.push_back(std::move(t));
    }
    if (each != rule.targets.end()) add_token(o, each->id);
    return o;
}

json::object list_rule_names_by_target(control_plane& control, const reader& r) {
    taken(check_bus(control, r));
    const rule_name_page page = control.list_rule_names_by_target(
        r.required_text("TargetArn", "targetArn"), text_of(r, "NextToken"), limit(r));
    json::object o{{"RuleNames", json::value_from(page.names)}};
    add_token(o, page.next_marker);
    return o;
}

json::object tag_resource(control_plane& control, const reader& r) {
    taken(control.tag_rule(rule_name(r, "ResourceARN", "resourceARN"), tags_of(r)));
    return json::object();
}

json::object untag_resource(control_plane& control, const reader& r) {
    const auto keys = r.texts("TagKeys");
    if (!keys) must_not_be_null("tagKeys");
    taken(control.untag_rule(rule_name(r, "ResourceARN", "resourceARN"), *keys));
    return json::object();
}

json::object list_tags_for_resource(control_plane& control, const reader& r) {
    const event_rule rule = taken(control.get_rule(rule_name(r, "ResourceARN", "resourceARN")));
    json::object o;
    json::array& tags = o["Tags"].emplace_array();
    for (const auto& [key, value] : rule.tags)
        tags.push_back(json::object{{"Key", key}, {"Value", value}});
    return o;
}

struct handler {
    std::string_view action;
    json::object (*answer)(control_plane&, const reader&);
};

constexpr std::array handled = {
    handler{"events:DeleteRule", delete_rule},
    handler{"events:DescribeRule", describe_rule},
    handler{"events:DisableRule", enable_rule<false>},
    handler{"events:EnableRule", enable_rule<true>},
    handler{"events:ListRuleNamesByTarget", list_rule_names_by_target},
    handler{"events:ListRules", list_rules},
    handler{"events:ListTagsForResource", list_tags_for_resource},
    handler{"events:ListTargetsByRule", list_targets_by_rule},
    handler{"events:PutRule", put_rule},
    handler{"events:PutTargets", put_targets},
    handler{"events:RemoveTargets", remove_targets},
    handler{"events:TagResource", tag_resource},
    handler{"events:UntagResource", untag_resource},
};

reply failure(const error& e) {
    const std::string message = e.message();
    if (e == errc::not_found) return json_protocol::fault("ResourceNotFoundException", message);
    if (e == errc::invalid_argument || e == errc::unsupported)
        return json_protocol::fault(e.detail().starts_with("The requested resource exceeds")
                                        ? "LimitExceededException"
                                        : "ValidationException",
                                    message);
    return json_protocol::fault(
        "InternalException", message,
        e == errc::shutting_down ? status::service_unavailable : status::internal_server_error);
}

}  // namespace

reply answer(control_plane& control,
             std::string_view operation,
             std::string_view body,
             const access_key* by) {
    const auto* found = std::ranges::find_if(
        handled, [&](const handler& each) { return each.action.substr(7) == operation; });
    if (found == handled.end())
        return json_protocol::fault("UnknownOperationException",
                                    "This server does not serve " +
                                        std::string(operation.substr(0, 128)) +
                                        " of EventBridge: what scheduled rules need is there");
    // Not by rule: what a rule does it does to any function.
    if (const auto no = denied(by, control.account_id(), std::string(found->action), {}, "*"))
        return json_protocol::translate(*no);
    const auto done =
        read_document(body, [&](const reader& r) { return found->answer(control, r); });
    if (done.has_error()) {
        if (done.error().what == shape_fault::kind::refused) return failure(done.error().why);
        return json_protocol::fault("SerializationException", done.error().why.message());
    }
    return json_protocol::answer(*done);
}

std::vector<std::string_view> action_names() {
    std::vector<std::string_view> names;
    for (const handler& each : handled) names.push_back(each.action);
    return names;
}

}  // namespace hearth::http::event_rules
