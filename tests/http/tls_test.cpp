// The front within TLS: the same session, another stream; and what is said about files that cannot
// be used.

#include "front_fixture.hpp"
#include "self_signed.hpp"

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <catch2/catch.hpp>

#include <string>

namespace hearth::test {
namespace {

namespace ssl = boost::asio::ssl;
namespace beast_http = boost::beast::http;

/// Blocking; trusts one certificate.
class tls_client {
  public:
    tls_client(std::uint16_t port, const std::string& trusted, int newest = 0) {
        context_.load_verify_file(trusted);
        context_.set_verify_mode(ssl::verify_peer);
        if (newest) ::SSL_CTX_set_max_proto_version(context_.native_handle(), newest);
        stream_.emplace(io_, context_);
        stream_->next_layer().connect({boost::asio::ip::make_address("127.0.0.1"), port});
    }
    error_code shake_hands() {
        error_code ec;
        stream_->handshake(ssl::stream_base::client, ec);
        return ec;
    }
    beast_http::response<beast_http::string_body> ask(const std::string& bytes) {
        boost::asio::write(*stream_, boost::asio::buffer(bytes));
        beast_http::response_parser<beast_http::string_body> parser;
        parser.body_limit(64u << 20);
        beast_http::read(*stream_, buffer_, parser);
        return parser.release();
    }
    /// What a read gives once the server has closed.
    error_code end() {
        char byte = 0;
        error_code ec;
        stream_->read_some(boost::asio::buffer(&byte, 1), ec);
        return ec;
    }

  private:
    boost::asio::io_context io_;
    ssl::context context_{ssl::context::tls_client};
    std::optional<ssl::stream<boost::asio::ip::tcp::socket>> stream_;
    boost::beast::flat_buffer buffer_;
};

std::string refusal(const std::string& certificate, const std::string& key) {
    fake_worker worker;
    const auto control = control_plane::create({}, worker).value();
    boost::asio::io_context io;
    http::server s(io.get_executor(), *control,
                   {.port = 0, .tls_certificate = certificate, .tls_key = key});
    const auto listening = s.listen();
    REQUIRE(listening.has_error());
    CHECK(listening.error() == errc::invalid_argument);
    return listening.error().message();
}

}  // namespace

TEST_CASE("requests are answered within TLS, one after the other on one connection") {
    const self_signed files;
    front_fixture f({.port = 0, .tls_certificate = files.certificate, .tls_key = files.key});
    f.create("echo");
    tls_client client(f.front.port(), files.certificate);
    REQUIRE_FALSE(client.shake_hands());
    for (const char* event : {R"({"n":1})", R"({"n":2})"}) {
        const auto reply = client.ask(invocation("echo", event));
        CHECK(reply.result_int() == 200);
        CHECK(reply.body() == event);
    }
    const auto go_on = client.ask(invocation("echo", "{}", "Expect: 100-continue\r\n"));
    CHECK(go_on.result_int() == 100);
}

TEST_CASE("links to a server within TLS say so") {
    const self_signed files;
    front_fixture f({.port = 0, .tls_certificate = files.certificate, .tls_key = files.key});
    f.create("echo");
    tls_client client(f.front.port(), files.certificate);
    REQUIRE_FALSE(client.shake_hands());
    const auto reply = client.ask(request("GET", "/2015-03-31/functions/echo"));
    const auto location = boost::json::parse(reply.body()).at("Code").at("Location").as_string();
    CHECK(std::string(location).starts_with("https://localhost:9/"));
}

TEST_CASE("a large event and its answer pass through TLS") {
    const self_signed files;
    front_fixture f({.port = 0, .tls_certificate = files.certificate, .tls_key = files.key});
    f.create("echo");
    tls_client client(f.front.port(), files.certificate);
    REQUIRE_FALSE(client.shake_hands());
    const std::string large = "\"" + std::string(3u << 20, 'x') + "\"";
    CHECK(client.ask(invocation("echo", large)).body() == large);
}

TEST_CASE("an end within TLS is told as one") {
    const self_signed files;
    front_fixture f({.port = 0, .tls_certificate = files.certificate, .tls_key = files.key});
    tls_client client(f.front.port(), files.certificate);
    REQUIRE_FALSE(client.shake_hands());
    const auto reply =
        client.ask(request("GET", "/2015-03-31/functions", {}, "Connection: close\r\n"));
    CHECK(reply.result_int() == 200);
    CHECK(client.end() == boost::asio::error::eof);
}

TEST_CASE("a refusal within TLS can be read although its request was not") {
    const self_signed files;
    front_fixture f({.port = 0, .tls_certificate = files.certificate, .tls_key = files.key});
    f.create("echo");
    tls_client client(f.front.port(), files.certificate);
    REQUIRE_FALSE(client.shake_hands());
    CHECK(client.ask(invocation("echo", std::string(7u << 20, 'x'))).result_int() == 413);
}

TEST_CASE("older TLS than 1.2 and no TLS at all are refused, and others go on") {
    const self_signed files;
    front_fixture f({.port = 0, .tls_certificate = files.certificate, .tls_key = files.key});
    tls_client old(f.front.port(), files.certificate, TLS1_1_VERSION);
    CHECK(old.shake_hands());
    raw_client bare(f.front.port());
    bare.send(request("GET", "/2015-03-31/functions"));
    CHECK(bare.closed());
    tls_client fine(f.front.port(), files.certificate, TLS1_2_VERSION);
    CHECK_FALSE(fine.shake_hands());
    CHECK(fine.ask(request("GET", "/2015-03-31/functions")).result_int() == 200);
}

TEST_CASE("TLS files that cannot be used are named with what mends them") {
    const self_signed files, others;
    using Catch::Contains;
    CHECK_THAT(refusal(files.certificate, ""), Contains("TLS key is not given"));
    CHECK_THAT(refusal("", files.key), Contains("TLS certificate is not given"));
    CHECK_THAT(refusal("/nowhere.pem", files.key),
               Contains("/nowhere.pem") && Contains("No such file"));
    const std::string binary = files.file("der", "\x30\x82");
    CHECK_THAT(refusal(binary, files.key), Contains(binary) && Contains("openssl x509"));
    CHECK_THAT(refusal(files.key, files.key), Contains("holds no certificate"));
    CHECK_THAT(refusal(files.certificate, files.certificate), Contains("holds no private key"));
    CHECK_THAT(refusal(files.certificate, others.key),
               Contains(others.key) && Contains("no private key of the certificate"));
    CHECK_THAT(refusal(files.certificate, files.encrypted_key),
               Contains("is encrypted") && Contains("openssl pkey"));
}

}  // namespace hearth::test
