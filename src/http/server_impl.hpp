#pragma once

/// What the connections of a server share. `mutex_` guards the fields marked so and is a leaf.

#include "http/api_authorizer.hpp"
#include "http/authentication.hpp"

#include <hearth/http/server.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace hearth::http {

class session;

struct server::impl : std::enable_shared_from_this<server::impl> {
    impl(boost::asio::any_io_executor executor, control_plane& control, server_options options);

    result<void> listen();
    void stop(boost::asio::any_completion_handler<void(error_code)> handler);
    /// No job runs or starts after this.
    void close_jobs();

    /// Runs `job` on a thread that may wait for a disk. False once the server is being destroyed.
    bool submit(std::function<void()> job);
    void add(const std::shared_ptr<session>& s);
    void remove(const session* s);

    control_plane& control_;
    const server_options options_;
    std::uint16_t port_ = 0;
    std::unique_ptr<boost::asio::ssl::context> tls_;  ///< null: bare connections
    api_authorizers authorizers_;

    /// Of the keys that hold now. What it has said stays true for who keeps it.
    [[nodiscard]] std::shared_ptr<authenticator> current_authenticator() {
        const std::scoped_lock lock(mutex_);
        return authenticator_;
    }
    result<void> replace_keys(std::vector<access_key> keys);

  private:
    void accept();
    void complete_stop_if_quiet();

    boost::asio::any_io_executor executor_;
    boost::asio::strand<boost::asio::any_io_executor> strand_;  ///< the acceptor's
    boost::asio::ip::tcp::acceptor acceptor_;                   // on strand_
    boost::asio::steady_timer retry_;                           // on strand_
    bool accepting_ = false;                                    // on strand_

    std::mutex mutex_;
    std::shared_ptr<authenticator> authenticator_;               // under mutex_
    std::map<const session*, std::weak_ptr<session>> sessions_;  // under mutex_
    bool stopping_ = false;                                      // under mutex_
    bool listening_ = false;                                     // under mutex_
    bool jobs_closed_ = false;                                   // under mutex_
    /// Each with work on its own executor, which keeps that one's run loop alive.
    std::vector<std::pair<boost::asio::any_completion_executor,
                          boost::asio::any_completion_handler<void(error_code)>>>
        stop_handlers_;  // under mutex_
    /// A running invocation has no socket operation under way: this keeps the executor's run loop
    /// alive until the stop handlers are on their way.
    std::optional<boost::asio::executor_work_guard<boost::asio::any_io_executor>>
        work_;  // under mutex_

    boost::asio::thread_pool jobs_{2};
};

}  // namespace hearth::http
