#include "front_fixture.hpp"
#include "http/text.hpp"
#include "pool/decision.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>

#include <set>

using namespace hearth;
using namespace hearth::test;
using namespace std::chrono_literals;

TEST_CASE("one connection serves many requests, pipelined ones in order") {
    front_fixture f;
    f.create("f");
    f.create("slow", "slow");
    raw_client c(f.front.port());
    for (int i = 0; i < 5; ++i) {
        const answer a = c.ask(invocation("f", std::to_string(i)));
        CHECK(a.status == 200);
        CHECK(a.body == std::to_string(i));
        CHECK(a.header("X-Amz-Executed-Version") == "$LATEST");
    }
    c.send(invocation("slow", "1") + invocation("f", "2") +
           request("GET", "/2015-03-31/functions/f") + invocation("f", "3"));
    CHECK(c.receive().body == "1");
    CHECK(c.receive().body == "2");
    CHECK(c.receive().json().at("Configuration").at("FunctionName").as_string() == "f");
    CHECK(c.receive().body == "3");
}

TEST_CASE("every answer carries its own request id") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    std::set<std::string> ids;
    for (const auto& text :
         {invocation("f", "1"), request("GET", "/2015-03-31/functions"), request("GET", "/nowhere"),
          invocation("absent", "1"), invocation("f", "{")}) {
        const answer a = c.ask(text);
        CHECK(a.header("x-amzn-RequestId").size() == 36);
        ids.insert(a.header("x-amzn-RequestId"));
    }
    CHECK(ids.size() == 5);
    const answer a = c.ask(invocation("f", "1"));
    const std::scoped_lock lock(f.worker.last_mutex);
    CHECK(f.worker.last.request_id == a.header("x-amzn-RequestId"));
}

TEST_CASE("a streamed response is chunks of events; a refusal is an ordinary answer") {
    front_fixture f;
    for (const char* mode : {"echo", "throttle", "cold_fail"}) f.create(mode, mode);
    const auto stream = [](std::string_view name, std::string_view version = "HTTP/1.1") {
        std::string r = request(
            "POST",
            "/2021-11-15/functions/" + std::string(name) + "/response-streaming-invocations", "{}");
        return r.replace(r.find("HTTP/1.1"), 8, version);
    };
    raw_client c(f.front.port());
    answer a = c.ask(stream("throttle"));
    CHECK(a.status == 429);
    CHECK(a.json().at("Type").as_string() == "User");
    CHECK(c.ask(stream("absent")).status == 404);
    for (int i = 0; i < 2; ++i) {  // the connection is kept
        a = c.ask(stream("echo"));
        CHECK(a.status == 200);
        CHECK(a.header("Content-Type") == "application/vnd.amazon.eventstream");
        CHECK(a.header("X-Amz-Executed-Version") == "$LATEST");
        const std::string events = c.receive_chunks();
        // Prelude and its checksum, then headers: the specification's layout.
        REQUIRE(events.size() > 16);
        const auto size = [&](std::size_t at) {
            return static_cast<unsigned char>(events[at + 2]) * 256u +
                   static_cast<unsigned char>(events[at + 3]);
        };
        CHECK(events.substr(12, 1) == std::string(1, 11));
        CHECK(events.substr(13, 11) == ":event-type");
        CHECK(events.substr(12 + size(4), 2) == "{}");
        CHECK(events.find("InvokeComplete") > size(0));
    }
    c.ask(stream("cold_fail"));
    const std::string events = c.receive_chunks();
    CHECK(events.find("PayloadChunk") == events.npos);
    CHECK(events.find(R"("ErrorCode":"Unhandled")") != events.npos);
    CHECK(events.find("exit status 3") != events.npos);
    CHECK(c.ask(stream("echo", "HTTP/1.0")).status == 400);
}

