#pragma once

/// One connection: reads a request, has it answered, writes the answer, and again. One request at a
/// time, so pipelined ones are answered in order. All members run on the connection's strand.

#include "http/authentication.hpp"
#include "http/connection.hpp"
#include "http/http_event.hpp"
#include "http/invocation.hpp"
#include "http/operations.hpp"
#include "http/reply.hpp"
#include "http/server_impl.hpp"
#include "http/service.hpp"
#include "http/streaming_call.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/fields.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::http {

class session : public std::enable_shared_from_this<session> {
  public:
    session(std::shared_ptr<server::impl> owner, boost::asio::ip::tcp::socket socket);
    ~session();
    session(const session&) = delete;
    session& operator=(const session&) = delete;

    void start();
    /// From any thread: closes now if no request has been taken, else after its answer.
    void stop();

  private:
    using parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

    void shake_hands();
    void read_header();
    /// Parses what is there and receives the rest of the header, or of the body.
    void parse();
    void receive();
    void on_received(error_code ec, std::size_t size);
    void on_header(error_code ec);
    /// Whether no web page made a browser send it that may not. False: it has been refused.
    bool check_origin();
    /// Whose request it is, by its headers. False: it has been refused.
    bool authenticate();
    void read_body();
    void on_body(error_code ec);
    void on_malformed(error_code ec);

    /// By the hash of what was received.
    void check_body(const std::string& hash);
    void dispatch();
    void invoke();
    void on_invoked(const error& failure, response r, bool log_tail);
    void invoke_url();
    void on_url_invoked(const function_url_config& config, const error& failure, const response& r);
    /// What every answer of the URL's function has, over its own headers.
    void add_url_headers(const function_url_config& config, reply& to) const;
    // HTTP APIs (session_api.cpp).
    void invoke_api();
    /// With what its authorizer says of the caller, if the route has one.
    void integrate_api(const std::shared_ptr<const http_api>& api,
                       const api_match& match,
                       const event_source& source);
    void answer_for_api(const http_api& api, reply r);

    /// Of a request for a function: who asks, and when. Gives it a trace id if it has none.
    request_context make_context();
    void call_queues();   // session_queues.cpp
    void call_streams();  // session_streams.cpp
    void call_service();

    // Streamed responses (session_stream.cpp).
    void invoke_streaming(invocation what);
    /// The call is `stream_`.
    void start_stream(std::string_view function,
                      std::string payload,
                      invoke_options options,
                      std::string_view qualifier);
    void read_stream();
    void finish_stream();
    void write_stream(std::string bytes, bool last);
    void write_part(bool last);
    void lose_stream();
    void break_stream();
    void set_fields(boost::beast::http::fields& out, const reply& r) const;
    /// A body or an answer of this size gets that long.
    [[nodiscard]] static std::chrono::seconds time_for(std::uint64_t bytes);

    /// From any thread: runs `job` on one that may take its time; where none is left, closes.
    /// Nothing else touches the request meanwhile: the session has no operation under way.
    void run_elsewhere(std::function<void()> job);
    /// As run_elsewhere; what `make` gives is the answer.
    void answer_elsewhere(std::function<reply()> make);
    /// `rest_unread`: the client still sends what is not wanted; it must not be cut off before it
    /// has read the answer.
    void respond(reply r, bool rest_unread = false);
    void write_head(const boost::beast::http::response_header<>& from);
    void on_written(error_code ec, bool close, bool rest_unread);
    void discard_rest(std::size_t limit);
    void close();
    /// What is signed; it stays valid while `views` and the request do.
    [[nodiscard]] sigv4::request signed_part(
        std::vector<std::pair<std::string_view, std::string_view>>& views) const;
    [[nodiscard]] std::string_view header(boost::beast::http::field name) const;
    /// "http://HOST" as the client names this server; empty when it does not.
    [[nodiscard]] std::string origin() const;

    std::shared_ptr<server::impl> owner_;
    connection connection_;
    boost::beast::flat_buffer buffer_;
    std::optional<parser> parser_;
    std::string head_, body_;  ///< of the answer, being written
    std::unique_ptr<streaming_call> stream_;
    std::optional<boost::beast::http::response<boost::beast::http::empty_body>> stream_head_;
    std::string part_;             ///< of it, being written
    bool stream_has_body_ = true;  ///< else the head is all there is
    std::optional<route> asked_;
    service_call service_;  ///< where it is no operation of Lambda's
    boost::asio::cancellation_signal long_poll_;
    std::shared_ptr<authenticator> authenticator_;  ///< of the present request
    authenticator::proof proof_;
    std::string request_id_, trace_id_;
    bool reading_ = false;     ///< a request is awaited or incomplete
    bool wants_body_ = false;  ///< its header has been dealt with
    bool stopping_ = false;  ///< close after the present answer
};

}  // namespace hearth::http
