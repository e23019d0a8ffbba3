#include "http/function_url.hpp"

#include "front_fixture.hpp"
#include "http/own_host.hpp"
#include "http/text.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;
using boost::beast::http::status;

namespace {

const std::string id(32, 'a');

/// A front with a function "f" made of `answer`, and its URL.
struct url_fixture : front_fixture {
    template <class Answer>
    explicit url_fixture(Answer answer, function_url_request r = {.auth_type = "NONE"}) {
        function_config config;
        config.name = "f";
        config.package = package::in_process(answer);
        control->deploy(config).value();
        r.function_name = "f";
        url = control->create_function_url_config(r).value();
    }
    test::answer ask(std::string_view method,
                     std::string_view target,
                     std::string_view body = {},
                     const std::string& headers = {}) {
        std::string text(method);
        text.append(" ").append(target).append(" HTTP/1.1\r\nHost: " + host() + "\r\n" + headers);
        if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
        return raw_client(front.port()).ask(text.append("\r\n").append(body));
    }
    [[nodiscard]] std::string host() const {
        return url.url_id + ".lambda-url.us-east-1.localhost:" + std::to_string(front.port());
    }
    function_url_config url;
};

std::string echo(std::string_view event) { return std::string(event); }

http::reply read(const std::string& payload, const char* mode = "BUFFERED") {
    response r;
    r.payload = payload;
    return http::read_url_response({.invoke_mode = mode}, r);
}

std::string own(const http::reply& r, std::string_view name) {
    for (const auto& [key, value] : r.own_headers)
        if (key == name) return value;
    return {};
}

}  // namespace

TEST_CASE("the host's name or the path says whose request it is") {
    const auto find_url_route = [](std::string_view host, std::string_view target) {
        return http::find_own_route(http::url_host, host, target);
    };
    CHECK(http::id_of_host(http::url_host, id + ".lambda-url.us-east-1.localhost:9000") == id);
    CHECK(http::id_of_host(http::url_host, id + ".LAMBDA-URL.x") == id);
    for (const std::string& other :
         {std::string(), std::string("localhost:9000"), id, id + ".localhost",
          id.substr(1) + ".lambda-url.x", "b" + id + ".lambda-url.x",
          "G" + id.substr(1) + ".lambda-url.x"})
        CHECK(http::id_of_host(http::url_host, other).empty());

    auto r = find_url_route(id + ".lambda-url.x", "/a/b%20c?x=1#y").value();
    CHECK(r.op == http::operation::function_url);
    CHECK(r.argument == id);
    CHECK(r.second == "/a/b%20c?x=1");
    // Under that host nothing is the API's.
    CHECK(find_url_route(id + ".lambda-url.x", "/2015-03-31/functions").value().second ==
          "/2015-03-31/functions");
    CHECK(find_url_route(id + ".lambda-url.x", "http://h:1/p?q").value().second == "/p?q");
    CHECK(find_url_route(id + ".lambda-url.x", "http://h:1").value().second == "/");
    CHECK(find_url_route(id + ".lambda-url.x", "*").value().second == "/");
    r = find_url_route("h", "/_hearth/url/" + id + "/p?q=/").value();
    CHECK(r.argument == id);
    CHECK(r.second == "/p?q=/");
    CHECK(find_url_route("h", "/_hearth/url/" + id).value().second == "/");
    CHECK(find_url_route("h", "/_hearth/url/" + id + "?q").value().second == "/?q");
    CHECK_FALSE(find_url_route("h", "/_hearth/functions/f/code.zip"));
    CHECK_FALSE(find_url_route("h", "/"));
}

