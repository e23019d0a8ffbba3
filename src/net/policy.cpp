#include "net/policy.hpp"

#include "base/try.hpp"

#include <algorithm>
#include <charconv>

namespace hearth::net {
namespace {

error wrong(std::string_view entry, const std::string& how) {
    return {errc::invalid_argument, "network: '" + std::string(entry) + "' " + how};
}

std::string lower(std::string_view s) {
    std::string out(s);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

template <class Number>
std::optional<Number> number(std::string_view s) {
    Number n{};
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
    if (ec != std::errc() || end != s.data() + s.size() || s.empty()) return std::nullopt;
    return n;
}

result<port_range> parse_ports(std::string_view entry, std::string_view text) {
    const auto dash = text.find('-');
    const auto first = number<std::uint16_t>(text.substr(0, dash));
    const auto last =
        dash == std::string_view::npos ? first : number<std::uint16_t>(text.substr(dash + 1));
    if (!first || !last || *first == 0)
        return wrong(entry, "has '" + std::string(text) +
                                "' where a port (1 to 65535) or a range such as 8000-8999 stands");
    if (*last < *first) return wrong(entry, "has a port range that ends before it begins");
    return port_range{*first, *last};
}

/// RFC 1123 with underscores, as services have them.
bool is_name(std::string_view s) {
    if (s.empty() || s.size() > 253) return false;
    std::size_t label = 0;
    char before = '.';
    for (const char c : s) {
        if (c == '.') {
            if (label == 0 || before == '-') return false;
            label = 0;
        } else {
            const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
            if (!plain && (c != '-' || label == 0)) return false;
            if (++label > 63) return false;
        }
        before = c;
    }
    return before != '.' && before != '-';
}

}  // namespace

result<policy> policy::parse(std::string_view text) {
    policy p;
    std::size_t entries = 0;
    bool none = false;
    constexpr std::string_view between = ", \t\r\n";
    for (;;) {
        const auto begin = text.find_first_not_of(between);
        if (begin == std::string_view::npos) break;
        text.remove_prefix(begin);
        const std::string_view entry = text.substr(0, text.find_first_of(between));
        text.remove_prefix(entry.size());
        if (++entries > max_entries)
            return error(errc::invalid_argument,
                         "network: more than " + std::to_string(max_entries) + " entries");
        if (lower(entry) == "none")
            none = true;
        else
            HEARTH_CHECK(p.add(entry));
    }
    if (entries == 0)
        return error(errc::invalid_argument,
                     "network: nothing is named; it is none, all, or a list such as "
                     "'db.example.com:5432,10.0.0.0/8'");
    if (none && entries > 1) return wrong("none", "stands alone or not at all");
    return p;
}

void policy::add_everything(port_range ports) {
    networks_.push_back({v4_network(0, 0), ports});
    networks_.push_back({{{}, 0}, ports});
    names_.push_back({"*", ports});
}

result<void> policy::add(std::string_view entry) {
    const std::string s = lower(entry);
    if (s == "all") {
        add_everything({});
        return {};
    }
    std::string_view where = s, ports;
    bool has_ports = false;
    if (s.front() == '[') {
        const auto close = s.find(']');
        if (close == std::string::npos) return wrong(entry, "has a '[' without its ']'");
        where = std::string_view(s).substr(1, close - 1);
        const auto rest = std::string_view(s).substr(close + 1);
        if (!rest.empty() && rest.front() != ':')
            return wrong(entry, "has something other than ':' and a port behind the ']'");
        has_ports = !rest.empty();
        if (has_ports) ports = rest.substr(1);
    } else if (const auto colon = s.find(':');
               colon != std::string::npos && s.find(':', colon + 1) == std::string::npos) {
        where = std::string_view(s).substr(0, colon);
        ports = std::string_view(s).substr(colon + 1);
        has_ports = true;
    }
    port_range range;
    if (has_ports) {
        HEARTH_TRY(range, parse_ports(entry, ports));
    }
    const auto slash = where.find('/');
    const std::string_view base = where.substr(0, slash);
    if (const auto a = address::parse(base)) {
        const bool four = base.find(':') == std::string_view::npos;
        unsigned bits = 128;
        if (slash != std::string_view::npos) {
            const auto given = number<unsigned>(where.substr(slash + 1));
            if (!given || *given > (four ? 32u : 128u))
                return wrong(entry, std::string("has a prefix length that is not 0 to ") +
                                        (four ? "32" : "128"));
            bits = four ? *given + 96 : *given;
        }
        network n{*a, bits};
        for (unsigned bit = bits; bit < 128; ++bit)
            if (n.base.bytes[bit / 8] & (0x80u >> (bit % 8)))
                return wrong(entry, "has bits set behind its prefix length");
        networks_.push_back({n, range});
        return {};
    }
    if (slash != std::string_view::npos)
        return wrong(entry, "has a '/', but what stands before it is no address");
    if (where == "localhost") {
        networks_.push_back({{address::v4(0x7f00'0001), 128}, range});
        networks_.push_back({{*address::parse("::1"), 128}, range});
        return {};
    }
    const bool below = where.starts_with("*.");
    if (where != "*" && !is_name(below ? where.substr(2) : where))
        return wrong(entry, "is neither an address, a network nor a host name");
    // A last label of digits alone is what an address looks like that is none.
    const auto last = where.substr(where.rfind('.') + 1);
    if (where != "*" && last.find_first_not_of("0123456789") == std::string_view::npos)
        return wrong(entry, "looks like an address, but is none");
    if (!has_ports) return wrong(entry, "needs a port, as in '" + std::string(where) + ":443'");
    if (where == "*")
        add_everything(range);
    else
        names_.push_back({std::string(below ? where.substr(1) : where), range});
    return {};
}

verdict policy::check(const address& to, std::uint16_t port) const {
    const auto special = special_network(to);
    verdict v = verdict::refused;
    for (const network_entry& e : networks_) {
        if (!e.ports.contains(port) || !e.where.contains(to)) continue;
        if (special && !e.where.within(*special)) continue;
        if (special || e.where.bits == 128) return verdict::allowed_named;
        v = verdict::allowed;
    }
    return v;
}

bool policy::matches(const name_entry& e, std::string_view lower_name) {
    if (e.name == "*" || e.name == lower_name) return true;
    return e.name.front() == '.' && lower_name.size() > e.name.size() &&
           lower_name.ends_with(e.name);
}

bool policy::allows_name(std::string_view name) const {
    const std::string n = lower(name);
    return std::ranges::any_of(names_, [&](const name_entry& e) { return matches(e, n); });
}

std::vector<port_range> policy::ports_of(std::string_view name) const {
    const std::string n = lower(name);
    std::vector<port_range> out;
    for (const name_entry& e : names_)
        if (matches(e, n)) out.push_back(e.ports);
    return out;
}

}  // namespace hearth::net
