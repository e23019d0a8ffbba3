#pragma once

/// What pool_fsm holds, and the moves its calls are made of. Private to the room.

#include "pool/index_list.hpp"
#include "pool/pool_fsm.hpp"

#include <algorithm>
#include <functional>
#include <string>
#include <unordered_map>

namespace hearth::pool {

using std::chrono::nanoseconds;
inline constexpr time_point never = time_point::max();
inline constexpr time_point at_once = time_point::min();

/// Saturating: a duration may be the largest there is.
inline time_point later(time_point t, nanoseconds d) {
    return d >= never - std::max(t, time_point{}) ? never : t + d;
}

enum class phase : std::uint8_t {
    starting,
    starting_ahead,
    running,
    suspended,  ///< running, without a shell
    idle,
    detaching,
    ending
};

struct environment {
    environment_id self;
    std::uint32_t version = nil;
    std::uint32_t shell = nil;
    std::uint32_t tenant = nil;  ///< the one it serves; nil: none yet
    pool::phase phase = phase::starting;
    bool attached = true;  ///< not snapshot + diff; while its shell is being stolen, without one
    bool provisioned = false;
    bool detachable = false;
    bool doomed = false;  ///< ending, but its detach has not been reported yet
    time_point since;     ///< idle
    std::uint64_t diff = 0;
    std::uint64_t charge = 0;
    link in_version;  ///< idle or detaching: version::idle or ::idle_provisioned
    link in_tenant;   ///< the same, isolation::tenant: tenant::idle or version::fresh
    link in_lru;      ///< idle on-demand: state::lru_attached or ::lru_detached
    link in_detach;   ///< idle, attached and detachable: state::detach_next
    link in_own;      ///< the same: version::detach_next
};

struct tenant {
    struct tag;
    id<tag> self;
    std::string name;
    index_list<environment, &environment::in_tenant> idle;
    std::size_t environments = 0;
};

enum class shell_phase : std::uint8_t { in_use, free_used, blank, making, destroying };

struct shell {
    shell_id self;
    shell_phase phase = shell_phase::in_use;
    std::uint32_t size = nil;     ///< index into state::sizes
    std::uint32_t version = nil;  ///< that uses it, or used it last; nil: a blank one
    std::uint32_t environment = nil;
    time_point since;  ///< free
    link in_version;   ///< free, used: version::free_shells
    link in_size;      ///< free: shell_size::free_used or ::blank
    link in_all;       ///< free, used: state::free_used
};

/// Shells of one size. Never removed: there are few sizes.
struct shell_size {
    std::uint64_t bytes = 0;
    index_list<shell, &shell::in_size> free_used, blank;
    std::size_t making = 0;
    std::size_t versions = 0;
    time_point used;  ///< last
    time_point retry_at = at_once;
    nanoseconds backoff{};
};

struct function {
    function_id self;
    std::optional<std::size_t> reserved;
    std::size_t provisioned = 0;  ///< of its versions
    std::size_t admitted = 0;
    std::size_t on_demand = 0;  ///< admitted beyond what their version has provisioned
    std::size_t versions = 0;
    bool removed = false;
    time_point scale_up;  ///< GCRA's theoretical arrival time of the next start
};

struct text_hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view s) const noexcept {
        return std::hash<std::string_view>{}(s);
    }
};

struct version {
    version_id self;
    version_policy policy;
    std::uint32_t function = nil;
    std::uint32_t size = nil;
    bool retired = false;
    environment_counts counts;
    index_list<environment, &environment::in_version> idle, idle_provisioned;
    index_list<environment, &environment::in_tenant> fresh;  ///< of no tenant yet
    std::unordered_map<std::string, std::uint32_t, text_hash, std::equal_to<>> tenants;
    index_list<shell, &shell::in_version> free_shells;
    index_list<environment, &environment::in_own> detach_next;
    std::uint32_t heap_at = nil;
    bool lacks = false;  ///< in state::lacking
    // Its snapshot; `policy.snapshot`: it is held or stored.
    std::uint64_t snapshot = 0;  ///< bytes, of the last there was
    bool held = false;           ///< in memory, and charged
    bool stored = false;         ///< on disk
    time_point since;            ///< in the next
    link in_snapshots;           ///< held, no live environment: state::idle_snapshots
    cold_reason no_snapshot = cold_reason::not_taken;  ///< where there is none
    start_reason last_end = start_reason::first;       ///< of its environments
    time_point retry_at = at_once;
    nanoseconds backoff{};

    [[nodiscard]] std::uint64_t memory() const noexcept { return policy.memory.bytes(); }
    [[nodiscard]] std::size_t on_demand() const noexcept {
        return counts.admitted > policy.provisioned ? counts.admitted - policy.provisioned : 0;
    }
};

struct pool_fsm::state {
    explicit state(pool_options o) : options(o) {}

    pool_options options;
    pool_counters counters;
    time_point clock = at_once;
    bool draining = false, shut = false;

    table<function, function_id> functions;
    table<version, version_id> versions;
    table<environment, environment_id> environments;
    table<tenant, id<tenant::tag>> tenants;
    table<shell, shell_id> shells;
    std::deque<shell_size> sizes;
    std::uint32_t latest_size = nil;

    environment_counts total;
    shell_counts shell_total;
    std::size_t reserved = 0;                ///< all functions' reservations
    std::size_t unreserved_provisioned = 0;  ///< of functions without one; so the next two
    std::size_t unreserved_on_demand = 0;
    std::size_t unreserved_admitted = 0;

