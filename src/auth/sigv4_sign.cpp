#include "auth/canonical.hpp"

#include <algorithm>

namespace hearth::sigv4 {

owned_headers sign(
    const request& r, std::string_view hash, const credentials& by, scope where, time_point now) {
    const std::string timestamp = to_timestamp(now);
    const std::string date = timestamp.substr(0, 8);
    owned_headers added{{"x-amz-date", timestamp}, {"x-amz-content-sha256", std::string(hash)}};
    if (!by.session_token.empty()) added.emplace_back("x-amz-security-token", by.session_token);

    std::vector<std::pair<std::string_view, std::string_view>> all(r.headers.begin(),
                                                                   r.headers.end());
    for (const auto& [name, value] : added) all.emplace_back(name, value);
    std::vector<std::string> names;
    for (const auto& [name, value] : all) names.push_back(to_lower(name));
    std::ranges::sort(names);
    names.erase(std::unique(names.begin(), names.end()), names.end());

    const std::string where_text = credential_scope(date, where);
    const std::string signature =
        signature_of(canonical_request({r.method, r.target, all}, names, hash), timestamp,
                     where_text, make_signing_key(by.secret_access_key, date, where));
    std::string listed;
    for (const std::string& name : names) listed.append(listed.empty() ? "" : ";").append(name);
    std::string authorization(algorithm);
    authorization.append(" Credential=").append(by.access_key_id).append("/").append(where_text);
    authorization.append(", SignedHeaders=").append(listed);
    authorization.append(", Signature=").append(signature);
    added.emplace_back("authorization", std::move(authorization));
    return added;
}

std::string presign(const request& r,
                    const credentials& by,
                    scope where,
                    time_point now,
                    std::chrono::seconds life) {
    const std::string timestamp = to_timestamp(now);
    const std::string date = timestamp.substr(0, 8);
    const std::string where_text = credential_scope(date, where);
    std::string target(r.target);
    target += target.find('?') == target.npos ? '?' : '&';
    target.append("X-Amz-Algorithm=").append(algorithm);
    target.append("&X-Amz-Credential=").append(uri_encode(by.access_key_id + "/" + where_text));
    target.append("&X-Amz-Date=").append(timestamp);
    target.append("&X-Amz-Expires=").append(std::to_string(life.count()));
    if (!by.session_token.empty())
        target.append("&X-Amz-Security-Token=").append(uri_encode(by.session_token));
    target.append("&X-Amz-SignedHeaders=host");
    const std::string host[] = {"host"};
    const std::string signature =
        signature_of(canonical_request({r.method, target, r.headers}, host, payload_hash({})),
                     timestamp, where_text, make_signing_key(by.secret_access_key, date, where));
    return target.append("&X-Amz-Signature=").append(signature);
}

}  // namespace hearth::sigv4
