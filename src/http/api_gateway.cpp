#include "http/api_gateway.hpp"

#include "http/authentication.hpp"
#include "http/json_reader.hpp"
#include "http/operations_table.hpp"
#include "http/own_host.hpp"
#include "http/request_target.hpp"
#include "http/text.hpp"

#include <hearth/http_api.hpp>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

namespace hearth::http::api_gateway {
namespace {

using boost::beast::http::status;
using boost::beast::http::verb;

/// An operation's input, beside the body.
struct call {
    control_plane& control;
    const std::string& origin;
    path_parameters path{};
    std::vector<std::pair<std::string, std::string>> query{};

    [[nodiscard]] http_apis& apis() const { return control.apis(); }
    [[nodiscard]] std::shared_ptr<const http_api> api() const;
    [[nodiscard]] std::string_view parameter(std::string_view name) const {
        for (const auto& [key, value] : query)
            if (key == name) return value;
        return {};
    }
};

std::shared_ptr<const http_api> call::api() const { return taken(apis().find(path[0])); }

/// What of AWS's is not here, though the shape is.
void refuse_members(const reader& r,
                    std::string_view where,
                    std::initializer_list<std::string_view> names) {
    for (const std::string_view each : names) {
        const json::value* v = r.find(each);
        if (r.says_something(each) && !(v->is_bool() && !v->get_bool()))
            refuse(errc::unsupported, std::string(where) + "'s " + std::string(each) +
                                          " is not implemented by this server yet");
    }
}

void want(const reader& r, std::string_view where, std::string_view name, std::string_view only) {
    const auto text = r.text(name);
    if (text && *text != only)
        refuse(errc::unsupported, std::string(where) + "'s " + std::string(name) + " " +
                                      printable(text->substr(0, 64)) +
                                      " is not implemented by this server yet: it is " +
                                      std::string(only));
}

void add_text(json::object& to, const char* name, const std::string& text) {
    if (!text.empty()) to[name] = text;
}

json::object map_shape(const std::map<std::string, std::string>& map) {
    json::object o;
    for (const auto& [key, value] : map) o[key] = value;
    return o;
}

json::object cors_shape(const cors_settings& c) {
    json::object o;
    const auto list = [&](const char* name, const std::vector<std::string>& values) {
        if (!values.empty()) o[name] = json::value_from(values);
    };
    o["allowCredentials"] = c.allow_credentials;
    list("allowHeaders", c.allow_headers);
    list("allowMethods", c.allow_methods);
    list("allowOrigins", c.allow_origins);
    list("exposeHeaders", c.expose_headers);
    if (c.max_age) o["maxAge"] = *c.max_age;
    return o;
}

json::object api_shape(const call& c, const http_api& a) {
    json::object o{{"apiId", a.id},
                   {"name", a.name},
                   {"protocolType", "HTTP"},
                   {"apiEndpoint", address_of(api_host, a.id, c.control.region(), c.origin)},
                   {"apiKeySelectionExpression", "$request.header.x-api-key"},
                   {"routeSelectionExpression", "$request.method $request.path"},
                   {"createdDate", a.created_date},
                   {"disableExecuteApiEndpoint", false},
                   {"tags", map_shape(a.tags)}};
    add_text(o, "description", a.description);
    add_text(o, "version", a.version);
    if (a.cors) o["corsConfiguration"] = cors_shape(*a.cors);
    return o;
}

json::object shape_of(const api_integration& i) {
    json::object o{{"integrationId", i.id},          {"integrationType", "AWS_PROXY"},
                   {"integrationMethod", "POST"},    {"integrationUri", i.uri},
                   {"connectionType", "INTERNET"},   {"payloadFormatVersion", i.payload_format},
                   {"timeoutInMillis", i.timeout_ms}};
    add_text(o, "description", i.description);
    if (i.managed) o["apiGatewayManaged"] = true;
    return o;
}

json::object shape_of(const api_route& r) {
    json::object o{{"routeId", r.id},
                   {"routeKey", r.key},
                   {"apiKeyRequired", false},
                   {"authorizationType", r.authorizer_id.empty() ? "NONE" : "CUSTOM"}};
    add_text(o, "authorizerId", r.authorizer_id);
    add_text(o, "target", r.target);
    add_text(o, "operationName", r.operation_name);
    if (r.managed) o["apiGatewayManaged"] = true;
    return o;
}

json::object shape_of(const api_authorizer& a) {
    return {{"authorizerId", a.id},
            {"authorizerPayloadFormatVersion", a.payload_format},
            {"authorizerResultTtlInSeconds", a.result_ttl},
            {"authorizerType", "REQUEST"},
            {"authorizerUri", a.uri},
            {"enableSimpleResponses", a.simple_responses},
            {"identitySource", json::value_from(a.identity_sources)},
            {"name", a.name}};
}

json::object shape_of(const api_stage& s) {
    json::object o{{"stageName", s.name},
                   {"autoDeploy", true},
                   {"createdDate", s.created_date},
                   {"lastUpdatedDate", s.last_updated_date},
                   {"defaultRouteSettings", {{"detailedMetricsEnabled", false}}},
                   {"routeSettings", json::object()},
                   {"stageVariables", map_shape(s.variables)},
                   {"tags", map_shape(s.tags)}};
    add_text(o, "description", s.description);
    if (s.managed) o["apiGatewayManaged"] = true;
    return o;
}

std::size_t max_results(const call& c) {
    const std::string_view text = c.parameter("maxResults");
    std::size_t n = 100;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (!text.empty() && (ec != std::errc() || end != text.data() + text.size() || n < 1))
        refuse(errc::invalid_argument, "maxResults must be a number above zero");
    return std::min<std::size_t>(n, 500);
}

/// {"items": […], "nextToken": …}: of a map, in its order; a token is the last key.
template <class Map>
json::object page_of(const call& c, const Map& all) {
    json::object o;
    json::array& items = o["items"].emplace_array();
    const std::size_t most = max_results(c);
    std::string last;
    for (auto at = all.upper_bound(c.parameter("nextToken")); at != all.end(); ++at) {
        if (items.size() == most) {
            o["nextToken"] = last;
            break;
        }
        items.push_back(shape_of(at->second));
        last = at->first;
    }
    return o;
}

template <class Map>
json::object item_of(const Map& all, const std::string& id, const char* what) {
    const auto at = all.find(id);
    if (at == all.end())
        refuse(errc::not_found, std::string("Invalid ") + what + " identifier specified");
    return shape_of(at->second);
}

std::optional<cors_settings> read_cors(const reader& r) {
    const auto given = r.object("corsConfiguration");
    if (!given) return std::nullopt;
    cors_settings c;
    const auto list = [&](const char* name) {
        return given->texts(name).value_or(std::vector<std::string>());
    };
    c.allow_credentials = given->flag("allowCredentials");
    c.allow_headers = list("allowHeaders");
    c.allow_methods = list("allowMethods");
    c.allow_origins = list("allowOrigins");
    c.expose_headers = list("exposeHeaders");
    if (const auto age = given->number("maxAge"))
        c.max_age = static_cast<std::uint64_t>(std::max<std::int64_t>(*age, 0));  // -1: no caching
    return c;
}

std::map<std::string, std::string> read_tags(const reader& r) {
    return r.text_map("tags").value_or(std::map<std::string, std::string>());
}

http_api_request read_api(const reader& r, std::string_view where) {
    refuse_members(r, where, {"credentialsArn", "disableExecuteApiEndpoint"});
    return {.name = r.text("name"),
            .description = r.text("description"),
            .version = r.text("version"),
            .cors = read_cors(r),
            .target = r.text("target"),
            .route_key = r.text("routeKey"),
            .tags = read_tags(r)};
}

json::object create_api(const call& c, const reader& r) {
    if (r.required_text("protocolType", "protocolType") != "HTTP")
        want(r, "CreateApi", "protocolType", "HTTP");
    return api_shape(c, taken(c.apis().create(read_api(r, "CreateApi"))));
}
json::object get_api(const call& c, const reader&) { return api_shape(c, *c.api()); }
json::object get_apis(const call& c, const reader&) {
    const http_api_page page = c.apis().list(c.parameter("nextToken"), max_results(c));
    json::object o;
    json::array& items = o["items"].emplace_array();
    for (const http_api& each : page.apis) items.push_back(api_shape(c, each));
    add_text(o, "nextToken", page.next_marker);
    return o;
}
json::object update_api(const call& c, const reader& r) {
    refuse_members(r, "UpdateApi", {"target", "routeKey"});
    return api_shape(c, taken(c.apis().update(c.path[0], read_api(r, "UpdateApi"))));
}
json::object delete_api(const call& c, const reader&) {
    taken(c.apis().remove(c.path[0]));
    return {};
}
json::object delete_cors_configuration(const call& c, const reader&) {
    taken(c.apis().remove_cors(c.path[0]));
    return {};
}

api_integration_request read_integration(const reader& r, std::string_view where) {
    want(r, where, "integrationType", "AWS_PROXY");
    want(r, where, "connectionType", "INTERNET");
    refuse_members(r, where,
                   {"connectionId", "contentHandlingStrategy", "credentialsArn",
                    "integrationSubtype", "requestParameters", "requestTemplates",
                    "responseParameters", "templateSelectionExpression", "tlsConfig"});
    api_integration_request request{.uri = r.text("integrationUri"),
                                    .payload_format = r.text("payloadFormatVersion"),
                                    .description = r.text("description")};
    if (const auto time = r.number("timeoutInMillis"))
        request.timeout_ms = static_cast<std::uint64_t>(std::max<std::int64_t>(*time, 0));
    return request;
}

json::object create_integration(const call& c, const reader& r) {
    (void)r.required_text("integrationType", "integrationType");
    return shape_of(
        taken(c.apis().create_integration(c.path[0], read_integration(r, "CreateIntegration"))));
}
json::object get_integration(const call& c, const reader&) {
    return item_of(c.api()->integrations, c.path[1], "Integration");
}
json::object get_integrations(const call& c, const reader&) {
    return page_of(c, c.api()->integrations);
}
json::object update_integration(const call& c, const reader& r) {
    return shape_of(taken(c.apis().update_integration(c.path[0], c.path[1],
                                                      read_integration(r, "UpdateIntegration"))));
}
json::object delete_integration(const call& c, const reader&) {
    taken(c.apis().remove_integration(c.path[0], c.path[1]));
    return {};
}

api_route_request read_route(const reader& r, std::string_view where) {
    refuse_members(r, where,
                   {"apiKeyRequired", "authorizationScopes", "modelSelectionExpression",
                    "requestModels", "requestParameters", "routeResponseSelectionExpression"});
    api_route_request request{.key = r.text("routeKey"),
                              .target = r.text("target"),
                              .operation_name = r.text("operationName"),
                              .authorizer_id = r.text("authorizerId")};
    const auto type = r.text("authorizationType");
    if (type == "NONE")
        request.authorizer_id = "";
    else if (type == "CUSTOM" && !request.authorizer_id)
        refuse(errc::invalid_argument, "authorizerId must be specified for CUSTOM authorization");
    else if (type && type != "CUSTOM")
        refuse(errc::unsupported,
               std::string(where) + "'s authorizationType " + printable(type->substr(0, 64)) +
                   " is not implemented by this server yet: it is NONE or CUSTOM");
    else if (!type && request.authorizer_id && where == "CreateRoute")
        refuse(errc::invalid_argument, "authorizationType must be CUSTOM with an authorizerId");
    return request;
}

json::object create_route(const call& c, const reader& r) {
    (void)r.required_text("routeKey", "routeKey");
    return shape_of(taken(c.apis().create_route(c.path[0], read_route(r, "CreateRoute"))));
}
json::object get_route(const call& c, const reader&) {
    return item_of(c.api()->routes, c.path[1], "Route");
}
json::object get_routes(const call& c, const reader&) { return page_of(c, c.api()->routes); }
json::object update_route(const call& c, const reader& r) {
    return shape_of(
        taken(c.apis().update_route(c.path[0], c.path[1], read_route(r, "UpdateRoute"))));
}
json::object delete_route(const call& c, const reader&) {
    taken(c.apis().remove_route(c.path[0], c.path[1]));
    return {};
}

api_authorizer_request read_authorizer(const reader& r, std::string_view where) {
    want(r, where, "authorizerType", "REQUEST");
    refuse_members(
        r, where, {"authorizerCredentialsArn", "identityValidationExpression", "jwtConfiguration"});
    api_authorizer_request request{.name = r.text("name"),
                                   .uri = r.text("authorizerUri"),
                                   .payload_format = r.text("authorizerPayloadFormatVersion"),
                                   .identity_sources = r.texts("identitySource")};
    if (r.find("enableSimpleResponses")) request.simple_responses = r.flag("enableSimpleResponses");
    if (const auto ttl = r.number("authorizerResultTtlInSeconds"))
        request.result_ttl = static_cast<std::uint64_t>(*ttl);  // below zero is too much
    return request;
}

json::object create_authorizer(const call& c, const reader& r) {
    (void)r.required_text("authorizerType", "authorizerType");
    return shape_of(
        taken(c.apis().create_authorizer(c.path[0], read_authorizer(r, "CreateAuthorizer"))));
}
json::object get_authorizer(const call& c, const reader&) {
    return item_of(c.api()->authorizers, c.path[1], "Authorizer");
}
json::object get_authorizers(const call& c, const reader&) {
    return page_of(c, c.api()->authorizers);
}
json::object update_authorizer(const call& c, const reader& r) {
    return shape_of(taken(
        c.apis().update_authorizer(c.path[0], c.path[1], read_authorizer(r, "UpdateAuthorizer"))));
}
json::object delete_authorizer(const call& c, const reader&) {
    taken(c.apis().remove_authorizer(c.path[0], c.path[1]));
    return {};
}

api_stage_request read_stage(const reader& r, std::string_view where) {
    refuse_members(r, where,
                   {"accessLogSettings", "clientCertificateId", "defaultRouteSettings",
                    "deploymentId", "routeSettings"});
    return {.description = r.text("description"),
            .variables = r.text_map("stageVariables"),
            .tags = read_tags(r)};
}

json::object create_stage(const call& c, const reader& r) {
    const std::string name = r.required_text("stageName", "stageName");
    if (!r.flag("autoDeploy"))
        refuse(errc::unsupported,
               "CreateStage without autoDeploy is not implemented by this server yet: stages serve "
               "what the API is now");
    return shape_of(taken(c.apis().create_stage(c.path[0], name, read_stage(r, "CreateStage"))));
}
json::object get_stage(const call& c, const reader&) {
    return item_of(c.api()->stages, c.path[1], "stage");
}
json::object get_stages(const call& c, const reader&) { return page_of(c, c.api()->stages); }
json::object update_stage(const call& c, const reader& r) {
    if (r.find("autoDeploy") && !r.flag("autoDeploy"))
        refuse(errc::unsupported,
               "UpdateStage's autoDeploy false is not implemented by this server yet");
    return shape_of(
        taken(c.apis().update_stage(c.path[0], c.path[1], read_stage(r, "UpdateStage"))));
}
json::object delete_stage(const call& c, const reader&) {
    taken(c.apis().remove_stage(c.path[0], c.path[1]));
    return {};
}

/// Of "arn:aws:apigateway:REGION::/apis/ID".
std::string tagged_api(const call& c) {
    static constexpr std::string_view mark = "::/apis/";
    const std::string& arn = c.path[0];
    const auto at = arn.find(mark);
    if (!arn.starts_with("arn:aws:apigateway:") || at == arn.npos)
        refuse(errc::invalid_argument,
               "Invalid resource ARN '" + printable(arn.substr(0, 256)) + "': tags are of an API");
    std::string id = arn.substr(at + mark.size());
    if (id.find('/') != id.npos)
        refuse(errc::unsupported,
               "Changing the tags of a stage is not implemented by this server yet");
    return id;
}

json::object tag_resource(const call& c, const reader& r) {
    taken(c.apis().tag(tagged_api(c), read_tags(r)));
    return {};
}
json::object untag_resource(const call& c, const reader&) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : c.query)
        if (key == "tagKeys") keys.push_back(value);
    taken(c.apis().untag(tagged_api(c), keys));
    return {};
}
json::object get_tags(const call& c, const reader&) {
    return {{"tags", map_shape(taken(c.apis().find(tagged_api(c)))->tags)}};
}

