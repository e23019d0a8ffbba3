#include "auth/canonical.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <charconv>
#include <map>

namespace hearth::sigv4 {
namespace {

/// A client signs about a dozen; each is looked for among all of the request's.
constexpr std::size_t max_signed_headers = 128;
/// AWS's access key ids have 16 to 128 characters.
constexpr std::size_t max_key_id = 128;

refusal incomplete(std::string message) { return {refusal::kind::incomplete, std::move(message)}; }
refusal invalid(std::string message) { return {refusal::kind::invalid, std::move(message)}; }

/// The one value of a header; nothing when it is absent or there are several.
std::string_view header(const request& r, std::string_view lower) {
    std::string_view found;
    for (const auto& [name, value] : r.headers) {
        if (!same_name(name, lower)) continue;
        if (!found.empty()) return {};
        found = value;
    }
    return found;
}

bool is_hex_digest(std::string_view s) {
    return s.size() == 64 && std::ranges::all_of(s, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
           });
}

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> parts;
    for (;;) {
        const auto end = text.find(at);
        parts.emplace_back(text.substr(0, end));
        if (end == text.npos) return parts;
        text.remove_prefix(end + 1);
    }
}

/// "Credential=…, SignedHeaders=…, Signature=…"; the header itself is never quoted.
std::optional<refusal> read_authorization(std::string_view text,
                                          std::map<std::string, std::string>& fields) {
    text.remove_prefix(algorithm.size());
    while (!text.empty()) {
        const std::string_view part = text.substr(0, text.find(','));
        text.remove_prefix(std::min(part.size() + 1, text.size()));
        const auto from = part.find_first_not_of(" \t");
        if (from == part.npos) continue;
        const std::string_view field = part.substr(from, part.find_last_not_of(" \t") + 1 - from);
        const auto equals = field.find('=');
        if (equals == field.npos)
            return incomplete(
                "Authorization header holds something that is not a key=value pair (missing "
                "equal-sign)");
        if (!fields.emplace(field.substr(0, equals), field.substr(equals + 1)).second)
            return incomplete("Authorization header has '" +
                              std::string(field.substr(0, equals).substr(0, 32)) + "' twice");
    }
    return std::nullopt;
}

std::optional<refusal> read_credential(const std::string& credential,
                                       std::string_view where,
                                       claim& c) {
    auto parts = split(credential, '/');
    if (parts.size() < 5 || credential.size() > 512)
        return incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            "keyid/date/region/service/term, in " +
            std::string(where));
    const std::size_t n = parts.size();
    if (parts[n - 1] != terminator)
        return invalid("Credential should be scoped with a valid terminator: 'aws4_request'");
    c.service = std::move(parts[n - 2]), c.region = std::move(parts[n - 3]);
    c.date = std::move(parts[n - 4]);
    // A key id may itself hold slashes.
    c.access_key_id = credential.substr(0, credential.size() - c.date.size() - c.region.size() -
                                               c.service.size() - terminator.size() - 4);
    if (c.access_key_id.empty() || c.access_key_id.size() > max_key_id)
        return incomplete("Credential must begin with an access key id of at most 128 characters");
    return std::nullopt;
}

std::optional<refusal> read_signed_headers(const std::string& listed, const request& r, claim& c) {
    c.signed_headers = split(listed, ';');
    if (c.signed_headers.size() > max_signed_headers)
        return incomplete("SignedHeaders names more than 128 headers");
    const auto is_upper = [](char x) { return x >= 'A' && x <= 'Z'; };
    if (!std::ranges::is_sorted(c.signed_headers) || std::ranges::any_of(listed, is_upper))
        return incomplete("SignedHeaders must be in lower case and sorted");
    const auto is_signed = [&](std::string_view name) {
        return std::ranges::binary_search(c.signed_headers, name, {},
                                          [](const std::string& s) { return std::string_view(s); });
    };
    if (!is_signed("host"))
        return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
    // Else whoever is between could say DryRun, or another tenant.
    for (const auto& [name, value] : r.headers) {
        if (name.size() < 6 || (name[0] != 'x' && name[0] != 'X')) continue;
        const std::string lower = to_lower(name);
        if (lower.starts_with("x-amz-") && !is_signed(lower) && lower != "x-amz-date")
            return invalid("There were headers present in the request which were not signed: " +
                           lower.substr(0, 64));
    }
    return std::nullopt;
}

/// Where a client writes what.
struct places {
    std::string_view credential, signed_headers, signature;
    std::string_view where;  ///< for sentences
};
constexpr places in_header{"Credential", "SignedHeaders", "Signature", "Authorization header"};
constexpr places in_query{"X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature",
                          "AWS query-string parameters"};

}  // namespace

