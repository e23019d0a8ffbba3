#include "http/operations.hpp"

#include <catch2/catch.hpp>

using boost::beast::http::verb;
using hearth::http::find_route;
using hearth::http::operation;

TEST_CASE("a target names an operation, its first parameter and its query") {
    auto r = find_route(verb::post, "/2015-03-31/functions/my-f%3A1/invocations?Qualifier=a%2Db&x")
                 .value();
    CHECK(r.op == operation::invoke);
    CHECK(r.argument == "my-f:1");
    CHECK(r.parameter("Qualifier") == "a-b");
    CHECK(r.parameter("x").empty());
    CHECK(r.parameter("absent").empty());
    CHECK(find_route(verb::put, "/2015-03-31/functions/f/code").value().op ==
          operation::update_function_code);
    CHECK(find_route(verb::get, "/2015-03-31/functions/").value().op == operation::list_functions);
    CHECK(find_route(verb::get, "/2015-03-31/functions/f/aliases/live").value().name == "GetAlias");
    CHECK(find_route(verb::get, "/2015-03-31/functions/f/aliases/li%76e").value().second == "live");
    CHECK_FALSE(find_route(verb::get, "/2015-03-31/functions/f/aliases/%zz"));
    CHECK(find_route(verb::get, "https://host/2015-03-31/functions/f").value().argument == "f");
}

TEST_CASE("a target that is no operation's is nothing") {
    for (const char* target :
         {"", "*", "/", "//", "/2015-03-31", "/2015-03-31/functions//invocations", "functions",
          "/2015-03-31/functions/f/invocations/x", "/2015-03-31/functions/%zz/invocations",
          "/2015-03-31/functions/%4", "/2015-03-31/functions/f?a=%", "http://host", "host:80"})
        CHECK_FALSE(find_route(verb::post, target));
    CHECK_FALSE(find_route(verb::trace, "/2015-03-31/functions"));
}
