#include "pool/pool_fsm.hpp"

#include "base/try.hpp"
#include "pool/pool_state.hpp"

namespace hearth::pool {
namespace {

/// The next delay of a thing that failed.
nanoseconds grown(nanoseconds backoff, const pool_options& o) {
    return std::min(o.max_retry_after, backoff.count() ? backoff * 2 : o.retry_after);
}

}  // namespace

std::string_view to_string(throttle_reason r) noexcept {
    switch (r) {
        case throttle_reason::concurrent_invocation_limit:
            return "ConcurrentInvocationLimitExceeded";
        case throttle_reason::reserved_concurrent_invocation_limit:
            return "ReservedFunctionConcurrentInvocationLimitExceeded";
        case throttle_reason::invocation_rate_limit:
            return "FunctionInvocationRateLimitExceeded";
        case throttle_reason::reserved_invocation_rate_limit:
            break;
    }
    return "ReservedFunctionInvocationRateLimitExceeded";
}

pool_fsm::pool_fsm(pool_options options) : s_(std::make_unique<state>(options)) {}
pool_fsm::pool_fsm(pool_fsm&&) noexcept = default;
pool_fsm& pool_fsm::operator=(pool_fsm&&) noexcept = default;
pool_fsm::~pool_fsm() = default;

// -- limits

void pool_fsm::state::subtract(version& v) {
    function& f = functions[v.function];
    f.provisioned -= v.policy.provisioned;
    f.admitted -= v.counts.admitted;
    f.on_demand -= v.on_demand();
    if (f.reserved) return;
    unreserved_provisioned -= v.policy.provisioned;
    unreserved_admitted -= v.counts.admitted;
    unreserved_on_demand -= v.on_demand();
}

void pool_fsm::state::add(version& v) {
    function& f = functions[v.function];
    f.provisioned += v.policy.provisioned;
    f.admitted += v.counts.admitted;
    f.on_demand += v.on_demand();
    if (f.reserved) return;
    unreserved_provisioned += v.policy.provisioned;
    unreserved_admitted += v.counts.admitted;
    unreserved_on_demand += v.on_demand();
}

/// Two sums are kept below two limits each, in the account and in a function with a reservation:
/// everything admitted, and what is admitted on demand beside what is provisioned. The first alone
/// can be near its limit when a reservation or a provisioning came after the executions.
denial pool_fsm::state::check_limits(version& v) const {
    const function& f = functions[v.function];
    const bool on_demand = v.counts.admitted >= v.policy.provisioned;
    const auto minus = [](std::size_t a, std::size_t b) { return a > b ? a - b : 0; };
    using enum throttle_reason;
    if (v.counts.admitted >= v.policy.max_concurrency)
        return throttled{reserved_concurrent_invocation_limit, v.counts.admitted,
                         v.policy.max_concurrency};
    if (f.reserved) {
        if (f.admitted >= *f.reserved)
            return throttled{reserved_concurrent_invocation_limit, f.admitted, *f.reserved};
        if (const auto limit = minus(*f.reserved, f.provisioned); on_demand && f.on_demand >= limit)
            return throttled{reserved_concurrent_invocation_limit, f.on_demand, limit};
    }
    if (total.admitted >= options.account_concurrency)
        return throttled{concurrent_invocation_limit, total.admitted, options.account_concurrency};
    if (f.reserved) return {};
    if (const auto limit = minus(options.account_concurrency, reserved);
        unreserved_admitted >= limit)
        return throttled{concurrent_invocation_limit, unreserved_admitted, limit};
    if (const auto limit = minus(options.account_concurrency, carved());
        on_demand && unreserved_on_demand >= limit)
        return throttled{concurrent_invocation_limit, unreserved_on_demand, limit};
    return {};
}

/// @param before  what the version has provisioned already
result<void> pool_fsm::state::check_policy(const function& f,
                                           const version_policy& p,
                                           std::size_t before) const {
    if (!p.memory.bytes()) return error(errc::invalid_argument, "the memory size is 0");
    if (p.provisioned && p.isolation == isolation::tenant)
        return error(errc::invalid_argument,
                     "Provisioned concurrency is not supported for functions with tenant isolation "
                     "mode.");
    if (p.provisioned <= before) return {};
    const std::size_t more = p.provisioned - before;
    if (f.reserved) {
        if (f.provisioned > *f.reserved || more > *f.reserved - f.provisioned)
            return error(errc::invalid_argument,
                         "Requested Provisioned Concurrency should not be greater than the "
                         "reservedConcurrentExecution for function");
    } else if (carved() + options.min_unreserved > options.account_concurrency ||
               more > options.account_concurrency - options.min_unreserved - carved()) {
        return error(errc::invalid_argument,
                     "Specified ConcurrentExecutions for function decreases account's "
                     "UnreservedConcurrentExecution below its minimum value of [" +
                         std::to_string(options.min_unreserved) + "].");
    }
    return {};
}

// -- what is deployed

function_id pool_fsm::add_function() { return s_->functions.make().self; }

result<void> pool_fsm::set_reserved_concurrency(function_id which,
                                                std::optional<std::size_t> reserved,
                                                time_point now) {
    state& s = *s_;
    s.advance(now);
    function* f = s.functions.find(which);
    if (!f || f->removed) return error(errc::invalid_argument, "there is no such function");
    if (reserved && *reserved < f->provisioned)
        return error(errc::invalid_argument,
                     "ReservedConcurrentExecutions [" + std::to_string(*reserved) +
                         "] is less than the provisioned concurrency of the function's versions [" +
                         std::to_string(f->provisioned) + "]");
    const std::size_t before = f->reserved.value_or(f->provisioned);
    const std::size_t after = reserved.value_or(f->provisioned);
    const std::size_t others = s.carved() - before;
    if (after > before &&
        (others + s.options.min_unreserved > s.options.account_concurrency ||
         after > s.options.account_concurrency - s.options.min_unreserved - others))
        return error(errc::invalid_argument,
                     "Specified ReservedConcurrentExecutions for function decreases account's "
                     "UnreservedConcurrentExecution below its minimum value of [" +
                         std::to_string(s.options.min_unreserved) + "].");
    const auto unreserved = [&](bool in) {
        const auto change = [in](std::size_t& sum, std::size_t by) { in ? sum += by : sum -= by; };
        change(s.unreserved_provisioned, f->provisioned);
        change(s.unreserved_admitted, f->admitted);
        change(s.unreserved_on_demand, f->on_demand);
    };
    if (!f->reserved) unreserved(false);
    s.reserved = s.reserved - f->reserved.value_or(0) + reserved.value_or(0);
    f->reserved = reserved;
    if (!f->reserved) unreserved(true);
    return {};
}

void pool_fsm::remove_function(function_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    function* f = s.functions.find(which);
    if (!f || f->removed) return;
    s.versions.each([&](version& v) {
        if (v.function == which.index) retire(v.self, now);
    });
    f = s.functions.find(which);
    (void)set_reserved_concurrency(which, std::nullopt, now);
    f->removed = true;
    s.forget_if_gone(*f);
}

result<version_id> pool_fsm::add_version(function_id which,
                                         const version_policy& policy,
                                         time_point now) {
    state& s = *s_;
    s.advance(now);
    function* f = s.functions.find(which);
    if (!f || f->removed) return error(errc::invalid_argument, "there is no such function");
    HEARTH_CHECK(s.check_policy(*f, policy, 0));
    version& v = s.versions.make();
    v.policy = policy;
    v.held = policy.snapshot;
    v.function = which.index;
    v.size = s.size_of(policy);
    ++f->versions;
    ++s.sizes[v.size].versions;
    s.add(v);
    s.use_size(v.size, now);
    if (s.options.spare_shells) s.shells_at = at_once;
    s.note_lack(v);
    return v.self;
}

result<void> pool_fsm::set_policy(version_id which, const version_policy& policy, time_point now) {
    state& s = *s_;
    s.advance(now);
    version* v = s.versions.find(which);
    if (!v || v->retired) return error(errc::invalid_argument, "there is no such version");
    const version_policy& old = v->policy;
    if (policy.memory != old.memory || policy.shell_size != old.shell_size ||
        policy.isolation != old.isolation)
        return error(errc::invalid_argument,
                     "a version's memory size, shell size and isolation are fixed");
    HEARTH_CHECK(s.check_policy(s.functions[v->function], policy, old.provisioned));
    const bool snapshot = old.snapshot;
    s.recount(*v, [&] { v->policy = policy; });
    v->policy.snapshot = snapshot;
    s.balance_provisioned(*v);
    s.trim(*v);
    s.touch_expiry(*v);
    s.advance(now);
    s.note_lack(*v);
    return {};
}

bool pool_fsm::hold_snapshot(version_id which, byte_count size, bool stored, time_point now) {
    state& s = *s_;
    s.advance(now);
    version* v = s.versions.find(which);
    if (!v) return false;
    v->stored = stored;
    s.let_go(*v);
    v->snapshot = size.bytes();
    v->no_snapshot = cold_reason::no_room;
    if (!s.room_for(v->snapshot, *v, 0)) return false;
    s.evict_above_budget(v->snapshot);
    s.hold(*v);
    return true;
}

void pool_fsm::lose_snapshot(version_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    version* v = s.versions.find(which);
    if (!v) return;
    v->stored = false;
    v->no_snapshot = cold_reason::lost;
    s.let_go(*v);
}

bool pool_fsm::has_snapshot(version_id which) const noexcept {
    const version* v = s_->versions.find(which);
    return v && v->policy.snapshot;
}

bool pool_fsm::wants_snapshot(version_id which) const {
    version* v = s_->versions.find(which);
    return v && !v->policy.snapshot && s_->room_for(v->snapshot, *v, 0);
}

void pool_fsm::retire(version_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    version* v = s.versions.find(which);
    if (!v || v->retired) return;
    s.recount(*v, [&] {
        v->policy.provisioned = 0;
        v->policy.min_idle = 0;
    });
    v->retired = true;
    s.give_up_idle(*v);
    s.forget_if_gone(*v);
}

void pool_fsm::state::forget_if_gone(version& v) {
    if (!v.retired || v.counts.admitted || v.counts.live()) return;
    v.stored = false;
    let_go(v);
    if (v.counts.ending) return;
    while (!v.free_shells.empty()) destroy(shells[v.free_shells.front()], pending);
    expiry.remove(versions, v);
    std::erase(lacking, v.self.index);
    if (--sizes[v.size].versions == 0) shells_at = at_once;
    function& f = functions[v.function];
    --f.versions;
    versions.remove(v);
    forget_if_gone(f);
}

void pool_fsm::state::forget_if_gone(function& f) {
    if (f.removed && !f.versions) functions.remove(f);
}

// -- invocations

denial pool_fsm::admit(version_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    version* v = s.versions.find(which);
    if (!v || v->retired || s.draining) {
        ++s.counters.refused;
        return refused{};
    }
    denial d = s.check_limits(*v);
    if (const auto* t = std::get_if<throttled>(&d)) {
        ++s.counters.throttles[static_cast<std::size_t>(t->reason)];
        return d;
    }
    ++s.counters.admitted;
    ++s.total.admitted;
    s.recount(*v, [&] { ++v->counts.admitted; });
    return d;
}

void pool_fsm::leave(version_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    version* v = s.versions.find(which);
    HEARTH_ASSERT(v && v->counts.admitted);
    --s.total.admitted;
    s.recount(*v, [&] { --v->counts.admitted; });
    s.forget_if_gone(*v);
}

decision pool_fsm::assign(version_id which, std::string_view tenant_name, time_point now) {
    state& s = *s_;
    s.advance(now);
    version* found = s.versions.find(which);
    HEARTH_ASSERT(found && found->counts.admitted);
    version& v = *found;
    if (s.shut) {
        ++s.counters.refused;
        return refused{};
    }
    const auto count_spillover = [&](const environment& e) {
        if (v.policy.provisioned && !e.provisioned) ++s.counters.spillovers;
    };
    if (environment* e = s.find_idle(v, tenant_name)) {
        if (e->attached) {
            s.unlist_idle(*e, v);
            s.move(*e, [&] { e->phase = phase::running; });
            s.bind_tenant(*e, v, tenant_name);
            ++s.counters.warm_starts;
            count_spillover(*e);
            return reuse{e->self};
        }
        const std::uint64_t more = v.memory() > e->charge ? v.memory() - e->charge : 0;
        if (!s.room_for(more, v, e->in_lru.in() ? e->charge : 0)) {
            ++s.counters.no_room;
            return s.no_room_for(more);
        }
        reattach r;
        s.unlist_idle(*e, v);
        s.make_room(more, r.evict, r.drop);
        s.move(*e, [&] {
            e->phase = phase::running;
            e->attached = true;
        });
        s.charge(*e, v.memory());
        s.bind_tenant(*e, v, tenant_name);
        r.environment = e->self;
        r.shell = s.grant(*e, r.evict, now);
        ++s.counters.warm_starts;
        ++s.counters.reattached;
        count_spillover(*e);
        return r;
    }
    // A token bucket as GCRA keeps one: one time per function (ATM Forum, Traffic Management 4.0).
    function& f = s.functions[v.function];
    time_point next = f.scale_up;
    if (s.options.scale_up_starts) {
        const nanoseconds each =
            std::max(nanoseconds(1), s.options.scale_up_period /
                                         static_cast<nanoseconds::rep>(s.options.scale_up_starts));
        next = std::max(f.scale_up, now) + each;
        if (next - now > s.options.scale_up_period) {
            const auto reason = f.reserved ? throttle_reason::reserved_invocation_rate_limit
                                           : throttle_reason::invocation_rate_limit;
            ++s.counters.throttles[static_cast<std::size_t>(reason)];
            return throttled{reason, s.options.scale_up_starts, s.options.scale_up_starts};
        }
    }
    decision d = s.start_one(v, tenant_name, false, true);
    if (const auto* started = std::get_if<start>(&d)) {
        f.scale_up = next;
        ++(started->kind == start_kind::cold ? s.counters.cold_starts : s.counters.restored_starts);
        count_spillover(s.environments[started->environment.index]);
    } else {
        ++s.counters.no_room;
    }
    return d;
}

decision pool_fsm::arrive(version_id which, std::string_view tenant_name, time_point now) {
    denial denied = admit(which, now);
    if (auto* t = std::get_if<throttled>(&denied)) return *t;
    if (std::holds_alternative<refused>(denied)) return refused{};
    decision d = assign(which, tenant_name, now);
    if (!std::holds_alternative<reuse>(d) && !std::holds_alternative<reattach>(d) &&
        !std::holds_alternative<start>(d))
        leave(which, now);
    return d;
}

decision pool_fsm::prepare(version_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    version* v = s.versions.find(which);
    if (!v || v->retired || s.draining) return refused{};
    return s.start_one(*v, {}, true, true);
}

bool pool_fsm::started(environment_id which, bool detachable, time_point now) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    HEARTH_ASSERT(e && (e->phase == phase::starting || e->phase == phase::starting_ahead));
    e->detachable = detachable;
    version& v = s.versions[e->version];
    if (e->phase == phase::starting) {
        s.move(*e, [&] { e->phase = phase::running; });
        return true;
    }
    v.backoff = {};
    v.retry_at = at_once;
    if (s.ahead_waits_for_slot) s.ahead_at = at_once;
    return s.enter_idle(*e, now, true);
}

