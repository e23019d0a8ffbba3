#pragma once

/// A function's network: its policy, and what the names on its list have resolved to so far. Shared
/// by the function's guests, so that a clone may go on with addresses that its program looked up
/// before the snapshot. Thread-safe.

#include "net/policy.hpp"

#include <map>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace hearth::net {

class rules {
  public:
    /// Addresses remembered for names; the oldest go first.
    static constexpr std::size_t max_granted = 1024;

    explicit rules(net::policy p) : policy_(std::move(p)) {}

    [[nodiscard]] const net::policy& policy() const noexcept { return policy_; }
    [[nodiscard]] verdict check(const endpoint& to) const;
    /// What a name resolved to. Addresses that are special stay refused.
    void grant(std::string_view name, std::span<const address> addresses);

  private:
    struct granted {
        std::vector<port_range> ports;
        std::uint64_t order = 0;
    };
    const net::policy policy_;
    mutable std::mutex mutex_;  // a leaf; guards what follows
    std::map<address, granted> granted_;
    std::map<std::uint64_t, address> by_order_;
    std::uint64_t next_ = 0;
};

}  // namespace hearth::net
