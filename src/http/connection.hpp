#pragma once

/// A client's socket, bare or within TLS: what a session does with it is the same for both.
/// Used on its executor only.

#include <hearth/error.hpp>

#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffer_traits.hpp>
#include <boost/beast/core/buffers_suffix.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace hearth::http {

class connection {
  public:
    using clock = std::chrono::steady_clock;

    /// Within TLS where a context is given; it outlives the connection.
    connection(boost::asio::ip::tcp::socket socket, boost::asio::ssl::context* tls)
        : socket_(std::move(socket)), timer_(socket_.get_executor()) {
        error_code ignored;
        socket_.set_option(boost::asio::ip::tcp::no_delay(true), ignored);
        socket_.non_blocking(true, ignored);
        if (tls) tls_.emplace(socket_, *tls);
    }

    [[nodiscard]] auto get_executor() { return socket_.get_executor(); }
    [[nodiscard]] bool is_tls() const noexcept { return tls_.has_value(); }

    /// Empty once the client has gone.
    [[nodiscard]] std::string peer_address() const {
        error_code gone;
        const auto peer = socket_.remote_endpoint(gone);
        return gone ? std::string() : peer.address().to_string();
    }
    [[nodiscard]] bool peer_is_loopback() const {
        error_code ec;
        const auto peer = socket_.remote_endpoint(ec);
        return !ec && peer.address().is_loopback();
    }

    /// What has the connection as a member: no deadline outlives it. Before the first deadline.
    void set_owner(std::weak_ptr<const void> owner) { owner_ = std::move(owner); }

    /// What is under way fails when this much time has passed without this or `expires_never` being
    /// called again. Costs a look at the clock: the timer runs on to the earlier of the deadlines
    /// it has seen and looks again then.
    void expires_after(std::chrono::milliseconds time) {
        deadline_ = clock::now() + time;
        if (deadline_ < timer_at_) arm();
    }
    void expires_never() { deadline_ = clock::time_point::max(); }

    /// Calls `handler(error_code, size_t)`, never inside this call.
    template <class Buffers, class Handler>
    void async_read_some(const Buffers& to, Handler handler) {
        if (tls_)
            tls_->async_read_some(to, std::move(handler));
        else
            socket_.async_read_some(to, std::move(handler));
    }

    /// Writes all of it, within `time`; calls `handler(error_code)`, inside this call where the
    /// socket takes it at once, as it mostly does. What the buffers refer to stays until then.
    template <class Buffers, class Handler>
    void async_write(const Buffers& bytes, std::chrono::milliseconds time, Handler handler) {
        error_code ec;
        boost::beast::buffers_suffix<Buffers> rest(bytes);
        if (!tls_) {
            rest.consume(socket_.write_some(rest, ec));
            if (ec == boost::asio::error::would_block) ec.clear();
            if (ec || boost::beast::buffer_bytes(rest) == 0) return std::move(handler)(ec);
        }
        expires_after(time);
        auto written = [this, h = std::move(handler)](error_code failed, std::size_t) mutable {
            expires_never();
            std::move(h)(failed);
        };
        if (tls_)
            boost::asio::async_write(*tls_, std::move(rest), std::move(written));
        else
            boost::asio::async_write(socket_, std::move(rest), std::move(written));
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
        socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ec);
        boost::asio::post(get_executor(),
                          [h = std::move(handler), ec]() mutable { std::move(h)(ec); });
    }

    /// So that the client sees no end but a failure.
    void reset() {
        error_code ignored;
        socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
        close();
    }

    void close() {
        error_code ignored;
        socket_.close(ignored);
        timer_.cancel();
    }

  private:
    void arm() {
        timer_at_ = deadline_;
        timer_.expires_at(deadline_);
        timer_.async_wait([this, owner = owner_](error_code cancelled) {
            const auto alive = owner.lock();
            if (cancelled || !alive) return;
            timer_at_ = clock::time_point::max();
            if (deadline_ <= clock::now())
                close();
            else if (deadline_ != timer_at_)
                arm();
        });
    }

    boost::asio::ip::tcp::socket socket_;
    std::optional<boost::beast::ssl_stream<boost::asio::ip::tcp::socket&>> tls_;
    boost::asio::steady_timer timer_;
    std::weak_ptr<const void> owner_;
    clock::time_point deadline_ = clock::time_point::max();
    clock::time_point timer_at_ = clock::time_point::max();  ///< when it looks; max: it is not set
};

}  // namespace hearth::http
