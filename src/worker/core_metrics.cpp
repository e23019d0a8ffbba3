// What a core counts, and shows.

#include "worker/core.hpp"

#include <algorithm>
#include <utility>

namespace hearth::worker {
namespace {

void add_counts(hearth::environment_metrics& to, const pool::environment_counts& c) {
    to.starting += c.starting;
    to.starting_ahead += c.starting_ahead;
    to.running += c.running;
    to.idle_attached += c.idle_attached;
    to.idle_detached += c.idle_detached;
    to.ending += c.ending;
    to.provisioned += c.provisioned;
}

void record(start_metrics& to, const invocation_report& r) {
    to.duration.record(r.duration);
    if (r.start == start_kind::warm && !r.reattached) return;
    to.vm.record(r.vm);
    to.boot.record(r.boot);
    if (r.init.count()) to.init.record(r.init);
    if (r.snapshot.count()) to.snapshot.record(r.snapshot);
    to.start.record(r.vm + r.boot + r.init + r.snapshot);
}

shell_metrics shells_of(const pool::shell_counts& now, const pool::pool_counters& c) {
    using enum pool::shell_source;
    const auto from = [&](pool::shell_source s) {
        return c.shells_granted[static_cast<std::size_t>(s)];
    };
    return {.in_use = now.in_use,
            .free_used = now.free_used,
            .free_blank = now.blank,
            .making = now.making,
            .destroying = now.destroying,
            .from_same_version = from(same_version),
            .from_blank = from(blank),
            .from_evicted = from(evicted),
            .from_made = from(made),
            .from_stolen = from(stolen),
            .made_ahead = c.shells_made_ahead,
            .destroyed = c.shells_destroyed};
}

}  // namespace

std::uint64_t& core::throttles_of(throttle_metrics& t, pool::throttle_reason reason) {
    switch (reason) {
        case pool::throttle_reason::concurrent_invocation_limit:
            return t.concurrent_invocation_limit;
        case pool::throttle_reason::reserved_concurrent_invocation_limit:
            return t.reserved_concurrent_invocation_limit;
        case pool::throttle_reason::invocation_rate_limit:
            return t.invocation_rate_limit;
        case pool::throttle_reason::reserved_invocation_rate_limit:
            break;
    }
    return t.reserved_invocation_rate_limit;
}

void core::count(pool::version_id version, const response& r) {
    const bool failed = !r.ok();
    ++counters_.invocations;
    counters_.function_errors += failed;
    version_entry* v = find(version);
    function_metrics* f = v && v->function ? &v->function->counted : nullptr;
    const auto of_kind = [&](start_metrics& all, std::uint64_t function_metrics::*kind) {
        record(all, r.report);
        if (f) ++(f->*kind);
    };
    switch (r.report.start) {
        case start_kind::cold:
            of_kind(counters_.cold, &function_metrics::cold);
            break;
        case start_kind::restored:
            of_kind(counters_.restored, &function_metrics::restored);
            break;
        case start_kind::warm:
            of_kind(counters_.warm, &function_metrics::warm);
            break;
    }
    if (!f) return;
    ++f->invocations;
    f->errors += failed;
    f->duration.record(r.report.duration);
    f->max_memory_used = std::max(f->max_memory_used, r.report.max_memory_used);
}

void core::count_init_failure(pool::version_id version) {
    const std::lock_guard lock(mutex_);
    ++counters_.init_failures;
    if (version_entry* v = find(version); v && v->function) ++v->function->counted.init_failures;
}

hearth::metrics core::metrics() const {
    std::vector<function_metrics> functions;
    std::unique_lock lock(mutex_);
    // Invocations wait meanwhile: the memory is taken before.
    while (functions.capacity() < functions_.size()) {
        const std::size_t wanted = functions_.size() + functions_.size() / 8;
        lock.unlock();
        functions.reserve(wanted);
        lock.lock();
    }
    hearth::metrics m = counters_;
    for (const auto& [arn, f] : functions_) {
        f.row = functions.size();
        functions.push_back(f.counted);
    }
    for (std::size_t i = 0; i < versions_.size(); ++i) {
        const version_entry& v = versions_[i];
        if (!v.function) continue;
        const auto counts =
            pool_.environments(pool::version_id{static_cast<std::uint32_t>(i), v.generation});
        function_metrics& f = functions[v.function->row];
        f.concurrent_executions += counts.admitted;
        add_counts(f.environments, counts);
    }
    const pool::pool_counters& c = pool_.counters();
    const pool::environment_counts e = pool_.environments();
    const pool::shell_counts s = pool_.shells();
    add_counts(m.pool.environments, e);
    m.pool.running = e.running;
    m.pool.idle = e.idle();
    m.pool.cold_starts = c.cold_starts;
    m.pool.restored_starts = c.restored_starts;
    m.pool.warm_starts = c.warm_starts;
    m.pool.detached = e.idle_detached;
    m.pool.shells = s.alive();
    m.pool.spillovers = c.spillovers;
    m.pool.expired = c.expired;
    m.pool.evicted = c.evicted;
    m.pool.destroyed = c.destroyed;
    m.pool.surplus = c.surplus;
    m.pool.admitted = c.admitted;
    m.pool.refused = c.refused;
    m.pool.no_room = c.no_room;
    m.pool.starts_ahead = c.starts_ahead;
    m.pool.failed_starts = c.failed_starts;
    m.pool.detaches = c.detached;
    m.pool.suspends = c.suspended;
    m.pool.detach_failures = c.detach_failures;
    m.pool.reattaches = c.reattached;
    m.pool.snapshots_dropped = c.snapshots_dropped;
    m.shells = shells_of(s, c);
    for (std::size_t i = 0; i < pool::throttle_reasons; ++i)
        throttles_of(m.throttles_by_reason, static_cast<pool::throttle_reason>(i)) = c.throttles[i];
    m.throttles = m.throttles_by_reason.total();
    m.functions = pool_.versions();
    m.concurrent_executions = e.admitted;
    m.concurrency_limit = options_.account_concurrency;
    m.unreserved_concurrency = pool_.unreserved_concurrency();
    m.snapshot_memory = pool_.snapshot_memory();
    m.guest_memory = byte_count(pool_.charged_memory().bytes() - pool_.snapshot_memory().bytes());
    m.memory_budget = options_.memory_budget;
    lock.unlock();
    std::ranges::sort(functions, {}, &function_metrics::name);
    m.by_function = std::move(functions);
    return m;
}

}  // namespace hearth::worker
