// The pool machine under traffic, in simulated time. A world performs what the machine decides,
// with latencies and failures, keeps its own books of environments, shells, memory and executions,
// and checks every answer against them.

#include "pool/pool_fsm.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace hearth;
using namespace hearth::pool;
using namespace hearth::literals;
using namespace std::chrono_literals;
using std::chrono::nanoseconds;

namespace {

using dice = std::mt19937_64;

double uniform(dice& d) { return std::uniform_real_distribution<double>(0, 1)(d); }
bool chance(dice& d, double p) { return uniform(d) < p; }
nanoseconds seconds(double s) { return nanoseconds(static_cast<nanoseconds::rep>(s * 1e9)); }

struct arrival {
    nanoseconds at{};
    std::size_t version = 0;  ///< which of the world's
    nanoseconds takes{};
    bool operator<(const arrival& o) const { return at < o.at; }
};

struct scenario {
    pool_options options;
    std::vector<version_policy> policies;
    std::vector<arrival> arrivals;
    double failures = 0.02;      ///< of starts, detaches, invocations, shells
    double policy_changes = 0;   ///< per arrival
    std::size_t check_each = 1;  ///< events between looks at everything
    std::uint64_t seed = 1;
};

struct book_environment {
    environment_id id;
    std::size_t version = 0;  ///< which of the world's
    enum { starting, running, idle, detaching, ending } state = starting;
    bool attached = true;
    bool ahead = false;
    bool suspended = false;
    std::string tenant;  ///< empty: none yet
    std::uint64_t diff = 0;
    time_point since;
    std::uint64_t order = 0;  ///< of becoming idle
    nanoseconds takes{};
};

struct book_shell {
    std::uint64_t size = 0;
    version_id last{};
    environment_id owner{};
    bool free = false, ending = false;
};

struct book_version {
    version_id id;
    function_id function;
    version_policy policy;
    std::size_t admitted = 0;
    bool retired = false;
    std::uint64_t snapshot = 0;
    bool held = false, stored = false;  ///< its snapshot; policy.snapshot: either
    bool floors = false;  ///< has ever had min_idle or provisioned concurrency
};

class world {
  public:
    explicit world(scenario s) : s_(std::move(s)), fsm_(s_.options), dice_(s_.seed) {
        for (const version_policy& p : s_.policies) deploy(fsm_.add_function(), p);
    }

    /// Everything in the scenario, until nothing but idle environments is left; or so many
    /// arrivals.
    void run(std::size_t arrivals = unlimited) {
        std::stable_sort(s_.arrivals.begin(), s_.arrivals.end());
        for (const arrival& a : s_.arrivals) {
            if (arrivals-- == 0) return;
            run_until(start_ + a.at);
            if (chance(dice_, s_.policy_changes)) {
                change_something();
                after_event();
                run_until(start_ + a.at);
            }
            arrive(a);
            after_event();
        }
        while (!events_.empty()) run_until(events_.top().at);
    }
    void run_until(time_point until) {
        for (;;) {
            const auto due = fsm_.next_due();
            const time_point next = events_.empty() ? time_point::max() : events_.top().at;
            if (due && std::max(*due, now_) <= std::min(next, until)) {
                now_ = std::max(*due, now_);
                std::vector<action> actions;
                fsm_.due(now_, actions);
                // A due time may be early (nothing to do yet) but must move on.
                idle_wakes_ = actions.empty() ? idle_wakes_ + 1 : 0;
                if (idle_wakes_ > 1000) fail("the machine is due again and again for nothing");
                for (action& a : actions) std::visit([&](auto& x) { perform(x); }, a);
            } else if (next <= until) {
                const event e = events_.top();
                events_.pop();
                now_ = std::max(now_, e.at);
                happen(e);
            } else {
                break;
            }
            after_event();
        }
        now_ = std::max(now_, until);
    }
    void drain() {
        fsm_.drain();
        for (std::size_t i = 0; i < versions_.size(); ++i)
            if (!std::holds_alternative<refused>(fsm_.arrive(versions_[i].id, "t", now_)))
                fail("an arrival is admitted while draining");
        while (!events_.empty()) run_until(events_.top().at);
        if (!fsm_.quiet()) fail("drained, but not quiet");
    }
    void shut_down() {
        fsm_.shut_down(now_);
        shut_ = true;
        while (!events_.empty() || fsm_.next_due()) run_until(now_ + 1s);
        if (!fsm_.empty()) fail("something is left after shutdown");
        if (!environments_.empty() || !shells_.empty()) fail("the books know of more");
    }
    void require_only_kept_ones_left() {
        run_until(now_ + 48h);
        for (const auto& [id, e] : environments_)
            if (!versions_[e.version].floors) fail("an environment never expired");
        std::size_t kept = 0;
        for (const book_version& v : versions_)
            if (!v.retired) kept += std::max(v.policy.min_idle, v.policy.provisioned);
        if (environments_.size() > 2 * kept) fail("more are kept than the policies say");
        const std::uint64_t free = s_.options.memory_budget.bytes() - fsm_.charged_memory().bytes();
        for (const book_version& v : versions_) {
            const environment_counts c = fsm_.environments(v.id);
            if (v.retired || (s_.options.memory_budget.bytes() && free < v.policy.memory.bytes()))
                continue;
            if (c.provisioned != v.policy.provisioned || c.live() < v.policy.min_idle)
                fail("fewer are kept than the policy says, and there is room");
        }
        const pool_counters before = fsm_.counters();
        run_until(now_ + 48h);
        if (!(fsm_.counters() == before)) fail("something goes on though nothing arrives");
    }

