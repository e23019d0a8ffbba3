#pragma once

/// What a function may reach: a pure value. Written as `none`, `all`, or a list, separated by
/// commas or blanks, of
///
///     10.0.0.0/8          a network, every port       10.1.2.3:5432      an address and a port
///     10.0.0.0/8:8000-8999  … or some                 [2001:db8::/32]:443
///     db.example.com:5432   a name: the addresses it resolves to for the function
///     *.example.com:443     names below it            *:443              anything, on that port
///     all                   anything                  localhost:6379     the host's own loopback
///
/// `all` and networks do not reach this machine, its link or everyone at once (loopback, link-local
/// with its metadata services, multicast, addresses of the host's interfaces): these take an entry
/// that names them for themselves, such as 127.0.0.1:5432 or 169.254.169.254:80.

#include "net/address.hpp"

#include <hearth/error.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::net {

struct port_range {
    std::uint16_t first = 0, last = 65535;
    [[nodiscard]] bool contains(std::uint16_t port) const { return first <= port && port <= last; }
    bool operator==(const port_range&) const = default;
};

enum class verdict {
    refused,
    allowed,        ///< unless it is an address of the host's own
    allowed_named,  ///< an entry names the very address
};

class policy {
  public:
    static constexpr std::size_t max_entries = 256;

    /// Nothing.
    policy() = default;
    /// @errors errc::invalid_argument: which entry is wrong, and how
    static result<policy> parse(std::string_view text);

    [[nodiscard]] bool none() const noexcept { return networks_.empty() && names_.empty(); }
    /// By an address alone; those that names brought are `ports_of` its business.
    [[nodiscard]] verdict check(const address& to, std::uint16_t port) const;
    /// A name may be resolved: without a dot at its end, any case.
    [[nodiscard]] bool allows_name(std::string_view name) const;
    /// What the addresses of a name may be reached at.
    [[nodiscard]] std::vector<port_range> ports_of(std::string_view name) const;

    bool operator==(const policy&) const = default;

  private:
    struct network_entry {
        network where;
        port_range ports;
        bool operator==(const network_entry&) const = default;
    };
    struct name_entry {
        std::string name;  ///< lower case; "*" any; ".example.com" what is below
        port_range ports;
        bool operator==(const name_entry&) const = default;
    };
    static bool matches(const name_entry& e, std::string_view lower);
    void add_everything(port_range ports);
    result<void> add(std::string_view entry);

    std::vector<network_entry> networks_;
    std::vector<name_entry> names_;
};

}  // namespace hearth::net
