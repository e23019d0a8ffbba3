#pragma once

/// What a web page may not make a browser do. Browsers say where a request comes from, and AWS's
/// clients say nothing of the kind, so nothing changes for them: a page of another origin is
/// refused everything, and so is one that got this server's address under a name of its own (DNS
/// rebinding), whose requests look like those of a page of ours in all but the name. Pure.
/// @source Fetch Metadata Request Headers (w3.org/TR/fetch-metadata); RFC 6454, "Origin"

#include <optional>
#include <string>
#include <string_view>

namespace hearth::http {

struct browser_request {
    std::string_view method, host;
    std::string_view origin;          ///< empty: not said
    std::string_view sec_fetch_site;  ///< empty: not said
};

/// Why the request, of whoever it is, is refused. A person who types an address is no page: then
/// only reading is allowed.
std::optional<std::string> refuse_other_origin(const browser_request& r);

/// Whether nobody can have the name lead here but this host: an address, or localhost and below it
/// (RFC 6761), with or without a port.
bool is_own_name(std::string_view host);

}  // namespace hearth::http
