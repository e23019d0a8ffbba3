#pragma once

/// Whether a request comes from one of the access keys, and whether that key may ask for it. Knows
/// no sockets. A secret is compared and hashed, never shown.

#include "http/operations.hpp"
#include "http/reply.hpp"

#include <hearth/control.hpp>
#include <hearth/http/access_key.hpp>
#include <hearth/sigv4.hpp>

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hearth::http {

/// Thread-safe.
class authenticator {
  public:
    explicit authenticator(std::vector<access_key> keys);

    /// Whether there are keys. Without, a request that is signed must still be well-formed.
    [[nodiscard]] bool is_on() const noexcept { return !keys_.empty(); }

    /// A request that is believed, or will be when its body is the one that was signed.
    struct proof {
        const access_key* key = nullptr;  ///< null: authentication is off
        sigv4::claim claim{};
        bool needs_body = false;
    };

    /// By the headers: a request that is refused need not be read further.
    std::variant<proof, reply> begin(const sigv4::request& r,
                                     std::string_view service,
                                     sigv4::time_point now);
    /// By the body's hash (sigv4::payload_hash), where `needs_body`.
    std::optional<reply> finish(const proof& p, const sigv4::request& r, std::string_view hash);

    /// HTTP's Basic authentication, with the key's id and its secret: for scrapers.
    std::variant<proof, reply> basic(std::string_view authorization);

  private:
    struct cached {
        std::string date, region, service;
        sigv4::signing_key key{};
    };
    const access_key* find(std::string_view id) const noexcept;
    bool verify(const proof& p, const sigv4::request& r, std::string_view hash);

    std::vector<access_key> keys_;
    std::mutex mutex_;
    std::vector<cached> signing_keys_;  ///< under mutex_; the last one that each key used
};

/// AWS's AccessDeniedException where `key` may not; null may everything. `action` with its service
/// before it ("sqs:SendMessage"); the resource by its name, which rules know (empty: none), and ARN.
std::optional<reply> denied(const access_key* key,
                            const std::string& account,
                            const std::string& action,
                            std::string_view name,
                            const std::string& arn);
/// The same of an action of Lambda's. `function` is named in any
/// of AWS's ways; empty: the action is not about one function.
std::optional<reply> denied(const access_key* key,
                            const control_plane& control,
                            std::string_view action,
                            std::string_view function);
/// The same of what a route asks for, unless it stands in the body: then its handler asks.
std::optional<reply> denied(const access_key* key,
                            const control_plane& control,
                            const route& asked);

}  // namespace hearth::http
