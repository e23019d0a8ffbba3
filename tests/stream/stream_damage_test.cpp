// What becomes of streams when their database is damaged, or older than this Hearth.

#include "damaged_database.hpp"
#include "stream/store.hpp"

#include <string>

using namespace hearth;
using namespace hearth::streams;
using hearth::test::execute_sql;
using hearth::test::lost_pages;
using hearth::test::temporary_directory;
namespace fs = std::filesystem;

namespace {

const identity owner{"eu-west-1", "123456789012"};
constexpr stream_time moment{std::chrono::milliseconds(1'700'000'000'000)};
const std::string its_shard = "shardId-000000000000";

std::unique_ptr<store> with_records(const fs::path& file, int transactions, int each) {
    auto s = store::open(file, owner).value();
    REQUIRE(s->begin().has_value());
    REQUIRE(s->create("clicks", {.shards = 1}, moment).has_value());
    REQUIRE(s->commit().has_value());
    for (int i = 0; i < transactions; ++i) {
        REQUIRE(s->begin().has_value());
        for (int k = 0; k < each; ++k)
            REQUIRE(s->put_records("clicks",
                                   {{.data = std::string(1500, 'x'), .partition_key = "a"}}, {},
                                   moment)
                        .has_value());
        REQUIRE(s->commit().has_value());
    }
    return s;
}

/// How many there are.
result<std::size_t> read_to_end(store& s) {
    const auto begin = s.iterator("clicks", its_shard, {}, moment);
    if (begin.has_error()) return begin.error();
    std::size_t count = 0;
    for (std::string at = *begin;;) {
        const auto page =
            s.read(store::open_iterator(at, moment).value(), 1000, max_read_bytes, moment);
        if (page.has_error()) return page.error();
        if (page->records.empty()) return count;
        count += page->records.size();
        at = page->next_iterator;
    }
}

}  // namespace

TEST_CASE("a damaged database of streams is an error that says which, how and what helps") {
    hearth::test::tell_of_damage({.file = "streams.db",
                                  .filled = [](const fs::path& d) -> std::shared_ptr<void> {
                                      return with_records(d / "streams.db", 110, 2);
                                  },
                                  .open = [](const fs::path& d) -> result<void> {
                                      const auto s = store::open(d / "streams.db", owner);
                                      if (s.has_error()) return s.error();
                                      const auto read = read_to_end(**s);
                                      if (read.has_error()) return read.error();
                                      return {};
                                  }});
}

TEST_CASE("streams whose pages are lost while they are used say so, and lose no other") {
    const temporary_directory dir;
    const fs::path file = dir.path() / "streams.db";
    (void)with_records(file, 1, 4000);
    auto s = store::open(file, owner).value();
    lost_pages lost(file);
    for (int i = 0; i < 2; ++i) hearth::test::tells_of_lost_pages(read_to_end(*s), "streams.db");
    s.reset();
    lost.find_again();
    s = store::open(file, owner).value();
    CHECK(read_to_end(*s).value() == 4000);
}

TEST_CASE("a stream without a shard for every key is damaged, and puts no record nowhere") {
    const temporary_directory dir;
    const fs::path file = dir.path() / "streams.db";
    (void)with_records(file, 1, 1);
    execute_sql(file, "DELETE FROM shards");
    const auto s = store::open(file, owner).value();
    REQUIRE(s->begin().has_value());
    const auto put = s->put_records("clicks", {{.data = "x", .partition_key = "a"}}, {}, moment);
    REQUIRE(put.has_error());
    CHECK(put.error() == errc::storage_failed);
    CHECK_THAT(put.error().message(), Catch::Contains("streams.db is damaged") &&
                                          Catch::Contains("of the stream clicks a shard"));
}

TEST_CASE("streams of schema 1 are taken over with their records, and have consumers") {
    const temporary_directory dir;
    const fs::path file = dir.path() / "streams.db";
    // As the first Hearth with streams made it: no places of consumers.
    execute_sql(file, R"(
        PRAGMA journal_mode = WAL;
        CREATE TABLE streams (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
            created INTEGER NOT NULL, retention_hours INTEGER NOT NULL, on_demand INTEGER NOT NULL) STRICT;
        CREATE TABLE shards (id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL,
            number INTEGER NOT NULL, parent INTEGER, adjacent_parent INTEGER,
            first_key TEXT NOT NULL, last_key TEXT NOT NULL, opened INTEGER NOT NULL, closed INTEGER,
            first_sequence INTEGER NOT NULL, last_sequence INTEGER, UNIQUE (stream, number)) STRICT;
        CREATE TABLE records (id INTEGER PRIMARY KEY AUTOINCREMENT, shard INTEGER NOT NULL,
            arrived INTEGER NOT NULL, key TEXT NOT NULL, data BLOB NOT NULL) STRICT;
        CREATE INDEX records_order ON records (shard);
        CREATE INDEX records_age ON records (shard, arrived);
        CREATE TABLE tags (stream INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (stream, key)) STRICT, WITHOUT ROWID;
        INSERT INTO streams VALUES (3, 'clicks', 1700000000000, 24, 0);
        INSERT INTO shards VALUES (7, 3, 0, NULL, NULL, '00000000000000000000000000000000',
            'ffffffffffffffffffffffffffffffff', 1700000000000, NULL, 1, NULL);
        INSERT INTO records VALUES (2, 7, 1700000000000, 'a', x'6f6e65'), (3, 7, 1700000000000, 'b', x'74776f');
        INSERT INTO tags VALUES (3, 'team', 'x');
        PRAGMA application_id = 1215460435;
        PRAGMA user_version = 1)");
    std::string last;
    for (int opened = 0; opened < 2; ++opened) {
        CAPTURE(opened);
        const auto s = store::open(file, owner).value();
        REQUIRE(s->begin().has_value());
        CHECK(s->tags("clicks").value() == stream_tags{{"team", "x"}});
        CHECK(s->describe("clicks").value().open_shards == 1);
        const auto read = [&](const std::string& at) {
            return s->read(store::open_iterator(at, moment).value(), 10, max_read_bytes, moment)
                .value();
        };
        const auto page = read(s->iterator("clicks", its_shard, {}, moment).value());
        REQUIRE(page.records.size() == 2);
        CHECK(page.records[0].data == "one");
        if (opened == 0) {
            REQUIRE(s->start_consumer("clicks", "c", {}, moment).has_value());
            REQUIRE(s->checkpoint("clicks", "c", its_shard, page.records[0].sequence_number)
                        .has_value());
        }
        const auto places = s->consumer_shards("clicks", "c", moment).value();
        REQUIRE(places.size() == 1);
        CHECK(read(places[0].iterator).records.at(0).data == "two");
        REQUIRE(s->commit().has_value());
    }
}
