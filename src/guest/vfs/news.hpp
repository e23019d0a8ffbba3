#pragma once

/// What a description's owner is told of by signals (man 2 fcntl, F_SETOWN; man 7 socket, SIGIO and
/// SIGURG): of pipes, and of sockets inside the guest.

#include "guest/vfs/readiness.hpp"

#include <vector>

namespace hearth::guest::vfs {

/// Descriptions that have an owner, of a whole guest (each call looks through them); and how many
/// processes and threads one call tells at most, beyond which news are lost.
inline constexpr std::size_t max_owners = 1024, most_told = 1024;

struct news {
    std::vector<int> reasons;  ///< POLL_IN, POLL_OUT …, as si_code has them
    bool urgent = false;       ///< TCP's urgent data: SIGURG
};

/// Whether it has anything to tell: F_SETFL of O_ASYNC has no effect on the others.
[[nodiscard]] bool tells_news(const description& d);

/// What has happened since it was asked last, by the traces it leaves. In `seen` is what has been
/// noticed by now.
news take_news(const asker& who, const description& d, noticed& seen);

}  // namespace hearth::guest::vfs
