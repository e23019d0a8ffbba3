#pragma once

/// HTTP APIs: Amazon API Gateway's, of the protocol type HTTP, whose routes lead to functions of
/// this server. The HTTP front serves them (http/server.hpp) and speaks API Gateway's own API for
/// making them; here they are C++ values and the operations on them.
///
/// An API has integrations (a function, and the format it is told requests in), routes (a method
/// and a path that lead to an integration) and stages (named ways in, with variables). Every stage
/// serves what the API is now: stages deploy automatically, there are no deployments to make.
/// Routes are for everybody, or for whom an authorizer lets in: a function (REQUEST) that is told
/// of the request. Those of the type JWT, and IAM's, are not served.
///
/// @source API Gateway developer guide, "Create routes for HTTP APIs", "Create AWS Lambda proxy
///   integrations for HTTP APIs", "Control access to HTTP APIs with Lambda authorizers"; service
///   model apigatewayv2/2018-11-29.

#include <hearth/error.hpp>
#include <hearth/function_url.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

struct api_integration {
    std::string id{};
    std::string uri{};                   ///< as it was given
    std::string function_arn{};          ///< what it names, with or without a qualifier
    std::string payload_format = "1.0";  ///< or "2.0"
    std::string description{};
    std::uint64_t timeout_ms = 30'000;  ///< 50 to 30,000; who waits longer gets a 503
    bool managed = false;               ///< made by CreateApi with a target
    bool operator==(const api_integration&) const = default;
};

/// A function that says who may: by {"isAuthorized": true} where it has simple responses, else by
/// an IAM policy.
struct api_authorizer {
    std::string id{}, name{};
    std::string uri{};             ///< as it was given
    std::string function_arn{};    ///< what it names
    std::string payload_format{};  ///< "1.0" or "2.0"
    bool simple_responses = false;
    /// "$request.header.Authorization", "$request.querystring.key", "$stageVariables.name",
    /// "$context.routeKey": a request that lacks one is refused, and they are what answers are kept
    /// by.
    std::vector<std::string> identity_sources{};
    std::uint64_t result_ttl = 0;  ///< seconds an answer is kept, at most 3600; 0: it is not
    bool operator==(const api_authorizer&) const = default;
};

struct api_route {
    std::string id{};
    /// "GET /pets/{id}", "ANY /{proxy+}" or "$default".
    std::string key{};
    std::string target{};  ///< "integrations/ID"; empty: none yet
    std::string operation_name{};
    std::string authorizer_id{};  ///< empty: it is for everybody
    bool managed = false;
    bool operator==(const api_route&) const = default;
};

struct api_stage {
    std::string name{};  ///< "$default" is served at the root, any other one below its name
    std::string description{};
    std::map<std::string, std::string> variables{};
    std::map<std::string, std::string> tags{};
    std::string created_date{}, last_updated_date{};  ///< "2023-04-05T06:07:08Z"
    bool managed = false;
    bool operator==(const api_stage&) const = default;
};

struct http_api {
    template <class T>
    using map = std::map<std::string, T, std::less<>>;

    std::string id{};  ///< 10 of [a-z0-9]; the first label of the API's host
    std::string name{};
    std::string description{}, version{};
    std::optional<cors_settings> cors{};
    std::string created_date{};
    std::map<std::string, std::string> tags{};
    map<api_integration> integrations{};  ///< by id, as the routes
    map<api_route> routes{};
    map<api_authorizer> authorizers{};
    map<api_stage> stages{};  ///< by name
    bool operator==(const http_api&) const = default;
};

/// Where a request goes. Points into the API.
struct api_match {
    const api_stage* stage = nullptr;
    const api_route* route = nullptr;
    const api_integration* integration = nullptr;          ///< null: the route leads nowhere
    std::map<std::string, std::string> path_parameters{};  ///< percent-decoded
};

/// As API Gateway chooses: the stage that the path begins with, else $default; then of the routes
/// that match method and path the one with the most specific path, literal segments before
/// variables before a greedy one, and a method of its own before ANY; at last $default. Nothing:
/// 404.
/// @param path  percent-encoded, without a query
std::optional<api_match> match_api(const http_api& api,
                                   std::string_view method,
                                   std::string_view path);

