// CloudWatch Logs' filter patterns, those of words.

#include "http/log_filter.hpp"

#include <catch2/catch.hpp>

using hearth::http::log_filter;

namespace {

bool matches(std::string_view pattern, std::string_view message) {
    return log_filter::parse(pattern).value().matches(message);
}
std::string fault(std::string_view pattern) {
    const auto f = log_filter::parse(pattern);
    return f.has_error() ? f.error().detail() : std::string();
}

}  // namespace

TEST_CASE("all of the words must be there, in any order and as they are spelled") {
    CHECK(matches("ERROR", "[ERROR 400] BAD"));
    CHECK_FALSE(matches("ERROR", "error"));
    CHECK(matches("BAD ERROR", "[ERROR 400] BAD"));
    CHECK_FALSE(matches("BAD WORSE", "[ERROR 400] BAD"));
    CHECK(matches("  café ", "un café"));
}

TEST_CASE("a phrase stands in quotes") {
    CHECK(matches("\"exit status 1\"", "Runtime exited with error: exit status 1"));
    CHECK_FALSE(matches("\"exit status\"", "status exit"));
    CHECK(matches("\"a \\\"b\\\" \\\\\"", "a \"b\" \\"));
    CHECK(matches("\"x\"y", "yx"));  // the next term begins where the quote ends
}

TEST_CASE("words may be excluded, or optional where none is required") {
    CHECK(matches("ERROR -retry", "ERROR 1"));
    CHECK_FALSE(matches("ERROR -\"will retry\"", "ERROR: will retry"));
    CHECK(matches("-DEBUG", "INFO"));
    CHECK(matches("?A ?B", "B"));
    CHECK_FALSE(matches("?A ?B", "C"));
    CHECK(matches("?A C", "C"));
}

TEST_CASE("nothing matches all") {
    for (const char* pattern : {"", "  ", "\"\""}) {
        CHECK(matches(pattern, ""));
        CHECK(log_filter::parse(pattern).value().is_empty());
    }
}

TEST_CASE("what is not served or not well-formed is refused in a sentence") {
    CHECK(fault(" { $.level = \"x\" }").find("JSON patterns") != std::string::npos);
    CHECK(fault("[a, b]").find("columns") != std::string::npos);
    CHECK(fault("%a+%").find("regular expressions") != std::string::npos);
    CHECK(fault("\"open").find("no end") != std::string::npos);
    CHECK(fault("a.b").find("'a.b' must stand in double quotes") != std::string::npos);
    CHECK(!fault("?").empty());
    CHECK(!fault("-").empty());
    CHECK(!fault("\"a\\").empty());
}
