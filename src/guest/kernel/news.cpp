/// SIGIO and SIGURG to the owners of descriptions (man 2 fcntl, "Managing signals").

#include "guest/vfs/news.hpp"

#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signals.hpp"

#include <fcntl.h>
#include <poll.h>

#include <csignal>

namespace hearth::guest {
namespace {

/// si_band of each reason (fs/fcntl.c, band_table).
std::uint64_t band_of(int reason) {
    switch (reason) {
        case POLL_IN:
            return POLLIN | POLLRDNORM;
        case POLL_OUT:
            return POLLOUT | POLLWRNORM | POLLWRBAND;
        case POLL_ERR:
            return POLLERR;
        case POLL_PRI:
            return POLLPRI | POLLRDBAND;
        default:
            return POLLHUP | POLLERR;
    }
}

/// Whether who set the owner might have sent it a signal (sigio_perm).
bool may_tell(const vfs::news_owner& owner, const process_state& to) {
    return owner.euid == 0 || owner.euid == to.ids.suid || owner.euid == to.uid ||
           owner.uid == to.ids.suid || owner.uid == to.uid;
}

}  // namespace

void kernel::tell(const vfs::news_owner& owner, const signal_info& info, std::size_t& left) {
    if (owner.type == F_OWNER_TID) {
        const auto it = state_.tasks.find(owner.id);
        if (it != state_.tasks.end() && process_of(it->second).serial == owner.serial &&
            may_tell(owner, process_of(it->second)) && left) {
            --left;
            post_signal(it->second, info);
        }
        return;
    }
    for (auto& [id, p] : state_.processes) {
        const bool meant = owner.type == F_OWNER_PID ? id == owner.id && p.serial == owner.serial
                                                     : p.group == owner.id;
        if (!meant || p.ended || !may_tell(owner, p)) continue;
        if (left == 0) return;
        --left;
        post_signal(p, info);
    }
}

void kernel::tell_of_news() {
    const vfs::asker who{state_, host_, running_task()};
    std::size_t left = vfs::most_told;
    for (auto& [id, owner] : state_.vfs.owners) {
        if (owner.id == 0) continue;
        const vfs::description& d = *state_.vfs.find(id);
        const vfs::news news = vfs::take_news(who, d, owner.seen);
        if (news.urgent) tell(owner, {.number = abi::sigurg, .code = abi::si_kernel}, left);
        if (!(d.flags & FASYNC)) continue;
        for (const int reason : news.reasons) {
            if (owner.signal == 0)
                tell(owner, {.number = abi::sigio, .code = abi::si_kernel}, left);
            else
                tell(owner,
                     {.number = owner.signal,
                      .code = reason,
                      .address = band_of(reason),
                      .timer = owner.descriptor},
                     left);
        }
    }
}

}  // namespace hearth::guest
