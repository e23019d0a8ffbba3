#include "guest/sys/poll.hpp"

#include "guest/sys/files.hpp"
#include "guest/sys/time.hpp"
#include "guest/vfs/open.hpp"
#include "guest/vfs/readiness.hpp"

#include <fcntl.h>
#include <sys/select.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

namespace hearth::guest {
namespace {

using std::chrono::nanoseconds;
using timeout_length = std::optional<nanoseconds>;  // nothing: for ever

timeout_length of_milliseconds(int ms) {
    if (ms < 0) return std::nullopt;
    return std::chrono::milliseconds(ms);
}

/// The deadline of the whole wait: set at the first dispatch, kept through the following.
std::optional<nanoseconds> deadline_of(task& t, timeout_length length) {
    if (const wait_state* before = t.wait()) return before->deadline;
    if (!length) return std::nullopt;
    return deadline_after(t.kernel().host().monotonic_now(), *length);
}

bool is_over(task& t, std::optional<nanoseconds> deadline) {
    return deadline && t.kernel().host().monotonic_now() >= *deadline;
}

/// The mask for the length of the call. EINVAL for another size than the kernel's sigset_t.
outcome<void> apply_mask(task& t, guest_ptr<const signal_set> mask, std::uint64_t size) {
    if (!mask) return {};
    if (size != sizeof(signal_set)) return os_error{EINVAL};
    auto set = t.read(mask);
    if (!set) return set.error();
    if (!t.wait()) t.set_temporary_mask(*set);
    return {};
}

/// What is left of a timeout, written back by ppoll and pselect6; a bad address is not worth an
/// error then.
template <class Time>
void write_rest(task& t, guest_ptr<Time> out, std::optional<nanoseconds> deadline) {
    if (!out || !deadline) return;
    const auto rest = std::max(nanoseconds{0}, *deadline - t.kernel().host().monotonic_now());
    if constexpr (std::is_same_v<Time, abi::timeval>)
        (void)t.write(out, to_timeval(rest));
    else
        (void)t.write(out, to_timespec(rest));
}

vfs::asker asker_of(task& t) { return {t.kernel().state(), t.kernel().host(), t.state()}; }

/// A poll's outcome: how many are ready, or the wait to park with.
struct polled {
    std::int64_t ready = 0;
    wait_state wait;
};

sysret poll(task& t, guest_ptr<::pollfd> fds, unsigned count, std::optional<nanoseconds> deadline) {
    // RLIMIT_NOFILE bounds it (man 2 poll).
    if (count > static_cast<unsigned>(files::descriptor_limit(t))) return sysret::error(EINVAL);
    std::vector<::pollfd> list(count);
    if (count)
        if (auto ok = t.memory().read(fds.address, std::as_writable_bytes(std::span(list))); !ok)
            return ok.error();
    std::int64_t ready = 0;
    wait_state wait;
    const auto who = asker_of(t);
    for (::pollfd& p : list) {
        p.revents = 0;
        if (p.fd < 0) continue;
        const vfs::descriptor* d = t.files().find(p.fd);
        if (!d) {
            p.revents = POLLNVAL;
        } else {
            const short events = vfs::poll_events(who, d->description);
            p.revents = static_cast<short>(events & (p.events | POLLERR | POLLHUP | POLLNVAL));
            wait.watches.push_back({d->description, p.events});
        }
        ready += p.revents != 0;
    }
    if (ready == 0 && !is_over(t, deadline)) {
        wait.deadline = deadline;
        return sysret::park(std::move(wait));
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
        const guest_ptr<short> out{(fds + i).address + offsetof(::pollfd, revents)};
        if (auto ok = t.write(out, list[i].revents); !ok) return ok.error();
    }
    return ready;
}

using fd_words = std::array<std::uint64_t, 16>;  // 1,024 descriptors

outcome<fd_words> read_set(task& t, guest_ptr<std::uint64_t> from, std::size_t words) {
    fd_words out{};
    if (!from) return out;
    if (auto ok =
            t.memory().read(from.address, std::as_writable_bytes(std::span(out).first(words)));
        !ok)
        return ok.error();
    return out;
}

sysret select(task& t,
              int count,
              std::array<guest_ptr<std::uint64_t>, 3> sets,
              std::optional<nanoseconds> deadline) {
    // Which events make a descriptor ready for each set: fs/select.c, POLLIN_SET and its kin.
    constexpr std::array<short, 3> wanted{POLLRDNORM | POLLRDBAND | POLLIN | POLLHUP | POLLERR,
                                          POLLWRBAND | POLLWRNORM | POLLOUT | POLLERR, POLLPRI};
    if (count < 0) return sysret::error(EINVAL);
    count = std::min(count, vfs::max_descriptors);
    const std::size_t words = (static_cast<std::size_t>(count) + 63) / 64;
    std::array<fd_words, 3> in{}, out{};
    for (std::size_t s = 0; s < 3; ++s) {
        auto set = read_set(t, sets[s], words);
        if (!set) return set.error();
        in[s] = *set;
    }
    std::int64_t ready = 0;
    wait_state wait;
    const auto who = asker_of(t);
    for (int fd = 0; fd < count; ++fd) {
        const auto word = static_cast<std::size_t>(fd) / 64;
        const std::uint64_t bit = std::uint64_t{1} << (fd % 64);
        short events = 0;
        for (std::size_t s = 0; s < 3; ++s)
            if (in[s][word] & bit) events = static_cast<short>(events | wanted[s]);
        if (!events) continue;
        const vfs::descriptor* d = t.files().find(fd);
        if (!d) return sysret::error(EBADF);
        const short now = vfs::poll_events(who, d->description);
        for (std::size_t s = 0; s < 3; ++s) {
            if (!(in[s][word] & bit) || !(now & wanted[s])) continue;
            out[s][word] |= bit;
            ++ready;
        }
        wait.watches.push_back({d->description, events});
    }
    if (ready == 0 && !is_over(t, deadline)) {
        wait.deadline = deadline;
        return sysret::park(std::move(wait));
    }
    for (std::size_t s = 0; s < 3; ++s) {
        if (!sets[s]) continue;
        if (auto ok =
                t.memory().write(sets[s].address, std::as_bytes(std::span(out[s]).first(words)));
            !ok)
            return ok.error();
    }
    return ready;
}

std::size_t count_items(const vfs::vfs_state& state) {
    std::size_t total = 0;
    for (const auto& [id, d] : state.descriptions)
        if (const auto* set = std::get_if<vfs::epoll_set>(&d.body)) total += set->items.size();
    return total;
}

outcome<vfs::epoll_set*> find_epoll(task& t, int fd, description_id* id = nullptr) {
    auto o = files::find(t, fd);
    if (!o) return o.error();
    auto* set = std::get_if<vfs::epoll_set>(&o->description->body);
    if (!set) return os_error{EINVAL};
    if (id) *id = o->id;
    return set;
}

sysret wait_epoll(task& t, int fd, guest_ptr<::epoll_event> out, int most, timeout_length length) {
    if (most <= 0 || most > static_cast<int>(INT32_MAX / sizeof(::epoll_event)))
        return sysret::error(EINVAL);
    description_id id{};
    auto set = find_epoll(t, fd, &id);
    if (!set) return set.error();
    const auto deadline = deadline_of(t, length);
    vfs::vfs_state& state = files::state_of(t);
    std::int64_t count = 0;
    const auto who = asker_of(t);
    auto& items = (*set)->items;
    // Once around, from where the last answer stopped (fs/eventpoll.c, ep_send_events: what was
    // told goes to the end of the list).
    auto at = items.upper_bound((*set)->last);
    for (std::size_t left = items.size(); left != 0 && count != most; --left, ++at) {
        if (at == items.end()) at = items.begin();
        auto& [key, item] = *at;
        const std::uint32_t ready = vfs::epoll_ready(who, key.second, item);
        if (!ready) {
            // A source without a count of its own (stdin) is armed again by being seen not ready.
            if (item.reported)
                item.reported &=
                    static_cast<unsigned short>(vfs::poll_events(who, key.second));
            continue;
        }
        ::epoll_event event{};
        event.events = ready;
        event.data.u64 = item.data;
        if (auto ok = t.write(out + static_cast<std::uint64_t>(count), event); !ok)
            return count ? sysret(count) : sysret(ok.error());
        item.reported = ready;
        item.activity = vfs::activity_of(who, *state.find(key.second));
        if (item.events & EPOLLONESHOT) item.disabled = true;
        if (++count == most) (*set)->last = key;
    }
    if (count || is_over(t, deadline)) return count;
    wait_state wait;
    wait.deadline = deadline;
    wait.watches.push_back({id, POLLIN});
    return sysret::park(std::move(wait));
}

}  // namespace

sysret sys_poll(task& t, guest_ptr<::pollfd> fds, unsigned count, int timeout_ms) {
    return poll(t, fds, count, deadline_of(t, of_milliseconds(timeout_ms)));
}

sysret sys_ppoll(task& t,
                 guest_ptr<::pollfd> fds,
                 unsigned count,
                 guest_ptr<abi::timespec> timeout,
                 guest_ptr<const signal_set> mask,
                 std::uint64_t mask_size) {
    timeout_length length;
    if (timeout) {
        auto value = t.read(timeout);
        if (!value) return value.error();
        auto duration = to_duration(*value);
        if (!duration) return duration.error();
        length = *duration;
    }
    if (auto ok = apply_mask(t, mask, mask_size); !ok) return ok.error();
    const auto deadline = deadline_of(t, length);
    sysret r = poll(t, fds, count, deadline);
    if (r.what() == sysret::kind::value) write_rest(t, timeout, deadline);
    return r;
}

sysret sys_select(task& t,
                  int count,
                  guest_ptr<std::uint64_t> read,
                  guest_ptr<std::uint64_t> write,
                  guest_ptr<std::uint64_t> except,
                  guest_ptr<abi::timeval> timeout) {
    timeout_length length;
    if (timeout) {
        auto value = t.read(timeout);
        if (!value) return value.error();
        if (value->seconds < 0 || value->microseconds < 0) return sysret::error(EINVAL);
        // Microseconds beyond a second count on (poll_select_set_timeout's caller normalises).
        const std::int64_t more = value->microseconds / 1'000'000;
        const std::int64_t seconds =
            value->seconds > INT64_MAX - more ? INT64_MAX : value->seconds + more;
        auto duration = to_duration(abi::timespec{seconds, value->microseconds % 1'000'000 * 1000});
        if (!duration) return duration.error();
        length = *duration;
    }
    const auto deadline = deadline_of(t, length);
    sysret r = select(t, count, {read, write, except}, deadline);
    if (r.what() == sysret::kind::value) write_rest(t, timeout, deadline);
    return r;
}

sysret sys_pselect6(task& t,
                    int count,
                    guest_ptr<std::uint64_t> read,
                    guest_ptr<std::uint64_t> write,
                    guest_ptr<std::uint64_t> except,
                    guest_ptr<abi::timespec> timeout,
                    guest_ptr<const abi::sigset_argument> mask) {
    timeout_length length;
    if (timeout) {
        auto value = t.read(timeout);
        if (!value) return value.error();
        auto duration = to_duration(*value);
        if (!duration) return duration.error();
        length = *duration;
    }
    if (mask) {
        auto argument = t.read(mask);
        if (!argument) return argument.error();
        if (auto ok = apply_mask(t, {gva{argument->set}}, argument->size); !ok) return ok.error();
    }
    const auto deadline = deadline_of(t, length);
    sysret r = select(t, count, {read, write, except}, deadline);
    if (r.what() == sysret::kind::value) write_rest(t, timeout, deadline);
    return r;
}

sysret sys_epoll_create1(task& t, int flags) {
    if (flags & ~EPOLL_CLOEXEC) return sysret::error(EINVAL);
    vfs::description d;
    d.flags = O_RDWR;
    d.path = "anon_inode:[eventpoll]";
    d.body = vfs::epoll_set{};
    return files::install(t, files::state_of(t).add(std::move(d)), flags & EPOLL_CLOEXEC);
}
sysret sys_epoll_create(task& t, int size) {
    if (size <= 0) return sysret::error(EINVAL);
    return sys_epoll_create1(t, 0);
}

sysret sys_epoll_ctl(
    task& t, int epoll, int operation, int fd, guest_ptr<const ::epoll_event> event) {
    ::epoll_event wanted{};
    if (operation != EPOLL_CTL_DEL) {
        auto value = t.read(event);
        if (!value) return value.error();
        wanted = *value;
    }
    auto target = files::find(t, fd);
    if (!target) return target.error();
    description_id own{};
    auto set = find_epoll(t, epoll, &own);
    if (!set) return set.error();
    const vfs::description& d = *target->description;
    // Regular files and directories are always ready and refused (man 2 epoll_ctl).
    if (std::holds_alternative<vfs::tree_file>(d.body) ||
        std::holds_alternative<vfs::tmpfs_file>(d.body) ||
        std::holds_alternative<vfs::text_file>(d.body) ||
        std::holds_alternative<vfs::open_directory>(d.body) ||
        std::holds_alternative<vfs::device>(d.body))
        return sysret::error(EPERM);
    if (own == target->id) return sysret::error(EINVAL);
    const bool is_set = std::holds_alternative<vfs::epoll_set>(d.body);
    auto& items = (*set)->items;
    const std::pair key{fd, target->id};
    const auto it = items.find(key);
    vfs::epoll_set::item item;
    item.events = wanted.events;
    item.data = wanted.data.u64;
    switch (operation) {
        case EPOLL_CTL_ADD:
            if (it != items.end()) return sysret::error(EEXIST);
            if (count_items(files::state_of(t)) >= vfs::max_epoll_items)
                return sysret::error(ENOSPC);
            if ((wanted.events & EPOLLEXCLUSIVE) && ((wanted.events & EPOLLONESHOT) || is_set))
                return sysret::error(EINVAL);
            if (is_set && !vfs::may_hold(files::state_of(t), own, target->id))
                return sysret::error(ELOOP);
            items.emplace(key, item);
            return 0;
        case EPOLL_CTL_MOD:
            if (it == items.end()) return sysret::error(ENOENT);
            if (wanted.events & EPOLLEXCLUSIVE) return sysret::error(EINVAL);
            it->second = item;
            return 0;
        case EPOLL_CTL_DEL:
            if (it == items.end()) return sysret::error(ENOENT);
            items.erase(it);
            return 0;
        default:
            return sysret::error(EINVAL);
    }
}

sysret sys_epoll_wait(
    task& t, int epoll, guest_ptr<::epoll_event> events, int most, int timeout_ms) {
    return wait_epoll(t, epoll, events, most, of_milliseconds(timeout_ms));
}
sysret sys_epoll_pwait(task& t,
                       int epoll,
                       guest_ptr<::epoll_event> events,
                       int most,
                       int timeout_ms,
                       guest_ptr<const signal_set> mask,
                       std::uint64_t mask_size) {
    if (auto ok = apply_mask(t, mask, mask_size); !ok) return ok.error();
    return wait_epoll(t, epoll, events, most, of_milliseconds(timeout_ms));
}
sysret sys_epoll_pwait2(task& t,
                        int epoll,
                        guest_ptr<::epoll_event> events,
                        int most,
                        guest_ptr<const abi::timespec> timeout,
                        guest_ptr<const signal_set> mask,
                        std::uint64_t mask_size) {
    timeout_length length;
    if (timeout) {
        auto value = t.read(timeout);
        if (!value) return value.error();
        auto duration = to_duration(*value);
        if (!duration) return duration.error();
        length = *duration;
    }
    if (auto ok = apply_mask(t, mask, mask_size); !ok) return ok.error();
    return wait_epoll(t, epoll, events, most, length);
}

}  // namespace hearth::guest
