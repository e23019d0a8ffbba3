#include "http/server_impl.hpp"
#include "http/session.hpp"
#include "http/tls.hpp"

#include <hearth/http/server.hpp>

#include <boost/asio/append.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <chrono>
#include <set>
#include <string_view>

namespace hearth::http {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

/// An empty secret would let everybody in, and of two keys with one id only one would ever be
/// tried.
result<void> check_keys(const std::vector<access_key>& keys) {
    std::set<std::string_view> ids;
    for (const access_key& key : keys)
        if (key.access_key_id.empty() || key.secret_access_key.empty() ||
            !ids.insert(key.access_key_id).second)
            return error(errc::invalid_argument,
                         "the access key '" + key.name +
                             "' needs an access_key_id that no other has, and a secret_access_key");
    return {};
}

}  // namespace

server::server(asio::any_io_executor executor, control_plane& control, server_options options)
    : impl_(std::make_shared<impl>(std::move(executor), control, std::move(options))) {}

server::~server() {
    impl_->stop({});
    impl_->close_jobs();
}

result<void> server::listen() { return impl_->listen(); }
result<void> server::replace_access_keys(std::vector<access_key> keys) {
    return impl_->replace_keys(std::move(keys));
}
std::uint16_t server::port() const noexcept { return impl_->port_; }
void server::start_stop(asio::any_completion_handler<void(error_code)> handler) {
    impl_->stop(std::move(handler));
}

server::impl::impl(asio::any_io_executor executor, control_plane& control, server_options options)
    : control_(control),
      options_(std::move(options)),
      executor_(executor),
      strand_(asio::make_strand(executor)),
      acceptor_(strand_),
      retry_(strand_),
      authenticator_(std::make_shared<authenticator>(options_.access_keys)) {}

result<void> server::impl::replace_keys(std::vector<access_key> keys) {
    if (auto checked = check_keys(keys); checked.has_error()) return checked.error();
    auto next = std::make_shared<authenticator>(std::move(keys));
    const std::scoped_lock lock(mutex_);
    if (authenticator_->is_on() && !next->is_on())
        return error(errc::invalid_argument,
                     "without any access key everybody might do everything: the server goes on "
                     "with those it has");
    authenticator_ = std::move(next);
    return {};
}

result<void> server::impl::listen() {
    error_code ec;
    const auto address = asio::ip::make_address(options_.address, ec);
    if (ec)
        return error(errc::invalid_argument,
                     "'" + options_.address +
                         "' is not a numeric address to listen on, such as 127.0.0.1 or ::1");
    if (!address.is_loopback() && options_.access_keys.empty())
        return error(errc::invalid_argument,
                     "refusing to listen on " + options_.address +
                         " without access keys: whoever reaches the port might run code; give keys "
                         "(server_options::access_keys, hearth serve --credentials FILE), or "
                         "listen on 127.0.0.1");
    if (auto keys = check_keys(options_.access_keys); keys.has_error()) return keys.error();
    if (!options_.tls_certificate.empty() || !options_.tls_key.empty()) {
        auto context = make_tls_context(options_.tls_certificate, options_.tls_key);
        if (context.has_error()) return context.error();
        tls_ = std::move(*context);
    }
    const tcp::endpoint endpoint(address, options_.port);
    const std::string shown = (address.is_v6() ? "[" + options_.address + "]" : options_.address) +
                              ":" + std::to_string(options_.port);
    const auto failed = [&](const char* what) -> error {
        error_code ignored;
        acceptor_.close(ignored);
        if (ec == asio::error::address_in_use)
            return {errc::address_in_use,
                    shown +
                        " is in use: another server listens there; stop it, or choose "
                        "another port"};
        return {ec == asio::error::access_denied ? errc::invalid_argument : errc::io_failed,
                std::string(what) + " " + shown + ": " + ec.message()};
    };
    if (acceptor_.open(endpoint.protocol(), ec)) return failed("cannot open a socket for");
    // A restart must not wait for the old connections' TIME_WAIT.
    if (acceptor_.set_option(tcp::acceptor::reuse_address(true), ec))
        return failed("cannot prepare");
    if (acceptor_.bind(endpoint, ec)) return failed("cannot listen on");
    if (acceptor_.listen(asio::socket_base::max_listen_connections, ec))
        return failed("cannot listen on");
    port_ = acceptor_.local_endpoint(ec).port();
    {
        const std::scoped_lock lock(mutex_);
        listening_ = true;
        work_.emplace(executor_);
    }
    asio::dispatch(strand_, [self = shared_from_this()] { self->accept(); });
    return {};
}

