#pragma once

/// The bytes of a writable in-memory file: sparse, in chunks that copies share until one of them is
/// written. A value: copying costs one reference per chunk, so a snapshot of a full /tmp is cheap.

#include "base/codec_access.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

namespace hearth::guest::vfs {

/// Bytes shared by copies; the one who writes copies first.
class cow_bytes {
  public:
    cow_bytes() : bytes_(std::make_shared<std::vector<std::byte>>()) {}
    [[nodiscard]] const std::vector<std::byte>& get() const noexcept { return *bytes_; }
    [[nodiscard]] std::vector<std::byte>& own();
    bool operator==(const cow_bytes& other) const {
        return bytes_ == other.bytes_ || *bytes_ == *other.bytes_;
    }

  private:
    std::shared_ptr<std::vector<std::byte>> bytes_;
};

class file_content {
  public:
    static constexpr std::uint64_t chunk_size = 64 * 1024;
    /// Far below any overflow of offset arithmetic; above any tmpfs limit.
    static constexpr std::uint64_t max_size = std::uint64_t{1} << 43;

    [[nodiscard]] std::uint64_t size() const noexcept { return size_; }
    /// Bytes held, a page multiple: what the file costs of its filesystem's room.
    [[nodiscard]] std::uint64_t held() const noexcept { return held_; }
    /// How much `held` would grow if [offset, offset+length) were written.
    [[nodiscard]] std::uint64_t growth(std::uint64_t offset, std::uint64_t length) const;

    /// Short at the end of the file; holes read as zeroes.
    std::size_t read(std::uint64_t offset, std::span<std::byte> out) const;
    /// offset + in.size() <= max_size.
    void write(std::uint64_t offset, std::span<const std::byte> in);
    /// Room for [offset, offset+length), as zeroes where there is none; does not change the size.
    void allocate(std::uint64_t offset, std::uint64_t length);
    void resize(std::uint64_t size);
    /// Zeroes a range and gives whole chunks back.
    void punch(std::uint64_t offset, std::uint64_t length);

    /// The next byte of data, or of a hole, from `offset` on (lseek SEEK_DATA, SEEK_HOLE); offset <
    /// size.
    [[nodiscard]] std::optional<std::uint64_t> next_data(std::uint64_t offset) const;
    [[nodiscard]] std::uint64_t next_hole(std::uint64_t offset) const;

    bool operator==(const file_content&) const = default;

  private:
    friend struct codec::access;
    static auto fields(auto& self) { return std::tie(self.chunks_, self.size_, self.held_); }
    std::map<std::uint64_t, cow_bytes>
        chunks_;  // chunk number → its first bytes, a page multiple of them
    std::uint64_t size_ = 0, held_ = 0;
};

}  // namespace hearth::guest::vfs
