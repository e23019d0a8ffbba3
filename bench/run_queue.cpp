// The run queue's own cost: one sandbox comes off its thread, the next is chosen, with more and
// more of them waiting; and one that wakes up while all threads are busy.

#include "sched/run_queue.hpp"

#include "base/try.hpp"
#include "bench.hpp"
#include "sched/random.hpp"

#include <deque>
#include <string>

namespace hearth::bench {
namespace {

using sched::run_queue;

struct spinner final : run_queue::entity {};

/// Nanoseconds of each decision, in microseconds; four threads, all always busy.
void decide(std::size_t entities, samples& switches, samples& wakes) {
    constexpr std::size_t threads = 4;
    constexpr int rounds = 100'000;
    using wall = std::chrono::steady_clock;
    const auto since = [](wall::time_point start) {
        return std::chrono::duration<double, std::micro>(wall::now() - start).count();
    };
    run_queue queue({.threads = threads});
    sched::random_source random(1);
    std::deque<spinner> all(entities);
    sched::time_point now{};
    for (spinner& s : all) {
        queue.add(s, 128 + random.below(10'112));
        queue.wake(s, now);
    }
    spinner sleeper;
    queue.add(sleeper, 512);
    std::vector<run_queue::entity*> on(threads);
    for (auto& e : on) e = queue.pick(now).e;
    for (int i = 0; i < rounds; ++i) {
        now += std::chrono::milliseconds(1);
        auto& e = on[static_cast<std::size_t>(i) % threads];
        const auto start = wall::now();
        queue.ran(*e, std::chrono::milliseconds(4), now);
        e = queue.pick(now).e;
        (void)queue.next_due();
        switches.push_back(since(start));
        if (sleeper.asleep()) {
            const auto woken = wall::now();
            queue.wake(sleeper, now);
            (void)queue.next_due();
            wakes.push_back(since(woken));
        } else if (!sleeper.running()) {
            queue.sleep(sleeper);
        }
    }
}

}  // namespace

result<rows> run_queue_cost(context& ctx) {
    const pinned here;
    rows table;
    for (const std::size_t entities : {10u, 1000u, 10'000u}) {
        HEARTH_TRY(const samples floors, ctx.floor(200));
        samples switches, wakes;
        decide(entities, switches, wakes);
        const std::string n = std::to_string(entities);
        table.push_back(summarize("run_queue", "switch/" + n, switches, {floors.front()}));
        table.push_back(summarize("run_queue", "wake/" + n, wakes, {floors.front()}));
    }
    return table;
}

}  // namespace hearth::bench
