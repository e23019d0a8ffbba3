// What a mapping's poller decides: batches, windows, how many at once, what is deleted and what is
// left in the queue. The clock is the test's.

#include "control/queue_poller.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <set>

using hearth::control::queue_poller;
using namespace std::chrono_literals;
using outcome = queue_poller::outcome;

namespace {

struct poller_world {
    explicit poller_world(queue_poller::settings s = {}) : poller(s) {}

    /// One more message, hidden for 30 s.
    queue_poller::message make(const std::string& group = {}, std::size_t bytes = 2) {
        const std::string id = "m" + std::to_string(++made);
        return {id, "handle of " + id, group, std::string(bytes, '1'), now + 30s};
    }
    std::vector<queue_poller::message> make(int n) {
        std::vector<queue_poller::message> all;
        for (int i = 0; i < n; ++i) all.push_back(make());
        return all;
    }
    void step(bool may_receive = true) {
        for (auto& each : poller.step(now, may_receive)) {
            if (const auto* r = std::get_if<queue_poller::receive>(&each)) {
                CHECK(!asked);
                asked = r->max;
            } else if (std::holds_alternative<queue_poller::cancel_receive>(each)) {
                ++cancelled;
            } else if (auto* i = std::get_if<queue_poller::invoke>(&each)) {
                invoked.push_back(std::move(*i));
            } else if (const auto* r = std::get_if<queue_poller::remove>(&each)) {
                removed.insert(removed.end(), r->receipt_handles.begin(), r->receipt_handles.end());
                poller.on_settled();
            } else {
                const auto& back = std::get<queue_poller::release>(each);
                released.insert(released.end(), back.receipt_handles.begin(),
                                back.receipt_handles.end());
                poller.on_settled();
            }
        }
    }
    void give(std::vector<queue_poller::message> messages) {
        REQUIRE(asked);
        REQUIRE(messages.size() <= *asked);
        asked.reset();
        poller.on_received(std::move(messages), {}, now);
        step();
    }
    void answer(std::uint64_t batch, outcome how, std::string_view text = "null") {
        poller.on_invoked(batch, how, text, now);
        step();
    }
    void pass(std::chrono::milliseconds time) {
        now += time;
        step();
    }

    queue_poller poller;
    queue_poller::time_point now{1h};
    int made = 0;
    std::optional<std::size_t> asked;  ///< a receive is under way
    int cancelled = 0;
    std::vector<queue_poller::invoke> invoked;
    std::vector<std::string> removed, released;
};

}  // namespace

TEST_CASE("a poller gives the function what there is, and deletes what it has answered") {
    poller_world w;
    w.step();
    CHECK(w.asked == 10u);
    CHECK(!w.poller.wake());  // nothing to do but wait for the queue
    w.give(w.make(3));
    REQUIRE(w.invoked.size() == 1);
    CHECK(w.invoked[0].messages == 3);
    CHECK(w.invoked[0].payload == R"({"Records":[11,11,11]})");
    CHECK(w.removed.empty());
    CHECK(w.asked == 10u);  // meanwhile
    w.answer(w.invoked[0].batch, outcome::answered, "\"anything\"");
    CHECK(w.removed == std::vector<std::string>{"handle of m1", "handle of m2", "handle of m3"});
    CHECK(w.poller.counted().invoked == 3);
    CHECK(w.poller.counted().failed == 0);
    CHECK(w.poller.bytes() == 0);
    // An answer that comes twice does not matter.
    w.answer(w.invoked[0].batch, outcome::failed);
    CHECK(w.poller.counted().failed == 0);
}

TEST_CASE("what the function failed stays in the queue") {
    poller_world w;
    w.step();
    w.give(w.make(2));
    w.answer(w.invoked[0].batch, outcome::failed);
    CHECK(w.removed.empty());
    CHECK(w.released.empty());  // its visibility timeout runs on
    CHECK(w.poller.counted().failed == 2);
    CHECK(w.poller.in_flight() == 0);
    CHECK(w.poller.bytes() == 0);
}

TEST_CASE("what filters take is deleted") {
    poller_world w;
    w.step();
    w.asked.reset();
    w.poller.on_received({}, {"a", "b"}, w.now);
    w.step();
    CHECK(w.removed == std::vector<std::string>{"a", "b"});
    CHECK(w.invoked.empty());
    CHECK(w.asked == 10u);
}

