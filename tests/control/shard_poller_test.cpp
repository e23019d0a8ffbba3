// What a mapping decides of one shard: batches, order, what is tried again and given up, and how
// far it has come. The clock is the test's.

#include "control/shard_poller.hpp"

#include "stream/position.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <random>
#include <set>

using hearth::control::shard_poller;
using hearth::streams::write_sequence_number;
using namespace std::chrono_literals;

namespace {

using how = shard_poller::outcome;
using cause = shard_poller::condition;

std::string sequence(int n) { return write_sequence_number(n); }

struct shard_world {
    explicit shard_world(shard_poller::settings s = {}) : poller(s) { step(); }

    void step(bool may_read = true) {
        for (auto& each : poller.step(now, may_read)) {
            if (const auto* r = std::get_if<shard_poller::read>(&each)) {
                CHECK(!asked);
                asked = r->max;
            } else if (std::holds_alternative<shard_poller::cancel_read>(each)) {
                ++cancelled;
            } else if (auto* i = std::get_if<shard_poller::invoke>(&each)) {
                invoked.push_back(std::move(*i));
            } else if (auto* d = std::get_if<shard_poller::discard>(&each)) {
                discarded.push_back(std::move(*d));
            } else {
                CHECK(!settling);
                settling = true;
                kept.push_back(std::get<shard_poller::checkpoint>(each).last);
                notes.push_back(std::get<shard_poller::checkpoint>(each).note);
            }
        }
        if (settling && keeps) {
            settling = false;
            poller.on_checkpoint();
            step(may_read);
        }
    }
    /// Records of the keys, one each: "0" is wanted by no filter.
    void give(const std::string& keys, bool is_end = false) {
        REQUIRE(asked);
        REQUIRE(keys.size() <= *asked);
        asked.reset();
        std::vector<shard_poller::record> records;
        for (const char key : keys) {
            ++made;
            records.push_back({.sequence_number = sequence(made),
                               .key_hash = static_cast<std::size_t>(key),
                               .text = key == '0' ? "" : std::to_string(made),
                               .arrived = now});
        }
        poller.on_read(std::move(records), is_end, now);
        step();
    }
    /// Texts of these sizes, which arrived at these times.
    void give_sized(const std::vector<std::pair<std::size_t, shard_poller::time_point>>& all) {
        REQUIRE(asked);
        REQUIRE(all.size() <= *asked);
        asked.reset();
        std::vector<shard_poller::record> records;
        for (const auto& [size, arrived] : all)
            records.push_back({.sequence_number = sequence(++made),
                               .text = std::string(size, '1'),
                               .arrived = arrived});
        poller.on_read(std::move(records), false, now);
        step();
    }
    void answer(how h, const std::string& said = "null", std::ptrdiff_t which = 0) {
        REQUIRE(std::ssize(invoked) > which);
        const auto id = invoked[static_cast<std::size_t>(which)].batch;
        invoked.erase(invoked.begin() + which);
        poller.on_invoked(id, {.how = h, .payload = said, .request_id = "r"}, now);
        step();
    }
    void pass(std::chrono::milliseconds time) {
        now += time;
        step();
    }
    /// Nothing goes before the pause is over.
    void wait(std::chrono::milliseconds pause) {
        CHECK(invoked.empty());
        CHECK(poller.wake() == now + pause);
        pass(pause - 1ms);
        CHECK(invoked.empty());
        pass(1ms);
    }
    /// The one that was given up is kept somewhere.
    void put_away(bool is_kept = true) {
        REQUIRE(discarded.size() == 1);
        const auto id = discarded[0].batch;
        discarded.clear();
        poller.on_discarded(id, is_kept);
        step();
    }
    std::string sent() const { return invoked.empty() ? "" : invoked.front().payload; }
    std::string last_kept() const { return kept.empty() ? "none" : kept.back(); }
    std::string last_note() const { return notes.empty() ? "none" : notes.back(); }
    /// Records that arrived at these milliseconds of the wall, of which `now` is the newest.
    void arrive(const std::vector<std::int64_t>& at, bool is_end = false) {
        REQUIRE(asked);
        asked.reset();
        std::vector<shard_poller::record> records;
        for (const std::int64_t each : at)
            records.push_back({.sequence_number = sequence(++made),
                               .text = std::to_string(made),
                               .arrived = now - std::chrono::milliseconds(at.back() - each),
                               .arrived_ms = each});
        poller.on_read(std::move(records), is_end, now);
        step();
    }

    shard_poller poller;
    shard_poller::time_point now{1h};
    int made = 0, cancelled = 0;
    bool keeps = true, settling = false;
    std::optional<std::size_t> asked;
    std::vector<shard_poller::invoke> invoked;
    std::vector<shard_poller::discard> discarded;
    std::vector<std::string> kept, notes;
};

std::string failures(std::initializer_list<int> records) {
    boost::json::array all;
    for (const int each : records)
        all.push_back(boost::json::object{{"itemIdentifier", sequence(each)}});
    return boost::json::serialize(boost::json::object{{"batchItemFailures", all}});
}

}  // namespace

TEST_CASE("a shard's records go in order, and are done with when they were answered") {
    shard_world w({.batch_size = 3});
    CHECK(w.asked == 3u);
    w.give("aaa");
    CHECK(w.sent() == R"({"Records":[1,2,3]})");
    CHECK(w.kept.empty());
    w.give("bb");
    CHECK(w.invoked.size() == 1);  // one at a time
    CHECK(w.asked == 1u);
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(3));
    CHECK(w.sent() == R"({"Records":[4,5]})");
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(5));
    CHECK(w.poller.bytes() == 0);
    CHECK(w.poller.counted().invoked == 5);
    CHECK(w.poller.counted().failed == 0);
    CHECK(!w.poller.wake());
    w.poller.on_invoked(99, {}, w.now);  // of no batch
    w.poller.on_discarded(99);
}

