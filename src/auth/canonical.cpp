#include "auth/canonical.hpp"

#include "image/sha256.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <memory>
#include <new>

namespace hearth::sigv4 {
namespace {

constexpr char digits[] = "0123456789ABCDEF";

bool is_unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool escape = text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
                            hex_digit(text[i + 2]) >= 0;
        if (!escape) {
            out += text[i];
            continue;
        }
        out += static_cast<char>(hex_digit(text[i + 1]) << 4 | hex_digit(text[i + 2]));
        i += 2;
    }
    return out;
}

/// RFC 3986, "Remove Dot Segments", and no empty segments but a last one.
std::string normalized(std::string_view path) {
    std::vector<std::string_view> segments;
    bool ends_open = false;
    while (!path.empty()) {
        path.remove_prefix(path.starts_with('/') ? 1 : 0);
        const std::string_view segment = path.substr(0, path.find('/'));
        path.remove_prefix(segment.size());
        const bool is_dot = segment == "." || segment == "..";
        ends_open = path.empty() && (segment.empty() || is_dot);
        if (segment == ".." && !segments.empty()) segments.pop_back();
        if (!segment.empty() && !is_dot) segments.push_back(segment);
    }
    std::string out;
    for (const std::string_view segment : segments) out.append("/").append(segment);
    if (ends_open || out.empty()) out += '/';
    return out;
}

/// Trimmed, each run of white space inside as one space.
void append_value(std::string& to, std::string_view value) {
    bool pending = false;
    const std::size_t start = to.size();
    for (const char c : value) {
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            pending = true;
            continue;
        }
        if (pending && to.size() > start) to += ' ';
        pending = false;
        to += c;
    }
}

using mac_context = std::unique_ptr<EVP_MAC_CTX, decltype(&::EVP_MAC_CTX_free)>;

/// HMAC-SHA-256 without a key, to be copied: to look the algorithms up takes longer than to run
/// them.
const EVP_MAC_CTX* keyless() {
    static const mac_context made = [] {
        char digest[] = "SHA256";
        const OSSL_PARAM parameters[] = {::OSSL_PARAM_construct_utf8_string("digest", digest, 0),
                                         ::OSSL_PARAM_construct_end()};
        const std::unique_ptr<EVP_MAC, decltype(&::EVP_MAC_free)> mac(
            ::EVP_MAC_fetch(nullptr, "HMAC", nullptr), &::EVP_MAC_free);
        mac_context context(mac ? ::EVP_MAC_CTX_new(mac.get()) : nullptr, &::EVP_MAC_CTX_free);
        if (!context || ::EVP_MAC_CTX_set_params(context.get(), parameters) != 1)
            throw std::bad_alloc();
        return context;
    }();
    return made.get();
}

signing_key hmac(std::span<const unsigned char> key, std::string_view text) {
    signing_key mac{};
    std::size_t size = 0;
    const mac_context context(::EVP_MAC_CTX_dup(keyless()), &::EVP_MAC_CTX_free);
    // Fails only for want of memory.
    if (!context || ::EVP_MAC_init(context.get(), key.data(), key.size(), nullptr) != 1 ||
        ::EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(text.data()),
                         text.size()) != 1 ||
        ::EVP_MAC_final(context.get(), mac.data(), &size, mac.size()) != 1)
        throw std::bad_alloc();
    return mac;
}

}  // namespace

bool same_name(std::string_view name, std::string_view lower) {
    return name.size() == lower.size() &&
           std::equal(name.begin(), name.end(), lower.begin(), [](char a, char b) {
               return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
           });
}

std::string to_lower(std::string_view text) {
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    return lower;
}

std::pair<std::string_view, std::string_view> path_and_query(std::string_view target) {
    if (target.starts_with("http://") || target.starts_with("https://")) {
        const auto slash = target.find('/', target.find("//") + 2);
        target = slash == target.npos ? "/" : target.substr(slash);
    }
    const auto mark = target.find('?');
    return {target.substr(0, mark), mark == target.npos ? "" : target.substr(mark + 1)};
}

