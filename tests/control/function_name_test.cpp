#include "control/function_name.hpp"

#include <catch2/catch.hpp>

using hearth::errc;
using hearth::control::function_name;
using hearth::control::parse_function_name;

TEST_CASE("a function is named plainly, in part, or by its full ARN") {
    const std::pair<const char*, function_name> cases[] = {
        {"f", {"f", "", "", ""}},
        {"my-func_1", {"my-func_1", "", "", ""}},
        {"f:$LATEST", {"f", "$LATEST", "", ""}},
        {"f:live", {"f", "live", "", ""}},
        {"f:7", {"f", "7", "", ""}},
        {"123456789012:function:f", {"f", "", "", "123456789012"}},
        {"123456789012:f", {"f", "", "", "123456789012"}},
        {"function:f", {"f", "", "", ""}},
        {"us-east-1:123456789012:function:f:2", {"f", "2", "us-east-1", "123456789012"}},
        {"arn:aws:lambda:eu-west-3:123456789012:function:f",
         {"f", "", "eu-west-3", "123456789012"}},
        {"arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:f:$LATEST",
         {"f", "$LATEST", "us-gov-west-1", "123456789012"}},
        {"function", {"function", "", "", ""}},
    };
    for (const auto& [text, expected] : cases) {
        INFO(text);
        auto parsed = parse_function_name(text);
        REQUIRE(parsed.has_value());
        CHECK(*parsed == expected);
    }
}

TEST_CASE("what the service model's pattern does not match is refused in AWS's words") {
    for (const char* text :
         {"", "a b", "f:", "f:g:h", "f/g", "f.g", "arn:aws:s3:us-east-1:123456789012:function:f",
          "$LATEST", "f:$latest", "gr\xC3\xBC"}) {
        INFO(text);
        auto parsed = parse_function_name(text);
        REQUIRE(parsed.has_error());
        CHECK(parsed.error() == errc::invalid_argument);
        CHECK_THAT(parsed.error().message(),
                   Catch::StartsWith("1 validation error detected: Value '"));
    }
    CHECK(parse_function_name(std::string("f\0g", 3)).has_error());
}

TEST_CASE("a name has at most 64 characters, with its ARN 140") {
    CHECK(parse_function_name(std::string(64, 'f')).has_value());
    CHECK(parse_function_name(std::string(65, 'f')).has_error());
    CHECK(parse_function_name("arn:aws:lambda:us-east-1:123456789012:function:" +
                              std::string(64, 'f'))
              .has_value());
    CHECK(parse_function_name("f:" + std::string(200, 'q')).has_error());
}