TEST_CASE("the URL that is shown leads back by whichever way the caller came") {
    const function_url_config c{.url_id = id,
                                .function_arn = "arn:aws:lambda:eu-west-2:000000000000:function:f"};
    const std::string here = "http://" + id + ".lambda-url.eu-west-2.localhost";
    CHECK(http::function_url_of(c, "http://127.0.0.1:9000") == here + ":9000/");
    CHECK(http::function_url_of(c, "http://localhost:9000") == here + ":9000/");
    CHECK(http::function_url_of(c, "http://[::1]:9000") == here + ":9000/");
    CHECK(http::function_url_of(c, "http://[::1]") == here + "/");
    CHECK(http::function_url_of(c, "") == here + "/");
    CHECK(http::function_url_of(c, "https://localhost:1") ==
          "https://" + id + ".lambda-url.eu-west-2.localhost:1/");
    CHECK(http::function_url_of(c, "http://box.lan:80") ==
          "http://box.lan:80/_hearth/url/" + id + "/");
}

TEST_CASE("a request reaches the function as an event of format 2.0") {
    url_fixture f(echo);
    const answer a = f.ask("POST", "/my/p%20th?b=1&a=x%20y&b=2&c&d=1+1", R"({"k":1})",
                           "Content-Type: application/json; charset=utf-8\r\nCookie: s=1; t=2\r\n"
                           "X-Two: a\r\nx-two: b\r\nUser-Agent: me\r\nOrigin: http://page\r\n");
    REQUIRE(a.status == 200);
    CHECK(a.header("Content-Type") == "application/json");
    CHECK(a.header("Access-Control-Allow-Origin").empty());
    const auto e = a.json();
    CHECK(e.at("version") == "2.0");
    CHECK(e.at("routeKey") == "$default");
    CHECK(e.at("rawPath") == "/my/p%20th");
    CHECK(e.at("rawQueryString") == "b=1&a=x%20y&b=2&c&d=1+1");
    const boost::json::object query{{"b", "1,2"}, {"a", "x y"}, {"c", ""}, {"d", "1 1"}};
    CHECK(e.at("queryStringParameters") == boost::json::value(query));
    CHECK(e.at("cookies") == boost::json::value({"s=1", "t=2"}));
    CHECK(e.at("headers").at("x-two") == "a,b");
    CHECK(e.at("headers").at("x-forwarded-for") == "127.0.0.1");
    CHECK(e.at("headers").at("x-forwarded-port").as_string() == std::to_string(f.front.port()));
    CHECK_FALSE(e.at("headers").as_object().contains("cookie"));
    CHECK(e.at("body") == R"({"k":1})");
    CHECK(e.at("isBase64Encoded") == false);
    const auto& context = e.at("requestContext");
    CHECK(context.at("apiId").as_string() == f.url.url_id);
    CHECK(context.at("accountId") == "anonymous");
    CHECK(context.at("domainName").as_string() == f.url.url_id + ".lambda-url.us-east-1.localhost");
    CHECK(context.at("domainPrefix").as_string() == f.url.url_id);
    CHECK(context.at("requestId").as_string() == a.header("x-amzn-RequestId"));
    CHECK(context.at("timeEpoch").as_int64() > 1'600'000'000'000);
    CHECK(context.at("time").as_string().ends_with(" +0000"));
    const auto& http = context.at("http");
    CHECK(http.at("method") == "POST");
    CHECK(http.at("path") == "/my/p%20th");
    CHECK(http.at("protocol") == "HTTP/1.1");
    CHECK(http.at("sourceIp") == "127.0.0.1");
    CHECK(http.at("userAgent") == "me");
    const std::scoped_lock lock(f.worker.last_mutex);
    CHECK(f.worker.last.invoked_arn == arn);
}

