#pragma once

/// A server of the Lambda API and the requests to it: signed when AWS_ACCESS_KEY_ID and
/// AWS_SECRET_ACCESS_KEY are set, as AWS's own clients do it.

#include "command.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/verb.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace hearth::cli {

/// Where a server is and how it is spoken to.
struct remote_settings {
    std::string endpoint{};  ///< empty: of the environment, else this machine's port 9000
    bool no_verify_ssl = false;
};

/// --endpoint and --no-verify-ssl.
void add_remote_options(CLI::App& app, remote_settings& settings);

/// "http://HOST:PORT" taken apart.
struct endpoint {
    std::string text, host, port;
    bool is_tls = false;
    [[nodiscard]] std::string authority() const;
};
class remote {
  public:
    /// @errors errc::invalid_argument: another scheme than http and https, or a path
    static result<remote> create(const remote_settings& settings);

    struct answer {
        unsigned status = 0;
        std::string body;
        std::map<std::string, std::string> headers;  ///< names in lower case
        [[nodiscard]] bool ok() const { return status / 100 == 2; }
        /// What the server says is wrong.
        [[nodiscard]] error failure() const;
    };
    using headers = std::vector<std::pair<std::string, std::string>>;
    using progress = std::function<void(std::size_t sent, std::size_t total)>;

    /// One request on a connection of its own. Waits as long as the server takes.
    /// @errors what kept it from an answer; an error that the server answers is in the answer
    result<answer> ask(boost::beast::http::verb method,
                       const std::string& target,
                       const std::string& body = {},
                       const headers& also = {},
                       const progress& on_sent = {},
                       const std::string& service = "lambda") const;
    /// The same as a coroutine, which may be cancelled.
    boost::asio::awaitable<result<answer>> async_ask(
        boost::beast::http::request<boost::beast::http::string_body> request,
        progress on_sent = {}) const;
    /// With its headers, signed.
    [[nodiscard]] boost::beast::http::request<boost::beast::http::string_body> request_for(
        boost::beast::http::verb method,
        const std::string& target,
        const std::string& body = {},
        const headers& also = {},
        const std::string& service = "lambda") const;
    [[nodiscard]] const endpoint& to() const noexcept { return to_; }
    /// ask(), with what the server answers as JSON; an answered error is an error.
    result<boost::json::value> json(boost::beast::http::verb method,
                                    const std::string& target,
                                    const std::string& body = {},
                                    const progress& on_sent = {}) const;

  private:
    remote(endpoint to, bool verify) : to_(std::move(to)), verify_(verify) {}
    endpoint to_;
    bool verify_;
};

/// A function's name, or an ARN, as it stands in a path.
std::string path_of(const std::string& function);

}  // namespace hearth::cli
