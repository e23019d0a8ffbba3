#pragma once

/// A client's socket, bare or within TLS: what a session does with it is the same for both.
/// Used on its executor only.

#include <hearth/error.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <utility>

namespace hearth::http {

class connection {
  public:
    /// Within TLS where a context is given; it outlives the connection.
    connection(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls)
        : bare_(std::move(socket)) {
        error_code ignored;
        bare_.socket().set_option(boost::asio::ip::tcp::no_delay(true), ignored);
        if (tls) tls_.emplace(bare_, *tls);
    }

    [[nodiscard]] auto get_executor() { return bare_.get_executor(); }
    [[nodiscard]] bool is_tls() const noexcept { return tls_.has_value(); }

    /// Empty once the client has gone.
    [[nodiscard]] std::string peer_address() const {
        error_code gone;
        const auto peer = bare_.socket().remote_endpoint(gone);
        return gone ? std::string() : peer.address().to_string();
    }
    [[nodiscard]] bool peer_is_loopback() const {
        error_code ec;
        const auto peer = bare_.socket().remote_endpoint(ec);
        return !ec && peer.address().is_loopback();
    }

    /// What is under way fails when this much time has passed without it being called again.
    void expires_after(std::chrono::milliseconds time) { bare_.expires_after(time); }

    /// Calls `use` with the stream to read from and write to.
    template <class Use>
    void with_stream(Use use) {
        if (tls_)
            use(*tls_);
        else
            use(bare_);
    }

    /// The server's side of TLS's handshake. Only where there is TLS.
    template <class Handler>
    void async_handshake(Handler handler) {
        tls_->async_handshake(boost::asio::ssl::stream_base::server, std::move(handler));
    }

    /// Tells the client that nothing more comes: `handler` runs when it is told, at best.
    template <class Handler>
    void async_finish_sending(Handler handler) {
        // TLS has no half-closed state: this waits for the client's own farewell, too.
        if (tls_) return tls_->async_shutdown(std::move(handler));
        error_code ec;
        bare_.socket().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ec);
        boost::asio::post(get_executor(),
                          [h = std::move(handler), ec]() mutable { std::move(h)(ec); });
    }

    /// So that the client sees no end but a failure.
    void reset() {
        error_code ignored;
        bare_.socket().set_option(boost::asio::socket_base::linger(true, 0), ignored);
        close();
    }

    void close() {
        error_code ignored;
        bare_.socket().close(ignored);
    }

  private:
    boost::beast::tcp_stream bare_;
    std::optional<boost::beast::ssl_stream<boost::beast::tcp_stream&>> tls_;  // dies before bare_
};

}  // namespace hearth::http
