#pragma once

#include <hearth/error.hpp>
#include <hearth/package.hpp>
#include <hearth/pool_policy.hpp>
#include <hearth/response.hpp>
#include <hearth/response_stream.hpp>
#include <hearth/units.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth {

/// A function as Lambda configures one. Ranges are AWS's; `deploy` refuses what is outside them with
/// `errc::invalid_argument` and a sentence.
struct function_config {
    std::string name{};                        ///< [A-Za-z0-9-_]{1,64}
    hearth::package package{};
    /// Layers, zips or directories: merged at /opt in this order, of two files of a name the later
    /// layer's. At most five, and with the package at most 250 MB unzipped.
    std::vector<hearth::package> layers{};
    std::string handler = "bootstrap";       ///< reaches the function as _HANDLER
    std::string runtime = "provided.al2023"; ///< Lambda's runtime identifier
    byte_count memory = byte_count(128ull << 20);            ///< 128 MiB to 10,240 MiB
    std::chrono::milliseconds timeout = std::chrono::seconds(3);  ///< up to 900 s
    byte_count ephemeral_storage = byte_count(512ull << 20); ///< /tmp: 512 MiB to 10,240 MiB
    pool_policy pool{};
    hearth::isolation isolation = isolation::environment;
    /// Take a snapshot after init and start environments from it. Off: every start is cold.
    bool snapshot = true;
    /// What it may reach beside the Runtime API: "none"; "all"; or a list, separated by commas, of
    /// host:port, address(:port), network/prefix(:port) and *.domain:port, where a port may be a
    /// range: "db.example.com:5432,10.0.0.0/8:8000-8999,[2001:db8::1]:443". A name allows the
    /// addresses it resolves to for the function, and other names do not resolve. This machine
    /// (loopback, the addresses of its interfaces), its link (169.254.0.0/16 and fe80::/10, where
    /// clouds keep their metadata services) and multicast are reached only by an entry that names
    /// them for themselves, as 127.0.0.1:5432 does. Connections do not survive a snapshot: in a
    /// clone they are reset. At most 256 sockets and 100 new connections a second, in an
    /// environment.
    std::string network = "none";
    std::map<std::string, std::string> environment{};        ///< at most 4 KiB in all
};

/// One invocation's input beside its payload.
struct invoke_options {
    /// A UUID is made when empty.
    std::string request_id{};
    /// The client context as JSON (not base64); at most 3,583 bytes encoded.
    std::string client_context{};
    /// X-Amzn-Trace-Id, passed through, with the invocation counted in its Lineage. A function that
    /// was invoked 16 times in one such chain of requests is not invoked again, unless it allows
    /// that (control_plane::put_function_recursion_config): errc::recursive_invocation.
    std::string trace_id{};
    /// X-Amz-Tenant-Id: whose invocation this is, for isolation::tenant.
    std::string tenant_id{};
    /// Of a response_reader: the response goes there while it is made.
    std::shared_ptr<response_writer> stream{};
};

/// A trace header for who has none, in X-Ray's form.
[[nodiscard]] std::string make_trace_id(std::string_view request_id);

/// A handle to a deployed function; copies name the same function. Thread-safe. Outlives neither the
/// runtime nor the function's removal: a call then is `errc::shutting_down` or `errc::not_found`.
class function {
  public:
    function() = default;

    [[nodiscard]] const std::string& name() const noexcept;

    /// Runs the function and waits, on this thread: the guest's instructions run on the caller's own
    /// core and no other thread takes part.
    ///
    /// @errors errc::payload_too_large, throttled, no_room, init_failed, shutting_down, not_found
    [[nodiscard]] result<response> invoke(std::string payload, invoke_options options = {});

    /// The same on the runtime's vCPU threads. Cancellation (Asio's) stops the guest: the handler
    /// gets `asio::error::operation_aborted` and the environment is destroyed.
    template <class CompletionToken = boost::asio::deferred_t>
    auto async_invoke(std::string payload, CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, response)>(
            [](auto handler, function self, std::string p) {
                self.start_invoke(std::move(p), {}, std::move(handler));
            },
            token, *this, std::move(payload));
    }

    template <class CompletionToken = boost::asio::deferred_t>
    auto async_invoke(std::string payload, invoke_options options, CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, response)>(
            [](auto handler, function self, std::string p, invoke_options o) {
                self.start_invoke(std::move(p), std::move(o), std::move(handler));
            },
            token, *this, std::move(payload), std::move(options));
    }

    /// Lambda's `Event`: the function runs later, at least once, and what it answers goes to its
    /// destinations or nowhere. Returns the request id when the event is on disk; see
    /// control_plane::enqueue for what that means, and for the errors.
    [[nodiscard]] result<std::string> enqueue(std::string payload, invoke_options options = {});

    /// The same without waiting for the disk: `void(error_code, std::string)`.
    template <class CompletionToken = boost::asio::deferred_t>
    auto async_enqueue(std::string payload, invoke_options options, CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, std::string)>(
            [](auto handler, function self, std::string p, invoke_options o) {
                self.start_enqueue(std::move(p), std::move(o), std::move(handler));
            },
            token, *this, std::move(payload), std::move(options));
    }

    struct impl;
    explicit function(std::shared_ptr<impl> i) noexcept : impl_(std::move(i)) {}

  private:
    void start_invoke(std::string payload,
                      invoke_options options,
                      boost::asio::any_completion_handler<void(error_code, response)> handler);
    void start_enqueue(
        std::string payload,
        invoke_options options,
        boost::asio::any_completion_handler<void(error_code, std::string)> handler);
    std::shared_ptr<impl> impl_;
};

}  // namespace hearth
