#pragma once

/// What the guests of one runtime share of the network: one thread that watches all their sockets,
/// and a few that ask the host's resolver. Threads begin with the first need of them, so functions
/// without a network cost none. Thread-safe.
///
/// Lock order: engine::mutex_ → what `listener::network_ready` takes.

#include "base/unique_fd.hpp"
#include "net/dns.hpp"
#include "net/rules.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth::net {

/// Per guest, but for `sockets`.
struct limits {
    std::size_t sockets_per_guest = 256;   ///< beyond: ENOBUFS
    std::size_t sockets = 4096;            ///< of all guests together; beyond: ENFILE
    double connections_per_second = 100;   ///< beyond, after a burst of twice that: EADDRNOTAVAIL
    double datagrams_per_second = 10'000;  ///< beyond, after a burst of as many: ENOBUFS
    std::size_t lookups_under_way = 32;    ///< beyond: SERVFAIL at once
};

/// Who runs a guest.
class listener {
  public:
    /// Some socket of the guest has news. Any thread; must not call back.
    virtual void network_ready() noexcept = 0;

  protected:
    ~listener() = default;
};

class engine {
  public:
    explicit engine(net::limits l = {});
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;
    /// Waits for lookups under way, as long as the host's resolver takes.
    ~engine();

    [[nodiscard]] const net::limits& limits() const noexcept { return limits_; }

    /// Room for one more socket of some guest. False: there is none.
    [[nodiscard]] bool take_room() noexcept;
    void give_room() noexcept { --open_; }

    /// From now on `who` hears of the socket, and `edges` counts. @return a token, 0: it failed
    std::uint64_t watch(int fd, listener& who, std::shared_ptr<std::atomic<std::uint64_t>> edges);
    /// When it returns, `who` is not called for this socket any more.
    void forget(int fd, std::uint64_t token);

    /// A lookup, answered into `reply`, a datagram socket. `under_way` is counted down then.
    struct lookup {
        dns::query query;
        std::shared_ptr<unique_fd> reply;
        std::shared_ptr<rules> permitted;
        std::shared_ptr<std::atomic<std::size_t>> under_way;
    };
    /// False: too many wait already.
    [[nodiscard]] bool ask(lookup l);

    /// The address belongs to an interface of this host.
    [[nodiscard]] static bool is_own(const address& a);

  private:
    struct watched {
        listener* who = nullptr;
        std::shared_ptr<std::atomic<std::uint64_t>> edges;
    };
    bool start_watching();
    void watch_all();
    void resolve_all();

    static constexpr std::size_t max_resolvers = 4;
    static constexpr std::size_t max_lookups = 1024;

    const net::limits limits_;
    std::atomic<std::size_t> open_{0};

    std::mutex mutex_;  // guards what follows
    unique_fd epoll_, stop_event_;
    std::map<std::uint64_t, watched> watched_;
    std::uint64_t next_ = 1;
    std::thread watcher_;

    std::mutex lookup_mutex_;  // a leaf; guards what follows
    std::condition_variable lookup_;
    std::deque<lookup> lookups_;
    std::size_t idle_ = 0;
    bool stop_ = false;
    std::vector<std::thread> resolvers_;
};

}  // namespace hearth::net