TEST_CASE("a batch waits until it is full, in number or bytes, or for its window") {
    shard_world w({.batch_size = 3, .window = 5s});
    w.give("a");
    CHECK(w.invoked.empty());
    CHECK(w.poller.wake() == w.now + 5s);
    w.pass(2s);
    w.give("a");
    w.pass(3s - 1ms);
    CHECK(w.invoked.empty());
    w.pass(1ms);
    CHECK(w.sent() == R"({"Records":[1,2]})");
    w.answer(how::answered);
    w.give("a");
    w.give("bb");
    CHECK(w.sent() == R"({"Records":[3,4,5]})");
    w.answer(how::answered);
    w.give("a", true);  // nothing comes after it
    CHECK(w.sent() == R"({"Records":[6]})");

    shard_world large({.batch_size = 3, .window = 5s});
    large.asked.reset();
    const std::string much(shard_poller::max_payload / 2, '1');
    large.poller.on_read({{.sequence_number = sequence(1), .text = much},
                          {.sequence_number = sequence(2), .text = much}},
                         false, large.now);
    large.step();
    REQUIRE(large.invoked.size() == 1);
    CHECK(large.sent().size() < shard_poller::max_payload);
    CHECK(large.poller.bytes() == 2 * much.size());
}

TEST_CASE("lanes keep their keys in order, and the checkpoint before what is not done with") {
    shard_world w({.batch_size = 1, .lanes = 2});
    w.give("ab");  // 'a' is odd, 'b' even
    REQUIRE(w.invoked.size() == 2);
    w.give("ab");
    CHECK(w.invoked.size() == 2);
    std::swap(w.invoked[0], w.invoked[1]);
    CHECK(w.sent() == R"({"Records":[1]})");
    std::swap(w.invoked[0], w.invoked[1]);
    CHECK(w.sent() == R"({"Records":[2]})");
    w.answer(how::answered);
    CHECK(w.kept.empty());  // the first is still with its function
    CHECK(w.invoked[1].payload == R"({"Records":[4]})");
    w.answer(how::answered);  // 1
    CHECK(w.last_kept() == sequence(2));
    w.answer(how::answered);  // 4
    CHECK(w.last_kept() == sequence(2));
    w.answer(how::answered);  // 3
    CHECK(w.last_kept() == sequence(4));
}

TEST_CASE("what no filter wants is done with at once") {
    shard_world w({.batch_size = 4});
    w.give("00");
    CHECK(w.invoked.empty());
    CHECK(w.last_kept() == sequence(2));
    w.give("a00");
    CHECK(w.last_kept() == sequence(2));
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(5));
}

TEST_CASE("what the function failed is tried again, ever more seldom, and nothing goes before it") {
    shard_world w({.batch_size = 2});
    w.give("aa");
    w.give("aa");
    auto pause = 100ms;
    for (int i = 0; i < 12; ++i) {
        CHECK(w.sent() == R"({"Records":[1,2]})");
        w.answer(how::failed);
        CHECK(w.invoked.empty());
        CHECK(w.poller.wake() == w.now + pause);
        w.pass(pause - 1ms);
        CHECK(w.invoked.empty());
        w.pass(1ms);
        pause = std::min<std::chrono::milliseconds>(2 * pause, 10s);
    }
    CHECK(w.kept.empty());
    w.answer(how::answered);
    CHECK(w.sent() == R"({"Records":[3,4]})");
    CHECK(w.poller.counted().failed == 24);
}

TEST_CASE("what was tried too often is given up") {
    for (const std::uint64_t retries : {0u, 2u}) {
        shard_world w({.batch_size = 2, .max_retries = retries});
        w.give("aa");
        for (std::uint64_t i = 0; i < retries; ++i) {
            w.answer(how::throttled);  // does not count
            w.pass(10s);
            w.answer(how::failed);
            CHECK(w.discarded.empty());
            w.pass(10s);
        }
        w.answer(how::failed);
        REQUIRE(w.discarded.size() == 1);
        const auto& d = w.discarded[0];
        CHECK(d.why == cause::retry_attempts_exhausted);
        CHECK(d.first == sequence(1));
        CHECK(d.last == sequence(2));
        CHECK(d.records == 2);
        CHECK(d.invocations == retries + 1);
        CHECK(d.last_answer.request_id == "r");
        CHECK(d.payload == R"({"Records":[1,2]})");
        CHECK(w.kept.empty());
        CHECK_FALSE(w.poller.idle());
        w.poller.on_discarded(d.batch);
        w.step();
        CHECK(w.last_kept() == sequence(2));
        CHECK(w.poller.counted().dropped == 2);
    }
    CHECK(to_string(cause::retry_attempts_exhausted) == "RetryAttemptsExhausted");
    CHECK(to_string(cause::record_age_exceeded) == "RecordAgeExceeded");
}

TEST_CASE("bisecting finds the one bad record, and gives up that alone") {
    shard_world w({.batch_size = 8, .bisects = true, .max_retries = 1});
    w.give("aaaaaaaa");
    std::vector<std::string> good;
    while (w.last_kept() != sequence(8)) {
        if (!w.discarded.empty()) {
            CHECK(w.discarded[0].first == sequence(6));
            CHECK(w.discarded[0].records == 1);
            w.poller.on_discarded(w.discarded[0].batch);
            w.discarded.clear();
            w.step();
            continue;
        }
        if (w.invoked.empty()) {
            REQUIRE(w.poller.wake());
            w.pass(10s);
            continue;
        }
        const bool is_bad = w.sent().find('6') != std::string::npos;
        if (!is_bad) good.push_back(w.sent());
        w.answer(is_bad ? how::failed : how::answered);
    }
    CHECK(good == std::vector<std::string>{R"({"Records":[1,2,3,4]})", R"({"Records":[5]})",
                                           R"({"Records":[7,8]})"});
    CHECK(w.poller.counted().dropped == 1);
}

