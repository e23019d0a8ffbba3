#include "sched/host_table.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace hearth::sched {
namespace {

constexpr std::size_t index(host_id id) noexcept { return static_cast<std::uint32_t>(id); }

/// An id above would be a large number, against the contract, and cost memory.
constexpr std::size_t most_hosts = 1u << 20;

/// Up to so many holders are looked at one by one. Above, hosts are tried in order of room.
constexpr std::size_t few_holders = 32;

bool test(const std::vector<std::uint64_t>& bits, host_id id) noexcept {
    const std::size_t word = index(id) / 64;
    return word < bits.size() && (bits[word] >> (index(id) % 64) & 1);
}

}  // namespace

/// Above 4 PiB all rooms are alike.
host_table::key host_table::make_key(std::uint64_t room, host_id id) noexcept {
    return std::min<std::uint64_t>(room, std::numeric_limits<std::uint32_t>::max()) << 32 |
           index(id);
}

host_table::entry& host_table::at(host_id id) noexcept {
    HEARTH_ASSERT(contains(id));
    return entries_[index(id)];
}

bool host_table::contains(host_id id) const noexcept {
    return index(id) < entries_.size() && entries_[index(id)].present;
}

const host_view& host_table::operator[](host_id id) const noexcept {
    HEARTH_ASSERT(contains(id));
    return entries_[index(id)].view;
}

const host_view& host_table::view(key k) const noexcept { return entries_[index(id_of(k))].view; }

// --- the index ----------------------------------------------------------------------------------

void host_table::update(const host_view& view) {
    const std::size_t i = index(view.id);
    HEARTH_ASSERT(i < most_hosts);
    if (i >= entries_.size()) {
        entries_.resize(i + 1);
        if (entries_.size() > leaves_) {
            leaves_ = std::bit_ceil(entries_.size());
            room_tree_.assign(2 * leaves_, 0);
            for (const key k : by_room_) set_tree(id_of(k), (k >> 32) + 1);
        }
    }
    entry& e = entries_[i];
    if (e.present)
        unindex(e);
    else
        ++size_;
    e.present = true;
    e.view = view;
    e.view.has_snapshot = false;
    if (view.draining) return;
    if (view.lease_until != time_point::max()) leases_.emplace(view.lease_until, view.id);
    reindex(e);
}

void host_table::remove(host_id id) {
    if (!contains(id)) return;
    unindex(at(id));
    at(id) = {};
    --size_;
    for (auto it = holders_.begin(); it != holders_.end();) {
        const snapshot_id s = it->first;
        ++it;  // dropping the last holder erases it
        drop_snapshot(id, s);
    }
}

/// In its place by the room it has now.
void host_table::reindex(entry& e) {
    const key k = make_key(e.view.room(), e.view.id);
    if (e.indexed) {
        if (k == e.at) return;
        // One number moves, those between close up.
        const auto from = std::lower_bound(by_room_.begin(), by_room_.end(), e.at);
        const auto to = std::lower_bound(by_room_.begin(), by_room_.end(), k);
        if (to > from) {
            std::copy(from + 1, to, from);
            *(to - 1) = k;
        } else {
            std::copy_backward(to, from, from + 1);
            *to = k;
        }
    } else {
        by_room_.insert(std::lower_bound(by_room_.begin(), by_room_.end(), k), k);
        e.indexed = true;
    }
    e.at = k;
    set_tree(e.view.id, (k >> 32) + 1);
}

void host_table::unindex(entry& e) {
    leases_.erase({e.view.lease_until, e.view.id});
    if (!e.indexed) return;
    by_room_.erase(std::lower_bound(by_room_.begin(), by_room_.end(), e.at));
    e.indexed = false;
    set_tree(e.view.id, 0);
}

void host_table::set_tree(host_id id, std::uint64_t room_plus_one) {
    std::size_t at = leaves_ + index(id);
    room_tree_[at] = room_plus_one;
    while (at > 1) {
        at /= 2;
        const std::uint64_t most = std::max(room_tree_[2 * at], room_tree_[2 * at + 1]);
        if (room_tree_[at] == most) return;
        room_tree_[at] = most;
    }
}

void host_table::expire_leases(time_point now) {
    while (!leases_.empty() && leases_.begin()->first <= now) unindex(at(leases_.begin()->second));
}

void host_table::hold_snapshot(host_id id, snapshot_id snapshot) {
    HEARTH_ASSERT(contains(id));
    holders& who = holders_[snapshot];
    if (test(who.bits, id)) return;
    who.list.push_back(id);
    if (who.bits.size() <= index(id) / 64) who.bits.resize(index(id) / 64 + 1);
    who.bits[index(id) / 64] |= std::uint64_t{1} << (index(id) % 64);
}

