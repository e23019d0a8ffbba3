#include "remote.hpp"

#include <hearth/sigv4.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/json/parse.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>

namespace hearth::cli {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
constexpr auto outcome = asio::as_tuple(asio::use_awaitable);

constexpr const char* default_endpoint = "http://127.0.0.1:9000";
/// What is written at once, so that progress is seen.
constexpr std::size_t piece = 256 * 1024;
/// GetFunction's packages come by a link; nothing else is as large as a response.
constexpr std::uint64_t max_answer = 256ull << 20;

std::string variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

/// What is given, else what the environment says, else the default.
result<endpoint> find_endpoint(const std::string& given) {
    std::string text = given;
    for (const char* name : {"AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"})
        if (text.empty()) text = variable(name);
    if (text.empty()) text = default_endpoint;
    const auto bad = [&] {
        return error(errc::invalid_argument,
                     "'" + text + "' is not http://HOST:PORT or https://HOST:PORT, such as " +
                         default_endpoint);
    };
    endpoint e;
    e.is_tls = text.starts_with("https://");
    if (!e.is_tls && !text.starts_with("http://")) return bad();
    std::string authority = text.substr(text.find("//") + 2);
    if (authority.ends_with('/')) authority.pop_back();
    auto colon = authority.rfind(':');
    if (colon != authority.npos && authority.find(']', colon) != authority.npos)
        colon = authority.npos;  // it is in an IPv6 address
    e.host = authority.substr(0, colon);
    e.port = colon != authority.npos ? authority.substr(colon + 1) : e.is_tls ? "443" : "80";
    if (e.host.size() > 2 && e.host.front() == '[' && e.host.back() == ']')
        e.host = e.host.substr(1, e.host.size() - 2);
    const bool digits = std::ranges::all_of(e.port, [](char c) { return c >= '0' && c <= '9'; });
    if (e.host.empty() || e.host.find_first_of("/?#@ ") != e.host.npos || e.port.empty() ||
        !digits || e.port.size() > 5)
        return bad();
    e.text = (e.is_tls ? "https://" : "http://") + authority;
    return e;
}

/// None where the environment has no keys.
sigv4::owned_headers signature_headers(const sigv4::request& r,
                                       std::string_view body,
                                       const std::string& service) {
    const sigv4::credentials by{variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"),
                                variable("AWS_SESSION_TOKEN")};
    if (by.access_key_id.empty() || by.secret_access_key.empty()) return {};
    std::string region = variable("AWS_REGION");
    if (region.empty()) region = variable("AWS_DEFAULT_REGION");
    if (region.empty()) region = "us-east-1";
    return sigv4::sign(r, sigv4::payload_hash(body), by, {region, service},
                       std::chrono::system_clock::now());
}

error unreachable(const endpoint& to, const error_code& ec) {
    return {ec, to.text + " does not answer (" + ec.message() +
                    "): start a server with 'hearth serve', or name another one's address with "
                    "--endpoint"};
}

// g++ 12 sees Asio's operator new for frames inlined and not the delete that belongs to it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

template <class Stream>
asio::awaitable<error_code> exchange(Stream& stream,
                                     http::request<http::string_body>& request,
                                     http::response_parser<http::string_body>& parser,
                                     const remote::progress& on_sent) {
    http::request_serializer<http::string_body> serializer(request);
    serializer.limit(piece);
    const std::size_t total = request.body().size();
    std::size_t sent = 0;
    error_code unsent;
    while (!serializer.is_done() && !unsent) {
        const auto [ec, n] = co_await http::async_write_some(stream, serializer, outcome);
        unsent = ec;
        sent += n;
        if (on_sent) on_sent(std::min(sent, total), total);
    }
    // A server that refuses early may have answered and closed: its answer says why.
    boost::beast::flat_buffer buffer;
    const auto [unread, received] = co_await http::async_read(stream, buffer, parser, outcome);
    if (!unread) co_return error_code();
    co_return unsent ? unsent : unread;
}

/// @errors errc::invalid_argument: AWS_CA_BUNDLE
result<ssl::context> make_context() {
    ssl::context context(ssl::context::tls_client);
    ::SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    error_code ec;
    const std::string bundle = variable("AWS_CA_BUNDLE");
    if (bundle.empty())
        context.set_default_verify_paths(ec);
    else if (context.load_verify_file(bundle, ec))
        return error(errc::invalid_argument, "AWS_CA_BUNDLE names '" + bundle +
                                                 "', which holds no PEM certificate that can be "
                                                 "read (" +
                                                 ec.message() + ")");
    return context;
}

}  // namespace

void add_remote_options(CLI::App& app, remote_settings& settings) {
    app.add_option("--endpoint", settings.endpoint,
                   "The server's address (default: $AWS_ENDPOINT_URL_LAMBDA, $AWS_ENDPOINT_URL or "
                   "http://127.0.0.1:9000)")
        ->type_name("http(s)://HOST:PORT");
    app.add_flag(
        "--no-verify-ssl", settings.no_verify_ssl,
        "Take any certificate of the server. Its own authority is named by $AWS_CA_BUNDLE");
}

