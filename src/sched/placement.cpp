#include "sched/placement.hpp"

#include <algorithm>
#include <string>
#include <tuple>
#include <vector>

namespace hearth::sched {
namespace {

/// More than any host has, and no overflow when multiplied.
constexpr millicpu most_cpu = millicpu{1} << 48;

double share(std::uint64_t used, std::uint64_t total) noexcept {
    return total > 0 ? static_cast<double>(used) / static_cast<double>(total) : 1;
}

template <class T>
T minus(T a, T b) noexcept {
    return a > b ? a - b : T{};
}

}  // namespace

std::uint64_t host_view::room() const noexcept {
    const std::uint64_t memory = minus(memory_total, memory_used).mebibytes();
    // cpu_of(m) <= free is m * 1000 <= free * 1769.
    const std::uint64_t cpu = std::min(minus(cpu_total, cpu_used), most_cpu) * 1769 / 1000;
    return std::min(memory, cpu);
}

double host_view::load() const noexcept {
    return std::max(share(memory_used.bytes(), memory_total.bytes()), share(cpu_used, cpu_total));
}

std::string_view to_string(strategy s) noexcept {
    switch (s) {
        case strategy::first_fit:
            return "first_fit";
        case strategy::best_fit:
            return "best_fit";
        case strategy::least_loaded:
            return "least_loaded";
        case strategy::random:
            return "random";
        case strategy::power_of_two_choices:
            return "power_of_two_choices";
    }
    return "unknown";
}

decision place(std::span<const host_view> hosts,
               const placement_request& request,
               const placement_policy& policy,
               random_source& random,
               std::chrono::steady_clock::time_point now) {
    const std::uint64_t wanted = booked_mebibytes(request.memory);
    std::vector<const host_view*> fitting;
    const host_view* nearest = nullptr;
    std::size_t taking = 0;
    const auto less = [](const host_view* a, const host_view* b) {
        return std::tuple(a->room(), a->id) < std::tuple(b->room(), b->id);
    };
    for (const host_view& h : hosts) {
        if (!h.takes_work(now)) continue;
        ++taking;
        if (!nearest || less(nearest, &h)) nearest = &h;
        if (h.room() >= wanted) fitting.push_back(&h);
    }
    if (hosts.empty()) return refused{};
    if (taking == 0) return refused{.why = refused::reason::none_takes_work, .hosts = hosts.size()};
    if (fitting.empty()) return shortage(*nearest, taking, request);
    std::sort(fitting.begin(), fitting.end(), less);

    const auto chosen = [](const host_view* h) { return placed{h->id, h->has_snapshot}; };
    if (policy.locality) {
        const auto holds = [](const host_view* h) { return h->has_snapshot; };
        if (policy.by == strategy::first_fit || policy.by == strategy::best_fit) {
            const auto at = std::find_if(fitting.begin(), fitting.end(), holds);
            if (at != fitting.end()) return chosen(*at);
        } else {
            const auto at = std::find_if(fitting.rbegin(), fitting.rend(), holds);
            if (at != fitting.rend()) return chosen(*at);
        }
    }
    const auto n = static_cast<std::uint32_t>(fitting.size());
    switch (policy.by) {
        case strategy::first_fit:
            return chosen(*std::min_element(
                fitting.begin(), fitting.end(),
                [](const host_view* a, const host_view* b) { return a->id < b->id; }));
        case strategy::best_fit:
            return chosen(fitting.front());
        case strategy::least_loaded:
            return chosen(fitting.back());
        case strategy::random:
            return chosen(fitting[random.below(n)]);
        case strategy::power_of_two_choices:
            break;
    }
    const host_view* const one = fitting[random.below(n)];
    const host_view* const other = fitting[random.below(n)];
    return chosen(other->load() < one->load() ? other : one);
}

refused shortage(const host_view& nearest,
                 std::size_t hosts,
                 const placement_request& request) noexcept {
    const std::uint64_t wanted = booked_mebibytes(request.memory);
    const std::uint64_t memory_free = minus(nearest.memory_total, nearest.memory_used).mebibytes();
    const millicpu cpu_free = minus(nearest.cpu_total, nearest.cpu_used);
    refused why;
    why.hosts = hosts;
    why.nearest = nearest.id;
    why.memory_short = byte_count(minus(wanted, memory_free) << 20);
    why.cpu_short = minus(cpu_of(wanted), cpu_free);
    // Both may be short: the one that leaves less room is to blame.
    why.why = memory_free <= std::min(cpu_free, most_cpu) * 1769 / 1000
                  ? refused::reason::memory_short
                  : refused::reason::cpu_short;
    return why;
}

error to_error(const refused& why) {
    const std::string hosts = std::to_string(why.hosts) + (why.hosts == 1 ? " host" : " hosts");
    const std::string nearest = " on host " +
                                std::to_string(static_cast<std::uint32_t>(why.nearest)) +
                                ", the one with the most room of " + hosts;
    switch (why.why) {
        case refused::reason::no_host:
            return {errc::no_room, "there is no host"};
        case refused::reason::none_takes_work:
            return {errc::no_room, "no host takes work: of " + hosts + " all drain or are lost"};
        case refused::reason::memory_short:
            return {errc::no_room, "memory is short by " +
                                       std::to_string(why.memory_short.mebibytes()) + " MiB" +
                                       nearest};
        case refused::reason::cpu_short:
            break;
    }
    std::string thousandths = std::to_string(1000 + why.cpu_short % 1000).substr(1);
    return {errc::no_room, "CPU is short by " + std::to_string(why.cpu_short / 1000) + "." +
                               thousandths + " vCPUs" + nearest};
}

}  // namespace hearth::sched
