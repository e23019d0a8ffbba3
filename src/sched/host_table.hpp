#pragma once

/// The hosts there are, indexed so that a placement looks at few of them: in order of room, of
/// which those with enough are the end; a tree of maxima by id, for first fit; and by snapshot, its
/// holders. It decides as `place` does over the same views.
///
/// A decision costs a binary search, O(log hosts); booking moves one number within a sorted array
/// of 8 bytes a host: meant for up to some ten thousand hosts. With locality: the holders of the
/// snapshot if they are few; else hosts in order of room until one holds it, which many do.
///
/// Without clock, threads or I/O. Not thread-safe.

#include "sched/placement.hpp"

#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hearth::sched {

class host_table {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    /// Adds the host, or replaces what was known of it but its snapshots.
    void update(const host_view& view);
    void remove(host_id id);
    void hold_snapshot(host_id id, snapshot_id snapshot);
    void drop_snapshot(host_id id, snapshot_id snapshot);

    /// `now` never goes back.
    [[nodiscard]] decision place(const placement_request& request,
                                 const placement_policy& policy,
                                 random_source& random,
                                 time_point now);
    /// Books what was placed, and the reverse. The host is there.
    void book(host_id id, byte_count memory);
    void release(host_id id, byte_count memory);

    [[nodiscard]] bool contains(host_id id) const noexcept;
    /// The host is there.
    [[nodiscard]] const host_view& operator[](host_id id) const noexcept;
    [[nodiscard]] bool holds(host_id id, snapshot_id snapshot) const;
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Those that take work, as of the last `place`.
    [[nodiscard]] std::size_t taking_work() const noexcept { return by_room_.size(); }

  private:
    /// Room in MiB above the id: sorts by room, then id.
    using key = std::uint64_t;
    static key make_key(std::uint64_t room, host_id id) noexcept;
    static host_id id_of(key k) noexcept { return static_cast<host_id>(k & 0xffff'ffff); }

    struct entry {
        host_view view;
        bool present = false;
        bool indexed = false;  ///< in by_room_ and room_tree_, under `at`
        key at = 0;
    };
    struct holders {
        std::vector<host_id> list;  // no order
        std::vector<std::uint64_t> bits;
    };

    entry& at(host_id id) noexcept;
    [[nodiscard]] const host_view& view(key k) const noexcept;
    void reindex(entry& e);
    void unindex(entry& e);
    void set_tree(host_id id, std::uint64_t room_plus_one);
    void expire_leases(time_point now);
    [[nodiscard]] host_id first_with(std::uint64_t room) const noexcept;
    [[nodiscard]] const key* holder_with(std::span<const key> fitting,
                                         const holders& who,
                                         bool least_room) const noexcept;

    std::size_t size_ = 0;
    std::vector<entry> entries_;                       // by id
    std::vector<key> by_room_;                         // sorted; those that take work
    std::vector<std::uint64_t> room_tree_;             // maxima of room + 1; leaves by id
    std::size_t leaves_ = 0;                           // a power of two, or none
    std::set<std::pair<time_point, host_id>> leases_;  // of those indexed, if they end
    std::unordered_map<snapshot_id, holders> holders_;
};

}  // namespace hearth::sched