TEST_CASE("a function may say from where on a batch failed") {
    const bool bisects = GENERATE(false, true);
    shard_world w({.batch_size = 4, .reports_items = true, .bisects = bisects, .max_retries = 5});
    w.give("aaaa");
    w.answer(how::answered, failures({4, 3}));
    CHECK(w.last_kept() == sequence(2));
    w.pass(10s);
    CHECK(w.sent() == R"({"Records":[3,4]})");
    w.answer(how::answered, "{}");
    CHECK(w.last_kept() == sequence(4));
    w.give("aa");
    w.answer(how::answered, failures({3}));  // of another batch: all of it failed
    CHECK(w.last_kept() == sequence(4));
    w.pass(10s);
    CHECK(w.sent() == (bisects ? R"({"Records":[5]})" : R"({"Records":[5,6]})"));
    w.answer(how::answered, "no JSON");
    CHECK(w.last_kept() == sequence(4));
}

TEST_CASE("records that are too old are given up, and only those") {
    shard_world w({.batch_size = 4, .max_age = 60s});
    w.give("aa");
    w.answer(how::throttled);
    w.pass(50s);
    w.give("b");
    CHECK(w.sent() == R"({"Records":[1,2]})");
    w.answer(how::failed);
    w.pass(11s);
    REQUIRE(w.discarded.size() == 1);
    CHECK(w.discarded[0].why == cause::record_age_exceeded);
    CHECK(w.discarded[0].last == sequence(2));
    CHECK(w.discarded[0].invocations == 1);
    CHECK(w.invoked.empty());
    w.poller.on_discarded(w.discarded[0].batch);
    w.step();
    CHECK(w.sent() == R"({"Records":[3]})");
    CHECK(w.poller.iterator_age() == 11s);
}

TEST_CASE("the end of a shard is kept last") {
    shard_world w({.batch_size = 2});
    w.give("aa", true);
    CHECK(!w.asked);
    CHECK_FALSE(w.poller.finished());
    w.answer(how::answered);
    CHECK(w.last_kept().empty());
    CHECK(w.poller.finished());
    CHECK(w.poller.idle());

    shard_world empty;
    empty.give("", true);
    CHECK(empty.poller.finished());
}

TEST_CASE("what could not be kept is kept later") {
    const bool is_end = GENERATE(false, true);
    shard_world w({.batch_size = 1});
    w.keeps = false;
    w.give("a", is_end);
    w.answer(how::answered);
    REQUIRE(w.kept.size() == 1);
    w.settling = false;
    w.poller.on_checkpoint(w.now + 1s);
    w.step();
    CHECK(w.kept.size() == 1);
    CHECK(w.poller.wake() == w.now + 1s);
    w.keeps = true;
    w.pass(1s);
    CHECK(w.kept.size() == 2);
    CHECK(w.kept[1] == w.kept[0]);
    CHECK(w.poller.finished() == is_end);
}

TEST_CASE("a poller that stops forgets what no function has") {
    shard_world w({.batch_size = 1});
    w.give("a");
    w.give("a");
    CHECK(!w.asked);
    w.poller.stop();
    w.step();
    CHECK_FALSE(w.poller.idle());
    CHECK(w.invoked.size() == 1);
    w.answer(how::answered);
    CHECK(w.invoked.empty());
    CHECK(w.last_kept() == sequence(1));
    CHECK(w.poller.idle());

    shard_world reading;
    reading.poller.stop();
    reading.step();
    reading.step();
    CHECK(reading.cancelled == 1);
    CHECK_FALSE(reading.poller.idle());
    reading.give("aa");
    CHECK(reading.invoked.empty());
    CHECK(reading.poller.idle());
    CHECK(reading.kept.empty());

    // What was given up is not done with where that could not be said any more.
    shard_world ending({.batch_size = 1, .max_retries = 0});
    ending.give("a");
    ending.answer(how::failed);
    REQUIRE(ending.discarded.size() == 1);
    ending.poller.stop();
    ending.poller.on_discarded(ending.discarded[0].batch, false);
    ending.step();
    CHECK(ending.kept.empty());
    CHECK(ending.poller.counted().dropped == 0);
}

TEST_CASE("a lane that is stuck does not let the others run away") {
    shard_world w({.batch_size = 10, .lanes = 2});
    w.give("a");
    const auto stuck = w.invoked.front();
    w.invoked.clear();
    int given = 0;
    while (w.asked && given < 100'000) {
        w.give("bbbbbbbbbb");
        given += 10;
        if (!w.invoked.empty()) w.answer(how::answered);
    }
    CHECK(given <= 1100);
    CHECK(w.kept.empty());
    w.poller.on_invoked(stuck.batch, {}, w.now);
    w.step();
    CHECK(w.asked);
    CHECK(w.kept.size() == 1);
}

TEST_CASE("a read that fails, or has no room, is made later") {
    shard_world w;
    w.asked.reset();
    w.poller.on_read_failed(w.now + 1s);
    w.step();
    CHECK(!w.asked);
    CHECK(w.poller.wake() == w.now + 1s);
    w.now += 1s;
    w.step(false);
    CHECK(!w.asked);
    w.step();
    CHECK(w.asked);
}

TEST_CASE("a shard is read no further than the next batches need") {
    shard_world w({.batch_size = 2});
    w.give("aa");
    w.give("a");
    CHECK(w.asked == 1u);
    w.give("a");
    CHECK(!w.asked);  // the next batch is here
    CHECK(!w.poller.wake());
    w.answer(how::answered);
    CHECK(w.asked == 2u);

    shard_world uneven({.batch_size = 2, .lanes = 2});
    CHECK(uneven.asked == 4u);
    uneven.give("aaaa");
    REQUIRE(uneven.invoked.size() == 1);
    CHECK(uneven.sent() == R"({"Records":[1,2]})");  // more waits, but it is full
    CHECK(uneven.asked == 2u);
    uneven.answer(how::answered);
    CHECK(uneven.sent() == R"({"Records":[3,4]})");
}

