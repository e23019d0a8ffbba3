#pragma once

/// A server with a fake worker, and a client that sends exactly the bytes it is told to.

#include "../control/control_test_support.hpp"

#include <hearth/http/server.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>

#include <sys/socket.h>
#include <sys/time.h>

#include <future>
#include <thread>

namespace hearth::test {

struct front_fixture {
    explicit front_fixture(http::server_options o = {.port = 0})
        : front(io.get_executor(), *control, std::move(o)) {
        front.listen().value();
        for (auto& t : threads) t = std::thread([this] { io.run(); });
    }
    ~front_fixture() {
        worker.release();
        front.async_stop([](error_code) {});
        for (auto& t : threads) t.join();
    }

    void create(const std::string& name, const std::string& mode = "echo") {
        control->create_function(creation(name, mode)).value();
        settle(*control, name);
    }

    fake_worker worker;
    std::unique_ptr<control_plane> control = control_plane::create({}, worker).value();
    boost::asio::io_context io;
    http::server front;
    std::thread threads[2];
};

struct answer {
    int status = 0;
    std::string head, body;

    [[nodiscard]] std::string header(const std::string& name) const {
        const auto at = head.find("\r\n" + name + ": ");
        if (at == head.npos) return {};
        const auto from = at + name.size() + 4;
        return head.substr(from, head.find("\r\n", from) - from);
    }
    [[nodiscard]] boost::json::value json() const { return boost::json::parse(body); }
};

/// Blocking; a read waits five seconds at most and then counts as the end.
class raw_client {
  public:
    explicit raw_client(std::uint16_t port) : socket_(io_) {
        socket_.connect({boost::asio::ip::make_address("127.0.0.1"), port});
        const timeval minute{60, 0};
        ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute);
    }
    /// False when the server has closed.
    bool send(std::string_view bytes) {
        error_code ec;
        boost::asio::write(socket_, boost::asio::buffer(bytes.data(), bytes.size()), ec);
        return !ec;
    }
    /// What comes until the server has closed.
    std::string receive_rest() {
        while (more()) {
        }
        return std::exchange(in_, {});
    }
    void finish_sending() { socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send); }

    /// Status zero: the connection ended first.
    answer receive() {
        answer a;
        std::size_t end = 0;
        while ((end = in_.find("\r\n\r\n")) == in_.npos)
            if (!more()) return a;
        a.head = in_.substr(0, end + 2);
        a.status = std::stoi(a.head.substr(9, 3));
        in_.erase(0, end + 4);
        const std::string length = a.header("Content-Length");
        const std::size_t size = length.empty() ? 0 : std::stoul(length);
        while (in_.size() < size)
            if (!more()) break;
        a.body = in_.substr(0, size);
        in_.erase(0, size);
        return a;
    }
    /// The body of an answer in chunks whose head has been received; up to where it breaks off.
    std::string receive_chunks(bool* whole = nullptr) {
        std::string body;
        if (whole) *whole = false;
        for (;;) {
            std::size_t end = 0;
            while ((end = in_.find("\r\n")) == in_.npos)
                if (!more()) return body;
            const std::size_t size = std::stoul(in_, nullptr, 16);
            while (in_.size() < end + 2 + size + 2)
                if (!more()) return body;
            body += in_.substr(end + 2, size);
            in_.erase(0, end + 2 + size + 2);
            if (whole) *whole = !size;
            if (!size) return body;
        }
    }
    bool closed() {
        while (more()) {
        }
        return at_end_;
    }

    answer ask(std::string_view request) { return send(request) ? receive() : answer{}; }

  private:
    bool more() {
        char buffer[65536];
        const ssize_t n = ::recv(socket_.native_handle(), buffer, sizeof buffer, 0);
        at_end_ = n == 0 || (n < 0 && errno == ECONNRESET);
        if (n <= 0) return false;
        in_.append(buffer, static_cast<std::size_t>(n));
        return true;
    }
    boost::asio::io_context io_;
    boost::asio::ip::tcp::socket socket_;
    std::string in_;
    bool at_end_ = false;
};

inline std::string request(std::string_view method,
                           std::string_view target,
                           std::string_view body = {},
                           std::string_view headers = {}) {
    std::string r;
    r.append(method)
        .append(" ")
        .append(target)
        .append(" HTTP/1.1\r\nHost: localhost:9\r\n")
        .append(headers);
    if (!body.empty()) r += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return r.append("\r\n").append(body);
}

inline std::string invocation(std::string_view name,
                              std::string_view body,
                              std::string_view headers = {}) {
    return request("POST", "/2015-03-31/functions/" + std::string(name) + "/invocations", body,
                   headers);
}

}  // namespace hearth::test
