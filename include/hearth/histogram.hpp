#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace hearth {

/// How often durations fell into fixed buckets: ten to a decade, from 1 µs to 100 s. Trivially
/// copyable, below 700 bytes; recording allocates nothing and takes some 10 ns. Not synchronised.
class histogram {
  public:
    using nanoseconds = std::chrono::nanoseconds;

    /// Upper bounds, inclusive, ascending: 1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8 µs (the R10
    /// series of ISO 3) and so on up to 100 s. A bucket's bounds lie at most 28 % apart.
    [[nodiscard]] static std::span<const nanoseconds> bounds() noexcept;
    /// One for each bound, and one for what is longer than the last.
    static constexpr std::size_t bucket_count = 82;

    /// A negative duration counts as none.
    void record(nanoseconds duration) noexcept;
    void merge(const histogram& other) noexcept;

    [[nodiscard]] std::uint64_t count() const noexcept;
    [[nodiscard]] std::chrono::duration<double> sum() const noexcept {
        return std::chrono::duration<double>(sum_);
    }
    /// The longest recorded; zero when there is none.
    [[nodiscard]] nanoseconds max() const noexcept { return max_; }
    /// Durations in the bucket: above the bound before it, up to its own.
    [[nodiscard]] std::uint64_t bucket(std::size_t index) const noexcept { return buckets_[index]; }

    /// The duration that a share `p` (0 … 1; beyond: clamped) of those recorded did not exceed, as
    /// if each bucket's were spread evenly over it: off by its width at most. Never above `max`.
    /// Nothing when nothing was recorded.
    [[nodiscard]] std::optional<nanoseconds> quantile(double p) const noexcept;

    bool operator==(const histogram&) const = default;

  private:
    std::array<std::uint64_t, bucket_count> buckets_{};
    double sum_ =
        0;  ///< seconds: nanoseconds in 64 bits would overflow within months of a busy host
    nanoseconds max_{};
};

}  // namespace hearth