TEST_CASE("bodies that are no text come in base64, and none leaves no trace") {
    url_fixture f(echo);
    const std::string binary("\x00\xFF\x01", 3);
    auto e = f.ask("PUT", "/", binary, "Content-Type: application/octet-stream\r\n").json();
    CHECK(e.at("isBase64Encoded") == true);
    CHECK(e.at("body").as_string() == http::to_base64(binary));
    e = f.ask("PUT", "/", binary, "Content-Type: text/plain\r\n").json();  // but is no text
    CHECK(e.at("isBase64Encoded") == true);
    e = f.ask("PUT", "/", "a=b", "Content-Type: application/x-www-form-urlencoded\r\n").json();
    CHECK(e.at("isBase64Encoded") == true);
    e = f.ask("PUT", "/", "a", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n").json();
    CHECK(e.at("isBase64Encoded") == true);
    e = f.ask("DELETE", "/").json();
    CHECK(e.at("isBase64Encoded") == false);
    for (const char* absent : {"body", "cookies", "queryStringParameters"})
        CHECK_FALSE(e.as_object().contains(absent));
}

TEST_CASE("an answer has the function's status, headers, cookies and bytes") {
    url_fixture f([](std::string_view) -> std::string {
        return R"({"statusCode":418,"headers":{"Content-Type":"image/png","X-N":7,"Connection":"close",
                  "Content-Length":"9999","Transfer-Encoding":"chunked"},"cookies":["a=1; Path=/","b=2"],
                  "body":"AP8B","isBase64Encoded":true})";
    });
    const answer a = f.ask("GET", "/");
    CHECK(a.status == 418);
    CHECK(a.header("Content-Type") == "image/png");
    CHECK(a.header("X-N") == "7");
    CHECK(a.header("Content-Length") == "3");
    CHECK(a.header("Transfer-Encoding").empty());
    CHECK(a.head.find("Set-Cookie: a=1; Path=/\r\n") != a.head.npos);
    CHECK(a.head.find("Set-Cookie: b=2\r\n") != a.head.npos);
    CHECK(a.body == std::string("\x00\xFF\x01", 3));
    // The connection is this server's: a second request goes over it.
    raw_client c(f.front.port());
    for (int i = 0; i < 2; ++i)
        CHECK(c.ask("GET / HTTP/1.1\r\nHost: " + f.host() + "\r\n\r\n").status == 418);
}

TEST_CASE("what a function answers without a status is the body of a 200") {
    http::reply r = read(R"({"message":"hi"})");
    CHECK(r.status == status::ok);
    CHECK(r.content_type == "application/json");
    CHECK(r.body == R"({"message":"hi"})");
    CHECK(read(R"("Hello \u00fc")").body == "Hello \xC3\xBC");
    CHECK(read("[1, 2]").body == "[1, 2]");
    CHECK(read("null").body == "null");
    r = read(R"({"statusCode":"201","headers":null,"cookies":null,"body":null})");
    CHECK(r.status == status::created);
    CHECK(r.content_type == "application/json");
    CHECK(r.body.empty());
    // Functions nest deeper than parsers do by default.
    const std::string deep = std::string(200, '[') + std::string(200, ']');
    CHECK(read(deep).body == deep);
}