TEST_CASE("a shard's batch has at most 6 MiB, and what is larger goes alone") {
    shard_world w({.batch_size = 1000, .window = 10s});
    constexpr std::size_t mebibyte = 1u << 20;
    w.give_sized({7, {mebibyte, w.now}});
    REQUIRE(w.invoked.size() == 1);  // no window when it is full
    CHECK(w.sent().size() > 5 * mebibyte);
    CHECK(w.sent().size() < 6 * mebibyte);
    CHECK(w.poller.bytes() == 7 * mebibyte);
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(5));
    CHECK(w.poller.bytes() == 2 * mebibyte);
    w.wait(10s);
    w.answer(how::answered);
    CHECK(w.poller.bytes() == 0);
    w.give_sized({{shard_poller::max_payload, w.now}, {1, w.now}});
    REQUIRE(w.invoked.size() == 1);
    CHECK(w.sent().size() > shard_poller::max_payload);
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(8));
}

TEST_CASE("a lane whose batch failed holds up its own records, and no others") {
    shard_world w({.batch_size = 2, .lanes = 2});
    w.give("bda");  // 'b' and 'd' share a lane
    REQUIRE(w.invoked.size() == 2);
    CHECK(w.sent() == R"({"Records":[1,2]})");
    w.answer(how::failed);
    w.answer(how::answered);
    w.give("ba");
    REQUIRE(w.invoked.size() == 1);
    CHECK(w.sent() == R"({"Records":[5]})");
    w.answer(how::answered);
    CHECK(w.kept.empty());
    w.wait(100ms);
    REQUIRE(w.invoked.size() == 1);
    CHECK(w.sent() == R"({"Records":[1,2]})");
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(3));
    CHECK(w.sent() == R"({"Records":[4]})");
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(5));
}

TEST_CASE("throttles are no retries") {
    shard_world w({.batch_size = 2, .max_retries = 1});
    w.give("aa");
    auto pause = 100ms;
    for (int i = 0; i < 12; ++i) {
        w.answer(how::throttled);
        w.wait(pause);
        CHECK(w.sent() == R"({"Records":[1,2]})");
        pause = std::min<std::chrono::milliseconds>(2 * pause, 10s);
    }
    CHECK(w.poller.counted().failed == 0);
    w.answer(how::failed);
    w.wait(100ms);  // the first failure
    w.answer(how::throttled);
    w.wait(100ms);  // and the first throttle after it
    CHECK(w.discarded.empty());
    w.answer(how::failed);
    REQUIRE(w.discarded.size() == 1);
    CHECK(w.discarded[0].invocations == 2);
    CHECK(w.poller.counted().failed == 4);
}

TEST_CASE("bisecting uses up no retries") {
    shard_world w({.batch_size = 4, .bisects = true, .max_retries = 0});
    w.give("aaaa");
    w.answer(how::failed);
    w.wait(100ms);
    CHECK(w.sent() == R"({"Records":[1,2]})");
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(2));
    CHECK(w.sent() == R"({"Records":[3,4]})");  // it has waited long enough
    w.answer(how::failed);
    w.wait(100ms);
    CHECK(w.sent() == R"({"Records":[3]})");
    CHECK(w.discarded.empty());
    w.answer(how::failed);
    REQUIRE(w.discarded.size() == 1);
    CHECK(w.discarded[0].first == sequence(3));
    CHECK(w.discarded[0].last == sequence(3));
    CHECK(w.discarded[0].records == 1);
    CHECK(w.discarded[0].invocations == 3);
    CHECK(w.discarded[0].payload == R"({"Records":[3]})");
    CHECK(w.invoked.empty());
    w.put_away();
    CHECK(w.last_kept() == sequence(3));
    CHECK(w.sent() == R"({"Records":[4]})");
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(4));

    // Each half has all of its own.
    shard_world bad({.batch_size = 2, .bisects = true, .max_retries = 2});
    bad.give("aa");
    bad.answer(how::failed);
    for (int record = 1; record <= 2; ++record) {
        if (record == 1) bad.wait(100ms);
        for (const auto pause : {100ms, 200ms}) {
            bad.answer(how::failed);
            CHECK(bad.discarded.empty());
            bad.wait(pause);
        }
        bad.answer(how::failed);
        REQUIRE(bad.discarded.size() == 1);
        CHECK(bad.discarded[0].first == sequence(record));
        CHECK(bad.discarded[0].invocations == 4);
        bad.put_away();
    }
    CHECK(bad.last_kept() == sequence(2));
    CHECK(bad.poller.counted().dropped == 2);
}

TEST_CASE("a batch is split where the function says, and in halves where it says nothing") {
    shard_world w({.batch_size = 4, .reports_items = true, .bisects = true, .max_retries = 0});
    w.give("aaaa");
    w.answer(how::answered, failures({1}));
    w.wait(100ms);
    CHECK(w.sent() == R"({"Records":[1,2]})");
    w.answer(how::answered, failures({2}));
    CHECK(w.last_kept() == sequence(1));
    w.wait(100ms);
    CHECK(w.sent() == R"({"Records":[2]})");
    CHECK(w.discarded.empty());
    w.answer(how::answered, failures({2}));
    REQUIRE(w.discarded.size() == 1);
    CHECK(w.discarded[0].payload == R"({"Records":[2]})");
    w.put_away();
    CHECK(w.last_kept() == sequence(2));
    CHECK(w.sent() == R"({"Records":[3,4]})");
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(4));

    // Not bisected, it is one of the tries.
    shard_world whole({.batch_size = 4, .reports_items = true, .max_retries = 0});
    whole.give("aaaa");
    whole.answer(how::answered, failures({3}));
    CHECK(whole.last_kept() == sequence(2));
    REQUIRE(whole.discarded.size() == 1);
    CHECK(whole.discarded[0].first == sequence(3));
    CHECK(whole.discarded[0].last == sequence(4));
    CHECK(whole.discarded[0].records == 2);
    CHECK(whole.poller.counted().failed == 2);
}

