#pragma once

/// Which host gets a new microVM: a pure function of a request, a view of the hosts, a policy and a
/// seeded generator. `place` below looks at every host and is the definition; host_table answers
/// the same from an index.
///
/// CPU follows from memory (1,769 MB have one vCPU), so a host's room is one number: the largest
/// function it could still take, by whichever of its two resources is shorter. Best fit by that
/// number is best fit on the dominant resource.

#include "sched/random.hpp"

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <variant>

namespace hearth::sched {

/// Thousandths of a vCPU.
using millicpu = std::uint64_t;

/// Small numbers, given out by the owner: a table has a place for each up to the largest.
enum class host_id : std::uint32_t {};
/// What a microVM is restored from: a function version's snapshot.
enum class snapshot_id : std::uint64_t {};

struct placement_request {
    snapshot_id snapshot{};
    byte_count memory;
};

/// Memory in whole MiB, rounded up: what is booked.
[[nodiscard]] constexpr std::uint64_t booked_mebibytes(byte_count memory) noexcept {
    return memory.mebibytes() + (memory.bytes() % (1u << 20) != 0);
}
/// Rounded up; 1,769 MB: 1000.
[[nodiscard]] constexpr millicpu cpu_of(std::uint64_t mebibytes) noexcept {
    return (mebibytes * 1000 + 1768) / 1769;
}

/// A host as it last told of itself, or as a local worker is: its memory budget and what of it is
/// reserved, its vCPU threads (times the factor CPU may be promised more often than it is there).
struct host_view {
    host_id id{};
    byte_count memory_total;
    byte_count memory_used;
    millicpu cpu_total = 0;
    millicpu cpu_used = 0;
    std::size_t running = 0;    ///< microVMs
    bool has_snapshot = false;  ///< the one asked for; host_table has its own index
    bool draining = false;      ///< takes nothing new
    /// Not heard of for too long after it: takes nothing until it is heard of again.
    std::chrono::steady_clock::time_point lease_until =
        std::chrono::steady_clock::time_point::max();

    [[nodiscard]] bool takes_work(std::chrono::steady_clock::time_point now) const noexcept {
        return !draining && now < lease_until;
    }
    /// The largest function it could still take, MiB.
    [[nodiscard]] std::uint64_t room() const noexcept;
    /// The fuller one of its resources, 0 to 1.
    [[nodiscard]] double load() const noexcept;
};

enum class strategy {
    first_fit,             ///< the lowest id with room
    best_fit,              ///< the least room that is enough
    least_loaded,          ///< the most room (worst fit)
    random,                ///< any with room
    power_of_two_choices,  ///< of two at random with room, the one less loaded
};
[[nodiscard]] std::string_view to_string(strategy s) noexcept;

struct placement_policy {
    strategy by = strategy::best_fit;
    /// Hosts that hold the snapshot first: among them the one with the least room for first_fit and
    /// best_fit, with the most for the others.
    bool locality = true;
};

struct placed {
    host_id host{};
    bool had_snapshot = false;
    friend bool operator==(const placed&, const placed&) = default;
};

/// Why there is none, on the host that comes nearest.
struct refused {
    enum class reason { no_host, none_takes_work, memory_short, cpu_short };
    reason why = reason::no_host;
    std::size_t hosts = 0;      ///< that take work; none_takes_work: all
    host_id nearest{};          ///< the one with the most room
    byte_count memory_short{};  ///< there
    millicpu cpu_short = 0;     ///< there
    friend bool operator==(const refused&, const refused&) = default;
};

using decision = std::variant<placed, refused>;

/// By looking at each host. The order of `hosts` does not matter.
[[nodiscard]] decision place(std::span<const host_view> hosts,
                             const placement_request& request,
                             const placement_policy& policy,
                             random_source& random,
                             std::chrono::steady_clock::time_point now);

/// errc::no_room with a sentence.
[[nodiscard]] error to_error(const refused& why);

/// Which resource of `nearest` falls short of the request, and by how much.
[[nodiscard]] refused shortage(const host_view& nearest,
                               std::size_t hosts,
                               const placement_request& request) noexcept;

}  // namespace hearth::sched