TEST_CASE("tenants are isolated as CreateFunction asks for it, and nothing changes that") {
    front_fixture f;
    raw_client c(f.front.port());
    const auto create = [&](const std::string& tenancy) {
        return c.ask(request("POST", "/2015-03-31/functions",
                             R"({"FunctionName":"f","Role":"arn:aws:iam::000000000000:role/r",)"
                             R"("Runtime":"provided.al2023","Handler":"h","Code":{"ZipFile":")" +
                                 http::to_base64(script_zip()) + R"("},"TenancyConfig":)" +
                                 tenancy + "}"));
    };
    for (const char* bad : {R"({})", R"({"TenantIsolationMode":"PER_USER"})",
                            R"({"TenantIsolationMode":""})", R"({"TenantIsolationMode":1})", "7"}) {
        INFO(bad);
        CHECK(create(bad).status == 400);
    }
    const boost::json::value per_tenant{{"TenantIsolationMode", "PER_TENANT"}};
    const answer made = create(serialize(per_tenant));
    CHECK(made.status == 201);
    CHECK(made.json().at("TenancyConfig") == per_tenant);
    settle(*f.control, "f");
    CHECK(f.worker.newest_isolation == isolation::tenant);
    const std::string configuration = "/2015-03-31/functions/f/configuration";
    CHECK(c.ask(request("GET", configuration)).json().at("TenancyConfig") == per_tenant);
    const answer refused = c.ask(
        request("PUT", configuration, R"({"TenancyConfig":{"TenantIsolationMode":"PER_TENANT"}})"));
    CHECK(refused.status == 400);
    CHECK(refused.header("x-amzn-ErrorType") == "InvalidParameterValueException");
    f.create("g");
    CHECK_FALSE(c.ask(request("GET", "/2015-03-31/functions/g/configuration"))
                    .json()
                    .as_object()
                    .contains("TenancyConfig"));
}

TEST_CASE("a throttled invocation says which limit it met, whatever its function is called") {
    front_fixture f;
    raw_client c(f.front.port());
    const auto reason_of = [&](const std::string& name, const std::string& why) {
        auto request = creation(name, "throttle");
        request.settings.environment["WHY"] = why;
        f.control->create_function(request).value();
        settle(*f.control, name);
        const answer a = c.ask(invocation(name, "{}"));
        CHECK(a.status == 429);
        f.control->delete_function(name).value();
        return std::string(a.json().at("Reason").as_string());
    };
    using enum pool::throttle_reason;
    for (const auto each : {concurrent_invocation_limit, reserved_concurrent_invocation_limit,
                            invocation_rate_limit, reserved_invocation_rate_limit}) {
        const std::string reason(pool::to_string(each));
        CHECK(reason_of("f", reason + ": reserved-x has started 7 of 7 environments") == reason);
    }
    CHECK(reason_of("f", "CallerRateLimitExceeded: too many events wait") ==
          "CallerRateLimitExceeded");
    CHECK(reason_of("reserved-x", "reserved-x: Reserved") == "ConcurrentInvocationLimitExceeded");
    CHECK(reason_of("f", "Rate Exceeded.") == "ConcurrentInvocationLimitExceeded");
}

TEST_CASE("what a function and the worker do appears as AWS shows it") {
    front_fixture f;
    for (const char* mode : {"fail", "throttle", "no_room", "cold_fail", "init_fail"})
        f.create(mode, mode);
    raw_client c(f.front.port());

    answer a = c.ask(invocation("fail", "{}", "X-Amz-Log-Type: Tail\r\n"));
    CHECK(a.status == 200);
    CHECK(a.header("X-Amz-Function-Error") == "Unhandled");
    CHECK(a.json().at("errorType").as_string() == "Error");
    CHECK_FALSE(a.header("X-Amz-Log-Result").empty());

    a = c.ask(invocation("throttle", "{}"));
    CHECK(a.status == 429);
    CHECK(a.header("x-amzn-ErrorType") == "TooManyRequestsException");
    CHECK(a.header("Retry-After") == "1");
    CHECK(a.json().at("Reason").as_string() == "ConcurrentInvocationLimitExceeded");
    CHECK(a.json().at("message").as_string() == "Rate Exceeded.");

    a = c.ask(invocation("no_room", "{}"));
    CHECK(a.status == 503);
    CHECK(a.header("x-amzn-ErrorType") == "ServiceException");
    CHECK(a.json().at("Message").as_string() == "128 MiB were needed, 64 MiB were free");

    a = c.ask(invocation("cold_fail", "{}"));
    CHECK(a.status == 200);
    CHECK(a.header("X-Amz-Function-Error") == "Unhandled");
    CHECK(a.json().at("errorMessage").as_string() == "Runtime exited with error: exit status 3");
    CHECK(a.json().at("errorType").as_string() == "Runtime.ExitError");

    a = c.ask(invocation("init_fail", "{}"));
    CHECK(a.status == 409);
    CHECK(a.header("x-amzn-ErrorType") == "ResourceConflictException");

    a = c.ask(invocation("absent", "{}"));
    CHECK(a.status == 404);
    CHECK(a.json().at("Message").as_string() ==
          "Function not found: arn:aws:lambda:us-east-1:000000000000:function:absent");
    CHECK(a.json().at("Type").as_string() == "User");
}