    pool_fsm& fsm() { return fsm_; }
    [[nodiscard]] std::uint64_t decisions() const { return decisions_; }
    [[nodiscard]] std::uint64_t budget_checks() const { return budget_checks_; }
    [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
    [[nodiscard]] std::uint64_t fetched() const { return fetched_; }
    [[nodiscard]] std::size_t most_running() const { return most_running_; }
    [[nodiscard]] std::size_t most_shells() const { return most_shells_; }
    [[nodiscard]] std::size_t idle() const {
        return static_cast<std::size_t>(
            std::count_if(environments_.begin(), environments_.end(),
                          [](const auto& e) { return e.second.state == book_environment::idle; }));
    }

  private:
    struct event {
        time_point at;
        std::uint64_t order;
        enum kind { started, sleeps, over, torn_down, detached, made, unmade, assign } what;
        environment_id environment{};
        shell_id shell{};
        arrival call{};
        std::size_t version = 0;
        bool operator<(const event& o) const {
            return at != o.at ? at > o.at : order > o.order;  // the queue's top is the first
        }
    };

    [[noreturn]] void fail(const std::string& what) {
        FAIL(what << " (seed " << s_.seed << ", decision " << decisions_ << ")");
        std::abort();
    }
    void deploy(function_id f, const version_policy& p) {
        auto v = fsm_.add_version(f, p, now_);
        if (v.has_error()) return;
        book_version b;
        b.id = *v, b.function = f, b.policy = p;
        b.held = p.snapshot;
        b.floors = p.min_idle > 0 || p.provisioned > 0;
        versions_.push_back(b);
        if (p.snapshot && chance(dice_, 0.8)) hold_snapshot(versions_.back());
    }
    void at(nanoseconds after, event e) {
        e.at = now_ + after;
        e.order = order_++;
        events_.push(e);
    }
    /// Every invocation sleeps for its second half.
    void run(environment_id id, nanoseconds takes) {
        at(takes / 2, {{}, 0, event::sleeps, id, {}, {}, 0});
        at(takes, {{}, 0, event::over, id, {}, {}, 0});
    }
    bool fails() { return chance(dice_, s_.failures); }

    // -- the books

    book_environment& book(environment_id id) {
        const auto e = environments_.find(id);
        if (e == environments_.end()) fail("the machine names an environment that is not there");
        return e->second;
    }
    [[nodiscard]] bool any_provisioned() const {
        return std::any_of(versions_.begin(), versions_.end(),
                           [](const book_version& v) { return v.policy.provisioned > 0; });
    }
    std::uint64_t charge(const book_environment& e) const {
        if (e.state == book_environment::ending) return 0;
        return e.attached ? versions_[e.version].policy.memory.bytes() : e.diff;
    }
    [[nodiscard]] bool lives(const book_version& v) const {
        return std::any_of(environments_.begin(), environments_.end(), [&](const auto& e) {
            return &versions_[e.second.version] == &v && e.second.state != book_environment::ending;
        });
    }
    std::uint64_t charged() const {
        std::uint64_t sum = 0;
        for (const auto& [id, e] : environments_) sum += charge(e);
        for (const book_version& v : versions_)
            if (v.held && (!v.retired || v.admitted || lives(v))) sum += v.snapshot;
        return sum;
    }
    /// What is charged and will not go: all but what is idle, `but` excepted.
    std::uint64_t stays(const book_environment* but) const {
        std::uint64_t sum = 0;
        std::set<std::size_t> busy;
        for (const auto& [id, e] : environments_) {
            if (e.state == book_environment::idle && &e != but) continue;
            sum += charge(e);
            if (e.state != book_environment::ending) busy.insert(e.version);
        }
        for (const std::size_t v : busy)
            if (versions_[v].held) sum += versions_[v].snapshot;
        return sum;
    }
    void hold_snapshot(book_version& v) {
        const std::uint64_t size = (1 + dice_() % 64) * (4ull << 20);
        v.stored = chance(dice_, 0.5);
        if (std::exchange(v.held, false)) v.snapshot = 0;
        const bool held = fsm_.hold_snapshot(v.id, byte_count(size), v.stored, now_);
        if (!held && !any_provisioned() &&
            (!s_.options.memory_budget.bytes() ||
             stays(nullptr) + size <= s_.options.memory_budget.bytes()))
            fail("a snapshot is not held though there is room");
        v.snapshot = size;
        v.held = held;
        v.policy.snapshot = held || v.stored;
    }
    void drop(version_id id) {
        const auto v = std::find_if(versions_.begin(), versions_.end(),
                                    [&](const book_version& b) { return b.id == id; });
        if (v == versions_.end() || !v->held || !v->snapshot)
            fail("a snapshot is dropped that is not there");
        for (const auto& [e, b] : environments_)
            if (&versions_[b.version] == &*v &&
                (b.state == book_environment::running || b.state == book_environment::starting))
                fail("a snapshot is dropped that an environment needs");
        v->held = false;
        v->policy.snapshot = v->stored;
        ++dropped_;
    }
    void become_idle(book_environment& e) {
        e.state = book_environment::idle;
        e.attached = true;
        e.since = now_;
        e.order = order_++;
    }
    void set_free(environment_id id, bool broken) {
        for (auto& [shell, s] : shells_)
            if (s.owner == id) {
                if (broken) {
                    shells_.erase(shell);
                } else {
                    s.owner = {};
                    s.free = true;
                }
                return;
            }
    }
    void tear_down(environment_id id) {
        const bool broken = fails();
        set_free(id, broken);
        environments_.erase(id);
        fsm_.destroyed(id, broken ? shell_fate::gone : shell_fate::reusable, now_);
    }

    // -- limits, reckoned from the books

    [[nodiscard]] bool over_a_limit(const book_version& v) const {
        std::size_t total = 0, in_function = 0, function_demand = 0, demand = 0, unreserved = 0;
        std::size_t taken = 0, function_provisioned = 0;
        const auto reserved_of = [&](function_id f) -> std::optional<std::size_t> {
            const auto r = reserved_.find(f);
            if (r == reserved_.end()) return std::nullopt;
            return r->second;
        };
        for (const auto& [f, r] : reserved_) taken += r;
        const std::size_t reserved = taken;
        for (const book_version& o : versions_) {
            const std::size_t n = o.policy.provisioned;
            const std::size_t spill = o.admitted > n ? o.admitted - n : 0;
            total += o.admitted;
            if (o.function == v.function) {
                in_function += o.admitted;
                function_demand += spill;
                function_provisioned += n;
            }
            if (reserved_of(o.function)) continue;
            taken += n;
            unreserved += o.admitted;
            demand += spill;
        }
        const std::size_t limit = s_.options.account_concurrency;
        const bool spills = v.admitted >= v.policy.provisioned;
        if (total >= limit || v.admitted >= v.policy.max_concurrency) return true;
        if (const auto r = reserved_of(v.function))
            return in_function >= *r || (spills && function_demand + function_provisioned >= *r);
        return unreserved + reserved >= limit || (spills && demand + taken >= limit);
    }

    // -- arrivals

    void arrive(const arrival& a) {
        ++decisions_;
        const std::size_t which = a.version % versions_.size();
        book_version& v = versions_[which];
        const bool over = over_a_limit(v);
        const denial d = fsm_.admit(v.id, now_);
        if (std::holds_alternative<refused>(d)) {
            if (!v.retired) fail("an arrival is refused for nothing");
            return;
        }
        if (v.retired) fail("a retired version admits");
        if (std::holds_alternative<throttled>(d) != over)
            fail(over ? "an arrival is admitted above a limit" : "an arrival is throttled below");
        if (over) return;
        ++v.admitted;
        std::size_t running = 0;
        for (const book_version& o : versions_) running += o.admitted;
        most_running_ = std::max(most_running_, running);
        // Some wait in a queue for a thread.
        if (chance(dice_, 0.2))
            at(seconds(uniform(dice_) * 0.01), {{}, 0, event::assign, {}, {}, a, which});
        else
            assign(a, which);
    }

    void leave(std::size_t which) {
        --versions_[which].admitted;
        fsm_.leave(versions_[which].id, now_);
    }

    void assign(const arrival& a, std::size_t which) {
        book_version& v = versions_[which];
        const bool by_tenant = v.policy.isolation == isolation::tenant;
        const std::string tenant =
            by_tenant ? "tenant " + std::to_string(a.takes.count() % 5) : std::string();
        // What the books say could serve: idle for less than the ttl, of this tenant or of none.
        const book_environment* newest = nullptr;
        const auto before = [&](const book_environment& x, const book_environment& y) {
            if (x.tenant.empty() != y.tenant.empty()) return x.tenant.empty();
            return x.order < y.order;
        };
        for (const auto& [id, e] : environments_)
            if (e.version == which && e.state == book_environment::idle &&
                (e.tenant.empty() || e.tenant == tenant) &&
                (v.floors || now_ < e.since + v.policy.idle_ttl) && (!newest || before(*newest, e)))
                newest = &e;
        decision d = fsm_.assign(v.id, tenant, now_);
        if (auto* r = std::get_if<reuse>(&d)) {
            book_environment& e = book(r->environment);
            if (!newest || (!v.floors && newest != &e)) fail("not the newest idle one is reused");
            if (!e.attached) fail("a detached environment is reused as if attached");
            occupy(e, a, tenant);
        } else if (auto* again = std::get_if<reattach>(&d)) {
            book_environment& e = book(again->environment);
            if (!newest || (!v.floors && newest != &e)) fail("not the newest idle one is reused");
            if (e.attached) fail("an attached environment is reattached");
            evict(again->evict);
            for (const version_id dropped : again->drop) drop(dropped);
            e.attached = true;
            occupy(e, a, tenant);
            accept(again->shell, e);
            check_budget();
        } else if (auto* s = std::get_if<start>(&d)) {
            if (newest && s->evict.empty()) fail("a start though an idle environment would do");
            if (s->ahead) fail("a start ahead for an invocation");
            begin(*s, which, a, tenant);
        } else if (auto* n = std::get_if<no_room>(&d)) {
            check_no_room(*n, newest);
            leave(which);
        } else if (auto* t = std::get_if<throttled>(&d)) {
            if (!s_.options.scale_up_starts ||
                (t->reason != throttle_reason::invocation_rate_limit &&
                 t->reason != throttle_reason::reserved_invocation_rate_limit))
                fail("an admitted execution is throttled for concurrency");
            leave(which);
        } else {
            if (!shut_) fail("an admitted execution is refused");
            leave(which);
        }
    }

    void occupy(book_environment& e, const arrival& a, const std::string& tenant) {
        if (e.state != book_environment::idle) fail("an environment is used that is not idle");
        if (!e.tenant.empty() && e.tenant != tenant) fail("another tenant's environment is used");
        if (e.version != a.version % versions_.size()) {
            // Versions are never removed from the vector, so this is the machine's fault.
            if (!(versions_[e.version].id == fsm_.version_of(e.id)))
                fail("another version's environment is used");
        }
        e.state = book_environment::running;
        e.tenant = tenant;
        run(e.id, a.takes);
    }

    void begin(start& s, std::size_t which, const arrival& a, const std::string& tenant) {
        book_version& v = versions_[which];
        if (!(s.version == v.id)) fail("another version is started");
        evict(s.evict);
        for (const version_id dropped : s.drop) drop(dropped);
        if (s.kind == start_kind::restored) {
            if (!v.held && !v.stored) fail("a start is restored from nothing");
            if (!v.held) ++fetched_;
            v.held = true;
        } else if (v.held || (v.stored && !s_.options.memory_budget.bytes())) {
            fail("a start is cold though there is a snapshot");
        }
        if (!environments_.emplace(s.environment, book_environment{}).second)
            fail("a new environment has the id of one that is there");
        book_environment& e = book(s.environment);
        e.id = s.environment;
        e.version = which;
        e.tenant = tenant;
        e.takes = a.takes;
        e.ahead = s.ahead;
        accept(s.shell, e);
        check_budget();
        at(s.kind == start_kind::cold ? 50ms : 1ms, {{}, 0, event::started, e.id, {}, {}, 0});
    }

    void evict(const std::vector<environment_id>& victims) {
        for (const environment_id id : victims) {
            book_environment& e = book(id);
            if (e.state != book_environment::idle) fail("what is not idle is evicted");
            e.state = book_environment::ending;
            evicted_.push_back(id);
        }
    }

    void accept(const shell_grant& g, book_environment& e) {
        const book_version& v = versions_[e.version];
        const std::uint64_t size =
            (v.policy.shell_size.bytes() ? v.policy.shell_size : v.policy.memory).bytes();
        // A free shell that the machine has given up and not told yet was no choice, nor one that
        // became free between two starts decided together.
        const std::size_t dying = static_cast<std::size_t>(std::count_if(
            shells_.begin(), shells_.end(), [](const auto& s) { return s.second.ending; }));
        const bool told_all =
            !e.ahead && fsm_.shells().destroying == dying && fsm_.environments().ending == ending();
        const auto free_one = [&](auto&& like) {
            return told_all && std::any_of(shells_.begin(), shells_.end(), [&](const auto& s) {
                       return s.second.free && s.second.size == size && like(s.second);
                   });
        };
        const auto used_by_it = [&](const book_shell& s) { return s.last == v.id; };
        const auto blank = [](const book_shell& s) { return !s.last; };
        const auto may_lose_it = [&](const book_environment& o) {
            return o.state == book_environment::idle && o.attached && o.version == e.version &&
                   detachable_.contains(o.id);
        };
        if (g.source == shell_source::made) {
            if (free_one(used_by_it) || free_one(blank)) fail("a shell is made though one is free");
            if (told_all && used_shells() >= s_.options.max_shells)
                for (const auto& [id, o] : environments_)
                    if (may_lose_it(o))
                        fail("a shell above the limit is made though one could be stolen");
            if (!shells_.emplace(g.shell, book_shell{size, {}, {}, false, false}).second)
                fail("a made shell has the id of one that is there");
        }
        if (!shells_.contains(g.shell)) fail("a shell is granted that is not there");
        book_shell& s = shells_.at(g.shell);
        if (s.size != size) fail("the shell does not fit");
        switch (g.source) {
            case shell_source::same_version:
                if (!s.free || !used_by_it(s)) fail("not this version's shell");
                break;
            case shell_source::blank:
                if (!s.free || s.last || free_one(used_by_it))
                    fail("not a blank shell, or not the best");
                if (told_all && used_shells() >= s_.options.max_shells)
                    for (const auto& [id, o] : environments_)
                        if (may_lose_it(o))
                            fail(
                                "a blank shell is used above the limit though one could be stolen");
                break;
            case shell_source::evicted:
                if (std::find(evicted_.begin(), evicted_.end(), g.from) == evicted_.end() ||
                    !(s.owner == g.from) || !used_by_it(s))
                    fail("the evicted environment has not this shell, or of another version");
                break;
            case shell_source::made:
                if (!g.from) break;
                if (book(g.from).state != book_environment::idle || !detachable_.contains(g.from))
                    fail("what is not idle is detached");
                book(g.from).state = book_environment::detaching;
                break;
            case shell_source::stolen:
                if (!(s.owner == g.from) || !may_lose_it(book(g.from)) || free_one(used_by_it) ||
                    (told_all && used_shells() < s_.options.max_shells))
                    fail("the shell is stolen from one that is not idle, or for nothing");
                for (const auto& [id, o] : environments_)
                    if (may_lose_it(o) && told_all && o.since < book(g.from).since)
                        fail("not the least recently used environment loses its shell");
                book(g.from).state = book_environment::detaching;
                break;
        }
        s.free = false;
        s.owner = e.id;
        s.last = v.id;
        if (!(fsm_.shell_of(e.id) == g.shell)) fail("the machine disagrees about who has a shell");
        // What had it goes first.
        for (const environment_id id : std::exchange(evicted_, {})) tear_down(id);
        if (g.source == shell_source::stolen || (g.source == shell_source::made && g.from))
            report_detach(g.from);
        most_shells_ = std::max(most_shells_, held_shells());
    }
    std::size_t held_shells() const {
        return static_cast<std::size_t>(
                   std::count_if(shells_.begin(), shells_.end(),
                                 [](const auto& s) { return !s.second.ending; })) +
               making_.size();
    }
    /// Those that max_shells counts.
    std::size_t used_shells() const {
        return static_cast<std::size_t>(
            std::count_if(shells_.begin(), shells_.end(),
                          [](const auto& s) { return !s.second.ending && s.second.last; }));
    }

    [[nodiscard]] std::size_t ending() const {
        return static_cast<std::size_t>(std::count_if(
            environments_.begin(), environments_.end(),
            [](const auto& e) { return e.second.state == book_environment::ending; }));
    }
    void check_budget() {
        const std::uint64_t budget = s_.options.memory_budget.bytes();
        if (budget && fsm_.charged_memory().bytes() > budget) fail("memory above the budget");
        // What the machine gives up while it is being detached, the books hear of later; and of
        // several starts ahead one after the other.
        const environment_counts c = fsm_.environments();
        if (c.ending != ending() || c.live() + c.ending != environments_.size()) return;
        ++budget_checks_;
        if (budget && charged() > budget) fail("memory above the budget, say the books");
        if (!any_provisioned() && charged() != fsm_.charged_memory().bytes())
            fail("the machine charges " + std::to_string(fsm_.charged_memory().bytes()) +
                 " bytes, the books " + std::to_string(charged()));
    }
    void check_no_room(const no_room& n, const book_environment* newest) {
        const std::uint64_t budget = s_.options.memory_budget.bytes();
        if (!budget) fail("no room without a budget");
        if (!any_provisioned() && stays(newest) + n.needed.bytes() <= budget)
            fail("no room, though evicting would make it");
    }

    // -- what happens by itself, and what is due

    void happen(const event& e) {
        switch (e.what) {
            case event::assign:
                assign(e.call, e.version);
                break;
            case event::started: {
                book_environment& b = book(e.environment);
                if (fails()) {
                    const std::size_t which = b.version;
                    const bool ahead = b.ahead, broken = chance(dice_, 0.5);
                    set_free(e.environment, broken);
                    environments_.erase(e.environment);
                    fsm_.start_failed(e.environment,
                                      broken ? shell_fate::gone : shell_fate::reusable, now_);
                    if (!ahead) leave(which);
                    break;
                }
                const bool detachable = chance(dice_, 0.9);
                if (detachable) detachable_.insert(e.environment);
                const bool kept = fsm_.started(e.environment, detachable, now_);
                if (!b.ahead) {
                    if (!kept) fail("an invocation's environment is given up");
                    b.state = book_environment::running;
                    run(e.environment, b.takes);
                } else if (kept) {
                    become_idle(b);
                } else {
                    b.state = book_environment::ending;
                    at(1ms, {{}, 0, event::torn_down, e.environment, {}, {}, 0});
                }
                b.ahead = false;
                break;
            }
            case event::sleeps:
                if (!fsm_.wants_shell_of(e.environment)) break;
                if (!detachable_.contains(e.environment))
                    fail("the shell is wanted of what cannot be detached");
                book(e.environment).suspended = true;
                set_free(e.environment, false);
                fsm_.suspended(e.environment, now_);
                break;
            case event::over: {
                book_environment& b = book(e.environment);
                const std::size_t which = b.version;
                const bool reusable = !fails();
                // One that cannot serve again was stopped in its sleep.
                if (std::exchange(b.suspended, false) && reusable)
                    accept(fsm_.resume(e.environment, now_), b);
                const bool kept = fsm_.released(e.environment, reusable, now_);
                if (kept && !reusable) fail("what cannot serve again is kept");
                if (kept && versions_[which].retired) fail("a retired version keeps one");
                if (kept) {
                    become_idle(b);
                } else {
                    b.state = book_environment::ending;
                    at(1ms, {{}, 0, event::torn_down, e.environment, {}, {}, 0});
                }
                leave(which);
                break;
            }
            case event::torn_down:
                tear_down(e.environment);
                break;
            case event::detached:
                report_detach(e.environment);
                break;
            case event::made: {
                const bool ok = !fails();
                const std::uint64_t size = making_.at(e.shell);
                making_.erase(e.shell);
                if (ok) shells_.emplace(e.shell, book_shell{size, {}, {}, true, false});
                fsm_.shell_made(e.shell, ok, now_);
                break;
            }
            case event::unmade:
                shells_.erase(e.shell);
                fsm_.shell_destroyed(e.shell, now_);
                break;
        }
    }

    void report_detach(environment_id id) {
        book_environment& b = book(id);
        if (fails()) {
            detachable_.erase(id);
            if (fsm_.detach_failed(id, now_)) {
                b.state = book_environment::idle;
                return;
            }
        } else {
            set_free(id, false);
            b.diff = 4096 * (1 + dice_() % 256);
            b.attached = false;
            if (fsm_.detached(id, byte_count(b.diff), now_)) {
                b.state = book_environment::idle;
                return;
            }
        }
        b.state = book_environment::ending;
        at(1ms, {{}, 0, event::torn_down, id, {}, {}, 0});
    }

    void perform(terminate& t) {
        book_environment& e = book(t.environment);
        const book_version& v = versions_[e.version];
        if (e.state != book_environment::idle) fail("what is not idle is terminated");
        // Nobody raised or lowered anything: then only age ends an environment, and to the instant.
        if (s_.policy_changes == 0 && !v.floors && v.policy.max_idle == unlimited &&
            now_ != e.since + v.policy.idle_ttl)
            if (!shut_) fail("an environment is terminated before or after its time");
        e.state = book_environment::ending;
        at(1ms, {{}, 0, event::torn_down, t.environment, {}, {}, 0});
    }
    void perform(detach& d) {
        book_environment& e = book(d.environment);
        if (e.state != book_environment::idle || !e.attached || !detachable_.contains(e.id))
            fail("what is not idle, attached and detachable is detached");
        e.state = book_environment::detaching;
        at(1ms, {{}, 0, event::detached, d.environment, {}, {}, 0});
    }
    void perform(start& s) {
        const auto v = std::find_if(versions_.begin(), versions_.end(),
                                    [&](const book_version& b) { return b.id == s.version; });
        if (v == versions_.end() || !s.ahead) fail("a start for nobody is due");
        begin(s, static_cast<std::size_t>(v - versions_.begin()), {}, {});
    }
    void perform(drop_snapshot& d) { drop(d.version); }
    void perform(make_shell& m) {
        making_.emplace(m.shell, m.size.bytes());
        at(1ms, {{}, 0, event::made, {}, m.shell, {}, 0});
    }
    void perform(destroy_shell& d) {
        book_shell& s = shells_.at(d.shell);
        if (!s.free) fail("a shell in use is destroyed");
        s.free = false;
        s.ending = true;
        at(1ms, {{}, 0, event::unmade, {}, d.shell, {}, 0});
    }

    void change_something() {
        const std::size_t which = dice_() % versions_.size();
        book_version& v = versions_[which];
        switch (dice_() % 6) {
            case 0: {
                version_policy p = v.policy;
                p.idle_ttl = seconds(0.2 + uniform(dice_) * 20);
                p.max_idle = chance(dice_, 0.5) ? unlimited : dice_() % 6;
                p.min_idle = dice_() % 3;
                p.max_concurrency = chance(dice_, 0.7) ? unlimited : 1 + dice_() % 8;
                p.provisioned = p.isolation == isolation::tenant ? 0 : dice_() % 4;
                if (fsm_.set_policy(v.id, p, now_).has_value()) {
                    v.policy = p;
                    v.floors |= p.min_idle > 0 || p.provisioned > 0;
                } else if (!v.retired && p.provisioned <= v.policy.provisioned) {
                    fail("a policy is refused for nothing");
                }
                break;
            }
            case 1:
            case 2: {
                std::optional<std::size_t> r;
                if (chance(dice_, 0.5)) r = dice_() % 20;
                if (fsm_.set_reserved_concurrency(v.function, r, now_).has_value()) {
                    if (r)
                        reserved_[v.function] = *r;
                    else
                        reserved_.erase(v.function);
                }
                break;
            }
            case 3:
                if (v.retired) break;
                if (chance(dice_, 0.7)) {
                    hold_snapshot(v);
                } else {
                    v.policy.snapshot = v.held = v.stored = false;
                    fsm_.lose_snapshot(v.id, now_);
                }
                break;
            case 4: {  // a new version of the function takes its place
                const book_version old = v;
                fsm_.retire(old.id, now_);
                v.retired = true;
                v.policy.provisioned = v.policy.min_idle = 0;
                deploy(old.function, s_.policies[dice_() % s_.policies.size()]);
                break;
            }
            case 5:
                if (!chance(dice_, 0.3)) break;
                fsm_.remove_function(v.function, now_);
                reserved_.erase(v.function);
                for (book_version& o : versions_)
                    if (o.function == v.function) {
                        o.retired = true;
                        o.policy.provisioned = o.policy.min_idle = 0;
                    }
                deploy(fsm_.add_function(), s_.policies[dice_() % s_.policies.size()]);
                break;
        }
    }

    void after_event() {
        if (++events_seen_ % s_.check_each) return;
        if (const std::string wrong = fsm_.inconsistency(); !wrong.empty()) fail(wrong);
        std::size_t idle = 0, ending = 0, running = 0;
        for (const auto& [id, e] : environments_) {
            idle += e.state == book_environment::idle || e.state == book_environment::detaching;
            running += e.state == book_environment::running;
            ending += e.state == book_environment::ending;
        }
        const environment_counts c = fsm_.environments();
        // What the machine decided to end and has not told yet is idle in the books.
        if (c.live() + c.ending != environments_.size() || c.running != running ||
            c.idle() + c.ending != idle + ending || c.idle() > idle)
            fail("the machine counts other environments than the books");
        if (fsm_.shells().alive() != shells_.size() + making_.size())
            fail("the machine counts other shells than the books");
        std::size_t admitted = 0;
        for (const book_version& v : versions_) admitted += v.admitted;
        if (c.admitted != admitted) fail("the machine counts other executions than the books");
        const pool_counters& n = fsm_.counters();
        std::uint64_t granted = 0;
        for (const std::uint64_t g : n.shells_granted) granted += g;
        if (granted !=
            n.cold_starts + n.restored_starts + n.starts_ahead + n.reattached + n.resumed)
            fail("the counters of shells do not add up");
        if (n.cold_starts + n.restored_starts + n.starts_ahead !=
            c.live() + n.failed_starts + n.expired + n.evicted + n.surplus + n.destroyed)
            fail("the counters of environments do not add up");
    }

    scenario s_;
    pool_fsm fsm_;
    dice dice_;
    const time_point start_{1h};
    time_point now_ = start_;
    std::priority_queue<event> events_;
    std::vector<book_version> versions_;
    std::map<function_id, std::size_t> reserved_;
    std::map<environment_id, book_environment> environments_;
    std::set<environment_id> detachable_;
    std::map<shell_id, book_shell> shells_;
    std::map<shell_id, std::uint64_t> making_;
    std::vector<environment_id> evicted_;
    std::uint64_t order_ = 1, decisions_ = 0, events_seen_ = 0, idle_wakes_ = 0;
    std::uint64_t budget_checks_ = 0, dropped_ = 0, fetched_ = 0;
    bool shut_ = false;
    std::size_t most_running_ = 0, most_shells_ = 0;
};

// -- traffic

std::vector<version_policy> policies(std::size_t n, dice& d) {
    std::vector<version_policy> all;
    for (std::size_t i = 0; i < n; ++i) {
        version_policy p;
        p.memory = byte_count((128ull << 20) << (d() % 3));
        p.snapshot = chance(d, 0.8);
        p.idle_ttl = seconds(1 + uniform(d) * 10);
        p.isolation = static_cast<isolation>(d() % 3);
        all.push_back(p);
    }
    return all;
}

/// The next gap of a Poisson process.
double exponential(dice& d, double per_second) { return -std::log(1 - uniform(d)) / per_second; }

double log_normal(dice& d, double mu, double sigma) {
    return std::lognormal_distribution<double>(mu, sigma)(d);
}

std::vector<arrival> poisson(dice& d, std::size_t n, std::size_t versions, double per_second) {
    std::vector<arrival> all;
    double t = 0;
    while (all.size() < n) {
        t += exponential(d, per_second);
        all.push_back({seconds(t), d() % versions, seconds(exponential(d, 5))});
    }
    return all;
}

std::vector<arrival> bursts(dice& d, std::size_t n, std::size_t versions) {
    std::vector<arrival> all;
    double t = 0;
    while (all.size() < n) {
        t += exponential(d, 0.3);
        const std::size_t which = d() % versions;
        for (std::size_t i = 0, size = 1 + d() % 60; i < size; ++i)
            all.push_back({seconds(t + uniform(d) * 0.02), which, seconds(0.01 + uniform(d))});
    }
    return all;
}

/// A sine over a day of ten minutes, by thinning.
std::vector<arrival> diurnal(dice& d, std::size_t n, std::size_t versions, double peak) {
    std::vector<arrival> all;
    double t = 0;
    while (all.size() < n) {
        t += exponential(d, peak);
        if (chance(d, 0.5 + 0.5 * std::sin(t * 2 * 3.14159 / 600)))
            all.push_back({seconds(t), d() % versions, seconds(exponential(d, 3))});
    }
    return all;
}

/// In the shape of the Azure Functions trace of 2019 (Shahrad et al., "Serverless in the Wild",
/// USENIX ATC 2020): invocation rates of functions span many orders of magnitude, the most popular
/// fifth makes nearly all invocations; execution times are log-normal with log mean -0.38 and sigma
/// 2.36 in seconds; many functions are timers, others come in bursts, some are Poisson.
std::vector<arrival> azure(dice& d, std::size_t n, std::size_t versions) {
    struct source {
        double rate;
        double duration;
        unsigned kind;
    };
    std::vector<source> sources;
    double sum = 0;
    for (std::size_t i = 0; i < versions; ++i) {
        sources.push_back({log_normal(d, -3, 2.5), std::min(30.0, log_normal(d, -0.38, 2.36)),
                           static_cast<unsigned>(d() % 3)});
        sum += sources.back().rate;
    }
    const double length = 3600;
    std::vector<arrival> all;
    for (std::size_t i = 0; i < versions; ++i) {
        source& s = sources[i];
        s.rate *= static_cast<double>(n) / (sum * length);
        const auto call = [&](double t) {
            all.push_back({seconds(t), i, seconds(s.duration * log_normal(d, 0, 0.4))});
        };
        double t = uniform(d) / s.rate;
        while (t < length) {
            switch (s.kind) {
                case 0:
                    call(t), t += 1 / s.rate;
                    break;
                case 1:
                    call(t), t += exponential(d, s.rate);
                    break;
                default:
                    for (int k = 0; k < 8; ++k) call(t + 0.05 * k * uniform(d));
                    t += exponential(d, s.rate / 8);
            }
        }
    }
    return all;
}

struct of_snapshots {
    std::uint64_t dropped = 0, fetched = 0;
};
of_snapshots run_through(scenario s) {
    world w(std::move(s));
    w.run();
    w.require_only_kept_ones_left();
    w.drain();
    w.shut_down();
    CHECK(w.budget_checks() > 0);
    return {w.dropped(), w.fetched()};
}

scenario small(std::uint64_t seed, std::size_t versions) {
    dice d(seed);
    scenario s;
    s.seed = seed;
    s.options.account_concurrency = 40;
    s.options.min_unreserved = 5;
    s.options.max_shells = 16;
    s.options.max_attached_idle = 6;
    s.options.memory_budget = 6_GiB;
    s.policies = policies(versions, d);
    return s;
}

}  // namespace

TEST_CASE("Poisson arrivals get environments within every limit, and nothing leaks") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        dice d(seed);
        scenario s = small(seed, 8);
        s.arrivals = poisson(d, 2000, 8, 30 * double(seed));
        if (seed == 3) s.options.memory_budget = {};
        if (seed == 4) s.options.scale_up_starts = 5;
        s.check_each = 3;
        run_through(std::move(s));
    }
}

