#include "base/response_writer.hpp"
#include "front_fixture.hpp"
#include "http/url_streaming_call.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;
using namespace std::string_literals;
using boost::beast::http::status;
using http::url_streaming_call;

namespace {

const std::string prelude =
    R"({"statusCode":203,"headers":{"Content-Type":"text/html","x":"y"},"cookies":["c=d"]})";
const std::string mark(8, '\0');
const char* const integration = "application/vnd.awslambda.http-integration-response";

std::string own_field(const http::reply& r, std::string_view name) {
    for (const auto& [key, value] : r.own_headers)
        if (key == name) return value;
    return {};
}

/// A call to which a function of this content type writes.
struct written {
    explicit written(std::string_view type) {
        writer = call.reader().writer();
        writer->set_content_type(type);
    }
    std::optional<std::string> write(std::string bytes) { return call.take(std::move(bytes)); }
    void end(const std::string& function_error = {}, error failure = {}) {
        response r;
        r.function_error = function_error;
        call.ended();
        call.answered(std::move(failure), std::move(r));
        REQUIRE(call.complete());
    }
    url_streaming_call call{{.invoke_mode = "RESPONSE_STREAM"}, {.headers = {{"also", "z"}}}};
    std::shared_ptr<response_writer> writer;
};

/// A front with a function of the fake's mode "stream" and its URL.
struct streaming_fixture : front_fixture {
    explicit streaming_fixture(std::map<std::string, std::string> variables,
                               std::optional<cors_settings> cors = {}) {
        auto r = creation("f", "stream");
        r.settings.environment.merge(variables);
        control->create_function(r).value();
        settle(*control, "f");
        url = control
                  ->create_function_url_config({.function_name = "f",
                                                .auth_type = "NONE",
                                                .invoke_mode = "RESPONSE_STREAM",
                                                .cors = std::move(cors)})
                  .value();
    }
    [[nodiscard]] std::string get(std::string_view start = "GET / HTTP/1.1",
                                  std::string_view headers = {}) const {
        return std::string(start) + "\r\nHost: " + url.url_id +
               ".lambda-url.us-east-1.localhost\r\n" + std::string(headers) + "\r\n";
    }
    function_url_config url;
};

}  // namespace

TEST_CASE("a prelude becomes the head, wherever it is cut") {
    const std::string all = prelude + mark + "<p>\0"s;
    for (std::size_t cut = 0; cut <= all.size(); ++cut) {
        INFO(cut);
        written w(integration);
        const auto first = w.write(all.substr(0, cut));
        CHECK(first.has_value() == (cut >= prelude.size() + mark.size()));
        CHECK(first.value_or("") + w.write(all.substr(cut)).value() == "<p>\0"s);
        const http::reply head = w.call.head();
        CHECK(head.status == status::non_authoritative_information);
        CHECK(head.content_type == "text/html");
        CHECK(own_field(head, "x") == "y");
        CHECK(own_field(head, "Set-Cookie") == "c=d");
        CHECK(head.headers.at(0).second == "z");
    }
}

TEST_CASE("without the integration's type the bytes are the body, a mark in them too") {
    written w("text/x");
    CHECK(w.write("{}" + mark) == "{}" + mark);
    CHECK(w.call.head().status == status::ok);
    CHECK(w.call.head().content_type == "text/x");
    w.call.begun = true;
    w.end();
    CHECK_FALSE(w.call.whole());
    CHECK(w.call.rest() == "");
}

TEST_CASE("an answer in one piece is read as a buffered one's") {
    written w("");
    CHECK_FALSE(w.write(R"({"statusCode":201,"body":"b"})"));
    w.end();
    const auto whole = w.call.whole();
    REQUIRE(whole);
    CHECK(whole->status == status::created);
    CHECK(whole->body == "b");
    CHECK(whole->headers.at(0).second == "z");
}

