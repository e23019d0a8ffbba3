#pragma once

/// Layouts of file system calls on x86-64 that differ from the host library's headers or are
/// missing there. struct stat, statx, statfs, iovec, pollfd, epoll_event and sockaddr_* are the
/// host's own: the same ABI, pinned below. Depends on nothing.

#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include <cstdint>

namespace hearth::guest::abi {

struct iovec {
    std::uint64_t base, length;
};
static_assert(sizeof(iovec) == 16);

/// struct user_msghdr.
struct msghdr {
    std::uint64_t name;
    std::int32_t name_length;
    std::uint32_t padding;
    std::uint64_t iov, iov_count;
    std::uint64_t control, control_length;
    std::uint32_t flags;
    std::uint32_t padding2;
};
static_assert(sizeof(msghdr) == 56);

struct flock {
    std::int16_t type, whence;
    std::uint32_t padding;
    std::int64_t start, length;
    std::int32_t pid;
    std::uint32_t padding2;
};
static_assert(sizeof(flock) == 32);

struct open_how {
    std::uint64_t flags, mode, resolve;
};
static_assert(sizeof(open_how) == 24);

/// pselect6's sixth argument.
struct sigset_argument {
    std::uint64_t set, size;
};

struct winsize {
    std::uint16_t rows, columns, x, y;
};
/// The kernel's struct termios (TCGETS), not the library's.
struct termios {
    std::uint32_t input, output, control, local;
    std::uint8_t line;
    std::uint8_t characters[19];
};
static_assert(sizeof(termios) == 36);

static_assert(sizeof(struct ::stat) == 144);
static_assert(sizeof(struct ::statx) == 256);
static_assert(sizeof(struct ::statfs) == 120);
static_assert(sizeof(::pollfd) == 8);
static_assert(sizeof(::epoll_event) == 12);

inline constexpr std::uint64_t iov_max = 1024;

}  // namespace hearth::guest::abi