bool pool_fsm::wants_shell_of(environment_id which) const noexcept {
    state& s = *s_;
    const environment* e = s.environments.find(which);
    if (!e || e->phase != phase::running || !e->detachable) return false;
    return s.shell_total.in_use > s.options.max_shells - s.options.max_shells / 4;
}

void pool_fsm::suspended(environment_id which, time_point now, shell_fate fate) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    HEARTH_ASSERT(e && e->phase == phase::running);
    ++s.counters.suspended;
    s.move(*e, [&] { e->phase = phase::suspended; });
    s.release_shell(*e, fate, now);
}

shell_grant pool_fsm::resume(environment_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    HEARTH_ASSERT(e && e->phase == phase::suspended);
    ++s.counters.resumed;
    s.move(*e, [&] { e->phase = phase::running; });
    return s.grant(*e, {}, now);
}

void pool_fsm::start_failed(environment_id which, shell_fate fate, time_point now) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    HEARTH_ASSERT(e && (e->phase == phase::starting || e->phase == phase::starting_ahead));
    version& v = s.versions[e->version];
    if (e->phase == phase::starting_ahead) {
        v.backoff = grown(v.backoff, s.options);
        v.retry_at = later(now, v.backoff);
        if (s.ahead_waits_for_slot) s.ahead_at = at_once;
    }
    s.end(*e, state::ending::failed, false);
    s.release_shell(*e, fate, now);
    s.forget(*e);
}