void host_table::drop_snapshot(host_id id, snapshot_id snapshot) {
    const auto found = holders_.find(snapshot);
    if (found == holders_.end() || !test(found->second.bits, id)) return;
    holders& who = found->second;
    *std::find(who.list.begin(), who.list.end(), id) = who.list.back();
    who.list.pop_back();
    who.bits[index(id) / 64] &= ~(std::uint64_t{1} << (index(id) % 64));
    if (who.list.empty()) holders_.erase(found);
}

bool host_table::holds(host_id id, snapshot_id snapshot) const {
    const auto found = holders_.find(snapshot);
    return found != holders_.end() && test(found->second.bits, id);
}

void host_table::book(host_id id, byte_count memory) {
    entry& e = at(id);
    const std::uint64_t mib = booked_mebibytes(memory);
    e.view.memory_used = e.view.memory_used + byte_count(mib << 20);
    e.view.cpu_used += cpu_of(mib);
    ++e.view.running;
    if (e.indexed) reindex(e);
}

void host_table::release(host_id id, byte_count memory) {
    entry& e = at(id);
    const std::uint64_t mib = booked_mebibytes(memory);
    // A host's own word (update) may have come first: then it is not counted any more.
    const byte_count memory_used = std::min(e.view.memory_used, byte_count(mib << 20));
    e.view.memory_used = e.view.memory_used - memory_used;
    e.view.cpu_used -= std::min(e.view.cpu_used, cpu_of(mib));
    e.view.running -= e.view.running > 0;
    if (e.indexed) reindex(e);
}

// --- decisions ----------------------------------------------------------------------------------

/// The lowest id with at least `room`; there is one.
host_id host_table::first_with(std::uint64_t room) const noexcept {
    std::size_t at = 1;
    while (at < leaves_) {
        at *= 2;
        if (room_tree_[at] <= room) ++at;  // its value is room + 1
    }
    return static_cast<host_id>(at - leaves_);
}

/// Of those fitting (sorted), a holder with the least or the most room; none: null.
const host_table::key* host_table::holder_with(std::span<const key> fitting,
                                               const holders& who,
                                               bool least_room) const noexcept {
    if (fitting.empty()) return nullptr;
    if (who.list.size() > few_holders) {
        if (least_room) {
            for (const key& k : fitting)
                if (test(who.bits, id_of(k))) return &k;
        } else {
            for (std::size_t i = fitting.size(); i-- > 0;)
                if (test(who.bits, id_of(fitting[i]))) return &fitting[i];
        }
        return nullptr;
    }
    const key* best = nullptr;
    for (const host_id id : who.list) {
        const entry& e = entries_[index(id)];
        if (!e.indexed || e.at < fitting.front()) continue;
        if (!best || (least_room ? e.at < *best : e.at > *best)) best = &e.at;
    }
    return best;
}

decision host_table::place(const placement_request& request,
                           const placement_policy& policy,
                           random_source& random,
                           time_point now) {
    expire_leases(now);
    if (size_ == 0) return refused{};
    if (by_room_.empty()) return refused{.why = refused::reason::none_takes_work, .hosts = size_};
    const std::uint64_t wanted = booked_mebibytes(request.memory);
    const auto from =
        std::lower_bound(by_room_.begin(), by_room_.end(), make_key(wanted, host_id{}));
    if (from == by_room_.end()) return shortage(view(by_room_.back()), by_room_.size(), request);
    const std::span<const key> fitting(from, by_room_.end());

    const auto found = holders_.find(request.snapshot);
    const holders* const who = found == holders_.end() ? nullptr : &found->second;
    if (policy.locality && who) {
        const bool least_room = policy.by == strategy::first_fit || policy.by == strategy::best_fit;
        if (const key* k = holder_with(fitting, *who, least_room)) return placed{id_of(*k), true};
    }
    const auto chosen = [who](host_id id) { return placed{id, who && test(who->bits, id)}; };
    const auto n = static_cast<std::uint32_t>(fitting.size());
    switch (policy.by) {
        case strategy::first_fit:
            return chosen(first_with(wanted));
        case strategy::best_fit:
            return chosen(id_of(fitting.front()));
        case strategy::least_loaded:
            return chosen(id_of(fitting.back()));
        case strategy::random:
            return chosen(id_of(fitting[random.below(n)]));
        case strategy::power_of_two_choices:
            break;
    }
    const key one = fitting[random.below(n)];
    const key other = fitting[random.below(n)];
    return chosen(id_of(view(other).load() < view(one).load() ? other : one));
}

}  // namespace hearth::sched
