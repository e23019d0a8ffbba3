#include "worker/core.hpp"

#include "base/try.hpp"
#include "worker/shared_draws.hpp"

#include <fmt/format.h>

#include <signal.h>

#include <algorithm>
#include <utility>

namespace hearth::worker {
namespace {

using std::chrono::steady_clock;

pool::pool_options pool_options_of(const worker_options& o) {
    pool::pool_options p;
    p.account_concurrency = o.account_concurrency;
    p.min_unreserved = std::min<std::size_t>(p.min_unreserved, o.account_concurrency);
    p.memory_budget = o.memory_budget;
    p.scale_up_starts = o.scale_up_starts;
    p.max_shells = o.max_shells;
    p.spare_shells = 2;  // one for who comes while the next is made
    p.detach_after = o.detach_after;
    return p;
}

std::string amount(byte_count n) {
    if (n.mebibytes() || !n.bytes()) return fmt::format("{} MB", n.mebibytes());
    return fmt::format("{} bytes", n.bytes());
}

byte_count shell_size(byte_count memory) {
    return detail::sandbox::shell_options(memory, 0, false).memory;
}

pool::version_policy policy_of(const version_spec& spec) {
    pool::version_policy p;
    p.memory = spec.memory;
    p.shell_size = shell_size(spec.memory);
    p.isolation = spec.isolation;
    const bool in_process = spec.code && spec.code->in_process();
    p.min_idle = in_process ? 0 : spec.pool.min_idle;
    p.max_idle = spec.pool.max_idle;
    p.idle_ttl = spec.pool.idle_ttl;
    p.max_concurrency = spec.pool.max_concurrency;
    p.provisioned = in_process ? 0 : spec.pool.provisioned_concurrency;
    return p;
}

}  // namespace

core::core(worker_options options, vmm::kvm kvm, std::unique_ptr<snapshot_store> store)
    : options_(std::move(options)),
      kick_signal_(SIGRTMIN + options_.kick_signal_offset),
      kvm_(std::move(kvm)),
      store_(std::move(store)),
      pool_(pool_options_of(options_)),
      housekeeper_([this] { housekeep(); }) {}

core::~core() { shut_down(); }

// -- the end

void core::close() {
    const std::lock_guard lock(mutex_);
    pool_.drain();
    closed_ = true;
    quiet_.notify_all();
}

void core::wait_quiet() {
    std::unique_lock lock(mutex_);
    quiet_.wait(lock, [this] { return pool_.quiet() && active_.empty(); });
}

void core::shut_down() {
    const std::lock_guard once(shut_down_mutex_);
    {
        const std::lock_guard lock(mutex_);
        pool_.drain();
        closed_ = interrupting_ = true;
        quiet_.notify_all();
        for (environment* e : active_) e->interrupt(environment::reason::shutdown);
    }
    wait_quiet();
    {
        const std::lock_guard lock(mutex_);
        pool_.shut_down(steady_clock::now());
        stop_ = true;
    }
    chores_.notify_all();
    if (housekeeper_.joinable()) housekeeper_.join();
    store_->finish();
    watch_.stop();
}

// -- versions

core::version_entry* core::find(pool::version_id id) {
    if (!id || id.index >= versions_.size()) return nullptr;
    version_entry& v = versions_[id.index];
    return v.generation == id.generation ? &v : nullptr;
}
const core::version_entry* core::find(pool::version_id id) const {
    return const_cast<core*>(this)->find(id);
}

result<pool::version_id> core::add(std::shared_ptr<const version_data> version) {
    const version_spec& spec = version->spec;
    const bool in_process = spec.code && spec.code->in_process();
    const bool snapshots = spec.snapshot && !in_process;
    auto stored = snapshots ? store_->load(*version) : nullptr;
    const auto now = steady_clock::now();
    const std::lock_guard lock(mutex_);
    auto [f, made] = functions_.try_emplace(spec.function_arn);
    if (made) {
        f->second.id = pool_.add_function();
        f->second.counted.name = spec.function_name;
    }
    const auto undo = [&, at = f, was_made = made] {
        if (!was_made) return;
        pool_.remove_function(at->second.id, now);
        functions_.erase(at);
    };
    if (auto r = pool_.set_reserved_concurrency(f->second.id, spec.pool.reserved_concurrency, now);
        r.has_error()) {
        undo();
        return r.error();
    }
    auto id = pool_.add_version(f->second.id, policy_of(spec), now);
    if (id.has_error()) {
        undo();
        return id.error();
    }
    ++f->second.versions;
    if (id->index >= versions_.size()) versions_.resize(id->index + 1);
    // Without room for it, it is read again when there is some.
    if (stored && !pool_.hold_snapshot(*id, stored->size(), true, now)) stored.reset();
    const pool::version_policy policy = policy_of(spec);
    versions_[id->index] = {
        id->generation,     version,         std::move(stored),     snapshots, &f->second,
        policy.provisioned, policy.min_idle, policy.max_concurrency};
    wake_if_due();
    return *id;
}

result<void> core::set_reserved_concurrency(const std::string& function_arn,
                                            std::optional<std::size_t> reserved) {
    const std::lock_guard lock(mutex_);
    const auto f = functions_.find(function_arn);
    if (f == functions_.end()) return {};
    return pool_.set_reserved_concurrency(f->second.id, reserved, steady_clock::now());
}

result<void> core::set_provisioned_concurrency(pool::version_id version, std::size_t provisioned) {
    const std::lock_guard lock(mutex_);
    version_entry* v = find(version);
    if (!v) return error(errc::invalid_argument, "there is no such version");
    const version_spec& spec = v->data->spec;
    if (spec.code && spec.code->in_process())
        return error(errc::invalid_argument, "a function of this process has no environments");
    return change_policy(version, *v, provisioned, v->min_idle, v->max_concurrency);
}

result<void> core::set_scaling(pool::version_id version,
                               std::size_t min_idle,
                               std::size_t max_concurrency) {
    const std::lock_guard lock(mutex_);
    version_entry* v = find(version);
    if (!v) return error(errc::invalid_argument, "there is no such version");
    // A function of this process has no environments to be kept.
    const auto& code = v->data->spec.code;
    if (code && code->in_process()) min_idle = 0;
    return change_policy(version, *v, v->provisioned, min_idle, max_concurrency);
}

result<void> core::change_policy(pool::version_id version,
                                 version_entry& v,
                                 std::size_t provisioned,
                                 std::size_t min_idle,
                                 std::size_t max_concurrency) {
    pool::version_policy policy = policy_of(v.data->spec);
    policy.provisioned = provisioned;
    policy.min_idle = min_idle;
    policy.max_concurrency = max_concurrency;
    HEARTH_CHECK(pool_.set_policy(version, policy, steady_clock::now()));
    v.provisioned = provisioned, v.min_idle = min_idle, v.max_concurrency = max_concurrency;
    wake_if_due();
    return {};
}

std::size_t core::ready_environments(pool::version_id version) const {
    const std::lock_guard lock(mutex_);
    const auto have = pool_.environments(version);
    return have.running + have.idle();
}

void core::replace(pool::version_id version, std::shared_ptr<const version_data> data) {
    const std::lock_guard lock(mutex_);
    if (version_entry* v = find(version)) v->data.swap(data);
}

void core::retire(pool::version_id version) {
    const std::lock_guard lock(mutex_);
    pool_.retire(version, steady_clock::now());
    wake_if_due();
}

void core::remove(pool::version_id version) {
    version_entry gone;  // let go of outside the lock
    const std::lock_guard lock(mutex_);
    version_entry* v = find(version);
    if (!v) return;
    const auto now = steady_clock::now();
    pool_.retire(version, now);
    if (auto f = functions_.find(v->data->spec.function_arn);
        f != functions_.end() && --f->second.versions == 0) {
        pool_.remove_function(f->second.id, now);
        functions_.erase(f);
    }
    gone = std::exchange(*v, {});
    wake_if_due();
}

bool core::has_snapshot(pool::version_id version) const {
    const std::lock_guard lock(mutex_);
    return pool_.has_snapshot(version);
}

// -- what is at rest; under the lock

core::environment_ptr core::take(pool::environment_id id) {
    if (id.index >= environments_.size() || !environments_[id.index] ||
        environments_[id.index]->id != id)
        return nullptr;
    return std::move(environments_[id.index]);
}

void core::store(environment_ptr e) {
    const auto index = e->id.index;
    if (index >= environments_.size()) environments_.resize(index + 1);
    environments_[index] = std::move(e);
}

std::optional<detail::shell> core::take_shell(pool::shell_id id) {
    if (!id || id.index >= free_shells_.size() || !free_shells_[id.index]) return std::nullopt;
    std::optional<detail::shell> s(std::move(*free_shells_[id.index]));
    free_shells_[id.index].reset();
    return s;
}

void core::store_shell(pool::shell_id id, detail::shell shell) {
    if (id.index >= free_shells_.size()) free_shells_.resize(id.index + 1);
    free_shells_[id.index].emplace(std::move(shell));
}

std::shared_ptr<const version_snapshot> core::take_snapshot_of(pool::version_id version) {
    version_entry* v = find(version);
    return v ? std::exchange(v->snapshot, nullptr) : nullptr;
}

core::work_order core::order(pool::environment_id id,
                             const pool::shell_grant& grant,
                             const std::vector<pool::environment_id>& evict,
                             const std::vector<pool::version_id>& drop) {
    work_order w;
    w.id = id;
    w.grant = grant;
    for (const auto e : evict)
        if (auto gone = take(e)) w.evicted.push_back(std::move(gone));
    for (const auto v : drop)
        if (auto gone = take_snapshot_of(v)) w.dropped.push_back(std::move(gone));
    if (grant.source != pool::shell_source::evicted) w.detached_for_it = take(grant.from);
    w.shell = take_shell(grant.shell);
    return w;
}

void core::wake_if_due() {
    const auto due = pool_.next_due();
    if (!ending_.empty() || !worn_.empty() || (due && *due < wakes_at_)) chores_.notify_one();
}

// -- getting an environment

/// Keeps the shell that an environment gives back, if the pool counts it as that one's and the
/// version's snapshot stands in it: then its next environment only has the dirtied pages copied
/// back. Nobody else can use it sooner than a fresh one. Under the lock.
pool::shell_fate core::keep_shell(pool::environment_id id, std::optional<detail::shell> shell) {
    if (!shell) return pool::shell_fate::gone;
    const auto shell_id = pool_.shell_of(id);
    const version_entry* v = find(pool_.version_of(id));
    if (shell_id && (shell->blank || (v && v->snapshot && shell->root == v->snapshot->image))) {
        store_shell(shell_id, std::move(*shell));
        return pool::shell_fate::reusable;
    }
    retire_shell(std::move(*shell));
    return pool::shell_fate::gone;
}

/// Destroying a VM takes KVM as long as making one. Under the lock.
void core::retire_shell(detail::shell shell) {
    worn_.push_back(std::move(shell));
    chores_.notify_one();
}

/// Gives an environment up for good; its shell is free for others if it can be.
void core::end(environment_ptr e) {
    const auto id = e->id;
    const bool spun_down = e->shuts_down();
    auto shell = e->give_up();
    e.reset();
    const std::lock_guard lock(mutex_);
    pool_.destroyed(id, keep_shell(id, std::move(shell)), steady_clock::now());
    if (spun_down) {
        --spinning_down_;
        quiet_.notify_all();
        chores_.notify_one();
    }
    wake_if_due();
}

/// Gives an idle environment up; its extensions, if they want to, hear of it first. One that is
/// detached goes on in a VM of its own for that. Called by the housekeeping thread, which others'
/// starts do not wait for; what must make room for them at once ends without.
void core::spin_down(environment_ptr e) {
    if (!e->wants_shutdown()) return end(std::move(e));
    if (e->detached()) {
        auto vm = make_vm(shell_size(e->memory()));
        if (vm.has_error() ||
            e->attach({detail::shell(std::move(*vm)), std::chrono::nanoseconds()}).has_error())
            return end(std::move(e));
    }
    {
        // Each holds a VM meanwhile.
        std::unique_lock lock(mutex_);
        quiet_.wait(lock, [this] { return spinning_down_ < options_.max_shells; });
        ++spinning_down_;
    }
    e->forget_interrupts();
    e->begin_shutdown();
    auto version = e->version();
    carry_on(std::move(e), std::move(version));
}

/// What a decision takes from others, done and reported; w.shell is there then, unless one is to be
/// made.
void core::settle(work_order& w) {
    for (auto& e : w.evicted) {
        if (e->id == w.grant.from) w.shell = e->give_up();
        end(std::move(e));
    }
    w.evicted.clear();
    w.dropped.clear();
    if (w.detached_for_it) w.shell = detach(std::move(w.detached_for_it));
}

result<vmm::vm> core::make_vm(byte_count size) {
    vmm::vm_options options;
    options.memory = size;
    options.kick_signal = kick_signal_;
    return vmm::vm::create(kvm_, options);
}

/// The shell of a decision, whatever must be done for it. `root`: what is to run in it stems from
/// that snapshot; null: it is loaded.
result<environment::resources> core::fetch(work_order& w,
                                           byte_count memory,
                                           const detail::snapshot_image* root) {
    const auto start = steady_clock::now();
    settle(w);
    // Only what the pool took from an environment that was loaded where it stands: the snapshot is
    // not in it. Wiping it would zap all of a VM's translations, which takes KVM several
    // milliseconds on some hosts (it waits for a grace period): a fresh VM is quicker.
    if (w.shell && !w.shell->blank && !(root && w.shell->root.get() == root)) {
        const std::lock_guard lock(mutex_);
        retire_shell(std::move(*w.shell));
        w.shell.reset();
    }
    if (!w.shell) {
        HEARTH_TRY(auto vm, make_vm(shell_size(memory)));
        w.shell.emplace(std::move(vm));
    }
    environment::resources r{std::move(*w.shell), steady_clock::now() - start};
    w.shell.reset();
    return r;
}

result<core::environment_ptr> core::reattach(environment_ptr e, work_order w) {
    const auto attach = [&]() -> result<void> {
        HEARTH_TRY(auto resources, fetch(w, e->memory(), e->root()));
        return e->attach(std::move(resources));
    };
    auto attached = attach();
    if (attached.has_value()) return e;
    {
        const std::lock_guard lock(mutex_);
        (void)pool_.released(e->id, false, steady_clock::now());
    }
    end(std::move(e));
    return attached.error();
}

result<core::assigned> core::start(work_order w, start_kind kind, const version_entry& version) {
    const version_spec& spec = version.data->spec;
    auto e = std::make_unique<environment>(version.data, options_, watch_, network_);
    e->id = w.id;
    e->why = w.reason;
    e->no_snapshot = w.no_snapshot;
    const auto begin = [&]() -> result<void> {
        if (version.data->files.has_error()) return version.data->files.error();
        auto snapshot = kind == start_kind::restored ? version.snapshot : nullptr;
        std::chrono::nanoseconds read_time{};
        if (kind == start_kind::restored && !snapshot) {
            settle(w);  // for its memory too
            const auto start = steady_clock::now();
            snapshot = fetch_snapshot(w.id, *version.data);
            read_time = steady_clock::now() - start;
            if (!snapshot) {
                kind = start_kind::cold;
                e->no_snapshot = cold_reason::lost;
            }
        }
        HEARTH_TRY(auto resources,
                   fetch(w, spec.memory, snapshot ? snapshot->image.get() : nullptr));
        if (snapshot) return e->restore(std::move(resources), *snapshot, read_time);
        return e->load(std::move(resources));
    };
    auto begun = begin();
    if (begun.has_value()) return assigned{std::move(e), kind};
    start_failed(std::move(w), e->give_up());
    return begun.error();
}

/// The snapshot that had to go for want of memory, from disk; null: it is not there any more. The
/// pool has made room for it with the start.
std::shared_ptr<const version_snapshot> core::fetch_snapshot(pool::environment_id id,
                                                             const version_data& data) {
    auto loaded = store_->load(data);
    const std::lock_guard lock(mutex_);
    const auto version = pool_.version_of(id);
    version_entry* v = find(version);
    if (!v) return loaded;                // removed meanwhile
    if (v->snapshot) return v->snapshot;  // another start was quicker
    if (loaded)
        v->snapshot = loaded;
    else
        pool_.lose_snapshot(version, steady_clock::now());
    return loaded;
}

/// A start that came to nothing, at whatever point.
void core::start_failed(work_order w, std::optional<detail::shell> shell) {
    settle(w);
    if (!shell) shell = std::move(w.shell);
    const std::lock_guard lock(mutex_);
    pool_.start_failed(w.id, keep_shell(w.id, std::move(shell)), steady_clock::now());
    quiet_.notify_all();
    wake_if_due();
}

/// The sentence begins with AWS's Reason and a colon, by which the HTTP front knows it: what an
/// asynchronous call fails with is a code and a text.
error core::denied(const pool::throttled& t, const version_entry& v) const {
    using enum pool::throttle_reason;
    const auto reason = pool::to_string(t.reason);
    ++throttles_of(v.function->counted.throttles, t.reason);
    switch (t.reason) {
        case concurrent_invocation_limit:
            return {errc::throttled, fmt::format("{}: {} executions run, the limit is {}", reason,
                                                 t.running, t.limit)};
        case reserved_concurrent_invocation_limit:
            return {errc::throttled,
                    fmt::format("{}: {} executions of {} run, its limit is {}", reason, t.running,
                                v.data->spec.function_name, t.limit)};
        default:
            return {errc::throttled, fmt::format("{}: {} has started as many environments as it "
                                                 "may for now, {} in a period",
                                                 reason, v.data->spec.function_name, t.limit)};
    }
}

result<void> core::admit(pool::version_id version) {
    const std::lock_guard lock(mutex_);
    const version_entry* v = find(version);
    if (!v) return error(errc::shutting_down);
    const auto d = pool_.admit(version, steady_clock::now());
    if (std::holds_alternative<pool::refused>(d)) return error(errc::shutting_down);
    if (const auto* t = std::get_if<pool::throttled>(&d)) return denied(*t, *v);
    return {};
}

void core::leave(pool::version_id version) noexcept {
    const std::lock_guard lock(mutex_);
    leave_locked(version, steady_clock::now());
    wake_if_due();
}

void core::leave_locked(pool::version_id version, pool::time_point now) noexcept {
    pool_.leave(version, now);
    if (pool_.quiet()) quiet_.notify_all();
}

template <class Ask>
result<core::assigned> core::decide(pool::version_id version, Ask ask) {
    work_order w;
    version_entry v;
    environment_ptr again;
    start_kind kind = start_kind::cold;
    bool ahead = false;
    {
        const std::lock_guard lock(mutex_);
        if (interrupting_) return error(errc::shutting_down);
        const version_entry* entry = find(version);
        if (!entry) return error(errc::shutting_down);
        const auto spilt = pool_.counters().spillovers;
        pool::decision d = ask(steady_clock::now());
        entry->function->counted.spillovers += pool_.counters().spillovers - spilt;
        if (const auto* r = std::get_if<pool::reuse>(&d)) {
            wake_if_due();
            assigned found{take(r->environment), start_kind::warm, true};
            enlist(*found.env);
            return found;
        }
        if (std::holds_alternative<pool::refused>(d)) return error(errc::shutting_down);
        if (const auto* t = std::get_if<pool::throttled>(&d)) return denied(*t, *entry);
        if (const auto* n = std::get_if<pool::no_room>(&d))
            return error(errc::no_room,
                         fmt::format("{} needs {}, {} are free of the memory budget of {}; raise "
                                     "memory_budget, or lower the function's memory",
                                     entry->data->spec.function_name, amount(n->needed),
                                     amount(n->free), amount(options_.memory_budget)));
        if (auto* r = std::get_if<pool::reattach>(&d)) {
            again = take(r->environment);
            w = order(r->environment, r->shell, r->evict, r->drop);
        } else {
            auto& s = std::get<pool::start>(d);
            kind = s.kind;
            ahead = s.ahead;
            w = order(s.environment, s.shell, s.evict, s.drop);
            if (!ahead) {
                w.reason = s.reason;
                w.no_snapshot = entry->snapshot_wanted ? s.no_snapshot : cold_reason::off;
            }
        }
        v = *entry;
        wake_if_due();
    }
    if (again) {
        HEARTH_TRY(auto e, reattach(std::move(again), std::move(w)));
        return assigned{std::move(e), start_kind::warm};
    }
    HEARTH_TRY(auto made, start(std::move(w), kind, v));
    made.env->ahead = ahead;
    if (made.env->initialised()) {
        if (!ahead) {  // else it has started, and is idle, when it is given back
            const std::lock_guard lock(mutex_);
            made.env->in_pool = pool_.started(made.env->id, true, steady_clock::now());
        }
        tell_started(*made.env);
    }
    return made;
}

void core::tell_started(const environment& e) const {
    if (options_.observer) options_.observer->on_start(e.spec().function_name, e.started_as());
}

result<core::assigned> core::assign(pool::version_id version, const std::string& tenant) {
    return decide(version,
                  [&](pool::time_point now) { return pool_.assign(version, tenant, now); });
}

result<core::assigned> core::prepare(pool::version_id version) {
    return decide(version, [&](pool::time_point now) { return pool_.prepare(version, now); });
}

void core::take_snapshot(environment& e) {
    pool::version_id version;
    bool wanted = false;
    {
        const std::lock_guard lock(mutex_);
        version = pool_.version_of(e.id);
        const version_entry* v = find(version);
        wanted =
            v && v->snapshot_wanted && !v->snapshot && !e.clone() && pool_.wants_snapshot(version);
    }
    if (wanted) {
        auto taken = e.snapshot();
        if (taken.has_value()) {
            if (options_.find_shared_randomness) warn_of_shared_draws(e, **taken);
            std::shared_ptr<const version_data> data;
            bool no_room = false;
            {
                const std::lock_guard lock(mutex_);
                if (version_entry* v = find(version); v && pool_.wants_snapshot(version)) {
                    data = v->data;
                    no_room = !pool_.hold_snapshot(version, (*taken)->size(), store_->keeps(*data),
                                                   steady_clock::now());
                    if (!no_room) v->snapshot = *taken;
                    wake_if_due();
                }
            }
            e.go_on(no_room ? nullptr : taken->get());
            if (no_room) warn_of_no_room_for_snapshot(data->spec, (*taken)->size());
            // At deployment it is on disk before the function is Active; an invocation does not
            // wait for the disk.
            if (data && e.ahead)
                store_->save(*data, **taken);
            else if (data)
                store_->save_later(std::move(data), std::move(*taken));
        } else if (options_.observer) {
            options_.observer->on_log(
                {log_record::severity::warning, "worker",
                 "no snapshot, so starts stay cold: " + taken.error().message()});
        }
    }
}

void core::warn_of_no_room_for_snapshot(const version_spec& spec, byte_count size) const {
    if (!options_.observer) return;
    byte_count free;
    {
        const std::lock_guard lock(mutex_);
        const auto charged = pool_.charged_memory().bytes(),
                   budget = options_.memory_budget.bytes();
        free = byte_count(budget > charged ? budget - charged : 0);
    }
    options_.observer->on_log(
        {log_record::severity::warning, "worker",
         fmt::format("the snapshot of {} needs {}, {} are free of the memory budget of {}: its "
                     "starts stay cold until there is room; raise memory_budget",
                     spec.function_name, amount(size), amount(free),
                     amount(options_.memory_budget))});
}

void core::warn_of_shared_draws(const environment& e, const version_snapshot& s) const {
    if (!options_.observer) return;
    if (const auto shared = describe_shared_draws(*s.image, e.given_randomness()))
        options_.observer->on_log({log_record::severity::warning, "worker",
                                   fmt::format("{}: {}", e.spec().function_name, *shared)});
}

void core::initialised(environment& e) {
    tell_started(e);
    if (e.ahead || e.in_pool) return;
    const std::lock_guard lock(mutex_);
    e.in_pool = pool_.started(e.id, e.clone(), steady_clock::now());
}

void core::suspend(environment& e) {
    {
        const std::lock_guard lock(mutex_);
        if (!pool_.wants_shell_of(e.id)) return;
    }
    auto shell = e.suspend();
    if (shell.has_error()) return;  // it keeps the shell
    const std::lock_guard lock(mutex_);
    const auto fate = keep_shell(e.id, std::move(*shell));
    pool_.suspended(e.id, steady_clock::now(), fate);
    wake_if_due();
}

result<void> core::resume(environment& e) {
    work_order w;
    {
        const std::lock_guard lock(mutex_);
        w = order(e.id, pool_.resume(e.id, steady_clock::now()), {}, {});
        wake_if_due();
    }
    auto resources = fetch(w, e.memory(), e.root());
    auto resumed =
        resources.has_value() ? e.resume(std::move(*resources)) : result<void>(resources.error());
    if (resumed.has_error()) (void)e.give_up();
    return resumed;
}

// -- running, and after

bool core::begin(environment& e) {
    const std::lock_guard lock(mutex_);
    if (interrupting_) return false;
    enlist(e);
    return true;
}

void core::enlist(environment& e) {
    e.running_slot = active_.size();
    active_.push_back(&e);
}

void core::unregister(environment& e) noexcept {
    if (e.running_slot == environment::at_rest) return;
    active_.back()->running_slot = e.running_slot;
    active_[e.running_slot] = active_.back();
    active_.pop_back();
    e.running_slot = environment::at_rest;
}

template <class Counted>
void core::give_back(environment_ptr e, Counted counted) {
    const bool failed_start = !e->in_pool && !(e->ahead && e->reusable());
    bool reusable = e->reusable();
    const bool clean = e->spec().isolation == isolation::invocation && e->in_pool;
    const bool to_reset = reusable && (clean || (e->ahead && !e->clone()));
    std::optional<detail::shell> shell;
    std::shared_ptr<const version_snapshot> snapshot;
    // What is not under the lock: bringing it back to its snapshot.
    if (!e->in_pool || to_reset) {
        {
            const std::lock_guard lock(mutex_);
            unregister(*e);
            if (const version_entry* v = find(pool_.version_of(e->id))) snapshot = v->snapshot;
        }
        if (reusable) e->forget_interrupts();
        if (to_reset) reusable = snapshot ? e->reset(*snapshot).has_value() : !clean;
        if (failed_start) shell = e->give_up();
    }

    const auto now = steady_clock::now();
    const std::lock_guard lock(mutex_);
    unregister(*e);
    if (reusable) e->forget_interrupts();
    if (failed_start || (!e->in_pool && !reusable)) {
        pool_.start_failed(e->id, keep_shell(e->id, std::move(shell)), now);
    } else {
        bool kept = false;
        if (!e->in_pool) {
            e->in_pool = true;
            kept = pool_.started(e->id, e->clone(), now);
            // Made for the snapshot alone: starts are quick from now on, and it need not wait.
            if (kept && snapshot && !wanted_ahead(*e)) {
                pool_.give_up(e->id, now);
                kept = false;
            }
            e->ahead = false;
        } else {
            pool_.set_detachable(e->id, e->clone(), now);
            kept = pool_.released(e->id, reusable, now);
        }
        if (kept)
            store(std::move(e));
        else
            ending_.push_back(std::move(e));
    }
    counted(now);
    quiet_.notify_all();
    wake_if_due();
}

void core::give_back(environment_ptr e) {
    if (e->shuts_down()) return end(std::move(e));
    give_back(std::move(e), [](pool::time_point) {});
}

void core::ended(pool::version_id version,
                 const std::string& function_name,
                 environment_ptr e,
                 const response& r) {
    const auto counted = [&](pool::time_point now) {
        count(version, r);
        leave_locked(version, now);
    };
    if (e) {
        give_back(std::move(e), counted);
    } else {
        const std::lock_guard lock(mutex_);
        counted(steady_clock::now());
        wake_if_due();
    }
    recent_.record(function_name, r);
    if (const auto& observer = options_.observer) observer->on_invocation_end(function_name, r);
}

/// The policy keeps so many environments idle that this one counts.
bool core::wanted_ahead(const environment& e) const {
    const pool::version_id version = pool_.version_of(e.id);
    const version_entry* v = find(version);
    return v && pool_.environments(version).live() <= std::max(v->min_idle, v->provisioned);
}

result<void> core::wait_for_ahead(pool::version_id version) {
    std::unique_lock lock(mutex_);
    const bool there = quiet_.wait_for(lock, options_.init_limit, [&] {
        const version_entry* v = find(version);
        if (!v || closed_) return true;
        const auto have = pool_.environments(version);
        return have.idle() + have.running >= std::max(v->min_idle, v->provisioned);
    });
    if (closed_) return error(errc::shutting_down);
    if (!there)
        return error(errc::init_failed, "the environments to be kept ahead did not come up");
    return {};
}

sched::host_view core::view(const version_spec& spec) const {
    // CPU is shared by weight, not promised: no function is refused for want of it.
    constexpr sched::millicpu plenty = std::uint64_t{1} << 40;
    constexpr byte_count unlimited(std::uint64_t{1} << 50);
    const std::lock_guard lock(mutex_);
    sched::host_view v;
    v.memory_total = options_.memory_budget.bytes() ? options_.memory_budget : unlimited;
    v.memory_used = byte_count(pool_.charged_memory().bytes() - pool_.evictable_memory().bytes());
    v.cpu_total = plenty;
    v.running = active_.size();
    v.has_snapshot = std::ranges::any_of(versions_, [&](const version_entry& e) {
        return e.snapshot && e.data->spec.function_arn == spec.function_arn &&
               e.data->spec.version == spec.version;
    });
    return v;
}

// -- housekeeping

/// @return its shell, if that was promised to another environment; else it is kept here
std::optional<detail::shell> core::detach(environment_ptr e) {
    auto detached = e->detach();
    std::optional<detail::shell> shell;
    bool promised = false;
    {
        const std::lock_guard lock(mutex_);
        const auto now = steady_clock::now();
        auto fate = pool::shell_fate::gone;
        promised = !pool_.shell_of(e->id);
        if (detached.has_value() && promised)
            shell.emplace(std::move(*detached));
        else if (detached.has_value())
            fate = keep_shell(e->id, std::move(*detached));
        const bool kept = detached.has_value() ? pool_.detached(e->id, e->held(), now, fate)
                                               : pool_.detach_failed(e->id, now);
        if (kept)
            store(std::move(e));
        else if (!promised || shell)
            ending_.push_back(std::move(e));  // given up meanwhile
        wake_if_due();
    }
    if (e) {
        shell = e->give_up();
        end(std::move(e));
    }
    return shell;
}

void core::start_ahead(work_order w, start_kind kind, const version_entry& version) {
    auto made = start(std::move(w), kind, version);
    if (made.has_error()) {
        if (options_.observer)
            options_.observer->on_log(
                {log_record::severity::warning, "worker",
                 "an environment could not be started ahead: " + made.error().message()});
        return;
    }
    made->env->ahead = true;
    if (made->env->initialised()) {
        tell_started(*made->env);
        give_back(std::move(made->env));
    } else {
        run_init_(std::move(made->env), version.data);
    }
}

/// Performs what the pool finds due.
void core::housekeep() {
    struct chore {
        pool::action what;
        work_order work;
        version_entry version;
        environment_ptr env;
        std::optional<detail::shell> shell;
        std::shared_ptr<const version_snapshot> snapshot;
    };
    std::vector<pool::action> actions;
    std::unique_lock lock(mutex_);
    for (;;) {
        actions.clear();
        pool_.due(steady_clock::now(), actions);
        auto ending = std::exchange(ending_, {});
        auto worn = std::exchange(worn_, {});
        if (actions.empty() && ending.empty() && worn.empty()) {
            if (stop_ && pool_.empty()) return;
            const auto due = pool_.next_due();
            wakes_at_ = due.value_or(pool::time_point::max());
            if (wakes_at_ == pool::time_point::max())
                chores_.wait(lock);
            else
                chores_.wait_until(lock, pool::time_point(wakes_at_));
            wakes_at_ = pool::time_point::min();
            continue;
        }
        std::vector<chore> chores;
        for (auto& a : actions) {
            chore c;
            if (const auto* t = std::get_if<pool::terminate>(&a)) {
                c.env = take(t->environment);
            } else if (const auto* d = std::get_if<pool::detach>(&a)) {
                c.env = take(d->environment);
            } else if (const auto* s = std::get_if<pool::start>(&a)) {
                c.work = order(s->environment, s->shell, s->evict, s->drop);
                if (const version_entry* v = find(s->version)) c.version = *v;
            } else if (const auto* n = std::get_if<pool::drop_snapshot>(&a)) {
                c.snapshot = take_snapshot_of(n->version);
            } else if (const auto* x = std::get_if<pool::destroy_shell>(&a)) {
                c.shell = take_shell(x->shell);
            }
            c.what = std::move(a);
            chores.push_back(std::move(c));
        }
        lock.unlock();
        for (auto& e : ending) spin_down(std::move(e));
        worn.clear();
        for (chore& c : chores) {
            if (std::holds_alternative<pool::terminate>(c.what)) {
                if (c.env) spin_down(std::move(c.env));
            } else if (std::holds_alternative<pool::detach>(c.what)) {
                if (c.env) (void)detach(std::move(c.env));
            } else if (const auto* s = std::get_if<pool::start>(&c.what)) {
                if (c.version.data)
                    start_ahead(std::move(c.work), s->kind, c.version);
                else  // the version went meanwhile
                    start_failed(std::move(c.work), std::nullopt);
            } else if (std::holds_alternative<pool::drop_snapshot>(c.what)) {
                c.snapshot.reset();
            } else if (const auto* m = std::get_if<pool::make_shell>(&c.what)) {
                auto vm = make_vm(m->size);
                const std::lock_guard again(mutex_);
                if (vm.has_value()) store_shell(m->shell, std::move(*vm));
                pool_.shell_made(m->shell, vm.has_value(), steady_clock::now());
            } else if (const auto* x = std::get_if<pool::destroy_shell>(&c.what)) {
                c.shell.reset();
                const std::lock_guard again(mutex_);
                pool_.shell_destroyed(x->shell, steady_clock::now());
            }
        }
        chores.clear();
        lock.lock();
    }
}

}  // namespace hearth::worker
