// The dispatcher by itself: what it holds, in which order it delivers, what it leaves behind. The
// clock is the test's, the function is a list of handlers that the test calls.

#include "control/event_dispatcher.hpp"

#include "base/complete.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

using namespace hearth;
using namespace hearth::control;
using namespace std::chrono_literals;

namespace {

namespace asio = boost::asio;

class held_function final : public event_target {
  public:
    struct call {
        queued_event event;
        asio::any_completion_handler<void(error, response)> done;
    };
    state look(std::string_view) override { return {.known = true}; }
    void deliver(const queued_event& e,
                 asio::any_completion_handler<void(error, response)> done) override {
        const std::scoped_lock lock(mutex_);
        bytes_ += e.payload.size();
        calls_.push_back({e, std::move(done)});
        most = std::max(most, calls_.size());
        most_bytes = std::max(most_bytes, bytes_);
    }
    void conclude(const queued_event&,
                  event_ending,
                  asio::any_completion_handler<void(event_change)> done) override {
        std::move(done)(event_change());
    }
    void on_delivery(std::string_view, std::chrono::milliseconds) override {}
    void on_dropped(std::string_view) override {}
    void tell(std::string_view) override {}

    [[nodiscard]] std::vector<std::string> under_way() {
        const std::scoped_lock lock(mutex_);
        std::vector<std::string> lanes;
        for (const call& c : calls_) lanes.push_back(c.event.lane);
        return lanes;
    }
    /// Answers all that are under way; how many.
    std::size_t answer(const error& e = {}) {
        std::vector<call> now;
        {
            const std::scoped_lock lock(mutex_);
            now.swap(calls_);
            bytes_ = 0;
        }
        for (call& c : now) {
            auto executor = tracked_executor(c.done);  // before the handler has moved on
            complete(std::move(executor), std::move(c.done), e, response());
        }
        return now.size();
    }
    std::size_t most = 0, most_bytes = 0;

  private:
    std::mutex mutex_;
    std::vector<call> calls_;
    std::size_t bytes_ = 0;
};

/// A store on a disk that fails, now and then, each of its calls.
class failing_store final : public event_store {
  public:
    explicit failing_store(std::unique_ptr<event_store> good) : good_(std::move(good)) {}

    result<void> apply(std::span<const event_change* const> changes) override {
        if (fails(apply_fails)) return failure();
        return good_->apply(changes);
    }
    result<reading> read(std::string_view lane,
                         event_time now,
                         std::size_t want,
                         std::size_t max_bytes,
                         const std::set<std::uint64_t>& skip) override {
        if (fails(read_fails)) return failure();
        return good_->read(lane, now, want, max_bytes, skip);
    }
    result<std::vector<std::string>> lanes() override {
        if (fails(lanes_fails)) return failure();
        return good_->lanes();
    }
    [[nodiscard]] std::uint64_t size() const override { return good_->size(); }

    std::atomic<int> apply_fails = 0, read_fails = 0, lanes_fails = 0;  ///< so many times more

  private:
    static bool fails(std::atomic<int>& left) { return left > 0 && left-- > 0; }
    static error failure() { return {errc::storage_failed, "the disk is gone"}; }
    std::unique_ptr<event_store> good_;
};

struct machine {
    explicit machine(event_policy policy = {}) : policy_(policy) {}

    void put(const std::string& lane, std::size_t how_many, std::size_t size = 2) {
        event_change c;
        for (std::size_t i = 0; i < how_many; ++i)
            c.add.push_back({.lane = lane, .payload = std::string(size, 'x')});
        const event_change* one[] = {&c};
        store->apply(one).value();
    }
    template <class Condition>
    static bool eventually(Condition there) {
        for (int i = 0; i < 3000; ++i) {
            if (there()) return true;
            std::this_thread::sleep_for(10ms);
        }
        return false;
    }
    bool drains() {
        return eventually([&] { return function.answer(), store->size() == 0; });
    }

    event_policy policy_;
    std::atomic<std::int64_t> now{1'000'000};
    std::unique_ptr<failing_store> store = std::make_unique<failing_store>(open_memory_events());
    held_function function;
    event_writer writer{*store};
    event_dispatcher dispatcher{*store, writer, function, policy_,
                                [this] { return event_time(std::chrono::milliseconds(now)); }};
};

}  // namespace

