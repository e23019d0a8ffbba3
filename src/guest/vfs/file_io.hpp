#pragma once

/// Reading and writing open descriptions of every kind. EAGAIN means "would block": the caller
/// parks, or answers so when the description is O_NONBLOCK. EPIPE leaves the SIGPIPE to the caller.

#include "guest/vfs/filesystem.hpp"
#include "guest/vfs/user_buffers.hpp"

#include <optional>

namespace hearth::guest::vfs {

/// One call moves at most this much of a file: a bound on how long a vCPU thread is away. Above
/// what programs ask for at once; a short count is legal beyond it.
inline constexpr std::uint64_t max_transfer = 64u << 20;
/// Linux's own: MAX_RW_COUNT.
inline constexpr std::uint64_t max_count = 0x7fff'f000;

/// `offset`: pread's; without it the description's own, which advances. ESPIPE for what cannot
/// seek.
outcome<std::size_t> read(const context& c,
                          const filesystem& fs,
                          description& d,
                          user_buffers& to,
                          std::optional<std::uint64_t> offset);
outcome<std::size_t> write(const context& c,
                           const filesystem& fs,
                           description& d,
                           user_buffers& from,
                           std::optional<std::uint64_t> offset);

/// The description has offsets: lseek, pread.
[[nodiscard]] bool seekable(const description& d);
/// A short write means "no room now", so a blocking call goes on: pipes and sockets.
[[nodiscard]] bool is_stream(const description& d);

/// fstat.
outcome<attributes> attributes_of(const context& c, const filesystem& fs, const description& d);

}  // namespace hearth::guest::vfs