TEST_CASE("bursts throttle above the limits only, and evict and steal within the budget") {
    dice d(11);
    scenario s = small(11, 6);
    s.arrivals = bursts(d, 5000, 6);
    s.options.memory_budget = 5_GiB;
    s.check_each = 3;
    world w(std::move(s));
    w.run();
    CHECK(w.most_running() == 40);
    const pool_counters n = w.fsm().counters();
    CHECK(n.throttles[0] > 0);
    CHECK(n.no_room > 0);
    CHECK(n.evicted > 0);
    CHECK(n.shells_granted[std::size_t(shell_source::stolen)] > 0);
    CHECK(n.shells_granted[std::size_t(shell_source::evicted)] > 0);
    w.require_only_kept_ones_left();
    w.drain();
    w.shut_down();
}

TEST_CASE("environments follow the day and are gone after the night") {
    dice d(21);
    scenario s = small(21, 10);
    s.arrivals = diurnal(d, 6000, 10, 20);
    s.check_each = 5;
    world w(std::move(s));
    w.run();
    CHECK(w.idle() > 0);
    CHECK(w.fsm().counters().expired > 0);
    w.require_only_kept_ones_left();
    CHECK(w.fsm().environments().live() == 0);
    CHECK(w.fsm().shells().alive() <= 2);  // the spare one, and the one used last
    w.shut_down();
}