void server::impl::accept() {
    if (accepting_ || !acceptor_.is_open()) return;
    {
        const std::scoped_lock lock(mutex_);
        if (stopping_ || sessions_.size() >= options_.max_connections) return;  // `remove` resumes
    }
    accepting_ = true;
    acceptor_.async_accept(
        asio::make_strand(executor_), [self = shared_from_this()](error_code ec, auto socket) {
            self->accepting_ = false;
            if (ec == asio::error::operation_aborted || !self->acceptor_.is_open()) return;
            if (!ec) {
                auto s = std::make_shared<session>(self, tcp::socket(std::move(socket)));
                self->add(s);
                s->start();
                return self->accept();
            }
            // Out of descriptors or memory: others will be freed; trying at once would only spin.
            self->retry_.expires_after(std::chrono::milliseconds(50));
            self->retry_.async_wait([self](error_code cancelled) {
                if (!cancelled) self->accept();
            });
        });
}

void server::impl::add(const std::shared_ptr<session>& s) {
    bool late = false;
    {
        const std::scoped_lock lock(mutex_);
        sessions_.emplace(s.get(), s);
        late = stopping_;
    }
    if (late) s->stop();
}

void server::impl::remove(const session* s) {
    bool was_full = false;
    {
        const std::scoped_lock lock(mutex_);
        was_full = sessions_.size() >= options_.max_connections;
        sessions_.erase(s);
    }
    if (was_full) asio::post(strand_, [self = shared_from_this()] { self->accept(); });
    complete_stop_if_quiet();
}

bool server::impl::submit(std::function<void()> job) {
    const std::scoped_lock lock(mutex_);
    if (jobs_closed_) return false;
    asio::post(jobs_, std::move(job));
    return true;
}

void server::impl::close_jobs() {
    {
        const std::scoped_lock lock(mutex_);
        jobs_closed_ = true;
    }
    jobs_.join();
}

void server::impl::stop(asio::any_completion_handler<void(error_code)> handler) {
    std::vector<std::shared_ptr<session>> open;
    {
        const std::scoped_lock lock(mutex_);
        stopping_ = true;
        if (handler) {
            auto on = asio::prefer(
                asio::any_completion_executor(asio::get_associated_executor(handler, executor_)),
                asio::execution::outstanding_work.tracked);
            stop_handlers_.emplace_back(std::move(on), std::move(handler));
        }
        for (const auto& [key, s] : sessions_)
            if (auto alive = s.lock()) open.push_back(std::move(alive));
    }
    asio::post(strand_, [self = shared_from_this()] {
        error_code ignored;
        self->acceptor_.close(ignored);
        self->retry_.cancel();
        {
            const std::scoped_lock lock(self->mutex_);
            self->listening_ = false;
        }
        self->complete_stop_if_quiet();
    });
    for (const auto& s : open) s->stop();
}

void server::impl::complete_stop_if_quiet() {
    // Let go of last: this may be a thread that the run loops do not wait for, and their contexts
    // may be destroyed once they have returned.
    decltype(work_) work;
    decltype(stop_handlers_) handlers;
    {
        const std::scoped_lock lock(mutex_);
        if (!stopping_ || listening_ || !sessions_.empty()) return;
        handlers.swap(stop_handlers_);
        if (work_) work.emplace(std::move(*work_)), work_.reset();
    }
    for (auto& [executor, handler] : handlers)
        asio::post(executor_, [on = std::move(executor), h = std::move(handler)]() mutable {
            asio::dispatch(on, asio::append(std::move(h), error_code()));
        });
}

}  // namespace hearth::http
