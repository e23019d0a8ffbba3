#include "base/try.hpp"
#include "base/uuid.hpp"
#include "control/api_routes.hpp"
#include "control/ascii.hpp"
#include "control/cors.hpp"
#include "control/function_name.hpp"
#include "control/paging.hpp"
#include "control/storage.hpp"

#include <hearth/http_api.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <utility>

namespace hearth {
namespace {

constexpr std::size_t max_name = 128, max_description = 1024, max_uri = 2048, max_tags = 50;
constexpr std::size_t max_variables = 100, max_variable_name = 64, max_variable = 2048;
constexpr std::size_t max_identity_sources = 10;
constexpr std::uint64_t standard_ttl = 300, max_ttl = 3600;
constexpr std::string_view default_stage = "$default", integrations = "integrations/";

error bad(std::string why) { return {errc::invalid_argument, std::move(why)}; }
error missing(const char* what) {
    return {errc::not_found, std::string("Invalid ") + what + " identifier specified"};
}

/// As API Gateway's ids: lower-case letters and digits.
std::string make_id(std::size_t length) {
    static constexpr std::string_view digits = "abcdefghijklmnopqrstuvwxyz0123456789";
    std::string id;
    while (id.size() < length) {
        // Two hexadecimal digits of random bits choose one of 36; the bias does no harm.
        std::string bits = make_uuid();
        std::erase(bits, '-');
        // Digits 12 and 16 of a UUID are not random.
        for (std::size_t i = 0; i + 1 < 12 && id.size() < length; i += 2)
            id += digits[std::stoul(bits.substr(i, 2), nullptr, 16) % digits.size()];
    }
    return id;
}

std::string now() {
    const std::time_t at = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    std::tm utc{};
    ::gmtime_r(&at, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return text;
}

result<void> check_length(const char* member,
                          const std::string& text,
                          std::size_t least,
                          std::size_t most) {
    if (text.size() >= least && text.size() <= most) return {};
    return bad(std::string(member) + " must have a length between " + std::to_string(least) +
               " and " + std::to_string(most));
}

result<void> check_tags(const std::map<std::string, std::string>& tags) {
    if (tags.size() > max_tags)
        return bad("tags must not be more than " + std::to_string(max_tags));
    for (const auto& [key, value] : tags) {
        HEARTH_CHECK(check_length("A tag's key", key, 1, 128));
        HEARTH_CHECK(check_length("A tag's value", value, 0, 256));
    }
    return {};
}

result<void> check_api(const http_api& api) {
    HEARTH_CHECK(check_length("name", api.name, 1, max_name));
    HEARTH_CHECK(check_length("description", api.description, 0, max_description));
    HEARTH_CHECK(check_length("version", api.version, 0, 64));
    if (api.cors)
        HEARTH_CHECK(control::check_cors(
            *api.cors, {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "*"}));
    return check_tags(api.tags);
}

result<void> check_identity_source(const std::string& source) {
    for (const std::string_view prefix :
         {"$request.header.", "$request.querystring.", "$stageVariables."})
        if (source.size() > prefix.size() && source.starts_with(prefix)) return {};
    for (const std::string_view known :
         {"$context.routeKey", "$context.httpMethod", "$context.path", "$context.stage",
          "$context.identity.sourceIp"})
        if (source == known) return {};
    return bad("Invalid identity source '" + source.substr(0, 128) +
               "': it is $request.header.NAME, $request.querystring.NAME, $stageVariables.NAME, or "
               "of $context routeKey, httpMethod, path, stage or identity.sourceIp");
}

result<void> check_authorizer(const api_authorizer& a) {
    HEARTH_CHECK(check_length("name", a.name, 1, max_name));
    if (a.uri.empty()) return bad("authorizerUri must be specified");
    if (a.payload_format != "1.0" && a.payload_format != "2.0")
        return bad("authorizerPayloadFormatVersion must be one of [1.0, 2.0]");
    if (a.simple_responses && a.payload_format != "2.0")
        return bad("enableSimpleResponses goes with authorizerPayloadFormatVersion 2.0");
    if (a.identity_sources.size() > max_identity_sources)
        return bad("identitySource must not be more than " + std::to_string(max_identity_sources));
    for (const std::string& each : a.identity_sources) HEARTH_CHECK(check_identity_source(each));
    if (a.result_ttl > max_ttl)
        return bad("authorizerResultTtlInSeconds must be between 0 and 3600");
    if (a.result_ttl > 0 && a.identity_sources.empty())
        return bad(
            "authorizerResultTtlInSeconds must be 0 without an identitySource: answers are "
            "kept by what that says");
    return {};
}

result<void> check_stage(const api_stage& s) {
    HEARTH_CHECK(check_length("stageName", s.name, 1, max_name));
    if (s.name != default_stage && !std::ranges::all_of(s.name, [](char c) {
            return control::is_alnum(c) || c == '-' || c == '_';
        }))
        return bad("stageName must be $default, or of letters, digits, - and _");
    HEARTH_CHECK(check_length("description", s.description, 0, max_description));
    if (s.variables.size() > max_variables)
        return bad("stageVariables must not be more than " + std::to_string(max_variables));
    for (const auto& [name, value] : s.variables) {
        HEARTH_CHECK(check_length("A stage variable's name", name, 1, max_variable_name));
        HEARTH_CHECK(check_length("A stage variable's value", value, 0, max_variable));
    }
    return check_tags(s.tags);
}

}  // namespace

struct http_apis::impl {
    using api_ptr = std::shared_ptr<const http_api>;