TEST_CASE("a trace in the shape of the Azure Functions one is served from few shells") {
    dice d(31);
    scenario s;
    s.seed = 31;
    s.policies = policies(300, d);
    for (version_policy& p : s.policies) {
        p.idle_ttl = 10min;
        p.shell_size = 512_MiB;
    }
    s.arrivals = azure(d, 8000, 300);
    s.options.memory_budget = 64_GiB;
    s.options.max_shells = 48;
    s.failures = 0.005;
    s.check_each = 61;
    world w(std::move(s));
    w.run();
    const pool_counters n = w.fsm().counters();
    CHECK(n.warm_starts > n.cold_starts + n.restored_starts);
    CHECK(n.reattached > 0);
    CHECK(w.most_shells() < w.most_running() + 48);
    w.require_only_kept_ones_left();
    w.drain();
    w.shut_down();
}

TEST_CASE(
    "policies, reservations, snapshots and versions change under traffic, and nothing leaks") {
    of_snapshots all;
    for (std::uint64_t seed = 41; seed <= 64; ++seed) {
        dice d(seed);
        scenario s = small(seed, 5);
        s.arrivals = seed % 2 ? poisson(d, 600, 32, 60) : bursts(d, 600, 6);
        s.policy_changes = 0.05;
        s.failures = 0.05;
        s.check_each = 2;
        const of_snapshots one = run_through(std::move(s));
        all.dropped += one.dropped, all.fetched += one.fetched;
    }
    CHECK(all.dropped > 20);
    CHECK(all.fetched > 5);
}

TEST_CASE("a shutdown in the middle of the traffic leaves nothing") {
    for (std::uint64_t seed = 51; seed <= 60; ++seed) {
        dice d(seed);
        scenario s = small(seed, 5);
        s.arrivals = poisson(d, 200, 5, 200);
        s.policy_changes = seed % 2 ? 0.05 : 0;
        world w(std::move(s));
        w.run(100);
        CHECK(!w.fsm().quiet());
        w.shut_down();
    }
}
