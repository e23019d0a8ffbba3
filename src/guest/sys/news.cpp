#include "guest/sys/news.hpp"

#include "guest/vfs/news.hpp"
#include "guest/vfs/socket.hpp"

#include <climits>

#include <fcntl.h>

#include <cerrno>

namespace hearth::guest {
namespace {

constexpr unsigned fiosetown = 0x8901, siocspgrp = 0x8902, fiogetown = 0x8903, siocgpgrp = 0x8904,
                   fioasync = 0x5452;

struct owner_ex {
    std::int32_t type, id;
};

/// Null: nothing has been said about it.
const vfs::news_owner* find_owner(task& t, const files::opened& o) {
    const auto& owners = files::state_of(t).owners;
    const auto it = owners.find(o.id);
    return it == owners.end() ? nullptr : &it->second;
}

/// Made if there is none yet. ENOMEM
outcome<vfs::news_owner*> owner_for(task& t, const files::opened& o) {
    auto& owners = files::state_of(t).owners;
    if (owners.size() >= vfs::max_owners && !owners.contains(o.id)) return os_error{ENOMEM};
    return &owners[o.id];
}

/// What came before is no news.
void notice(task& t, const files::opened& o, vfs::news_owner& owner) {
    (void)vfs::take_news({t.kernel().state(), t.kernel().host(), t.state()}, *o.description,
                         owner.seen);
}

/// ESRCH: there is none.
sysret set_owner(task& t, const files::opened& o, int type, int id) {
    const kernel_state& state = t.kernel().state();
    std::uint64_t serial = 0;
    if (id < 0) return sysret::error(EINVAL);
    if (id && type == F_OWNER_TID) {
        const auto it = state.tasks.find(id);
        if (it == state.tasks.end()) return sysret::error(ESRCH);
        serial = state.processes.at(it->second.process).serial;
    } else if (id && type == F_OWNER_PID) {
        const auto it = state.processes.find(id);
        if (it == state.processes.end()) return sysret::error(ESRCH);
        serial = it->second.serial;
    } else if (id) {
        bool there = false;
        for (const auto& [pid, p] : state.processes)
            there = there || p.id == id || p.group == id || p.session == id;
        if (!there) return sysret::error(ESRCH);
    }
    const auto found = owner_for(t, o);
    if (!found) return found.error();
    vfs::news_owner& owner = **found;
    owner.type = type;
    owner.id = id;
    owner.serial = serial;
    owner.uid = t.process().uid;
    owner.euid = t.process().ids.euid;
    notice(t, o, owner);
    return 0;
}

/// The owner's number, 0 when it is no more.
int id_of(task& t, const vfs::news_owner& owner) {
    const kernel_state& state = t.kernel().state();
    if (owner.type == F_OWNER_TID) return state.tasks.contains(owner.id) ? owner.id : 0;
    if (owner.type == F_OWNER_PID) {
        const auto it = state.processes.find(owner.id);
        return it != state.processes.end() && it->second.serial == owner.serial ? owner.id : 0;
    }
    for (const auto& [pid, p] : state.processes)
        if (p.group == owner.id) return owner.id;
    return 0;
}

/// As F_SETOWN numbers them: groups are negative.
sysret set_by_number(task& t, const files::opened& o, int number) {
    if (number == INT_MIN) return sysret::error(EINVAL);
    return number < 0 ? set_owner(t, o, F_OWNER_PGRP, -number)
                      : set_owner(t, o, F_OWNER_PID, number);
}
int number_of(task& t, const files::opened& o) {
    const auto* owner = find_owner(t, o);
    if (!owner) return 0;
    const int id = id_of(t, *owner);
    return owner->type == F_OWNER_PGRP ? -id : id;
}

}  // namespace

outcome<void> set_async(task& t, const files::opened& o, int fd, bool on) {
    if (on == ((o.description->flags & FASYNC) != 0)) return {};
    if (!on) {
        o.description->flags &= ~std::uint32_t{FASYNC};
        return {};
    }
    const auto owner = owner_for(t, o);
    if (!owner) return owner.error();
    o.description->flags |= FASYNC;
    (*owner)->descriptor = fd;
    notice(t, o, **owner);
    return {};
}

sysret news_control(task& t, const files::opened& o, int command, std::uint64_t argument) {
    const auto* owner = find_owner(t, o);
    switch (command) {
        case F_SETOWN:
            return set_by_number(t, o, static_cast<int>(argument));
        case F_GETOWN:
            return number_of(t, o);
        case F_SETOWN_EX: {
            const auto in = t.read(guest_ptr<const owner_ex>{gva{argument}});
            if (!in) return in.error();
            if (in->type < F_OWNER_TID || in->type > F_OWNER_PGRP) return sysret::error(EINVAL);
            return set_owner(t, o, in->type, in->id);
        }
        case F_GETOWN_EX:
            return t.write(guest_ptr<owner_ex>{gva{argument}},
                           {owner ? owner->type : F_OWNER_TID, owner ? id_of(t, *owner) : 0});
        case F_SETSIG:
            if (argument > static_cast<std::uint64_t>(signal_count)) return sysret::error(EINVAL);
            if (const auto made = owner_for(t, o))
                (*made)->signal = static_cast<std::int32_t>(argument);
            else
                return made.error();
            return 0;
        default:
            return owner ? owner->signal : 0;
    }
}

std::optional<sysret> news_ioctl(
    task& t, const files::opened& o, int fd, unsigned request, std::uint64_t argument) {
    const guest_ptr<std::int32_t> number{gva{argument}};
    const bool of_socket = vfs::is_socket(*o.description);
    if (request == fioasync) {
        const auto on = t.read(number);
        if (!on) return on.error();
        if (*on && !vfs::tells_news(*o.description)) return sysret::error(ENOTTY);
        return set_async(t, o, fd, *on != 0);
    }
    if (of_socket && (request == fiosetown || request == siocspgrp)) {
        const auto in = t.read(number);
        if (!in) return in.error();
        return set_by_number(t, o, *in);
    }
    if (of_socket && (request == fiogetown || request == siocgpgrp))
        return t.write(number, number_of(t, o));
    return std::nullopt;
}

}  // namespace hearth::guest