TEST_CASE("what begins no answer is a bad gateway") {
    for (const std::string& bad :
         {"[]" + mark, R"({"headers":{"a":"\n"}})" + mark, R"({"statusCode":99})" + mark,
          "{" + mark, R"({"statusCode":200})"s,
          std::string(url_streaming_call::max_prelude + 1, ' ') + "{}" + mark}) {
        INFO(bad.substr(0, 40));
        written w(integration);
        CHECK_FALSE(w.write(bad));
        w.end();
        CHECK(w.call.whole().value().status == status::bad_gateway);
    }
    written w(integration);
    CHECK_FALSE(w.write(prelude));
    w.end("Unhandled");
    CHECK(w.call.whole().value().status == status::bad_gateway);
}

TEST_CASE("a failure is an answer before the head is sent, and breaks off after it") {
    written late("text/x");
    CHECK(late.write("part"));
    late.call.begun = true;
    late.end("Unhandled");
    CHECK_FALSE(late.call.whole());
    CHECK_FALSE(late.call.rest());
    written refused("");
    refused.end({}, error(errc::throttled, "Rate Exceeded."));
    CHECK(refused.call.whole().value().status == status::too_many_requests);
}

TEST_CASE("a URL that streams sends chunks with the function's head, and keeps the connection") {
    streaming_fixture f({{"TYPE", integration}, {"BODY", "0"}});
    // The environment cannot hold a zero byte, so the prelude is the next test's.
    raw_client c(f.front.port());
    CHECK(c.ask(f.get()).status == 502);
    streaming_fixture g({{"TYPE", "text/x"}, {"BODY", "hello"}},
                        cors_settings{.allow_origins = {"http://page"}});
    raw_client d(g.front.port());
    for (int i = 0; i < 2; ++i) {
        const answer a = d.ask(g.get("GET / HTTP/1.1", "Origin: http://page\r\n"));
        CHECK(a.status == 200);
        CHECK(a.header("Content-Type") == "text/x");
        CHECK(a.header("Transfer-Encoding") == "chunked");
        CHECK(a.header("Access-Control-Allow-Origin") == "http://page");
        CHECK(a.header("x-amzn-RequestId").size() == 36);
        CHECK(d.receive_chunks() == "hello");
        const answer head = d.ask(g.get("HEAD / HTTP/1.1"));
        CHECK(head.status == 200);
    }
    // By path, too, with its sandbox.
    const answer a = d.ask(request("GET", "/_hearth/url/" + g.url.url_id + "/"));
    CHECK(a.header("Content-Security-Policy") == "sandbox");
    CHECK(d.receive_chunks() == "hello");
    // HTTP/1.0 reads to the end of the connection.
    const answer old = d.ask(g.get("GET / HTTP/1.0"));
    CHECK(old.head.starts_with("HTTP/1.0 200"));
    CHECK(old.header("Transfer-Encoding").empty());
    CHECK(d.receive_rest() == "hello");
}

TEST_CASE("a failure in the midst of a stream breaks it off") {
    streaming_fixture f({{"TYPE", "text/x"}, {"BODY", "part"}, {"FAIL", "1"}});
    raw_client c(f.front.port());
    CHECK(c.ask(f.get()).status == 200);
    bool whole = true;
    CHECK(c.receive_chunks(&whole) == "part");
    CHECK_FALSE(whole);
    CHECK(c.closed());
}

TEST_CASE("a function does not run ahead of who reads its stream") {
    constexpr std::size_t kibibytes = 64 * 1024;
    streaming_fixture f({{"TYPE", "text/x"}, {"KIBIBYTES", std::to_string(kibibytes)}});
    raw_client c(f.front.port());
    CHECK(c.ask(f.get()).status == 200);
    for (std::size_t before = 1; before != f.worker.streamed_kibibytes || !f.worker.stream_waits;) {
        before = f.worker.streamed_kibibytes;
        if (before == kibibytes) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    // Sockets have room for some.
    CHECK(f.worker.streamed_kibibytes < kibibytes / 2);
    CHECK(c.receive_chunks().size() == kibibytes * 1024);
}