bool pool_fsm::released(environment_id which, bool reusable, time_point now) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    HEARTH_ASSERT(e && (e->phase == phase::running || (e->phase == phase::suspended && !reusable)));
    return s.enter_idle(*e, now, reusable);
}

void pool_fsm::give_up(environment_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    if (!e || e->phase != phase::idle) return;
    start_reason& last_end = s.versions[e->version].last_end;
    const start_reason before = last_end;
    s.end(*e, state::ending::surplus, false);
    last_end = before;  // it was nobody's
}

void pool_fsm::set_detachable(environment_id which, bool detachable, time_point now) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    if (!e || e->detachable == detachable) return;
    const bool listed = e->phase == phase::idle;
    if (listed) s.unlist_lru(*e);
    e->detachable = detachable;
    if (listed) s.list_lru(*e);
}

// -- reports

bool pool_fsm::detached(environment_id which, byte_count diff, time_point now, shell_fate fate) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    HEARTH_ASSERT(e && (e->phase == phase::detaching || e->doomed));
    --s.detaching;
    ++s.counters.detached;
    s.release_shell(*e, fate, now);
    if (std::exchange(e->doomed, false)) {
        e->attached = false;
        return false;
    }
    --s.detaching_idle;
    s.move(*e, [&] {
        e->phase = phase::idle;
        e->attached = false;
    });
    e->diff = diff.bytes();
    s.charge(*e, e->provisioned ? s.versions[e->version].memory() : e->diff);
    s.list_lru(*e);
    s.evict_above_budget();
    return true;
}

