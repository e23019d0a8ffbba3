#include "front_fixture.hpp"
#include "http/api_authorizer.hpp"
#include "http/api_front.hpp"
#include "http/api_gateway.hpp"
#include "http/own_host.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>

using namespace hearth;
using namespace hearth::test;
using boost::beast::http::status;
namespace json = boost::json;

namespace {

/// What the format's function is told of the request, without what is the same in every one.
json::value told(const char* format, const http::http_request& request, std::string_view target) {
    http_api api{.id = "abcdefghij"};
    api.integrations["i"] = {.id = "i", .function_arn = arn, .payload_format = format};
    api.routes["r"] = {.id = "r", .key = "GET /pets/{id}", .target = "integrations/i"};
    api.routes["d"] = {.id = "d", .key = "$default", .target = "integrations/i"};
    api.stages["dev"] = {.name = "dev", .variables = {{"table", "pets"}}};
    api.stages["$default"] = {.name = "$default"};
    const auto match = match_api(api, "GET", target.substr(0, target.find('?'))).value();
    const auto source = http::source_of(api, match, "000000000000",
                                        "abcdefghij.execute-api.us-east-1.localhost", true);
    return json::parse(http::write_api_event(source, match, request,
                                             {.target = target,
                                              .request_id = "req",
                                              .trace_id = "Root=1-2",
                                              .source_ip = "127.0.0.1",
                                              .milliseconds = 1583349317135}));
}

http::http_request get_request() {
    http::http_request r{boost::beast::http::verb::get, "/", 11};
    r.set("Host", "abcdefghij.execute-api.us-east-1.localhost:9000");
    r.insert("Header1", "value1");
    r.insert("Header2", "value1");
    r.insert("Header2", "value2");
    r.set("User-Agent", "agent");
    r.insert("Cookie", "cookie1; cookie2");
    return r;
}

http::reply answered(const char* format, const std::string& payload, const char* failed = "") {
    response r;
    r.payload = payload;
    r.function_error = failed;
    return http::read_api_response({.payload_format = format}, r);
}

std::string all_own(const http::reply& r) {
    std::string all;
    for (const auto& [name, value] : r.own_headers) all += name + "=" + value + ";";
    return all;
}

/// A front with in-process functions and an API whose routes lead to them.
struct api_fixture : front_fixture {
    api_fixture() {
        add("echo", [](std::string_view event) { return std::string(event); });
        api = control->apis().create({.name = "a"}).value().id;
    }
    template <class Answer>
    void add(const std::string& name, Answer answer) {
        function_config config;
        config.name = name;
        config.package = package::in_process(answer);
        control->deploy(config).value();
    }
    void lead(const std::string& key, const std::string& function, api_integration_request r = {}) {
        r.uri = "arn:aws:lambda:us-east-1:000000000000:function:" + function;
        const auto made = control->apis().create_integration(api, r).value();
        control->apis()
            .create_route(api, {.key = key, .target = "integrations/" + made.id})
            .value();
    }
    /// The routes are for whom the function of that name lets in.
    void guard(const std::string& function, api_authorizer_request r) {
        r.name = function;
        r.uri = "arn:aws:lambda:us-east-1:000000000000:function:" + function;
        if (!r.payload_format) r.payload_format = "2.0";
        authorizer = control->apis().create_authorizer(api, r).value().id;
        const auto before = control->apis().find(api).value();
        for (const auto& [id, route] : before->routes)
            control->apis().update_route(api, id, {.authorizer_id = authorizer}).value();
    }
    void stage(const std::string& name) { control->apis().create_stage(api, name, {}).value(); }
    answer ask(std::string_view method,
               std::string_view target,
               std::string_view body = {},
               const std::string& headers = {}) {
        std::string text(method);
        text.append(" ").append(target).append(" HTTP/1.1\r\nHost: " + api +
                                               ".execute-api.us-east-1.localhost\r\n" + headers);
        if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
        return raw_client(front.port()).ask(text.append("\r\n").append(body));
    }
    std::string api, authorizer;
};

http::event_source pets() {
    return {.account_id = "000000000000",
            .api_id = "abcdefghij",
            .domain_name = "abcdefghij.execute-api.us-east-1.localhost",
            .stage = "dev",
            .route_key = "GET /pets/{id}",
            .path_parameters = {{"id", "7"}},
            .stage_variables = {{"table", "pets"}}};
}

const http::request_context pets_context{.target = "/dev/pets/7?key=a%20b&empty=",
                                         .request_id = "req",
                                         .trace_id = "Root=1-2",
                                         .source_ip = "127.0.0.1",
                                         .milliseconds = 1583349317135};
const std::string pets_arn = "arn:aws:execute-api:us-east-1:000000000000:abcdefghij/dev/GET/pets/7";

}  // namespace