TEST_CASE("the client context and the trace id reach the function") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    answer a = c.ask(invocation(
        "f", "{}", "X-Amz-Client-Context: eyJhIjoxfQ==\r\nX-Amzn-Trace-Id: Root=1-a-b\r\n"));
    CHECK(a.status == 200);
    CHECK(a.header("X-Amzn-Trace-Id") == "Root=1-a-b");
    {
        const std::scoped_lock lock(f.worker.last_mutex);
        CHECK(f.worker.last.client_context == R"({"a":1})");
        CHECK(f.worker.last.trace_id.starts_with("Root=1-a-b;Lineage=1:"));
    }
    c.ask(invocation("f", "{}"));
    {
        const std::scoped_lock lock(f.worker.last_mutex);
        CHECK(f.worker.last.trace_id.substr(0, 7) == "Root=1-");
        CHECK(f.worker.last.trace_id.size() ==
              std::string("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;"
                          "Sampled=0;Lineage=1:a87bd80c:0")
                  .size());
        CHECK(f.worker.last.trace_id.substr(40, 8) == ";Parent=");
    }
    // What speaks W3C's dialect is part of the same trace.
    const std::string made = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0";
    const std::string trace = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7";
    const auto traced = [&](const std::string& traceparent) {
        return c.ask(invocation("f", "{}", "traceparent: " + traceparent + "\r\n"))
            .header("X-Amzn-Trace-Id");
    };
    CHECK(traced("00-" + made + "1") == trace + ";Sampled=1");
    CHECK(traced("00-" + made + "0") == trace + ";Sampled=0");
    CHECK(traced("01-" + made + "1-more") == trace + ";Sampled=1");
    const std::vector<std::string> wrong = {
        "ff-" + made + "1",
        "00-" + made + "1-more",
        "00-" + made,
        "00-" + made + "x",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"};
    for (const std::string& each : wrong) CHECK(traced(each).find("4bf92f35") == std::string::npos);
    CHECK(c.ask(invocation("f", "{}",
                           "traceparent: 00-" + made + "1\r\nX-Amzn-Trace-Id: Root=1-a-b\r\n"))
              .header("X-Amzn-Trace-Id") == "Root=1-a-b");
    for (const std::string& bad :
         {std::string("%%%"), std::string("bm90IGpzb24="), std::string(3600, 'A')})
        CHECK(c.ask(invocation("f", "{}", "X-Amz-Client-Context: " + bad + "\r\n")).status == 400);
    CHECK(
        c.ask(invocation("f", "{}", "X-Amz-Tenant-Id: " + std::string(257, 't') + "\r\n")).status ==
        400);
    CHECK(c.ask(invocation("f", "{}", "X-Amz-Invocation-Type: Later\r\n")).status == 400);
    CHECK(c.ask(invocation("f", "{}", "X-Amz-Log-Type: All\r\n")).status == 400);
}

TEST_CASE("events are accepted with 202 and nothing else, and run later") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    const std::string event = "X-Amz-Invocation-Type: Event\r\n";
    const answer a = c.ask(invocation("f", R"({"n":1})", event + "X-Amz-Log-Type: Tail\r\n"));
    CHECK(a.status == 202);
    CHECK(a.body.empty());
    CHECK(a.header("Content-Length") == "0");
    CHECK(a.header("X-Amz-Log-Result").empty());
    const auto ended = [&](std::size_t runs) {
        for (int i = 0; i < 3000 && f.control->metrics().async_events_queued != 0; ++i)
            std::this_thread::sleep_for(10ms);
        return f.worker.runs() == runs;
    };
    REQUIRE(ended(1));
    {
        const std::scoped_lock lock(f.worker.last_mutex);
        CHECK(f.worker.last.payload == R"({"n":1})");
        CHECK(f.worker.last.request_id == a.header("x-amzn-RequestId"));
        CHECK(f.worker.last.trace_id.starts_with(a.header("X-Amzn-Trace-Id") + ";Lineage=1:"));
    }
    CHECK(c.ask(request("POST", "/2014-11-13/functions/f/invoke-async/", R"({"n":2})")).status ==
          202);
    CHECK(c.ask(request("POST", "/2014-11-13/functions/f/invoke-async", "")).status == 202);
    REQUIRE(ended(3));

    const std::string full = "\"" + std::string((1 << 20) - 2, 'x') + "\"";
    CHECK(c.ask(invocation("f", full, event)).status == 202);
    const answer large = c.ask(invocation("f", full + " ", event));
    CHECK(large.status == 413);
    CHECK(large.header("x-amzn-ErrorType") == "RequestEntityTooLargeException");
    CHECK_THAT(large.body, Catch::Contains("1048577 byte payload is too large for the Event "
                                           "invocation type (limit 1048576 bytes)"));
    CHECK(c.ask(request("POST", "/2014-11-13/functions/f/invoke-async", full + " ")).status == 413);
    CHECK(c.ask(invocation("f", "{", event)).status == 400);
    CHECK(c.ask(invocation("g", "{}", event)).status == 404);
    CHECK(c.ask(request("POST", "/2014-11-13/functions/g/invoke-async", "{}")).status == 404);
    REQUIRE(ended(4));
}

