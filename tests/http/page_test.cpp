// The page's files, what it is told, and who may make a browser ask.

#include "http/page.hpp"

#include "front_fixture.hpp"
#include "http/browser_request.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace hearth;
using namespace hearth::test;
using namespace std::chrono_literals;

namespace {

std::string ask_as(std::string_view method,
                   std::string_view target,
                   std::string_view host,
                   std::string_view headers = {}) {
    std::string r;
    r.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: ").append(host);
    return r.append("\r\n").append(headers).append("\r\n");
}

http::server_options with_one_key() {
    return {.port = 0,
            .access_keys = {{.name = "all",
                             .access_key_id = "AKIDEXAMPLE",
                             .secret_access_key = "secret",
                             .allow = {{.actions = {"*"}}}}}};
}

}  // namespace

TEST_CASE("the page and its files are served with their types, and may load nothing else") {
    front_fixture f;
    raw_client c(f.front.port());
    const std::pair<const char*, const char*> files[] = {
        {"/", "text/html; charset=utf-8"},
        {"/_hearth/page/index.html", "text/html; charset=utf-8"},
        {"/_hearth/page/page.css", "text/css; charset=utf-8"},
        {"/_hearth/page/page.js", "text/javascript; charset=utf-8"},
        {"/_hearth/page/sign.js", "text/javascript; charset=utf-8"},
        {"/_hearth/page/draw.js", "text/javascript; charset=utf-8"},
        {"/_hearth/page/icon.svg", "image/svg+xml"}};
    for (const auto& [path, type] : files) {
        INFO(path);
        answer a = c.ask(request("GET", path));
        REQUIRE(a.status == 200);
        CHECK(a.header("Content-Type") == type);
        CHECK(a.header("X-Content-Type-Options") == "nosniff");
        CHECK(a.header("Cache-Control") == "no-cache");
        const std::string policy = a.header("Content-Security-Policy");
        for (const char* part : {"default-src 'none'", "script-src 'self';", "style-src 'self';",
                                 "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"})
            CHECK_THAT(policy, Catch::Contains(part));
        CHECK_THAT(policy, !Catch::Contains("unsafe"));
        const std::string tag = a.header("ETag");
        CHECK(tag.size() == 34);
        const std::string size = a.header("Content-Length");
        for (const std::string& known : {tag, "\"other\", " + tag, "W/" + tag, std::string("*")}) {
            a = c.ask(request("GET", path, {}, "If-None-Match: " + known + "\r\n"));
            CHECK(a.status == 304);
            CHECK(a.header("ETag") == tag);
        }
        a = c.ask(request("GET", path, {}, "If-None-Match: \"other\"\r\n"));
        CHECK(a.status == 200);
        CHECK(std::to_string(a.body.size()) == size);
    }
    raw_client other(f.front.port());
    CHECK(other.ask(request("GET", "/_hearth/page/nothing.js")).status == 404);
    CHECK(other.ask(request("POST", "/", "{}")).status == 404);
}

TEST_CASE("nothing on the page is inline or from elsewhere") {
    REQUIRE(http::page_files().size() == 6);
    for (const auto& file : http::page_files()) {
        INFO(file.path);
        for (const char* unwanted :
             {"=\"http:", "https://", "from 'http", "fetch('http", "url(", "@import", "<style",
              "style=\"", "onclick=", "innerHTML", "eval(", "javascript:"}) {
            if (file.path == "icon.svg" && unwanted == std::string("=\"http:")) continue;  // xmlns
            INFO(unwanted);
            CHECK(file.text.find(unwanted) == file.text.npos);
        }
    }
}