    std::uint64_t charged = 0;
    std::uint64_t snapshots = 0;  ///< of it, those held
    std::uint64_t evictable = 0;  ///< charges of what is in the next three
    index_list<environment, &environment::in_lru> lru_attached, lru_detached;
    index_list<version, &version::in_snapshots> idle_snapshots;
    index_list<environment, &environment::in_detach> detach_next;
    index_list<shell, &shell::in_all> free_used;
    std::size_t detaching = 0;       ///< not yet reported, doomed and stolen ones too
    std::size_t detaching_idle = 0;  ///< without the doomed
    due_heap<version> expiry;

    std::vector<action> pending;         ///< decided, not yet handed out
    std::vector<std::uint32_t> lacking;  ///< versions that may want starts ahead
    time_point ahead_at = never;         ///< when to look at them
    /// Bytes that would let one start: free, and free or evictable. Nobody waits for memory: max.
    std::uint64_t ahead_needs = ~0ull, ahead_needs_evicting = ~0ull;
    bool ahead_waits_for_slot = false;
    time_point shells_at = never;  ///< when to look at free and spare shells

    // -- limits (pool_fsm.cpp)
    /// Changes what admission sums over `v` by `change`.
    template <class F>
    void recount(version& v, F&& change) {
        subtract(v);
        change();
        add(v);
    }
    void subtract(version& v);
    void add(version& v);
    [[nodiscard]] std::size_t carved() const { return reserved + unreserved_provisioned; }
    [[nodiscard]] denial check_limits(version& v) const;
    result<void> check_policy(const function& f, const version_policy& p, std::size_t before) const;
    void forget_if_gone(version& v);
    void forget_if_gone(function& f);

    // -- environments (environments.cpp)
    /// Decides what the passing of time has decided.
    void advance(time_point& now);
    [[nodiscard]] environment* find_idle(version& v, std::string_view tenant_name);
    [[nodiscard]] static start_reason why_none_is_idle(const version& v);
    decision start_one(version& v, std::string_view tenant_name, bool ahead, bool may_evict);
    /// @param not_evictable  of what may be evicted, what `v` needs itself
    [[nodiscard]] bool room_for(std::uint64_t bytes, const version& v, std::uint64_t not_evictable);
    [[nodiscard]] std::uint64_t snapshots_after_eviction(const version& but);
    void make_room(std::uint64_t bytes,
                   std::vector<environment_id>& evict,
                   std::vector<version_id>& drop);
    void evict_above_budget(std::uint64_t more = 0);
    [[nodiscard]] bool snapshot_goes_next();
    void hold(version& v);
    void let_go(version& v);
    void drop(version& v);
    void list_snapshot(version& v);
    void unlist_snapshot(version& v);
    [[nodiscard]] pool::no_room no_room_for(std::uint64_t bytes) const;
    [[nodiscard]] std::uint64_t free_memory() const;
    void charge(environment& e, std::uint64_t bytes);
    void wake_ahead();
    void bind_tenant(environment& e, version& v, std::string_view name);
    /// @return false: it is ending
    bool enter_idle(environment& e, time_point now, bool keep);
    void list_idle(environment& e, version& v);
    void list_lru(environment& e);    ///< may be evicted and detached
    void unlist_lru(environment& e);  ///< may no longer
    void unlist_idle(environment& e, version& v);
    void set_provisioned(environment& e, version& v, bool yes);
    void balance_provisioned(version& v);
    enum class ending { expired, evicted, surplus, destroyed, failed };
    /// Nobody gets it any more; `tell`: `due` says so.
    void end(environment& e, ending why, bool tell);
    void forget(environment& e);
    void touch_expiry(version& v);
    void begin_detach(environment& e);
    void give_up_idle(version& v);
    void trim(version& v);
    [[nodiscard]] time_point expires(version& v);
    void expire(version& v, time_point now);
    [[nodiscard]] std::size_t lack(const version& v) const;
    void note_lack(version& v);
    void start_ahead(time_point now, std::vector<action>& into);
    [[nodiscard]] bool detach_is_due(time_point now);
    [[nodiscard]] std::size_t attached_idle() const;

    /// Changes what `e` is counted as.
    template <class F>
    void move(environment& e, F&& change) {
        count(e, false);
        change();
        count(e, true);
    }
    void count(const environment& e, bool in);

    // -- shells (shells.cpp)
    std::uint32_t size_of(const version_policy& p);
    shell_grant grant(environment& e, const std::vector<environment_id>& evicted, time_point now);
    shell_grant own(shell& s, environment& e, shell_source source);
    std::size_t& count_of(shell_phase p);
    void set_phase(shell& s, shell_phase p);
    void unlist(shell& s);
    void free_shell(shell& s, time_point now, bool blank);
    void release_shell(environment& e, shell_fate fate, time_point now);
    void forget(shell& s);
    void destroy(shell& s, std::vector<action>& into);
    void use_size(std::uint32_t size, time_point now);
    [[nodiscard]] time_point in_demand_until(const shell_size& c) const;
    enum class surplus { none, shell, environment };
    /// What is to go because more shells are used than may be.
    [[nodiscard]] surplus over_max_shells() const;
    void retire_surplus(std::vector<action>& into);
    void look_after_shells(time_point now, std::vector<action>& into);
};

}  // namespace hearth::pool
