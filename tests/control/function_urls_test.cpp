// Function URLs: stored, checked, shown, found by their id.

#include "control_test_support.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {

using fixture = control_fixture;

function_url_request request(const std::string& qualifier = {}, const char* auth = "NONE") {
    return {.function_name = "f", .qualifier = qualifier, .auth_type = auth};
}

void add_alias(control_plane& control, const std::string& name) {
    control.create_alias({.function_name = "f", .name = name, .function_version = "$LATEST"})
        .value();
}

}  // namespace

TEST_CASE("a function URL is made, changed in part, listed, found and deleted") {
    fixture f;
    f.create("f");
    add_alias(*f.control, "live");
    function_url_request r = request();
    r.cors = cors_settings{.allow_methods = {"GET"}, .allow_origins = {"*"}, .max_age = 5};
    const auto made = f.control->create_function_url_config(r).value();
    CHECK(made.function_arn == arn);
    CHECK(made.url_id.size() == 32);
    CHECK(made.invoke_mode == "BUFFERED");
    CHECK(made.creation_time == made.last_modified_time);
    CHECK(made.creation_time.ends_with("Z"));
    CHECK(f.control->create_function_url_config(r).error() == errc::already_exists);
    CHECK(f.control->get_function_url_config("f", "$LATEST").value() == made);
    CHECK(f.control->find_function_url(made.url_id).value() == made);

    const auto aliased = f.control->create_function_url_config(request("live", "AWS_IAM")).value();
    CHECK(aliased.function_arn == arn + ":live");
    CHECK(aliased.url_id != made.url_id);
    auto page = f.control->list_function_url_configs("f", "", 1).value();
    REQUIRE(page.configs.size() == 1);
    CHECK(page.configs[0] == made);
    page = f.control->list_function_url_configs("f", page.next_marker, 1).value();
    REQUIRE(page.configs.size() == 1);
    CHECK(page.configs[0] == aliased);
    CHECK(page.next_marker.empty());

    const auto changed =
        f.control
            ->update_function_url_config({.function_name = "f", .invoke_mode = "RESPONSE_STREAM"})
            .value();
    CHECK(changed.auth_type == "NONE");
    CHECK(changed.cors == made.cors);
    CHECK(changed.url_id == made.url_id);
    CHECK(f.control->find_function_url(made.url_id).value() == changed);
    function_url_request none = request();
    none.cors.emplace();
    CHECK_FALSE(f.control->update_function_url_config(none).value().cors.has_value());

    REQUIRE(f.control->delete_function_url_config("f", "").has_value());
    CHECK(f.control->delete_function_url_config("f", "").error() == errc::not_found);
    CHECK(f.control->get_function_url_config("f", "").error() == errc::not_found);
    CHECK(f.control->find_function_url(made.url_id).error() == errc::not_found);
    CHECK(f.control->update_function_url_config(request()).error() == errc::not_found);
}

TEST_CASE("a function URL goes with its alias and with its function") {
    fixture f;
    f.create("f");
    add_alias(*f.control, "live");
    const auto of_alias = f.control->create_function_url_config(request("live")).value();
    const auto of_function = f.control->create_function_url_config(request()).value();
    REQUIRE(f.control->delete_alias("f", "live").has_value());
    CHECK(f.control->find_function_url(of_alias.url_id).error() == errc::not_found);
    CHECK(f.control->list_function_url_configs("f").value().configs.size() == 1);
    REQUIRE(f.control->delete_function("f").has_value());
    CHECK(f.control->find_function_url(of_function.url_id).error() == errc::not_found);
    f.create("f");
    CHECK(f.control->list_function_url_configs("f").value().configs.empty());
}

TEST_CASE("function URLs that cannot be are refused") {
    fixture f;
    f.create("f");
    f.publish("f");
    const auto refused = [&](auto change, errc code, const char* text) {
        function_url_request r = request();
        r.cors.emplace().allow_credentials = true;
        change(r);
        const auto made = f.control->create_function_url_config(r);
        REQUIRE(made.has_error());
        CHECK(made.error() == code);
        CHECK_THAT(made.error().message(), Catch::Contains(text));
    };
    using request_type = function_url_request;
    refused([](request_type& r) { r.auth_type = "BASIC"; }, errc::invalid_argument, "'authType'");
    refused([](request_type& r) { r.invoke_mode = "LATER"; }, errc::invalid_argument,
            "'invokeMode'");
    refused([](request_type& r) { r.qualifier = "1"; }, errc::invalid_argument, "'qualifier'");
    refused([](request_type& r) { r.qualifier = "absent"; }, errc::not_found, arn.c_str());
    refused([](request_type& r) { r.function_name = "absent"; }, errc::not_found, "absent");
    refused([](request_type& r) { r.cors->max_age = 86401; }, errc::invalid_argument, "86400");
    refused([](request_type& r) { r.cors->allow_methods = {"OPTIONS"}; }, errc::invalid_argument,
            "allowMethods");
    // What would end a header's line in an answer.
    refused([](request_type& r) { r.cors->allow_origins = {"http://a\r\nX: y"}; },
            errc::invalid_argument, "allowOrigins");
    refused([](request_type& r) { r.cors->expose_headers = {"a b"}; }, errc::invalid_argument,
            "exposeHeaders");
    refused([](request_type& r) { r.cors->allow_headers.assign(101, "x"); }, errc::invalid_argument,
            "less than or equal to 100");
    refused([](request_type& r) { r.cors->allow_headers = {""}; }, errc::invalid_argument,
            "allowHeaders");
}

TEST_CASE("function URLs come back after a restart under the same id") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    function_url_config before, plain;
    {
        fake_worker worker;
        auto control = control_plane::create(o, worker).value();
        control->create_function(creation("f")).value();
        settle(*control, "f");
        add_alias(*control, "live");
        function_url_request r = request("live", "AWS_IAM");
        r.invoke_mode = "RESPONSE_STREAM";
        r.cors = cors_settings{true, {"a", "b"}, {"GET", "*"}, {"http://x"}, {"y"}, 0};
        before = control->create_function_url_config(r).value();
        plain = control->create_function_url_config(request()).value();
    }
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    CHECK(control->find_function_url(before.url_id).value() == before);
    CHECK(control->get_function_url_config("f", "live").value() == before);
    CHECK(control->find_function_url(plain.url_id).value() == plain);
}
