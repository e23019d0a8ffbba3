#include "sched/run_queue.hpp"

#include "machine.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <random>

namespace hearth::sched::test {
namespace {

using namespace hearth::literals;
using then = run_queue::then;

constexpr run_queue_options with_threads(std::size_t n) { return {.threads = n}; }

double seconds(nanoseconds d) { return std::chrono::duration<double>(d).count(); }

std::vector<std::unique_ptr<task>> spinners(machine& m, const std::vector<std::uint32_t>& weights) {
    std::vector<std::unique_ptr<task>> tasks;
    for (const auto w : weights) {
        tasks.push_back(std::make_unique<task>());
        m.start(*tasks.back(), w);
    }
    return tasks;
}

}  // namespace

TEST_CASE("an entity that is alone runs without an end to its slice") {
    run_queue q(with_threads(2));
    task a;
    q.add(a, 128);
    CHECK_FALSE(q.pick(epoch).e);
    q.wake(a, epoch);
    q.wake(a, epoch);  // harmless
    CHECK(q.waiting() == 1);
    const auto choice = q.pick(epoch);
    CHECK(choice.e == &a);
    CHECK(choice.slice == run_queue::unbounded);
    CHECK(a.running());
    CHECK(q.next_due() == run_queue::never);
    CHECK_FALSE(q.take_due(epoch + 1h));
    q.ran(a, 5ms, epoch + 5ms, then::sleeps);
    CHECK(a.asleep());
    CHECK(a.cpu_time() == 5ms);
    q.remove(a);
    CHECK(q.size() == 0);
}

TEST_CASE("a slice has an end only when somebody waits for the thread") {
    run_queue q(with_threads(1));
    task a, b;
    q.add(a, 128);
    q.add(b, 128);
    q.wake(a, epoch);
    q.wake(b, epoch);
    CHECK(q.pick(epoch).slice == 4ms);
    CHECK(q.next_due() == epoch + 4ms);
    CHECK_FALSE(q.take_due(epoch + 3ms));

    SECTION("who waited is gone") {
        q.sleep(b);
        CHECK_FALSE(q.take_due(epoch + 4ms));
        CHECK(q.next_due() == run_queue::never);
    }
    SECTION("who waits still does") {
        CHECK(q.take_due(epoch + 4ms) == &a);
        CHECK_FALSE(q.take_due(epoch + 4ms));  // once
        CHECK(q.next_due() == run_queue::never);
        q.ran(a, 4ms, epoch + 4ms);
        CHECK(q.pick(epoch + 4ms).e == &b);
    }
}

TEST_CASE("who wakes while all threads are busy has the one stopped that is ahead of its share") {
    run_queue q(with_threads(2));
    task a, b, c, d;
    for (task* t : {&a, &b, &c, &d}) q.add(*t, 128);
    q.wake(a, epoch);
    CHECK(q.pick(epoch).e == &a);
    q.wake(b, epoch + 100ms);
    CHECK(q.pick(epoch + 100ms).e == &b);
    const auto now = epoch + 200ms;
    q.wake(c, now);
    CHECK(q.next_due() == now);
    CHECK(q.take_due(now) == &a);
    q.ran(a, 200ms, now);
    CHECK(q.pick(now).e == &c);
    // The next one does not stop the newcomer, nor wait for it.
    q.wake(d, now + 10us);
    CHECK(q.take_due(now + 10us) == &b);
    q.ran(b, 100ms, now + 10us);
    CHECK(q.pick(now + 10us).e == &d);
    for (task* t : {&a, &b, &c, &d}) q.remove(*t);
    CHECK(q.size() == 0);
    CHECK(q.running() == 0);
    CHECK(q.waiting() == 0);
}

TEST_CASE("who wakes in debt stops nobody at once, but has its turn when its slice is due") {
    run_queue q(with_threads(1));
    task a, b;
    for (task* t : {&a, &b}) {
        q.add(*t, 128);
        q.wake(*t, epoch);
    }
    CHECK(q.pick(epoch).e == &a);
    q.ran(a, 30ms, epoch + 30ms, then::sleeps);  // its kick came late
    CHECK(q.pick(epoch + 30ms).slice == run_queue::unbounded);
    q.wake(a, epoch + 32ms);
    CHECK(q.next_due() == epoch + 34ms);
    CHECK(q.take_due(epoch + 34ms) == &b);
    q.ran(b, 4ms, epoch + 34ms);
    CHECK(q.pick(epoch + 34ms).e == &b);  // 26 behind
    CHECK(q.take_due(epoch + 60ms) == &b);
    q.ran(b, 26ms, epoch + 60ms);
    CHECK(q.pick(epoch + 60ms).e == &a);
}

TEST_CASE("a newcomer is not stopped for the next one before it had a moment") {
    run_queue q(with_threads(1));
    task a, b, c;
    for (task* t : {&a, &b, &c}) q.add(*t, 128);
    q.wake(a, epoch);
    (void)q.pick(epoch);
    q.wake(b, epoch + 1s);
    CHECK(q.take_due(epoch + 1s) == &a);
    q.ran(a, 1s, epoch + 1s);
    CHECK(q.pick(epoch + 1s).e == &b);
    q.wake(c, epoch + 1s + 300us);
    CHECK(q.next_due() == epoch + 1s + 1ms);
    CHECK(q.take_due(epoch + 1s + 1ms) == &b);
}

TEST_CASE("spinning entities share the threads by their weights") {
    struct setup {
        std::size_t threads;
        std::vector<std::uint32_t> weights;
    };
    const auto s = GENERATE(
        setup{1, {128, 128}}, setup{1, {128, 256, 512, 1024}}, setup{1, {10240, 128}},
        setup{2, {128, 128, 128}}, setup{2, {1769, 512, 512, 128}}, setup{4, {1, 2, 3, 4, 5, 6, 7}},
        // More than one thread's worth of weight: one thread is all it can get.
        setup{2, {10240, 128, 128}}, setup{2, {10240, 10}}, setup{3, {10240, 5000, 128, 256}},
        setup{4, {10240, 10240, 10240, 128, 256, 512}});
    const auto latency = GENERATE(0us, 150us);
    machine m(with_threads(s.threads), latency);
    const auto tasks = spinners(m, s.weights);
    m.run(10s);
    const auto rates = fair_rates(s.weights, s.threads);
    CAPTURE(s.threads, s.weights, rates, latency.count());
    const std::size_t most = std::min(s.threads, tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        CAPTURE(i, seconds(tasks[i]->cpu_time()));
        if (tasks.size() > s.threads)
            CHECK(seconds(tasks[i]->cpu_time()) ==
                  Approx(rates[i] * 10).epsilon(0.02).margin(0.008));
    }
    CHECK(seconds(m.busy) <= 10.0 * static_cast<double>(most) + 1e-9);
}

TEST_CASE("nobody of a thousand entities falls behind its share by more than a few slices") {
    machine m(with_threads(4), 100us);
    std::vector<std::uint32_t> weights;
    std::mt19937 random(7);
    for (int i = 0; i < 1000; ++i) weights.push_back(128u << random() % 6);
    const auto tasks = spinners(m, weights);
    m.run(10s);
    const auto rates = fair_rates(weights, 4);
    double worst_behind = 0, worst_ahead = 0;
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        const double lag = rates[i] * 10 - seconds(tasks[i]->cpu_time());
        worst_behind = std::max(worst_behind, lag);
        worst_ahead = std::max(worst_ahead, -lag);
    }
    CAPTURE(worst_behind, worst_ahead);
    CHECK(worst_behind <= 0.010);
    CHECK(worst_ahead <= 0.010);