TEST_CASE("the status tells what is counted, and each invocation once") {
    front_fixture f;
    f.create("echo");
    f.create("other");
    f.worker.shown.warm.duration.record(3ms);
    f.worker.shown.invocations = 1;
    f.worker.shown.by_function.push_back(
        {.name = "echo", .invocations = 1, .errors = 1, .init_failures = 2, .warm = 1});
    response r;
    r.log_tail = "\xBFgr\xC3\xBC\xC3\x9F <b>\n";  // cut within a character
    r.executed_version = "$LATEST";
    r.report = {.request_id = "r-1",
                .start = start_kind::cold,
                .vm = 1ms,
                .boot = 2ms,
                .init = 30ms,
                .duration = 4ms,
                .memory_size = byte_count(128 << 20),
                .max_memory_used = byte_count(1 << 20)};
    f.worker.recent.record("echo", r);
    r.report.request_id = "r-2";
    r.function_error = "Unhandled";
    f.worker.recent.record("echo", r);

    raw_client c(f.front.port());
    answer a = c.ask(request("GET", "/_hearth/status"));
    REQUIRE(a.status == 200);
    CHECK(a.header("Content-Type") == "application/json");
    CHECK(a.header("Cache-Control") == "no-store");
    CHECK(a.header("X-Content-Type-Options") == "nosniff");
    auto s = a.json();
    CHECK(s.at("totals").at("invocations") == 1);
    CHECK(s.at("totals").at("warm") == 1);
    CHECK(s.at("starts").at("warm").at("duration").at("count") == 1);
    CHECK(s.at("starts").at("warm").at("duration").at("p50_ms").as_double() == Approx(3).margin(1));
    CHECK(s.at("starts").at("cold").at("start").at("p50_ms").is_null());
    CHECK(s.at("bounds_ms").as_array().size() == histogram::bucket_count - 1);
    const auto& functions = s.at("functions").as_array();
    REQUIRE(functions.size() == 2);
    CHECK(functions[0].at("name") == "echo");
    CHECK(functions[0].at("state") == "Active");
    CHECK(functions[0].at("errors") == 3);
    CHECK(functions[1].at("invocations") == 0);
    const auto& recent = s.at("recent").as_array();
    REQUIRE(recent.size() == 2);
    CHECK(recent[0].at("start") == "cold");
    CHECK(recent[0].at("init_ms").as_double() == 30);
    CHECK(recent[0].at("log") == "gr\xC3\xBC\xC3\x9F <b>\n");
    CHECK_THAT(std::string(recent[0].at("report").as_string()),
               Catch::StartsWith("REPORT RequestId: r-1"));
    CHECK(recent[1].at("error") == "Unhandled");
    CHECK(s.at("last") == 2);

    s = c.ask(request("GET", "/_hearth/status?After=1")).json();
    REQUIRE(s.at("recent").as_array().size() == 1);
    CHECK(s.at("recent").at(0).at("request_id") == "r-2");
    s = c.ask(request("GET", "/_hearth/status?After=2")).json();
    CHECK(s.at("recent").as_array().empty());
    CHECK(s.at("last") == 2);
    // A number of a process before this one.
    CHECK(c.ask(request("GET", "/_hearth/status?After=77")).json().at("recent").as_array().size() ==
          2);
    for (const char* wrong : {"x", "1x", "-1", "99999999999999999999999"})
        CHECK(c.ask(request("GET", std::string("/_hearth/status?After=") + wrong)).status == 400);
}

TEST_CASE("with access keys the files need none, and the status does") {
    front_fixture f(with_one_key());
    raw_client c(f.front.port());
    CHECK(c.ask(request("GET", "/")).status == 200);
    CHECK(c.ask(request("GET", "/_hearth/page/page.js")).status == 200);
    const answer a = c.ask(request("GET", "/_hearth/status"));
    CHECK(a.status == 403);
    CHECK_THAT(a.header("x-amzn-ErrorType"), Catch::StartsWith("MissingAuthenticationToken"));
}

