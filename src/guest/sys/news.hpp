#pragma once

/// Who is told of a description's news by signals: fcntl's F_SETOWN and its like, and the ioctls
/// that do the same.

#include "guest/sys/files.hpp"

#include <optional>

namespace hearth::guest {

/// F_SETOWN, F_GETOWN, F_SETOWN_EX, F_GETOWN_EX, F_SETSIG, F_GETSIG.
sysret news_control(task& t, const files::opened& o, int command, std::uint64_t argument);
/// F_SETFL's O_ASYNC, for this descriptor. ENOMEM
outcome<void> set_async(task& t, const files::opened& o, int fd, bool on);
/// FIOASYNC; FIOSETOWN and its like of sockets. Nothing: another request.
std::optional<sysret> news_ioctl(
    task& t, const files::opened& o, int fd, unsigned request, std::uint64_t argument);

}  // namespace hearth::guest