TEST_CASE("an event of format 2.0 is AWS's") {
    const auto event =
        told("2.0", get_request(), "/dev/pets/a%20b?parameter1=value1&parameter1=value2&p=%26");
    const auto expected = json::parse(R"({
        "version": "2.0", "routeKey": "GET /pets/{id}", "rawPath": "/dev/pets/a%20b",
        "rawQueryString": "parameter1=value1&parameter1=value2&p=%26",
        "cookies": ["cookie1", "cookie2"],
        "headers": {"host": "abcdefghij.execute-api.us-east-1.localhost:9000", "header1": "value1",
            "header2": "value1,value2", "user-agent": "agent", "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http", "x-forwarded-port": "9000", "x-amzn-trace-id": "Root=1-2"},
        "queryStringParameters": {"parameter1": "value1,value2", "p": "&"},
        "requestContext": {"accountId": "000000000000", "apiId": "abcdefghij",
            "domainName": "abcdefghij.execute-api.us-east-1.localhost", "domainPrefix": "abcdefghij",
            "http": {"method": "GET", "path": "/dev/pets/a%20b", "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1", "userAgent": "agent"},
            "requestId": "req", "routeKey": "GET /pets/{id}", "stage": "dev",
            "time": "04/Mar/2020:19:15:17 +0000", "timeEpoch": 1583349317135},
        "pathParameters": {"id": "a b"}, "isBase64Encoded": false, "stageVariables": {"table": "pets"}})");
    CHECK(event == expected);
}

TEST_CASE("an event of format 1.0 is AWS's, with null for what is not there") {
    auto event =
        told("1.0", get_request(), "/dev/pets/a%20b?parameter1=value1&parameter1=value2&p=%26");
    const auto expected = json::parse(R"({
        "version": "1.0", "resource": "/pets/{id}", "path": "/dev/pets/a%20b", "httpMethod": "GET",
        "headers": {"host": "abcdefghij.execute-api.us-east-1.localhost:9000", "header1": "value1",
            "header2": "value2", "user-agent": "agent", "cookie": "cookie1; cookie2",
            "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-port": "9000",
            "x-amzn-trace-id": "Root=1-2"},
        "multiValueHeaders": {"host": ["abcdefghij.execute-api.us-east-1.localhost:9000"],
            "header1": ["value1"], "header2": ["value1", "value2"], "user-agent": ["agent"],
            "cookie": ["cookie1; cookie2"], "x-forwarded-for": ["127.0.0.1"],
            "x-forwarded-proto": ["http"], "x-forwarded-port": ["9000"], "x-amzn-trace-id": ["Root=1-2"]},
        "queryStringParameters": {"parameter1": "value1", "p": "&"},
        "multiValueQueryStringParameters": {"parameter1": ["value1", "value2"], "p": ["&"]},
        "requestContext": {"accountId": "000000000000", "apiId": "abcdefghij",
            "authorizer": {"claims": null, "scopes": null},
            "domainName": "abcdefghij.execute-api.us-east-1.localhost", "domainPrefix": "abcdefghij",
            "extendedRequestId": "req", "httpMethod": "GET",
            "identity": {"accessKey": null, "accountId": null, "caller": null,
                "cognitoAuthenticationProvider": null, "cognitoAuthenticationType": null,
                "cognitoIdentityId": null, "cognitoIdentityPoolId": null, "principalOrgId": null,
                "sourceIp": "127.0.0.1", "user": null, "userAgent": "agent", "userArn": null,
                "clientCert": null},
            "path": "/dev/pets/a%20b", "protocol": "HTTP/1.1", "requestId": "req",
            "requestTime": "04/Mar/2020:19:15:17 +0000", "requestTimeEpoch": 1583349317135,
            "resourceId": null, "resourcePath": "/pets/{id}", "stage": "dev"},
        "pathParameters": {"id": "a b"}, "stageVariables": {"table": "pets"},
        "body": null, "isBase64Encoded": false})");
    CHECK(event == expected);
    event = told("1.0", get_request(), "/other");
    CHECK(event.at("resource") == "$default");
    for (const char* none : {"queryStringParameters", "multiValueQueryStringParameters",
                             "pathParameters", "stageVariables"})
        CHECK(event.at(none).is_null());
}

