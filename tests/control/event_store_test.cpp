// The contract of event stores, held by every engine; the thread that writes to them.

#include "control/event_store.hpp"

#include "control/event_writer.hpp"
#include "small_files.hpp"
#include "temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <thread>

using namespace hearth;
using namespace hearth::control;
using namespace std::chrono_literals;
using hearth::test::temporary_directory;

namespace {

event_time at(std::int64_t ms) { return event_time(std::chrono::milliseconds(ms)); }

queued_event sample(const std::string& lane, std::int64_t due, const std::string& payload = "{}") {
    return {.lane = lane,
            .request_id = "id-" + payload,
            .trace_id = "Root=1",
            .tenant_id = "t",
            .payload = payload,
            .received = at(due),
            .due = at(due)};
}

result<void> apply(event_store& s, const event_change& c) {
    const event_change* one[] = {&c};
    return s.apply(one);
}

std::vector<queued_event> read(event_store& s,
                               std::string_view lane,
                               std::int64_t now,
                               std::size_t want = 100,
                               std::size_t bytes = 1 << 20,
                               const std::set<std::uint64_t>& skip = {}) {
    return s.read(lane, at(now), want, bytes, skip).value().events;
}

/// Lives as long as its object.
struct events_in_memory {
    std::unique_ptr<event_store> engine = open_memory_events(1 << 20);
    event_store& reopen() { return *engine; }
    struct limit {};  // its own: what follows is larger
    static constexpr errc when_full = errc::no_room;
};

struct events_in_sqlite {
    temporary_directory dir;
    std::unique_ptr<event_store> engine;
    event_store& reopen() {
        engine.reset();
        engine = open_sqlite_events(dir.path()).value();
        return *engine;
    }
    struct limit {
        test::small_files files{1 << 20};
    };
    static constexpr errc when_full = errc::storage_failed;
};

/// Counts transactions and holds the first until told.
class slow_store final : public event_store {
  public:
    result<void> apply(std::span<const event_change* const> changes) override {
        std::unique_lock lock(mutex_);
        sizes.push_back(changes.size());
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        for (const event_change* c : changes)
            if (!c->drop_function.empty()) return error(errc::storage_failed, "no");
        return {};
    }
    result<reading> read(std::string_view,
                         event_time,
                         std::size_t,
                         std::size_t,
                         const std::set<std::uint64_t>&) override {
        return reading();
    }
    result<std::vector<std::string>> lanes() override { return std::vector<std::string>(); }
    [[nodiscard]] std::uint64_t size() const override { return 0; }

    void wait_for_first() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return !sizes.empty(); });
    }
    void open() {
        const std::scoped_lock lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    std::vector<std::size_t> sizes;  ///< of the transactions

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

}  // namespace

#define FOR_EVERY_EVENT_STORE(SENTENCE) \
    TEMPLATE_TEST_CASE(SENTENCE, "", events_in_memory, events_in_sqlite)

FOR_EVERY_EVENT_STORE("an event store: lanes are read in order, changed and dropped") {
    TestType e;
    event_store& s = e.reopen();
    event_change c;
    c.add = {sample("f", 30, "c"),
             sample("f", 10, "a"),
             sample("f", 10, "b"),
             sample("f:1", 5, "one"),
             sample("g", 7, std::string("zero\0byte", 9)),
             sample("ff", 1)};
    REQUIRE(apply(s, c).has_value());
    CHECK(s.size() == 6);
    CHECK(s.lanes().value() == std::vector<std::string>{"f", "f:1", "ff", "g"});

    // By due time, then in the order of acceptance; only what is due.
    auto found = read(s, "f", 10);
    REQUIRE(found.size() == 2);
    CHECK(found[0].payload == "a");
    CHECK(found[1].payload == "b");
    auto expected = sample("f", 10, "a");
    expected.id = found[0].id;
    CHECK(found[0] == expected);
    CHECK(s.read("f", at(10), 100, 1 << 20, {}).value().next_due == at(30));
    CHECK(s.read("f", at(10), 1, 1 << 20, {}).value().next_due == at(10));
    CHECK(s.read("f", at(30), 100, 1 << 20, {}).value().next_due == std::nullopt);
    CHECK(read(s, "f", 30, 100, 1).size() == 1);  // bytes
    CHECK(read(s, "f", 30, 100, 1 << 20, {found[0].id, found[1].id}).size() == 1);
    CHECK(read(s, "none", 30).empty());
    CHECK(read(s, "g", 30)[0].payload.size() == 9);

    // One change, both halves.
    event_change end;
    end.remove = found[0].id;
    end.add = {sample("g", 8, "record")};
    REQUIRE(apply(s, end).has_value());
    CHECK(read(s, "f", 30).size() == 2);
    CHECK(read(s, "g", 30).size() == 2);

    event_change later;
    later.postpone = {found[1].id, at(40), 1, 2};
    REQUIRE(apply(s, later).has_value());
    CHECK(read(s, "f", 39).size() == 1);
    const auto postponed = read(s, "f", 40).at(1);
    CHECK(postponed.payload == "b");
    CHECK((postponed.failures == 1 && postponed.setbacks == 2 && postponed.due == at(40)));
    CHECK(postponed.received == at(10));

    // What is gone stays gone.
    REQUIRE(apply(s, end).has_value());
    later.postpone->id = found[0].id;
    REQUIRE(apply(s, later).has_value());
    CHECK(read(s, "f", 99).size() == 2);

    // A function goes with its versions and aliases, and with nobody else's.
    auto awaiting = sample("f", 1, "w");
    awaiting.awaits_deploy = true;
    event_change more;
    more.add = {awaiting};
    REQUIRE(apply(s, more).has_value());
    event_change drop;
    drop.drop_function = "f";
    drop.spare_awaiting = true;
    REQUIRE(apply(s, drop).has_value());
    CHECK(s.lanes().value() == std::vector<std::string>{"f", "ff", "g"});
    CHECK(read(s, "f", 99).at(0).payload == "w");
    drop.spare_awaiting = false;
    REQUIRE(apply(s, drop).has_value());
    CHECK(s.lanes().value() == std::vector<std::string>{"ff", "g"});
    CHECK(s.size() == read(s, "g", 99).size() + 1);
}

