#include "http/api_authorizer.hpp"

#include "http/beast_text.hpp"
#include "http/function_answer.hpp"
#include "http/request_target.hpp"
#include "http/text.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace hearth::http {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// What comes after the prefix; nothing: it does not begin so.
std::optional<std::string> behind(std::string_view text, std::string_view prefix) {
    if (!text.starts_with(prefix)) return std::nullopt;
    return std::string(text.substr(prefix.size()));
}

std::string query_value(std::string_view query, const std::string& name) {
    for (const auto& [key, value] : split_query(query)) {
        std::string spaced(value);
        std::ranges::replace(spaced, '+', ' ');
        if (percent_decode(key) == name) return percent_decode(spaced).value_or(std::string(value));
    }
    return {};
}

/// The path below the stage.
std::string_view path_in_stage(const event_source& source, std::string_view target) {
    std::string_view path = split_target(target).path;
    if (source.stage != "$default" && path.substr(0, 1) == "/" &&
        path.substr(1, source.stage.size()) == source.stage)
        path.remove_prefix(source.stage.size() + 1);
    return path;
}

/// `*` is any text, `?` any character.
bool fits(std::string_view pattern, std::string_view text) {
    std::size_t p = 0, t = 0, star = pattern.npos, from = 0;
    while (t < text.size()) {
        if (p < pattern.size() && pattern[p] == '*') {
            star = p++;
            from = t;
        } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
            ++p, ++t;
        } else if (star != pattern.npos) {
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    return pattern.find_first_not_of('*', p) == pattern.npos;
}

/// A member that is a text or a list of them; nothing: it is neither.
std::optional<std::vector<std::string>> texts_of(const json::object& o, const char* member) {
    const json::value* const v = o.if_contains(member);
    std::vector<std::string> all;
    if (v && v->is_string()) {
        all.emplace_back(v->get_string());
    } else if (v && v->is_array()) {
        for (const json::value& each : v->get_array()) {
            if (!each.is_string()) return std::nullopt;
            all.emplace_back(each.get_string());
        }
    } else {
        return std::nullopt;
    }
    return all;
}

/// What a statement of a policy does with a request; nothing: it is malformed.
enum class effect { none, allow, deny };
std::optional<effect> effect_of(const json::value& statement, std::string_view route_arn) {
    const json::object* const s = statement.if_object();
    const json::value* const said = s ? s->if_contains("Effect") : nullptr;
    if (!said || !said->is_string()) return std::nullopt;
    const bool allows = said->get_string() == "Allow";
    if (!allows && said->get_string() != "Deny") return std::nullopt;
    for (const char* unknown : {"Condition", "NotAction", "NotResource"})
        if (s->contains(unknown)) return allows ? effect::none : effect::deny;
    const auto actions = texts_of(*s, "Action"), resources = texts_of(*s, "Resource");
    if (!actions || !resources) return std::nullopt;
    const bool is_meant =
        std::ranges::any_of(*actions,
                            [](std::string a) {
                                std::ranges::transform(a, a.begin(), [](unsigned char c) {
                                    return static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
                                });
                                return fits(a, "execute-api:invoke");
                            }) &&
        std::ranges::any_of(*resources, [&](const std::string& r) { return fits(r, route_arn); });
    if (!is_meant) return effect::none;
    return allows ? effect::allow : effect::deny;
}

/// Whether it lets the request in; nothing: it is no policy.
std::optional<bool> allows(const json::object& policy, std::string_view route_arn) {
    const json::value* const given = policy.if_contains("Statement");
    if (!given || (!given->is_array() && !given->is_object())) return std::nullopt;
    const json::array all = given->is_array() ? given->get_array() : json::array{*given};
    bool is_allowed = false, is_denied = false;
    for (const json::value& each : all) {
        const auto does = effect_of(each, route_arn);
        if (!does) return std::nullopt;
        is_allowed |= *does == effect::allow;
        is_denied |= *does == effect::deny;
    }
    return is_allowed && !is_denied;
}

/// A function that says so is understood.
bool says_unauthorized(const std::string& document) {
    boost::system::error_code ec;
    const json::value said = json::parse(document, ec);
    const json::value* const message =
        !ec && said.is_object() ? said.get_object().if_contains("errorMessage") : nullptr;
    return message && message->is_string() && message->get_string() == "Unauthorized";
}

}  // namespace

std::optional<std::vector<std::string>> identity_of(const api_authorizer& authorizer,
                                                    const event_source& source,
                                                    const http_request& request,
                                                    const request_context& context) {
    std::vector<std::string> values;
    for (const std::string& each : authorizer.identity_sources) {
        std::string value;
        if (const auto header = behind(each, "$request.header."))
            value = view(request[to_beast(*header)]);
        else if (const auto parameter = behind(each, "$request.querystring."))
            value = query_value(split_target(context.target).query, *parameter);
        else if (const auto variable = behind(each, "$stageVariables."))
            value = source.stage_variables.contains(*variable)
                        ? source.stage_variables.at(*variable)
                        : std::string();
        else if (each == "$context.routeKey")
            value = source.route_key;
        else if (each == "$context.httpMethod")
            value = view(request.method_string());
        else if (each == "$context.path")
            value = split_target(context.target).path;
        else if (each == "$context.stage")
            value = source.stage;
        else if (each == "$context.identity.sourceIp")
            value = context.source_ip;
        // Two that are no text must not look the same.
        if (value.empty() || printable(value) != value) return std::nullopt;
        values.push_back(std::move(value));
    }
    return values;
}

