#pragma once

/// An answer before it is put on a connection.

#include <boost/beast/http/status.hpp>

#include <ostream>  // as in operations.hpp
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::http {

struct reply {
    boost::beast::http::status status = boost::beast::http::status::ok;
    std::string body{};
    std::string content_type = "application/json";
    /// Names are string literals.
    std::vector<std::pair<std::string_view, std::string>> headers{};
    /// A function's own, of any name and perhaps several of one; those above stand over them.
    std::vector<std::pair<std::string, std::string>> own_headers{};
};

}  // namespace hearth::http
