#include "net/engine.hpp"

#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace hearth::net {
namespace {

/// Asks the host's resolver; blocks.
std::vector<std::byte> resolve(const dns::query& q, rules& permitted) {
    if (q.type != dns::type_a && q.type != dns::type_aaaa)
        return dns::answer(q, dns::rcode::no_error);  // it has no records of that kind
    addrinfo hints{};
    hints.ai_family = q.type == dns::type_a ? AF_INET : AF_INET6;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int failure = ::getaddrinfo(q.name.c_str(), nullptr, &hints, &list);
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(list, &::freeaddrinfo);
    if (failure == EAI_NONAME) return dns::answer(q, dns::rcode::no_such_name);
    if (failure == EAI_NODATA || failure == EAI_ADDRFAMILY)
        return dns::answer(q, dns::rcode::no_error);
    if (failure != 0) return dns::answer(q, dns::rcode::server_failure);
    std::vector<address> found;
    for (const addrinfo* a = list; a; a = a->ai_next) {
        sockaddr_storage name{};
        std::memcpy(&name, a->ai_addr, std::min<std::size_t>(a->ai_addrlen, sizeof name));
        const auto e = endpoint::of(name, a->ai_addrlen);
        if (e && std::ranges::find(found, e->address) == found.end()) found.push_back(e->address);
    }
    permitted.grant(q.name, found);
    return dns::answer(q, dns::rcode::no_error, found);
}

}  // namespace

engine::engine(net::limits l) : limits_(l) {}

engine::~engine() {
    if (watcher_.joinable()) {
        const std::uint64_t one = 1;
        (void)!::write(stop_event_.get(), &one, sizeof one);
        watcher_.join();
    }
    {
        const std::lock_guard lock(lookup_mutex_);
        stop_ = true;
        lookups_.clear();
    }
    lookup_.notify_all();
    for (std::thread& t : resolvers_) t.join();
}

bool engine::take_room() noexcept {
    if (open_.fetch_add(1) < limits_.sockets) return true;
    --open_;
    return false;
}

/// With mutex_ held.
bool engine::start_watching() {
    if (watcher_.joinable()) return true;
    unique_fd set(::epoll_create1(EPOLL_CLOEXEC));
    unique_fd stop(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event event{};
    event.events = EPOLLIN;
    if (!set || !stop || ::epoll_ctl(set.get(), EPOLL_CTL_ADD, stop.get(), &event) != 0)
        return false;
    epoll_ = std::move(set);
    stop_event_ = std::move(stop);
    try {
        watcher_ = std::thread([this] { watch_all(); });
    } catch (const std::system_error&) {
        return false;
    }
    return true;
}

std::uint64_t engine::watch(int fd,
                            listener& who,
                            std::shared_ptr<std::atomic<std::uint64_t>> edges) {
    const std::lock_guard lock(mutex_);
    if (!start_watching()) return 0;
    const std::uint64_t token = next_++;
    watched_[token] = {&who, std::move(edges)};
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
    event.data.u64 = token;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return token;
    watched_.erase(token);
    return 0;
}

void engine::forget(int fd, std::uint64_t token) {
    const std::lock_guard lock(mutex_);
    (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    watched_.erase(token);
}

void engine::watch_all() {
    std::array<epoll_event, 64> events;
    for (;;) {
        const int n = ::epoll_wait(epoll_.get(), events.data(), int{events.size()}, -1);
        if (n < 0 && errno != EINTR) return;
        const std::lock_guard lock(mutex_);
        for (int i = 0; i < n; ++i) {
            const std::uint64_t token = events[static_cast<std::size_t>(i)].data.u64;
            if (token == 0) return;
            const auto it = watched_.find(token);
            if (it == watched_.end()) continue;
            it->second.edges->fetch_add(1);
            it->second.who->network_ready();
        }
    }
}

bool engine::ask(lookup l) {
    const std::lock_guard lock(lookup_mutex_);
    if (stop_ || lookups_.size() >= max_lookups) return false;
    if (idle_ <= lookups_.size() && resolvers_.size() < max_resolvers) {
        try {
            resolvers_.emplace_back([this] { resolve_all(); });
        } catch (const std::system_error&) {
            if (resolvers_.empty()) return false;
        }
    }
    lookups_.push_back(std::move(l));
    lookup_.notify_one();
    return true;
}

void engine::resolve_all() {
    std::unique_lock lock(lookup_mutex_);
    for (;;) {
        ++idle_;
        lookup_.wait(lock, [this] { return stop_ || !lookups_.empty(); });
        --idle_;
        if (stop_) return;
        const lookup l = std::move(lookups_.front());
        lookups_.pop_front();
        lock.unlock();
        const auto reply = resolve(l.query, *l.permitted);
        // Nobody may be there any more, or not read: as on a network, it is lost then.
        (void)!::send(l.reply->get(), reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        --*l.under_way;
        lock.lock();
    }
}

bool engine::is_own(const address& a) {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) return true;  // not known: refused
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
    for (const ifaddrs* i = list; i; i = i->ifa_next) {
        if (!i->ifa_addr) continue;
        const bool four = i->ifa_addr->sa_family == AF_INET;
        if (!four && i->ifa_addr->sa_family != AF_INET6) continue;
        sockaddr_storage name{};
        const ::socklen_t length = four ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        std::memcpy(&name, i->ifa_addr, length);
        if (const auto e = endpoint::of(name, length); e && e->address == a) return true;
    }
    return false;
}

}  // namespace hearth::net
