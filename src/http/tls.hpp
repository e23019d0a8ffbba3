#pragma once

/// The server's certificate and key, read once.

#include <hearth/error.hpp>

#include <boost/asio/ssl/context.hpp>

#include <memory>
#include <string>

namespace hearth::http {

/// TLS 1.2 and later with the certificate chain and the private key of two PEM files.
/// @errors errc::invalid_argument: a file that is absent, unreadable, not PEM, encrypted, or a key
/// that is not the certificate's; the sentence names the file and says how to mend it
result<std::unique_ptr<boost::asio::ssl::context>> make_tls_context(
    const std::string& certificate_file, const std::string& key_file);

}  // namespace hearth::http