TEST_CASE("names come percent-encoded, in absolute form, with or without a slash at the end") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    const std::string arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af";
    CHECK(c.ask(invocation(arn, "1")).status == 200);
    CHECK(c.ask(invocation(arn + "%3A%24LATEST", "1")).status == 200);
    CHECK(c.ask(invocation("arn:aws:lambda:us-east-1:000000000000:function:f", "1")).status == 200);
    CHECK(c.ask(request("GET", "http://localhost:9/2015-03-31/functions/f")).status == 200);
    CHECK(c.ask(request("GET", "/2015-03-31/functions")).status == 200);
    CHECK(c.ask(request("GET", "/2015-03-31/functions/?MaxItems=1")).status == 200);
    CHECK(c.ask(request("GET", "/2015-03-31/functions?MaxItems=x")).status == 400);
    CHECK(c.ask(request("GET", "/2016-08-19/account-settings/")).status == 200);
    CHECK(c.ask(request("GET", "/2015-03-31/functions/f?Qualifier=%24LATEST")).status == 200);
    CHECK(c.ask(request("GET", "/2015-03-31/functions/f?Qualifier=1")).status == 404);
    CHECK(c.ask(invocation("..%2F..%2Fetc", "1")).status == 400);
    CHECK(c.ask(invocation("%00", "1")).status == 400);
    const answer bytes = c.ask(invocation("%ff%fe", "1"));
    CHECK(bytes.status == 400);
    CHECK_NOTHROW(bytes.json());
    CHECK(c.ask(invocation("%f", "1")).status == 404);
}