bool pool_fsm::detach_failed(environment_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    HEARTH_ASSERT(e && (e->phase == phase::detaching || e->doomed));
    --s.detaching;
    ++s.counters.detach_failures;
    if (std::exchange(e->doomed, false)) return false;
    --s.detaching_idle;
    s.move(*e, [&] { e->phase = phase::idle; });
    if (e->shell == nil) {
        s.end(*e, state::ending::destroyed, false);
        return false;
    }
    e->detachable = false;
    s.list_lru(*e);
    return true;
}

void pool_fsm::destroyed(environment_id which, shell_fate fate, time_point now) {
    state& s = *s_;
    s.advance(now);
    environment* e = s.environments.find(which);
    HEARTH_ASSERT(e && e->phase == phase::ending && !e->doomed);
    s.release_shell(*e, fate, now);
    s.forget(*e);
}

void pool_fsm::shell_made(shell_id which, bool ok, time_point now) {
    state& s = *s_;
    s.advance(now);
    shell* made = s.shells.find(which);
    HEARTH_ASSERT(made && made->phase == shell_phase::making);
    shell_size& c = s.sizes[made->size];
    --c.making;
    if (ok) {
        c.backoff = {};
        c.retry_at = at_once;
        ++s.counters.shells_made_ahead;
        return s.free_shell(*made, now, true);
    }
    c.backoff = grown(c.backoff, s.options);
    c.retry_at = later(now, c.backoff);
    s.shells_at = std::min(s.shells_at, c.retry_at);
    s.forget(*made);
}

