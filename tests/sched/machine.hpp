#pragma once

/// A machine with vCPU threads that runs tasks as a run queue decides, in simulated time: tasks
/// compute and sleep by turns, a kick takes a while to arrive.

#include "sched/run_queue.hpp"

#include <algorithm>
#include <cstddef>
#include <map>
#include <vector>

namespace hearth::sched::test {

using namespace std::chrono_literals;

inline constexpr time_point epoch{std::chrono::hours(1)};

/// Computes for `burst`, sleeps for `pause`, and again.
struct task final : run_queue::entity {
    static constexpr nanoseconds endless = nanoseconds::max();

    explicit task(nanoseconds burst_length = endless, nanoseconds pause_length = 0ns)
        : burst(burst_length), pause(pause_length), left(burst_length) {}

    const nanoseconds burst, pause;
    nanoseconds left;            ///< of this burst
    time_point woke_at;          ///< started to wait after a sleep
    bool fresh = false;          ///< since then it was on no thread
    nanoseconds longest_wait{};  ///< from a wake to a thread
    time_point seen_at;          ///< came off its thread
    nanoseconds longest_gap{};   ///< between two runs while it wanted to run
    std::uint64_t runs = 0;
};

class machine {
  public:
    explicit machine(run_queue_options options, nanoseconds kick_latency = 0ns)
        : queue(options), threads_(options.threads), kick_latency_(kick_latency) {}

    void start(task& t, std::uint32_t weight, nanoseconds quota = {}) {
        queue.add(t, weight, quota);
        wake(t);
    }

    void wake(task& t) {
        t.woke_at = t.seen_at = now;
        t.fresh = true;
        queue.wake(t, now);
    }

    void run(nanoseconds span) {
        const time_point until = now + span;
        while (step(until)) {
        }
    }

    run_queue queue;
    time_point now = epoch;
    nanoseconds busy{};  ///< all threads together
    std::uint64_t kicks = 0;
    std::vector<nanoseconds> waits;  ///< of those who sleep, from each wake to a thread

  private:
    struct thread {
        task* running = nullptr;
        time_point since;
        time_point kick_at = run_queue::never;

        [[nodiscard]] time_point stops_at() const {
            if (!running) return run_queue::never;
            return running->left == task::endless ? kick_at
                                                  : std::min(kick_at, since + running->left);
        }
    };

    void dispatch() {
        for (thread& at : threads_) {
            if (at.running) continue;
            const auto choice = queue.pick(now);
            if (!choice.e) return;
            auto& t = static_cast<task&>(*choice.e);
            ++t.runs;
            if (t.fresh) {
                t.longest_wait = std::max(t.longest_wait, now - t.woke_at);
                if (t.pause > 0ns) waits.push_back(now - t.woke_at);
            }
            t.longest_gap = std::max(t.longest_gap, now - t.seen_at);
            t.fresh = false;
            at = {&t, now, run_queue::never};
        }
    }

    bool step(time_point until) {
        dispatch();
        time_point next = std::min(until, queue.next_due());
        if (!sleepers_.empty()) next = std::min(next, sleepers_.begin()->first);
        for (const thread& at : threads_) next = std::min(next, at.stops_at());
        now = std::max(now, next);
        while (!sleepers_.empty() && sleepers_.begin()->first <= now) {
            task& t = *sleepers_.begin()->second;
            sleepers_.erase(sleepers_.begin());
            wake(t);
        }
        for (thread& at : threads_)
            if (at.running && at.stops_at() <= now) come_off(at);
        while (auto* e = queue.take_due(now))
            for (thread& at : threads_)
                if (at.running == e) {
                    at.kick_at = now + kick_latency_;
                    ++kicks;
                }
        return now < until;
    }

    void come_off(thread& at) {
        task& t = *at.running;
        at.running = nullptr;
        const nanoseconds cpu = now - at.since;
        busy += cpu;
        t.seen_at = now;
        if (t.left != task::endless) t.left -= cpu;
        if (t.left > 0ns) {
            queue.ran(t, cpu, now);
            return;
        }
        queue.ran(t, cpu, now, run_queue::then::sleeps);
        t.left = t.burst;
        sleepers_.emplace(now + t.pause, &t);
    }

    std::vector<thread> threads_;
    std::multimap<time_point, task*> sleepers_;
    const nanoseconds kick_latency_;
};

/// What always-runnable tasks of these weights get of `threads`: by weight, but none above one.
inline std::vector<double> fair_rates(const std::vector<std::uint32_t>& weights,
                                      std::size_t threads) {
    std::vector<double> rates(weights.size(), 0);
    double left = static_cast<double>(std::min(threads, weights.size()));
    for (bool again = true; again;) {
        again = false;
        double sum = 0;
        for (std::size_t i = 0; i < weights.size(); ++i)
            if (rates[i] < 1) sum += weights[i];
        for (std::size_t i = 0; i < weights.size(); ++i)
            if (rates[i] < 1 && weights[i] * left >= sum) {
                rates[i] = 1;
                left -= 1;
                again = true;
                break;
            }
        if (again) continue;
        for (std::size_t i = 0; i < weights.size(); ++i)
            if (rates[i] < 1) rates[i] = weights[i] * left / sum;
    }
    return rates;
}

}  // namespace hearth::sched::test
