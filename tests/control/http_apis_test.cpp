#include "control/api_routes.hpp"
#include "control_test_support.hpp"

#include <hearth/http_api.hpp>

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {

http_api with_routes(const std::vector<std::string>& keys,
                     const std::vector<std::string>& stages = {"$default"}) {
    http_api api;
    api.integrations["i"] = {.id = "i"};
    for (const std::string& key : keys)
        api.routes[key] = {.id = key, .key = key, .target = "integrations/i"};
    for (const std::string& stage : stages) api.stages[stage] = {.name = stage};
    return api;
}

/// The route's key; empty: none.
std::string chosen(const http_api& api, std::string_view method, std::string_view path) {
    const auto match = match_api(api, method, path);
    return match ? match->route->key : "";
}

/// A control plane's APIs, one of them with an integration.
struct apis_fixture : control_fixture {
    http_apis& apis = control->apis();
    std::string api = apis.create({.name = "a"}).value().id;
    std::string integration = apis.create_integration(api, {.uri = arn}).value().id;
};

}  // namespace

TEST_CASE("the most specific route is chosen, as in AWS's table of examples") {
    const auto api = with_routes({"GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}",
                                  "ANY /{proxy+}", "$default"});
    CHECK(chosen(api, "GET", "/pets/dog/1") == "GET /pets/dog/1");
    CHECK(chosen(api, "GET", "/pets/dog/2") == "GET /pets/dog/{id}");
    CHECK(chosen(api, "GET", "/pets/cat/1") == "GET /pets/{proxy+}");
    CHECK(chosen(api, "POST", "/test/5") == "ANY /{proxy+}");
    CHECK(chosen(api, "GET", "/") == "$default");
}

TEST_CASE(
    "a full match stands before a greedy one, literals before variables, a method before ANY") {
    auto api = with_routes({"GET /{a}/b", "GET /a/{proxy+}", "GET /{a}/{b}", "ANY /{a}/c",
                            "GET /a/{b}", "POST /{a}/c", "DELETE /x"});
    CHECK(chosen(api, "GET", "/a/b") == "GET /a/{b}");
    CHECK(chosen(api, "GET", "/z/b") == "GET /{a}/b");
    CHECK(chosen(api, "GET", "/z/y") == "GET /{a}/{b}");
    CHECK(chosen(api, "GET", "/a/b/c") == "GET /a/{proxy+}");
    CHECK(chosen(api, "POST", "/z/c") == "POST /{a}/c");
    CHECK(chosen(api, "PUT", "/z/c") == "ANY /{a}/c");
    CHECK(chosen(api, "GET", "/z/c") == "ANY /{a}/c");
    for (const auto& [method, path] : {std::pair("GET", "/x"),
                                       {"DELETE", "/x/"},
                                       {"DELETE", "/X"},
                                       {"GET", "/a/"},
                                       {"DELETE", "/x/y"},
                                       {"GET", ""}})
        CHECK(chosen(api, method, path).empty());
    CHECK(chosen(with_routes({"ANY /"}), "GET", "/") == "ANY /");
    CHECK(chosen(with_routes({"ANY /{proxy+}"}), "GET", "/").empty());
}

TEST_CASE("of greedy routes that which says more of the path is chosen, whatever its method") {
    const auto api = with_routes({"GET /{proxy+}", "GET /pets/{proxy+}", "ANY /pets/dog/{proxy+}",
                                  "GET /{kind}/cat/{proxy+}", "ANY /{kind}/{proxy+}"});
    CHECK(chosen(api, "GET", "/pets/x") == "GET /pets/{proxy+}");
    CHECK(chosen(api, "GET", "/pets/dog/1") == "ANY /pets/dog/{proxy+}");
    CHECK(chosen(api, "GET", "/pets/cat/1") == "GET /pets/{proxy+}");  // its first segment decides
    CHECK(chosen(api, "GET", "/toys/cat/1") == "GET /{kind}/cat/{proxy+}");
    CHECK(chosen(api, "GET", "/toys/dog/1") == "ANY /{kind}/{proxy+}");
    CHECK(chosen(api, "GET", "/pets") == "GET /{proxy+}");
    CHECK(match_api(api, "GET", "/pets/x/y").value().path_parameters ==
          std::map<std::string, std::string>{{"proxy", "x/y"}});
}