    m.run(290s);
    for (std::size_t i = 0; i < tasks.size(); ++i)
        CHECK(seconds(tasks[i]->cpu_time()) == Approx(rates[i] * 300).epsilon(0.02).margin(0.005));
}

TEST_CASE("a newcomer behind spinning entities is on a thread within one slice") {
    const std::size_t threads = GENERATE(1u, 2u, 8u);
    const std::size_t crowd = GENERATE(1u, 8u, 200u);
    machine m(with_threads(threads));
    const auto tasks = spinners(m, std::vector<std::uint32_t>(crowd, 1769));
    m.run(3s);
    std::vector<std::unique_ptr<task>> newcomers;
    for (int i = 0; i < 20; ++i) {
        newcomers.push_back(std::make_unique<task>(500us, 1h));
        m.start(*newcomers.back(), 128);
        m.run(37ms + std::chrono::microseconds(i * 111));
        CAPTURE(threads, crowd, i, newcomers.back()->longest_wait.count());
        CHECK(newcomers.back()->runs > 0);
        CHECK(newcomers.back()->longest_wait <= 4ms);
        CHECK(newcomers.back()->asleep());  // half a millisecond was all it wanted
    }
}

TEST_CASE("a crowd of newcomers is served in turn and starves nobody") {
    machine m(with_threads(2));
    const auto old = spinners(m, {512, 512});
    m.run(1s);
    std::vector<std::unique_ptr<task>> crowd;
    for (int i = 0; i < 100; ++i) {
        crowd.push_back(std::make_unique<task>(2ms, 1h));
        m.start(*crowd.back(), 128);
    }
    m.run(400ms);
    for (const auto& t : crowd) {
        CHECK(t->cpu_time() == 2ms);
        CHECK(t->longest_wait <= 100ms);
    }
    for (const auto& t : old) CHECK(t->longest_gap <= 150ms);
}

