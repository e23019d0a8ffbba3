#include "http/operations.hpp"

#include "http/api_gateway.hpp"
#include "http/kinesis.hpp"
#include "http/sqs.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

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
    // One path, two operations.
    CHECK(find_route(verb::get, "/2018-10-31/layers?find=LayerVersion&Arn=x").value().op ==
          operation::get_layer_version_by_arn);
    CHECK(find_route(verb::get, "/2018-10-31/layers").value().op == operation::list_layers);
    r = find_route(verb::delete_, "/2018-10-31/layers/l/versions/7/policy/s%2D1").value();
    CHECK(r.argument == "l");
    CHECK(r.second == "7");
    CHECK(r.third == "s-1");
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

namespace {

/// What README is to hold between its two marks.
std::string tables() {
    return hearth::http::operations_table() + "\n" + hearth::http::sqs::operations_table() + "\n" +
           hearth::http::kinesis::operations_table() + "\n" +
           hearth::http::api_gateway::operations_table();
}

}  // namespace

TEST_CASE("README's table of operations is the code's") {
    const std::string mark = "<!-- operations -->\n";
    std::ifstream file(HEARTH_SOURCE_DIR "/README.md");
    const std::string readme(std::istreambuf_iterator<char>(file), {});
    REQUIRE(readme.size() > 1000);
    const auto begin = readme.find(mark);
    REQUIRE(begin != readme.npos);
    const auto from = begin + mark.size();
    CHECK(readme.substr(from, readme.find(mark, from) - from) == tables());
}

/// test_http "[print-operations]"
TEST_CASE("the table of operations", "[.print-operations]") {
    std::cout << tables();
}

TEST_CASE("the table of operations has every one once") {
    const std::string table = hearth::http::operations_table();
    for (const char* name : {" Invoke,", " AddPermission,", " CreateCapacityProvider,"}) {
        const auto at = table.find(name);
        REQUIRE(at != table.npos);
        CHECK(table.find(name, at + 1) == table.npos);
    }
    CHECK(table.find("DownloadCode") == table.npos);
    CHECK(std::ranges::count(table, ',') + 3 == 85);  // of botocore's model of 2026-08
}