TEST_CASE("a page of another origin makes a browser do nothing here") {
    front_fixture f;
    f.create("echo");
    const std::string host = "127.0.0.1:9000";
    const std::string invoke = "/2015-03-31/functions/echo/invocations";
    const char* const routes[][2] = {{"POST", "/2015-03-31/functions/echo/invocations"},
                                     {"POST", "/2015-03-31/functions"},
                                     {"DELETE", "/2015-03-31/functions/echo"},
                                     {"PUT", "/2015-03-31/functions/echo/configuration"},
                                     {"GET", "/2015-03-31/functions"},
                                     {"GET", "/2015-03-31/functions/echo"},
                                     {"GET", "/_hearth/functions/echo/code.zip"},
                                     {"GET", "/_hearth/status"},
                                     {"GET", "/metrics"},
                                     {"OPTIONS", "/2015-03-31/functions"}};
    const char* const foreign[] = {
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Origin: http://127.0.0.1:9001\r\n",
        "Origin: http://127.0.0.1\r\n",
        "Origin: http://localhost:9000\r\n",
        "Origin: file://\r\n",
        "Origin: http://127.0.0.1:9000.evil.example\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
        "Origin: http://127.0.0.1:9000\r\nSec-Fetch-Site: cross-site\r\n"};
    for (const auto& [method, target] : routes)
        for (const char* from : foreign) {
            INFO(method << " " << target << " " << from);
            const answer a = raw_client(f.front.port()).ask(ask_as(method, target, host, from));
            CHECK(a.status == 403);
            CHECK(a.header("Access-Control-Allow-Origin").empty());
        }
    CHECK(f.worker.runs() == 0);
    REQUIRE(f.control->get_function("echo").has_value());

    raw_client c(f.front.port());
    for (const char* from :
         {"", "Origin: http://127.0.0.1:9000\r\nSec-Fetch-Site: same-origin\r\n",
          "Sec-Fetch-Site: same-origin\r\n", "Origin: https://127.0.0.1:9000\r\n"}) {
        INFO(from);
        CHECK(c.ask(ask_as("GET", "/_hearth/status", host, from)).status == 200);
        CHECK(c.ask(ask_as("POST", invoke, host, from)).status == 200);
    }
    CHECK(f.worker.runs() == 4);
    // Typed by a person, who reads.
    CHECK(c.ask(ask_as("GET", "/metrics", host, "Sec-Fetch-Site: none\r\n")).status == 200);
    CHECK(c.ask(ask_as("POST", invoke, host, "Sec-Fetch-Site: none\r\n")).status == 403);
    // A link to the page is just a link.
    CHECK(raw_client(f.front.port())
              .ask(ask_as("GET", "/", host, "Sec-Fetch-Site: cross-site\r\n"))
              .status == 200);
}

TEST_CASE("a page that has this server's address under its own name gets nothing") {
    front_fixture f;
    f.create("echo");
    for (const char* name : {"evil.example", "evil.example:9000", "localhost.evil.example:9000",
                             "127.0.0.1.evil.example", "notlocalhost:9000", "hearth:9000"}) {
        INFO(name);
        for (const char* target : {"/", "/_hearth/page/page.js", "/_hearth/status", "/metrics",
                                   "/2015-03-31/functions", "/nothing"})
            CHECK(raw_client(f.front.port()).ask(ask_as("GET", target, name)).status == 403);
        CHECK(raw_client(f.front.port())
                  .ask(ask_as("POST", "/2015-03-31/functions/echo/invocations", name,
                              std::string("Origin: http://") + name +
                                  "\r\nSec-Fetch-Site: same-origin\r\n"))
                  .status == 403);
    }
    CHECK(f.worker.runs() == 0);
    for (const char* name : {"localhost:9000", "LOCALHOST", "a.localhost:9000", "127.0.0.1",
                             "127.0.0.1:1", "[::1]:9000", "[::1]", "192.0.2.7:9000"}) {
        INFO(name);
        CHECK(raw_client(f.front.port()).ask(ask_as("GET", "/_hearth/status", name)).status == 200);
    }
    // Clients of HTTP/1.0 name nobody.
    CHECK(raw_client(f.front.port()).ask("GET /_hearth/status HTTP/1.0\r\n\r\n").status == 200);
}

TEST_CASE("with access keys any name will do: a page of its own has no key to sign with") {
    front_fixture f(with_one_key());
    CHECK(raw_client(f.front.port()).ask(ask_as("GET", "/", "hearth.example")).status == 200);
    const answer a =
        raw_client(f.front.port()).ask(ask_as("GET", "/_hearth/status", "hearth.example"));
    CHECK_THAT(a.header("x-amzn-ErrorType"), Catch::StartsWith("MissingAuthenticationToken"));
}

TEST_CASE("which names are only this host's") {
    for (const char* name :
         {"", ":", "[::1", "[]", "[127.0.0.1]", "::1", "localhost.", ".localhost", "localhost:9x",
          "127.0.0.1:80@evil", "127.1.evil", "0x7f.1"}) {
        INFO(name);
        CHECK_FALSE(http::is_own_name(name));
    }
    CHECK(http::is_own_name("b.a.localhost"));
    CHECK(http::is_own_name("[2001:db8::1]:443"));
}
