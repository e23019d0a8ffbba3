// What the pool's decisions cost, without any VM: the calls one invocation makes, with few and with
// many environments idle. They are made under the worker's lock, so they bound its throughput.

#include "base/try.hpp"
#include "bench.hpp"
#include "pool/pool_fsm.hpp"

#include <memory>

namespace hearth::bench {
namespace {

using namespace hearth::pool;
using clock = std::chrono::steady_clock;

class churn {
  public:
    /// `versions` functions with `idle` detached environments in all; attached, and filling the
    /// memory budget, when `tight`.
    churn(std::size_t versions, std::size_t idle, bool tight) : fsm_(options(idle, tight)) {
        version_policy policy;
        policy.memory = memory;
        policy.snapshot = true;
        for (std::size_t i = 0; i < versions; ++i)
            versions_.push_back(fsm_.add_version(fsm_.add_function(), policy, now_).value());
        std::vector<std::pair<version_id, environment_id>> running;
        for (std::size_t i = 0; i < idle; ++i) {
            const version_id v = versions_[i % versions];
            decision d = fsm_.arrive(v, {}, now_);
            running.emplace_back(v, perform(d));
        }
        for (const auto& [v, e] : running) finish(v, e);
        while (!tight && fsm_.environments().idle_attached) {
            tick();
            now_ += std::chrono::milliseconds(1);
        }
    }

    /// On a version's own environment, which stays attached.
    void warm() { invoke(versions_[0]); }
    /// Round the versions, so that each call finds its environment detached.
    void reattach() {
        next_ = (next_ + 1) % versions_.size();
        invoke(versions_[next_]);
        tick();
    }
    /// Round one version more than there is memory for: each call evicts the environment that is
    /// needed last, and starts another.
    void start() {
        next_ = (next_ + 1) % versions_.size();
        invoke(versions_[next_]);
    }

  private:
    static constexpr byte_count memory = byte_count(128ull << 20);
    static constexpr byte_count diff = byte_count(128ull << 10);

    static pool_options options(std::size_t idle, bool tight) {
        pool_options o;
        o.account_concurrency = 100'000;
        o.max_shells = tight ? 100'000 : 64;
        o.max_attached_idle = tight ? 100'000 : 4;
        if (tight) o.memory_budget = memory * idle;
        return o;
    }
    environment_id perform(decision& d) {
        if (auto* r = std::get_if<pool::reuse>(&d)) return r->environment;
        if (auto* r = std::get_if<pool::reattach>(&d)) {
            settle(r->shell, r->evict);
            return r->environment;
        }
        auto* s = std::get_if<pool::start>(&d);
        if (!s) std::abort();
        settle(s->shell, s->evict);
        (void)fsm_.started(s->environment, true, now_);
        return s->environment;
    }
    void settle(const shell_grant& g, const std::vector<environment_id>& evicted) {
        for (const environment_id e : evicted) fsm_.destroyed(e, shell_fate::reusable, now_);
        if (g.from && g.source != shell_source::evicted) (void)fsm_.detached(g.from, diff, now_);
    }
    void finish(version_id v, environment_id e) {
        (void)fsm_.released(e, true, now_);
        fsm_.leave(v, now_);
        now_ += std::chrono::microseconds(20);
    }
    void invoke(version_id v) {
        decision d = fsm_.arrive(v, {}, now_);
        finish(v, perform(d));
        (void)fsm_.next_due();
    }
    void tick() {
        actions_.clear();
        fsm_.due(now_, actions_);
        for (const action& a : actions_) {
            if (const auto* x = std::get_if<detach>(&a))
                (void)fsm_.detached(x->environment, diff, now_);
            if (const auto* x = std::get_if<make_shell>(&a)) fsm_.shell_made(x->shell, true, now_);
            if (const auto* x = std::get_if<destroy_shell>(&a))
                fsm_.shell_destroyed(x->shell, now_);
            if (const auto* x = std::get_if<terminate>(&a))
                fsm_.destroyed(x->environment, shell_fate::reusable, now_);
        }
    }

    pool_fsm fsm_;
    clock::time_point now_{std::chrono::hours(1)};
    std::vector<version_id> versions_;
    std::vector<action> actions_;
    std::size_t next_ = 0;
};

}  // namespace

result<rows> pool_churn(context& ctx) {
    const pinned here;
    struct way {
        const char* name;
        void (churn::*once)();
        bool tight;
    };
    struct setting {
        std::string variant;
        std::unique_ptr<churn> pool;
        void (churn::*once)();
    };
    std::vector<setting> settings;
    for (const way& w : {way{"warm", &churn::warm, false}, way{"reattach", &churn::reattach, false},
                         way{"evict_start", &churn::start, true}})
        for (const std::size_t idle : {10, 10'000}) {
            const std::size_t versions = w.tight ? idle + 1 : std::min<std::size_t>(idle, 1000);
            settings.push_back({std::string(w.name) + " " + std::to_string(idle) + " idle",
                                std::make_unique<churn>(versions, idle, w.tight), w.once});
        }
    rows table;
    for (setting& s : settings) {
        const auto batch = [&]() -> result<samples> {
            samples calls;
            for (int i = 0; i < 200; ++i) {
                constexpr int together = 50;  // a clock reading costs about as much as one call
                const auto start = clock::now();
                for (int k = 0; k < together; ++k) (s.pool.get()->*s.once)();
                calls.push_back(
                    std::chrono::duration<double, std::micro>(clock::now() - start).count() /
                    together);
            }
            return calls;
        };
        HEARTH_TRY(row r, ctx.collect("pool_churn", s.variant, batch, 10));
        table.push_back(std::move(r));
    }
    return table;
}

}  // namespace hearth::bench
