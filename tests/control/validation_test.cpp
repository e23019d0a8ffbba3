#include "control/validation.hpp"

#include <catch2/catch.hpp>

using namespace hearth::literals;
using namespace std::chrono_literals;
using hearth::errc;
using hearth::function_settings;
using hearth::control::check_role;
using hearth::control::check_settings;

namespace {
template <class Change>
hearth::result<void> with(Change change) {
    function_settings s;
    s.handler = "bootstrap";
    change(s);
    return check_settings(s);
}
}  // namespace

TEST_CASE("the edges of AWS's ranges are accepted, and one beyond is not") {
    CHECK(with([](auto& s) { s.timeout = 1s; }).has_value());
    CHECK(with([](auto& s) { s.timeout = 900s; }).has_value());
    CHECK(with([](auto& s) { s.timeout = 901s; }).error().message() ==
          "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
          "Member must have value "
          "less than or equal to 900");
    CHECK(with([](auto& s) { s.timeout = 0s; }).has_error());
    CHECK(with([](auto& s) { s.memory = 128_MiB; }).has_value());
    CHECK(with([](auto& s) { s.memory = 10240_MiB; }).has_value());
    CHECK(with([](auto& s) { s.memory = 127_MiB; }).has_error());
    CHECK(with([](auto& s) { s.memory = 10241_MiB; }).has_error());
    CHECK(with([](auto& s) { s.ephemeral_storage = 511_MiB; }).has_error());
    CHECK(with([](auto& s) { s.ephemeral_storage = 10240_MiB; }).has_value());
    CHECK(with([](auto& s) { s.description = std::string(256, 'd'); }).has_value());
    CHECK(with([](auto& s) { s.description = std::string(257, 'd'); }).has_error());
    CHECK(with([](auto& s) { s.handler = std::string(129, 'h'); }).has_error());
    CHECK(with([](auto& s) { s.handler = "a b"; }).has_error());
}

TEST_CASE("a runtime that nobody knows is refused naming those that are known") {
    for (const char* runtime :
         {"provided", "provided.al2", "provided.al2023", "python3.11", "nodejs22.x"})
        CHECK(with([&](auto& s) { s.runtime = runtime; }).has_value());
    auto r = with([](auto& s) { s.runtime = "python2.7"; });
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::invalid_argument);
    CHECK_THAT(r.error().message(),
               Catch::Contains("python2.7") && Catch::Contains("provided.al2023") &&
                   Catch::Contains("nodejs"));
}

TEST_CASE("the environment has 4 KB, proper names, and none of Lambda's own") {
    CHECK(with([](auto& s) { s.environment = {{"KEY", std::string(4000, 'v')}}; }).has_value());
    auto r = with([](auto& s) { s.environment = {{"KEY", std::string(4096, 'v')}}; });
    REQUIRE(r.has_error());
    CHECK_THAT(r.error().message(), Catch::Contains("exceeded the 4KB limit"));
    for (const char* name : {"A", "1A", "_A", "A-B", "", "A B", "A="})
        CHECK(with([&](auto& s) { s.environment = {{name, "v"}}; }).has_error());
    CHECK_THAT(with([](auto& s) {
                   s.environment = {{"AWS_REGION", "x"}};
               })
                   .error()
                   .message(),
               Catch::Contains("reserved keys") && Catch::Contains("AWS_REGION"));
    CHECK(with([](auto& s) { s.environment = {{"KEY", std::string("a\0b", 3)}}; }).has_error());
}

TEST_CASE("words outside the model's enumerations are refused") {
    CHECK(with([](auto& s) { s.tracing_mode = "Loud"; }).has_error());
    CHECK(with([](auto& s) { s.snap_start = "Always"; }).has_error());
    CHECK(with([](auto& s) { s.tenant_isolation = "PER_USER"; }).has_error());
    CHECK(with([](auto& s) {
              s.tenant_isolation = "PER_TENANT", s.environment = {{"HEARTH_ISOLATION", "tenant"}};
          }).has_value());
    CHECK(
        with([](auto& s) {
            s.tenant_isolation = "PER_TENANT", s.environment = {{"HEARTH_ISOLATION", "invocation"}};
        }).has_error());
    CHECK(with([](auto& s) {
              s.tenant_isolation = "PER_TENANT", s.snap_start = "PublishedVersions";
          }).has_error());
    CHECK(with([](auto& s) { s.logging.log_format = "XML"; }).has_error());
    CHECK(with([](auto& s) { s.logging.application_log_level = "INFO"; }).has_error());
    CHECK(with([](auto& s) { s.logging = {"JSON", "INFO", "WARN", "/aws/lambda/x"}; }).has_value());
    CHECK(with([](auto& s) { s.logging.log_group = "no spaces"; }).has_error());
    CHECK(with([](auto& s) { s.dead_letter_target_arn = "queue"; }).has_error());
}

TEST_CASE("a role is an IAM role's ARN") {
    CHECK(check_role("arn:aws:iam::123456789012:role/lambda").has_value());
    CHECK(check_role("arn:aws:iam::000000000000:role/service-role/x@y").has_value());
    for (const char* role :
         {"", "role", "arn:aws:iam::1:role/x", "arn:aws:iam::123456789012:user/x",
          "arn:aws:iam::123456789012:role", "arn:aws:iam::123456789012:role/x y"})
        CHECK(check_role(role).has_error());
}
