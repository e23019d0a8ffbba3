#include "base/try.hpp"

#include <hearth/error.hpp>
#include <hearth/init_failure.hpp>

#include <catch2/catch.hpp>

#include <string>

namespace {

hearth::result<int> half(int n) {
    if (n % 2) return hearth::error(hearth::errc::invalid_argument, std::to_string(n) + " is odd");
    return n / 2;
}
hearth::result<int> quarter(int n) {
    HEARTH_TRY(int h, half(n));
    return half(h);
}

}  // namespace

TEST_CASE("an error carries a code Asio speaks and a sentence of its own") {
    auto r = half(3);
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::invalid_argument);
    CHECK(r.error().message() == "3 is odd");
    CHECK(r.error().code().category().name() == std::string("hearth"));
}

TEST_CASE("value() throws system_error with the sentence") {
    CHECK_THROWS_WITH(half(5).value(), Catch::Contains("5 is odd"));
}

TEST_CASE("HEARTH_TRY passes the first error up") {
    CHECK(quarter(8).value() == 2);
    CHECK(quarter(6).error().message() == "3 is odd");
}

TEST_CASE("every code has a message") {
    for (int v : {1,  2,  3,  4,  5,  6,  7,  20, 21, 22, 23, 24, 25, 26, 27,
                  28, 29, 30, 31, 32, 40, 41, 42, 43, 44, 45, 46, 47, 48})
        CHECK(hearth::error_category().message(v).find("unknown") == std::string::npos);
}

TEST_CASE("the sentence of a failed init has a type, if it names one") {
    using hearth::init_failure_in;
    const auto said = init_failure_in(
        "Runtime.ImportModuleError: Unable to import module 'a': No module named 'b'");
    CHECK(said.type == "Runtime.ImportModuleError");
    CHECK(said.message == "Unable to import module 'a': No module named 'b'");
    CHECK(init_failure_in("Sandbox.Timedout: Init phase timed out after 10.00 seconds").type ==
          "Sandbox.Timedout");
    for (const char* untyped :
         {"", ": x", "no type here", "Unable to import module 'a': No module named 'b'", "x:y"}) {
        CHECK(init_failure_in(untyped).type == "Runtime.InitError");
        CHECK(init_failure_in(untyped).message == untyped);
    }
}