std::string route_arn_of(const event_source& source,
                         std::string_view region,
                         const http_request& request,
                         const request_context& context) {
    std::string arn = "arn:aws:execute-api:";
    arn.append(region).append(":").append(source.account_id).append(":").append(source.api_id);
    arn.append("/").append(source.stage).append("/").append(view(request.method_string()));
    return arn.append(printable(path_in_stage(source, context.target)));
}

std::string write_authorizer_event(const api_authorizer& authorizer,
                                   const std::vector<std::string>& identity,
                                   const std::string& route_arn,
                                   const event_source& source,
                                   const http_request& request,
                                   const request_context& context) {
    const bool is_format_1 = authorizer.payload_format == "1.0";
    json::object event =
        is_format_1 ? describe_1(source, request, context) : describe_2(source, request, context);
    event["type"] = "REQUEST";
    if (!is_format_1) {
        event["routeArn"] = route_arn;
        event["identitySource"] = json::value_from(identity);
        return json::serialize(event);
    }
    std::string all;
    for (const std::string& each : identity) all += (all.empty() ? "" : ",") + each;
    event["methodArn"] = route_arn;
    event["identitySource"] = all;
    event["authorizationToken"] = all;
    event.erase("multiValueHeaders");
    event.erase("multiValueQueryStringParameters");
    event["requestContext"].get_object().erase("authorizer");
    return json::serialize(event);
}

authorizer_verdict judge(const api_authorizer& authorizer,
                         std::string_view answer,
                         std::string_view route_arn) {
    using kind = authorizer_verdict::kind;
    boost::system::error_code ec;
    json::parse_options options;
    options.max_depth = max_json_depth;
    const json::value document = json::parse({answer.data(), answer.size()}, ec, {}, options);
    if (ec || !document.is_object()) return {};
    const json::object& said = document.get_object();
    std::optional<bool> is_allowed;
    if (authorizer.simple_responses) {
        const json::value* const flag = said.if_contains("isAuthorized");
        if (flag && flag->is_bool()) is_allowed = flag->get_bool();
    } else {
        const json::value* const policy = said.if_contains("policyDocument");
        if (policy && policy->is_object()) is_allowed = allows(policy->get_object(), route_arn);
    }
    if (!is_allowed) return {};
    if (!*is_allowed) return {.what = kind::forbidden};
    authorizer_verdict v{.what = kind::allowed};
    const json::value* const context = said.if_contains("context");
    if (context && !context->is_object() && !context->is_null()) return {};
    if (context && context->is_object()) v.context = context->get_object();
    const json::value* const principal = said.if_contains("principalId");
    if (!authorizer.simple_responses && principal && principal->is_string())
        v.context.emplace("principalId", principal->get_string());
    return v;
}

std::optional<std::string> api_authorizers::find(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    const auto at = answers_.find(key);
    if (at == answers_.end()) return std::nullopt;
    if (at->second.until > clock::now()) return at->second.answer;
    answers_.erase(at);
    return std::nullopt;
}

void api_authorizers::keep(std::string key, std::string answer, std::chrono::seconds for_how_long) {
    const auto until = clock::now() + for_how_long;
    const std::scoped_lock lock(mutex_);
    if (answers_.size() >= max_kept) answers_.clear();
    answers_.insert_or_assign(std::move(key), kept{std::move(answer), until});
}

void api_authorizers::async_ask(control_plane& control,
                                const api_authorizer& authorizer,
                                const event_source& source,
                                const http_request& request,
                                const request_context& context,
                                const asio::any_io_executor& executor,
                                std::function<void(authorizer_verdict)> done) {
    using kind = authorizer_verdict::kind;
    const auto identity = identity_of(authorizer, source, request, context);
    if (!identity) return done({.what = kind::unauthorized});
    const std::string route_arn = route_arn_of(source, control.region(), request, context);
    const bool is_kept = authorizer.result_ttl > 0;
    // Of the authorizer as it is now, and of the stage: all routes share what it has said.
    const std::string key =
        is_kept
            ? json::serialize(json::array{source.api_id, source.stage, authorizer.id,
                                          authorizer.function_arn, authorizer.payload_format,
                                          authorizer.simple_responses, json::value_from(*identity)})
            : std::string();
    if (is_kept)
        if (const auto known = find(key)) return done(judge(authorizer, *known, route_arn));

    // Whichever comes first: the answer, or the end of the time for it.
    struct race {
        asio::steady_timer timer;
        std::function<void(authorizer_verdict)> done;
    };
    const auto both =
        std::make_shared<race>(race{asio::steady_timer(executor, patience), std::move(done)});
    both->timer.async_wait([both](boost::system::error_code cancelled) {
        if (!cancelled && both->done) std::exchange(both->done, nullptr)({});
    });
    invoke_options options{.trace_id = context.trace_id};
    control.async_invoke(
        authorizer.function_arn,
        write_authorizer_event(authorizer, *identity, route_arn, source, request, context),
        std::move(options), {},
        asio::bind_executor(executor, [this, both, authorizer, route_arn, key](const error& failure,
                                                                               const response& r) {
            both->timer.cancel();
            if (!both->done) return;
            const auto tell = std::exchange(both->done, nullptr);
            if (failure.code()) return tell({});
            if (!r.ok())
                return tell(
                    {.what = says_unauthorized(r.payload) ? kind::unauthorized : kind::broken});
            authorizer_verdict v = judge(authorizer, r.payload, route_arn);
            if (!key.empty() && v.what != kind::broken)
                keep(key, r.payload, std::chrono::seconds(authorizer.result_ttl));
            tell(std::move(v));
        }));
}

}  // namespace hearth::http
