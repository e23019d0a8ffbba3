#include "base/deadline_watch.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <deque>
#include <random>
#include <thread>

using namespace std::chrono_literals;
using hearth::deadline_watch;
using clock_type = std::chrono::steady_clock;

namespace {
struct alarm_clock final : deadline_watch::entry {
    void expire() noexcept override {
        at = clock_type::now();
        ++rung;
    }
    std::atomic<int> rung{0};
    clock_type::time_point at;
};
}  // namespace

TEST_CASE("a deadline strikes once, at its time") {
    deadline_watch watch;
    alarm_clock a;
    const auto due = clock_type::now() + 30ms;
    watch.arm(a, due);
    std::this_thread::sleep_for(100ms);
    CHECK(a.rung == 1);
    watch.disarm(a);
    CHECK(a.at >= due);
    CHECK(a.at < due + 50ms);
}

TEST_CASE("an earlier deadline is not kept waiting by a later one") {
    deadline_watch watch;
    alarm_clock late, early;
    watch.arm(late, clock_type::now() + 10s);
    std::this_thread::sleep_for(20ms);  // the thread sleeps for ten seconds now
    watch.arm(early, clock_type::now() + 20ms);
    std::this_thread::sleep_for(100ms);
    CHECK(early.rung == 1);
    CHECK(late.rung == 0);
    watch.disarm(late);
}

TEST_CASE("what is disarmed never strikes, and may be armed again") {
    deadline_watch watch;
    std::deque<alarm_clock> many(50);
    std::mt19937 random(1);
    for (int round = 0; round < 20; ++round) {
        for (auto& a : many)
            watch.arm(a, clock_type::now() + std::chrono::milliseconds(50 + random() % 50));
        for (auto& a : many) watch.disarm(a);
    }
    for (std::size_t i = 0; i < many.size(); ++i)
        watch.arm(many[i], clock_type::now() + std::chrono::milliseconds((i * 7) % 40));
    for (std::size_t i = 0; i < many.size(); i += 2) watch.disarm(many[i]);
    std::this_thread::sleep_for(150ms);
    for (std::size_t i = 1; i < many.size(); i += 2) CHECK(many[i].rung == 1);
    watch.stop();
    for (auto& a : many) watch.disarm(a);
}
