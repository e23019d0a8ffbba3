#include "http/authentication.hpp"

#include "http/aws_error.hpp"
#include "http/text.hpp"

#include <boost/beast/core/string.hpp>
#include <openssl/crypto.h>

#include <algorithm>

namespace hearth::http {
namespace {

reply unbelieved(const sigv4::refusal& why) {
    switch (why.what) {
        case sigv4::refusal::kind::missing:
            return make_error(aws_error::missing_authentication_token, why.message);
        case sigv4::refusal::kind::incomplete:
            return make_error(aws_error::incomplete_signature, why.message);
        case sigv4::refusal::kind::invalid:
            break;
    }
    return make_error(aws_error::invalid_signature, why.message);
}

reply unknown_client(std::string_view why = {}) {
    return make_error(aws_error::unrecognized_client,
                      "The security token included in the request is invalid." + std::string(why));
}

/// Other schemes are none of our business where nobody must authenticate.
bool means_to_sign(const sigv4::request& r) {
    return std::ranges::none_of(r.headers, [](const auto& field) {
        return boost::beast::iequals({field.first.data(), field.first.size()}, "authorization") &&
               !field.second.starts_with("AWS4-");
    });
}

}  // namespace

authenticator::authenticator(std::vector<access_key> keys)
    : keys_(std::move(keys)), signing_keys_(keys_.size()) {}

const access_key* authenticator::find(std::string_view id) const noexcept {
    const auto at = std::ranges::find(keys_, id, &access_key::access_key_id);
    return at == keys_.end() ? nullptr : &*at;
}

bool authenticator::verify(const proof& p, const sigv4::request& r, std::string_view hash) {
    const sigv4::claim& c = p.claim;
    const auto index = static_cast<std::size_t>(p.key - keys_.data());
    sigv4::signing_key key;
    {
        const std::scoped_lock lock(mutex_);
        cached& last = signing_keys_[index];
        if (last.date != c.date || last.region != c.region || last.service != c.service)
            last = {
                c.date, c.region, c.service,
                sigv4::make_signing_key(p.key->secret_access_key, c.date, {c.region, c.service})};
        key = last.key;
    }
    return sigv4::verify(c, r, hash, key);
}

std::variant<authenticator::proof, reply> authenticator::begin(const sigv4::request& r,
                                                               std::string_view service,
                                                               sigv4::time_point now) {
    auto read = sigv4::read_claim(r);
    const auto* unread = std::get_if<sigv4::refusal>(&read);
    if (unread && is_on()) return unbelieved(*unread);
    if (!is_on()) {
        // Whoever reaches the port may ask; but a client that means to sign should learn early that
        // it cannot.
        if (unread && unread->what == sigv4::refusal::kind::incomplete && means_to_sign(r))
            return unbelieved(*unread);
        return proof{};
    }
    proof p{.claim = std::get<sigv4::claim>(std::move(read))};
    p.key = find(p.claim.access_key_id);
    if (!p.key) return unknown_client();
    if (p.claim.has_session_token)
        return unknown_client(
            " This server's access keys are permanent and have no session token: unset "
            "AWS_SESSION_TOKEN.");
    if (const auto bad = sigv4::check_scope(p.claim, service, now)) return unbelieved(*bad);
    // Who states the hash can be believed, or not, before the body is taken.
    if (!p.claim.stated_hash.empty() && !verify(p, r, p.claim.stated_hash))
        return unbelieved(sigv4::wrong_signature());
    p.needs_body = true;
    return p;
}

std::optional<reply> authenticator::finish(const proof& p,
                                           const sigv4::request& r,
                                           std::string_view hash) {
    const bool is_right =
        p.claim.stated_hash.empty() ? verify(p, r, hash) : p.claim.stated_hash == hash;
    if (is_right) return std::nullopt;
    return unbelieved(sigv4::wrong_signature());
}

std::variant<authenticator::proof, reply> authenticator::basic(std::string_view authorization) {
    const auto decoded = from_base64(authorization.substr(authorization.find(' ') + 1));
    const auto colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) return unknown_client();
    const access_key* key = find(std::string_view(*decoded).substr(0, colon));
    const std::string_view secret = std::string_view(*decoded).substr(colon + 1);
    const bool is_right =
        key && key->secret_access_key.size() == secret.size() &&
        ::CRYPTO_memcmp(key->secret_access_key.data(), secret.data(), secret.size()) == 0;
    if (!is_right) return unknown_client();
    return proof{.key = key};
}

std::optional<reply> denied(const access_key* key,
                            const std::string& account,
                            const std::string& action,
                            std::string_view name,
                            const std::string& arn) {
    if (!key) return std::nullopt;
    // Rules name Lambda's actions alone.
    const std::string_view known =
        std::string_view(action).substr(action.starts_with("lambda:") ? 7 : 0);
    if (allows(*key, known, name.empty() ? "*" : name)) return std::nullopt;
    return make_error(aws_error::access_denied,
                      "User: arn:aws:iam::" + account + ":user/" + key->name +
                          " is not authorized to perform: " + action + " on resource: " + arn +
                          " because no identity-based policy allows the " + action + " action");
}

std::optional<reply> denied(const access_key* key,
                            const control_plane& control,
                            std::string_view action,
                            std::string_view function) {
    if (!key) return std::nullopt;
    std::string resource = "*", name;
    if (!function.empty())
        if (const auto arn = control.function_arn(function); arn.has_value()) {
            resource = *arn;
            name = arn->substr(arn->rfind(':') + 1);
        }
    return denied(key, control.account_id(), "lambda:" + std::string(action), name, resource);
}

std::optional<reply> denied(const access_key* key,
                            const control_plane& control,
                            const route& asked) {
    if (!key || asked.op == operation::create_function) return std::nullopt;
    return denied(key, control, action_name(asked.name),
                  asked.of_function ? std::string_view(asked.argument) : std::string_view());
}

}  // namespace hearth::http
