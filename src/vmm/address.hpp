#pragma once

/// Addresses of the two guest spaces, kept apart by type.

#include <compare>
#include <cstdint>

namespace hearth::vmm {

inline constexpr std::uint64_t page_size = 4096;

template <class Space>
struct address {
    std::uint64_t value = 0;

    friend constexpr auto operator<=>(address, address) = default;
    friend constexpr address operator+(address a, std::uint64_t n) noexcept { return {a.value + n}; }
    friend constexpr address operator-(address a, std::uint64_t n) noexcept { return {a.value - n}; }
    /// The distance; the caller knows b <= a.
    friend constexpr std::uint64_t operator-(address a, address b) noexcept { return a.value - b.value; }
    constexpr address& operator+=(std::uint64_t n) noexcept { value += n; return *this; }

    [[nodiscard]] constexpr address page() const noexcept { return {value & ~(page_size - 1)}; }
    [[nodiscard]] constexpr address page_up() const noexcept { return {(value + page_size - 1) & ~(page_size - 1)}; }
    [[nodiscard]] constexpr std::uint64_t offset_in_page() const noexcept { return value & (page_size - 1); }
};

using gpa = address<struct physical_space>;  ///< guest-physical: an offset into the memory slot
using gva = address<struct virtual_space>;   ///< guest-virtual: what guest instructions use

}  // namespace hearth::vmm