struct row {
    verb method;
    std::string_view name, path;                         ///< "{}" stands for a parameter
    json::object (*answer)(const call&, const reader&);  ///< null: not served
    unsigned status;
};

// Every operation of the service model.
// clang-format off
constexpr row rows[] = {
    {verb::post, "CreateApi", "/v2/apis", create_api, 201},
    {verb::post, "CreateApiMapping", "/v2/domainnames/{}/apimappings", nullptr, 0},
    {verb::post, "CreateAuthorizer", "/v2/apis/{}/authorizers", create_authorizer, 201},
    {verb::post, "CreateDeployment", "/v2/apis/{}/deployments", nullptr, 0},
    {verb::post, "CreateDomainName", "/v2/domainnames", nullptr, 0},
    {verb::post, "CreateIntegration", "/v2/apis/{}/integrations", create_integration, 201},
    {verb::post, "CreateIntegrationResponse", "/v2/apis/{}/integrations/{}/integrationresponses", nullptr, 0},
    {verb::post, "CreateModel", "/v2/apis/{}/models", nullptr, 0},
    {verb::post, "CreateRoute", "/v2/apis/{}/routes", create_route, 201},
    {verb::post, "CreateRouteResponse", "/v2/apis/{}/routes/{}/routeresponses", nullptr, 0},
    {verb::post, "CreateStage", "/v2/apis/{}/stages", create_stage, 201},
    {verb::post, "CreateVpcLink", "/v2/vpclinks", nullptr, 0},
    {verb::delete_, "DeleteAccessLogSettings", "/v2/apis/{}/stages/{}/accesslogsettings", nullptr, 0},
    {verb::delete_, "DeleteApi", "/v2/apis/{}", delete_api, 204},
    {verb::delete_, "DeleteApiMapping", "/v2/domainnames/{}/apimappings/{}", nullptr, 0},
    {verb::delete_, "DeleteAuthorizer", "/v2/apis/{}/authorizers/{}", delete_authorizer, 204},
    {verb::delete_, "DeleteCorsConfiguration", "/v2/apis/{}/cors", delete_cors_configuration, 204},
    {verb::delete_, "DeleteDeployment", "/v2/apis/{}/deployments/{}", nullptr, 0},
    {verb::delete_, "DeleteDomainName", "/v2/domainnames/{}", nullptr, 0},
    {verb::delete_, "DeleteIntegration", "/v2/apis/{}/integrations/{}", delete_integration, 204},
    {verb::delete_, "DeleteIntegrationResponse", "/v2/apis/{}/integrations/{}/integrationresponses/{}", nullptr, 0},
    {verb::delete_, "DeleteModel", "/v2/apis/{}/models/{}", nullptr, 0},
    {verb::delete_, "DeleteRoute", "/v2/apis/{}/routes/{}", delete_route, 204},
    {verb::delete_, "DeleteRouteRequestParameter", "/v2/apis/{}/routes/{}/requestparameters/{}", nullptr, 0},
    {verb::delete_, "DeleteRouteResponse", "/v2/apis/{}/routes/{}/routeresponses/{}", nullptr, 0},
    {verb::delete_, "DeleteRouteSettings", "/v2/apis/{}/stages/{}/routesettings/{}", nullptr, 0},
    {verb::delete_, "DeleteStage", "/v2/apis/{}/stages/{}", delete_stage, 204},
    {verb::delete_, "DeleteVpcLink", "/v2/vpclinks/{}", nullptr, 0},
    {verb::get, "ExportApi", "/v2/apis/{}/exports/{}", nullptr, 0},
    {verb::get, "GetApi", "/v2/apis/{}", get_api, 200},
    {verb::get, "GetApiMapping", "/v2/domainnames/{}/apimappings/{}", nullptr, 0},
    {verb::get, "GetApiMappings", "/v2/domainnames/{}/apimappings", nullptr, 0},
    {verb::get, "GetApis", "/v2/apis", get_apis, 200},
    {verb::get, "GetAuthorizer", "/v2/apis/{}/authorizers/{}", get_authorizer, 200},
    {verb::get, "GetAuthorizers", "/v2/apis/{}/authorizers", get_authorizers, 200},
    {verb::get, "GetDeployment", "/v2/apis/{}/deployments/{}", nullptr, 0},
    {verb::get, "GetDeployments", "/v2/apis/{}/deployments", nullptr, 0},
    {verb::get, "GetDomainName", "/v2/domainnames/{}", nullptr, 0},
    {verb::get, "GetDomainNames", "/v2/domainnames", nullptr, 0},
    {verb::get, "GetIntegration", "/v2/apis/{}/integrations/{}", get_integration, 200},
    {verb::get, "GetIntegrationResponse", "/v2/apis/{}/integrations/{}/integrationresponses/{}", nullptr, 0},
    {verb::get, "GetIntegrationResponses", "/v2/apis/{}/integrations/{}/integrationresponses", nullptr, 0},
    {verb::get, "GetIntegrations", "/v2/apis/{}/integrations", get_integrations, 200},
    {verb::get, "GetModel", "/v2/apis/{}/models/{}", nullptr, 0},
    {verb::get, "GetModelTemplate", "/v2/apis/{}/models/{}/template", nullptr, 0},
    {verb::get, "GetModels", "/v2/apis/{}/models", nullptr, 0},
    {verb::get, "GetRoute", "/v2/apis/{}/routes/{}", get_route, 200},
    {verb::get, "GetRouteResponse", "/v2/apis/{}/routes/{}/routeresponses/{}", nullptr, 0},
    {verb::get, "GetRouteResponses", "/v2/apis/{}/routes/{}/routeresponses", nullptr, 0},
    {verb::get, "GetRoutes", "/v2/apis/{}/routes", get_routes, 200},
    {verb::get, "GetStage", "/v2/apis/{}/stages/{}", get_stage, 200},
    {verb::get, "GetStages", "/v2/apis/{}/stages", get_stages, 200},
    {verb::get, "GetTags", "/v2/tags/{}", get_tags, 200},
    {verb::get, "GetVpcLink", "/v2/vpclinks/{}", nullptr, 0},
    {verb::get, "GetVpcLinks", "/v2/vpclinks", nullptr, 0},
    {verb::put, "ImportApi", "/v2/apis", nullptr, 0},
    {verb::put, "ReimportApi", "/v2/apis/{}", nullptr, 0},
    {verb::delete_, "ResetAuthorizersCache", "/v2/apis/{}/stages/{}/cache/authorizers", nullptr, 0},
    {verb::post, "TagResource", "/v2/tags/{}", tag_resource, 201},
    {verb::delete_, "UntagResource", "/v2/tags/{}", untag_resource, 204},
    {verb::patch, "UpdateApi", "/v2/apis/{}", update_api, 200},
    {verb::patch, "UpdateApiMapping", "/v2/domainnames/{}/apimappings/{}", nullptr, 0},
    {verb::patch, "UpdateAuthorizer", "/v2/apis/{}/authorizers/{}", update_authorizer, 200},
    {verb::patch, "UpdateDeployment", "/v2/apis/{}/deployments/{}", nullptr, 0},
    {verb::patch, "UpdateDomainName", "/v2/domainnames/{}", nullptr, 0},
    {verb::patch, "UpdateIntegration", "/v2/apis/{}/integrations/{}", update_integration, 200},
    {verb::patch, "UpdateIntegrationResponse", "/v2/apis/{}/integrations/{}/integrationresponses/{}", nullptr, 0},
    {verb::patch, "UpdateModel", "/v2/apis/{}/models/{}", nullptr, 0},
    {verb::patch, "UpdateRoute", "/v2/apis/{}/routes/{}", update_route, 200},
    {verb::patch, "UpdateRouteResponse", "/v2/apis/{}/routes/{}/routeresponses/{}", nullptr, 0},
    {verb::patch, "UpdateStage", "/v2/apis/{}/stages/{}", update_stage, 200},
    {verb::patch, "UpdateVpcLink", "/v2/vpclinks/{}", nullptr, 0},
};
// clang-format on