TEST_CASE("a shard's batch fails as a whole when its answer makes no sense") {
    const std::string one = sequence(1);
    const std::string all_good[] = {"null", "{}", R"({"batchItemFailures":null})",
                                    R"({"batchItemFailures":[]})", R"({"other":1})"};
    const std::string all_bad[] = {"",
                                   "{",
                                   "\"text\"",
                                   "[]",
                                   R"({"batchItemFailures":1})",
                                   R"({"batchItemFailures":[")" + one + R"("]})",
                                   R"({"batchItemFailures":[{}]})",
                                   R"({"batchItemFailures":[{"itemIdentifier":""}]})",
                                   R"({"batchItemFailures":[{"itemIdentifier":null}]})",
                                   R"({"batchItemFailures":[{"itemIdentifier":1}]})",
                                   failures({9}),
                                   failures({3, 9})};
    const auto failed_after = [](const std::string& said, bool reports) {
        shard_world w({.batch_size = 3, .reports_items = reports});
        w.give("aaa");
        w.answer(how::answered, said);
        const auto failed = w.poller.counted().failed;
        CHECK(w.last_kept() == (failed == 3 ? "none" : sequence(3 - static_cast<int>(failed))));
        return failed;
    };
    for (const std::string& each : all_good) {
        INFO(each);
        CHECK(failed_after(each, true) == 0);
    }
    for (const std::string& each : all_bad) {
        INFO(each);
        CHECK(failed_after(each, true) == 3);
        CHECK(failed_after(each, false) == 0);  // nobody asked
    }
    CHECK(failed_after(failures({3, 2, 3}), true) == 2);
    CHECK(failed_after(failures({3}), false) == 0);
}

TEST_CASE("of a batch, only the records before the first that is young enough are given up") {
    shard_world w({.batch_size = 4, .max_age = 60s});
    const auto old = w.now - 61s, newer = w.now - 60s - 1ms, young = w.now - 60s;
    w.give_sized({{1, old}, {1, newer}, {1, young}, {1, w.now}});
    REQUIRE(w.discarded.size() == 1);
    const auto d = w.discarded[0];
    CHECK(d.why == cause::record_age_exceeded);
    CHECK(d.first == sequence(1));
    CHECK(d.last == sequence(2));
    CHECK(d.records == 2);
    CHECK(d.first_arrived == old);
    CHECK(d.last_arrived == newer);
    CHECK(d.invocations == 0);
    CHECK(d.last_answer.request_id.empty());
    CHECK(d.payload == R"({"Records":[1,1]})");
    CHECK(w.invoked.empty());  // one after the other
    w.put_away();
    CHECK(w.last_kept() == sequence(2));
    CHECK(w.poller.counted().dropped == 2);
    CHECK(w.sent() == R"({"Records":[1,1]})");
    CHECK(w.poller.iterator_age() == 0ms);
    // It goes on growing old while it is tried.
    w.answer(how::failed);
    w.pass(100ms);
    REQUIRE(w.discarded.size() == 1);
    CHECK(w.discarded[0].first == sequence(3));
    CHECK(w.discarded[0].last == sequence(3));
    CHECK(w.discarded[0].invocations == 1);
    CHECK(w.discarded[0].last_answer.request_id == "r");
    w.put_away();
    CHECK(w.sent() == R"({"Records":[1]})");
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(4));
}

TEST_CASE("what was given up and could not be said is not done with") {
    shard_world w({.batch_size = 2, .max_retries = 0});
    w.give("aa");
    w.answer(how::failed);
    REQUIRE(w.discarded.size() == 1);
    const auto id = w.discarded[0].batch;
    w.put_away(false);
    CHECK(w.kept.empty());
    CHECK(w.poller.counted().dropped == 0);
    CHECK(w.poller.bytes() == 2);
    REQUIRE(w.discarded.size() == 1);  // once more
    CHECK(w.discarded[0].batch != id);
    w.poller.on_discarded(id);  // that one is over
    w.step();
    CHECK(w.kept.empty());
    w.put_away();
    CHECK(w.last_kept() == sequence(2));
    CHECK(w.poller.bytes() == 0);
}

TEST_CASE("a shard is at its end when all of it is done with, and that is kept") {
    shard_world w({.batch_size = 2, .max_retries = 0});
    w.keeps = false;
    w.give("a");
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(1));
    w.give("a0", true);
    CHECK(!w.asked);
    w.answer(how::failed);
    w.put_away();
    CHECK(w.kept.size() == 1);  // that of the first is still under way
    w.settling = false;
    w.poller.on_checkpoint();
    w.step();
    REQUIRE(w.kept.size() == 2);
    CHECK(w.kept[1].empty());
    CHECK_FALSE(w.poller.finished());
    CHECK_FALSE(w.poller.idle());
    w.settling = false;
    w.poller.on_checkpoint();
    w.step();
    CHECK(w.poller.finished());
    CHECK(w.poller.idle());
    CHECK(!w.asked);
    CHECK(!w.poller.wake());
    CHECK(w.kept.size() == 2);

    shard_world unwanted;
    unwanted.give("00", true);
    CHECK(unwanted.kept == std::vector<std::string>{""});
    CHECK(unwanted.poller.finished());
}

TEST_CASE("one checkpoint at a time, and the next has all that was done with meanwhile") {
    shard_world w({.batch_size = 1});
    w.keeps = false;
    for (int i = 0; i < 3; ++i) {
        w.give("a");
        w.answer(how::answered);
    }
    CHECK(w.kept == std::vector<std::string>{sequence(1)});
    w.settling = false;
    w.poller.on_checkpoint(w.now + 1s);
    w.step();
    w.give("a");
    w.answer(how::answered);
    CHECK(w.kept.size() == 1);
    w.pass(1s - 1ms);
    CHECK(w.kept.size() == 1);
    w.pass(1ms);
    CHECK(w.kept == std::vector<std::string>{sequence(1), sequence(4)});
    w.settling = false;
    w.poller.on_checkpoint();
    w.step();
    CHECK(w.kept.size() == 2);
}