TEST_CASE("path parameters are decoded") {
    const auto api = with_routes({"GET /p/{id}", "GET /q/{a}/x/{rest+}", "GET /l it"});
    auto m = match_api(api, "GET", "/p/a%2Fb%20c%zz").value();
    CHECK(m.path_parameters == std::map<std::string, std::string>{{"id", "a/b c%zz"}});
    m = match_api(api, "GET", "/q/1/x/2/3%2C/").value();
    CHECK(m.path_parameters == std::map<std::string, std::string>{{"a", "1"}, {"rest", "2/3,/"}});
    CHECK(m.integration->id == "i");
    CHECK(match_api(with_routes({"$default"}), "GET", "/p").value().path_parameters.empty());
}

TEST_CASE("a request goes to the stage it names, else to $default") {
    const auto stage = [](const http_api& api, std::string_view path) {
        const auto m = match_api(api, "GET", path);
        return m ? m->stage->name + " " + m->route->key : "";
    };
    auto api = with_routes({"GET /x", "GET /", "GET /dev"}, {"$default", "dev"});
    CHECK(stage(api, "/x") == "$default GET /x");
    CHECK(stage(api, "/dev/x") == "dev GET /x");
    CHECK(stage(api, "/dev") == "dev GET /");
    CHECK(stage(api, "/dev/") == "dev GET /");
    CHECK(stage(api, "/devil").empty());
    CHECK(stage(api, "/$default/x").empty());
    api.stages.erase("$default");
    CHECK(stage(api, "/x").empty());
    CHECK(stage(api, "/dev/x") == "dev GET /x");
}

TEST_CASE("a route that leads nowhere is matched without an integration") {
    auto api = with_routes({"GET /x"});
    api.integrations.clear();
    CHECK(match_api(api, "GET", "/x").value().integration == nullptr);
}

TEST_CASE("route keys are checked") {
    for (const char* good : {"$default", "GET /", "ANY /{proxy+}", "PUT /a/{b}/c/{d+}",
                             "HEAD /a-b.c~", "OPTIONS /{x_y}/"})
        CHECK(control::check_route_key(good).has_value());
    for (const char* bad : {"", "default", "get /", "GET", "GET ", "GET a", "TRACE /", "GET  /",
                            "GET /{a}b", "GET /{}", "GET /{+}", "GET /{a+}/b", "GET /{a}/{a}",
                            "GET /a?b", "GET /a b", "GET /{a/b}", "GET /{a b}", "ANY /\xC3\xBC"}) {
        INFO(bad);
        CHECK(control::check_route_key(bad).error() == errc::invalid_argument);
    }
    CHECK(control::check_route_key("GET /" + std::string(2000, 'a')).has_error());
}

TEST_CASE_METHOD(apis_fixture, "quick create makes all that is needed") {
    const auto made = apis.create({.name = "q", .target = arn}).value();
    CHECK(made.id.size() == 10);
    REQUIRE(made.routes.size() == 1);
    CHECK(made.routes.begin()->second.key == "$default");
    const auto match = match_api(made, "PUT", "/any").value();
    CHECK(match.integration->function_arn == arn);
    CHECK(match.integration->payload_format == "2.0");
    CHECK(match.stage->managed);
    CHECK(apis.create({.name = "q", .target = arn, .route_key = "GET /a"})
              .value()
              .routes.begin()
              ->second.key == "GET /a");
    CHECK(apis.create({.name = "q", .target = "http://x"}).error() == errc::invalid_argument);
    CHECK(apis.create({.name = "q", .target = arn, .route_key = "x"}).error() ==
          errc::invalid_argument);
    CHECK(apis.create({}).error() == errc::invalid_argument);
    CHECK(apis.list({}, 100).apis.size() == 3);  // nothing half made
}

