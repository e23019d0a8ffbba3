// What a mapping decides of one shard: batches, order, what is tried again and given up, and how
// far it has come. The clock is the test's.

#include "control/shard_poller.hpp"

#include "stream/position.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <map>
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
    void answer(how h, const std::string& said = "null") {
        REQUIRE(!invoked.empty());
        const auto id = invoked.front().batch;
        invoked.erase(invoked.begin());
        poller.on_invoked(id, {.how = h, .payload = said, .request_id = "r"}, now);
        step();
    }
    void pass(std::chrono::milliseconds time) {
        now += time;
        step();
    }
    std::string sent() const { return invoked.empty() ? "" : invoked.front().payload; }
    std::string last_kept() const { return kept.empty() ? "none" : kept.back(); }

    shard_poller poller;
    shard_poller::time_point now{1h};
    int made = 0, cancelled = 0;
    bool keeps = true, settling = false;
    std::optional<std::size_t> asked;
    std::vector<shard_poller::invoke> invoked;
    std::vector<shard_poller::discard> discarded;
    std::vector<std::string> kept;
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
        constexpr int total = 60, keys = 5;
        std::set<int> done;
        std::map<int, int> latest;  // of a key: the last record that came first
        int place = 0;              // up to there all is kept
        bool is_finished = false;
        shard_poller::time_point now{1h};
        for (int lives = 0; !is_finished; ++lives) {
            REQUIRE(lives < 1000);
            shard_poller poller(s);
            bool is_stopped = false;
            int next = place + 1;
            std::vector<shard_poller::action> open;
            const int moves = lives > 20 ? 100'000 : pick(200);
            for (int move = 0; move < moves && !is_finished; ++move) {
                for (auto& each : poller.step(now)) open.push_back(std::move(each));
                if (open.empty()) {
                    if (poller.finished()) {
                        is_finished = true;
                        break;
                    }
                    if (is_stopped) break;
                    REQUIRE(poller.wake());
                    now = std::max(now, *poller.wake());
                    continue;
                }
                const auto at = open.begin() + pick(int(open.size()));
                auto what = std::move(*at);
                open.erase(at);
                if (const auto* r = std::get_if<shard_poller::read>(&what)) {
                    std::vector<shard_poller::record> records;
                    for (int n = pick(int(r->max) + 1); n > 0 && next <= total; --n, ++next)
                        records.push_back({.sequence_number = sequence(next),
                                           .key_hash = std::size_t(next % keys),
                                           .text = std::to_string(next),
                                           .arrived = now});
                    poller.on_read(std::move(records), next > total, now);
                } else if (const auto* i = std::get_if<shard_poller::invoke>(&what)) {
                    const auto event = boost::json::parse(i->payload);
                    std::vector<int> records;
                    for (const auto& each : event.at("Records").as_array())
                        records.push_back(int(each.as_int64()));
                    for (const int each : records) {
                        CHECK(each > place);
                        int& last = latest[each % keys];
                        if (each > last) {
                            CHECK((last == 0 || each == last + keys));
                            last = each;
                        }
                    }
                    shard_poller::answer a;
                    a.how = pick(3) == 0 ? (pick(2) ? how::failed : how::throttled) : how::answered;
                    if (s.reports_items && a.how == how::answered && pick(3) == 0) {
                        const std::size_t from = std::size_t(pick(int(records.size())));
                        a.payload = failures({records[from]});
                        done.insert(records.begin(), records.begin() + std::ptrdiff_t(from));
                    } else if (a.how == how::answered) {
                        a.payload = "null";
                        done.insert(records.begin(), records.end());
                    }
                    poller.on_invoked(i->batch, a, now);
                } else if (const auto* d = std::get_if<shard_poller::discard>(&what)) {
                    const bool is_kept = pick(4) != 0;
                    if (is_kept) {
                        CHECK(s.max_retries.has_value());
                        const auto event = boost::json::parse(d->payload);
                        for (const auto& each : event.at("Records").as_array())
                            done.insert(int(each.as_int64()));
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