TEST_CASE("answers that are none are 502, whatever a hostile function writes") {
    for (const char* bad : {"",
                            "no json",
                            R"({"statusCode":"x"})",
                            R"({"statusCode":99})",
                            R"({"statusCode":101})",
                            R"({"statusCode":600})",
                            R"({"statusCode":null})",
                            R"({"statusCode":1e99})",
                            R"({"statusCode":200,"headers":[]})",
                            R"({"statusCode":200,"headers":{"a b":"c"}})",
                            R"({"statusCode":200,"headers":{"":"c"}})",
                            R"({"statusCode":200,"headers":{"a":{}}})",
                            R"({"statusCode":200,"headers":{"a":"b\r\nSet-Cookie: c"}})",
                            R"({"statusCode":200,"headers":{"content-type":"a\nb: c"}})",
                            R"({"statusCode":200,"headers":{"a\r\nb":"c"}})",
                            R"({"statusCode":200,"cookies":["a\u0000"]})",
                            R"({"statusCode":200,"cookies":"a"})",
                            R"({"statusCode":200,"cookies":["a\r\nb: c"]})",
                            R"({"statusCode":200,"body":{}})",
                            R"({"statusCode":200,"body":"###","isBase64Encoded":true})"}) {
        INFO(bad);
        CHECK(read(bad).status == status::bad_gateway);
        CHECK(read(bad).own_headers.empty());
    }
}

TEST_CASE("an answer in one piece may be one that a streaming function wrote") {
    using namespace std::string_literals;
    const std::string prelude =
        R"({"statusCode":203,"headers":{"Content-Type":"text/html","x":"y"},"cookies":["c=d"]})";
    http::reply r = read(prelude + "\0\0\0\0\0\0\0\0<p>\0"s, "RESPONSE_STREAM");
    CHECK(r.status == status::non_authoritative_information);
    CHECK(r.content_type == "text/html");
    CHECK(own(r, "x") == "y");
    CHECK(own(r, "Set-Cookie") == "c=d");
    CHECK(r.body == "<p>\0"s);
    r = read("plain text", "RESPONSE_STREAM");
    CHECK(r.status == status::ok);
    CHECK(r.content_type == "application/octet-stream");
    CHECK(r.body == "plain text");
    r = read(R"({"statusCode":204,"body":""})", "RESPONSE_STREAM");  // by one that streams not
    CHECK(r.status == status::no_content);
    CHECK(read("{\"headers\":{\"a\":\"\\n\"}}\0\0\0\0\0\0\0\0"s, "RESPONSE_STREAM").status ==
          status::bad_gateway);
    CHECK(read(prelude + "\0\0\0\0\0\0\0\0"s).status == status::bad_gateway);  // BUFFERED
}

TEST_CASE("failures of a function and of the server appear as AWS shows them") {
    front_fixture f;
    for (const char* mode : {"fail", "throttle", "no_room", "cold_fail", "init_fail"})
        f.create(mode, mode);
    const auto ask = [&](const std::string& name, const std::string& body = {}) {
        const auto url =
            f.control->create_function_url_config({.function_name = name, .auth_type = "NONE"});
        return raw_client(f.front.port())
            .ask(request("POST", "/_hearth/url/" + url.value().url_id + "/", body));
    };
    answer a = ask("fail");
    CHECK(a.status == 502);
    CHECK(a.body == "Internal Server Error");
    CHECK(ask("cold_fail").status == 502);
    a = ask("throttle");
    CHECK(a.status == 429);
    CHECK(a.json().at("Reason") == "ConcurrentInvocationLimitExceeded");
    CHECK(ask("no_room").status == 503);
    CHECK(ask("init_fail").status == 503);  // Failed
    f.create("echo");
    // Five megabytes are more than six as base64.
    a = ask("echo", std::string(5 << 20, 'x'));
    CHECK(a.status == 413);
    CHECK(a.header("x-amzn-ErrorType") == "RequestTooLargeException");
    a = raw_client(f.front.port())
            .ask("POST / HTTP/1.1\r\nHost: " + id +
                 ".lambda-url.x\r\nContent-Length: 6291457\r\n\r\n");
    CHECK(a.status == 413);
    CHECK(raw_client(f.front.port())
              .ask("GET / HTTP/1.1\r\nHost: " + id + ".lambda-url.x\r\n\r\n")
              .status == 404);
}

TEST_CASE("a URL for signed requests refuses those that are not verified") {
    url_fixture f(echo, {.auth_type = "AWS_IAM"});
    const answer a = f.ask("GET", "/", {}, "Authorization: AWS4-HMAC-SHA256 nonsense\r\n");
    CHECK(a.status == 403);
    CHECK(a.header("x-amzn-ErrorType") == "AccessDeniedException");
    const std::scoped_lock lock(f.worker.last_mutex);
    CHECK(f.worker.last.request_id.empty());  // nothing ran
}

TEST_CASE("by path a function's page has no origin to act with") {
    url_fixture f(echo);
    const std::string target = "/_hearth/url/" + f.url.url_id + "/x?y=1";
    raw_client c(f.front.port());
    const answer a = c.ask(request("GET", target));
    CHECK(a.status == 200);
    CHECK(a.json().at("rawPath") == "/x");
    CHECK(a.json().at("rawQueryString") == "y=1");
    CHECK(a.json().at("requestContext").at("domainName").as_string() ==
          f.url.url_id + ".lambda-url.us-east-1.localhost");
    CHECK(a.header("Content-Security-Policy") == "sandbox");
    CHECK(c.ask(request("GET", target, {}, "Origin: http://page\r\n")).status == 403);
    CHECK(f.ask("GET", "/").header("Content-Security-Policy").empty());
}

TEST_CASE("CORS is answered as the URL's settings say, over what the function says") {
    function_url_request r{.auth_type = "NONE"};
    r.cors = cors_settings{.allow_headers = {"X-A", "X-B"},
                           .allow_methods = {"GET", "PUT"},
                           .allow_origins = {"http://page", "http://other"},
                           .expose_headers = {"X-C"},
                           .max_age = 60};
    std::atomic<int> ran = 0;
    url_fixture f(
        [&](std::string_view) -> std::string {
            ++ran;
            return R"({"statusCode":200,"headers":{"Access-Control-Allow-Origin":"http://mine"}})";
        },
        r);
    const std::string from = "Origin: http://page\r\n";
    answer a = f.ask("OPTIONS", "/", {}, from + "Access-Control-Request-Method: PUT\r\n");
    CHECK(a.status == 200);
    CHECK(ran == 0);
    CHECK(a.header("Access-Control-Allow-Origin") == "http://page");
    CHECK(a.header("Access-Control-Allow-Methods") == "GET,PUT");
    CHECK(a.header("Access-Control-Allow-Headers") == "X-A,X-B");
    CHECK(a.header("Access-Control-Max-Age") == "60");
    CHECK(a.header("Vary") == "Origin");
    a = f.ask("OPTIONS", "/", {}, "Origin: http://evil\r\nAccess-Control-Request-Method: PUT\r\n");
    CHECK(a.status == 200);
    CHECK(a.header("Access-Control-Allow-Origin").empty());
    CHECK(a.header("Access-Control-Allow-Methods").empty());
    a = f.ask("GET", "/", {}, from);
    CHECK(ran == 1);
    CHECK(a.header("Access-Control-Allow-Origin") == "http://page");
    CHECK(a.head.find("http://mine") == a.head.npos);
    CHECK(a.header("Access-Control-Expose-Headers") == "X-C");
    CHECK(a.header("Access-Control-Allow-Credentials").empty());
    f.ask("OPTIONS", "/", {}, from);  // no preflight
    CHECK(ran == 2);

    // Credentials are not content with "*", nor are all headers.
    const auto any = [&](bool credentials) {
        function_url_request u{.function_name = "f"};
        u.cors = cors_settings{.allow_credentials = credentials,
                               .allow_headers = {"*"},
                               .allow_methods = {"*"},
                               .allow_origins = {"*"}};
        f.control->update_function_url_config(u).value();
        return f.ask("OPTIONS", "/", {},
                     from +
                         "Access-Control-Request-Method: PUT\r\n"
                         "Access-Control-Request-Headers: x-z\r\n");
    };
    a = any(false);
    CHECK(a.header("Access-Control-Allow-Origin") == "*");
    CHECK(a.header("Access-Control-Allow-Headers") == "x-z");
    a = any(true);
    CHECK(a.header("Access-Control-Allow-Origin") == "http://page");
    CHECK(a.header("Access-Control-Allow-Credentials") == "true");
    CHECK(ran == 2);
}

TEST_CASE("an alias's URL runs what the alias leads to") {
    front_fixture f;
    f.create("f");
    f.control->publish_version({.function_name = "f"}).value();
    settle(*f.control, "f:1");
    f.control->create_alias({.function_name = "f", .name = "live", .function_version = "1"})
        .value();
    const auto url = f.control
                         ->create_function_url_config(
                             {.function_name = "f", .qualifier = "live", .auth_type = "NONE"})
                         .value();
    raw_client c(f.front.port());
    CHECK(c.ask(request("GET", "/_hearth/url/" + url.url_id + "/")).status == 200);
    {
        const std::scoped_lock lock(f.worker.last_mutex);
        CHECK(f.worker.last.invoked_arn == arn + ":live");
    }
    CHECK(c.ask(request("HEAD", "/_hearth/url/" + url.url_id + "/")).status == 200);
}
