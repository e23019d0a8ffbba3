#pragma once

/// The random bytes a guest was given, one after the other, for finding them again in its snapshot
/// (shared_randomness.hpp). A value, bounded: a guest may draw for ever.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hearth::detail {

class random_record {
  public:
    static constexpr std::size_t limit = std::size_t{256} << 10;

    enum class source : std::uint8_t {
        drawn,      ///< by getrandom(2) or from /dev/urandom
        at_random,  ///< given at exec, or to a clone
    };

    void add(source from, std::span<const std::byte> bytes) {
        const std::size_t n = std::min(bytes.size(), limit - bytes_.size());
        if (n < bytes.size()) complete_ = false;
        if (n == 0) return;
        if (pieces_.empty() || pieces_.back().from != from)
            pieces_.push_back({bytes_.size(), from});
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
    }

    [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
    /// Of the byte at that place.
    [[nodiscard]] source source_of(std::size_t at) const noexcept {
        const std::size_t n = piece_of(at);
        return n == 0 ? source::drawn : pieces_[n - 1].from;
    }
    /// Bytes of one source, given one after the other.
    [[nodiscard]] bool one_source(std::size_t first, std::size_t last) const noexcept {
        return piece_of(first) == piece_of(last);
    }
    /// Nothing was left out.
    [[nodiscard]] bool complete() const noexcept { return complete_; }

  private:
    struct piece {
        std::size_t first;
        source from;
    };
    /// How many pieces begin at or before it.
    [[nodiscard]] std::size_t piece_of(std::size_t at) const noexcept {
        const auto it = std::ranges::upper_bound(pieces_, at, {}, &piece::first);
        return static_cast<std::size_t>(it - pieces_.begin());
    }

    std::vector<std::byte> bytes_;
    std::vector<piece> pieces_;
    bool complete_ = true;
};

}  // namespace hearth::detail