TEST_CASE("however long the queue, so many events are in memory and no more") {
    machine m({.max_in_flight = 6});
    m.put("a", 500), m.put("b", 500), m.put("c:1", 3);
    m.dispatcher.start();
    REQUIRE(machine::eventually([&] { return m.function.under_way().size() == 6; }));
    REQUIRE(m.drains());
    CHECK(m.function.most == 6);
}

TEST_CASE(
    "a disk that fails for a while keeps no event from its function, nor gives it one twice") {
    machine m;
    m.put("a", 3), m.put("b", 1);
    m.store->lanes_fails = 1, m.store->read_fails = 2;
    m.dispatcher.start();
    REQUIRE(machine::eventually([&] {
        m.now += 10;
        return m.function.under_way().size() == 4;
    }));
    m.store->apply_fails = 5;  // of their ends, together and each by itself
    CHECK(m.function.answer() == 4);
    REQUIRE(machine::eventually([&] {
        m.now += 10;
        return m.store->size() == 0;
    }));
    CHECK(m.store->apply_fails == 0);
    CHECK(m.function.under_way().empty());
    CHECK(m.function.most == 4);
}

TEST_CASE("large events are fewer at a time") {
    machine m;
    constexpr std::size_t size = event_dispatcher::max_bytes_in_flight / 8;
    for (const char* lane : {"a", "b", "c", "d"}) m.put(lane, 6, size);
    m.dispatcher.start();
    REQUIRE(machine::eventually([&] { return m.function.under_way().size() >= 4; }));
    REQUIRE(m.drains());
    CHECK(m.function.most_bytes <= event_dispatcher::max_bytes_in_flight + size);
}

TEST_CASE("a lane that has much does not keep the others from theirs") {
    machine m({.max_in_flight = 1});
    m.put("a", 100), m.put("b", 1), m.put("c", 1);
    m.dispatcher.start();
    std::vector<std::string> order;
    while (order.size() < 6) {
        REQUIRE(machine::eventually([&] { return !m.function.under_way().empty(); }));
        order.push_back(m.function.under_way().front());
        m.function.answer();
    }
    CHECK(std::ranges::count(order, "b") == 1);
    CHECK(std::ranges::count(order, "c") == 1);
}

TEST_CASE("an event that is due later is delivered then, and a notice is enough to look") {
    machine m;
    event_change c;
    c.add.push_back({.lane = "a", .due = event_time(std::chrono::milliseconds(m.now + 60'000))});
    const event_change* one[] = {&c};
    m.store->apply(one).value();
    m.dispatcher.start();
    m.put("b", 1);
    m.dispatcher.notify("b");
    REQUIRE(machine::eventually([&] { return m.function.answer() == 1; }));  // b's
    REQUIRE(machine::eventually([&] { return m.store->size() == 1; }));
    CHECK(m.function.under_way().empty());
    m.now += 60'000;
    m.dispatcher.notify("a");
    REQUIRE(m.drains());
}

TEST_CASE("stopping waits for what is under way and leaves the rest") {
    machine m({.max_in_flight = 2});
    m.put("a", 10);
    m.dispatcher.start();
    REQUIRE(machine::eventually([&] { return m.function.under_way().size() == 2; }));
    m.dispatcher.pause();
    CHECK(m.function.answer() == 2);
    m.dispatcher.stop();
    CHECK(m.function.under_way().empty());
    CHECK(m.store->size() == 8);
}

TEST_CASE("what a shutdown interrupts is left as it was") {
    machine m;
    m.put("a", 1);
    m.dispatcher.start();
    REQUIRE(machine::eventually([&] { return m.function.under_way().size() == 1; }));
    m.function.answer(errc::shutting_down);
    m.dispatcher.stop();
    const auto left = m.store->read("a", event_time(1h), 9, 1 << 20, {}).value().events;
    REQUIRE(left.size() == 1);
    CHECK((left[0].failures == 0 && left[0].setbacks == 0));
}