TEST_CASE("operations that come later are refused by name, and what AWS has not as unknown") {
    front_fixture f;
    raw_client c(f.front.port());
    answer a = c.ask(request("GET", "/2025-11-30/capacity-providers"));
    CHECK(a.status == 501);
    CHECK(a.header("x-amzn-ErrorType") == "NotImplementedException");
    CHECK_THAT(std::string(a.json().at("message").as_string()),
               Catch::Contains("ListCapacityProviders"));
    CHECK_THAT(c.ask(request("GET", "/2025-12-01/durable-executions/x/state")).body,
               Catch::Contains("GetDurableExecutionState"));
    CHECK(c.ask(request("GET", "/x")).status == 404);
    CHECK(c.ask(request("PATCH", "/2015-03-31/functions/f")).status == 404);
    CHECK(c.ask(request("GET", "/2015-03-31/functions/f/")).status == 404);  // no such function
    a = c.ask("HEAD /2015-03-31/functions HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(a.status == 404);
}

TEST_CASE("versions and aliases on the wire") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    const std::string base = "/2015-03-31/functions/f";
    answer a = c.ask(request("POST", base + "/versions", R"({"Description":"one"})"));
    CHECK(a.status == 201);
    CHECK(a.json().at("Version").as_string() == "1");
    CHECK(a.json().at("State").as_string() == "Pending");
    CHECK_THAT(std::string(a.json().at("FunctionArn").as_string()), Catch::EndsWith(":f:1"));
    settle(*f.control, "f:1");
    CHECK(c.ask(request("POST", base + "/versions")).json().at("Version").as_string() == "1");
    const auto listed = c.ask(request("GET", base + "/versions")).json().at("Versions").as_array();
    REQUIRE(listed.size() == 2);
    CHECK_FALSE(listed.at(1).as_object().contains("State"));
    CHECK_THAT(std::string(listed.at(0).at("FunctionArn").as_string()),
               Catch::EndsWith(":f:$LATEST"));

    a = c.ask(request("POST", base + "/aliases", R"({"Name":"live","FunctionVersion":"1"})"));
    CHECK(a.status == 201);
    CHECK_FALSE(a.json().as_object().contains("RoutingConfig"));
    CHECK(c.ask(request("GET", base + "/aliases/live")).json().at("Name").as_string() == "live");
    a = c.ask(invocation("f:live", "5"));
    CHECK(a.body == "5");
    CHECK(a.header("X-Amz-Executed-Version") == "1");
    a = c.ask(request("GET", base + "?Qualifier=live"));
    CHECK_THAT(a.body, Catch::Contains(":function:f:live\""));
    CHECK(a.json().at("Code").at("Location").as_string() ==
          "http://localhost:9/_hearth/functions/f:1/code.zip");
    CHECK(c.ask(request("GET", "/_hearth/functions/f:1/code.zip")).body == script_zip());
    for (const char* bad : {R"({"Name":"x"})", R"({"FunctionVersion":"1"})",
                            R"({"Name":"x","FunctionVersion":"1","RoutingConfig":
                                {"AdditionalVersionWeights":{"1":"0.5"}}})",
                            R"({"Name":1,"FunctionVersion":"1"})", "[]", "{"})
        CHECK(c.ask(request("POST", base + "/aliases", bad)).status == 400);
    CHECK(c.ask(request("PUT", base + "/aliases/li%20ve", "{}")).status == 400);
    CHECK(c.ask(request("PUT", base + "/aliases/absent", "{}")).status == 404);
    a = c.ask(request("DELETE", base + "?Qualifier=1"));
    CHECK(a.status == 409);
    CHECK(a.header("x-amzn-ErrorType") == "ResourceConflictException");
    CHECK(c.ask(request("DELETE", base + "/aliases/live")).status == 204);
    CHECK(c.ask(request("DELETE", base + ":1")).status == 204);
    CHECK(c.ask(invocation("f:1", "5")).status == 404);
    CHECK(c.ask(request("GET", base + "/versions?MaxItems=x")).status == 400);
    CHECK(c.ask(request("GET", "/2015-03-31/functions?FunctionVersion=ALL"))
              .json()
              .at("Functions")
              .as_array()
              .size() == 1);
}

TEST_CASE("a web page's request is refused") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    const answer a = c.ask(invocation("f", "{}", "Origin: http://evil.example\r\n"));
    CHECK(a.status == 403);
    CHECK(f.worker.last.request_id.empty());
}

TEST_CASE("a client that waits for 100 Continue gets it, or the refusal instead") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    c.send(
        "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: localhost\r\nExpect: "
        "100-continue\r\nContent-Length: 3\r\n\r\n");
    CHECK(c.receive().status == 100);
    CHECK(c.ask("123").body == "123");
    c.send(
        "POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: localhost\r\nExpect: "
        "100-continue\r\nContent-Length: 7000000\r\n\r\n");
    CHECK(c.receive().status == 413);
}

TEST_CASE("chunked bodies, HTTP/1.0 and Connection: close are served") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    CHECK(c.ask("POST /2015-03-31/functions/f/invocations HTTP/1.1\r\nHost: "
                "localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                "2\r\n\"a\r\n3;x=y\r\nbc\"\r\n0\r\n\r\n")
              .body == "\"abc\"");
    CHECK(c.ask(invocation("f", "1", "Connection: close\r\n")).body == "1");
    CHECK(c.closed());
    raw_client old(f.front.port());
    CHECK(old.ask("GET /2015-03-31/functions HTTP/1.0\r\n\r\n").status == 200);
    CHECK(old.closed());
}

TEST_CASE("the code a function was created with can be fetched where GetFunction says") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    const auto got = c.ask(request("GET", "/2015-03-31/functions/f")).json();
    CHECK(got.at("Code").at("Location").as_string() ==
          "http://localhost:9/_hearth/functions/f/code.zip");
    const answer zip = c.ask(request("GET", "/_hearth/functions/f/code.zip"));
    CHECK(zip.body == script_zip());
    CHECK(zip.header("Content-Type") == "application/zip");
    CHECK(c.ask(request("GET", "/_hearth/functions/absent/code.zip")).status == 404);
}

TEST_CASE("listings leave the state out, as AWS does") {
    front_fixture f;
    f.create("f");
    raw_client c(f.front.port());
    const auto page = c.ask(request("GET", "/2015-03-31/functions")).json();
    REQUIRE(page.at("Functions").as_array().size() == 1);
    CHECK_FALSE(page.at("Functions").at(0).as_object().contains("State"));
    CHECK(page.at("Functions").at(0).at("FunctionName").as_string() == "f");
}