TEST_CASE("a poller that stops holds only what it waits for") {
    SECTION("nothing, of what waits for its window") {
        shard_world w({.batch_size = 100, .window = 10s});
        w.give("aaa");
        w.poller.stop();
        w.step();
        CHECK(w.cancelled == 1);
        w.asked.reset();
        w.poller.on_read_failed(w.now + 1s);
        w.step();
        CHECK(w.poller.idle());
        CHECK(w.poller.bytes() == 0);
        CHECK(!w.poller.wake());
        w.pass(10s);
        CHECK(w.invoked.empty());
        CHECK(w.kept.empty());
        CHECK(!w.asked);
    }
    SECTION("a batch that is with the function, and none that is to be tried again") {
        shard_world w({.batch_size = 2, .lanes = 2});
        w.give("bbaa");
        w.give("ba");
        w.answer(how::failed, "", 1);
        w.asked.reset();
        w.poller.on_read({}, false, w.now);
        w.poller.stop();
        w.step();
        CHECK_FALSE(w.poller.idle());
        CHECK(w.poller.bytes() == 2);
        CHECK(!w.poller.wake());
        w.pass(10s);
        REQUIRE(w.invoked.size() == 1);
        const auto h = GENERATE(how::answered, how::failed, how::throttled);
        w.answer(h);
        CHECK(w.poller.idle());
        CHECK(w.poller.bytes() == 0);
        CHECK(w.poller.in_flight() == 0);
        CHECK(!w.poller.wake());
        CHECK(w.last_kept() == (h == how::answered ? sequence(2) : "none"));
        w.pass(10s);
        CHECK(w.invoked.empty());
    }
    SECTION("what a function has not done is dropped, also when it is bisected") {
        shard_world w({.batch_size = 4, .reports_items = true, .bisects = true, .max_retries = 0});
        w.give("aaaa");
        w.poller.stop();
        w.step();
        w.asked.reset();
        w.poller.on_read({}, false, w.now);
        const int first = GENERATE(1, 3);
        w.answer(how::answered, failures({first}));
        CHECK(w.last_kept() == (first == 1 ? "none" : sequence(2)));
        CHECK(w.discarded.empty());
        CHECK(w.poller.idle());
        CHECK(w.poller.bytes() == 0);
    }
    SECTION("a batch that is being given up") {
        shard_world w({.batch_size = 2, .max_retries = 0});
        w.give("aa");
        w.answer(how::failed);
        w.poller.stop();
        w.step();
        w.asked.reset();
        w.poller.on_read({}, false, w.now);
        w.step();
        CHECK_FALSE(w.poller.idle());
        CHECK(w.poller.bytes() == 2);
        w.put_away();
        CHECK(w.last_kept() == sequence(2));
        CHECK(w.poller.idle());
        CHECK(w.poller.bytes() == 0);
    }
    SECTION("a checkpoint, which is not made again") {
        shard_world w({.batch_size = 1});
        w.keeps = false;
        w.give("0");
        w.poller.stop();
        w.step();
        w.asked.reset();
        w.poller.on_read({}, false, w.now);
        w.step();
        CHECK_FALSE(w.poller.idle());
        w.settling = false;
        w.poller.on_checkpoint(w.now + 1s);
        w.step();
        CHECK(w.poller.idle());
        CHECK(!w.poller.wake());
    }
}

TEST_CASE("what is held behind a stuck lane is bounded, whatever it is") {
    const std::string others = GENERATE("b", "0");
    const std::size_t batch_size = GENERATE(1, 500);
    shard_world w({.batch_size = batch_size, .lanes = 2});
    w.give("a");
    const auto stuck = w.invoked.front();
    w.invoked.clear();
    const std::size_t room = 2 * batch_size;
    const std::size_t bound =
        std::max(shard_poller::min_window, shard_poller::max_window * room) + room;
    std::size_t given = 1;
    while (w.asked && given < 100'000) {
        given += *w.asked;
        std::string keys;
        while (keys.size() < *w.asked) keys += others;
        w.give(keys);
        while (!w.invoked.empty()) w.answer(how::answered);
    }
    CHECK(given >= shard_poller::min_window);
    CHECK(given <= bound);
    CHECK(w.poller.bytes() == 1);
    CHECK(w.kept.empty());
    w.poller.on_invoked(stuck.batch, {}, w.now);
    w.step();
    CHECK(w.asked);
    CHECK(w.last_kept() == sequence(w.made));
}