TEST_CASE("a body that is no text comes in base64 in both formats") {
    for (const char* format : {"1.0", "2.0"}) {
        auto r = get_request();
        r.set("Content-Type", "application/octet-stream");
        r.body() = "\xFF\x01";
        auto event = told(format, r, "/x");
        CHECK(event.at("body") == "/wE=");
        CHECK(event.at("isBase64Encoded") == true);
        r.set("Content-Type", "text/plain");
        r.body() = "plain";
        event = told(format, r, "/x");
        CHECK(event.at("body") == "plain");
        CHECK(event.at("isBase64Encoded") == false);
    }
}

TEST_CASE("an answer of format 2.0 may be inferred") {
    struct row {
        const char* payload;
        unsigned status;
        const char *body, *type, *headers;
    };
    for (
        const row& each : std::initializer_list<row>{
            {R"({"a":1})", 200, R"({"a":1})", "application/json", ""},
            {R"("text")", 200, "text", "application/json", ""},
            {"[1]", 200, "[1]", "application/json", ""},
            {"null", 200, "null", "application/json", ""},
            {R"({"statusCode":201,"body":"b","headers":{"Content-Type":"x/y","a":"b"},"cookies":["c=1","d=2"]})",
             201, "b", "x/y", "a=b;Set-Cookie=c=1;Set-Cookie=d=2;"},
            {R"({"statusCode":200,"body":"/wE=","isBase64Encoded":true})", 200, "\xFF\x01",
             "application/json", ""},
            {R"({"statusCode":200,"multiValueHeaders":{"a":["b"]}})", 200, "", "application/json",
             ""},
            {R"({"statusCode":99})", 500, R"({"message":"Internal Server Error"})",
             "application/json", ""},
            {"{", 500, R"({"message":"Internal Server Error"})", "application/json", ""}}) {
        INFO(each.payload);
        const http::reply r = answered("2.0", each.payload);
        CHECK(static_cast<unsigned>(r.status) == each.status);
        CHECK(r.body == each.body);
        CHECK(r.content_type == each.type);
        CHECK(all_own(r) == each.headers);
    }
    CHECK(answered("2.0", "{}", "Unhandled").status == status::internal_server_error);
}

TEST_CASE("an answer of format 1.0 is what it must be, or a bad gateway") {
    http::reply r = answered("1.0", R"({"statusCode":"404","body":"b","headers":{"A":"1","B":"2"},
        "multiValueHeaders":{"a":["3","4"],"Set-Cookie":["c=1","d=2"]},"cookies":["e=f"]})");
    CHECK(r.status == status::not_found);
    CHECK(r.body == "b");
    CHECK(all_own(r) == "B=2;a=3;a=4;Set-Cookie=c=1;Set-Cookie=d=2;");
    CHECK(answered("1.0", R"({"statusCode":200,"body":"/wE=","isBase64Encoded":true})").body ==
          "\xFF\x01");
    CHECK(answered("1.0", R"({"statusCode":204,"body":null})").status == status::no_content);
    for (const char* bad : {"", "{", "1", "\"text\"", "[]", "{}", R"({"body":"b"})",
                            R"({"statusCode":200,"body":{}})", R"({"statusCode":200,"body":1})",
                            R"({"statusCode":[]})", R"({"statusCode":200,"headers":[]})",
                            R"({"statusCode":200,"multiValueHeaders":{"a":"b"}})",
                            R"({"statusCode":200,"multiValueHeaders":{"a":["b\r\nc: d"]}})",
                            R"({"statusCode":200,"headers":{"a b":"c"}})",
                            R"({"statusCode":200,"body":"#","isBase64Encoded":true})"}) {
        INFO(bad);
        r = answered("1.0", bad);
        CHECK(r.status == status::bad_gateway);
        CHECK(r.body == R"({"message":"Internal server error"})");
        CHECK(r.own_headers.empty());
    }
    CHECK(answered("1.0", R"({"statusCode":200})", "Unhandled").status == status::bad_gateway);
}

