// What becomes of queues when their database is damaged.

#include "damaged_database.hpp"
#include "queue/store.hpp"

#include <string>

using namespace hearth;
using namespace hearth::queues;
using hearth::test::lost_pages;
using hearth::test::temporary_directory;
namespace fs = std::filesystem;

namespace {

const queues::identity owner{"eu-west-1", "123456789012"};
constexpr queue_time moment{std::chrono::milliseconds(1'700'000'000'000)};

std::unique_ptr<store> with_messages(const fs::path& file, int transactions, int each) {
    auto s = store::open(file, owner).value();
    REQUIRE(s->begin().has_value());
    REQUIRE(s->create("jobs", {}, {}, moment).has_value());
    REQUIRE(s->commit().has_value());
    for (int i = 0; i < transactions; ++i) {
        REQUIRE(s->begin().has_value());
        for (int k = 0; k < each; ++k)
            REQUIRE(s->send("jobs", {.body = std::string(1500, 'x')}, moment).has_value());
        REQUIRE(s->commit().has_value());
    }
    return s;
}

result<void> read_to_end(store& s) {
    if (auto begun = s.begin(); begun.has_error()) return begun;
    for (;;) {
        const auto got = s.receive("jobs", {.max_messages = 10}, false, moment);
        if (got.has_error()) s.roll_back();
        if (got.has_error()) return got.error();
        if (got->empty()) return s.commit();
    }
}

}  // namespace

TEST_CASE("a damaged database of queues is an error that says which, how and what helps") {
    hearth::test::tell_of_damage({.file = "queues.db",
                                  .filled = [](const fs::path& d) -> std::shared_ptr<void> {
                                      return with_messages(d / "queues.db", 110, 2);
                                  },
                                  .open = [](const fs::path& d) -> result<void> {
                                      const auto s = store::open(d / "queues.db", owner);
                                      if (s.has_error()) return s.error();
                                      return read_to_end(**s);
                                  }});
}

TEST_CASE("queues whose pages are lost while they are used say so, and lose no other") {
    const temporary_directory dir;
    const fs::path file = dir.path() / "queues.db";
    (void)with_messages(file, 1, 4000);
    auto s = store::open(file, owner).value();
    lost_pages lost(file);
    for (int i = 0; i < 2; ++i) hearth::test::tells_of_lost_pages(read_to_end(*s), "queues.db");
    s.reset();
    lost.find_again();
    s = store::open(file, owner).value();
    REQUIRE(s->begin().has_value());
    CHECK(s->attributes("jobs", moment).value()["ApproximateNumberOfMessages"] == "4000");
    REQUIRE(s->commit().has_value());
    CHECK(read_to_end(*s).has_value());
}

TEST_CASE("a queue whose attributes cannot be read is not taken for one of other attributes") {
    const temporary_directory dir;
    const fs::path file = dir.path() / "queues.db";
    (void)with_messages(file, 1, 1);
    hearth::test::execute_sql(file, "UPDATE queues SET attributes = '{'");
    const auto s = store::open(file, owner).value();
    REQUIRE(s->begin().has_value());
    const auto found = s->find("jobs");
    REQUIRE(found.has_error());
    CHECK(found.error() == errc::storage_failed);
    CHECK_THAT(found.error().message(), Catch::Contains("the attributes of the queue jobs") &&
                                            Catch::Contains("queues.db is damaged"));
}
