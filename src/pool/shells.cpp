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
    shell_size& c = sizes[s.size];
    if (s.phase == shell_phase::blank) c.blank.erase(shells, s);
    if (s.phase != shell_phase::free_used) return;
    c.free_used.erase(shells, s);
    free_used.erase(shells, s);
    versions[s.version].free_shells.erase(shells, s);
}

/// The shell becomes the environment's, whoever had it.
shell_grant pool_fsm::state::own(shell& s, environment& e, shell_source source) {
    unlist(s);
    set_phase(s, shell_phase::in_use);
    s.environment = e.self.index;
    s.version = e.version;
    e.shell = s.self.index;
    ++counters.shells_granted[static_cast<std::size_t>(source)];
    return {s.self, source, {}};
}

shell_grant pool_fsm::state::grant(environment& e,
                                   const std::vector<environment_id>& evicted,
                                   time_point now) {
    version& v = versions[e.version];
    shell_size& c = sizes[v.size];
    use_size(v.size, now);
    if (!v.free_shells.empty())
        return own(shells[v.free_shells.back()], e, shell_source::same_version);
    const auto take_over = [&](environment& victim, shell_source source) {
        shell& s = shells[victim.shell];
        victim.shell = nil;
        shell_grant g = own(s, e, source);
        g.from = victim.self;
        return g;
    };
    for (const environment_id id : evicted) {
        environment& victim = environments[id.index];
        // What cannot be detached does not stem from the snapshot: nothing can start where it was.
        if (victim.shell != nil && victim.version == e.version && victim.detachable)
            return take_over(victim, shell_source::evicted);
    }
    // Quicker than a blank one, and one fewer to retire behind this start.
    const std::size_t used = shell_total.in_use + shell_total.free_used;
    if (used >= options.max_shells && !v.detach_next.empty()) {
        environment& victim = environments[v.detach_next.front()];
        begin_detach(victim);
        return take_over(victim, shell_source::stolen);
    }
    if (options.spare_shells && c.blank.size() + c.making <= options.spare_shells)
        shells_at = at_once;  // there will be one fewer
    if (!c.blank.empty()) return own(shells[c.blank.back()], e, shell_source::blank);
    shell& s = shells.make();
    s.size = v.size;
    ++shell_total.in_use;
    shell_grant g = own(s, e, shell_source::made);
    // Those who retire what is too much do not keep up: who brings more does a part of it.
    if (used >= options.max_shells + options.max_detaching && !detach_next.empty()) {
        environment& victim = environments[detach_next.front()];
        begin_detach(victim);
        g.from = victim.self;
    }
    return g;
}

void pool_fsm::state::free_shell(shell& s, time_point now, bool blank) {
    s.environment = nil;
    if (shut) return destroy(s, pending);
    set_phase(s, blank ? shell_phase::blank : shell_phase::free_used);
    s.since = now;
    shell_size& c = sizes[s.size];
    if (blank) {
        c.blank.push_back(shells, s);
    } else {
        c.free_used.push_back(shells, s);
        free_used.push_back(shells, s);
        versions[s.version].free_shells.push_back(shells, s);
    }
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

pool_fsm::state::surplus pool_fsm::state::over_max_shells() const {
    // What is being detached or ends gives its shell back soon.
    const std::size_t used = shell_total.in_use + shell_total.free_used;
    if (used <= options.max_shells + detaching + total.ending) return surplus::none;
    // When all shells run, the next to start takes the one that was given back last: not destroyed
    // for it to be made again.
    if (free_used.size() > (detach_next.empty() ? options.spare_shells : 0)) return surplus::shell;
    if (!detach_next.empty() && detaching < options.max_detaching) return surplus::environment;
    return surplus::none;
}

void pool_fsm::state::retire_surplus(std::vector<action>& into) {
    for (;;) switch (over_max_shells()) {
            case surplus::none:
                return;
            case surplus::shell:
                destroy(shells[free_used.front()], into);
                break;
            case surplus::environment:
                environment& e = environments[detach_next.front()];
                begin_detach(e);
                into.push_back(detach{e.self});
                break;
        }
}

/// Spare ones are made; those free for long and not spare are destroyed.
void pool_fsm::state::look_after_shells(time_point now, std::vector<action>& into) {
    if (shells_at > now) return;
    shells_at = never;
    for (std::uint32_t i = 0; i < sizes.size(); ++i) {
        shell_size& c = sizes[i];
        const time_point until = in_demand_until(c);
        const std::size_t wanted = now < until ? options.spare_shells : 0;
        const auto keep = [&](auto& list, std::size_t n) {
            while (list.size() > n) {
                shell& oldest = shells[list.front()];
                const time_point at = later(oldest.since, options.free_shell_ttl);
                if (at > now) {
                    shells_at = std::min(shells_at, at);
                    break;
                }
                destroy(oldest, into);
            }
        };
        keep(c.free_used, std::min<std::size_t>(wanted, 1));
        keep(c.blank, wanted);
        if (wanted && (c.blank.size() || c.free_used.size()))
            shells_at = std::min(shells_at, until);
        while (c.blank.size() + c.making < wanted) {
            if (now < c.retry_at) {
                shells_at = std::min(shells_at, c.retry_at);
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