void pool_fsm::shell_destroyed(shell_id which, time_point now) {
    state& s = *s_;
    s.advance(now);
    shell* gone = s.shells.find(which);
    HEARTH_ASSERT(gone && gone->phase == shell_phase::destroying);
    s.forget(*gone);
}

// -- time

std::optional<time_point> pool_fsm::next_due() {
    state& s = *s_;
    if (!s.pending.empty() || s.over_max_shells() != state::surplus::none) return at_once;
    time_point at = std::min(s.ahead_at, s.shells_at);
    if (s.expiry.top(s.versions, [&](version& v) { return s.expires(v); }) != nil)
        at = std::min(at, s.expiry.at());
    if (!s.detach_next.empty() && s.detaching < s.options.max_detaching) {
        if (s.attached_idle() > s.options.max_attached_idle) return at_once;
        at = std::min(at,
                      later(s.environments[s.detach_next.front()].since, s.options.detach_after));
    }
    if (at == never) return std::nullopt;
    return at;
}

void pool_fsm::due(time_point now, std::vector<action>& into) {
    state& s = *s_;
    s.advance(now);
    const auto tell_pending = [&] {
        into.insert(into.end(), std::move_iterator(s.pending.begin()),
                    std::move_iterator(s.pending.end()));
        s.pending.clear();
    };
    tell_pending();  // what gives something back comes first
    s.retire_surplus(into);
    while (s.detach_is_due(now)) {
        environment& e = s.environments[s.detach_next.front()];
        s.begin_detach(e);
        into.push_back(detach{e.self});
    }
    s.start_ahead(now, into);
    s.look_after_shells(now, into);
    tell_pending();
}