TEST_CASE("partial answers delete the others; an answer that makes no sense fails the batch") {
    const char* all_good[] = {"null", "{}", R"({"batchItemFailures":null})",
                              R"({"batchItemFailures":[]})", R"({"other":1})"};
    const char* all_bad[] = {
        "",
        "{",
        "\"text\"",
        "[]",
        R"({"batchItemFailures":1})",
        R"({"batchItemFailures":["m1"]})",
        R"({"batchItemFailures":[{}]})",
        R"({"batchItemFailures":[{"itemIdentifier":""}]})",
        R"({"batchItemFailures":[{"itemIdentifier":null}]})",
        R"({"batchItemFailures":[{"itemIdentifier":1}]})",
        R"({"batchItemFailures":[{"identifier":"m1"}]})",
        R"({"batchItemFailures":[{"itemIdentifier":"m9"}]})",
        R"({"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":""}]})"};
    const auto removed_after = [](const char* text) {
        poller_world w({.reports_items = true});
        w.step();
        w.give(w.make(3));
        w.answer(w.invoked[0].batch, outcome::answered, text);
        CHECK(w.removed.size() + w.poller.counted().failed == 3);
        return w.removed;
    };
    for (const char* each : all_good) {
        INFO(each);
        CHECK(removed_after(each).size() == 3);
    }
    for (const char* each : all_bad) {
        INFO(each);
        CHECK(removed_after(each).empty());
    }
    CHECK(removed_after(
              R"({"batchItemFailures":[{"itemIdentifier":"m2"},{"itemIdentifier":"m2"}]})") ==
          std::vector<std::string>{"handle of m1", "handle of m3"});
    // Who does not ask for it deletes all.
    poller_world w;
    w.step();
    w.give(w.make(2));
    w.answer(w.invoked[0].batch, outcome::answered,
             R"({"batchItemFailures":[{"itemIdentifier":"m1"}]})");
    CHECK(w.removed.size() == 2);
}

TEST_CASE("a window gathers messages until a batch is full or the time is over") {
    poller_world w({.batch_size = 25, .window = 5s});
    w.step();
    w.give(w.make(10));
    w.pass(2s);
    w.give(w.make(10));
    CHECK(w.invoked.empty());
    REQUIRE(w.poller.wake());
    CHECK(*w.poller.wake() == w.now + 3s);
    w.give(w.make(10));
    REQUIRE(w.invoked.size() == 1);
    CHECK(w.invoked[0].messages == 25);  // full
    w.pass(4900ms);
    CHECK(w.invoked.size() == 1);
    w.pass(100ms);  // five seconds after the last five came
    REQUIRE(w.invoked.size() == 2);
    CHECK(w.invoked[1].messages == 5);
}

TEST_CASE("nobody waits for a batch longer than for half of the visibility timeout") {
    poller_world w({.batch_size = 100, .window = 300s});
    w.step();
    w.give(w.make(1));
    CHECK(*w.poller.wake() == w.now + 15s);
    w.pass(15s);
    CHECK(w.invoked.size() == 1);
}

TEST_CASE("a batch has at most 6 MiB") {
    poller_world w({.batch_size = 1000, .window = 10s});
    w.step();
    for (int i = 0; i < 7; ++i) w.give({w.make({}, 1u << 20)});
    REQUIRE(w.invoked.size() == 1);
    CHECK(w.invoked[0].messages == 5);  // and what is around them
    CHECK(w.invoked[0].payload.size() <= queue_poller::max_payload);
    CHECK(w.poller.bytes() == 7u << 20);
}

TEST_CASE("five batches at once, and five more every second that all are in use") {
    poller_world w({.batch_size = 1});
    w.step();
    CHECK(w.asked == 5u);
    w.give(w.make(5));
    CHECK(w.invoked.size() == 5);
    CHECK(!w.asked);  // no batch may go, so nothing is received
    REQUIRE(w.poller.wake());
    CHECK(*w.poller.wake() == w.now + 1s);
    w.pass(999ms);
    CHECK(!w.asked);
    w.pass(1ms);
    CHECK(w.poller.allowed() == 10);
    CHECK(w.asked == 5u);
    w.give(w.make(5));
    CHECK(w.invoked.size() == 10);
    for (const auto& each : std::vector(w.invoked)) w.answer(each.batch, outcome::answered);
    CHECK(w.poller.in_flight() == 0);
    // A quiet queue begins anew.
    w.give({});
    CHECK(w.poller.allowed() == 5);
    CHECK(w.asked == 5u);
}

TEST_CASE("a mapping's own concurrency is never passed") {
    poller_world w({.batch_size = 1, .concurrency = 2});
    w.step();
    CHECK(w.asked == 2u);
    w.give(w.make(2));
    for (int i = 0; i < 20; ++i) w.pass(1s);
    CHECK(w.poller.allowed() == 2);
    CHECK(!w.asked);
    CHECK(!w.poller.wake());
    w.answer(w.invoked[0].batch, outcome::answered);
    CHECK(w.asked == 1u);
}

TEST_CASE("growth ends at what one mapping may have") {
    poller_world w({.batch_size = 1});
    w.step();
    while (w.poller.allowed() < queue_poller::max_concurrency) {
        while (w.asked) w.give(w.make(static_cast<int>(*w.asked)));
        w.pass(1s);
    }
    while (w.asked) w.give(w.make(static_cast<int>(*w.asked)));
    w.pass(1min);
    CHECK(w.poller.allowed() == 1250);
    CHECK(w.poller.in_flight() == 1250);
}

