#include "pool/pool_state.hpp"

namespace hearth::pool {
namespace {

std::size_t& slot(environment_counts& c, const environment& e) {
    switch (e.phase) {
        case phase::starting:
            return c.starting;
        case phase::starting_ahead:
            return c.starting_ahead;
        case phase::running:
        case phase::suspended:
            return c.running;
        case phase::idle:
        case phase::detaching:
            return e.attached ? c.idle_attached : c.idle_detached;
        case phase::ending:
            break;
    }
    return c.ending;
}

}  // namespace

void pool_fsm::state::count(const environment& e, bool in) {
    for (environment_counts* c : {&total, &versions[e.version].counts}) {
        std::size_t& n = slot(*c, e);
        n = in ? n + 1 : n - 1;
        if (e.provisioned) c->provisioned = in ? c->provisioned + 1 : c->provisioned - 1;
    }
}

// -- memory

std::uint64_t pool_fsm::state::free_memory() const {
    const std::uint64_t budget = options.memory_budget.bytes();
    if (!budget) return ~0ull;
    return budget > charged ? budget - charged : 0;
}

/// Evicting whatever may be evicted would make it enough.
bool pool_fsm::state::room_for(std::uint64_t bytes, const version& v, std::uint64_t not_evictable) {
    const std::uint64_t budget = options.memory_budget.bytes();
    if (!budget || !bytes) return true;
    const std::uint64_t stays = charged - (evictable - not_evictable);
    if (bytes > budget) return false;
    if (stays <= budget - bytes) return true;
    // Looking at every version, but only before a refusal that snapshots could avert.
    if (stays - std::min(stays, snapshots) > budget - bytes) return false;
    return stays - snapshots_after_eviction(v) <= budget - bytes;
}

/// Those that may go once the idle environments of their versions have gone.
std::uint64_t pool_fsm::state::snapshots_after_eviction(const version& but) {
    std::uint64_t sum = 0;
    versions.each([&](version& v) {
        if (&v == &but || !v.held || !v.counts.live() || v.idle.size() != v.counts.live()) return;
        for (std::uint32_t at = v.idle.front(); at != nil; at = environments[at].in_version.next)
            if (environments[at].phase != phase::idle) return;
        sum += v.snapshot;
    });
    return sum;
}

no_room pool_fsm::state::no_room_for(std::uint64_t bytes) const {
    return {byte_count(bytes), byte_count(free_memory())};
}

bool pool_fsm::state::snapshot_goes_next() {
    if (idle_snapshots.empty()) return false;
    if (lru_attached.empty() && lru_detached.empty()) return true;
    return later(versions[idle_snapshots.front()].since, options.snapshot_ttl) <= clock;
}

void pool_fsm::state::make_room(std::uint64_t bytes,
                                std::vector<environment_id>& evict,
                                std::vector<version_id>& dropped) {
    while (bytes > free_memory()) {
        if (snapshot_goes_next()) {
            version& v = versions[idle_snapshots.front()];
            dropped.push_back(v.self);
            drop(v);
            continue;
        }
        const std::uint32_t victim =
            lru_attached.empty() ? lru_detached.front() : lru_attached.front();
        HEARTH_ASSERT(victim != nil);
        environment& e = environments[victim];
        evict.push_back(e.self);
        end(e, ending::evicted, false);
    }
}

/// For `more`; or as a diff may be more than the memory size, which is what was charged: files
/// count too.
void pool_fsm::state::evict_above_budget(std::uint64_t more) {
    const std::uint64_t budget = options.memory_budget.bytes();
    while (budget && charged + more > budget && evictable) {
        if (snapshot_goes_next()) {
            version& v = versions[idle_snapshots.front()];
            pending.push_back(drop_snapshot{v.self});
            drop(v);
            continue;
        }
        const std::uint32_t victim =
            lru_attached.empty() ? lru_detached.front() : lru_attached.front();
        end(environments[victim], ending::evicted, true);
    }
}

// -- snapshots

void pool_fsm::state::hold(version& v) {
    v.held = v.policy.snapshot = true;
    charged += v.snapshot;
    snapshots += v.snapshot;
    if (!v.counts.live()) list_snapshot(v);
}

void pool_fsm::state::let_go(version& v) {
    v.policy.snapshot = v.stored;
    if (!v.held) return;
    unlist_snapshot(v);
    v.held = false;
    charged -= v.snapshot;
    snapshots -= v.snapshot;
    wake_ahead();
}

/// For want of memory. Its shells hold it too.
void pool_fsm::state::drop(version& v) {
    let_go(v);
    v.no_snapshot = cold_reason::dropped;
    ++counters.snapshots_dropped;
    while (!v.free_shells.empty()) destroy(shells[v.free_shells.front()], pending);
}

void pool_fsm::state::list_snapshot(version& v) {
    if (!v.held || !v.snapshot) return;
    v.since = clock;
    idle_snapshots.push_back(versions, v);
    evictable += v.snapshot;
    wake_ahead();
}

void pool_fsm::state::unlist_snapshot(version& v) {
    if (!v.in_snapshots.in()) return;
    idle_snapshots.erase(versions, v);
    evictable -= v.snapshot;
}

// -- memory of environments

void pool_fsm::state::charge(environment& e, std::uint64_t bytes) {
    HEARTH_ASSERT(!e.in_lru.in());
    const bool less = bytes < e.charge;
    charged = charged - e.charge + bytes;
    e.charge = bytes;
    if (less) wake_ahead();
}

/// There is more memory to be had.
void pool_fsm::state::wake_ahead() {
    if (ahead_needs == ~0ull && ahead_needs_evicting == ~0ull) return;
    const std::uint64_t free = free_memory();
    if (free >= ahead_needs || free + std::min(evictable, ~free) >= ahead_needs_evicting)
        ahead_at = at_once;
}

// -- the lists of idle ones

void pool_fsm::state::list_lru(environment& e) {
    if (!e.provisioned) {
        (e.attached ? lru_attached : lru_detached).insert_by_since(environments, e);
        evictable += e.charge;
        wake_ahead();
    }
    if (e.attached && e.detachable) {
        detach_next.insert_by_since(environments, e);
        versions[e.version].detach_next.insert_by_since(environments, e);
    }
}

void pool_fsm::state::unlist_lru(environment& e) {
    if (e.in_lru.in()) {
        (e.attached ? lru_attached : lru_detached).erase(environments, e);
        evictable -= e.charge;
    }
    if (e.in_detach.in()) {
        detach_next.erase(environments, e);
        versions[e.version].detach_next.erase(environments, e);
    }
}

void pool_fsm::state::list_idle(environment& e, version& v) {
    (e.provisioned ? v.idle_provisioned : v.idle).insert_by_since(environments, e);
    if (v.policy.isolation == isolation::tenant)
        (e.tenant == nil ? v.fresh : tenants[e.tenant].idle).insert_by_since(environments, e);
    if (e.phase == phase::idle) list_lru(e);
}

void pool_fsm::state::unlist_idle(environment& e, version& v) {
    (e.provisioned ? v.idle_provisioned : v.idle).erase(environments, e);
    if (e.in_tenant.in())
        (e.tenant == nil ? v.fresh : tenants[e.tenant].idle).erase(environments, e);
    unlist_lru(e);
}

environment* pool_fsm::state::find_idle(version& v, std::string_view tenant_name) {
    // What is being detached is passed over: at most a few, see max_detaching, and mostly the
    // oldest.
    const auto newest = [&](const auto& list, auto member) -> environment* {
        for (std::uint32_t at = list.back(); at != nil; at = (environments[at].*member).prev)
            if (environments[at].phase == phase::idle) return &environments[at];
        return nullptr;
    };
    if (v.policy.isolation == isolation::tenant) {
        if (const auto known = v.tenants.find(tenant_name); known != v.tenants.end())
            if (auto* e = newest(tenants[known->second].idle, &environment::in_tenant)) return e;
        return newest(v.fresh, &environment::in_tenant);
    }
    if (auto* e = newest(v.idle_provisioned, &environment::in_version)) return e;
    return newest(v.idle, &environment::in_version);
}

void pool_fsm::state::bind_tenant(environment& e, version& v, std::string_view name) {
    if (v.policy.isolation != isolation::tenant || e.tenant != nil) return;
    auto known = v.tenants.find(name);
    if (known == v.tenants.end()) {
        tenant& t = tenants.make();
        t.name = name;
        known = v.tenants.emplace(t.name, t.self.index).first;
    }
    e.tenant = known->second;
    ++tenants[e.tenant].environments;
}

// -- starts

start_reason pool_fsm::state::why_none_is_idle(const version& v) {
    if (!v.counts.live()) return v.last_end;
    if (!v.counts.idle()) return start_reason::busy;
    return v.policy.isolation == isolation::tenant ? start_reason::other_tenants
                                                   : start_reason::detaching;
}

decision pool_fsm::state::start_one(version& v,
                                    std::string_view tenant_name,
                                    bool ahead,
                                    bool may_evict) {
    const std::uint64_t bytes = v.memory();
    const std::uint64_t own = v.in_snapshots.in() ? v.snapshot : 0;
    std::uint64_t fetched = v.stored && !v.held ? v.snapshot : 0;
    const auto fits = [&](std::uint64_t wanted, std::uint64_t not_evictable) {
        return may_evict ? room_for(wanted, v, not_evictable) : wanted <= free_memory();
    };
    bool restored = v.policy.snapshot;
    if (!fits(bytes + fetched, own)) {
        if ((!own && !fetched) || !fits(bytes, 0)) return no_room_for(bytes);
        restored = false;  // rather than not at all
        fetched = 0;
    }
    start s;
    if (!ahead) s.reason = why_none_is_idle(v);
    if (!restored) s.no_snapshot = v.policy.snapshot ? cold_reason::no_room : v.no_snapshot;
    if (restored) {
        unlist_snapshot(v);
    } else if (own) {
        s.drop.push_back(v.self);
        drop(v);
    }
    environment& e = environments.make();
    e.version = v.self.index;
    e.phase = ahead ? phase::starting_ahead : phase::starting;
    e.provisioned = v.counts.provisioned < v.policy.provisioned && !v.retired;
    count(e, true);  // before others go: its snapshot stays
    make_room(bytes + fetched, s.evict, s.drop);
    if (restored && !v.held) hold(v);
    charge(e, bytes);
    if (!ahead) bind_tenant(e, v, tenant_name);
    s.environment = e.self;
    s.version = v.self;
    s.kind = restored ? start_kind::restored : start_kind::cold;
    s.shell = grant(e, s.evict, clock);
    s.ahead = ahead;
    if (ahead) ++counters.starts_ahead;
    return s;
}

/// How many environments should be started ahead.
std::size_t pool_fsm::state::lack(const version& v) const {
    if (v.retired || draining) return 0;
    const auto missing = [](std::size_t wanted, std::size_t there) {
        return wanted > there ? wanted - there : 0;
    };
    return std::max(missing(v.policy.provisioned, v.counts.provisioned),
                    missing(v.policy.min_idle, v.counts.live()));
}

void pool_fsm::state::note_lack(version& v) {
    if (!lack(v)) return;
    if (!v.lacks) lacking.push_back(v.self.index);
    v.lacks = true;
    ahead_at = std::min(ahead_at, v.retry_at);
}

void pool_fsm::state::start_ahead(time_point now, std::vector<action>& into) {
    if (ahead_at > now) return;
    ahead_at = never;
    ahead_needs = ahead_needs_evicting = ~0ull;
    ahead_waits_for_slot = false;
    // Evicting for one may give another a lack, which then is at the end of the list or before us:
    // note_lack has set ahead_at again.
    for (std::size_t i = 0; i < lacking.size(); ++i) {
        version& v = versions[lacking[i]];
        while (lack(v)) {
            if (now < v.retry_at) {
                ahead_at = std::min(ahead_at, v.retry_at);
                break;
            }
            if (total.starting_ahead >= options.max_starting_ahead) {
                ahead_waits_for_slot = true;
                break;
            }
            const bool may_evict = v.counts.provisioned < v.policy.provisioned;
            decision d = start_one(v, {}, true, may_evict);
            auto* s = std::get_if<start>(&d);
            if (!s) {
                auto& needs = may_evict ? ahead_needs_evicting : ahead_needs;
                needs = std::min(needs, v.memory());
                break;
            }
            into.push_back(std::move(*s));
        }
    }
    std::erase_if(lacking, [this](std::uint32_t index) {
        version& v = versions[index];
        v.lacks = lack(v) != 0;
        return !v.lacks;
    });
}

// -- becoming idle, and the end

void pool_fsm::state::set_provisioned(environment& e, version& v, bool yes) {
    if (e.provisioned == yes) return;
    const bool listed = e.in_version.in();
    if (listed) unlist_idle(e, v);
    move(e, [&] { e.provisioned = yes; });
    if (e.phase == phase::idle && !e.attached) charge(e, yes ? v.memory() : e.diff);
    if (listed) list_idle(e, v);
}

void pool_fsm::state::balance_provisioned(version& v) {
    while (v.counts.provisioned > v.policy.provisioned && !v.idle_provisioned.empty())
        set_provisioned(environments[v.idle_provisioned.front()], v, false);
    for (std::uint32_t at = v.idle.back();
         at != nil && v.counts.provisioned < v.policy.provisioned;) {
        environment& e = environments[at];
        at = e.in_version.prev;
        // A detached one would have to be charged more.
        if (e.attached && e.phase == phase::idle) set_provisioned(e, v, true);
    }
}

bool pool_fsm::state::enter_idle(environment& e, time_point now, bool keep) {
    version& v = versions[e.version];
    if (!keep) {
        end(e, ending::destroyed, false);
        return false;
    }
    if (v.counts.provisioned > v.policy.provisioned)
        set_provisioned(e, v, false);
    else if (v.counts.provisioned < v.policy.provisioned)
        set_provisioned(e, v, true);
    const std::size_t most = std::max(v.policy.max_idle, v.policy.min_idle);
    if (shut || v.retired || (!e.provisioned && v.idle.size() >= most)) {
        end(e, ending::surplus, false);
        return false;
    }
    move(e, [&] { e.phase = phase::idle; });
    e.since = now;
    list_idle(e, v);
    touch_expiry(v);
    expire(v, now);  // one more is idle, so min_idle may keep the oldest no longer
    return true;
}

void pool_fsm::state::end(environment& e, ending why, bool tell) {
    version& v = versions[e.version];
    if (e.phase == phase::idle || e.phase == phase::detaching) unlist_idle(e, v);
    if (e.phase == phase::detaching) {
        e.doomed = true;  // said when its detach is reported
        --detaching_idle;
    } else if (tell) {
        pending.push_back(terminate{e.self});
    }
    move(e, [&] {
        e.phase = phase::ending;
        e.provisioned = false;
    });
    charge(e, 0);
    if (!v.counts.live()) list_snapshot(v);
    switch (why) {
        case ending::expired:
            ++counters.expired;
            v.last_end = start_reason::expired;
            break;
        case ending::evicted:
            ++counters.evicted;
            v.last_end = start_reason::evicted;
            break;
        case ending::surplus:
            ++counters.surplus;
            v.last_end = start_reason::surplus;
            break;
        case ending::destroyed:
            ++counters.destroyed;
            v.last_end = start_reason::destroyed;
            break;
        case ending::failed:
            ++counters.failed_starts;
            v.last_end = start_reason::failed;
            break;
    }
    note_lack(v);
}

void pool_fsm::state::forget(environment& e) {
    version& v = versions[e.version];
    count(e, false);
    if (e.tenant != nil) {
        tenant& t = tenants[e.tenant];
        if (--t.environments == 0) {
            v.tenants.erase(v.tenants.find(t.name));
            tenants.remove(t);
        }
    }
    environments.remove(e);
    forget_if_gone(v);
}

void pool_fsm::state::give_up_idle(version& v) {
    while (!v.idle.empty()) end(environments[v.idle.front()], ending::surplus, true);
    while (!v.idle_provisioned.empty())
        end(environments[v.idle_provisioned.front()], ending::surplus, true);
}

void pool_fsm::state::trim(version& v) {
    const std::size_t most = std::max(v.policy.max_idle, v.policy.min_idle);
    while (v.idle.size() > most) end(environments[v.idle.front()], ending::surplus, true);
}

// -- time

time_point pool_fsm::state::expires(version& v) {
    if (v.idle.empty() || v.counts.idle() <= v.policy.min_idle) return never;
    return later(environments[v.idle.front()].since, v.policy.idle_ttl);
}

void pool_fsm::state::touch_expiry(version& v) {
    if (const time_point at = expires(v); at != never) expiry.lower(versions, v, at);
}

void pool_fsm::state::expire(version& v, time_point now) {
    while (expires(v) <= now) end(environments[v.idle.front()], ending::expired, true);
}

void pool_fsm::state::advance(time_point& now) {
    // Callers may have read their clocks in another order than they come.
    now = clock = std::max(clock, now);
    while (expiry.bound() <= now) {
        const std::uint32_t first = expiry.top(versions, [this](version& v) { return expires(v); });
        if (first == nil || expiry.at() > now) break;
        expire(versions[first], now);
    }
}

std::size_t pool_fsm::state::attached_idle() const { return total.idle_attached - detaching_idle; }

bool pool_fsm::state::detach_is_due(time_point now) {
    if (detach_next.empty() || detaching >= options.max_detaching) return false;
    return attached_idle() > options.max_attached_idle ||
           later(environments[detach_next.front()].since, options.detach_after) <= now;
}

void pool_fsm::state::begin_detach(environment& e) {
    unlist_lru(e);
    move(e, [&] { e.phase = phase::detaching; });
    ++detaching;
    ++detaching_idle;
}

}  // namespace hearth::pool
