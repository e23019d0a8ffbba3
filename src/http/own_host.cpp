#include "http/own_host.hpp"

#include "http/beast_text.hpp"

#include <boost/beast/core/string.hpp>

#include <algorithm>

namespace hearth::http {

std::pair<std::string_view, std::string_view> split_port(std::string_view host) {
    const auto colon = host.rfind(':');
    if (colon == host.npos || host.find(']', colon) != host.npos || colon + 1 == host.size() ||
        host.find_first_not_of("0123456789", colon + 1) != host.npos)
        return {host, {}};
    return {host.substr(0, colon), host.substr(colon)};
}

std::string_view id_of_host(const own_host& kind, std::string_view host) {
    if (host.size() <= kind.id_length) return {};
    const std::string_view id = host.substr(0, kind.id_length);
    if (id.find_first_not_of(kind.id_digits) != id.npos ||
        !boost::beast::iequals(to_beast(host.substr(kind.id_length, kind.host_mark.size())),
                               to_beast(kind.host_mark)))
        return {};
    return id;
}

std::optional<route> find_own_route(const own_host& kind,
                                    std::string_view host,
                                    std::string_view target) {
    route r{.op = kind.op, .name = kind.name};
    if (const auto id = id_of_host(kind, host); !id.empty()) {
        if (target.starts_with("http://") || target.starts_with("https://")) {
            const auto slash = target.find_first_of("/?", target.find("//") + 2);
            target = slash == target.npos ? "/" : target.substr(slash);
        }
        r.argument = id;
        r.by_own_host = true;
    } else if (target.starts_with(kind.path_mark)) {
        target.remove_prefix(kind.path_mark.size());
        const auto end = std::min(target.find_first_of("/?#"), target.size());
        r.argument = target.substr(0, end);
        target.remove_prefix(end);
    } else {
        return std::nullopt;
    }
    target = target.substr(0, target.find('#'));
    r.second = target.starts_with('/') ? "" : "/";
    if (target != "*") r.second += target;
    return r;
}

std::string domain_of(const own_host& kind, std::string_view id, std::string_view region) {
    return std::string(id).append(kind.host_mark).append(region).append(".localhost");
}

std::string address_of(const own_host& kind,
                       std::string_view id,
                       std::string_view region,
                       std::string_view origin) {
    const auto mark = origin.find("//");
    const std::string scheme(mark == origin.npos ? "http://" : origin.substr(0, mark + 2));
    const std::string_view host = mark == origin.npos ? "" : origin.substr(mark + 2);
    const auto [name, port] = split_port(host);
    const bool is_here = name.empty() || name == "localhost" || name.ends_with(".localhost") ||
                         name == "[::1]" || name.starts_with("127.");
    if (is_here) return scheme + domain_of(kind, id, region) + std::string(port);
    return scheme + std::string(host) + std::string(kind.path_mark) + std::string(id);
}

}  // namespace hearth::http
