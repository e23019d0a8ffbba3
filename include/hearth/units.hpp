#pragma once

#include <compare>
#include <cstdint>

namespace hearth {

/// An amount of memory in bytes. Sizes carry their unit in the type: `128_MiB`, never `128`.
class byte_count {
  public:
    constexpr byte_count() noexcept = default;
    constexpr explicit byte_count(std::uint64_t bytes) noexcept : bytes_(bytes) {}

    [[nodiscard]] constexpr std::uint64_t bytes() const noexcept { return bytes_; }
    /// Whole mebibytes, rounded down. Lambda's "MB" is a mebibyte.
    [[nodiscard]] constexpr std::uint64_t mebibytes() const noexcept { return bytes_ >> 20; }

    friend constexpr auto operator<=>(byte_count, byte_count) = default;
    friend constexpr byte_count operator+(byte_count a, byte_count b) noexcept {
        return byte_count(a.bytes_ + b.bytes_);
    }
    friend constexpr byte_count operator-(byte_count a, byte_count b) noexcept {
        return byte_count(a.bytes_ - b.bytes_);
    }
    friend constexpr byte_count operator*(byte_count a, std::uint64_t n) noexcept {
        return byte_count(a.bytes_ * n);
    }

  private:
    std::uint64_t bytes_ = 0;
};

namespace literals {

constexpr byte_count operator""_KiB(unsigned long long n) noexcept { return byte_count(n << 10); }
constexpr byte_count operator""_MiB(unsigned long long n) noexcept { return byte_count(n << 20); }
constexpr byte_count operator""_GiB(unsigned long long n) noexcept { return byte_count(n << 30); }

}  // namespace literals
}  // namespace hearth