std::string endpoint::authority() const {
    const std::string shown = host.find(':') == host.npos ? host : "[" + host + "]";
    const bool usual = port == (is_tls ? "443" : "80");
    return usual ? shown : shown + ":" + port;
}

error remote::answer::failure() const {
    const auto type = headers.find("x-amzn-errortype");
    std::string message;
    boost::system::error_code ec;
    const auto document = boost::json::parse(body, ec);
    if (!ec && document.is_object())
        for (const char* key : {"message", "Message"})
            if (const auto* text = document.as_object().if_contains(key); text && text->is_string())
                message = std::string(text->as_string());
    if (message.empty()) message = "the server answered with status " + std::to_string(status);
    if (type == headers.end()) return {errc::invalid_argument, message};
    if (type->second == "MissingAuthenticationTokenException")
        message += ": set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a key of the server's";
    return {errc::invalid_argument, type->second + ": " + message};
}

result<remote> remote::create(const remote_settings& settings) {
    auto to = find_endpoint(settings.endpoint);
    if (!to) return to.error();
    return remote(std::move(*to), !settings.no_verify_ssl);
}

result<remote::answer> remote::ask(http::verb method,
                                   const std::string& target,
                                   const std::string& body,
                                   const headers& also,
                                   const progress& on_sent,
                                   const std::string& service) const {
    asio::io_context io{1};
    auto answered = asio::co_spawn(
        io, async_ask(request_for(method, target, body, also, service), on_sent), asio::use_future);
    io.run();
    return answered.get();
}

http::request<http::string_body> remote::request_for(http::verb method,
                                                     const std::string& target,
                                                     const std::string& body,
                                                     const headers& also,
                                                     const std::string& service) const {
    http::request<http::string_body> request(method, target, 11);
    request.set(http::field::host, to_.authority());
    for (const auto& [name, value] : also) request.set(name, value);
    if (!body.empty()) request.set(http::field::content_type, "application/json");
    std::vector<std::pair<std::string_view, std::string_view>> fields;
    for (const auto& field : request)
        fields.emplace_back(
            std::string_view(field.name_string().data(), field.name_string().size()),
            std::string_view(field.value().data(), field.value().size()));
    const auto signature = signature_headers(
        {std::string_view(request.method_string().data(), request.method_string().size()), target,
         fields},
        body, service);
    for (const auto& [name, value] : signature) request.set(name, value);
    request.set(http::field::user_agent, "hearth");
    request.keep_alive(false);
    request.body() = body;
    request.prepare_payload();
    return request;
}

asio::awaitable<result<remote::answer>> remote::async_ask(http::request<http::string_body> request,
                                                          progress on_sent) const {
    http::response_parser<http::string_body> parser;
    parser.body_limit(max_answer);
    const auto executor = co_await asio::this_coro::executor;
    asio::ip::tcp::resolver resolver(executor);
    const auto [unresolved, addresses] =
        co_await resolver.async_resolve(to_.host, to_.port, outcome);
    if (unresolved) co_return unreachable(to_, unresolved);
    asio::ip::tcp::socket socket(executor);
    const auto [unconnected, at] = co_await asio::async_connect(socket, addresses, outcome);
    if (unconnected) co_return unreachable(to_, unconnected);
    error_code ec;
    if (to_.is_tls) {
        auto context = make_context();
        if (context.has_error()) co_return context.error();
        ssl::stream<asio::ip::tcp::socket&> stream(socket, *context);
        if (verify_) {
            stream.set_verify_mode(ssl::verify_peer);
            stream.set_verify_callback(ssl::host_name_verification(to_.host));
        }
        ::SSL_set_tlsext_host_name(stream.native_handle(), to_.host.c_str());
        const auto [untrusted] = co_await stream.async_handshake(ssl::stream_base::client, outcome);
        if (untrusted)
            co_return error(untrusted, to_.text + " is not trusted (" + untrusted.message() +
                                           "): name its certificate, or its authority's, by "
                                           "AWS_CA_BUNDLE");
        ec = co_await exchange(stream, request, parser, on_sent);
    } else {
        ec = co_await exchange(socket, request, parser, on_sent);
    }
    if (ec) co_return unreachable(to_, ec);
    answer a;
    a.status = parser.get().result_int();
    for (const auto& field : parser.get())
        a.headers[lower({field.name_string().data(), field.name_string().size()})] =
            std::string(field.value());
    a.body = std::move(parser.get().body());
    co_return a;
}

#pragma GCC diagnostic pop

result<boost::json::value> remote::json(http::verb method,
                                        const std::string& target,
                                        const std::string& body,
                                        const progress& on_sent) const {
    auto answered = ask(method, target, body, {}, on_sent);
    if (!answered) return answered.error();
    if (!answered->ok()) return answered->failure();
    boost::system::error_code ec;
    auto document = boost::json::parse(answered->body, ec);
    if (ec || !document.is_object())
        return error(errc::invalid_argument,
                     to_.text + " answered with something else than the Lambda API's JSON");
    return document;
}

std::string path_of(const std::string& function) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string path = "/2015-03-31/functions/";
    for (const char c : function) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isalnum(byte) || c == '-' || c == '_')
            path += c;
        else
            path += '%', path += digits[byte >> 4], path += digits[byte & 15];
    }
    return path;
}

}  // namespace hearth::cli
