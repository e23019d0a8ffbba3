// The storage in SQLite: its files, its schemas, its records.

#include "control/storage.hpp"

#include "control/record_json.hpp"
#include "damaged_database.hpp"
#include "small_files.hpp"
#include "storage_samples.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

using hearth::errc;
using hearth::control::open_sqlite_storage;
using hearth::control::stored_function;
using hearth::test::execute_sql;
using hearth::test::hex;
using hearth::test::sample;
using hearth::test::small_files;
using hearth::test::temporary_directory;
namespace fs = std::filesystem;

namespace {

void check_storage_failure(const fs::path& directory, const char* why) {
    auto opened = open_sqlite_storage(directory);
    REQUIRE(opened.has_error());
    CHECK(opened.error() == errc::storage_failed);
    CHECK_THAT(opened.error().message(), Catch::Contains(why));
}

}  // namespace

TEST_CASE("a record read back is the record written") {
    stored_function f = sample("f", "zip");
    CHECK(hearth::control::from_json(to_json(f)).value() == f);
    f.latest.update = f.latest.current;
    f.latest.update->settings.handler = "other";
    f.latest.update->last_update = hearth::update_status::in_progress;
    CHECK(hearth::control::from_json(to_json(f)).value() == f);
    for (const char* bad : {"", "{}", "[]", R"({"current":{"state":9},"tags":{}})",
                            R"({"current":{"role":1},"tags":{}})",
                            R"({"current":{},"aliases":[1]})", R"({"current":{},"last_version":-1})"})
        CHECK(hearth::control::from_json(bad).error() == errc::storage_failed);
}



TEST_CASE("a data directory of every older schema is taken over with all it holds") {
    // What each Hearth has added to the one before, and a record of it as it was then.
    constexpr const char* function =
        R"({"current":{"function_name":"old","version":"$LATEST","handler":"h","state":1},"tags":{"t":"v"}})";
    const std::string added[] = {
        std::string("CREATE TABLE functions (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;"
                    "INSERT INTO functions VALUES ('old', '") +
            function + "');",
        "CREATE TABLE versions (name TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL,"
        " PRIMARY KEY (name, version)) STRICT;"
        R"(INSERT INTO versions VALUES ('old', 3, '{"function_name":"old","version":"3","state":1}');)",
        "CREATE TABLE layers (name TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL,"
        " PRIMARY KEY (name, version)) STRICT;"
        "CREATE TABLE code_signing (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;"
        R"(INSERT INTO layers VALUES ('l', 2, '{"layer":{"name":"l","version":2}}');)"
        R"(INSERT INTO code_signing VALUES ('c', '{"id":"c"}');)",
        "CREATE TABLE rules (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;"
        R"(INSERT INTO rules VALUES ('r', '{"name":"r"}');)",
        "CREATE TABLE apis (id TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;"
        R"(INSERT INTO apis VALUES ('a', '{"id":"a"}');)",
    };
    for (std::size_t schema = 1; schema <= std::size(added); ++schema) {
        CAPTURE(schema);
        const temporary_directory dir;
        std::string sql = "PRAGMA journal_mode = WAL; PRAGMA application_id = 1215460424;"
                          "PRAGMA user_version = " + std::to_string(schema) + ";";
        for (std::size_t i = 0; i < schema; ++i) sql += added[i];
        execute_sql(dir.path() / "hearth.db", sql.c_str());
        for (int opened = 0; opened < 2; ++opened) {
            auto s = open_sqlite_storage(dir.path()).value();
            const auto loaded = s->load().value();
            REQUIRE(loaded.size() == 1);
            CHECK(loaded[0].function.latest.current.settings.handler == "h");
            CHECK(loaded[0].function.attributes.tags.at("t") == "v");
            CHECK(loaded[0].function.attributes.last_version == 0);
            const std::size_t is_later = opened;  // then all that is new has been put
            CHECK(loaded[0].versions.size() == (schema >= 2) + is_later);
            CHECK(s->load_layers().value().size() == (schema >= 3) + is_later);
            CHECK(s->load_code_signing().value().size() == (schema >= 3) + is_later);
            CHECK(s->load_rules().value().size() == (schema >= 4) + is_later);
            CHECK(s->load_apis().value().size() == (schema >= 5) + is_later);
            CHECK(s->load_documents("kind").value().size() == is_later);
            auto c = loaded[0].function.latest.current;
            c.version = "9";
            REQUIRE(s->put_version(c).has_value());
            REQUIRE(s->put_layer({.layer = {.name = "new", .version = 1}, .policy = {}}).has_value());
            REQUIRE(s->put_code_signing({.id = "new"}).has_value());
            REQUIRE(s->put_rule({.name = "new"}).has_value());
            REQUIRE(s->put_api({.id = "new"}).has_value());
            REQUIRE(s->put_document("kind", "new", "{}").has_value());
        }
    }
}