TEST_CASE_METHOD(api_fixture, "routes lead to functions, by host and by path, at their stages") {
    lead("GET /pets/{id}", "echo", {.payload_format = "2.0"});
    stage("$default");
    stage("dev");
    answer a = ask("GET", "/pets/7?a=b");
    REQUIRE(a.status == 200);
    CHECK(a.json().at("pathParameters").at("id") == "7");
    CHECK(a.json().at("requestContext").at("requestId").as_string() == a.header("Apigw-Requestid"));
    CHECK(a.header("Content-Security-Policy").empty());
    a = ask("GET", "/dev/pets/7");
    CHECK(a.json().at("rawPath") == "/dev/pets/7");
    CHECK(a.json().at("requestContext").at("stage") == "dev");
    for (const auto& [method, target] :
         {std::pair("POST", "/pets/7"), {"GET", "/"}, {"GET", "/test/pets/7"}}) {
        a = ask(method, target);
        CHECK(a.status == 404);
        CHECK(a.body == R"({"message":"Not Found"})");
    }
    raw_client c(front.port());
    a = c.ask(request("GET", "/_hearth/apis/" + api + "/dev/pets/8"));
    CHECK(a.json().at("rawPath") == "/dev/pets/8");
    CHECK(a.json().at("requestContext").at("domainName").as_string() ==
          api + ".execute-api.us-east-1.localhost");
    CHECK(a.header("Content-Security-Policy") == "sandbox");
    CHECK(
        c.ask(request("GET", "/_hearth/apis/" + api + "/dev/pets/8", {}, "Origin: http://page\r\n"))
            .status == 403);
    CHECK(c.ask(request("GET", "/_hearth/apis/absent/x")).status == 404);
    // Under its host nothing is this server's own API.
    CHECK(ask("GET", "/2015-03-31/functions").status == 404);
}

TEST_CASE_METHOD(api_fixture,
                 "what a function and its integration do appears as API Gateway shows it") {
    for (const char* mode : {"fail", "throttle", "cold_fail"}) create(mode, mode);
    lead("GET /echo", "echo");  // 1.0: an event is no answer
    for (const char* name : {"fail", "throttle", "cold_fail"})
        lead(std::string("GET /") + name, name, {.payload_format = "2.0"});
    std::promise<void> go_on;
    add("late", [wait = go_on.get_future().share()](std::string_view) -> std::string {
        wait.wait();
        return "1";
    });
    lead("GET /late", "late", {.payload_format = "2.0", .timeout_ms = 50});
    lead("GET /absent", "absent", {.payload_format = "2.0"});
    control->apis().create_route(api, {.key = "GET /nowhere"}).value();
    stage("$default");
    const auto check = [&](const char* path, int code, const char* message) {
        INFO(path);
        const answer a = ask("GET", path);
        CHECK(a.status == code);
        CHECK(a.json() == json::value{{"message", message}});
    };
    check("/echo", 502, "Internal server error");
    check("/fail", 500, "Internal Server Error");
    check("/cold_fail", 500, "Internal Server Error");
    check("/absent", 500, "Internal Server Error");
    check("/nowhere", 500, "Internal Server Error");
    check("/throttle", 503, "Service Unavailable");
    check("/late", 503, "Service Unavailable");
    go_on.set_value();
    const std::string large(5 << 20, '\xFF');
    lead("POST /large", "echo", {.payload_format = "2.0"});
    CHECK(ask("POST", "/large", large).status == 413);
}

TEST_CASE_METHOD(api_fixture, "CORS is the API's, over routes and what the function says") {
    add("own", [](std::string_view) -> std::string {
        return R"({"statusCode":200,"headers":{"Access-Control-Allow-Origin":"http://mine","access-control-max-age":"9"}})";
    });
    lead("$default", "own", {.payload_format = "2.0"});
    stage("$default");
    CHECK(ask("GET", "/").header("Access-Control-Allow-Origin") == "http://mine");
    control->apis()
        .update(api, {.cors = cors_settings{.allow_methods = {"GET", "OPTIONS"},
                                            .allow_origins = {"http://page"}}})
        .value();
    answer a =
        ask("OPTIONS", "/x", {}, "Origin: http://page\r\nAccess-Control-Request-Method: GET\r\n");
    CHECK(a.status == 204);
    CHECK(a.header("Access-Control-Allow-Origin") == "http://page");
    CHECK(a.header("Access-Control-Allow-Methods") == "GET,OPTIONS");
    a = ask("GET", "/", {}, "Origin: http://page\r\n");
    CHECK(a.header("Access-Control-Allow-Origin") == "http://page");
    CHECK(a.header("access-control-max-age").empty());
    CHECK(ask("GET", "/", {}, "Origin: http://other\r\n")
              .header("Access-Control-Allow-Origin")
              .empty());
}