FOR_EVERY_EVENT_STORE("an event store: what has been applied is there when it is opened again") {
    TestType e;
    std::vector<queued_event> before;
    {
        event_store& s = e.reopen();
        event_change c;
        c.add = {sample("f", 1, "kept"), sample("f", 1, "postponed"), sample("f", 3, "removed"),
                 sample("g", 1)};
        c.add[0].awaits_deploy = true, c.add[0].failures = 1, c.add[0].setbacks = 2;
        REQUIRE(apply(s, c).has_value());
        event_change later, end;
        later.postpone = {read(s, "f", 3).at(1).id, at(9), 3, 4};
        end.remove = read(s, "f", 3).at(2).id;
        end.drop_function = "g";
        const event_change* both[] = {&later, &end};
        REQUIRE(s.apply(both).has_value());
        before = read(s, "f", 9);
        REQUIRE(before.size() == 2);
        CHECK((before[1].payload == "postponed" && before[1].failures == 3));
    }
    event_store& s = e.reopen();
    CHECK(read(s, "f", 9) == before);
    CHECK(s.lanes().value() == std::vector<std::string>{"f"});
    CHECK(s.size() == 2);
    event_change more;
    more.add = {sample("f", 1)};
    REQUIRE(apply(s, more).has_value());
    const auto after = read(s, "f", 9);
    // An id is nobody else's, and what is due at once with others comes after them.
    CHECK(std::ranges::none_of(before, [&](const auto& b) { return b.id == after.at(1).id; }));
    CHECK(after.at(0) == before[0]);
}

FOR_EVERY_EVENT_STORE("an event store: changes are one transaction, which an error leaves undone") {
    TestType e;
    event_store& s = e.reopen();
    event_change c;
    c.add = {sample("f", 1, "a"), sample("f", 2, "b"), sample("g", 1, "c")};
    REQUIRE(apply(s, c).has_value());
    const auto f = read(s, "f", 9), g = read(s, "g", 9);
    event_change end, later, drop, add, large;
    end.remove = f[0].id;
    later.postpone = {f[1].id, at(5), 1, 1};
    drop.drop_function = "g";
    add.add = {sample("h", 1)};
    large.add = {sample("f", 1, std::string(2 << 20, 'x'))};
    const event_change* all[] = {&end, &later, &drop, &add, &large};
    const auto is_as_before = [&](event_store& now) {
        CHECK(read(now, "f", 9) == f);
        CHECK(read(now, "g", 9) == g);
        CHECK(now.lanes().value() == std::vector<std::string>{"f", "g"});
        CHECK(now.size() == 3);
    };
    {
        [[maybe_unused]] const typename TestType::limit limit;
        const auto applied = s.apply(all);
        REQUIRE(applied.has_error());
        CHECK(applied.error() == TestType::when_full);
        CHECK_FALSE(applied.error().detail().empty());
        is_as_before(s);
    }
    REQUIRE(apply(s, {}).has_value());  // it is over
    is_as_before(s);
    is_as_before(e.reopen());
    const event_change* small[] = {&end, &later, &drop, &add};
    event_store& again = e.reopen();
    REQUIRE(again.apply(small).has_value());
    CHECK(again.lanes().value() == std::vector<std::string>{"f", "h"});
    CHECK(read(again, "f", 9).size() == 1);
}

FOR_EVERY_EVENT_STORE("an event store: it is read, listed and counted while it is changed") {
    TestType e;
    event_store& s = e.reopen();
    std::atomic<bool> ended = false;
    constexpr int changes = 200;
    std::thread writer([&] {
        for (int i = 0; i < changes; ++i) {
            event_change c;
            c.add = {sample("f", i, "a"), sample("f", i, "b")};
            if (apply(s, c).has_error()) break;
        }
        ended = true;
    });
    std::size_t last = 0, uneven = 0, shrunk = 0, failed = 0;
    do {
        const auto found = s.read("f", at(changes), SIZE_MAX, SIZE_MAX, {});
        failed += found.has_error() || s.lanes().has_error();
        if (found.has_error()) continue;
        uneven += found->events.size() % 2;  // half of a change
        shrunk += found->events.size() < last;
        last = found->events.size();
    } while (!ended);
    writer.join();
    CHECK((uneven == 0 && shrunk == 0 && failed == 0));
    CHECK(s.size() == 2 * changes);
    CHECK(read(s, "f", changes, 1000).size() == 2 * changes);
}

