#pragma once

/// Bytes first in, first out: what a pipe or a socket holds. A value; equal when the waiting bytes
/// are.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace hearth::guest::vfs {

class byte_queue {
  public:
    [[nodiscard]] std::size_t size() const noexcept { return bytes_.size() - head_; }
    [[nodiscard]] bool empty() const noexcept { return size() == 0; }
    [[nodiscard]] std::string_view view() const noexcept {
        return std::string_view(bytes_).substr(head_);
    }
    void append(std::span<const std::byte> in) {
        bytes_.append(reinterpret_cast<const char*>(in.data()), in.size());
    }
    void append(std::string_view in) { bytes_.append(in); }
    /// Copies from the front without consuming.
    std::size_t peek(std::span<std::byte> out, std::size_t from = 0) const noexcept {
        if (from >= size()) return 0;
        const std::size_t n = std::min(out.size(), size() - from);
        if (n) std::memcpy(out.data(), bytes_.data() + head_ + from, n);
        return n;
    }
    void consume(std::size_t n) {
        head_ += std::min(n, size());
        // The spent front is dropped once it is the larger half: amortised constant time per byte.
        if (head_ == bytes_.size()) {
            bytes_.clear();
            head_ = 0;
        } else if (head_ >= 4096 && head_ * 2 >= bytes_.size()) {
            bytes_.erase(0, head_);
            head_ = 0;
        }
    }
    bool operator==(const byte_queue& other) const noexcept { return view() == other.view(); }

  private:
    std::string bytes_;
    std::size_t head_ = 0;
};

}  // namespace hearth::guest::vfs