TEST_CASE("API Gateway's operations that are not served are refused by name") {
    front_fixture f;
    raw_client c(f.front.port());
    const auto refused = [&](std::string_view method, std::string_view target,
                             std::string_view body, int code, const char* kind, const char* word) {
        const answer a = c.ask(request(method, target, body));
        INFO(target << " " << body << " " << a.body);
        CHECK(a.status == code);
        CHECK(a.header("x-amzn-ErrorType") == kind);
        CHECK(a.body.find(word) != a.body.npos);
    };
    refused("POST", "/v2/vpclinks", "{}", 501, "NotImplementedException", "CreateVpcLink");
    refused("PUT", "/v2/apis", "{}", 501, "NotImplementedException", "ImportApi");
    refused("GET", "/v2/domainnames/d/apimappings/m", "", 501, "NotImplementedException",
            "GetApiMapping ");
    refused("GET", "/v2/nothing", "", 404, "UnknownOperationException", "/v2/nothing");
    refused("POST", "/v2/apis", R"({"name":"w","protocolType":"WEBSOCKET"})", 400,
            "BadRequestException", "WEBSOCKET");
    refused("POST", "/v2/apis", R"({"name":"w"})", 400, "BadRequestException", "protocolType");
    refused("POST", "/v2/apis", "{", 400, "BadRequestException", "");
    const std::string api = "/v2/apis/" + f.control->apis().create({.name = "a"}).value().id;
    refused("POST", api + "/integrations", R"({"integrationType":"HTTP_PROXY"})", 400,
            "BadRequestException", "HTTP_PROXY");
    refused("POST", api + "/integrations",
            R"({"integrationType":"AWS_PROXY","tlsConfig":{"a":"b"}})", 400, "BadRequestException",
            "tlsConfig");
    refused("POST", api + "/routes", R"({"routeKey":"GET /","authorizationType":"JWT"})", 400,
            "BadRequestException", "JWT");
    refused("POST", api + "/stages", R"({"stageName":"s"})", 400, "BadRequestException",
            "autoDeploy");
    refused("GET", "/v2/apis/absent", "", 404, "NotFoundException", "absent");
    const std::string table = http::api_gateway::operations_table();
    CHECK(std::ranges::count(table, ',') + 2 == 72);  // of botocore 1.29's model
}

TEST_CASE("an authorizer is told of the request, and who asks by its identity sources") {
    const http::http_request request = get_request();
    CHECK(http::route_arn_of(pets(), "us-east-1", request, pets_context) == pets_arn);
    api_authorizer a{.payload_format = "2.0"};
    const auto identity = [&](std::vector<std::string> sources) {
        a.identity_sources = std::move(sources);
        return http::identity_of(a, pets(), request, pets_context);
    };
    using texts = std::vector<std::string>;
    CHECK(identity({}) == texts{});
    CHECK(identity({"$request.header.HEADER1", "$request.querystring.key", "$stageVariables.table",
                    "$context.routeKey", "$context.httpMethod", "$context.stage", "$context.path",
                    "$context.identity.sourceIp"}) == texts{"value1", "a b", "pets",
                                                            "GET /pets/{id}", "GET", "dev",
                                                            "/dev/pets/7", "127.0.0.1"});
    for (const char* absent : {"$request.header.Authorization", "$request.querystring.empty",
                               "$request.querystring.none", "$stageVariables.none"})
        CHECK_FALSE(identity({"$request.header.header1", absent}));
    http::http_request no_text = request;
    no_text.set("header1", "value\xff");
    CHECK_FALSE(http::identity_of({.identity_sources = {"$request.header.header1"}}, pets(), no_text,
                                  pets_context));

    const auto event = [&] {
        return json::parse(http::write_authorizer_event(a, {"value1", "a b"}, pets_arn, pets(),
                                                        request, pets_context));
    };
    json::value told = event();
    CHECK(told.at("version") == "2.0");
    CHECK(told.at("type") == "REQUEST");
    CHECK(told.at("routeArn").as_string() == pets_arn);
    CHECK(told.at("identitySource") == json::value{"value1", "a b"});
    CHECK(told.at("routeKey") == "GET /pets/{id}");
    CHECK(told.at("pathParameters").at("id") == "7");
    CHECK(told.at("headers").at("header1") == "value1");
    CHECK(told.at("requestContext").at("http").at("method") == "GET");
    for (const char* none : {"body", "isBase64Encoded"})
        CHECK_FALSE(told.as_object().contains(none));
    a.payload_format = "1.0";
    told = event();
    CHECK(told.at("version") == "1.0");
    CHECK(told.at("methodArn").as_string() == pets_arn);
    CHECK(told.at("identitySource") == "value1,a b");
    CHECK(told.at("authorizationToken") == "value1,a b");
    CHECK(told.at("resource") == "/pets/{id}");
    CHECK_FALSE(told.at("requestContext").as_object().contains("authorizer"));
    CHECK_FALSE(told.as_object().contains("multiValueHeaders"));
}

