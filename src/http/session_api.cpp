/// Requests for HTTP APIs on a session.

#include "http/api_front.hpp"
#include "http/beast_text.hpp"
#include "http/cors.hpp"
#include "http/own_host.hpp"
#include "http/request_target.hpp"
#include "http/session.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/string.hpp>

#include <chrono>
#include <memory>
#include <utility>

namespace hearth::http {

namespace asio = boost::asio;
using boost::beast::http::status;

void session::invoke_api() {
    const auto& request = parser_->get();
    const auto found = owner_->control_.apis().find(asked_->argument);
    if (found.has_error()) return respond(api_message(status::not_found, "Not Found"));
    const std::shared_ptr<const http_api> api = *found;
    if (auto answer = preflight(api->cors, request)) {
        answer->status = status::no_content;
        return respond(std::move(*answer));
    }
    const auto match =
        match_api(*api, view(request.method_string()), split_target(asked_->second).path);
    if (!match) return answer_for_api(*api, api_message(status::not_found, "Not Found"));
    const control_plane& control = owner_->control_;
    event_source source =
        source_of(*api, *match, control.account_id(),
                  domain_of(api_host, api->id, control.region()), asked_->by_own_host);
    if (match->route->authorizer_id.empty()) return integrate_api(api, *match, source);
    const auto authorizer = api->authorizers.find(match->route->authorizer_id);
    if (authorizer == api->authorizers.end())
        return answer_for_api(*api,
                              api_message(status::internal_server_error, "Internal Server Error"));
    owner_->authorizers_.async_ask(
        owner_->control_, authorizer->second, source, request, make_context(),
        connection_.get_executor(),
        [self = shared_from_this(), api, match = *match, source](authorizer_verdict v) mutable {
            using kind = authorizer_verdict::kind;
            if (v.what == kind::unauthorized)
                return self->answer_for_api(*api,
                                            api_message(status::unauthorized, "Unauthorized"));
            if (v.what == kind::forbidden)
                return self->answer_for_api(*api, api_message(status::forbidden, "Forbidden"));
            if (v.what == kind::broken)
                return self->answer_for_api(
                    *api, api_message(status::internal_server_error, "Internal Server Error"));
            source.authorizer = std::move(v.context);
            self->integrate_api(api, match, source);
        });
}

void session::integrate_api(const std::shared_ptr<const http_api>& api,
                            const api_match& match,
                            const event_source& source) {
    if (!match.integration)
        return answer_for_api(*api,
                              api_message(status::internal_server_error, "Internal Server Error"));
    std::string event = write_api_event(source, match, parser_->get(), make_context());
    if (event.size() > max_payload)
        return answer_for_api(*api,
                              api_message(status::payload_too_large, "Request Entity Too Large"));

    // Whichever comes first answers: the function, or the end of the integration's time.
    struct race {
        asio::steady_timer timer;
        bool over = false;
    };
    const auto both = std::make_shared<race>(
        race{asio::steady_timer(connection_.get_executor(),
                                std::chrono::milliseconds(match.integration->timeout_ms)),
             false});
    both->timer.async_wait([self = shared_from_this(), api, both](error_code cancelled) {
        if (cancelled || std::exchange(both->over, true)) return;
        self->answer_for_api(*api, api_message(status::service_unavailable, "Service Unavailable"));
    });
    const std::string function = match.integration->function_arn;
    invoke_options options{.request_id = request_id_, .trace_id = trace_id_};
    owner_->control_.async_invoke(
        function, std::move(event), std::move(options), {},
        asio::bind_executor(
            connection_.get_executor(),
            [self = shared_from_this(), api, both, integration = match.integration](
                const error& failure, const response& r) {
                both->timer.cancel();
                if (std::exchange(both->over, true)) return;
                self->answer_for_api(*api, failure.code() ? write_api_failure(*integration, failure)
                                                          : read_api_response(*integration, r));
            }));
}

void session::answer_for_api(const http_api& api, reply r) {
    // With settings of the API's own, what the function says of it does not count.
    if (api.cors)
        std::erase_if(r.own_headers, [](const auto& each) {
            return boost::beast::iequals(to_beast(each.first).substr(0, 15), "access-control-");
        });
    add_cors(api.cors, parser_->get(), r);
    if (!asked_->by_own_host) r.headers.emplace_back("Content-Security-Policy", "sandbox");
    r.headers.emplace_back("Apigw-Requestid", request_id_);
    respond(std::move(r));
}

}  // namespace hearth::http
