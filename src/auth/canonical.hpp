#pragma once

/// The strings of SigV4 that signer and verifier have in common, and the HMACs over them.

#include <hearth/sigv4.hpp>

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::sigv4 {

inline constexpr std::string_view algorithm = "AWS4-HMAC-SHA256";
inline constexpr std::string_view terminator = "aws4_request";

/// Of the target: without what absolute form puts before it.
std::pair<std::string_view, std::string_view> path_and_query(std::string_view target);

/// The decoded pairs of a query, in their order. An escape that is none stays as it is.
std::vector<std::pair<std::string, std::string>> read_query(std::string_view query);

/// Percent-encoded but for unreserved characters (RFC 3986) and, in a path, '/'.
std::string uri_encode(std::string_view text, bool keep_slash = false);

std::string to_lower(std::string_view text);
/// Whether `name` is `lower`, which is in lower case, in any case.
bool same_name(std::string_view name, std::string_view lower);

/// In hex: the signature of a canonical request.
std::string signature_of(std::string_view canonical,
                         std::string_view timestamp,
                         std::string_view credential_scope,
                         const signing_key& key);

/// "20150830/us-east-1/lambda/aws4_request"
std::string credential_scope(std::string_view date, scope where);

/// "20150830T123600Z"
std::string to_timestamp(time_point t);
/// Nothing when it is not in that form.
std::optional<time_point> read_timestamp(std::string_view text);

}  // namespace hearth::sigv4
