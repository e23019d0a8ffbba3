// EventBridge's operations for scheduled rules; AWS's own clients ask for them in
// tests/cli/tools_test.py.

#include "http/event_rules.hpp"

#include "../control/control_test_support.hpp"

#include <hearth/http/access_key.hpp>

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <string>

using namespace hearth;
using namespace hearth::test;
namespace json = boost::json;

namespace {

struct rules_fixture : control_fixture {
    rules_fixture() { create("f"); }

    json::object ask(std::string_view operation, const json::object& input) {
        const auto r =
            http::event_rules::answer(*control, operation, json::serialize(input), nullptr);
        INFO(r.body);
        CHECK(r.status == boost::beast::http::status::ok);
        CHECK(r.content_type == "application/x-amz-json-1.1");
        return json::parse(r.body).as_object();
    }
    std::string fault(std::string_view operation, std::string_view body) {
        const auto r = http::event_rules::answer(*control, operation, body, nullptr);
        INFO(r.body);
        CHECK(r.status == boost::beast::http::status::bad_request);
        return std::string(json::parse(r.body).at("__type").as_string());
    }
};

}  // namespace

TEST_CASE("rules and their targets as EventBridge shows them") {
    rules_fixture f;
    const json::object rule{{"Name", "r"}};
    const std::string rule_arn = "arn:aws:events:us-east-1:000000000000:rule/r";
    CHECK(f.ask("PutRule", {{"Name", "r"},
                            {"ScheduleExpression", "rate(5 minutes)"},
                            {"State", "DISABLED"},
                            {"Description", "d"},
                            {"RoleArn", "arn:role"},
                            {"Tags", {{{"Key", "k"}, {"Value", "v"}}}}}) ==
          json::object{{"RuleArn", rule_arn}});
    json::object shown{{"Name", "r"},
                       {"Arn", rule_arn},
                       {"ScheduleExpression", "rate(5 minutes)"},
                       {"State", "DISABLED"},
                       {"EventBusName", "default"},
                       {"Description", "d"},
                       {"RoleArn", "arn:role"}};
    CHECK(f.ask("ListRules", {}).at("Rules") == json::array{shown});
    CHECK(f.ask("EnableRule", rule).empty());
    shown["State"] = "ENABLED";
    shown["CreatedBy"] = "000000000000";
    CHECK(f.ask("DescribeRule", rule) == shown);
    CHECK(f.ask("DisableRule", rule).empty());
    // Without a state, a rule that is put again is enabled.
    f.ask("PutRule", {{"Name", "r"}, {"ScheduleExpression", "cron(0 0 * * ? *)"}});
    CHECK(f.ask("DescribeRule", rule).at("State") == "ENABLED");
    CHECK(f.ask("ListTagsForResource", {{"ResourceARN", rule_arn}}).at("Tags") ==
          json::array{{{"Key", "k"}, {"Value", "v"}}});
    f.ask("TagResource", {{"ResourceARN", rule_arn}, {"Tags", {{{"Key", "l"}, {"Value", ""}}}}});
    f.ask("UntagResource", {{"ResourceARN", rule_arn}, {"TagKeys", {"k"}}});
    CHECK(f.ask("ListTagsForResource", {{"ResourceARN", rule_arn}}).at("Tags") ==
          json::array{{{"Key", "l"}, {"Value", ""}}});

    const json::object none{{"FailedEntryCount", 0}, {"FailedEntries", json::array()}};
    const json::object target{{"Id", "t"}, {"Arn", arn}, {"Input", "{}"}, {"RoleArn", "arn:r"}};
    CHECK(f.ask("PutTargets", {{"Rule", "r"}, {"Targets", {target}}}) == none);
    CHECK(f.ask("ListTargetsByRule", {{"Rule", "r"}}).at("Targets") == json::array{target});
    CHECK(f.ask("ListRuleNamesByTarget", {{"TargetArn", arn}}).at("RuleNames") == json::array{"r"});
    CHECK(f.fault("DeleteRule", R"({"Name":"r"})") == "ValidationException");
    CHECK(f.ask("RemoveTargets", {{"Rule", "r"}, {"Ids", {"t"}}}) == none);
    CHECK(f.ask("DeleteRule", rule).empty());
    CHECK(f.fault("DescribeRule", R"({"Name":"r"})") == "ResourceNotFoundException");

    for (const char* name : {"a", "b", "c"})
        f.ask("PutRule", {{"Name", name}, {"ScheduleExpression", "rate(1 day)"}});
    auto page = f.ask("ListRules", {{"Limit", 2}});
    CHECK(page.at("Rules").as_array().size() == 2);
    page = f.ask("ListRules", {{"Limit", 2}, {"NextToken", page.at("NextToken")}});
    CHECK(page.at("Rules").as_array().size() == 1);
    CHECK_FALSE(page.contains("NextToken"));
}

