#pragma once

/// The memory a guest gave for a transfer: pieces one after another, consumed from the front. Guest
/// memory is reached through spans, so the host's preadv and memcpy work in place. Short on a bad
/// address, as Linux's copy_*_user: what was reached before it counts, EFAULT only if that is
/// nothing.

#include "guest/mm/address_space.hpp"
#include "guest/outcome.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace hearth::guest::vfs {

class user_buffers {
  public:
    using use = std::function<std::size_t(std::span<std::byte>)>;

    virtual ~user_buffers() = default;
    /// Bytes left.
    [[nodiscard]] virtual std::uint64_t size() const = 0;
    /// Hands consecutive spans of at most `max` bytes in all to `f` until it uses less than it was
    /// given; what was used is consumed. @return bytes used; EFAULT when the first byte cannot be
    /// reached
    virtual outcome<std::size_t> each(std::uint64_t max, bool into_guest, const use& f) = 0;

    /// Fills from `bytes`, or as much as fits.
    outcome<std::size_t> put(std::span<const std::byte> bytes);
    /// Takes up to out.size() bytes.
    outcome<std::size_t> take(std::span<std::byte> out);
    /// Consumes without touching.
    virtual void skip(std::uint64_t n) = 0;
};

struct segment {
    gva start;
    std::uint64_t length = 0;
};

class guest_buffers final : public user_buffers {
  public:
    guest_buffers(mm::address_space& memory, std::vector<segment> segments)
        : memory_(memory), segments_(std::move(segments)) {}

    [[nodiscard]] std::uint64_t size() const override;
    outcome<std::size_t> each(std::uint64_t max, bool into_guest, const use& f) override;
    void skip(std::uint64_t n) override;

  private:
    mm::address_space& memory_;
    std::vector<segment> segments_;
    std::size_t at_ = 0;  // the first segment with anything left
};

/// Memory of the host, for transfers between two files.
class host_buffer final : public user_buffers {
  public:
    explicit host_buffer(std::span<std::byte> bytes) : bytes_(bytes) {}
    [[nodiscard]] std::uint64_t size() const override { return bytes_.size(); }
    outcome<std::size_t> each(std::uint64_t max, bool into_guest, const use& f) override;
    void skip(std::uint64_t n) override {
        bytes_ = bytes_.subspan(std::min<std::uint64_t>(n, bytes_.size()));
    }

  private:
    std::span<std::byte> bytes_;
};

}  // namespace hearth::guest::vfs
