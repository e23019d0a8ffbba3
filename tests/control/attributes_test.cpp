// Tags and event-invoke configurations: stored, checked, shown.

#include "control_test_support.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {

using fixture = control_fixture;
using tag_map = std::map<std::string, std::string>;

}  // namespace

TEST_CASE("a function is tagged by its ARN, and untagged") {
    fixture f;
    f.create("f");
    f.publish("f");
    CHECK(f.control->list_tags(arn).value().empty());
    REQUIRE(f.control->tag_resource(arn, {{"team", "a"}, {"stage", "test"}}).has_value());
    REQUIRE(f.control->tag_resource(arn, {{"team", "b"}}).has_value());
    CHECK(f.control->list_tags(arn).value() == tag_map{{"stage", "test"}, {"team", "b"}});
    CHECK(f.control->get_function("f").value().tags.at("team") == "b");
    REQUIRE(f.control->untag_resource(arn, {"stage", "never there"}).has_value());
    CHECK(f.control->list_tags(arn).value() == tag_map{{"team", "b"}});
    CHECK_THAT(f.control->list_tags(arn + ":1").error().message(),
               Catch::StartsWith("Tags on function aliases and versions are not supported"));
    CHECK(f.control->list_tags("f").error() == errc::invalid_argument);
    CHECK(f.control->tag_resource(arn + "x", {{"a", "b"}}).error() == errc::not_found);
    CHECK(f.control->tag_resource(arn, {{"aws:x", "b"}}).error() == errc::invalid_argument);
    CHECK(f.control->tag_resource(arn, {}).error() == errc::invalid_argument);
    CHECK(f.control->untag_resource(arn, {}).error() == errc::invalid_argument);
    tag_map many;
    for (int i = 0; i < 50; ++i) many["t" + std::to_string(i)] = "";
    CHECK(f.control->tag_resource(arn, many).error() == errc::invalid_argument);  // 51 in all
    CHECK(f.control->list_tags(arn).value().size() == 1);
}

TEST_CASE("an event-invoke configuration is put, changed in part, listed and deleted") {
    fixture f;
    f.create("f"), f.create("g");
    f.publish("f");
    event_invoke_request r{.function_name = "f"};
    CHECK(f.control->put_event_invoke_config(r).error() == errc::invalid_argument);
    r.maximum_retry_attempts = 1;
    r.has_destinations = true;
    r.on_failure = "arn:aws:lambda:us-east-1:000000000000:function:g";
    const auto put = f.control->put_event_invoke_config(r).value();
    CHECK(put.function_arn == arn + ":$LATEST");
    CHECK(put.last_modified > 1'600'000'000);
    CHECK(f.control->get_event_invoke_config("f", "").value() == put);
    CHECK(f.control->get_event_invoke_config("f", "$LATEST").value() == put);
    event_invoke_request u{.function_name = "f"};
    u.maximum_event_age = 60;
    const auto updated = f.control->update_event_invoke_config(u).value();
    CHECK(updated.maximum_retry_attempts == 1u);
    CHECK(updated.maximum_event_age == 60u);
    CHECK(updated.on_failure == *r.on_failure);
    r.maximum_retry_attempts = 0, r.on_failure.reset();
    CHECK(f.control->put_event_invoke_config(r).value().on_failure.empty());  // all anew

    u.qualifier = "1";
    const std::string none = "The function " + arn + ":1 doesn't have an EventInvokeConfig";
    CHECK(f.control->update_event_invoke_config(u).error().message() == none);
    CHECK(f.control->get_event_invoke_config("f", "1").error().message() == none);
    CHECK(f.control->delete_event_invoke_config("f", "1").error().message() == none);
    u.on_success = "arn:aws:lambda:us-east-1:000000000000:function:g";
    u.has_destinations = true;
    REQUIRE(f.control->put_event_invoke_config(u).has_value());
    auto page = f.control->list_event_invoke_configs("f", "", 1).value();
    REQUIRE(page.configs.size() == 1);
    page = f.control->list_event_invoke_configs("f", page.next_marker, 1).value();
    REQUIRE(page.configs.size() == 1);
    CHECK(page.configs[0].function_arn == arn + ":1");
    CHECK(page.next_marker.empty());
    REQUIRE(f.control->delete_function("f", "1").has_value());  // its configuration goes with it
    CHECK(f.control->list_event_invoke_configs("f").value().configs.size() == 1);
    REQUIRE(f.control->delete_event_invoke_config("f", "").has_value());
    CHECK(f.control->list_event_invoke_configs("f").value().configs.empty());
}

TEST_CASE("event-invoke configurations that cannot be are refused") {
    fixture f;
    f.create("f");
    const auto refused = [&](auto change, errc code, const char* text) {
        event_invoke_request r{.function_name = "f"};
        r.has_destinations = true;
        change(r);
        const auto put = f.control->put_event_invoke_config(r);
        REQUIRE(put.has_error());
        CHECK(put.error() == code);
        CHECK_THAT(put.error().message(), Catch::Contains(text));
    };
    using request = event_invoke_request;
    refused([](request& r) { r.maximum_retry_attempts = 3; }, errc::invalid_argument,
            "less than or equal to 2");
    refused([](request& r) { r.maximum_event_age = 59; }, errc::invalid_argument,
            "greater than or equal to 60");
    refused([](request& r) { r.maximum_event_age = 21601; }, errc::invalid_argument, "21600");
    refused([](request& r) { r.on_success = "nonsense"; }, errc::invalid_argument,
            "'destinationConfig.onSuccess.destination'");
    refused([](request& r) { r.on_success = "arn:"; }, errc::invalid_argument, "onSuccess");
    refused([](request& r) { r.on_failure = "arn:aws:ec2:x:y:z"; }, errc::invalid_argument,
            "is not served here");
    refused([](request& r) { r.on_failure = "arn:aws:sqs:us-east-1:000000000000:q"; },
            errc::invalid_argument, "names no queue here");
    refused([](request& r) { r.on_failure = "arn:aws:s3:::../up"; }, errc::invalid_argument,
            "is not served here");
    refused([](request& r) { r.on_failure = "arn:aws:s3:::bucket"; }, errc::invalid_argument,
            "no data directory");
    refused([](request& r) { r.on_failure = arn + "ghost"; }, errc::invalid_argument,
            "names no function here");
    refused([](request& r) { r.on_failure = "arn:aws:lambda:eu-west-1:000000000000:function:g"; },
            errc::invalid_argument, "is invalid");
    refused([](request& r) { r.on_failure = arn + ":1"; }, errc::invalid_argument,
            "as a destination for itself");
    refused([](request& r) { r.function_name = "g"; }, errc::not_found,
            "The function doesn't exist.");
    refused([](request& r) { r.qualifier = "7"; }, errc::not_found, "The function doesn't exist.");
}

TEST_CASE("tags and event-invoke configurations come back after a restart") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    event_invoke_config before;
    {
        fake_worker worker;
        auto control = control_plane::create(o, worker).value();
        control->create_function(creation("f")).value();
        settle(*control, "f");
        control->tag_resource(arn, {{"k", "v"}}).value();
        event_invoke_request r{.function_name = "f"};
        r.maximum_retry_attempts = 0;
        before = control->put_event_invoke_config(r).value();
    }
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    CHECK(control->list_tags(arn).value() == tag_map{{"k", "v"}});
    CHECK(control->get_event_invoke_config("f", "").value() == before);
    CHECK(before.maximum_retry_attempts == 0u);
    CHECK(before.maximum_event_age == std::nullopt);
}