TEST_CASE("whatever happens, no record is lost or comes before one of its key") {
    for (unsigned seed = 1; seed <= 200; ++seed) {
        INFO("seed " << seed);
        std::mt19937 random(seed);
        const auto pick = [&](int n) { return static_cast<int>(random() % unsigned(n)); };
        shard_poller::settings s{.batch_size = std::size_t(1 + pick(6)),
                                 .window = std::chrono::seconds(pick(2)),
                                 .lanes = std::size_t(1 + pick(4)),
                                 .reports_items = pick(2) == 0,
                                 .bisects = pick(2) == 0};
        if (pick(3) == 0) s.max_retries = pick(3);
        if (pick(3) == 0) s.max_age = 2s;
        constexpr int total = 60, keys = 5;
        const auto is_wanted = [](int record) { return record % 7 != 3; };
        const auto numbers = [](const std::string& payload) {
            std::vector<int> all;
            const auto event = boost::json::parse(payload);
            for (const auto& each : event.at("Records").as_array())
                all.push_back(int(each.as_int64()));
            return all;
        };
        const auto size_of = [](const std::set<int>& all) {
            std::size_t size = 0;
            for (const int each : all) size += std::to_string(each).size();
            return size;
        };
        std::set<int> done;  // ever
        int place = 0;       // up to there all is kept
        bool is_finished = false;
        shard_poller::time_point now{1h};
        for (int lives = 0; !is_finished; ++lives) {
            REQUIRE(lives < 1000);
            shard_poller poller(s);
            bool is_stopped = false;
            const int start = place;
            int next = place + 1;
            std::set<int> held, out, done_here;  // not done with, of those not here; done with
            std::vector<shard_poller::time_point> arrived(total + 1);
            std::vector<shard_poller::action> open;
            std::string last_asked;
            const auto finish = [&](int record) {
                held.erase(record);
                done.insert(record), done_here.insert(record);
            };
            // What it says is right in this very moment.
            const auto check = [&](const shard_poller::action& a) {
                const auto* i = std::get_if<shard_poller::invoke>(&a);
                const auto* d = std::get_if<shard_poller::discard>(&a);
                if (const auto* r = std::get_if<shard_poller::read>(&a)) {
                    CHECK(r->max > 0);
                    CHECK_FALSE(is_stopped);
                } else if (i || d) {
                    CHECK_FALSE(is_stopped);
                    const std::vector<int> records = numbers(i ? i->payload : d->payload);
                    CHECK(!records.empty());
                    CHECK(records.size() <= s.batch_size);
                    CHECK(std::ranges::is_sorted(records));
                    for (const int each : records) {
                        CHECK(held.contains(each));
                        CHECK(out.insert(each).second);
                        for (int before = each - keys; before > start; before -= keys)
                            if (!done_here.contains(before))
                                CHECK(std::ranges::find(records, before) != records.end());
                        const bool is_old = s.max_age && now - arrived[std::size_t(each)] > 2s;
                        if (d && d->why == cause::record_age_exceeded) CHECK(is_old);
                        if (i && each == records.front()) CHECK_FALSE(is_old);
                    }
                    if (!d) return;
                    CHECK(d->first == sequence(records.front()));
                    CHECK(d->last == sequence(records.back()));
                    CHECK(d->records == records.size());
                    if (d->why == cause::record_age_exceeded) return;
                    REQUIRE(s.max_retries);
                    CHECK(d->invocations > *s.max_retries);
                    if (s.bisects) CHECK(d->records == 1);
                } else if (const auto* c = std::get_if<shard_poller::checkpoint>(&a)) {
                    const bool is_end = c->last.empty();
                    if (is_end) CHECK(next > total);
                    if (!is_end) CHECK(c->last >= last_asked);  // again, or further
                    if (!is_end) last_asked = c->last;
                    const auto to = is_end ? std::optional<std::int64_t>(total)
                                           : hearth::streams::read_sequence_number(c->last);
                    REQUIRE(to);
                    CHECK(*to > start - is_end);
                    CHECK(*to < next);
                    CHECK((held.empty() || *to < *held.begin()));
                }
            };
            const int moves = lives > 20 ? 100'000 : pick(200);
            for (int move = 0; move < moves && !is_finished; ++move) {
                for (auto& each : poller.step(now)) {
                    check(each);
                    open.push_back(std::move(each));
                }
                CHECK(poller.bytes() == size_of(is_stopped ? out : held));
                if (open.empty()) {
                    CHECK(poller.idle());
                    if (poller.finished()) {
                        is_finished = true;
                        break;
                    }
                    if (is_stopped) break;
                    REQUIRE(poller.wake());
                    CHECK(*poller.wake() > now);
                    now = std::max(now, *poller.wake());
                    continue;
                }
                now += std::chrono::milliseconds(pick(100));
                const auto at = open.begin() + pick(int(open.size()));
                auto what = std::move(*at);
                open.erase(at);
                if (const auto* r = std::get_if<shard_poller::read>(&what)) {
                    std::vector<shard_poller::record> records;
                    for (int n = pick(int(r->max) + 1); n > 0 && next <= total; --n, ++next) {
                        records.push_back({.sequence_number = sequence(next),
                                           .key_hash = std::size_t(next % keys),
                                           .text = is_wanted(next) ? std::to_string(next) : "",
                                           .arrived = now});
                        arrived[std::size_t(next)] = now;
                        if (is_stopped || is_wanted(next))
                            held.insert(next);
                        else
                            finish(next);
                    }
                    poller.on_read(std::move(records), next > total, now);
                } else if (const auto* i = std::get_if<shard_poller::invoke>(&what)) {
                    const std::vector<int> records = numbers(i->payload);
                    for (const int each : records) out.erase(each);
                    shard_poller::answer a;
                    a.how = pick(3) == 0 ? (pick(2) ? how::failed : how::throttled) : how::answered;
                    if (s.reports_items && a.how == how::answered && pick(3) == 0) {
                        const std::size_t from = std::size_t(pick(int(records.size())));
                        a.payload = failures({records.back(), records[from]});
                        for (std::size_t n = 0; n < from; ++n) finish(records[n]);
                    } else if (a.how == how::answered) {
                        a.payload = "null";
                        for (const int each : records) finish(each);
                    }
                    poller.on_invoked(i->batch, a, now);
                } else if (const auto* d = std::get_if<shard_poller::discard>(&what)) {
                    const bool is_kept = pick(4) != 0;
                    for (const int each : numbers(d->payload)) {
                        out.erase(each);
                        if (is_kept) finish(each);
                    }
                    poller.on_discarded(d->batch, is_kept);
                } else if (const auto* c = std::get_if<shard_poller::checkpoint>(&what)) {
                    if (pick(5) == 0) {
                        poller.on_checkpoint(now + 1s);
                    } else {
                        const int to = c->last.empty()
                                           ? total
                                           : int(*hearth::streams::read_sequence_number(c->last));
                        CHECK(to >= place);
                        place = to;
                        poller.on_checkpoint();
                    }
                }
                if (lives > 20) continue;
                if (pick(150) == 0) is_stopped = true, poller.stop();
                if (pick(150) == 0) break;  // killed
            }
        }
        for (int n = 1; n <= place; ++n) CHECK(done.contains(n));
        CHECK(place == total);
    }
}

// ---- Tumbling windows ----

