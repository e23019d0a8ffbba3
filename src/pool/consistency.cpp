// The machine's sums and lists, worked out again from its records.

#include "pool/pool_state.hpp"

#include <map>

namespace hearth::pool {
namespace {

/// Collects the first fault.
struct finding {
    std::string text;
    void expect(bool holds, const char* what, std::uint32_t index = nil) {
        if (holds || !text.empty()) return;
        text = what;
        if (index != nil) text += ", index " + std::to_string(index);
    }
};

/// Whether the list runs the same both ways, is in order of time, and holds `size` records, each
/// accepted.
template <class List, class Table, class Member, class Accept>
bool sound(const List& list, Table& all, Member member, std::size_t size, Accept&& accept) {
    std::size_t n = 0;
    std::uint32_t before = nil;
    for (std::uint32_t at = list.front(); at != nil; at = (all[at].*member).next) {
        if (n++ == list.size() || (all[at].*member).prev != before || !accept(all[at]))
            return false;
        if (before != nil && all[at].since < all[before].since) return false;
        before = at;
    }
    return list.back() == before && n == list.size() && n == size;
}

}  // namespace

std::string pool_fsm::inconsistency() const {
    state& s = *s_;
    finding f;

    environment_counts total;
    std::map<std::uint32_t, environment_counts> of_version;
    std::map<std::uint32_t, std::size_t> of_tenant, idle, idle_provisioned, fresh, tenant_idle;
    std::map<std::uint32_t, std::size_t> detach_of_version;
    std::uint64_t charged = 0, evictable = 0;
    std::size_t lru_attached = 0, lru_detached = 0, detach_next = 0, detaching = 0, doomed = 0;
    s.environments.each([&](environment& e) {
        const std::uint32_t i = e.self.index;
        const bool at_rest = e.phase == phase::idle || e.phase == phase::detaching;
        version& v = s.versions[e.version];
        f.expect(bool(v.self), "an environment's version is gone", i);
        for (environment_counts* c : {&total, &of_version[e.version]}) {
            switch (e.phase) {
                case phase::starting:
                    ++c->starting;
                    break;
                case phase::starting_ahead:
                    ++c->starting_ahead;
                    break;
                case phase::running:
                case phase::suspended:
                    ++c->running;
                    break;
                case phase::idle:
                case phase::detaching:
                    ++(e.attached ? c->idle_attached : c->idle_detached);
                    break;
                case phase::ending:
                    ++c->ending;
                    break;
            }
            c->provisioned += e.provisioned;
        }
        charged += e.charge;
        if (e.phase == phase::ending)
            f.expect(e.charge == 0 && !e.provisioned, "an ending environment is charged", i);
        else if (e.attached || e.provisioned)
            f.expect(e.charge == v.memory(), "an environment is not charged its memory size", i);
        else
            f.expect(e.charge == e.diff, "a detached environment is not charged its diff", i);
        f.expect(e.attached || e.phase == phase::idle || e.phase == phase::ending,
                 "a detached environment does something", i);
        f.expect(!e.doomed || e.phase == phase::ending, "a doomed environment is not ending", i);
        if (e.shell != nil)
            f.expect(s.shells[e.shell].environment == i, "a shell does not know its environment",
                     i);
        else
            f.expect(e.phase == phase::detaching || e.phase == phase::ending ||
                         e.phase == phase::suspended || !e.attached,
                     "an attached environment has no shell", i);
        if (e.phase == phase::suspended)
            f.expect(e.shell == nil, "a suspended environment has a shell", i);
        if (!e.attached) f.expect(e.shell == nil, "a detached environment has a shell", i);
        const bool evict = e.phase == phase::idle && !e.provisioned;
        const bool detach = e.phase == phase::idle && e.attached && e.detachable;
        f.expect(e.in_version.in() == at_rest, "an environment is in the wrong list", i);
        f.expect(e.in_lru.in() == evict, "an environment is wrongly evictable, or not", i);
        f.expect(e.in_detach.in() == detach && e.in_own.in() == detach,
                 "an environment is wrongly next to detach, or not", i);
        f.expect(e.in_tenant.in() == (at_rest && v.policy.isolation == isolation::tenant),
                 "an environment is wrongly in a tenant's list, or not", i);
        if (e.in_lru.in()) {
            evictable += e.charge;
            ++(e.attached ? lru_attached : lru_detached);
        }
        if (detach) {
            ++detach_next;
            ++detach_of_version[e.version];
        }
        if (at_rest) ++(e.provisioned ? idle_provisioned : idle)[e.version];
        if (e.in_tenant.in()) ++(e.tenant == nil ? fresh[e.version] : tenant_idle[e.tenant]);
        if (e.tenant != nil) {
            ++of_tenant[e.tenant];
            const auto t = v.tenants.find(s.tenants[e.tenant].name);
            f.expect(t != v.tenants.end() && t->second == e.tenant, "a tenant is not known", i);
        }
        detaching += e.phase == phase::detaching;
        doomed += e.doomed;
    });
    std::uint64_t snapshots = 0;
    std::size_t idle_snapshots = 0;
    s.versions.each([&](version& v) {
        const std::uint32_t i = v.self.index;
        f.expect(v.policy.snapshot == (v.held || v.stored), "a snapshot comes from nowhere", i);
        const bool droppable = v.held && v.snapshot && !v.counts.live();
        f.expect(v.in_snapshots.in() == droppable, "a snapshot is wrongly evictable, or not", i);
        if (v.held) snapshots += v.snapshot;
        if (!droppable) return;
        evictable += v.snapshot;
        ++idle_snapshots;
    });
    f.expect(snapshots == s.snapshots, "the snapshots' memory is not their sum");
    f.expect(sound(s.idle_snapshots, s.versions, &version::in_snapshots, idle_snapshots,
                   [](const version&) { return true; }),
             "the list of evictable snapshots is broken");
    f.expect(charged + snapshots == s.charged, "the charged memory is not the sum of the charges");
    f.expect(evictable == s.evictable, "the evictable memory is not the sum of the charges");
    f.expect(detaching == s.detaching_idle && detaching + doomed == s.detaching,
             "detaches under way are miscounted");
    const auto any = [](const auto&) { return true; };
    f.expect(sound(s.lru_attached, s.environments, &environment::in_lru, lru_attached,
                   [](const environment& e) { return e.attached; }),
             "the list of attached evictable environments is broken");
    f.expect(sound(s.lru_detached, s.environments, &environment::in_lru, lru_detached,
                   [](const environment& e) { return !e.attached; }),
             "the list of detached evictable environments is broken");
    f.expect(sound(s.detach_next, s.environments, &environment::in_detach, detach_next, any),
             "the list of what is detached next is broken");

    std::size_t reserved = 0, provisioned = 0, on_demand = 0, admitted = 0, lacks = 0;
    std::map<std::uint32_t, function> of_function;
    std::map<std::uint32_t, std::size_t> versions_of_size;
    std::size_t tenants = 0;
    s.versions.each([&](version& v) {
        const std::uint32_t i = v.self.index;
        environment_counts& c = of_version[i];
        c.admitted = v.counts.admitted;
        total.admitted += c.admitted;
        f.expect(c == v.counts, "a version's counts are wrong", i);
        f.expect(!v.retired || (c.idle() == 0 && v.policy.provisioned == 0),
                 "a retired version keeps something", i);
        f.expect(!v.retired || c.admitted || c.live() || c.ending, "a dead version is kept", i);
        f.expect(sound(v.idle, s.environments, &environment::in_version, idle[i],
                       [&](const environment& e) { return !e.provisioned && e.version == i; }),
                 "a version's idle list is broken", i);
        f.expect(
            sound(v.idle_provisioned, s.environments, &environment::in_version, idle_provisioned[i],
                  [&](const environment& e) { return e.provisioned && e.version == i; }),
            "a version's provisioned list is broken", i);
        f.expect(sound(v.fresh, s.environments, &environment::in_tenant, fresh[i],
                       [&](const environment& e) { return e.tenant == nil && e.version == i; }),
                 "a version's list of tenantless environments is broken", i);
        f.expect(s.expires(v) == never || v.heap_at != nil, "an expiry is not watched", i);
        f.expect(s.expires(v) > s.clock, "an expired environment is still idle", i);
        f.expect(v.idle.size() <= std::max(v.policy.max_idle, v.policy.min_idle),
                 "more are idle than allowed", i);
        f.expect(v.lacks || !s.lack(v), "nobody knows that environments lack", i);
        lacks += v.lacks;
        tenants += v.tenants.size();
        function& sums = of_function[v.function];
        ++sums.versions;
        sums.provisioned += v.policy.provisioned;
        sums.admitted += c.admitted;
        sums.on_demand += v.on_demand();
        ++versions_of_size[v.size];
    });
    f.expect(total == s.total, "the total counts are wrong");
    f.expect(lacks == s.lacking.size(), "the list of lacking versions is wrong");
    f.expect(tenants == s.tenants.size(), "there are tenants of nobody");
    s.tenants.each([&](tenant& t) {
        const std::uint32_t i = t.self.index;
        f.expect(t.environments && t.environments == of_tenant[i], "a tenant is miscounted", i);
        f.expect(sound(t.idle, s.environments, &environment::in_tenant, tenant_idle[i],
                       [&](const environment& e) { return e.tenant == i; }),
                 "a tenant's idle list is broken", i);
    });
    s.functions.each([&](function& g) {
        const std::uint32_t i = g.self.index;
        const function& sums = of_function[i];
        f.expect(g.versions == sums.versions && g.provisioned == sums.provisioned &&
                     g.admitted == sums.admitted && g.on_demand == sums.on_demand,
                 "a function's sums are wrong", i);
        f.expect(!g.reserved || g.provisioned <= *g.reserved, "more is provisioned than reserved",
                 i);
        f.expect(!g.removed || g.versions, "a dead function is kept", i);
        reserved += g.reserved.value_or(0);
        if (g.reserved) return;
        provisioned += g.provisioned;
        on_demand += g.on_demand;
        admitted += g.admitted;
    });
    f.expect(reserved == s.reserved && provisioned == s.unreserved_provisioned &&
                 on_demand == s.unreserved_on_demand && admitted == s.unreserved_admitted,
             "the account's sums are wrong");

    shell_counts shells;
    std::map<std::uint32_t, std::size_t> making, used, blank, free_of_version;
    s.shells.each([&](shell& h) {
        const std::uint32_t i = h.self.index;
        const bool free = h.phase == shell_phase::free_used || h.phase == shell_phase::blank;
        switch (h.phase) {
            case shell_phase::in_use:
                ++shells.in_use;
                break;
            case shell_phase::free_used:
                ++shells.free_used, ++used[h.size];
                break;
            case shell_phase::blank:
                ++shells.blank, ++blank[h.size];
                break;
            case shell_phase::making:
                ++shells.making, ++making[h.size];
                break;
            case shell_phase::destroying:
                ++shells.destroying;
                break;
        }
        f.expect((h.phase == shell_phase::in_use) == (h.environment != nil),
                 "a shell in use is nobody's, or a free one somebody's", i);
        if (h.environment != nil) {
            const environment& e = s.environments[h.environment];
            f.expect(e.shell == i, "an environment does not know its shell", i);
            f.expect(s.versions[e.version].size == h.size, "a shell has the wrong size", i);
        }
        const bool was_used = h.phase == shell_phase::free_used;
        f.expect(h.in_all.in() == was_used && h.in_size.in() == free &&
                     h.in_version.in() == was_used && (!was_used || h.version != nil),
                 "a shell is in the wrong list", i);
        if (h.in_version.in()) ++free_of_version[h.version];
    });
    f.expect(shells == s.shell_total, "shells are miscounted");
    f.expect(sound(s.free_used, s.shells, &shell::in_all, shells.free_used, any),
             "the list of free shells is broken");
    s.versions.each([&](version& v) {
        const std::uint32_t i = v.self.index;
        f.expect(sound(v.free_shells, s.shells, &shell::in_version, free_of_version[i],
                       [&](const shell& h) { return h.version == i; }),
                 "a version's list of free shells is broken", i);
        f.expect(sound(v.detach_next, s.environments, &environment::in_own, detach_of_version[i],
                       [&](const environment& e) { return e.version == i; }),
                 "the next to detach of a version are broken", i);
    });
    for (std::uint32_t i = 0; i < s.sizes.size(); ++i) {
        shell_size& c = s.sizes[i];
        f.expect(c.making == making[i] && c.versions == versions_of_size[i],
                 "a shell size is miscounted", i);
        f.expect(sound(c.free_used, s.shells, &shell::in_size, used[i], any) &&
                     sound(c.blank, s.shells, &shell::in_size, blank[i], any),
                 "the free shells of a size are broken", i);
    }
    return f.text;
}

}  // namespace hearth::pool