TEST_CASE("an authorizer's answer lets in whom it names, and nobody by mistake") {
    using kind = http::authorizer_verdict::kind;
    api_authorizer a{.payload_format = "2.0", .simple_responses = true};
    const auto simple = [&](const std::string& answer) {
        return http::judge(a, answer, pets_arn).what;
    };
    CHECK(simple(R"({"isAuthorized":true})") == kind::allowed);
    CHECK(simple(R"({"isAuthorized":false,"context":{"a":1}})") == kind::forbidden);
    for (const char* wrong :
         {"", "true", "[]", "{}", R"({"isAuthorized":"true"})", R"({"isAuthorized":1})",
          R"({"isAuthorized":true,"context":1})", R"({"policyDocument":{"Statement":[]}})"})
        CHECK(simple(wrong) == kind::broken);
    CHECK(http::judge(a, R"({"isAuthorized":true,"principalId":"p","context":{"n":1,"l":["x"]}})",
                      pets_arn)
              .context == json::object{{"n", 1}, {"l", {"x"}}});

    a.simple_responses = false;
    const auto policy = [&](const std::string& statements) {
        return http::judge(
                   a, R"({"principalId":"p","policyDocument":{"Statement":)" + statements + "}}",
                   pets_arn)
            .what;
    };
    const auto statement = [](const std::string& effect, const std::string& resource,
                              const std::string& action = R"("execute-api:Invoke")",
                              const std::string& more = "") {
        return R"({"Effect":")" + effect + R"(","Action":)" + action + R"(,"Resource":)" +
               resource + more + "}";
    };
    const std::string all = R"("*")", here = '"' + pets_arn + '"';
    CHECK(policy(statement("Allow", all)) == kind::allowed);
    CHECK(policy("[" + statement("Allow", here) + "]") == kind::allowed);
    CHECK(policy(statement("Allow",
                           R"(["arn:x","arn:aws:execute-api:*:*:abcdefghij/*/G?T/pets/*"])")) ==
          kind::allowed);
    CHECK(policy(statement("Allow", all, R"(["other:*","EXECUTE-API:*"])")) == kind::allowed);
    CHECK(policy(statement("Allow", R"("arn:aws:execute-api:*:*:abcdefghij/*/POST/*")")) ==
          kind::forbidden);
    CHECK(policy(statement("Allow", R"("*/pets")")) == kind::forbidden);
    CHECK(policy(statement("Allow", all, R"("lambda:*")")) == kind::forbidden);
    CHECK(policy("[]") == kind::forbidden);
    CHECK(policy("[" + statement("Allow", all) + "," + statement("Deny", here) + "]") ==
          kind::forbidden);
    const std::string condition = R"(,"Condition":{"Bool":{"x":true}})";
    CHECK(policy(statement("Allow", all, R"("*")", condition)) == kind::forbidden);
    CHECK(policy("[" + statement("Allow", all) + "," +
                 statement("Deny", R"("arn:x")", R"("*")", condition) + "]") == kind::forbidden);
    for (const std::string& wrong :
         {statement("Perhaps", all), statement("Allow", "1"), statement("Allow", "[1]"),
          std::string("1"), std::string("[1]"), std::string(R"({"Effect":"Allow"})")})
        CHECK(policy(wrong) == kind::broken);
    CHECK(simple(R"({"isAuthorized":true})") == kind::broken);
    CHECK(http::judge(a,
                      R"({"principalId":"p","context":{"n":"1"},"policyDocument":{"Statement":)" +
                          statement("Allow", all) + "}}",
                      pets_arn)
              .context == json::object{{"n", "1"}, {"principalId", "p"}});
}

