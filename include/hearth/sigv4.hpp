#pragma once

/// AWS Signature Version 4, both sides: a client signs a request (in headers, or in the query of a
/// link), a server reads what a request claims and checks it. Pure: no sockets, no clock, no keys
/// of its own. Nothing here puts a secret into an error.
/// @source IAM User Guide, "AWS Signature Version 4 for API requests": "Create a signed AWS API
/// request"

#include <hearth/error.hpp>

#include <array>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hearth::sigv4 {

using time_point = std::chrono::system_clock::time_point;

/// How far apart the clocks of a client and a server may be.
inline constexpr std::chrono::minutes allowed_skew{15};
/// The longest life of a presigned link.
inline constexpr std::chrono::hours longest_life{7 * 24};

/// A request as it stands on the wire; nothing is owned.
struct request {
    std::string_view method;
    std::string_view target;  ///< path and query, percent-encoded
    /// Names in any case. A name that stands several times is several values, in their order.
    std::span<const std::pair<std::string_view, std::string_view>> headers;
};

using owned_headers = std::vector<std::pair<std::string, std::string>>;

struct credentials {
    std::string access_key_id{};
    std::string secret_access_key{};
    std::string session_token{};  ///< empty: none
};

struct scope {
    std::string_view region;
    std::string_view service;
};

/// What stands for a body in a signature: its SHA-256 in lower-case hex.
std::string payload_hash(std::string_view body);

/// The headers to add to the request, whose `host` header must be among its own: x-amz-date,
/// x-amz-content-sha256, x-amz-security-token where there is one, and authorization. Every header
/// of the request is signed.
owned_headers sign(
    const request& r, std::string_view hash, const credentials& by, scope where, time_point now);

/// The target with what makes it valid for `life` from now, for a request with no header signed but
/// `host` and no body.
std::string presign(const request& r,
                    const credentials& by,
                    scope where,
                    time_point now,
                    std::chrono::seconds life);

using signing_key = std::array<unsigned char, 32>;
/// The key of one day ("20150830"), region and service.
signing_key make_signing_key(std::string_view secret_access_key,
                             std::string_view date,
                             scope where);

/// Why a request is not believed.
struct refusal {
    enum class kind {
        missing,     ///< it is not signed
        incomplete,  ///< it is signed in a way that cannot be read
        invalid,     ///< wrong signature, clock, scope or body
    };
    kind what;
    std::string message;  ///< AWS's sentence where AWS has one
};

/// What a request says about its signature: well-formed, not yet believed.
struct claim {
    std::string access_key_id, date, region, service;
    std::string timestamp;  ///< "20150830T123600Z"
    time_point signed_at;
    std::optional<std::chrono::seconds> life{};  ///< of a presigned link
    std::vector<std::string> signed_headers;     ///< lower-case, `host` among them
    std::string signature;
    /// Of the body, as the request states it (x-amz-content-sha256); empty: it does not, and the
    /// signature can only be checked with the body at hand.
    std::string stated_hash{};
    bool has_session_token = false;
};

/// @return a refusal also where x-amz-* headers are not signed, or the body is said to be unsigned
/// or signed in chunks
std::variant<claim, refusal> read_claim(const request& r);

/// The date, the service and the clock: everything but the key and the signature.
std::optional<refusal> check_scope(const claim& c, std::string_view service, time_point now);

/// What the signature of such a request is, in hex, whatever the claim says it is.
std::string signature(const claim& c,
                      const request& r,
                      std::string_view hash,
                      const signing_key& key);
/// Whether the claim's signature is the one that `key` gives, compared in constant time.
bool verify(const claim& c, const request& r, std::string_view hash, const signing_key& key);
/// The refusal of one that is not.
refusal wrong_signature();

/// For tests and for what a client debugs: never with a secret in it.
std::string canonical_request(const request& r,
                              std::span<const std::string> signed_headers,
                              std::string_view hash);

}  // namespace hearth::sigv4