TEST_CASE("what is asked of rules wrongly is refused in EventBridge's words") {
    rules_fixture f;
    f.ask("PutRule", {{"Name", "r"}, {"ScheduleExpression", "rate(1 day)"}});
    struct row {
        const char* operation;
        const char* body;
        const char* type;
    };
    const auto r = GENERATE(
        row{"PutEvents", "{}", "UnknownOperationException"}, row{"", "{}", "UnknownOperationException"},
        row{"PutRule", "", "SerializationException"}, row{"PutRule", "[]", "SerializationException"},
        row{"PutRule", R"({"Name":1})", "SerializationException"},
        row{"PutRule", "{}", "ValidationException"}, row{"PutRule", R"({"Name":"x"})", "ValidationException"},
        row{"PutRule", R"({"Name":"x","EventPattern":"{}"})", "ValidationException"},
        row{"PutRule", R"({"Name":"x","ScheduleExpression":"daily"})", "ValidationException"},
        row{"PutRule", R"j({"Name":"x","ScheduleExpression":"rate(1 day)","State":"On"})j", "ValidationException"},
        row{"PutRule", R"j({"Name":"x","ScheduleExpression":"rate(1 day)","EventBusName":"mine"})j",
            "ResourceNotFoundException"
},
        row{"ListRules", R"({"Limit":0})", "ValidationException"},
        row{"ListRules", R"({"Limit":101})", "ValidationException"},
        row{"EnableRule", R"({"Name":"none"})", "ResourceNotFoundException"},
        row{"PutTargets", R"({"Rule":"r"})", "ValidationException"},
        row{"PutTargets", R"({"Rule":"r","Targets":[]})", "ValidationException"},
        row{"PutTargets", R"({"Rule":"r","Targets":[7]})", "SerializationException"},
        row{"PutTargets", R"({"Rule":"r","Targets":[{"Id":"t","Arn":"arn:x"}]})", "ValidationException"},
        row{"PutTargets",
            R"({"Rule":"r","Targets":[{"Id":"t","Arn":"arn:x","InputTransformer":{"InputTemplate":"x"}}]})",
            "ValidationException"},
        row{"PutTargets",
            R"({"Rule":"none","Targets":[{"Id":"t","Arn":"arn:aws:lambda:us-east-1:000000000000:function:f"}]})",
            "ResourceNotFoundException"},
        row{"RemoveTargets", R"({"Rule":"r"})", "ValidationException"},
        row{"TagResource", R"({"ResourceARN":"arn:x","Tags":[{"Key":"aws:x","Value":""}]})",
            "ResourceNotFoundException"});
INFO(r.operation << " " << r.body);
CHECK(f.fault(r.operation, r.body) == r.type);
}

TEST_CASE("a rule needs a key that may do it for every function") {
    rules_fixture f;
    http::access_key key{.name = "n", .allow = {{.actions = {"events:List*"}, .functions = {"*"}}}};
    const auto type = [&](std::string_view operation) {
        const auto r = http::event_rules::answer(*f.control, operation, "{}", &key);
        return r.status == boost::beast::http::status::ok
                   ? std::string()
                   : std::string(json::parse(r.body).at("__type").as_string());
    };
    CHECK(type("ListRules").empty());
    CHECK(type("PutRule") == "AccessDeniedException");
    key.allow[0].functions = {"f"};
    CHECK(type("ListRules") == "AccessDeniedException");
}