    impl(control::storage& kept, std::string r, std::string account)
        : storage(kept), region(std::move(r)), account_id(std::move(account)) {}

    control::storage& storage;
    const std::string region, account_id;
    std::mutex changes;                                ///< held over the storage's writes
    mutable std::mutex mutex;                          ///< inside `changes`; a leaf
    std::map<std::string, api_ptr, std::less<>> apis;  // under mutex

    result<api_ptr> find(std::string_view id) const {
        const std::scoped_lock lock(mutex);
        const auto at = apis.find(id);
        if (at == apis.end())
            return error(errc::not_found, "Invalid API identifier specified " + account_id + ":" +
                                              std::string(id.substr(0, 64)));
        return at->second;
    }

    /// With `changes` held.
    result<void> store(http_api next) {
        HEARTH_CHECK(storage.put_api(next));
        auto kept = std::make_shared<const http_api>(std::move(next));
        const std::scoped_lock lock(mutex);
        apis.insert_or_assign(kept->id, kept);
        return {};
    }

    /// Stores what `change` makes of the API, and returns what that returned.
    template <class Change>
    auto change(std::string_view id, Change change) -> decltype(change(std::declval<http_api&>())) {
        const std::scoped_lock lock(changes);
        HEARTH_TRY(const api_ptr before, find(id));
        http_api next = *before;
        auto made = change(next);
        if (made.has_error()) return made;
        HEARTH_CHECK(store(std::move(next)));
        return made;
    }

    /// "arn:aws:lambda:…", or that as an API Gateway path of it.
    result<std::string> function_of(const char* member, const std::string& uri) const {
        HEARTH_CHECK(check_length(member, uri, 1, max_uri));
        std::string_view arn = uri;
        if (const auto at = arn.find(":lambda:path/2015-03-31/functions/"); at != arn.npos) {
            arn.remove_prefix(at + std::string_view(":lambda:path/2015-03-31/functions/").size());
            arn = arn.substr(0, arn.rfind("/invocations"));
        }
        const auto name = arn.starts_with("arn:")
                              ? control::parse_function_name(arn)
                              : result<control::function_name>(error(errc::not_found));
        if (name.has_error())
            return bad("Invalid " + std::string(member) + " '" + uri.substr(0, 256) +
                       "': integrations and authorizers of this server are functions, named by "
                       "their ARN");
        if (name->region != region || name->account_id != account_id)
            return bad("The function " + std::string(arn) + " is of another region or account");
        return std::string(arn);
    }

