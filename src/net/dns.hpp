#pragma once

/// DNS messages (RFC 1035), as much as a stub resolver's questions and our answers need: one
/// question, answers of addresses. Pure.

#include "net/address.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hearth::net::dns {

enum class rcode : std::uint8_t {
    no_error = 0,
    format_error = 1,
    server_failure = 2,
    no_such_name = 3,
    not_implemented = 4,
    refused = 5,
};
inline constexpr std::uint16_t type_a = 1, type_aaaa = 28, class_in = 1;

struct query {
    std::uint16_t id = 0;
    bool recursion_desired = false;
    bool extended = false;   ///< has an OPT record (RFC 6891)
    std::size_t room = 512;  ///< for the answer
    std::string name;        ///< lower case, without the dot at its end; empty: the root
    std::uint16_t type = 0, klass = 0;
    std::vector<std::byte> question;  ///< as asked, for the answer
};

/// Nothing: not a question that can be answered in any way.
[[nodiscard]] std::optional<query> parse(std::span<const std::byte> message);

/// As many of the addresses as fit, those of the question's family.
[[nodiscard]] std::vector<std::byte> answer(const query& q,
                                            rcode code,
                                            std::span<const address> addresses = {});

}  // namespace hearth::net::dns