// Requests. Fields without a value: not given.

struct http_api_request {
    std::optional<std::string> name{}, description{}, version{};
    std::optional<cors_settings> cors{};
    /// Quick create: an integration of format 2.0 with that function, a route of `route_key`
    /// ($default) and a stage $default. Of a new API only.
    std::optional<std::string> target{}, route_key{};
    std::map<std::string, std::string> tags{};  ///< of a new API
};
struct api_integration_request {
    std::optional<std::string> uri{}, payload_format{}, description{};
    std::optional<std::uint64_t> timeout_ms{};
};
struct api_route_request {
    std::optional<std::string> key{}, target{}, operation_name{};
    std::optional<std::string> authorizer_id{};  ///< empty: none any more
};
struct api_authorizer_request {
    std::optional<std::string> name{}, uri{}, payload_format{};
    std::optional<bool> simple_responses{};
    std::optional<std::vector<std::string>> identity_sources{};
    std::optional<std::uint64_t> result_ttl{};  ///< of a new one: 300, without sources 0
};
struct api_stage_request {
    std::optional<std::string> description{};
    std::optional<std::map<std::string, std::string>> variables{};
    std::map<std::string, std::string> tags{};  ///< of a new stage
};

struct http_api_page {
    std::vector<http_api> apis{};
    std::string next_marker{};
};

namespace control {
class storage;
}

/// The APIs of a control plane (control_plane::apis). Thread-safe. What an operation returns has
/// been made durable first.
///
/// @errors of all: errc::not_found; already_exists, conflict; invalid_argument; storage_failed
class http_apis {
  public:
    static constexpr std::size_t max_apis = 600, max_routes = 300, max_integrations = 300,
                                 max_stages = 10, max_authorizers = 10;

    result<http_api> create(const http_api_request& request);
    result<http_api> update(std::string_view id, const http_api_request& request);
    result<void> remove(std::string_view id);
    result<void> remove_cors(std::string_view id);
    result<void> tag(std::string_view id, const std::map<std::string, std::string>& tags);
    result<void> untag(std::string_view id, const std::vector<std::string>& keys);
    [[nodiscard]] result<std::shared_ptr<const http_api>> find(std::string_view id) const;
    [[nodiscard]] http_api_page list(std::string_view marker, std::size_t max_items) const;

    result<api_integration> create_integration(std::string_view api,
                                               const api_integration_request& request);
    result<api_integration> update_integration(std::string_view api,
                                               std::string_view id,
                                               const api_integration_request& request);
    /// @errors errc::conflict: a route leads there
    result<void> remove_integration(std::string_view api, std::string_view id);

    result<api_route> create_route(std::string_view api, const api_route_request& request);
    result<api_route> update_route(std::string_view api,
                                   std::string_view id,
                                   const api_route_request& request);
    result<void> remove_route(std::string_view api, std::string_view id);

    result<api_authorizer> create_authorizer(std::string_view api,
                                             const api_authorizer_request& request);
    result<api_authorizer> update_authorizer(std::string_view api,
                                             std::string_view id,
                                             const api_authorizer_request& request);
    /// @errors errc::conflict: a route is for whom it lets in
    result<void> remove_authorizer(std::string_view api, std::string_view id);

    result<api_stage> create_stage(std::string_view api,
                                   const std::string& name,
                                   const api_stage_request& request);
    result<api_stage> update_stage(std::string_view api,
                                   std::string_view name,
                                   const api_stage_request& request);
    result<void> remove_stage(std::string_view api, std::string_view name);

    /// What is stored. `kept` outlives it. @errors errc::storage_failed
    static result<std::unique_ptr<http_apis>> open(control::storage& kept,
                                                   std::string region,
                                                   std::string account_id);
    ~http_apis();

  private:
    struct impl;
    explicit http_apis(std::unique_ptr<impl> i) noexcept;
    std::unique_ptr<impl> impl_;
};

}  // namespace hearth
