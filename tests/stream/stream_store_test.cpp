// Every rule of streams that needs no waiting, with the clock in the test's hand.

#include "stream/hash_key.hpp"
#include "stream/store.hpp"
#include "temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <set>

using namespace hearth;
using namespace hearth::streams;
using namespace std::chrono_literals;
using namespace std::string_literals;
using hearth::test::temporary_directory;

namespace {

const identity here{"eu-west-1", "123456789012"};
using kind = shard_position::kind;
using strings = std::vector<std::string>;

/// The database, behind the store's back.
void change(const std::filesystem::path& file, const char* sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
}

/// A store and its time.
struct world {
    explicit world(const std::filesystem::path& file = {}) : s(store::open(file, here).value()) {
        REQUIRE(s->begin().has_value());
    }
    ~world() { (void)s->commit(); }

    void create(const char* name, std::size_t shards = 1) {
        REQUIRE(s->create(name, {.shards = shards}, now).has_value());
    }
    stored_record put(const char* name, outgoing_record r) {
        auto stored = s->put_records(name, {std::move(r)}, {}, now);
        INFO((stored.has_error() ? stored.error().message() : ""));
        REQUIRE(stored.has_value());
        return stored->front();
    }
    std::string at(const char* name, const std::string& shard, const shard_position& from = {}) {
        auto text = s->iterator(name, shard, from, now);
        INFO((text.has_error() ? text.error().message() : ""));
        REQUIRE(text.has_value());
        return *text;
    }
    record_page read(const std::string& iterator, std::size_t max = 100) {
        return s->read(store::open_iterator(iterator, now).value(), max, max_read_bytes, now)
            .value();
    }
    strings data(const char* name, const std::string& shard, const shard_position& from = {}) {
        strings all;
        for (const auto& r : read(at(name, shard, from)).records) all.push_back(r.data);
        return all;
    }
    strings ids(const char* name, const shard_filter& filter = {}) {
        strings all;
        for (const auto& each : s->shards(name, filter, 100, now).value().shards)
            all.push_back(each.id);
        return all;
    }

    std::unique_ptr<store> s;
    stream_time now{std::chrono::milliseconds(1'700'000'000'000)};
};

template <class T>
void refused(const result<T>& r, stream_errc why, const std::string& sentence = {}) {
    REQUIRE(r.has_error());
    INFO(r.error().message());
    CHECK(r.error().code() == why);
    if (!sentence.empty()) CHECK_THAT(r.error().message(), Catch::Contains(sentence));
}

const std::string first = "shardId-000000000000", second = "shardId-000000000001";
constexpr const char* max_key = "340282366920938463463374607431768211455";   // 2^128 - 1
constexpr const char* half_key = "170141183460469231731687303715884105728";  // 2^127

}  // namespace

