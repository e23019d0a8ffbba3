#pragma once

/// Lambda's HTTP API (rest-json) in front of a control plane, GET /metrics for Prometheus, and at /
/// a page to look at.
/// Target hearth::http.
///
///     asio::io_context io;
///     hearth::http::server front(io.get_executor(), rt, {.port = 9001});
///     front.listen().value();
///     io.run();
///
/// All socket work runs on the given executor (any number of threads); it never waits for a guest
/// or a disk. Operations that write to disk run on two threads of the server's own. With access
/// keys every request must be signed by one of them and allowed by its rules; without, the API
/// trusts whoever reaches it and so listens on loopback only, and is called by its address or
/// localhost only. Requests of web pages are refused but for those of the page here. That asks for
/// an access key where there are some.
///
/// On the same address are, told by X-Amz-Target:
/// Amazon SQS in front of the control plane's queues (queue.hpp), in both of its protocols: JSON 1.0
/// and the older form and XML; what `aws logs tail` needs of CloudWatch Logs, over the functions'
/// logs (logs.hpp): DescribeLogGroups, DescribeLogStreams, FilterLogEvents and GetLogEvents;
/// EventBridge's operations for scheduled rules (event_rule.hpp); and Amazon Kinesis in front of the
/// streams (data_stream.hpp), in JSON. Below /v2/ is API Gateway's API for HTTP APIs (http_api.hpp),
/// whose requests come to the host ID.execute-api.REGION.localhost, or below the path
/// /_hearth/apis/ID/.
///
/// And the function URLs: requests for the host ID.lambda-url.REGION.localhost,
/// or below the path /_hearth/url/ID/, go to the function as events of payload format 2.0; the
/// first also from web pages, as the URL's CORS settings say.

#include <hearth/control.hpp>
#include <hearth/error.hpp>
#include <hearth/http/access_key.hpp>
#include <hearth/runtime.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hearth::http {

struct server_options {
    /// A numeric address.
    std::string address = "127.0.0.1";
    /// Zero: any free one; `port()` tells which.
    std::uint16_t port = 9001;
    /// Who may do what: with keys, every request must be signed by one (AWS Signature Version 4).
    /// Without, whoever reaches the port may do everything, and it must be on loopback.
    std::vector<access_key> access_keys{};
    /// PEM files of the server's certificate chain and its key: with both, connections are TLS 1.2
    /// or later. Read once, by `listen`.
    std::string tls_certificate{};
    std::string tls_key{};
    /// Connections at once; more wait in the kernel's queue.
    std::size_t max_connections = 4096;
    /// A connection that waits for a request, or for the rest of its headers, is closed after this.
    std::chrono::milliseconds idle_timeout = std::chrono::seconds(75);
};

/// Not movable. Destroy it after `async_stop` has completed, or after its executor has stopped; the
/// control plane outlives both.
class server {
  public:
    server(boost::asio::any_io_executor executor,
           control_plane& control,
           server_options options = {});
    server(boost::asio::any_io_executor executor, runtime& rt, server_options options = {})
        : server(std::move(executor), rt.control(), std::move(options)) {}
    ~server();
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    /// Binds and starts to accept. Call once.
    /// @errors errc::address_in_use naming the address; errc::invalid_argument: not an address, not
    ///         loopback and no access keys, keys that make no sense, or TLS files that cannot be
    ///         used; errc::io_failed
    [[nodiscard]] result<void> listen();

    /// Requests whose headers come from now on are held against these keys instead; one that has
    /// been believed is answered. From any thread.
    /// @errors errc::invalid_argument: none, where there were some, or keys that make no sense; the
    ///         former ones hold on
    [[nodiscard]] result<void> replace_access_keys(std::vector<access_key> keys);

    /// The port listened on; zero before `listen`.
    [[nodiscard]] std::uint16_t port() const noexcept;

    /// Accepts nothing more, closes idle connections, lets running requests finish and answers
    /// them; completes when the last connection is closed. May be called from any thread.
    template <class CompletionToken = boost::asio::deferred_t>
    auto async_stop(CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code)>(
            [this](auto handler) { start_stop(std::move(handler)); }, token);
    }

    struct impl;

  private:
    void start_stop(boost::asio::any_completion_handler<void(error_code)> handler);
    std::shared_ptr<impl> impl_;
};

}  // namespace hearth::http
