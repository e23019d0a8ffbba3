// What is asked for wrongly, or where nothing is kept; the rest is held against AWS's own clients
// (clients/logs_client.py).

#include "http/cloudwatch_logs.hpp"

#include "front_fixture.hpp"
#include "logs/log_store.hpp"
#include "temporary_directory.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {

struct logs_fixture {
    temporary_directory directory;
    std::shared_ptr<logs::store> store =
        logs::store::open({.directory = directory.path()}, nullptr).value();
    fake_worker worker;
    std::unique_ptr<control_plane> control = [this] {
        control_options o;
        o.logs = store;
        return control_plane::create(o, worker).value();
    }();
    http::reply ask(std::string_view operation, std::string_view body) {
        return http::cloudwatch_logs::answer(*control, operation, body, nullptr);
    }
    std::string fault(std::string_view operation, std::string_view body) {
        const auto r = ask(operation, body);
        CHECK(r.status == boost::beast::http::status::bad_request);
        CHECK(r.content_type == "application/x-amz-json-1.1");
        return std::string(boost::json::parse(r.body).at("__type").as_string());
    }
};

}  // namespace

TEST_CASE("a request for logs that cannot be read is refused by what is wrong with it") {
    logs_fixture f;
    f.store->write(logs::store::make_source({.group = "g", .stream = "s"}), {{1, "x\n", true}});
    CHECK(f.fault("PutLogEvents", "{}") == "UnknownOperationException");
    CHECK(f.fault("", "{}") == "UnknownOperationException");
    CHECK(f.fault("GetLogEvents", "") == "InvalidParameterException");
    CHECK(f.fault("GetLogEvents", "[]") == "SerializationException");
    CHECK(f.fault("GetLogEvents", "{\"logGroupName\":7}") == "SerializationException");
    CHECK(f.fault("FilterLogEvents", R"({"logGroupName":"../../etc"})") ==
          "ResourceNotFoundException");
    for (const char* also :
         {R"("limit":0)", R"("limit":10001)", R"("startTime":-1)", R"("nextToken":"")",
          R"("nextToken":"f/1")", R"("nextToken":"f/1/x")", R"("nextToken":"b/1/1")",
          R"("nextToken":"f/99999999999999999999999/1")"}) {
        INFO(also);
        CHECK(f.fault("FilterLogEvents", std::string(R"({"logGroupName":"g",)") + also + "}") ==
              "InvalidParameterException");
    }
    CHECK(f.fault("DescribeLogStreams", R"({"logGroupName":"g","orderBy":"Size"})") ==
          "InvalidParameterException");
}

TEST_CASE("a token that points anywhere reads whole records only") {
    logs_fixture f;
    for (int i = 0; i < 3; ++i)
        f.store->write(logs::store::make_source({.group = "g", .stream = "s"}),
                       {{1, "{\"t\":1,\"s\":\"s\",\"m\":\"x\"}\n", true}});
    for (int offset = 0; offset < 400; ++offset)
        for (const char* direction : {"f", "b"}) {
            const std::string body = R"({"logGroupName":"g","logStreamName":"s","nextToken":")" +
                                     std::string(direction) + "/1/" + std::to_string(offset) +
                                     "\"}";
            const auto events =
                boost::json::parse(f.ask("GetLogEvents", body).body).at("events").as_array();
            CHECK(events.size() <= 3);
            for (const auto& e : events)
                CHECK(e.at("message") == "{\"t\":1,\"s\":\"s\",\"m\":\"x\"}\n");
        }
}

TEST_CASE("a group is known by its ARN too") {
    logs_fixture f;
    f.store->write(logs::store::make_source({.group = "g", .stream = "s"}), {{1, "x\n", true}});
    const auto r =
        f.ask("FilterLogEvents",
              R"({"logGroupIdentifier":"arn:aws:logs:us-east-1:000000000000:log-group:g:*"})");
    CHECK(boost::json::parse(r.body).at("events").as_array().size() == 1);
}

TEST_CASE(
    "over HTTP: where no logs are kept there are no groups, and other targets are no service's") {
    front_fixture f;
    raw_client c(f.front.port());
    const auto ask = [&](const char* target, const char* body) {
        return c.ask(request("POST", "/", body,
                             "X-Amz-Target: " + std::string(target) +
                                 "\r\nContent-Type: application/x-amz-json-1.1\r\n"));
    };
    auto a = ask("Logs_20140328.DescribeLogGroups", "{}");
    CHECK(a.status == 200);
    CHECK(a.header("Content-Type") == "application/x-amz-json-1.1");
    CHECK(a.json() == boost::json::parse(R"({"logGroups":[]})"));
    a = ask("Logs_20140328.GetLogEvents",
            R"({"logGroupName":"/aws/lambda/f","logStreamName":"s"})");
    CHECK(a.status == 400);
    CHECK(a.json().at("__type") == "ResourceNotFoundException");
    CHECK(ask("Nothing_1.Do", "{}").status == 404);
    // A page's request is refused in this protocol's words.
    a = c.ask(request("POST", "/", "{}",
                      "X-Amz-Target: Logs_20140328.DescribeLogGroups\r\nOrigin: http://evil\r\n"));
    CHECK(a.status == 400);
    CHECK(a.json().at("__type") == "AccessDeniedException");
}
