// Permissions: policies of functions, versions and aliases, stored and shown as AWS writes them.

#include "control_test_support.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {

using fixture = control_fixture;

permission_request permission(const std::string& id, const std::string& principal = "*") {
    return {.statement_id = id, .action = "lambda:InvokeFunction", .principal = principal};
}

boost::json::value policy_of(control_plane& control, const std::string& qualifier = {}) {
    return boost::json::parse(control.get_policy("f", qualifier).value().document);
}

}  // namespace

TEST_CASE("a statement is written as AWS writes it") {
    fixture f;
    f.create("f");
    permission_request r = permission("s3", "s3.amazonaws.com");
    r.source_arn = "arn:aws:s3:::bucket";
    r.source_account = "123456789012";
    const auto added = f.control->add_permission("f", "", r).value();
    CHECK(added.document ==
          R"({"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},)"
          R"("Action":"lambda:InvokeFunction","Resource":")" +
              arn +
              R"(","Condition":{"StringEquals":{"AWS:SourceAccount":"123456789012"},)"
              R"("ArnLike":{"AWS:SourceArn":"arn:aws:s3:::bucket"}}})");
    const auto principal = [&](const char* id, const char* who) {
        const auto document =
            f.control->add_permission("f", "", permission(id, who)).value().document;
        return boost::json::serialize(boost::json::parse(document).at("Principal"));
    };
    CHECK(principal("all", "*") == R"("*")");
    CHECK(principal("account", "123456789012") == R"({"AWS":"arn:aws:iam::123456789012:root"})");
    CHECK(principal("user", "arn:aws:iam::123456789012:user/u") ==
          R"({"AWS":"arn:aws:iam::123456789012:user/u"})");
    r = permission("url");
    r.action = "lambda:InvokeFunctionUrl";
    r.function_url_auth_type = "NONE";
    CHECK(boost::json::serialize(
              boost::json::parse(f.control->add_permission("f", "", r).value().document)
                  .at("Condition")) == R"({"StringEquals":{"lambda:FunctionUrlAuthType":"NONE"}})");
    const auto policy = policy_of(*f.control);
    CHECK(policy.at("Version") == "2012-10-17");
    CHECK(policy.at("Id") == "default");
    CHECK(policy.at("Statement").as_array().size() == 5);
}

TEST_CASE("each version and alias has a policy of its own, which goes with it") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.control->create_alias({.function_name = "f", .name = "live", .function_version = "1"})
        .value();
    for (const char* qualifier : {"", "1", "live"})
        f.control->add_permission("f", qualifier, permission("a")).value();
    CHECK(policy_of(*f.control, "live").at("Statement").at(0).at("Resource").as_string() ==
          arn + ":live");
    CHECK(policy_of(*f.control, "1").at("Statement").as_array().size() == 1);
    REQUIRE(f.control->delete_alias("f", "live").has_value());
    f.control->create_alias({.function_name = "f", .name = "live", .function_version = "1"})
        .value();
    CHECK(f.control->get_policy("f", "live").error() == errc::not_found);
    REQUIRE(f.control->delete_alias("f", "live").has_value());
    REQUIRE(f.control->delete_function("f", "1").has_value());
    CHECK(f.control->get_policy("f", "1").error() == errc::not_found);
    CHECK(f.control->get_policy("f", "").has_value());
    CHECK(f.control->get_policy("f", "$LATEST").error() == errc::invalid_argument);
    CHECK(f.control->add_permission("f", "9", permission("a")).error() == errc::not_found);
    CHECK(f.control->add_permission("g", "", permission("a")).error() == errc::not_found);
}

TEST_CASE("preconditions, limits and removal of statements") {
    fixture f;
    f.create("f");
    CHECK(f.control->get_policy("f", "").error() == errc::not_found);
    CHECK(f.control->remove_permission("f", "", "a").error() == errc::not_found);
    permission_request r = permission("a");
    r.revision_id = "wrong";
    CHECK(f.control->add_permission("f", "", r).error() == errc::precondition_failed);
    r.revision_id = f.control->get_function("f").value().configuration.revision_id;
    const auto first = f.control->add_permission("f", "", r).value();
    CHECK(f.control->get_policy("f", "").value().revision_id == first.revision_id);
    CHECK(f.control->add_permission("f", "", permission("a")).error() == errc::conflict);
    CHECK(f.control->remove_permission("f", "", "a", "wrong").error() == errc::precondition_failed);
    CHECK_THAT(f.control->remove_permission("f", "", "b", first.revision_id).error().message(),
               Catch::Equals("Statement b is not found in resource policy."));
    REQUIRE(f.control->remove_permission("f", "", "a", first.revision_id).has_value());
    CHECK(f.control->get_policy("f", "").error() == errc::not_found);

    int added = 0;
    result<policy_description> last = error(errc::not_found);
    do {
        last = f.control->add_permission("f", "",
                                         permission(std::string(90, 'x') + std::to_string(added)));
    } while (last.has_value() && ++added < 1000);
    CHECK_THAT(last.error().message(), Catch::StartsWith("The final policy size ("));
    CHECK(added > 50);
    CHECK(f.control->get_policy("f", "").value().document.size() <= 20480);
}

TEST_CASE("statements that cannot be are refused") {
    fixture f;
    f.create("f");
    const auto refused = [&](auto change, const char* text) {
        permission_request r = permission("a");
        change(r);
        const auto added = f.control->add_permission("f", "", r);
        REQUIRE(added.has_error());
        CHECK(added.error() == errc::invalid_argument);
        CHECK_THAT(added.error().message(), Catch::Contains(text));
    };
    using request = permission_request;
    refused([](request& r) { r.statement_id = ""; }, "'statementId'");
    refused([](request& r) { r.statement_id = "a b"; }, "'statementId'");
    refused([](request& r) { r.statement_id.assign(101, 'x'); }, "'statementId'");
    refused([](request& r) { r.action = "s3:Get"; }, "'action'");
    refused([](request& r) { r.action = "lambda:"; }, "'action'");
    refused([](request& r) { r.principal = "a b"; }, "'principal'");
    refused([](request& r) { r.source_arn = "bucket"; }, "'sourceArn'");
    refused([](request& r) { r.source_account = "1"; }, "'sourceAccount'");
    refused([](request& r) { r.event_source_token = "a/b"; }, "'eventSourceToken'");
    refused([](request& r) { r.principal_org_id = "o-1"; }, "'principalOrgID'");
    refused([](request& r) { r.function_url_auth_type = "NONE"; }, "only supported");
    CHECK(f.control->get_policy("f", "").error() == errc::not_found);
}

TEST_CASE("policies come back after a restart") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    std::string before;
    {
        fake_worker worker;
        auto control = control_plane::create(o, worker).value();
        control->create_function(creation("f")).value();
        settle(*control, "f");
        control->add_permission("f", "", permission("a", "events.amazonaws.com")).value();
        control->add_permission("f", "", permission("b")).value();
        before = control->get_policy("f", "").value().document;
    }
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    CHECK(control->get_policy("f", "").value().document == before);
    CHECK(control->add_permission("f", "", permission("a")).error() == errc::conflict);
}
