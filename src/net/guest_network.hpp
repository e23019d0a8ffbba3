#pragma once

/// One guest's sockets on the host: `guest::outbound` for a sandbox. Lives beside the sandbox, so
/// that a guest which is moved to another microVM keeps its connections; a clone has none of them.
/// Owner thread only.

#include "base/unique_fd.hpp"
#include "guest/kernel/outbound.hpp"
#include "net/engine.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace hearth::net {

class guest_network final : public guest::outbound {
  public:
    /// All outlive it.
    guest_network(engine& e, std::shared_ptr<rules> permitted, listener& who);
    guest_network(const guest_network&) = delete;
    guest_network& operator=(const guest_network&) = delete;
    ~guest_network() override;

    bool may_reach(const guest::vfs::socket_name& to) override;
    guest::outcome<void> connect(std::uint32_t id,
                                 int family,
                                 int type,
                                 const guest::vfs::socket_name& to) override;
    void disconnect(std::uint32_t id) override;
    guest::outcome<std::size_t> send(std::uint32_t id,
                                     int family,
                                     std::span<const std::byte> bytes,
                                     const guest::vfs::socket_name* to) override;
    guest::outcome<std::size_t> send_urgent(std::uint32_t id,
                                            std::span<const std::byte> bytes) override;
    guest::outcome<std::size_t> receive_urgent(std::uint32_t id,
                                               std::span<std::byte> into,
                                               bool peek) override;
    bool at_mark(std::uint32_t id) override;
    guest::outcome<received> receive(std::uint32_t id,
                                     std::span<std::byte> into,
                                     bool peek) override;
    short poll(std::uint32_t id) override;
    std::uint64_t activity(std::uint32_t id) override;
    int take_error(std::uint32_t id) override;
    guest::outcome<void> shutdown(std::uint32_t id, int how) override;
    guest::outcome<guest::vfs::socket_name> name(std::uint32_t id, bool peer) override;
    void set_option(std::uint32_t id, int level, int option, std::int64_t value) override;
    std::size_t unread(std::uint32_t id) override;
    void close(std::uint32_t id) override;
    void close_all() override;

    [[nodiscard]] std::size_t open_sockets() const noexcept { return sockets_.size(); }

  private:
    struct socket {
        unique_fd fd;
        std::shared_ptr<unique_fd> resolver;  ///< the other end, of one that asks names
        bool v6 = false, stream = false, connected = false;
        std::uint64_t token = 0;
        std::shared_ptr<std::atomic<std::uint64_t>> edges;
        std::uint64_t calls = 0;  ///< of the guest, that may have armed it again
        /// What poll found, and `activity` before it: good until there is news.
        std::optional<std::pair<std::uint64_t, short>> seen;
    };
    /// Tokens that come back with time.
    struct bucket {
        double per_second, most, left;
        std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
        bool take();
    };
    guest::outcome<socket*> get(std::uint32_t id);
    guest::outcome<socket*> make(std::uint32_t id, int family, int type, const endpoint& to);
    [[nodiscard]] guest::outcome<void> permit(const endpoint& to) const;
    guest::outcome<std::size_t> ask(socket& s, std::span<const std::byte> bytes);
    void let_go(socket& s);

    engine& engine_;
    const std::shared_ptr<rules> rules_;
    listener& who_;
    bucket connections_, datagrams_;
    std::shared_ptr<std::atomic<std::size_t>> lookups_;
    std::map<std::uint32_t, socket> sockets_;
};

}  // namespace hearth::net
