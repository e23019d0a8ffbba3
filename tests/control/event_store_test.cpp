// The contract of event stores, held by every engine; the thread that writes to them.

#include "control/event_store.hpp"

#include "control/event_writer.hpp"
#include "temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <mutex>

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

void keeps_the_contract(event_store& s) {
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

TEST_CASE("events in memory keep the contract of stores") {
    const auto s = open_memory_events();
    keeps_the_contract(*s);
}

TEST_CASE("events in SQLite keep the contract of stores") {
    const temporary_directory dir;
    const auto s = open_sqlite_events(dir.path()).value();
    keeps_the_contract(*s);
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