TEST_CASE("hash keys are MD5s, divided evenly") {
    // md5("user-7") and md5("") by md5sum.
    CHECK(to_hex(hash_of("")) == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(to_hex(hash_of("a")) == "0cc175b9c0f1b6a831c399e269772661");
    CHECK(from_hex(to_hex(hash_of("a"))) == hash_of("a"));
    CHECK(to_decimal(max_hash_key) == max_key);
    CHECK(read_hash_key(max_key) == max_hash_key);
    CHECK(to_decimal(0) == "0");
    CHECK(read_hash_key("0") == hash_key{0});
    for (const char* wrong :
         {"", "-1", "00", "01", "1 ", "x", "0x1", "340282366920938463463374607431768211456",
          "999999999999999999999999999999999999999", "1000000000000000000000000000000000000000"})
        CHECK_FALSE(read_hash_key(wrong));
    for (const std::size_t n : {1u, 2u, 3u, 7u, 10'000u}) {
        const auto ranges = divide(n);
        REQUIRE(ranges.size() == n);
        CHECK(ranges.front().first == 0);
        CHECK(ranges.back().last == max_hash_key);
        for (std::size_t i = 1; i < n; ++i) CHECK(ranges[i].first == ranges[i - 1].last + 1);
    }
    CHECK(to_decimal(divide(2)[1].first) == half_key);
    // As AWS gives them to a stream of three shards.
    CHECK(to_decimal(divide(3)[0].last) == "113427455640312821154458202477256070484");
    CHECK(to_decimal(divide(3)[1].last) == "226854911280625642308916404954512140969");
}

TEST_CASE("a record goes to the shard of its key, and is read in order") {
    world w;
    w.create("clicks", 2);
    // md5("a") begins with 0c, md5("b") with 92.
    CHECK(w.put("clicks", {.data = "1", .partition_key = "a"}).shard_id == first);
    const auto b = w.put("clicks", {.data = "2", .partition_key = "b"});
    CHECK(b.shard_id == second);
    CHECK(b.sequence_number.size() == 56);
    CHECK(w.put("clicks", {.data = "3", .partition_key = "a", .explicit_hash_key = half_key})
              .shard_id == second);
    CHECK(w.put("clicks", {.data = "4", .partition_key = "b", .explicit_hash_key = "0"}).shard_id ==
          first);
    CHECK(w.put("clicks", {.data = "5", .partition_key = "b", .explicit_hash_key = max_key})
              .shard_id == second);
    CHECK(w.data("clicks", first) == strings{"1", "4"});
    CHECK(w.data("clicks", second) == strings{"2", "3", "5"});
    const auto page = w.read(w.at("clicks", second));
    for (std::size_t i = 1; i < page.records.size(); ++i)
        CHECK(page.records[i - 1].sequence_number < page.records[i].sequence_number);
    CHECK(page.records[1].partition_key == "a");
    CHECK(page.records[1].arrived == w.now);
    CHECK(page.behind_latest == 0ms);

    const auto shards = w.s->shards("clicks", {}, 10, w.now).value().shards;
    REQUIRE(shards.size() == 2);
    CHECK(shards[0].first_hash_key == "0");
    CHECK(shards[1].first_hash_key == half_key);
    CHECK(shards[1].last_hash_key == max_key);
    CHECK(shards[0].is_open());
    CHECK(shards[1].first_sequence_number < b.sequence_number);
}

TEST_CASE("iterators begin where they are asked to, and last five minutes") {
    world w;
    w.create("clicks", 2);
    const auto put = [&](const char* data) {
        return w.put("clicks", {.data = data, .partition_key = "a"}).sequence_number;
    };
    const std::string one = put("1");
    w.now += 10s;
    const std::string two = put("2");
    const stream_time then = w.now;
    w.now += 10s;
    const std::string latest = w.at("clicks", first, {.from = kind::latest});
    put("3");
    CHECK(w.data("clicks", first) == strings{"1", "2", "3"});
    CHECK(w.data("clicks", first, {kind::at_sequence_number, two}) == strings{"2", "3"});
    CHECK(w.data("clicks", first, {kind::after_sequence_number, two}) == strings{"3"});
    CHECK(w.data("clicks", first, {kind::at_time, {}, then}) == strings{"2", "3"});
    CHECK(w.data("clicks", first, {kind::at_time, {}, then + 1ms}) == strings{"3"});
    CHECK(w.data("clicks", first, {kind::at_time, {}, w.now + 1ms}).empty());
    CHECK(w.data("clicks", first, {.from = kind::latest}).empty());
    CHECK(w.read(latest).records.at(0).data == "3");

    const auto page = w.read(w.at("clicks", first), 2);
    CHECK(page.records.size() == 2);
    CHECK(page.behind_latest == 1ms);  // there is another, of this moment
    w.now += 10s;
    CHECK(w.read(w.at("clicks", first), 2).behind_latest == 10s);
    const auto rest = w.read(page.next_iterator, 2);
    CHECK(rest.records.at(0).data == "3");
    CHECK(rest.behind_latest == 0ms);
    CHECK(w.read(rest.next_iterator).records.empty());
    put("4");
    CHECK(w.read(rest.next_iterator).records.at(0).data == "4");

    w.now += 5min - 10s;
    CHECK(w.read(page.next_iterator).records.size() == 2);
    w.now += 10s + 1ms;
    refused(store::open_iterator(page.next_iterator, w.now), stream_errc::expired_iterator,
            "Iterator expired");

    for (const auto from : {kind::at_sequence_number, kind::after_sequence_number})
        for (const std::string& wrong :
             {std::string(), std::string("1"), std::string(56, '0'), std::string(56, '9'),
              write_sequence_number(1'000), two + "0"})
            refused(w.s->iterator("clicks", first, {from, wrong}, w.now),
                    stream_errc::invalid_argument, "StartingSequenceNumber");
    refused(w.s->iterator("clicks", "shardId-000000000002", {}, w.now),
            stream_errc::resource_not_found, "Could not find shard");
    refused(w.s->iterator("clicks", "nonsense", {}, w.now), stream_errc::resource_not_found);
    refused(w.s->iterator("none", first, {}, w.now), stream_errc::resource_not_found,
            "Stream none under account 123456789012 not found.");
    for (const std::string& wrong :
         {std::string(), std::string("x"), std::string(48, '0'), std::string(48, '0') + "a b",
          std::string(48, 'f') + "clicks", std::string(47, '0') + "gclicks"})
        refused(store::open_iterator(wrong, w.now), stream_errc::invalid_argument);
    // Another stream's name does not lead to this one's records.
    w.create("other");
    std::string forged = w.at("clicks", first);
    forged.replace(48, std::string::npos, "other");
    refused(w.s->read(store::open_iterator(forged, w.now).value(), 1, 1, w.now),
            stream_errc::resource_not_found);
}

TEST_CASE("records go when the retention is over") {
    world w;
    w.create("clicks");
    w.put("clicks", {.data = "old", .partition_key = "a"});
    REQUIRE(w.s->set_retention("clicks", store::change::increase, 48h).has_value());
    w.now += 24h;
    w.put("clicks", {.data = "new", .partition_key = "a"});
    CHECK(w.data("clicks", first) == strings{"old", "new"});
    w.now += 24h - 1ms;
    REQUIRE(w.s->sweep(w.now).has_value());
    CHECK(w.data("clicks", first) == strings{"old", "new"});
    w.now += 1ms;
    CHECK(w.data("clicks", first) == strings{"new"});
    REQUIRE(w.s->sweep(w.now).has_value());
    CHECK(w.data("clicks", first) == strings{"new"});
    CHECK(w.s->describe("clicks").value().retention == 48h);
    REQUIRE(w.s->set_retention("clicks", store::change::decrease, 24h).has_value());
    CHECK(w.data("clicks", first).empty());
    // A number is never given again, though its record is gone.
    REQUIRE(w.s->sweep(w.now).has_value());
    const std::string at_end = w.at("clicks", first, {.from = kind::latest});
    w.put("clicks", {.data = "next", .partition_key = "a"});
    CHECK(w.read(at_end).records.at(0).data == "next");

    using store_change = store::change;
    refused(w.s->set_retention("clicks", store_change::decrease, 23h),
            stream_errc::invalid_argument, "minimum retention period (24 hours)");
    refused(w.s->set_retention("clicks", store_change::increase, 8761h),
            stream_errc::invalid_argument, "maximum retention period (8760 hours)");
    REQUIRE(w.s->set_retention("clicks", store_change::increase, 8760h).has_value());
    refused(w.s->set_retention("clicks", store_change::increase, 100h),
            stream_errc::invalid_argument, "shorter than existing");
    REQUIRE(w.s->set_retention("clicks", store_change::decrease, 100h).has_value());
    refused(w.s->set_retention("clicks", store_change::decrease, 101h),
            stream_errc::invalid_argument, "longer than existing");
}

TEST_CASE("a shard that is split ends, and two go on") {
    world w;
    w.create("clicks");
    w.put("clicks", {.data = "before", .partition_key = "a"});
    w.now += 1h;
    refused(w.s->split("clicks", first, "0", w.now), stream_errc::invalid_argument,
            "NewStartingHashKey 0");
    refused(w.s->split("clicks", first, "x", w.now), stream_errc::invalid_argument);
    refused(w.s->split("clicks", second, half_key, w.now), stream_errc::resource_not_found);
    const std::string tail = w.at("clicks", first, {.from = kind::latest});
    w.s->take_touched();
    REQUIRE(w.s->split("clicks", first, half_key, w.now).has_value());
    CHECK(w.s->take_touched().size() == 1);
    CHECK(w.s->describe("clicks").value().open_shards == 2);
    refused(w.s->split("clicks", first, "7", w.now), stream_errc::resource_in_use, "closed");

    const auto end = w.read(w.at("clicks", first));
    CHECK(end.records.at(0).data == "before");
    CHECK(end.next_iterator.empty());
    REQUIRE(end.children.size() == 2);
    CHECK(end.children[0].id == second);
    CHECK(end.children[0].parent_id == first);
    CHECK(end.children[0].adjacent_parent_id.empty());
    CHECK(end.children[1].first_hash_key == half_key);
    CHECK(w.read(tail).next_iterator.empty());
    // While something is left to read the shard goes on.
    w.put("clicks", {.data = "low", .partition_key = "a"});
    w.put("clicks", {.data = "high", .partition_key = "b"});
    CHECK(w.data("clicks", second) == strings{"low"});
    const auto closed = w.s->shards("clicks", {}, 10, w.now).value().shards.at(0);
    CHECK(closed.last_sequence_number > end.records[0].sequence_number);
    CHECK(closed.last_sequence_number > closed.first_sequence_number);
    CHECK(w.data("clicks", first, {kind::at_sequence_number, closed.last_sequence_number}).empty());

    w.now += 1h;
    refused(w.s->merge("clicks", second, second, w.now), stream_errc::invalid_argument, "adjacent");
    REQUIRE(w.s->merge("clicks", "shardId-000000000002", second, w.now).has_value());
    const auto merged = w.s->shards("clicks", {}, 10, w.now).value().shards.at(3);
    CHECK(merged.parent_id == "shardId-000000000002");
    CHECK(merged.adjacent_parent_id == second);
    CHECK(merged.first_hash_key == "0");
    CHECK(merged.last_hash_key == max_key);
    CHECK(w.read(w.at("clicks", second)).children.at(0).id == merged.id);
    CHECK(w.put("clicks", {.data = "joined", .partition_key = "b"}).shard_id == merged.id);
    refused(w.s->merge("clicks", merged.id, first, w.now), stream_errc::resource_in_use);

    // Which there are, and were.
    const stream_time start = w.now - 2h;
    CHECK(w.ids("clicks").size() == 4);
    CHECK(w.ids("clicks", {.which = shard_filter::kind::open}) == strings{merged.id});
    CHECK(w.ids("clicks", {.which = shard_filter::kind::open_at}) == strings{first});
    CHECK(w.ids("clicks", {.which = shard_filter::kind::open_at, .time = start + 90min}) ==
          strings{second, "shardId-000000000002"});
    CHECK(w.ids("clicks", {.which = shard_filter::kind::open_since, .time = start + 90min}) ==
          strings{second, "shardId-000000000002", merged.id});
    CHECK(w.ids("clicks", {.after_id = second}) == strings{"shardId-000000000002", merged.id});
    CHECK(w.s->shards("clicks", {}, 3, w.now).value().has_more);
    CHECK_FALSE(w.s->shards("clicks", {}, 4, w.now).value().has_more);

    // A closed shard goes with its last record.
    w.now += 23h;
    REQUIRE(w.s->sweep(w.now).has_value());
    CHECK(w.ids("clicks").size() == 3);
    refused(w.s->iterator("clicks", first, {}, w.now), stream_errc::resource_not_found);
    w.now += 1h;
    REQUIRE(w.s->sweep(w.now).has_value());
    CHECK(w.ids("clicks") == strings{merged.id});
    REQUIRE(w.s->split("clicks", merged.id, half_key, w.now).has_value());
    CHECK(w.ids("clicks").back() == "shardId-000000000005");
}

TEST_CASE("a stream is given another number of shards, of one size") {
    world w;
    w.create("clicks", 3);
    const auto open = [&] {
        strings all;
        for (const stream_shard& each :
             w.s->shards("clicks", {.which = shard_filter::kind::open}, 1000, w.now).value().shards)
            all.push_back(each.first_hash_key + "-" + each.last_hash_key);
        std::ranges::sort(all);
        return all;
    };
    const auto even = [](std::size_t n) {
        strings all;
        for (const auto& range : hearth::streams::divide(n))
            all.push_back(hearth::streams::to_decimal(range.first) + "-" +
                          hearth::streams::to_decimal(range.last));
        std::ranges::sort(all);
        return all;
    };
    std::size_t before = 3;
    for (const std::size_t target : {4, 8, 5, 3, 2, 1, 2, 2, 4, 7}) {
        CAPTURE(before, target);
        CHECK(w.s->set_shard_count("clicks", target, w.now).value() == before);
        CHECK(open() == even(target));
        CHECK(w.s->describe("clicks").value().open_shards == target);
        before = target;
    }
    refused(w.s->set_shard_count("clicks", 15, w.now), stream_errc::limit_exceeded);
    refused(w.s->set_shard_count("clicks", 3, w.now), stream_errc::limit_exceeded);
    refused(w.s->set_shard_count("clicks", 0, w.now), stream_errc::invalid_argument);
    refused(w.s->set_shard_count("none", 1, w.now), stream_errc::resource_not_found);
    CHECK(open() == even(7));
    // What the old shards had is read before what the new ones have.
    std::set<std::string> seen;
    for (const auto& each : w.s->consumer_shards("clicks", "c", w.now).value()) {
        CHECK((each.shard.parent_id.empty() || seen.contains(each.shard.parent_id)));
        CHECK((each.shard.adjacent_parent_id.empty() ||
               seen.contains(each.shard.adjacent_parent_id)));
        seen.insert(each.shard.id);
    }
    REQUIRE(w.s->set_on_demand("clicks", true).has_value());
    CHECK(w.s->set_shard_count("clicks", 7, w.now).error() == hearth::errc::invalid_argument);
}

TEST_CASE("a read stops at its bytes, with one record at least") {
    world w;
    w.create("clicks");
    for (int i = 0; i < 3; ++i)
        w.put("clicks", {.data = std::string(10, 'x'), .partition_key = "a"});
    const auto from = store::open_iterator(w.at("clicks", first), w.now).value();
    CHECK(w.s->read(from, 10, 1, w.now).value().records.size() == 1);
    CHECK(w.s->read(from, 10, 22, w.now).value().records.size() == 2);
    CHECK(w.s->read(from, 10, 21, w.now).value().records.size() == 1);
    CHECK(w.s->read(from, 10, 100, w.now).value().records.size() == 3);
}

TEST_CASE("consumers have their places in all shards") {
    temporary_directory directory;
    const auto file = directory.path() / "streams.db";
    std::string noted;
    const auto rest = [](world& w, const char* consumer, std::size_t shard) {
        strings all;
        const auto shards = w.s->consumer_shards("clicks", consumer, w.now).value();
        for (const auto& r : w.read(shards.at(shard).iterator).records) all.push_back(r.data);
        return all;
    };
    {
        world w(file);
        w.create("clicks", 2);  // "a" comes to the first
        w.put("clicks", {.data = "1", .partition_key = "a"});
        w.now += 1s;
        const auto two = w.put("clicks", {.data = "2", .partition_key = "a"});
        const auto start = [&](const char* consumer, const shard_position& from) {
            return w.s->start_consumer("clicks", consumer, from, w.now);
        };
        REQUIRE(start("all", {}).has_value());
        REQUIRE(start("new", {.from = kind::latest}).has_value());
        REQUIRE(start("since", {.from = kind::at_time, .time = w.now}).has_value());
        refused(start("x", {kind::at_sequence_number, two.sequence_number}),
                stream_errc::invalid_argument, "AT_TIMESTAMP");
        refused(w.s->start_consumer("none", "x", {}, w.now), stream_errc::resource_not_found);
        const auto three = w.put("clicks", {.data = "3", .partition_key = "a"});
        CHECK(rest(w, "all", 0) == strings{"1", "2", "3"});
        CHECK(rest(w, "new", 0) == strings{"3"});
        CHECK(rest(w, "since", 0) == strings{"2", "3"});
        CHECK(rest(w, "unknown", 0) == strings{"1", "2", "3"});
        CHECK(rest(w, "all", 1).empty());

        refused(w.s->checkpoint("clicks", "all", "shardId-000000000009", two.sequence_number),
                stream_errc::resource_not_found);
        refused(w.s->checkpoint("clicks", "all", first, "x"), stream_errc::invalid_argument);
        refused(w.s->checkpoint("clicks", "all", first,
                                write_sequence_number(std::numeric_limits<std::int64_t>::max())),
                stream_errc::invalid_argument, "no record's");
        REQUIRE(w.s->checkpoint("clicks", "all", first, two.sequence_number, "old").has_value());
        REQUIRE(w.s->checkpoint("clicks", "all", first, two.sequence_number, "note").has_value());
        noted = two.sequence_number;
        REQUIRE(w.s->checkpoint("clicks", "new", first, three.sequence_number).has_value());
        REQUIRE(w.s->checkpoint("clicks", "new", second, {}).has_value());
    }
    world w(file);
    CHECK(rest(w, "all", 0) == strings{"3"});
    CHECK(rest(w, "new", 0).empty());
    const auto kept = w.s->consumer_shards("clicks", "all", w.now).value();
    CHECK(kept.at(0).note == "note");
    CHECK(kept.at(0).last == noted);
    const auto shards = w.s->consumer_shards("clicks", "new", w.now).value();
    CHECK(shards.at(0).note.empty());
    CHECK_FALSE(shards.at(0).is_done);
    CHECK(shards.at(1).is_done);
    // Shards that come later are read from their beginning, and parents come first.
    REQUIRE(w.s->split("clicks", first, "7", w.now).has_value());
    w.put("clicks", {.data = "4", .partition_key = "a"});
    CHECK(w.s->consumer_shards("clicks", "new", w.now).value().at(3).shard.parent_id == first);
    CHECK(rest(w, "new", 3) == strings{"4"});
    REQUIRE(w.s->remove_consumer("new").has_value());
    CHECK(rest(w, "new", 0) == strings{"1", "2", "3"});
    CHECK(rest(w, "all", 0) == strings{"3"});
    // A place goes with its shard, and with its stream.
    w.now += 25h;
    REQUIRE(w.s->sweep(w.now).has_value());
    CHECK(w.s->consumer_shards("clicks", "all", w.now).value().front().shard.id == second);
    REQUIRE(w.s->checkpoint("clicks", "all", second, {}).has_value());
    REQUIRE(w.s->remove("clicks").has_value());
    w.create("clicks", 2);
    CHECK_FALSE(w.s->consumer_shards("clicks", "all", w.now).value().at(1).is_done);
}

TEST_CASE("consumers are registered with a stream, twenty at most") {
    world w;
    w.create("clicks");
    w.create("other");
    const stream_consumer c = w.s->register_consumer("clicks", "c", w.now).value();
    CHECK(c.arn == arn_of(here, "clicks") + "/consumer/c:1700000000");
    CHECK(c.created == w.now);
    CHECK(w.s->find_consumer("clicks", "c").value().arn == c.arn);
    CHECK(w.s->find_consumer(c.arn).value().stream == "clicks");
    refused(w.s->register_consumer("clicks", "c", w.now), stream_errc::resource_in_use, "exists");
    refused(w.s->register_consumer("none", "c", w.now), stream_errc::resource_not_found);
    for (const char* odd : {"", "a b", "a:b", "a/b"})
        refused(w.s->register_consumer("clicks", odd, w.now), stream_errc::invalid_argument);
    // Names are a stream's own.
    refused(w.s->find_consumer("other", "c"), stream_errc::resource_not_found);
    CHECK(w.s->register_consumer("other", "c", w.now).value().arn != c.arn);
    for (int i = 0; i < 19; ++i)
        REQUIRE(w.s->register_consumer("clicks", "n" + std::to_string(i), w.now).has_value());
    refused(w.s->register_consumer("clicks", "more", w.now), stream_errc::limit_exceeded, "20");
    CHECK(w.s->describe("clicks").value().consumers == 20);
    strings names;
    for (std::string after;;) {
        const auto page = w.s->consumers("clicks", after, 7).value();
        CHECK(page.consumers.size() <= 7);
        for (const auto& each : page.consumers) names.push_back(each.name);
        if (!page.has_more) break;
        after = names.back();
    }
    CHECK(names.size() == 20);
    CHECK(std::ranges::is_sorted(names));
    // One of the same name that comes later is another.
    REQUIRE(w.s->deregister_consumer("clicks", "c").has_value());
    refused(w.s->deregister_consumer("clicks", "c"), stream_errc::resource_not_found);
    refused(w.s->find_consumer(c.arn), stream_errc::resource_not_found);
    w.now += 1s;
    CHECK(w.s->register_consumer("clicks", "c", w.now).value().arn != c.arn);
    refused(w.s->find_consumer(c.arn), stream_errc::resource_not_found);
    for (const std::string& odd :
         {arn_of(here, "clicks"), arn_of(here, "clicks") + "/consumer/c",
          arn_of(here, "clicks") + "/consumer/c:", arn_of(here, "clicks") + "/consumer/c:1x",
          "arn:aws:kinesis:eu-west-1:1:stream/clicks/consumer/c:1700000001"s})
        refused(w.s->find_consumer(odd), stream_errc::resource_not_found);
    // They go with their stream, if that may take them along.
    refused(w.s->remove("clicks", false), stream_errc::resource_in_use, "20 registered consumers");
    REQUIRE(w.s->remove("clicks").has_value());
    w.create("clicks");
    CHECK(w.s->consumers("clicks", "", 100).value().consumers.empty());
    REQUIRE(w.s->remove("clicks", false).has_value());
    CHECK(w.s->consumers("other", "", 100).value().consumers.size() == 1);
}

TEST_CASE("a read says behind which record it goes on, also where there was none") {
    world w;
    w.create("clicks");
    const auto goes_on = [&](const record_page& page) {
        return w.data(
            "clicks", first,
            {.from = kind::after_sequence_number, .sequence_number = page.last_sequence_number});
    };
    const auto nothing = w.read(w.at("clicks", first)),
               latest = w.read(w.at("clicks", first, {.from = kind::latest}));
    const auto one = w.put("clicks", {.data = "1", .partition_key = "a"});
    w.put("clicks", {.data = "2", .partition_key = "a"});
    CHECK(goes_on(nothing) == strings{"1", "2"});
    CHECK(goes_on(latest) == strings{"1", "2"});
    const auto page = w.read(w.at("clicks", first), 1);
    CHECK(page.last_sequence_number == one.sequence_number);
    CHECK(goes_on(page) == strings{"2"});
    CHECK(goes_on(w.read(page.next_iterator)).empty());
}

TEST_CASE("a put is kept whole or not at all") {
    world w;
    w.create("clicks", 2);
    const auto put = [&](std::vector<outgoing_record> records, const std::string& after = {}) {
        return w.s->put_records("clicks", records, after, w.now);
    };
    const outgoing_record good{.data = "x", .partition_key = "a"};
    REQUIRE(put({good, {.data = "y", .partition_key = "b"}, good}).value().size() == 3);
    refused(put({good, {.data = "x", .partition_key = ""}}), stream_errc::invalid_argument,
            "1 to 256");
    refused(put({good, {.data = "x", .partition_key = "a", .explicit_hash_key = "-1"}}),
            stream_errc::invalid_argument, "ExplicitHashKey");
    refused(put({}), stream_errc::invalid_argument);
    refused(put(std::vector<outgoing_record>(501, good)), stream_errc::invalid_argument, "501");
    refused(put({{.data = std::string(max_record_bytes + 1, 'x'), .partition_key = "a"}}),
            stream_errc::invalid_argument, "1048577");
    CHECK(w.data("clicks", first) == strings{"x", "x"});
    const outgoing_record large{.data = std::string(max_record_bytes, 'x'), .partition_key = "a"};
    refused(put(std::vector<outgoing_record>(5, large)), stream_errc::invalid_argument, "5242880");
    REQUIRE(put({large}).has_value());
    REQUIRE(put(std::vector<outgoing_record>(500, good)).has_value());
    std::string umlauts;
    for (int i = 0; i < 256; ++i) umlauts += "ä";
    REQUIRE(put({{.data = "", .partition_key = umlauts}}).has_value());
    refused(put({{.data = "", .partition_key = umlauts + "x"}}), stream_errc::invalid_argument);
    // What comes is greater than what was given.
    const std::string last = put({good}).value()[0].sequence_number;
    CHECK(put({good}, last).value()[0].sequence_number > last);
    refused(put({good}, write_sequence_number(1'000'000)), stream_errc::invalid_argument,
            "ExclusiveMinimumSequenceNumber");
    refused(put({good}, "7"), stream_errc::invalid_argument);
}

TEST_CASE("a read has at most so many records, and ten megabytes") {
    world w;
    w.create("clicks");
    for (int i = 0; i < 12; ++i)
        w.put("clicks", {.data = std::string(max_record_bytes, 'x'), .partition_key = "a"});
    const auto page = w.read(w.at("clicks", first));
    CHECK(page.records.size() == 9);  // with their keys ten are too much
    CHECK(page.behind_latest > 0ms);
    CHECK(w.read(page.next_iterator).records.size() == 3);
}

TEST_CASE("streams are made, listed, tagged and deleted") {
    world w;
    for (const char* name : {"b", "a", "c.-_9"}) w.create(name);
    refused(w.s->create("a", {.shards = 1}, w.now), stream_errc::resource_in_use,
            "Stream a under account 123456789012 already exists.");
    for (const char* name : {"", "a b", "a/b", "ä"})
        refused(w.s->create(name, {.shards = 1}, w.now), stream_errc::invalid_argument);
    refused(w.s->create(std::string(129, 'x'), {.shards = 1}, w.now),
            stream_errc::invalid_argument);
    refused(w.s->create("d", {.shards = 0}, w.now), stream_errc::invalid_argument);
    refused(w.s->create("d", {}, w.now), stream_errc::invalid_argument, "ShardCount");
    refused(w.s->create("d", {.shards = 9'998}, w.now), stream_errc::limit_exceeded,
            "Current shard count: 3");
    refused(w.s->create("d", {.shards = SIZE_MAX}, w.now), stream_errc::limit_exceeded);
    REQUIRE(w.s->create("d", {.on_demand = true}, w.now).has_value());
    CHECK(w.s->describe("d").value().open_shards == 4);
    CHECK(w.s->describe("d").value().on_demand);
    REQUIRE(w.s->set_on_demand("d", false).has_value());
    CHECK_FALSE(w.s->describe("d").value().on_demand);
    CHECK(w.s->open_shards().value() == 7);

    const auto page = w.s->list({}, 2).value();
    CHECK(page.names == strings{"a", "b"});
    CHECK(page.has_more);
    CHECK(w.s->list("b", 2).value().names == strings{"c.-_9", "d"});
    CHECK_FALSE(w.s->list("b", 2).value().has_more);

    REQUIRE(w.s->tag("a", {{"k", "v"}, {"l", ""}}).has_value());
    REQUIRE(w.s->tag("a", {{"k", "w"}}).has_value());
    REQUIRE(w.s->untag("a", {"l", "none"}).has_value());
    CHECK(w.s->tags("a").value() == stream_tags{{"k", "w"}});
    CHECK(w.s->tags("b").value().empty());
    refused(w.s->tag("a", {{"", "v"}}), stream_errc::invalid_argument);
    refused(w.s->tag("a", {{"k", std::string(257, 'x')}}), stream_errc::invalid_argument);
    stream_tags many;
    for (int i = 0; i < 50; ++i) many[std::to_string(i)] = "";
    refused(w.s->tag("a", many), stream_errc::limit_exceeded);
    CHECK(w.s->tags("a").value().size() == 1);

    w.put("a", {.data = "x", .partition_key = "a"});
    const std::string old = w.at("a", first);
    w.s->take_touched();
    REQUIRE(w.s->remove("a").has_value());
    CHECK(w.s->take_touched().size() == 1);
    refused(w.s->remove("a"), stream_errc::resource_not_found);
    w.create("a");
    CHECK(w.data("a", first).empty());
    CHECK(w.s->tags("a").value().empty());
    refused(w.s->read(store::open_iterator(old, w.now).value(), 1, 1, w.now),
            stream_errc::resource_not_found);

    CHECK(arn_of(here, "a") == "arn:aws:kinesis:eu-west-1:123456789012:stream/a");
    CHECK(name_of(here, arn_of(here, "a")) == "a");
    for (const char* wrong :
         {"", "a", "arn:aws:kinesis:eu-west-1:123456789012:stream/",
          "arn:aws:kinesis:eu-west-1:1:stream/a", "arn:aws:sqs:eu-west-1:123456789012:a",
          "arn:aws:kinesis:eu-west-1:123456789012:stream/a/consumer/b:1"})
        CHECK(name_of(here, wrong).empty());
}

TEST_CASE("streams and records are there when their database is opened again") {
    const temporary_directory dir;
    const auto file = dir.path() / "streams.db";
    std::string iterator, last;
    {
        world w(file);
        w.create("clicks", 2);
        REQUIRE(w.s->tag("clicks", {{"k", "v"}}).has_value());
        w.put("clicks", {.data = std::string("\0z\xff", 3), .partition_key = "a"});
        REQUIRE(w.s->split("clicks", second, max_key, w.now).has_value());
        iterator = w.at("clicks", first);
        last = w.put("clicks", {.data = "second", .partition_key = "a"}).sequence_number;
    }
    {
        world w(file);
        const auto page = w.read(iterator);
        REQUIRE(page.records.size() == 2);
        CHECK(page.records[0].data == std::string("\0z\xff", 3));
        CHECK(page.records[0].partition_key == "a");
        CHECK(w.s->describe("clicks").value().open_shards == 3);
        CHECK(w.s->shards("clicks", {}, 10, w.now).value().shards.at(3).parent_id == second);
        CHECK(w.s->tags("clicks").value() == stream_tags{{"k", "v"}});
        CHECK(w.put("clicks", {.data = "third", .partition_key = "a"}).sequence_number > last);
    }
    {
        world w(file);  // what was rolled back never was
        w.put("clicks", {.data = "fourth", .partition_key = "a"});
        w.create("fleeting");
        REQUIRE(w.s->split("clicks", first, "7", w.now).has_value());
        w.s->roll_back();
        REQUIRE(w.s->begin().has_value());
        refused(w.s->describe("fleeting"), stream_errc::resource_not_found);
        CHECK(w.s->describe("clicks").value().open_shards == 3);
        CHECK(w.read(iterator).records.size() == 3);
    }
    change(file, "PRAGMA user_version = 99");
    const auto newer = store::open(file, here);
    REQUIRE(newer.has_error());
    CHECK_THAT(newer.error().message(), Catch::Contains("newer Hearth"));
    std::ofstream(dir.path() / "other.db") << "no database at all, whatever its name says";
    CHECK(store::open(dir.path() / "other.db", here).error() == errc::storage_failed);
}

TEST_CASE("a database of before there were notes keeps its places") {
    const temporary_directory dir;
    const auto file = dir.path() / "streams.db";
    std::string last;
    {
        world w(file);
        w.create("clicks");
        last = w.put("clicks", {.data = "1", .partition_key = "a"}).sequence_number;
        REQUIRE(w.s->checkpoint("clicks", "c", first, last).has_value());
    }
    change(file,
           "ALTER TABLE places DROP COLUMN note; DROP TABLE consumers;"
           " PRAGMA user_version = 2");
    world w(file);
    const auto place = w.s->consumer_shards("clicks", "c", w.now).value().at(0);
    CHECK(place.last == last);
    CHECK(place.note.empty());
    REQUIRE(w.s->checkpoint("clicks", "c", first, last, "note").has_value());
    CHECK(w.s->consumer_shards("clicks", "c", w.now).value().at(0).note == "note");
}

TEST_CASE("a database of before consumers were registered has room for them") {
    const temporary_directory dir;
    const auto file = dir.path() / "streams.db";
    std::string last;
    {
        world w(file);
        w.create("clicks");
        last = w.put("clicks", {.data = "1", .partition_key = "a"}).sequence_number;
        REQUIRE(w.s->checkpoint("clicks", "c", first, last, "note").has_value());
    }
    change(file, "DROP TABLE consumers; PRAGMA user_version = 3");
    std::string arn;
    {
        world w(file);
        CHECK(w.s->consumer_shards("clicks", "c", w.now).value().at(0).note == "note");
        CHECK(w.data("clicks", first) == strings{"1"});
        arn = w.s->register_consumer("clicks", "c", w.now).value().arn;
    }
    world again(file);
    CHECK(again.s->find_consumer(arn).value().name == "c");
}
