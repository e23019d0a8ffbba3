#include "logs/log_text.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace hearth::logs {
namespace {

constexpr std::size_t max_component = 200;  // of a path; NAME_MAX is 255

/// Bytes of the well-formed UTF-8 sequence that `s` begins with (Unicode, table 3-7); 0: none.
std::size_t sequence_length(std::string_view s) {
    const auto at = [&](std::size_t i) {
        return i < s.size() ? static_cast<unsigned char>(s[i]) : 0u;
    };
    const auto is_tail = [&](std::size_t i) { return (at(i) & 0xc0) == 0x80; };
    const unsigned a = at(0), b = at(1);
    if (a < 0x80) return 1;
    if (a >= 0xc2 && a <= 0xdf) return is_tail(1) ? 2 : 0;
    if (a >= 0xe0 && a <= 0xef) {
        const unsigned low = a == 0xe0 ? 0xa0 : 0x80, high = a == 0xed ? 0x9f : 0xbf;
        return b >= low && b <= high && is_tail(2) ? 3 : 0;
    }
    if (a >= 0xf0 && a <= 0xf4) {
        const unsigned low = a == 0xf0 ? 0x90 : 0x80, high = a == 0xf4 ? 0x8f : 0xbf;
        return b >= low && b <= high && is_tail(2) && is_tail(3) ? 4 : 0;
    }
    return 0;
}

bool take(std::string_view& text, std::string_view expected) {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
}

bool take(std::string_view& text, std::int64_t& number) {
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (ec != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

void append_number(std::string& out, std::int64_t n) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
}

bool is_alphanumeric(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool consists_of(std::string_view name, std::string_view others, std::size_t longest) {
    return !name.empty() && name.size() <= longest && std::ranges::all_of(name, [&](char c) {
        return is_alphanumeric(c) || others.find(c) != others.npos;
    });
}

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

void append_escaped(std::string& out, std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    while (!text.empty()) {
        const auto c = static_cast<unsigned char>(text.front());
        std::size_t length = 1;
        if (c == '"' || c == '\\') {
            out += '\\';
            out += static_cast<char>(c);
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else if (c < 0x20) {
            out += "\\u00";
            out += hex[c >> 4];
            out += hex[c & 15];
        } else if (length = sequence_length(text); length) {
            out.append(text.substr(0, length));
        } else {
            out += "\xef\xbf\xbd";
            length = 1;
        }
        text.remove_prefix(length);
    }
}

std::string unescaped(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const auto plain = std::min(text.find('\\'), text.size());
        out.append(text.substr(0, plain));
        text.remove_prefix(plain);
        if (text.size() < 2) break;
        std::size_t length = 2;
        switch (text[1]) {
            case 'n':
                out += '\n';
                break;
            case 'r':
                out += '\r';
                break;
            case 't':
                out += '\t';
                break;
            case 'u': {
                const int high = text.size() >= 6 ? hex_value(text[4]) : -1;
                const int low = text.size() >= 6 ? hex_value(text[5]) : -1;
                if (high >= 0 && low >= 0) {
                    out += static_cast<char>(high * 16 + low);
                    length = 6;
                } else {
                    out += "\\u";
                }
                break;
            }
            default:
                out += text[1];
        }
        text.remove_prefix(length);
    }
    out.append(text);
    return out;
}

void append_record(std::string& out,
                   std::int64_t timestamp_ms,
                   std::string_view stream,
                   std::string_view message) {
    out += "{\"t\":";
    append_number(out, timestamp_ms);
    out.append(",\"s\":\"").append(stream).append("\",\"m\":\"");
    append_escaped(out, message);
    out += "\"}\n";
}

std::optional<record_view> parse_record(std::string_view line) {
    record_view r;
    if (!take(line, "{\"t\":") || !take(line, r.timestamp_ms) || !take(line, ",\"s\":\""))
        return std::nullopt;
    const auto quote = line.find('"');
    if (quote == line.npos) return std::nullopt;
    r.stream = line.substr(0, quote);
    line.remove_prefix(quote);
    if (!take(line, "\",\"m\":\"") || !line.ends_with("\"}")) return std::nullopt;
    r.message = line.substr(0, line.size() - 2);
    return r;
}

std::string make_header(std::string_view group, std::int64_t created_ms) {
    std::string out = "{\"hearth\":\"log\",\"format\":1,\"group\":\"";
    append_escaped(out, group);
    out += "\",\"created\":";
    append_number(out, created_ms);
    return out += "}\n";
}

std::optional<std::int64_t> parse_header(std::string_view line) {
    if (!take(line, "{\"hearth\":\"log\",\"format\":1,")) return std::nullopt;
    const std::string_view created = ",\"created\":";
    const auto at = line.rfind(created);
    if (at == line.npos) return std::nullopt;
    line.remove_prefix(at + created.size());
    std::int64_t ms = 0;
    if (!take(line, ms) || line != "}") return std::nullopt;
    return ms;
}

bool is_group_name(std::string_view name) { return consists_of(name, "_-/.#", 512); }

bool is_stream_name(std::string_view name) { return consists_of(name, "_-/.#[]$", 512); }

std::string directory_of_group(std::string_view name) {
    std::string path;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const bool is_start = i % max_component == 0;
        if (is_start && i) path += '/';
        path += name[i] == '/' ? '+' : is_start && name[i] == '.' ? '%' : name[i];
    }
    return path;
}

std::string group_of_directory(std::string_view relative) {
    std::string name;
    for (const char c : relative)
        if (c != '/') name += c == '+' ? '/' : c == '%' ? '.' : c;
    return name;
}

std::size_t cut_at(std::string_view text, std::size_t limit) {
    if (text.size() <= limit) return text.size();
    std::size_t at = limit;
    while (at > 0 && limit - at < 4 && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
    return at && (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80 ? at : limit;
}

}  // namespace hearth::logs
