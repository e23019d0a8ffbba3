// The streams' thread: reads that wait, group commit, the disk's trouble, and what a killed process
// leaves.

#include "killed_process.hpp"
#include "stream/service.hpp"
#include "temporary_directory.hpp"

#include <hearth/data_stream.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>
#include <sqlite3.h>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <map>
#include <mutex>
#include <set>
#include <thread>

using namespace hearth;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using hearth::test::run_until_killed;
using hearth::test::temporary_directory;

namespace {

const std::string only_shard = "shardId-000000000000";
using kind = shard_position::kind;

struct service {
    explicit service(const std::filesystem::path& file = {})
        : body(streams::open_service(file, {"us-east-1", "000000000000"}, wall_now).value()) {}
    ~service() { body->stop(); }
    std::shared_ptr<stream_service::impl> body;
    stream_service streams{body};
};

/// A read under way.
std::future<record_page> start(stream_service& s,
                               const std::string& iterator,
                               stream_read_options o = {.wait = 60s}) {
    auto promise = std::make_shared<std::promise<record_page>>();
    s.async_read(iterator, o, [promise](const error& failed, record_page page) {
        if (failed.code())
            promise->set_exception(std::make_exception_ptr(
                boost::system::system_error(failed.code(), failed.message())));
        else
            promise->set_value(std::move(page));
    });
    return promise->get_future();
}

void execute(const std::filesystem::path& file, const char* sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(file.c_str(), &db) == SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    CHECK(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
}

}  // namespace

TEST_CASE("a read that waits ends with the first record of its shard") {
    service s;
    data_stream clicks = s.streams.create("clicks", {.shards = 2}).value();
    // md5("a") begins with 0c, md5("b") with 92.
    const std::string at = clicks.iterator(only_shard, {.from = kind::latest}).value();
    const std::string other = clicks.iterator("shardId-000000000001").value();
    auto one = start(s.streams, at), two = start(s.streams, at), three = start(s.streams, other);
    // A call of its own: what comes after it comes after the reads.
    REQUIRE(s.streams.find("clicks").has_value());
    CHECK(one.wait_for(0s) == std::future_status::timeout);
    clicks.put({.data = "x", .partition_key = "a"}).value();
    const auto page = one.get();
    CHECK(page.records.at(0).data == "x");
    CHECK(two.get().records.at(0).data == "x");
    CHECK(three.wait_for(0s) == std::future_status::timeout);
    auto next = start(s.streams, page.next_iterator);
    clicks.put_batch({{.data = "y", .partition_key = "a"}, {.data = "z", .partition_key = "b"}})
        .value();
    CHECK(next.get().records.at(0).data == "y");
    CHECK(three.get().records.at(0).data == "z");
    const auto from = std::chrono::steady_clock::now();
    CHECK(clicks.read(clicks.iterator(only_shard, {.from = kind::latest}).value(), {.wait = 50ms})
              .value()
              .records.empty());
    CHECK(std::chrono::steady_clock::now() - from >= 50ms);
}

TEST_CASE("a read that waits hears of the end of its shard and of its stream") {
    service s;
    data_stream clicks = s.streams.create("clicks", {.shards = 1}).value();
    auto split = start(s.streams, clicks.iterator(only_shard).value());
    REQUIRE(s.streams.split("clicks", only_shard, "7").has_value());
    const auto page = split.get();
    CHECK(page.next_iterator.empty());
    CHECK(page.children.size() == 2);
    CHECK(clicks.shards().value().size() == 3);
    auto lost = start(s.streams, clicks.iterator(page.children.at(0).id).value());
    REQUIRE(s.streams.remove("clicks").has_value());
    CHECK_THROWS_AS(lost.get(), boost::system::system_error);
    CHECK(clicks.put({.data = "x", .partition_key = "a"}).error().code() ==
          stream_errc::resource_not_found);
}

TEST_CASE("a read as a registered consumer ends when that is registered no longer") {
    service s;
    data_stream clicks = s.streams.create("clicks", {.shards = 1}).value();
    s.streams.create("other", {.shards = 1}).value();
    const std::string arn = s.streams.register_consumer("clicks", "c").value().arn;
    CHECK(s.streams.stream_of_consumer(arn) == "clicks");
    CHECK(s.streams.stream_of_consumer(clicks.arn()).empty());
    clicks.put({.data = "x", .partition_key = "a"}).value();
    const std::string at = clicks.iterator(only_shard).value();
    const auto page = clicks.read(at, {.consumer_arn = arn}).value();
    CHECK(page.records.at(0).data == "x");
    auto waiting = start(s.streams, page.next_iterator, {.wait = 60s, .consumer_arn = arn});
    REQUIRE(s.streams.deregister_consumer("clicks", "c").has_value());
    CHECK_THROWS_WITH(waiting.get(), Catch::Contains("not found"));
    CHECK(clicks.read(at, {.consumer_arn = arn}).error().code() ==
          make_error_code(stream_errc::resource_not_found));
    const std::string others = s.streams.register_consumer("other", "c").value().arn;
    CHECK(clicks.read(at, {.consumer_arn = others}).error().code() ==
          make_error_code(stream_errc::invalid_argument));
}

TEST_CASE("a read that waits is cancelled, and ends with the service") {
    service s;
    data_stream clicks = s.streams.create("clicks", {.shards = 1}).value();
    const std::string at = clicks.iterator(only_shard).value();
    asio::cancellation_signal signal;
    std::promise<record_page> promise;
    s.streams.async_read(
        at, {.wait = 60s},
        asio::bind_cancellation_slot(signal.slot(), [&](const error& failed, record_page page) {
            CHECK(!failed.code());
            promise.set_value(std::move(page));
        }));
    signal.emit(asio::cancellation_type::all);
    const auto page = promise.get_future().get();
    CHECK(page.records.empty());
    CHECK(!page.next_iterator.empty());

    CHECK(clicks.read(at, {.max_records = 0}).error().code() == stream_errc::invalid_argument);
    CHECK(clicks.read(at, {.max_records = 10'001}).error().code() == stream_errc::invalid_argument);
    CHECK(clicks.read(at, {.wait = 6min}).error().code() == stream_errc::invalid_argument);
    CHECK(clicks.read("x").error().code() == stream_errc::invalid_argument);

    auto waiting = start(s.streams, at);
    REQUIRE(s.streams.find("clicks").has_value());
    s.body->stop();
    CHECK_THROWS(waiting.get());
    CHECK(s.streams.find("clicks").error() == errc::shutting_down);
    CHECK(clicks.put({.data = "x", .partition_key = "a"}).error() == errc::shutting_down);
}

TEST_CASE("streams' handlers run on their executor; completion tokens are taken") {
    service s;
    data_stream clicks = s.streams.create("clicks", {.shards = 1}).value();
    asio::io_context io;
    const auto home = std::this_thread::get_id();
    int called = 0;
    clicks.async_read(clicks.iterator(only_shard).value(), {.wait = 60s},
                      asio::bind_executor(io, [&](error_code failed, const record_page& page) {
                          CHECK(!failed);
                          CHECK(page.records.at(0).data == "x");
                          CHECK(std::this_thread::get_id() == home);
                          ++called;
                      }));
    clicks.async_put({.data = "x", .partition_key = "a"},
                     asio::bind_executor(io, [&](error_code failed, const stored_record& r) {
                         CHECK(!failed);
                         CHECK(r.shard_id == only_shard);
                         CHECK(std::this_thread::get_id() == home);
                         ++called;
                     }));
    io.run();
    CHECK(called == 2);
    CHECK_NOTHROW(clicks.async_put({.data = "y", .partition_key = "a"}, asio::use_future).get());
    CHECK_THROWS(clicks.async_read("nonsense", {}, asio::use_future).get());
}

TEST_CASE("many writers, each shard's records in their order, and every reader sees all of them") {
    const temporary_directory dir;
    service s(dir.path() / "streams.db");
    data_stream clicks = s.streams.create("clicks", {.shards = 2}).value();
    constexpr std::size_t writers = 4, each = 50;
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < writers; ++t)
        threads.emplace_back([&, t] {
            for (std::size_t i = 0; i < each; ++i)
                clicks.put({.data = std::to_string(i), .partition_key = std::to_string(t)}).value();
        });
    std::mutex mutex;
    std::size_t seen = 0;
    for (const stream_shard& shard : clicks.shards().value())
        threads.emplace_back([&, id = shard.id] {
            std::map<std::string, std::size_t> next;
            std::string at = clicks.iterator(id).value(), last;
            for (;;) {
                const auto page = clicks.read(at, {.max_records = 7, .wait = 20ms}).value();
                at = page.next_iterator;
                const std::scoped_lock lock(mutex);
                for (const stream_record& r : page.records) {
                    CHECK(r.sequence_number > last);
                    CHECK(r.data == std::to_string(next[r.partition_key]++));
                    last = r.sequence_number;
                    ++seen;
                }
                if (seen == writers * each) return;
            }
        });
    for (auto& t : threads) t.join();
    CHECK(seen == writers * each);
}

TEST_CASE("what the disk refuses is told, takes nothing with it and can be tried again") {
    const temporary_directory dir;
    const auto file = dir.path() / "streams.db";
    service s(file);
    data_stream clicks = s.streams.create("clicks", {.shards = 1}).value();
    const std::string at = clicks.iterator(only_shard).value();
    clicks.put({.data = "before", .partition_key = "a"}).value();
    execute(file,
            "CREATE TRIGGER refuse BEFORE INSERT ON records BEGIN SELECT RAISE(ABORT, 'no room');"
            " END");
    auto waiting = start(
        s.streams, clicks.iterator(only_shard, {.from = shard_position::kind::latest}).value());
    std::vector<std::future<stored_record>> puts;
    for (int i = 0; i < 3; ++i)
        puts.push_back(clicks.async_put({.data = "lost", .partition_key = "a"}, asio::use_future));
    // Others that come with them are served.
    CHECK(s.streams.tag("clicks", {{"k", "v"}}).has_value());
    for (auto& each : puts) CHECK_THROWS_WITH(each.get(), Catch::Contains("data directory"));
    const auto refused = clicks.put({.data = "lost", .partition_key = "a"});
    REQUIRE(refused.has_error());
    CHECK(refused.error() == errc::storage_failed);
    CHECK_THAT(refused.error().message(), Catch::Contains("no room"));
    CHECK(s.streams.tags("clicks").value().size() == 1);
    CHECK(clicks.read(at).value().records.size() == 1);
    execute(file, "DROP TRIGGER refuse");
    clicks.put({.data = "after", .partition_key = "a"}).value();
    CHECK(waiting.get().records.at(0).data == "after");
    CHECK(clicks.read(at).value().records.size() == 2);
}

/// The process that is killed: this program again, told by HEARTH_TEST_STREAMS where its database
/// is. It says on its standard output what it has been promised.
TEST_CASE("puts until it is killed", "[.to-be-killed]") {
    const char* file = std::getenv("HEARTH_TEST_STREAMS");
    REQUIRE(file);
    service s(file);
    if (s.streams.find("clicks").has_error()) s.streams.create("clicks", {.shards = 1}).value();
    data_stream clicks(s.streams, "clicks");
    for (;;) {
        const auto stored = clicks.put({.data = "x", .partition_key = "a"}).value();
        REQUIRE(::write(STDOUT_FILENO, stored.sequence_number.data(), 56) == 56);
    }
}

TEST_CASE("a record that was accepted is there after kill -9, in its place") {
    const temporary_directory dir;
    const auto file = dir.path() / "streams.db";
    ::setenv("HEARTH_TEST_STREAMS", file.c_str(), 1);
    std::vector<std::string> accepted;
    for (int round = 0; round < 3; ++round) {
        run_until_killed<56>(16 + round,
                             [&](std::string_view number) { accepted.emplace_back(number); });
    }
    ::unsetenv("HEARTH_TEST_STREAMS");
    CHECK(accepted.size() >= 3 * 16);
    CHECK(std::ranges::is_sorted(accepted));
    service s(file);
    data_stream clicks = s.streams.find("clicks").value();
    std::set<std::string> there;
    for (const auto& r : clicks.read(clicks.iterator(only_shard).value()).value().records)
        there.insert(r.sequence_number);
    for (const std::string& n : accepted) CHECK(there.contains(n));
    // The last one of a round may have been kept without a word: the kill came between.
    CHECK(there.size() <= accepted.size() + 3);
}
