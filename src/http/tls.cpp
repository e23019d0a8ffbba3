#include "http/tls.hpp"

#include <openssl/ssl.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

namespace hearth::http {
namespace {

namespace ssl = boost::asio::ssl;

error bad(const std::string& option, const std::string& file, const std::string& what) {
    return {errc::invalid_argument, option + " '" + file + "' " + what};
}

result<std::string> read_pem(const std::string& option, const std::string& file) {
    if (file.empty())
        return error(errc::invalid_argument,
                     "TLS needs a certificate and its key: the " + option + " is not given");
    errno = 0;
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    if (!in || !(text << in.rdbuf()))
        return bad(option, file,
                   "cannot be read: " + std::string(errno ? std::strerror(errno) : "it is empty"));
    if (text.str().find("-----BEGIN ") == std::string::npos)
        return bad(option, file,
                   "is not PEM (text with a line '-----BEGIN …'); convert it: openssl "
                   "x509 (of a key: pkey) -inform DER -in FILE -out FILE.pem");
    return text.str();
}

}  // namespace

result<std::unique_ptr<ssl::context>> make_tls_context(const std::string& certificate_file,
                                                       const std::string& key_file) {
    static const std::string certificate_name = "TLS certificate", key_name = "TLS key";
    auto certificate = read_pem(certificate_name, certificate_file);
    if (certificate.has_error()) return certificate.error();
    auto key = read_pem(key_name, key_file);
    if (key.has_error()) return key.error();

    auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
    ::SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
    error_code ec;
    if (context->use_certificate_chain({certificate->data(), certificate->size()}, ec))
        return bad(certificate_name, certificate_file,
                   "holds no certificate that can be used (" + ec.message() +
                       "); the server's own stands first, then its issuers");
    bool encrypted = false;
    // Without a callback OpenSSL would ask on the terminal.
    context->set_password_callback(
        [&encrypted](std::size_t, ssl::context::password_purpose) {
            encrypted = true;
            return std::string();
        },
        ec);
    context->use_private_key({key->data(), key->size()}, ssl::context::pem, ec);
    if (encrypted)
        return bad(key_name, key_file,
                   "is encrypted; write it without its passphrase, mode 0600: openssl pkey -in "
                   "FILE -out FILE.plain");
    // OpenSSL compares the two when both are there.
    if (ec)
        return bad(key_name, key_file,
                   "holds no private key of the certificate '" + certificate_file + "' (" +
                       ec.message() + ")");
    return context;
}

}  // namespace hearth::http