reply fault(std::string_view type, std::string_view message, status code) {
    const json::object body{{"message", printable(message)}};
    return {.status = code,
            .body = json::serialize(body),
            .headers = {{"x-amzn-ErrorType", std::string(type)}}};
}

reply failure_of(const error& e) {
    const std::string message = e.message();
    if (e == errc::not_found) return fault("NotFoundException", message, status::not_found);
    if (e == errc::already_exists || e == errc::conflict)
        return fault("ConflictException", message, status::conflict);
    if (e == errc::invalid_argument || e == errc::unsupported)
        return fault("BadRequestException", message, status::bad_request);
    return fault("InternalServerErrorException", message, status::internal_server_error);
}

/// What is malformed is left out.
std::vector<std::pair<std::string, std::string>> read_query(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> parameters;
    for (const auto& [name, text] : split_query(query)) {
        auto key = percent_decode(name), value = percent_decode(text);
        if (key && value) parameters.emplace_back(std::move(*key), std::move(*value));
    }
    return parameters;
}

constexpr std::string_view actions[] = {"apigateway:DELETE", "apigateway:GET", "apigateway:PATCH",
                                        "apigateway:POST", "apigateway:PUT"};

}  // namespace

bool is_for(std::string_view target) noexcept { return target.starts_with("/v2/"); }