std::variant<claim, refusal> read_claim(const request& r) {
    const std::string_view authorization = header(r, "authorization");
    std::map<std::string, std::string> fields;
    claim c;
    bool presigned = false;
    for (auto& [name, value] : read_query(path_and_query(r.target).second)) {
        if (!name.starts_with("X-Amz-")) continue;
        presigned |= name == "X-Amz-Algorithm" || name == in_query.signature;
        if (!fields.emplace(std::move(name), std::move(value)).second)
            return incomplete("AWS query-string parameters must stand once each");
    }
    if (presigned && !authorization.empty())
        return incomplete(
            "Only one authentication mechanism is allowed: the Authorization header or the "
            "X-Amz-Algorithm query parameter");
    if (!presigned) fields.clear();
    if (!presigned && authorization.empty())
        return refusal{refusal::kind::missing, "Missing Authentication Token"};
    if (!presigned) {
        const bool is_ours =
            authorization.starts_with(algorithm) &&
            (authorization.size() == algorithm.size() || authorization[algorithm.size()] == ' ');
        if (!is_ours)
            return incomplete(
                "Authorization header must begin with AWS4-HMAC-SHA256: it is the "
                "only signature this server verifies");
        if (auto bad = read_authorization(authorization, fields)) return *bad;
    } else if (fields["X-Amz-Algorithm"] != algorithm) {
        return incomplete("X-Amz-Algorithm must be AWS4-HMAC-SHA256");
    }

    const places& at = presigned ? in_query : in_header;
    std::string lacks;
    for (const std::string_view name : {at.credential, at.signature, at.signed_headers})
        if (fields[std::string(name)].empty())
            lacks.append(lacks.empty() ? "" : " ")
                .append(at.where)
                .append(presigned ? " require '" : " requires '")
                .append(name)
                .append("' parameter.");
    c.timestamp = presigned ? fields["X-Amz-Date"] : std::string(header(r, "x-amz-date"));
    if (c.timestamp.empty())
        lacks.append(lacks.empty() ? "" : " ")
            .append(presigned
                        ? "AWS query-string parameters require 'X-Amz-Date' parameter."
                        : "Authorization header requires existence of a 'X-Amz-Date' header.");
    if (!lacks.empty()) return incomplete(std::move(lacks));

    if (auto bad = read_credential(fields[std::string(at.credential)], at.where, c)) return *bad;
    const auto signed_at = read_timestamp(c.timestamp);
    if (!signed_at)
        return incomplete(
            "Date must be in ISO-8601 'basic format', such as 20150830T123600Z, in X-Amz-Date");
    c.signed_at = *signed_at;
    if (auto bad = read_signed_headers(fields[std::string(at.signed_headers)], r, c)) return *bad;
    c.signature = fields[std::string(at.signature)];
    if (!is_hex_digest(c.signature))
        return incomplete("Signature must be 64 hexadecimal digits, in " + std::string(at.where));
    if (presigned) {
        long seconds = 0;
        const std::string& text = fields["X-Amz-Expires"];
        const char* end = text.data() + text.size();
        const bool is_number = std::from_chars(text.data(), end, seconds).ptr == end;
        if (text.empty() || !is_number || seconds < 1 ||
            std::chrono::seconds(seconds) > longest_life)
            return incomplete("X-Amz-Expires must be a number of seconds from 1 to 604800");
        c.life = std::chrono::seconds(seconds);
    }
    c.has_session_token =
        !header(r, "x-amz-security-token").empty() || !fields["X-Amz-Security-Token"].empty();

    c.stated_hash = header(r, "x-amz-content-sha256");
    if (!c.stated_hash.empty() && !is_hex_digest(c.stated_hash))
        return invalid(
            "x-amz-content-sha256 must be the body's SHA-256 in lower-case hex: bodies that are "
            "unsigned or signed in chunks are not accepted");
    return c;
}

std::optional<refusal> check_scope(const claim& c, std::string_view service, time_point now) {
    if (c.service != service)
        return invalid("Credential should be scoped to correct service: '" + std::string(service) +
                       "'. ");
    if (c.date != c.timestamp.substr(0, 8))
        return invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from "
            "HTTP: '" +
            c.date.substr(0, 16) + "' != '" + c.timestamp.substr(0, 8) + "', from '" + c.timestamp +
            "'.");
    const auto end = c.life ? c.signed_at + *c.life : c.signed_at + allowed_skew;
    if (now > end) {
        const std::string life = c.life ? std::to_string(c.life->count()) + " sec." : "15 min.";
        const auto oldest = now - (end - c.signed_at);
        return invalid("Signature expired: " + c.timestamp + " is now earlier than " +
                       to_timestamp(oldest) + " (" + to_timestamp(now) + " - " + life + ")");
    }
    if (c.signed_at > now + allowed_skew)
        return invalid("Signature not yet current: " + c.timestamp + " is still later than " +
                       to_timestamp(now + allowed_skew) + " (" + to_timestamp(now) + " + 15 min.)");
    return std::nullopt;
}

std::string signature(const claim& c,
                      const request& r,
                      std::string_view hash,
                      const signing_key& key) {
    return signature_of(canonical_request(r, c.signed_headers, hash), c.timestamp,
                        credential_scope(c.date, {c.region, c.service}), key);
}

bool verify(const claim& c, const request& r, std::string_view hash, const signing_key& key) {
    const std::string expected = signature(c, r, hash, key);
    return expected.size() == c.signature.size() &&
           ::CRYPTO_memcmp(expected.data(), c.signature.data(), expected.size()) == 0;
}

refusal wrong_signature() {
    return invalid(
        "The request signature we calculated does not match the signature you provided. Check your "
        "AWS Secret Access Key and signing method. Consult the service documentation for details.");
}

}  // namespace hearth::sigv4