std::vector<std::pair<std::string, std::string>> read_query(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> pairs;
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(pair.size() + 1, query.size()));
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        pairs.emplace_back(decode(pair.substr(0, equals)),
                           decode(equals == pair.npos ? "" : pair.substr(equals + 1)));
    }
    return pairs;
}

std::string uri_encode(std::string_view text, bool keep_slash) {
    std::string out;
    out.reserve(text.size() + text.size() / 2);
    for (const char c : text) {
        if (is_unreserved(c) || (keep_slash && c == '/')) {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '%', out += digits[byte >> 4], out += digits[byte & 15];
    }
    return out;
}

std::string canonical_request(const request& r,
                              std::span<const std::string> signed_headers,
                              std::string_view hash) {
    const auto [path, query] = path_and_query(r.target);
    auto pairs = read_query(query);
    std::erase_if(pairs, [](const auto& p) { return p.first == "X-Amz-Signature"; });
    for (auto& [name, value] : pairs) name = uri_encode(name), value = uri_encode(value);
    std::ranges::sort(pairs);

    std::string out;
    out.reserve(1024);
    // The path is encoded as it stands, so what the client escaped is escaped twice: every service
    // but S3.
    out.append(r.method).append("\n").append(uri_encode(normalized(path), true)).append("\n");
    for (const auto& pair : pairs) {
        if (&pair != &pairs.front()) out += '&';
        out.append(pair.first).append("=").append(pair.second);
    }
    out += '\n';
    for (const std::string& name : signed_headers) {
        out.append(name).append(":");
        bool first = true;
        for (const auto& [given, value] : r.headers) {
            if (!same_name(given, name)) continue;
            if (!first) out += ',';
            append_value(out, value);
            first = false;
        }
        out += '\n';
    }
    out += '\n';
    for (const std::string& name : signed_headers) {
        if (&name != &signed_headers.front()) out += ';';
        out += name;
    }
    return out.append("\n").append(hash);
}

std::string payload_hash(std::string_view body) { return image::to_hex(image::sha256_of(body)); }

signing_key make_signing_key(std::string_view secret_access_key,
                             std::string_view date,
                             scope where) {
    std::string first = "AWS4" + std::string(secret_access_key);
    signing_key key =
        hmac({reinterpret_cast<const unsigned char*>(first.data()), first.size()}, date);
    ::OPENSSL_cleanse(first.data(), first.size());
    for (const std::string_view part : {where.region, where.service, terminator})
        key = hmac(key, part);
    return key;
}

std::string signature_of(std::string_view canonical,
                         std::string_view timestamp,
                         std::string_view scope_text,
                         const signing_key& key) {
    std::string to_sign(algorithm);
    to_sign.append("\n").append(timestamp).append("\n").append(scope_text).append("\n");
    to_sign += payload_hash(canonical);
    return image::to_hex(hmac(key, to_sign));
}

std::string credential_scope(std::string_view date, scope where) {
    std::string text(date);
    return text.append("/")
        .append(where.region)
        .append("/")
        .append(where.service)
        .append("/")
        .append(terminator);
}

std::string to_timestamp(time_point t) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(t);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &parts)};
}

std::optional<time_point> read_timestamp(std::string_view text) {
    if (text.size() != 16 || text[8] != 'T' || text[15] != 'Z') return std::nullopt;
    const auto number = [&](std::size_t at, std::size_t size) {
        int n = -1;
        const char* end = text.data() + at + size;
        const bool is_digit = text[at] >= '0' && text[at] <= '9';
        return is_digit && std::from_chars(text.data() + at, end, n).ptr == end ? n : -1;
    };
    const std::chrono::year_month_day day{std::chrono::year(number(0, 4)),
                                          std::chrono::month(static_cast<unsigned>(number(4, 2))),
                                          std::chrono::day(static_cast<unsigned>(number(6, 2)))};
    const int hour = number(9, 2), minute = number(11, 2), second = number(13, 2);
    // Years that the clock can count, in nanoseconds.
    if (number(0, 4) < 1970 || number(0, 4) > 2200 || !day.ok() || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60)
        return std::nullopt;
    return std::chrono::sys_days(day) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
           std::chrono::seconds(second);
}

}  // namespace hearth::sigv4
