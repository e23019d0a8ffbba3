#include "pool/pool_state.hpp"

namespace hearth::pool {

std::uint32_t pool_fsm::state::size_of(const version_policy& p) {
    const std::uint64_t bytes = (p.shell_size.bytes() ? p.shell_size : p.memory).bytes();
    for (std::uint32_t i = 0; i < sizes.size(); ++i)
        if (sizes[i].bytes == bytes) return i;
    sizes.emplace_back().bytes = bytes;
    return static_cast<std::uint32_t>(sizes.size() - 1);
}

std::size_t& pool_fsm::state::count_of(shell_phase p) {
    switch (p) {
        case shell_phase::in_use:
            return shell_total.in_use;
        case shell_phase::free_used:
            return shell_total.free_used;
        case shell_phase::blank:
            return shell_total.blank;
        case shell_phase::making:
            return shell_total.making;
        case shell_phase::destroying:
            break;
    }
    return shell_total.destroying;
}

void pool_fsm::state::set_phase(shell& s, shell_phase p) {
    --count_of(s.phase);
    s.phase = p;
    ++count_of(p);
}

void pool_fsm::state::unlist(shell& s) {
    if (!s.in_all.in()) return;
    free_shells.erase(shells, s);
    shell_size& c = sizes[s.size];
    (s.phase == shell_phase::blank ? c.blank : c.free_used).erase(shells, s);
    if (s.in_version.in()) versions[s.version].free_shells.erase(shells, s);
}

/// The shell becomes the environment's, whoever had it.
shell_grant pool_fsm::state::own(shell& s, environment& e, shell_source source) {
    unlist(s);
    set_phase(s, shell_phase::in_use);
    s.environment = e.self.index;
    s.version = e.version;
    e.shell = s.self.index;
    ++counters.shells_granted[static_cast<std::size_t>(source)];
    return {s.self, source, {}, {}};
}

shell_grant pool_fsm::state::grant(environment& e,
                                   const std::vector<environment_id>& evicted,
                                   time_point now) {
    version& v = versions[e.version];
    shell_size& c = sizes[v.size];
    use_size(v.size, now);
    if (options.spare_shells && c.free() + c.making <= options.spare_shells)
        shells_at = at_once;  // there will be one fewer
    if (!v.free_shells.empty())
        return own(shells[v.free_shells.back()], e, shell_source::same_version);
    if (!c.free_used.empty())
        return own(shells[c.free_used.front()], e, shell_source::other_version);
    if (!c.blank.empty()) return own(shells[c.blank.back()], e, shell_source::blank);
    for (const environment_id id : evicted) {
        environment& victim = environments[id.index];
        if (victim.shell == nil || shells[victim.shell].size != v.size) continue;
        shell& s = shells[victim.shell];
        victim.shell = nil;
        shell_grant g = own(s, e, shell_source::evicted);
        g.from = id;
        return g;
    }
    shell_grant made;
    const auto make = [&] {
        shell& s = shells.make();
        s.size = v.size;
        ++shell_total.in_use;
        const shell_id destroyed = made.destroy;
        made = own(s, e, shell_source::made);
        made.destroy = destroyed;
        return made;
    };
    if (shells_held() < options.max_shells) return make();
    if (!free_shells.empty()) {  // of another size
        shell& s = shells[free_shells.front()];
        made.destroy = s.self;
        unlist(s);
        set_phase(s, shell_phase::destroying);
        return make();
    }
    if (!c.detach_next.empty()) {
        environment& victim = environments[c.detach_next.front()];
        begin_detach(victim);
        shell& s = shells[victim.shell];
        victim.shell = nil;
        shell_grant g = own(s, e, shell_source::stolen);
        g.from = victim.self;
        return g;
    }
    return make();  // whatever runs has a shell
}

void pool_fsm::state::free_shell(shell& s, time_point now, bool blank) {
    s.environment = nil;
    if (shut) return destroy(s, pending);
    set_phase(s, blank ? shell_phase::blank : shell_phase::free_used);
    s.since = now;
    free_shells.push_back(shells, s);
    (blank ? sizes[s.size].blank : sizes[s.size].free_used).push_back(shells, s);
    if (s.version != nil) versions[s.version].free_shells.push_back(shells, s);
    // When all shells run, the next to start takes the one that was given back last: not destroyed
    // for it to be made again.
    if (shells_held() > options.max_shells && free_shells.size() > options.spare_shells)
        destroy(shells[free_shells.front()], pending);
    else
        shells_at = std::min(shells_at, later(now, options.free_shell_ttl));
}

void pool_fsm::state::release_shell(environment& e, shell_fate fate, time_point now) {
    if (e.shell == nil) return;
    shell& s = shells[e.shell];
    e.shell = nil;
    if (fate == shell_fate::reusable)
        free_shell(s, now, false);
    else
        forget(s);
}

void pool_fsm::state::destroy(shell& s, std::vector<action>& into) {
    unlist(s);
    set_phase(s, shell_phase::destroying);
    s.version = nil;
    into.push_back(destroy_shell{s.self});
}

void pool_fsm::state::forget(shell& s) {
    --count_of(s.phase);
    ++counters.shells_destroyed;
    shells.remove(s);
    if (spare_waits_for_shell) shells_at = at_once;
}

void pool_fsm::state::use_size(std::uint32_t size, time_point now) {
    if (latest_size != size && options.spare_shells)
        shells_at = at_once;  // demand for the other size will end
    latest_size = size;
    sizes[size].used = now;
}

time_point pool_fsm::state::in_demand_until(const shell_size& c) const {
    if (draining || !c.versions) return at_once;
    if (&c == &sizes[latest_size]) return never;
    return later(c.used, options.free_shell_ttl);
}

/// Spare ones are made, surplus ones destroyed.
void pool_fsm::state::look_after_shells(time_point now, std::vector<action>& into) {
    if (shells_at > now) return;
    shells_at = never;
    spare_waits_for_shell = false;
    for (std::uint32_t i = 0; i < sizes.size(); ++i) {
        shell_size& c = sizes[i];
        const time_point until = in_demand_until(c);
        const std::size_t wanted = now < until ? options.spare_shells : 0;
        while (c.free() > wanted) {
            const std::uint32_t used = c.free_used.front(), blank = c.blank.front();
            const bool take_used =
                blank == nil || (used != nil && shells[used].since <= shells[blank].since);
            shell& oldest = shells[take_used ? used : blank];
            const time_point at = later(oldest.since, options.free_shell_ttl);
            if (at > now) {
                shells_at = std::min(shells_at, at);
                break;
            }
            destroy(oldest, into);
        }
        if (wanted && c.free()) shells_at = std::min(shells_at, until);
        while (c.free() + c.making < wanted) {
            if (now < c.retry_at) {
                shells_at = std::min(shells_at, c.retry_at);
                break;
            }
            if (shells_held() >= options.max_shells) {
                spare_waits_for_shell = true;
                break;
            }
            shell& s = shells.make();
            s.size = i;
            s.phase = shell_phase::making;
            ++shell_total.making;
            ++c.making;
            into.push_back(make_shell{s.self, byte_count(c.bytes)});
        }
    }
}

}  // namespace hearth::pool