TEST_CASE("a stream of newcomers over capacity does not starve who was there before") {
    machine m(with_threads(1));
    const auto old = spinners(m, {1769});
    m.run(1s);
    const nanoseconds before = old[0]->cpu_time();
    std::vector<std::unique_ptr<task>> stream;
    for (int i = 0; i < 1000; ++i) {  // two milliseconds of work every millisecond
        stream.push_back(std::make_unique<task>(2ms, 1h));
        m.start(*stream.back(), 128);
        m.run(1ms);
    }
    // Alone against a growing crowd: at least what 1769 of 1769 + 128 * 500 gives.
    CHECK(old[0]->cpu_time() - before >= 27ms);
    CHECK(old[0]->longest_gap <= 300ms);
}

TEST_CASE("a sleeper gets what it asks for below its share, at once, and banks nothing") {
    machine m(with_threads(1), 50us);
    // Asks for 20 % of a thread, a third of which is its share.
    task sleeper(2ms, 8ms);
    const auto others = spinners(m, {512, 512});
    m.start(sleeper, 512);
    m.run(10s);
    CHECK(seconds(sleeper.cpu_time()) == Approx(2.0).epsilon(0.05));
    CHECK(sleeper.longest_wait <= 4ms + 50us);
    for (const auto& t : others) CHECK(seconds(t->cpu_time()) == Approx(4.0).epsilon(0.02));

    SECTION("after a minute's sleep it has its share and no more") {
        task late(task::endless);
        m.queue.add(late, 512);
        m.run(60s);
        m.wake(late);
        const nanoseconds before = others[0]->cpu_time();
        m.run(100ms);
        CHECK(late.longest_wait <= 4ms);
        CHECK(seconds(late.cpu_time()) <= 0.034 + 0.008);
        CHECK(seconds(others[0]->cpu_time() - before) >= 0.020);
    }
}

TEST_CASE("sleeping for a moment before the slice is over wins no share") {
    machine m(with_threads(1));
    task cunning(3900us, 1us);
    const auto honest = spinners(m, {256, 256});
    m.start(cunning, 256);
    m.run(10s);
    CHECK(seconds(cunning.cpu_time()) <= 3.34);
    for (const auto& t : honest) CHECK(seconds(t->cpu_time()) >= 3.3);
}