TEST_CASE("events in memory have a limit, and removing makes room") {
    const auto s = open_memory_events(10);
    event_change c;
    c.add = {sample("f", 1, "123456")};
    REQUIRE(apply(*s, c).has_value());
    CHECK(apply(*s, c).error() == errc::no_room);
    event_change r;
    r.remove = read(*s, "f", 1).at(0).id;
    REQUIRE(apply(*s, r).has_value());
    CHECK(apply(*s, c).has_value());
}

TEST_CASE("events in SQLite outlive the store, and their ids are not used again") {
    const temporary_directory dir;
    queued_event before;
    {
        const auto s = open_sqlite_events(dir.path()).value();
        event_change c;
        c.add = {sample("f", 1, "kept"), sample("f:live", 2, std::string(1 << 20, 'x'))};
        REQUIRE(apply(*s, c).has_value());
        before = read(*s, "f", 9).at(0);
        event_change r;
        r.remove = read(*s, "f:live", 9).at(0).id;
        r.add = {sample("g", 1)};
        REQUIRE(apply(*s, r).has_value());
        CHECK(read(*s, "g", 9).at(0).id > r.remove);
    }
    const auto s = open_sqlite_events(dir.path()).value();
    CHECK(s->size() == 2);
    CHECK(read(*s, "f", 9).at(0) == before);
}

TEST_CASE("a database that is not one of events is an error with its path") {
    const temporary_directory dir;
    const auto refused = [&](const char* why) {
        const auto opened = open_sqlite_events(dir.path());
        REQUIRE(opened.has_error());
        CHECK(opened.error() == errc::storage_failed);
        CHECK_THAT(opened.error().message(), Catch::Contains(why) && Catch::Contains("events.db"));
    };
    std::ofstream(dir.path() / "events.db") << std::string(5000, 'x');
    refused("not a database");
    std::filesystem::remove(dir.path() / "events.db");
    const auto sql = [&](const char* text) {
        sqlite3* db = nullptr;
        REQUIRE(sqlite3_open((dir.path() / "events.db").c_str(), &db) == SQLITE_OK);
        REQUIRE(sqlite3_exec(db, text, nullptr, nullptr, nullptr) == SQLITE_OK);
        sqlite3_close(db);
    };
    sql("CREATE TABLE other (x)");
    refused("is not Hearth's");
    std::filesystem::remove(dir.path() / "events.db");
    (void)open_sqlite_events(dir.path()).value();
    sql("PRAGMA user_version = 99");
    refused("newer Hearth");
}

TEST_CASE("what waits while a transaction is written is the next one, in order") {
    slow_store store;
    std::atomic<int> done = 0;
    {
        event_writer writer(store);
        const auto submit = [&](event_change c) {
            REQUIRE(writer
                        .submit(std::move(c), true,
                                [&](const error& e) {
                                    CHECK_FALSE(e.code());
                                    ++done;
                                })
                        .has_value());
        };
        submit({.remove = 1});
        store.wait_for_first();
        for (std::uint64_t i = 2; i <= 65; ++i) submit({.remove = i});
        CHECK(done == 0);  // nothing is told before it is written
        store.open();
        writer.stop();
        CHECK(writer.submit({}, true, [](const error&) {}).error() == errc::shutting_down);
    }
    CHECK(done == 65);
    CHECK(store.sizes == std::vector<std::size_t>{1, 64});
}

TEST_CASE("a change that cannot be written takes no other with it") {
    slow_store store;
    int good = 0, bad = 0;
    {
        event_writer writer(store);
        const auto submit = [&](event_change c) {
            (void)writer.submit(std::move(c), true,
                                [&](const error& e) { ++(e.code() ? bad : good); });
        };
        submit({});
        store.wait_for_first();
        submit({.remove = 1}), submit({.drop_function = "f"}), submit({.remove = 2});
        store.open();
    }
    CHECK(good == 3);
    CHECK(bad == 1);
    CHECK(store.sizes == std::vector<std::size_t>{1, 3, 1, 1, 1});
}

TEST_CASE("who submits faster than the disk takes is told to come again") {
    slow_store store;
    event_writer writer(store);
    const auto submit = [&](bool urgent) {
        event_change c;
        c.add = {sample("f", 1, std::string(1 << 20, 'x'))};
        return writer.submit(std::move(c), urgent, [](const error&) {});
    };
    REQUIRE(submit(true).has_value());
    store.wait_for_first();
    for (std::size_t i = 0; i < event_writer::max_waiting_bytes >> 20; ++i)
        REQUIRE(submit(true).has_value());
    CHECK(submit(true).error() == errc::throttled);
    CHECK(submit(false).has_value());  // an end is always taken
    store.open();
}