TEST_CASE_METHOD(apis_fixture, "integrations lead to functions of this server") {
    const std::string wrapped = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/" +
                                arn + ":live/invocations";
    const auto made =
        apis.create_integration(api, {.uri = wrapped, .payload_format = "2.0"}).value();
    CHECK(made.function_arn == arn + ":live");
    CHECK(made.uri == wrapped);
    CHECK(apis.update_integration(api, made.id, {.timeout_ms = 50}).value().timeout_ms == 50);
    for (const api_integration_request& bad : std::vector<api_integration_request>{
             {},
             {.uri = ""},
             {.uri = "f"},
             {.uri = "https://example.com"},
             {.uri = "arn:aws:lambda:eu-west-1:000000000000:function:f"},
             {.uri = "arn:aws:lambda:us-east-1:000000000001:function:f"},
             {.uri = "arn:aws:sqs:us-east-1:000000000000:f"},
             {.uri = arn, .payload_format = "3.0"},
             {.uri = arn, .timeout_ms = 49},
             {.uri = arn, .timeout_ms = 30001}})
        CHECK(apis.create_integration(api, bad).error() == errc::invalid_argument);
    CHECK(apis.create_integration("absent", {.uri = arn}).error() == errc::not_found);
    CHECK(apis.update_integration(api, "absent", {}).error() == errc::not_found);
}

TEST_CASE_METHOD(apis_fixture, "a route's key is there once, and its integration stays") {
    const std::string target = "integrations/" + integration;
    const auto made = apis.create_route(api, {.key = "GET /a", .target = target}).value();
    CHECK(apis.create_route(api, {.key = "GET /a"}).error() == errc::already_exists);
    CHECK(apis.create_route(api, {.key = "x"}).error() == errc::invalid_argument);
    CHECK(apis.create_route(api, {}).error() == errc::invalid_argument);
    CHECK(apis.create_route(api, {.key = "GET /b", .target = "integrations/x"}).error() ==
          errc::not_found);
    CHECK(apis.remove_integration(api, integration).error() == errc::conflict);
    CHECK(apis.update_route(api, made.id, {.key = "GET /c"}).value().target == target);
    CHECK(apis.remove_route(api, made.id).has_value());
    CHECK(apis.remove_route(api, made.id).error() == errc::not_found);
    CHECK(apis.remove_integration(api, integration).has_value());
    for (std::size_t i = 0; i < http_apis::max_routes; ++i)
        REQUIRE(apis.create_route(api, {.key = "GET /" + std::to_string(i)}).has_value());
    CHECK(apis.create_route(api, {.key = "GET /more"}).error() == errc::invalid_argument);
}

TEST_CASE_METHOD(apis_fixture, "authorizers are functions, and stay while a route is theirs") {
    const api_authorizer_request good{.name = "a",
                                      .uri = arn,
                                      .payload_format = "2.0",
                                      .simple_responses = true,
                                      .identity_sources = {{"$request.header.Authorization"}}};
    const auto made = apis.create_authorizer(api, good).value();
    CHECK(made.function_arn == arn);
    CHECK(made.result_ttl == 300);
    CHECK(apis.create_authorizer(api, {.name = "b", .uri = arn, .payload_format = "1.0"})
              .value()
              .result_ttl == 0);
    CHECK(apis.update_authorizer(api, made.id, {.result_ttl = 0}).value().simple_responses);
    const auto refused = [&](api_authorizer_request r, const char* why) {
        const auto created = apis.create_authorizer(api, r);
        REQUIRE(created.has_error());
        CHECK(created.error() == errc::invalid_argument);
        CHECK_THAT(created.error().message(), Catch::Contains(why));
    };
    const auto with = [&](auto change) {
        api_authorizer_request r = good;
        change(r);
        return r;
    };
    refused(with([](auto& r) { r.name = ""; }), "name");
    refused(with([](auto& r) { r.uri.reset(); }), "authorizerUri");
    refused(with([](auto& r) { r.uri = "f"; }), "Invalid authorizerUri 'f'");
    refused(with([](auto& r) { r.payload_format.reset(); }), "authorizerPayloadFormatVersion");
    refused(with([](auto& r) { r.payload_format = "1.0"; }), "enableSimpleResponses");
    refused(with([](auto& r) { r.result_ttl = 3601; }), "3600");
    refused(with([](auto& r) { r.identity_sources->clear(), r.result_ttl = 1; }), "identitySource");
    for (const char* odd :
         {"", "Authorization", "$request.header.", "$context.authorizer", "$request.body.x"})
        refused(with([&](auto& r) { r.identity_sources = {odd}; }), "Invalid identity source");
    CHECK(apis.create_route(api, {.key = "GET /a", .authorizer_id = "absent"}).error() ==
          errc::not_found);
    const auto route = apis.create_route(api, {.key = "GET /a", .authorizer_id = made.id}).value();
    CHECK(apis.remove_authorizer(api, made.id).error() == errc::conflict);
    CHECK(apis.update_route(api, route.id, {.key = "GET /b"}).value().authorizer_id == made.id);
    CHECK(apis.update_route(api, route.id, {.authorizer_id = ""}).value().authorizer_id.empty());
    CHECK(apis.remove_authorizer(api, made.id).has_value());
    CHECK(apis.update_authorizer(api, made.id, {}).error() == errc::not_found);
    for (std::size_t i = 1; i < http_apis::max_authorizers; ++i)
        REQUIRE(apis.create_authorizer(api, good).has_value());
    refused(good, "Max number of authorizers");
}