namespace {

const shard_poller::settings windows{
    .batch_size = 3, .tumbling = 60s, .origin = R"("shardId":"s","eventSourceARN":"a")"};

/// An event of the minute that begins at `start`.
std::string event(const char* records,
                  const char* state,
                  const char* start = "00:01:00",
                  const char* end = "00:02:00",
                  const char* last = R"(false,"isWindowTerminatedEarly":false)") {
    return std::string(R"({"Records":[)") + records + R"(],"window":{"start":"1970-01-01T)" +
           start + R"(Z","end":"1970-01-01T)" + end + R"(Z"},"state":)" + state +
           R"(,"shardId":"s","eventSourceARN":"a","isFinalInvokeForWindow":)" + last + "}";
}
const char* const final_one = R"(true,"isWindowTerminatedEarly":false)";

}  // namespace

TEST_CASE("a window's batches hand its state on, and one without records ends it") {
    shard_world w(windows);
    w.arrive({60'000, 119'999, 120'000});
    CHECK(w.sent() == event("1,2", "{}"));
    w.answer(how::answered, R"({"state":{"n":2}})");
    CHECK(w.last_kept() == sequence(2));
    CHECK(w.last_note() == R"({"start":60000,"state":{"n":2}})");
    CHECK(w.sent() == event("", R"({"n":2})", "00:01:00", "00:02:00", final_one));
    w.answer(how::answered);  // whatever it says
    CHECK(w.sent() == event("3", "{}", "00:02:00", "00:03:00"));
    w.answer(how::answered, R"({"state":1})");
    CHECK(w.last_kept() == sequence(3));
    CHECK(w.last_note() == R"({"start":120000,"state":1})");
}

TEST_CASE("a window ends by the clock where nothing comes any more") {
    shard_world w(windows);
    w.arrive({90'000});
    w.answer(how::answered, R"({"state":{"n":1}})");
    CHECK(w.sent().empty());
    w.wait(30s + shard_poller::window_patience);
    CHECK(w.sent() == event("", R"({"n":1})", "00:01:00", "00:02:00", final_one));
    // It is over when that was answered, and not before.
    w.answer(how::failed);
    w.pass(shard_poller::min_backoff);
    CHECK(w.sent() == event("", R"({"n":1})", "00:01:00", "00:02:00", final_one));
    w.answer(how::answered);
    CHECK(w.last_kept() == sequence(1));
    CHECK(w.last_note().empty());
    CHECK_FALSE(w.poller.wake());
}

TEST_CASE("a shard's end ends its window") {
    shard_world w(windows);
    w.arrive({60'000}, true);
    w.answer(how::answered, R"({"state":{}})");
    CHECK(w.sent() == event("", "{}", "00:01:00", "00:02:00", final_one));
    CHECK_FALSE(w.poller.finished());
    w.answer(how::answered);
    CHECK(w.poller.finished());
    CHECK(w.last_kept().empty());
    CHECK(w.last_note().empty());
}

TEST_CASE("a batch that is answered without a state is tried again, however often") {
    auto s = windows;
    s.max_retries = 0, s.max_age = 1s;
    shard_world w(s);
    w.arrive({60'000, 60'001});
    for (const char* bad : {"null", "{}", R"({"state":null})", "no JSON", R"([{"state":1}])"}) {
        CHECK(w.sent() == event("1,2", "{}"));
        w.answer(how::answered, bad);
        CHECK(w.sent().empty());
        w.pass(shard_poller::max_backoff);
    }
    w.answer(how::failed);
    w.pass(shard_poller::max_backoff);
    CHECK(w.discarded.empty());
    CHECK(w.sent() == event("1,2", "{}"));
}

TEST_CASE("a state goes with those that did not fail") {
    auto s = windows;
    s.reports_items = true;
    shard_world w(s);
    w.arrive({60'000, 60'001, 60'002});
    w.answer(how::answered,
             R"({"state":2,"batchItemFailures":[{"itemIdentifier":")" + sequence(3) + "\"}]}");
    CHECK(w.last_kept() == sequence(2));
    CHECK(w.last_note() == R"({"start":60000,"state":2})");
    w.pass(shard_poller::max_backoff);
    CHECK(w.sent() == event("3", "2"));
    w.answer(how::answered, R"({"state":3,"batchItemFailures":[{"itemIdentifier":""}]})");
    w.pass(shard_poller::max_backoff);
    CHECK(w.sent() == event("3", "2"));  // all of it failed
}

TEST_CASE("too large a state ends its window early, and it begins again") {
    shard_world w(windows);
    w.arrive({60'000});
    const std::string large = "\"" + std::string(shard_poller::max_state, 'x') + "\"";
    w.answer(how::answered, "{\"state\":" + large + "}");
    CHECK(w.sent() == event("", large.c_str(), "00:01:00", "00:02:00",
                            R"(true,"isWindowTerminatedEarly":true)"));
    w.answer(how::answered);
    w.arrive({60'001});
    CHECK(w.sent() == event("2", "{}"));
}

TEST_CASE("a window goes on where its checkpoint was left") {
    auto open = shard_poller::read_note(R"({"start":60000,"state":{"a":"}"}})");
    REQUIRE(open);
    CHECK(open->start_ms == 60'000);
    CHECK(open->state == R"({"a":"}"})");
    CHECK(open->note() == R"({"start":60000,"state":{"a":"}"}})");
    for (const char* bad : {"", "{}", R"({"start":x,"state":1})", R"({"start":1})", "{\"start\":1"})
        CHECK_FALSE(shard_poller::read_note(bad));

    shard_world w(windows);
    shard_poller fresh(windows);
    open->end = w.now + 10s;
    fresh.resume(sequence(7), open);
    w.poller = std::move(fresh);
    w.asked.reset();
    w.step();
    CHECK(w.kept.empty());
    SECTION("with more records") {
        w.arrive({119'000});
        CHECK(w.sent() == event("1", R"({"a":"}"})"));
    }
    SECTION("with none") {
        w.wait(10s + shard_poller::window_patience);
        CHECK(w.sent() == event("", R"({"a":"}"})", "00:01:00", "00:02:00", final_one));
        w.answer(how::answered);
        CHECK(w.last_kept() == sequence(7));
        CHECK(w.last_note().empty());
    }
}