TEST_CASE_METHOD(api_fixture, "an authorizer says whose requests reach a route") {
    std::atomic<int> asked = 0;
    add("guard", [&](std::string_view text) -> std::string {
        ++asked;
        const json::value event = json::parse({text.data(), text.size()});
        const auto& who = event.at("identitySource").at(0).as_string();
        if (who == "broken") return "no answer";
        return json::serialize(json::object{{"isAuthorized", who == "friend"},
                                            {"context", {{"who", who}, {"count", asked.load()}}}});
    });
    lead("GET /pets/{id}", "echo", {.payload_format = "2.0"});
    lead("GET /old", "echo");
    guard("guard", {.simple_responses = true,
                    .identity_sources = {{"$request.header.Authorization"}},
                    .result_ttl = 0});
    lead("GET /open", "echo", {.payload_format = "2.0"});
    stage("$default");
    stage("dev");
    const auto by = [&](const std::string& who, const char* path = "/pets/7") {
        return ask("GET", path, {}, "Authorization: " + who + "\r\n");
    };
    const auto check = [](const answer& a, int code, const char* message) {
        CHECK(a.status == code);
        CHECK(a.json() == json::value{{"message", message}});
        CHECK_FALSE(a.header("Apigw-Requestid").empty());
    };
    check(ask("GET", "/pets/7"), 401, "Unauthorized");
    CHECK(asked == 0);
    check(by("stranger"), 403, "Forbidden");
    check(by("broken"), 500, "Internal Server Error");
    answer a = by("friend");
    REQUIRE(a.status == 200);
    CHECK(a.json().at("requestContext").at("authorizer") ==
          json::value{{"lambda", {{"who", "friend"}, {"count", 3}}}});
    CHECK(by("friend", "/old").status == 502);  // an event is no answer of format 1.0
    CHECK(asked == 4);
    CHECK(ask("GET", "/open").status == 200);
    CHECK(asked == 4);

    SECTION("answers are kept by what the identity sources say") {
        control->apis().update_authorizer(api, authorizer, {.result_ttl = 3600}).value();
        for (int i = 0; i < 3; ++i) {
            CHECK(by("friend")
                      .json()
                      .at("requestContext")
                      .at("authorizer")
                      .at("lambda")
                      .at("count") == 5);
            check(by("stranger"), 403, "Forbidden");
        }
        CHECK(asked == 6);
        CHECK(by("friend", "/old").status == 502);  // all routes share them
        CHECK(asked == 6);
        CHECK(by("friend", "/dev/pets/7").status == 200);  // stages do not
        CHECK(asked == 7);
        for (int i = 0; i < 2; ++i) check(by("broken"), 500, "Internal Server Error");
        CHECK(asked == 9);
    }
    SECTION("by a policy, which is held against each request") {
        add("policy", [&](std::string_view text) -> std::string {
            ++asked;
            const json::value event = json::parse({text.data(), text.size()});
            std::string arn(event.at("routeArn").as_string());
            return R"({"principalId":"p","context":{"n":1},"policyDocument":{"Version":"2012-10-17",
                "Statement":[{"Effect":"Allow","Action":"execute-api:Invoke","Resource":")" +
                   arn + R"("}]}})";
        });
        guard("policy", {.identity_sources = {{"$request.header.Authorization"}}});
        a = by("anybody");
        REQUIRE(a.status == 200);
        CHECK(a.json().at("requestContext").at("authorizer") ==
              json::value{{"lambda", {{"n", 1}, {"principalId", "p"}}}});
        check(by("anybody", "/pets/8"), 403, "Forbidden");
        CHECK(asked == 5);  // kept for five minutes
        check(ask("GET", "/open"), 401, "Unauthorized");
    }
    SECTION("a function that fails lets nobody in") {
        create("fail", "fail");
        create("throttle", "throttle");
        for (const char* name : {"fail", "throttle", "absent"}) {
            guard(name, {.simple_responses = true});
            check(ask("GET", "/pets/7"), 500, "Internal Server Error");
        }
    }
}
