#include "queue/message.hpp"

#include "base/try.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <cstdint>

namespace hearth::queues {
namespace {

std::string digest(const EVP_MD* how, std::string_view bytes) {
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(bytes.data(), bytes.size(), out, &size, how, nullptr);
    static constexpr char digits[] = "0123456789abcdef";
    std::string hex;
    for (unsigned i = 0; i < size; ++i) hex += digits[out[i] >> 4], hex += digits[out[i] & 15];
    return hex;
}

void add_length(std::string& to, std::size_t n) {
    for (int shift = 24; shift >= 0; shift -= 8) to += static_cast<char>(n >> shift & 255);
}

constexpr char carried_as_text = 1, carried_as_bytes = 2;

bool is_binary(std::string_view type) { return type.substr(0, type.find('.')) == "Binary"; }

/// #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF, in UTF-8.
bool is_allowed_text(std::string_view s) {
    for (std::size_t i = 0; i < s.size();) {
        const auto lead = static_cast<unsigned char>(s[i]);
        if (lead < 0x80) {
            if (lead < 0x20 && lead != '\t' && lead != '\n' && lead != '\r') return false;
            ++i;
            continue;
        }
        const std::size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || i + more >= s.size()) return false;
        std::uint32_t c = lead & (0x3fu >> more);
        for (std::size_t k = 1; k <= more; ++k) {
            const auto next = static_cast<unsigned char>(s[i + k]);
            if ((next & 0xc0) != 0x80) return false;
            c = c << 6 | (next & 0x3f);
        }
        const bool is_short = (more == 2 && c < 0x800) || (more == 3 && c < 0x10000);
        const bool is_surrogate = c >= 0xd800 && c <= 0xdfff;
        if (is_short || is_surrogate || c == 0xfffe || c == 0xffff || c > 0x10ffff) return false;
        i += more + 1;
    }
    return true;
}

bool is_name(std::string_view s) {
    return std::ranges::all_of(s, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
    });
}

bool is_number(std::string_view s) {
    if (s.starts_with('-') || s.starts_with('+')) s.remove_prefix(1);
    std::size_t digits = 0, points = 0;
    while (!s.empty() && ((s[0] >= '0' && s[0] <= '9') || s[0] == '.')) {
        ++(s[0] == '.' ? points : digits);
        s.remove_prefix(1);
    }
    if (digits == 0 || points > 1) return false;
    if (s.empty()) return true;
    if (s[0] != 'e' && s[0] != 'E') return false;
    s.remove_prefix(1);
    if (s.starts_with('-') || s.starts_with('+')) s.remove_prefix(1);
    return !s.empty() && s.size() <= 3 && s.find_first_not_of("0123456789") == s.npos;
}

bool starts_any_case(std::string_view s, std::string_view with) {
    return s.size() >= with.size() &&
           std::equal(with.begin(), with.end(), s.begin(),
                      [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b + 32 : b); });
}

result<void> check_attribute(std::string_view name, const message_attribute& a) {
    const auto bad = [&](std::string_view why) {
        return fail(queue_errc::invalid_parameter_value,
                    "The message attribute '" + std::string(name) + "' " + std::string(why));
    };
    if (name.empty() || name.size() > 256 || !is_name(name) || name.starts_with('.') ||
        name.ends_with('.') || name.find("..") != name.npos)
        return fail(queue_errc::invalid_parameter_value,
                    "Message (user) attribute name '" + std::string(name) +
                        "' is invalid: up to 256 letters, digits, _, - and single periods inside");
    if (starts_any_case(name, "aws.") || starts_any_case(name, "amazon."))
        return bad("has a name that is reserved: it begins with AWS. or Amazon.");
    const std::string_view type = std::string_view(a.type).substr(0, a.type.find('.'));
    if (a.type.empty()) return bad("must contain a non-empty message attribute type.");
    if (a.type.size() > 256 || !is_name(a.type) ||
        (type != "String" && type != "Number" && type != "Binary"))
        return bad(
            "has an invalid message attribute type, the set of supported type prefixes is "
            "Binary, Number, and String.");
    if (a.value.empty()) return bad("must contain a non-empty message attribute value.");
    if (type == "Number" && !is_number(a.value))
        return bad("Can't cast the value of message (user) attribute to a number.");
    if (type == "String" && !is_allowed_text(a.value))
        return fail(queue_errc::invalid_message_contents,
                    "The message attribute '" + std::string(name) +
                        "' contains characters outside the allowed set.");
    return {};
}

}  // namespace

std::string md5(std::string_view bytes) { return digest(EVP_md5(), bytes); }
std::string sha256(std::string_view bytes) { return digest(EVP_sha256(), bytes); }

std::string encode(const message_attributes& attributes) {
    std::string out;
    for (const auto& [name, a] : attributes) {
        add_length(out, name.size()), out += name;
        add_length(out, a.type.size()), out += a.type;
        out += is_binary(a.type) ? carried_as_bytes : carried_as_text;
        add_length(out, a.value.size()), out += a.value;
    }
    return out;
}

std::optional<message_attributes> decode(std::string_view bytes) {
    const auto take = [&bytes]() -> std::optional<std::string> {
        if (bytes.size() < 4) return std::nullopt;
        std::size_t n = 0;
        for (std::size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<unsigned char>(bytes[i]);
        bytes.remove_prefix(4);
        if (n > bytes.size()) return std::nullopt;
        std::string part(bytes.substr(0, n));
        bytes.remove_prefix(n);
        return part;
    };
    message_attributes found;
    while (!bytes.empty()) {
        auto name = take(), type = take();
        if (!name || !type || bytes.empty()) return std::nullopt;
        bytes.remove_prefix(1);
        auto value = take();
        if (!value) return std::nullopt;
        found.insert_or_assign(std::move(*name),
                               message_attribute{std::move(*type), std::move(*value)});
    }
    return found;
}

std::size_t size_of(const outgoing_message& m) {
    std::size_t n = m.body.size();
    for (const auto& [name, a] : m.attributes) n += name.size() + a.type.size() + a.value.size();
    return n;
}

error bad_value(std::string_view value, std::string_view parameter, std::string_view reason) {
    return fail(queue_errc::invalid_parameter_value,
                "Value " + std::string(value) + " for parameter " + std::string(parameter) +
                    " is invalid. Reason: " + std::string(reason));
}

result<void> check_contents(const outgoing_message& m) {
    if (m.body.empty())
        return fail(queue_errc::missing_parameter,
                    "The request must contain the parameter MessageBody.");
    if (!is_allowed_text(m.body))
        return fail(queue_errc::invalid_message_contents,
                    "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 "
                    "to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF");
    if (m.attributes.size() > 10)
        return fail(queue_errc::invalid_parameter_value, "Number of message attributes [" +
                                                             std::to_string(m.attributes.size()) +
                                                             "] exceeds the allowed maximum [10].");
    for (const auto& [name, a] : m.attributes) HEARTH_CHECK(check_attribute(name, a));
    return {};
}

}  // namespace hearth::queues

namespace hearth {

std::string md5_of(const message_attributes& attributes) {
    return attributes.empty() ? std::string() : queues::md5(queues::encode(attributes));
}

}  // namespace hearth
