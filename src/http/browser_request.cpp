#include "http/browser_request.hpp"

#include "http/text.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/string.hpp>

#include <algorithm>

namespace hearth::http {
namespace {

bool equal_names(std::string_view a, std::string_view b) {
    return boost::beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

}  // namespace

std::optional<std::string> refuse_other_origin(const browser_request& r) {
    if (!r.origin.empty()) {
        // Only the name and the port: TLS may end before this server.
        const std::string_view scheme = r.origin.starts_with("https://") ? "https://" : "http://";
        const bool is_ours = r.origin.starts_with(scheme) && !r.host.empty() &&
                             equal_names(r.origin.substr(scheme.size()), r.host);
        if (!is_ours)
            return "Requests from web pages of another origin (Origin: " +
                   printable(r.origin.substr(0, 256)) + ") are refused";
    }
    const bool reads = r.method == "GET" || r.method == "HEAD";
    if (r.sec_fetch_site.empty() || r.sec_fetch_site == "same-origin" ||
        (r.sec_fetch_site == "none" && reads))
        return std::nullopt;
    return "Requests from web pages of another origin (Sec-Fetch-Site: " +
           printable(r.sec_fetch_site.substr(0, 64)) + ") are refused";
}

bool is_own_name(std::string_view host) {
    const bool six = host.starts_with('[');
    const auto colon = host.find(':', six ? std::min(host.find(']'), host.size()) : 0);
    std::string_view name = host.substr(0, colon);
    const std::string_view port = colon == host.npos ? "" : host.substr(colon + 1);
    if (!std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; })) return false;
    if (six) {
        if (!name.ends_with(']')) return false;
        name = name.substr(1, name.size() - 2);
    }
    boost::system::error_code ec;
    const auto address = boost::asio::ip::make_address(name, ec);
    if (!ec) return six == address.is_v6();
    constexpr std::string_view below = ".localhost";
    return !six && (equal_names(name, below.substr(1)) ||
                    (name.size() > below.size() &&
                     equal_names(name.substr(name.size() - below.size()), below)));
}

}  // namespace hearth::http