TEST_CASE("stopping finishes running invocations, answers them, and closes the rest") {
    auto f = std::make_unique<front_fixture>();
    f->create("slow", "slow");
    const std::uint16_t port = f->front.port();
    raw_client busy(port), idle(port), fresh(port);
    CHECK(idle.ask(request("GET", "/2015-03-31/functions")).status == 200);
    busy.send(invocation("slow", "7"));
    std::this_thread::sleep_for(50ms);
    auto stopped = f->front.async_stop(boost::asio::use_future);
    CHECK(idle.closed());
    CHECK(fresh.closed());
    const answer a = busy.receive();
    CHECK(a.status == 200);
    CHECK(a.body == "7");
    CHECK(a.header("Connection") == "close");
    CHECK(stopped.wait_for(5s) == std::future_status::ready);
    CHECK_THROWS(raw_client(port));
    f.reset();  // its run loops have ended by themselves
}

TEST_CASE("a server may be destroyed while invocations run, and stopped twice") {
    {
        front_fixture f;
        f.create("slow", "slow");
        raw_client c(f.front.port());
        c.send(invocation("slow", "1"));
        f.front.async_stop([](error_code) {});
    }
    fake_worker worker;
    auto control = control_plane::create({}, worker).value();
    boost::asio::io_context io;
    { http::server never_listened(io.get_executor(), *control, {.port = 0}); }
    http::server s(io.get_executor(), *control, {.port = 0});
    bool done = false;
    s.async_stop([&](error_code) { done = true; });
    io.run();
    CHECK(done);
}

TEST_CASE("a stop keeps the run loop of its handler's own executor running") {
    front_fixture f;
    f.create("slow", "slow");
    raw_client c(f.front.port());
    c.send(invocation("slow", "1"));
    std::this_thread::sleep_for(50ms);
    boost::asio::io_context other;
    bool done = false;
    f.front.async_stop(
        boost::asio::bind_executor(other.get_executor(), [&](error_code) { done = true; }));
    other.run();
    CHECK(done);
}

TEST_CASE("a port that is taken is named") {
    front_fixture f;
    boost::asio::io_context io;
    http::server second(io.get_executor(), *f.control, {.port = f.front.port()});
    auto r = second.listen();
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::address_in_use);
    CHECK_THAT(r.error().message(), Catch::Contains("127.0.0.1:" + std::to_string(f.front.port())));
}

TEST_CASE("only loopback is listened on without access keys") {
    front_fixture f;
    boost::asio::io_context io;
    for (const char* address : {"0.0.0.0", "::", "192.0.2.1"}) {
        http::server s(io.get_executor(), *f.control, {.address = address, .port = 0});
        auto r = s.listen();
        REQUIRE(r.has_error());
        CHECK(r.error() == errc::invalid_argument);
        CHECK_THAT(r.error().message(), Catch::Contains("without access keys") &&
                                            Catch::Contains("hearth serve --credentials"));
    }
    http::server named(io.get_executor(), *f.control, {.address = "localhost"});
    CHECK_THAT(named.listen().error().message(), Catch::Contains("numeric address"));
    http::server_options options{.address = "0.0.0.0", .port = 0};
    options.access_keys = {{.name = "a", .access_key_id = "A", .secret_access_key = "S"}};
    http::server open(io.get_executor(), *f.control, options);
    CHECK(open.listen().has_value());
    CHECK(open.port() != 0);
    options.access_keys.push_back(options.access_keys.front());
    http::server twice(io.get_executor(), *f.control, options);
    CHECK_THAT(twice.listen().error().message(), Catch::Contains("that no other has"));
    options.access_keys = {{.name = "a", .access_key_id = "A"}};
    http::server empty(io.get_executor(), *f.control, options);
    CHECK_THAT(empty.listen().error().message(), Catch::Contains("secret_access_key"));
}

TEST_CASE("connections beyond the limit wait their turn") {
    front_fixture f({.port = 0, .max_connections = 2});
    auto a = std::make_unique<raw_client>(f.front.port());
    raw_client b(f.front.port()), c(f.front.port());
    const std::string ask = request("GET", "/2015-03-31/functions");
    CHECK(a->ask(ask).status == 200);
    CHECK(b.ask(ask).status == 200);
    c.send(ask);
    std::this_thread::sleep_for(50ms);
    a.reset();
    CHECK(c.receive().status == 200);
}