reply answer(control_plane& control,
             const request_line& asked,
             std::string_view body,
             const access_key* by) {
    const split_target target(asked.target);
    const std::string_view path = without_trailing_slashes(target.path);
    call c{control, asked.origin};
    const auto* found = std::ranges::find_if(rows, [&](const row& r) {
        auto parameters = r.method == asked.method ? match_path(r.path, path) : std::nullopt;
        if (parameters) c.path = std::move(*parameters);
        return parameters.has_value();
    });
    const std::string method(boost::beast::http::to_string(asked.method));
    if (found == std::end(rows))
        return fault(
            "UnknownOperationException",
            "API Gateway has no operation " + method + " " + std::string(path.substr(0, 256)),
            status::not_found);
    // Not by API: what an API does it does to any function.
    if (auto no = denied(by, control.account_id(), "apigateway:" + method, {}, "*"))
        return std::move(*no);
    if (!found->answer)
        return fault("NotImplementedException",
                     std::string(found->name) + " is not implemented by this server yet",
                     status::not_implemented);
    c.query = read_query(target.query);
    const auto done = read_document(body.empty() ? "{}" : body,
                                    [&](const reader& r) { return found->answer(c, r); });
    if (done.has_error()) return failure_of(done.error().why);
    reply r{.status = static_cast<status>(found->status)};
    if (r.status != status::no_content) r.body = json::serialize(*done);
    return r;
}

std::vector<std::string_view> action_names() { return {std::begin(actions), std::end(actions)}; }

std::string operations_table() {
    std::vector<std::string_view> served, absent;
    for (const row& each : rows) (each.answer ? served : absent).push_back(each.name);
    return make_operations_table(
        "operations of API Gateway v2",
        {{"served", served}, {"answer `NotImplementedException` with their name", absent}});
}

}  // namespace hearth::http::api_gateway