TEST_CASE("a migration that fails leaves the old database as it was") {
    const temporary_directory dir;
    // A table that a later step makes is there already.
    execute_sql(dir.path() / "hearth.db",
                "PRAGMA application_id = 1215460424; PRAGMA user_version = 1;"
                "CREATE TABLE functions (name TEXT PRIMARY KEY, document TEXT NOT NULL) STRICT;"
                "CREATE TABLE apis (x)");
    check_storage_failure(dir.path(), "hearth.db");
    execute_sql(dir.path() / "hearth.db", "DROP TABLE apis");
    execute_sql(dir.path() / "hearth.db",
                "CREATE TABLE versions (x); DROP TABLE versions");  // it was not left behind
    CHECK(open_sqlite_storage(dir.path()).value()->load().has_value());
}

TEST_CASE("a database that another program made is left alone") {
    const temporary_directory dir;
    execute_sql(dir.path() / "hearth.db", "CREATE TABLE t (x)");
    check_storage_failure(dir.path(), "is not Hearth's database of functions");
}

TEST_CASE("a document of an API that is none is an error") {
    for (const char* bad : {"", "[]", R"({"id":1})", R"({"routes":[]})"})
        CHECK(hearth::control::api_from_json(bad).error() == errc::storage_failed);
}

TEST_CASE("what a crash left in the packages is swept at the next start") {
    const temporary_directory dir;
    {
        auto s = open_sqlite_storage(dir.path()).value();
        REQUIRE(s->put_package(hex("kept"), "kept").has_value());
        REQUIRE(s->put(sample("f", "kept")).has_value());
        REQUIRE(s->put_package(hex("orphan"), "orphan").has_value());
    }
    std::ofstream(dir.path() / "packages" / (hex("half") + ".zip.new")) << "ha";
    auto s = open_sqlite_storage(dir.path()).value();
    REQUIRE(s->load().has_value());
    CHECK(std::distance(fs::directory_iterator(dir.path() / "packages"),
                        fs::directory_iterator()) == 1);
    CHECK(s->get_package(hex("kept")).value() == "kept");
}

TEST_CASE("a package that changed on disk is not handed out, and mended by its coming again") {
    const temporary_directory dir;
    auto s = open_sqlite_storage(dir.path()).value();
    REQUIRE(s->put_package(hex("good"), "good").has_value());
    std::ofstream(dir.path() / "packages" / (hex("good") + ".zip")) << "evil";
    auto r = s->get_package(hex("good"));
    REQUIRE(r.has_error());
    CHECK_THAT(r.error().message(), Catch::Contains("damaged"));
    REQUIRE(s->put_package(hex("good"), "good").has_value());
    CHECK(s->get_package(hex("good")).value() == "good");
}

TEST_CASE("a package that cannot be written leaves nothing behind") {
    const temporary_directory dir;
    auto s = open_sqlite_storage(dir.path()).value();
    const std::string package(8192, 'p');
    {
        const small_files limit(4096);
        CHECK_THAT(s->put_package(hex(package), package).error().message(),
                   Catch::Contains(".zip.new") && Catch::Contains("File too large"));
    }
    CHECK(fs::is_empty(dir.path() / "packages"));
    REQUIRE(s->put_package(hex(package), package).has_value());
    CHECK(s->get_package(hex(package)).value() == package);
}

TEST_CASE("two servers on one data directory: the second is told") {
    const temporary_directory dir;
    auto first = open_sqlite_storage(dir.path()).value();
    check_storage_failure(dir.path(), "in use by another Hearth");
    first.reset();
    CHECK(open_sqlite_storage(dir.path()).has_value());
}



TEST_CASE("a data directory that cannot be made or written says which and why") {
    check_storage_failure("/proc/no/such", "/proc/no/such");
    const temporary_directory dir;
    std::ofstream(dir.path() / "file") << "x";
    check_storage_failure(dir.path() / "file" / "data", "cannot be created");
    if (::geteuid() != 0) {  // root may write anywhere
        fs::permissions(dir.path(), fs::perms(0500));
        check_storage_failure(dir.path(), "data directory");
        fs::permissions(dir.path(), fs::perms(0700));
    }
}
