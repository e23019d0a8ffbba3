// What becomes of functions, of events and of what is kept of watched files when their databases
// are damaged.

#include "control/event_store.hpp"
#include "control/object_states.hpp"
#include "control/storage.hpp"
#include "damaged_database.hpp"

#include <string>

using namespace hearth;
using namespace hearth::control;
using hearth::test::lost_pages;
using hearth::test::temporary_directory;
namespace fs = std::filesystem;

namespace {

constexpr event_time due_time{std::chrono::milliseconds(1'700'000'000'000)};

/// A transaction each.
std::shared_ptr<storage> with_documents(const fs::path& directory, int count) {
    std::shared_ptr<storage> s = open_sqlite_storage(directory).value();
    for (int i = 0; i < count; ++i)
        REQUIRE(s->put_document("kind", std::to_string(i), std::string(3000, 'x')).has_value());
    return s;
}

std::shared_ptr<event_store> with_events(const fs::path& directory, int transactions, int each) {
    std::shared_ptr<event_store> s = open_sqlite_events(directory).value();
    for (int i = 0; i < transactions; ++i) {
        event_change c;
        for (int k = 0; k < each; ++k) {
            const std::string id = std::to_string(i * each + k);
            c.add.push_back({.lane = "f",
                             .request_id = id,
                             .payload = std::string(1500, 'x'),
                             .due = due_time});
        }
        const event_change* one[] = {&c};
        REQUIRE(s->apply(one).has_value());
    }
    return s;
}

result<std::vector<queued_event>> read_events(event_store& s) {
    auto read = s.read("f", due_time, SIZE_MAX, SIZE_MAX, {});
    if (read.has_error()) return read.error();
    return std::move(read->events);
}

/// Of a call that has one, or of nothing.
template <class T>
result<void> outcome_of(const result<T>& r) {
    if (r.has_error()) return r.error();
    return {};
}

}  // namespace

TEST_CASE("a damaged database of functions is an error that says which, how and what helps") {
    hearth::test::tell_of_damage({.file = "hearth.db",
                                  .filled = [](const fs::path& d) -> std::shared_ptr<void> {
                                      return with_documents(d, 110);
                                  },
                                  .open = [](const fs::path& d) -> result<void> {
                                      const auto s = open_sqlite_storage(d);
                                      return s.has_error()
                                                 ? outcome_of(s)
                                                 : outcome_of((*s)->load_documents("kind"));
                                  }});
}

TEST_CASE("a damaged database of events is an error that says which, how and what helps") {
    hearth::test::tell_of_damage({.file = "events.db",
                                  .filled = [](const fs::path& d) -> std::shared_ptr<void> {
                                      return with_events(d, 110, 2);
                                  },
                                  .open = [](const fs::path& d) -> result<void> {
                                      const auto s = open_sqlite_events(d);
                                      return s.has_error() ? outcome_of(s)
                                                           : outcome_of(read_events(**s));
                                  }});
}

TEST_CASE("a damaged database of watched files is an error that says which, how and what helps") {
    hearth::test::tell_of_damage(
        {.file = "watches.db",
         .filled = [](const fs::path& d) -> std::shared_ptr<void> {
             std::shared_ptr<object_states> s = object_states::open(d / "watches.db").value();
             for (int i = 0; i < 220; ++i)
                 REQUIRE(s->put("w", std::to_string(i) + std::string(500, 'x'), {}).has_value());
             return s;
         },
         .open = [](const fs::path& d) -> result<void> {
             const auto s = object_states::open(d / "watches.db");
             return s.has_error() ? outcome_of(s) : outcome_of((*s)->keys("w", "", 1000));
         }});
}

TEST_CASE("functions whose pages are lost while they are used say so, and lose no other") {
    const temporary_directory dir;
    (void)with_documents(dir.path(), 0);
    hearth::test::execute_sql(
        dir.path() / "hearth.db",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
        " INSERT INTO documents SELECT 'kind', i, hex(zeroblob(1500)) FROM n");
    auto s = open_sqlite_storage(dir.path()).value();
    lost_pages lost(dir.path() / "hearth.db");
    for (int i = 0; i < 2; ++i)
        hearth::test::tells_of_lost_pages(s->load_documents("kind"), "hearth.db");
    s.reset();
    lost.find_again();
    s = open_sqlite_storage(dir.path()).value();
    CHECK(s->load_documents("kind").value().size() == 1500);
}

TEST_CASE("events whose pages are lost while they wait say so, and none is gone after") {
    const temporary_directory dir;
    (void)with_events(dir.path(), 1, 4000);
    auto s = open_sqlite_events(dir.path()).value();
    lost_pages lost(dir.path() / "events.db");
    for (int i = 0; i < 2; ++i) hearth::test::tells_of_lost_pages(read_events(*s), "events.db");
    hearth::test::tells_of_lost_pages(s->lanes(), "events.db");
    event_change all;
    all.drop_function = "f";
    const event_change* one[] = {&all};
    hearth::test::tells_of_lost_pages(s->apply(one), "events.db");
    CHECK(s->size() == 4000);
    s.reset();
    lost.find_again();
    s = open_sqlite_events(dir.path()).value();
    CHECK(s->size() == 4000);
    CHECK(read_events(*s).value().size() == 4000);
    CHECK(s->apply(one).has_value());
    CHECK(s->size() == 0);
}

TEST_CASE("a record that is none is an error that names its database") {
    const temporary_directory dir;
    (void)with_documents(dir.path(), 1);
    hearth::test::execute_sql(dir.path() / "hearth.db", "INSERT INTO functions VALUES ('f', '{')");
    const auto s = open_sqlite_storage(dir.path()).value();
    const auto loaded = s->load();
    REQUIRE(loaded.has_error());
    CHECK_THAT(loaded.error().message(),
               Catch::Contains("hearth.db is damaged: a stored function") &&
                   Catch::Contains("; restore it from a copy"));
}

TEST_CASE("packages outlive the database that names them, for whoever finds a copy of it") {
    const temporary_directory dir;
    const std::string zip = "zip", name(64, 'a');
    REQUIRE(open_sqlite_storage(dir.path()).value()->load().has_value());
    std::ofstream(dir.path() / "packages" / (name + ".zip")) << zip;
    fs::remove(dir.path() / "hearth.db");
    REQUIRE(open_sqlite_storage(dir.path()).value()->load().has_value());
    CHECK(fs::exists(dir.path() / "packages" / (name + ".zip")));
}