TEST_CASE("a throttled batch is tried again, ever more seldom, as long as it is hidden") {
    poller_world w;
    w.step();
    w.give(w.make(3));
    const auto batch = w.invoked[0].batch;
    const auto began = w.now;
    std::vector<std::chrono::milliseconds> pauses;
    while (w.poller.in_flight()) {
        const std::size_t before = w.invoked.size();
        w.answer(batch, outcome::throttled);
        if (!w.poller.in_flight()) break;
        REQUIRE(w.poller.wake());
        const auto pause = *w.poller.wake() - w.now;
        pauses.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(pause));
        w.now += pause - 1ms;
        w.step();
        CHECK(w.invoked.size() == before);
        w.pass(1ms);
        REQUIRE(w.invoked.size() == before + 1);
        CHECK(w.invoked.back().batch == batch);
        CHECK(w.invoked.back().payload == w.invoked.front().payload);
    }
    CHECK(pauses.size() > 5);
    CHECK(std::vector(pauses.begin(), pauses.begin() + 4) ==
          std::vector{100ms, 200ms, 400ms, 800ms});
    CHECK(pauses.back() == 5s);
    CHECK(w.now < began + 30s);
    CHECK(w.removed.empty());
    CHECK(w.poller.counted().failed == 3);
    CHECK(w.poller.bytes() == 0);
}

TEST_CASE("throttles and failures take from what may be at once") {
    poller_world w({.batch_size = 1});
    w.step();
    w.give(w.make(5));
    w.answer(w.invoked[0].batch, outcome::failed);
    CHECK(w.poller.allowed() == 4);
    w.answer(w.invoked[1].batch, outcome::throttled);
    CHECK(w.poller.allowed() == 2);
    w.answer(w.invoked[2].batch, outcome::throttled);
    w.answer(w.invoked[3].batch, outcome::throttled);
    CHECK(w.poller.allowed() == 1);
    CHECK(!w.asked);
    // It remembers for a while, then grows again.
    const auto then = w.now;
    for (int i = 0; i < 40 && w.poller.allowed() == 1; ++i) w.pass(250ms);
    CHECK(w.now - then >= queue_poller::throttle_memory);
    CHECK(w.poller.allowed() > 1);
}

TEST_CASE("a FIFO queue's messages go as they came, one batch of a group at a time") {
    poller_world w({.batch_size = 5, .is_fifo = true});
    w.step();
    CHECK(w.asked == 5u);
    w.give({w.make("a"), w.make("a"), w.make("b")});
    REQUIRE(w.invoked.size() == 1);
    CHECK(w.invoked[0].messages == 3);
    w.give({w.make("c")});
    REQUIRE(w.invoked.size() == 2);
    // The queue gives of a group again when its messages have been shown again.
    w.give({w.make("a"), w.make("d")});
    CHECK(w.invoked.size() == 2);
    CHECK(!w.asked);
    CHECK(!w.poller.wake());
    w.answer(w.invoked[1].batch, outcome::answered);
    CHECK(w.invoked.size() == 2);
    w.answer(w.invoked[0].batch, outcome::answered);
    CHECK(w.removed.size() == 4);
    REQUIRE(w.invoked.size() == 3);
    CHECK(w.invoked[2].messages == 2);
    CHECK(w.asked == 5u);
}

TEST_CASE("a poller that is stopped gives back what no function has, and lets go the rest") {
    poller_world w({.batch_size = 100, .window = 10s});
    w.step();
    w.give(w.make(10));
    w.pass(10s);
    REQUIRE(w.invoked.size() == 1);
    w.give(w.make(2));
    w.poller.stop();
    w.step();
    CHECK(w.cancelled == 1);
    CHECK(w.released == std::vector<std::string>{"handle of m11", "handle of m12"});
    CHECK(!w.poller.idle());
    CHECK(!w.poller.wake());
    w.step();
    CHECK(w.cancelled == 1);  // once
    w.give(w.make(1));        // it came in the same moment
    CHECK(w.released.back() == "handle of m13");
    CHECK(!w.asked);
    w.answer(w.invoked[0].batch, outcome::answered);
    CHECK(w.removed.size() == 10);
    CHECK(w.poller.idle());
    CHECK(w.poller.bytes() == 0);
    // And on.
    w.poller.start();
    w.step();
    CHECK(w.asked == 10u);

    SECTION("what is throttled goes back too") {
        w.give(w.make(10));
        w.pass(10s);
        w.answer(w.invoked[1].batch, outcome::throttled);
        w.released.clear();
        w.poller.stop();
        w.step();
        CHECK(w.released.size() == 10);
        CHECK(w.poller.in_flight() == 0);
    }
}

TEST_CASE("a receive that could not be made is made later; without memory, none is") {
    poller_world w;
    w.step(false);
    CHECK(!w.asked);
    w.step();
    REQUIRE(w.asked);
    w.asked.reset();
    w.poller.on_receive_failed(w.now + 5s);
    w.step();
    CHECK(!w.asked);
    CHECK(*w.poller.wake() == w.now + 5s);
    w.pass(5s);
    CHECK(w.asked == 10u);
}

TEST_CASE("new settings hold from the next batch on") {
    poller_world w({.batch_size = 100, .window = 60s});
    w.step();
    w.give(w.make(8));
    CHECK(w.invoked.empty());
    w.poller.configure({.batch_size = 4, .concurrency = 2});
    w.step();
    REQUIRE(w.invoked.size() == 2);
    CHECK(w.invoked[1].messages == 4);
}
