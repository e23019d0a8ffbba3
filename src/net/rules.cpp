#include "net/rules.hpp"

#include <algorithm>

namespace hearth::net {

verdict rules::check(const endpoint& to) const {
    const verdict v = policy_.check(to.address, to.port);
    if (v != verdict::refused || special_kind(to.address)) return v;
    const std::lock_guard lock(mutex_);
    const auto it = granted_.find(to.address);
    if (it == granted_.end()) return verdict::refused;
    const bool open = std::ranges::any_of(it->second.ports,
                                          [&](const port_range& r) { return r.contains(to.port); });
    return open ? verdict::allowed : verdict::refused;
}

void rules::grant(std::string_view name, std::span<const address> addresses) {
    const auto ports = policy_.ports_of(name);
    const std::lock_guard lock(mutex_);
    for (const address& a : addresses) {
        granted& g = granted_[a];
        by_order_.erase(g.order);
        g.order = ++next_;
        by_order_[g.order] = a;
        for (const port_range& r : ports)
            if (std::ranges::find(g.ports, r) == g.ports.end()) g.ports.push_back(r);
    }
    while (granted_.size() > max_granted) {
        const auto oldest = by_order_.begin();
        granted_.erase(oldest->second);
        by_order_.erase(oldest);
    }
}

}  // namespace hearth::net