TEST_CASE_METHOD(apis_fixture, "stages have names and variables") {
    const auto made =
        apis.create_stage(api, "dev", {.variables = std::map<std::string, std::string>{{"a", "b"}}})
            .value();
    CHECK(made.variables.at("a") == "b");
    CHECK(apis.create_stage(api, "dev", {}).error() == errc::already_exists);
    for (const char* bad : {"", "a b", "a/b", "$other"})
        CHECK(apis.create_stage(api, bad, {}).error() == errc::invalid_argument);
    CHECK(apis.update_stage(api, "dev", {.description = "d"}).value().variables.size() == 1);
    CHECK(apis.update_stage(api, "absent", {}).error() == errc::not_found);
    CHECK(apis.remove_stage(api, "dev").has_value());
    CHECK(apis.find(api).value()->stages.empty());
}

TEST_CASE_METHOD(apis_fixture,
                 "an API is changed, tagged and deleted; what is refused changes nothing") {
    const cors_settings cors{.allow_methods = {"OPTIONS"}, .allow_origins = {"*"}};
    CHECK(apis.update(api, {.description = "d", .cors = cors}).value().name == "a");
    CHECK(apis.update(api, {.name = "n", .cors = cors_settings{.allow_methods = {"NO"}}}).error() ==
          errc::invalid_argument);
    CHECK(apis.tag(api, {{"k", "v"}, {"l", "w"}}).has_value());
    CHECK(apis.tag(api, {{"", "v"}}).error() == errc::invalid_argument);
    CHECK(apis.untag(api, {"l", "absent"}).has_value());
    const auto now = apis.find(api).value();
    CHECK(now->name == "a");
    CHECK(now->cors == cors);
    CHECK(now->tags == std::map<std::string, std::string>{{"k", "v"}});
    CHECK(apis.remove_cors(api).has_value());
    CHECK_FALSE(apis.find(api).value()->cors);
    CHECK(apis.remove(api).has_value());
    CHECK(apis.remove(api).error() == errc::not_found);
    CHECK(apis.find(api).error() == errc::not_found);
}

TEST_CASE("APIs are there after a restart") {
    const temporary_directory dir;
    control_options options;
    options.data_directory = dir.path();
    fake_worker worker;
    http_api kept;
    {
        const auto control = control_plane::create(options, worker).value();
        const std::string id = control->apis()
                                   .create({.name = "a",
                                            .cors = cors_settings{.max_age = 1},
                                            .target = arn,
                                            .tags = {{"t", "u"}}})
                                   .value()
                                   .id;
        const std::string gone = control->apis().create({.name = "gone"}).value().id;
        REQUIRE(control->apis().remove(gone).has_value());
        REQUIRE(control->apis()
                    .create_stage(id, "dev",
                                  {.variables = std::map<std::string, std::string>{{"a", "b"}}})
                    .has_value());
        const std::string guard =
            control->apis()
                .create_authorizer(id, {.name = "g",
                                        .uri = arn,
                                        .payload_format = "2.0",
                                        .simple_responses = true,
                                        .identity_sources = {{"$context.routeKey"}}})
                .value()
                .id;
        control->apis().create_route(id, {.key = "GET /g", .authorizer_id = guard}).value();
        kept = *control->apis().find(id).value();
    }
    const auto control = control_plane::create(options, worker).value();
    const http_api_page page = control->apis().list({}, 100);
    REQUIRE(page.apis.size() == 1);
    CHECK(page.apis[0] == kept);
}