    result<void> fill(api_integration& i, const api_integration_request& r) const {
        if (r.uri) {
            HEARTH_TRY(i.function_arn, function_of("integrationUri", *r.uri));
            i.uri = *r.uri;
        }
        if (r.payload_format) i.payload_format = *r.payload_format;
        if (r.description) i.description = *r.description;
        if (r.timeout_ms) i.timeout_ms = *r.timeout_ms;
        if (i.uri.empty()) return bad("integrationUri must be specified");
        if (i.payload_format != "1.0" && i.payload_format != "2.0")
            return bad("payloadFormatVersion must be one of [1.0, 2.0]");
        if (i.timeout_ms < 50 || i.timeout_ms > 30'000)
            return bad("timeoutInMillis must be between 50 and 30000");
        return check_length("description", i.description, 0, max_description);
    }

    result<void> fill(api_authorizer& a, const api_authorizer_request& r) const {
        if (r.name) a.name = *r.name;
        if (r.uri) {
            HEARTH_TRY(a.function_arn, function_of("authorizerUri", *r.uri));
            a.uri = *r.uri;
        }
        if (r.payload_format) a.payload_format = *r.payload_format;
        if (r.simple_responses) a.simple_responses = *r.simple_responses;
        if (r.identity_sources) a.identity_sources = *r.identity_sources;
        if (r.result_ttl) a.result_ttl = *r.result_ttl;
        return check_authorizer(a);
    }

    static result<void> fill(const http_api& api, api_route& route, const api_route_request& r) {
        if (r.key) route.key = *r.key;
        if (r.target) route.target = *r.target;
        if (r.operation_name) route.operation_name = *r.operation_name;
        if (r.authorizer_id) route.authorizer_id = *r.authorizer_id;
        HEARTH_CHECK(control::check_route_key(route.key));
        if (!route.authorizer_id.empty() && !api.authorizers.contains(route.authorizer_id))
            return missing("Authorizer");
        HEARTH_CHECK(check_length("operationName", route.operation_name, 0, 64));
        for (const auto& [id, other] : api.routes)
            if (id != route.id && other.key == route.key)
                return error(errc::already_exists,
                             "Route with key " + route.key + " already exists for this API");
        if (route.target.empty()) return {};
        if (!route.target.starts_with(integrations) ||
            !api.integrations.contains(std::string_view(route.target).substr(integrations.size())))
            return error(errc::not_found,
                         "Invalid Integration identifier specified in the target '" +
                             route.target.substr(0, 128) + "'");
        return {};
    }

    result<api_integration> add_integration(http_api& api,
                                            const api_integration_request& r,
                                            bool managed) const {
        if (api.integrations.size() >= max_integrations)
            return bad("Max number of integrations for this API: " +
                       std::to_string(max_integrations));
        api_integration made{.id = make_id(7), .managed = managed};
        HEARTH_CHECK(fill(made, r));
        api.integrations.insert_or_assign(made.id, made);
        return made;
    }
    static result<api_route> add_route(http_api& api, const api_route_request& r, bool managed) {
        if (api.routes.size() >= max_routes)
            return bad("Max number of routes for this API: " + std::to_string(max_routes));
        api_route made{.id = make_id(7), .managed = managed};
        HEARTH_CHECK(fill(api, made, r));
        api.routes.insert_or_assign(made.id, made);
        return made;
    }
    static result<api_stage> add_stage(http_api& api,
                                       const std::string& name,
                                       const api_stage_request& r,
                                       bool managed) {
        if (api.stages.size() >= max_stages)
            return bad("Max number of stages for this API: " + std::to_string(max_stages));
        if (api.stages.contains(name)) return error(errc::already_exists, "Stage already exists");
        api_stage made{.name = name,
                       .description = r.description.value_or(""),
                       .variables = r.variables.value_or(std::map<std::string, std::string>()),
                       .tags = r.tags,
                       .created_date = now(),
                       .managed = managed};
        made.last_updated_date = made.created_date;
        HEARTH_CHECK(check_stage(made));
        api.stages.insert_or_assign(name, made);
        return made;
    }
};

http_apis::http_apis(std::unique_ptr<impl> i) noexcept : impl_(std::move(i)) {}
http_apis::~http_apis() = default;

result<std::unique_ptr<http_apis>> http_apis::open(control::storage& kept,
                                                   std::string region,
                                                   std::string account_id) {
    auto self = std::make_unique<impl>(kept, std::move(region), std::move(account_id));
    HEARTH_TRY(auto stored, kept.load_apis());
    for (http_api& each : stored) {
        auto api = std::make_shared<const http_api>(std::move(each));
        self->apis.emplace(api->id, api);
    }
    return std::unique_ptr<http_apis>(new http_apis(std::move(self)));
}

result<http_api> http_apis::create(const http_api_request& request) {
    const std::scoped_lock lock(impl_->changes);
    http_api api{.id = make_id(10),
                 .name = request.name.value_or(""),
                 .description = request.description.value_or(""),
                 .version = request.version.value_or(""),
                 .cors = request.cors,
                 .created_date = now(),
                 .tags = request.tags};
    HEARTH_CHECK(check_api(api));
    {
        const std::scoped_lock reading(impl_->mutex);
        if (impl_->apis.size() >= max_apis)
            return bad("Max number of APIs for this account: " + std::to_string(max_apis));
    }
    if (request.target) {
        HEARTH_TRY(
            const auto integration,
            impl_->add_integration(api, {.uri = request.target, .payload_format = "2.0"}, true));
        HEARTH_CHECK(impl::add_route(api,
                                     {.key = request.route_key.value_or("$default"),
                                      .target = std::string(integrations) + integration.id},
                                     true));
        HEARTH_CHECK(impl::add_stage(api, std::string(default_stage), {}, true));
    } else if (request.route_key) {
        return bad("routeKey needs a target");
    }
    HEARTH_CHECK(impl_->store(api));
    return api;
}

result<http_api> http_apis::update(std::string_view id, const http_api_request& request) {
    return impl_->change(id, [&](http_api& api) -> result<http_api> {
        if (request.name) api.name = *request.name;
        if (request.description) api.description = *request.description;
        if (request.version) api.version = *request.version;
        if (request.cors) api.cors = request.cors;
        HEARTH_CHECK(check_api(api));
        return api;
    });
}

result<void> http_apis::remove(std::string_view id) {
    const std::scoped_lock lock(impl_->changes);
    HEARTH_TRY(const auto api, impl_->find(id));
    HEARTH_CHECK(impl_->storage.remove_api(api->id));
    const std::scoped_lock changing(impl_->mutex);
    impl_->apis.erase(api->id);
    return {};
}

result<void> http_apis::remove_cors(std::string_view id) {
    return impl_->change(id, [](http_api& api) -> result<void> {
        api.cors.reset();
        return {};
    });
}

result<void> http_apis::tag(std::string_view id, const std::map<std::string, std::string>& tags) {
    return impl_->change(id, [&](http_api& api) -> result<void> {
        for (const auto& [key, value] : tags) api.tags.insert_or_assign(key, value);
        return check_tags(api.tags);
    });
}

result<void> http_apis::untag(std::string_view id, const std::vector<std::string>& keys) {
    return impl_->change(id, [&](http_api& api) -> result<void> {
        for (const std::string& key : keys) api.tags.erase(key);
        return {};
    });
}

result<std::shared_ptr<const http_api>> http_apis::find(std::string_view id) const {
    return impl_->find(id);
}

http_api_page http_apis::list(std::string_view marker, std::size_t max_items) const {
    http_api_page page;
    const std::scoped_lock lock(impl_->mutex);
    page.next_marker = control::fill_page(impl_->apis, marker, max_items, page.apis,
                                          [](const impl::api_ptr& each) { return each.get(); });
    return page;
}

result<api_integration> http_apis::create_integration(std::string_view api,
                                                      const api_integration_request& request) {
    return impl_->change(
        api, [&](http_api& next) { return impl_->add_integration(next, request, false); });
}

result<api_integration> http_apis::update_integration(std::string_view api,
                                                      std::string_view id,
                                                      const api_integration_request& request) {
    return impl_->change(api, [&](http_api& next) -> result<api_integration> {
        const auto at = next.integrations.find(id);
        if (at == next.integrations.end()) return missing("Integration");
        HEARTH_CHECK(impl_->fill(at->second, request));
        return at->second;
    });
}

result<void> http_apis::remove_integration(std::string_view api, std::string_view id) {
    return impl_->change(api, [&](http_api& next) -> result<void> {
        const auto at = next.integrations.find(id);
        if (at == next.integrations.end()) return missing("Integration");
        for (const auto& [key, route] : next.routes)
            if (route.target == std::string(integrations) + at->first)
                return error(errc::conflict, "Cannot delete Integration '" + at->first +
                                                 "' as it is referenced by the Route '" +
                                                 route.key + "'");
        next.integrations.erase(at);
        return {};
    });
}

result<api_route> http_apis::create_route(std::string_view api, const api_route_request& request) {
    return impl_->change(api,
                         [&](http_api& next) { return impl::add_route(next, request, false); });
}

result<api_route> http_apis::update_route(std::string_view api,
                                          std::string_view id,
                                          const api_route_request& request) {
    return impl_->change(api, [&](http_api& next) -> result<api_route> {
        const auto at = next.routes.find(id);
        if (at == next.routes.end()) return missing("Route");
        HEARTH_CHECK(impl::fill(next, at->second, request));
        return at->second;
    });
}

result<void> http_apis::remove_route(std::string_view api, std::string_view id) {
    return impl_->change(api, [&](http_api& next) -> result<void> {
        const auto at = next.routes.find(id);
        if (at == next.routes.end()) return missing("Route");
        next.routes.erase(at);
        return {};
    });
}

result<api_authorizer> http_apis::create_authorizer(std::string_view api,
                                                    const api_authorizer_request& request) {
    return impl_->change(api, [&](http_api& next) -> result<api_authorizer> {
        if (next.authorizers.size() >= max_authorizers)
            return bad("Max number of authorizers for this API: " +
                       std::to_string(max_authorizers));
        api_authorizer made{.id = make_id(6)};
        if (request.identity_sources && !request.identity_sources->empty())
            made.result_ttl = standard_ttl;
        HEARTH_CHECK(impl_->fill(made, request));
        next.authorizers.insert_or_assign(made.id, made);
        return made;
    });
}

result<api_authorizer> http_apis::update_authorizer(std::string_view api,
                                                    std::string_view id,
                                                    const api_authorizer_request& request) {
    return impl_->change(api, [&](http_api& next) -> result<api_authorizer> {
        const auto at = next.authorizers.find(id);
        if (at == next.authorizers.end()) return missing("Authorizer");
        HEARTH_CHECK(impl_->fill(at->second, request));
        return at->second;
    });
}

result<void> http_apis::remove_authorizer(std::string_view api, std::string_view id) {
    return impl_->change(api, [&](http_api& next) -> result<void> {
        const auto at = next.authorizers.find(id);
        if (at == next.authorizers.end()) return missing("Authorizer");
        for (const auto& [key, route] : next.routes)
            if (route.authorizer_id == at->first)
                return error(errc::conflict, "Cannot delete Authorizer '" + at->first +
                                                 "' as it is referenced by the Route '" +
                                                 route.key + "'");
        next.authorizers.erase(at);
        return {};
    });
}

result<api_stage> http_apis::create_stage(std::string_view api,
                                          const std::string& name,
                                          const api_stage_request& request) {
    return impl_->change(
        api, [&](http_api& next) { return impl::add_stage(next, name, request, false); });
}

result<api_stage> http_apis::update_stage(std::string_view api,
                                          std::string_view name,
                                          const api_stage_request& request) {
    return impl_->change(api, [&](http_api& next) -> result<api_stage> {
        const auto at = next.stages.find(name);
        if (at == next.stages.end()) return missing("stage");
        if (request.description) at->second.description = *request.description;
        if (request.variables) at->second.variables = *request.variables;
        at->second.last_updated_date = now();
        HEARTH_CHECK(check_stage(at->second));
        return at->second;
    });
}

result<void> http_apis::remove_stage(std::string_view api, std::string_view name) {
    return impl_->change(api, [&](http_api& next) -> result<void> {
        const auto at = next.stages.find(name);
        if (at == next.stages.end()) return missing("stage");
        next.stages.erase(at);
        return {};
    });
}

}  // namespace hearth