TEST_CASE("sleepers and spinners of all weights mixed leave no thread idle and nobody behind") {
    machine m(with_threads(4), 100us);
    std::vector<std::unique_ptr<task>> sleepers;
    const auto spinning = spinners(m, {128, 256, 512, 1769, 3008, 10240, 128, 512});
    for (int i = 0; i < 200; ++i) {  // 200 * 0.3 / 60.3 = 1 thread
        sleepers.push_back(std::make_unique<task>(300us, 60ms + std::chrono::microseconds(i * 7)));
        m.start(*sleepers.back(), 128);
        m.run(300us);
    }
    m.run(20s - m.now.time_since_epoch() + epoch.time_since_epoch());
    CHECK(seconds(m.busy) >= 4 * 20 - 0.1);
    nanoseconds slept{};
    for (const auto& t : sleepers) {
        CHECK(t->longest_wait <= 12ms);
        slept += t->cpu_time();
    }
    // Now and then ten of them come at once, while two spinners have a claim to a thread each.
    std::sort(m.waits.begin(), m.waits.end());
    CHECK(m.waits.size() > 60'000);
    CHECK(m.waits[m.waits.size() / 2] <= 500us);
    CHECK(m.waits[m.waits.size() * 99 / 100] <= 4ms);
    // The spinners share what the sleepers leave.
    const double left = 80 - seconds(slept);
    const double heaviest = seconds(spinning[5]->cpu_time());
    CHECK(heaviest >= 19.0);  // one thread's worth, nearly always
    const double sum = 128 + 256 + 512 + 1769 + 3008 + 128 + 512;
    for (const std::size_t i : {0u, 1u, 2u, 3u, 6u, 7u}) {
        const double weight = std::vector<double>{128, 256, 512, 1769, 3008, 0, 128, 512}[i];
        CAPTURE(i, weight);
        CHECK(seconds(spinning[i]->cpu_time()) ==
              Approx((left - heaviest) * weight / sum).epsilon(0.05).margin(0.008));
    }
}

TEST_CASE("a long run alone is no debt of the world to the next one") {
    machine m(with_threads(1));
    const auto first = spinners(m, {128});
    m.run(60s);
    task second;
    m.start(second, 128);
    m.run(1s);
    CHECK(seconds(second.cpu_time()) == Approx(0.5).margin(0.008));
}

TEST_CASE("a quota caps an entity exactly, alone or in company") {
    run_queue_options options = with_threads(2);
    const nanoseconds latency = GENERATE(0us, 200us);
    machine m(options, latency);
    const nanoseconds half = m.queue.quota_of(885_MiB);
    CHECK(seconds(half) == Approx(0.010).epsilon(0.001));
    task capped;
    const auto others = spinners(
        m, GENERATE(std::vector<std::uint32_t>{}, std::vector<std::uint32_t>{128, 128, 128}));
    m.start(capped, 885, half);
    nanoseconds before{};
    for (int period = 0; period < 500; ++period) {
        m.run(20ms);
        // A kick that comes late is paid back in the next period.
        CHECK(capped.cpu_time() - before <= half + 2 * latency + 4ms);
        before = capped.cpu_time();
    }
    const double wanted = seconds(half) * 500;
    CHECK(seconds(capped.cpu_time()) == Approx(wanted).epsilon(0.003));
    CHECK(seconds(capped.cpu_time()) <= wanted + 0.0005);
}

TEST_CASE("a throttled entity is let in at its next period and may sleep or leave before") {
    run_queue q(with_threads(1));
    task a;
    q.add(a, 885, 10ms);
    q.wake(a, epoch);
    CHECK(q.pick(epoch).slice == 10ms);
    CHECK(q.take_due(epoch + 10ms) == &a);
    q.ran(a, 10ms, epoch + 10ms);
    CHECK(a.throttled());
    CHECK_FALSE(q.has_work());
    CHECK(q.next_due() == epoch + 20ms);
    SECTION("it waits again") {
        CHECK_FALSE(q.take_due(epoch + 20ms));
        CHECK(q.has_work());
        CHECK(q.pick(epoch + 20ms).e == &a);
        SECTION("what it ran over its quota is taken off the next") {
            q.ran(a, 25ms, epoch + 45ms);  // 20 in the second period, 5 in the third: 15 to go
            CHECK(a.throttled());
            CHECK(q.next_due() == epoch + 60ms);
            CHECK_FALSE(q.take_due(epoch + 60ms));
            CHECK(q.pick(epoch + 60ms).slice == 5ms);
        }
    }
    SECTION("waking it again does not help") {
        q.sleep(a);
        CHECK(a.asleep());
        CHECK(q.next_due() == run_queue::never);
        q.wake(a, epoch + 12ms);
        CHECK(a.throttled());
    }
    SECTION("it leaves") {
        q.remove(a);
        CHECK(q.next_due() == run_queue::never);
        CHECK(q.size() == 0);
    }
}

TEST_CASE("weight and quota follow from memory as in Lambda") {
    CHECK(weight_of(1769_MiB) == 1769);
    CHECK(weight_of(byte_count(5)) == 1);
    run_queue q(with_threads(1));
    CHECK(q.quota_of(1769_MiB).count() == 0);
    CHECK(q.quota_of(10240_MiB).count() == 0);
    CHECK(q.quota_of(128_MiB).count() == 20'000'000LL * 128 / 1769);
}

TEST_CASE("whatever is called in whatever order, the queue knows where everybody is") {
    std::mt19937 random(GENERATE(1u, 2u, 3u));
    const std::size_t threads = 3;
    run_queue q({.threads = threads, .slice = 4ms, .granularity = 1ms, .period = 20ms});
    std::vector<std::unique_ptr<task>> tasks;
    for (int i = 0; i < 40; ++i) tasks.push_back(std::make_unique<task>());
    time_point now = epoch;
    for (int i = 0; i < 100'000; ++i) {
        now += std::chrono::microseconds(random() % 3000);
        task& t = *tasks[random() % tasks.size()];
        switch (random() % 8) {
            case 0:
                if (!t.queued())
                    q.add(t, static_cast<std::uint32_t>(1 + random() % 10240),
                          random() % 2 ? 5ms : 0ms);
                break;
            case 1:
                if (random() % 4 == 0) q.remove(t);
                break;
            case 2:
                if (!t.running()) q.sleep(t);
                break;
            case 3:
            case 4:
                q.wake(t, now);
                break;
            case 5:
                if (t.running())
                    q.ran(t, std::chrono::microseconds(random() % 9000), now,
                          random() % 2 ? then::waits : then::sleeps);
                break;
            case 6:
                while (auto* e = q.take_due(now)) REQUIRE(e->running());
                REQUIRE(q.next_due() > now);
                break;
            default:
                if (q.running() < threads) {
                    const auto choice = q.pick(now);
                    REQUIRE((choice.e != nullptr) == (choice.slice > 0ns && choice.e));
                    if (choice.e) REQUIRE(choice.e->running());
                    if (!choice.e) REQUIRE_FALSE(q.has_work());
                }
        }
        std::size_t counts[4] = {};
        for (const auto& x : tasks) {
            counts[0] += x->queued();
            counts[1] += x->running();
            counts[2] += x->throttled();
            counts[3] += x->queued() && !x->running() && !x->throttled() && !x->asleep();
        }
        REQUIRE(counts[0] == q.size());
        REQUIRE(counts[1] == q.running());
        REQUIRE(counts[2] == q.throttled());
        REQUIRE(counts[3] == q.waiting());
    }
}

}  // namespace hearth::sched::test