// -- the end

void pool_fsm::drain() {
    s_->draining = true;
    s_->shells_at = at_once;
}

void pool_fsm::shut_down(time_point now) {
    state& s = *s_;
    s.advance(now);
    drain();
    s.shut = true;
    s.versions.each([&](version& v) { s.give_up_idle(v); });
    while (!s.free_used.empty()) s.destroy(s.shells[s.free_used.front()], s.pending);
    for (shell_size& c : s.sizes)
        while (!c.blank.empty()) s.destroy(s.shells[c.blank.front()], s.pending);
}

bool pool_fsm::quiet() const noexcept {
    return s_->total.admitted == 0 && s_->total.starting_ahead == 0;
}

bool pool_fsm::empty() const noexcept {
    return s_->environments.size() == 0 && s_->shells.size() == 0;
}

// -- looking

const pool_options& pool_fsm::options() const noexcept { return s_->options; }
const pool_counters& pool_fsm::counters() const noexcept { return s_->counters; }
environment_counts pool_fsm::environments() const noexcept { return s_->total; }
environment_counts pool_fsm::environments(version_id which) const noexcept {
    const version* v = s_->versions.find(which);
    return v ? v->counts : environment_counts{};
}
std::size_t pool_fsm::versions() const noexcept { return s_->versions.size(); }
shell_counts pool_fsm::shells() const noexcept { return s_->shell_total; }
byte_count pool_fsm::charged_memory() const noexcept { return byte_count(s_->charged); }
byte_count pool_fsm::snapshot_memory() const noexcept { return byte_count(s_->snapshots); }
byte_count pool_fsm::evictable_memory() const noexcept { return byte_count(s_->evictable); }
std::size_t pool_fsm::unreserved_concurrency() const noexcept {
    const std::size_t carved = s_->carved();
    return carved < s_->options.account_concurrency ? s_->options.account_concurrency - carved : 0;
}
version_id pool_fsm::version_of(environment_id which) const noexcept {
    const environment* e = s_->environments.find(which);
    return e ? s_->versions[e->version].self : version_id{};
}
shell_id pool_fsm::shell_of(environment_id which) const noexcept {
    const environment* e = s_->environments.find(which);
    return e && e->shell != nil ? s_->shells[e->shell].self : shell_id{};
}

}  // namespace hearth::pool
