#pragma once

/// Lambda authorizers of HTTP APIs (hearth/http_api.hpp): what the function is told of a request,
/// and what its answer says. Knows no sockets.
///
/// @source API Gateway developer guide, "Control access to HTTP APIs with AWS Lambda authorizers".

#include "http/http_event.hpp"

#include <hearth/control.hpp>
#include <hearth/http_api.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::http {

struct authorizer_verdict {
    enum class kind {
        allowed,
        forbidden,     ///< 403
        unauthorized,  ///< 401: nobody has said who asks
        broken,        ///< 500: the function failed, or its answer is none
    };
    kind what = kind::broken;
    boost::json::object context{};  ///< of `allowed`, for the integration
};

/// What the request says where the authorizer looks; nothing: it lacks one, or has one that is no
/// UTF-8.
std::optional<std::vector<std::string>> identity_of(const api_authorizer& authorizer,
                                                    const event_source& source,
                                                    const http_request& request,
                                                    const request_context& context);

/// arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH: what policies speak of.
std::string route_arn_of(const event_source& source,
                         std::string_view region,
                         const http_request& request,
                         const request_context& context);

std::string write_authorizer_event(const api_authorizer& authorizer,
                                   const std::vector<std::string>& identity,
                                   const std::string& route_arn,
                                   const event_source& source,
                                   const http_request& request,
                                   const request_context& context);

/// Of a policy, a statement with what is not known here (Condition, NotAction, NotResource) denies
/// if it denies at all, and allows nothing.
authorizer_verdict judge(const api_authorizer& authorizer,
                         std::string_view answer,
                         std::string_view route_arn);

/// Asks, and keeps answers for as long as authorizers say. Thread-safe.
class api_authorizers {
  public:
    /// Of one more, those that are kept are forgotten.
    static constexpr std::size_t max_kept = 10'000;
    /// AWS's limit.
    static constexpr std::chrono::seconds patience{10};

    /// Calls `done` once: before it returns, or on `executor`.
    void async_ask(control_plane& control,
                   const api_authorizer& authorizer,
                   const event_source& source,
                   const http_request& request,
                   const request_context& context,
                   const boost::asio::any_io_executor& executor,
                   std::function<void(authorizer_verdict)> done);

  private:
    using clock = std::chrono::steady_clock;
    struct kept {
        std::string answer;
        clock::time_point until;
    };
    std::optional<std::string> find(const std::string& key);
    void keep(std::string key, std::string answer, std::chrono::seconds for_how_long);

    std::mutex mutex_;                     // a leaf
    std::map<std::string, kept> answers_;  // under mutex_
};

}  // namespace hearth::http
