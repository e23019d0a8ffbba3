#include "control/storage.hpp"

#include "control/record_json.hpp"
#include "image/sha256.hpp"
#include "temporary_directory.hpp"

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

using hearth::errc;
using hearth::control::open_sqlite_storage;
using hearth::control::stored_function;
using hearth::control::stored_layer;
using hearth::test::temporary_directory;
namespace fs = std::filesystem;
using namespace hearth::literals;

namespace {

stored_function sample(const std::string& name, const std::string& package) {
    stored_function f;
    auto& c = f.latest.current;
    c.function_name = name;
    c.function_arn = "arn:aws:lambda:us-east-1:000000000000:function:" + name;
    c.settings.role = "arn:aws:iam::000000000000:role/r";
    c.settings.handler = "h";
    c.settings.description = "d \"quoted\" \xC3\xBC";
    c.settings.timeout = std::chrono::milliseconds(1500);
    c.settings.memory = 256_MiB;
    c.settings.environment = {{"A1", "x"}, {"B1", ""}};
    c.settings.vpc.subnet_ids = {"subnet-1"};
    c.settings.file_systems = {{"arn:aws:x", "/mnt/a"}};
    c.settings.logging = {"JSON", "INFO", "WARN", "group"};
    c.settings.tenant_isolation = "PER_TENANT";
    c.code_sha256 = hearth::image::to_base64(hearth::image::sha256_of(package));
    c.code_size = package.size();
    c.state = hearth::function_state::active;
    c.last_update = hearth::update_status::failed;
    c.last_update_reason = "why";
    f.attributes.tags = {{"team", "a"}};
    return f;
}

std::string hex(const std::string& package) {
    return hearth::image::to_hex(hearth::image::sha256_of(package));
}

void sql(const fs::path& database, const char* text) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(database.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, text, nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(db);
}

/// While it lives, this process writes no file beyond so many bytes.
class small_files {
  public:
    explicit small_files(rlim_t bytes) : signal_(std::signal(SIGXFSZ, SIG_IGN)) {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit now{bytes, before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &now) == 0);
    }
    ~small_files() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, signal_);
    }
    small_files(const small_files&) = delete;
    small_files& operator=(const small_files&) = delete;

  private:
    void (*signal_)(int);
    rlimit before_{};
};

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

TEST_CASE("functions and packages outlive the storage object") {
    const temporary_directory dir;
    {
        auto s = open_sqlite_storage(dir.path() / "data").value();
        CHECK(s->load().value().empty());
        REQUIRE(s->put_package(hex("zip-a"), "zip-a").has_value());
        REQUIRE(s->put_package(hex("zip-b"), "zip-b").has_value());
        REQUIRE(s->put(sample("b", "zip-b")).has_value());
        REQUIRE(s->put(sample("a", "zip-old")).has_value());
        REQUIRE(s->put(sample("a", "zip-a")).has_value());  // replaces
        REQUIRE(s->put(sample("c", "zip-c")).has_value());
        REQUIRE(s->remove("c").has_value());
        REQUIRE(s->remove("never there").has_value());
    }
    auto s = open_sqlite_storage(dir.path() / "data").value();
    const auto functions = s->load().value();
    REQUIRE(functions.size() == 2);
    CHECK(functions[0].function == sample("a", "zip-a"));
    CHECK(functions[1].function == sample("b", "zip-b"));
    CHECK(s->get_package(hex("zip-a")).value() == "zip-a");
    REQUIRE(s->remove_package(hex("zip-a")).has_value());
    CHECK(s->get_package(hex("zip-a")).error() == errc::storage_failed);
}

TEST_CASE("published versions are stored beside their function and go with it") {
    const temporary_directory dir;
    const auto version = [](const std::string& name, const std::string& number) {
        auto c = sample(name, "zip-" + number).latest.current;
        c.version = number;
        return c;
    };
    {
        auto s = open_sqlite_storage(dir.path()).value();
        for (const char* name : {"a", "b"}) REQUIRE(s->put(sample(name, "zip")).has_value());
        auto f = sample("a", "zip");
        f.attributes.last_version = 10;
        f.attributes.aliases["live"] = {.alias_arn = "arn", .name = "live", .function_version = "2",
                                        .description = "d",
                                        .additional_version_weights = {{"10", 0.125}},
                                        .revision_id = "r"};
        REQUIRE(s->put_both(f, version("a", "2")).has_value());
        REQUIRE(s->put_version(version("a", "10")).has_value());
        REQUIRE(s->put_version(version("a", "3")).has_value());
        REQUIRE(s->put_version(version("b", "1")).has_value());
        REQUIRE(s->remove_version("a", 3).has_value());
        REQUIRE(s->remove_version("a", 99).has_value());
        REQUIRE(s->put_package(hex("zip-10"), "zip-10").has_value());
        REQUIRE(s->remove("b").has_value());
        CHECK(s->load().value().at(0).function == f);
    }
    auto s = open_sqlite_storage(dir.path()).value();
    const auto loaded = s->load().value();
    REQUIRE(loaded.size() == 1);
    REQUIRE(loaded[0].versions.size() == 2);
    CHECK(loaded[0].versions.at(2) == version("a", "2"));
    CHECK(loaded[0].versions.at(10) == version("a", "10"));
    CHECK(s->get_package(hex("zip-10")).has_value());  // a version uses it
}

TEST_CASE("a data directory of schema 1 is taken over with all it holds") {
    const temporary_directory dir;
    { (void)open_sqlite_storage(dir.path()).value(); }
    // As the first Hearth left it: no versions, records without what came later.
    sql(dir.path() / "hearth.db",
        "DROP TABLE versions; DROP TABLE layers; DROP TABLE code_signing; DROP TABLE rules;"
        "DROP TABLE apis; DROP TABLE documents;"
        "PRAGMA user_version = 1;"
        "INSERT INTO functions VALUES ('old', '{\"current\":{\"function_name\":\"old\","
        "\"version\":\"$LATEST\",\"handler\":\"h\",\"state\":1},\"tags\":{\"t\":\"v\"}}')");
    auto s = open_sqlite_storage(dir.path()).value();
    const auto loaded = s->load().value();
    REQUIRE(loaded.size() == 1);
    CHECK(loaded[0].function.latest.current.settings.handler == "h");
    CHECK(loaded[0].function.attributes.tags.at("t") == "v");
    CHECK(loaded[0].function.attributes.last_version == 0);
    auto c = loaded[0].function.latest.current;
    c.version = "1";
    CHECK(s->put_version(c).has_value());
}

TEST_CASE("a data directory of schema 2 learns of layers, code signing, rules and documents") {
    const temporary_directory dir;
    {
        auto s = open_sqlite_storage(dir.path()).value();
        REQUIRE(s->put(sample("f", "zip")).has_value());
    }
    sql(dir.path() / "hearth.db",
        "DROP TABLE layers; DROP TABLE code_signing; DROP TABLE rules; DROP TABLE apis;"
        "DROP TABLE documents; PRAGMA user_version = 2");
    auto s = open_sqlite_storage(dir.path()).value();
    CHECK(s->load().value().size() == 1);
    CHECK(s->load_layers().value().empty());
    CHECK(s->put_layer({}).has_value());
    CHECK(s->load_code_signing().value().empty());
    CHECK(s->put_rule({.name = "r"}).has_value());
    CHECK(s->put_document("kind", "id", "{}").has_value());
}

TEST_CASE("documents are kept by kind and id") {
    const temporary_directory dir;
    {
        auto s = open_sqlite_storage(dir.path()).value();
        REQUIRE(s->put_document("a", "2", "two").has_value());
        REQUIRE(s->put_document("a", "1", "old").has_value());
        REQUIRE(s->put_document("a", "1", "one").has_value());  // replaces
        REQUIRE(s->put_document("b", "1", "of another kind").has_value());
        REQUIRE(s->put_document("a", "3", "three").has_value());
        REQUIRE(s->remove_document("a", "3").has_value());
        REQUIRE(s->remove_document("a", "never").has_value());
    }
    auto s = open_sqlite_storage(dir.path()).value();
    CHECK(s->load_documents("a").value() == std::vector<std::string>{"one", "two"});
    CHECK(s->load_documents("b").value().size() == 1);
    CHECK(s->load_documents("c").value().empty());
}

TEST_CASE("a data directory of schema 4 keeps its rules and learns of APIs") {
    const temporary_directory dir;
    {
        auto s = open_sqlite_storage(dir.path()).value();
        REQUIRE(s->put_rule({.name = "r"}).has_value());
    }
    sql(dir.path() / "hearth.db", "DROP TABLE apis; DROP TABLE documents; PRAGMA user_version = 4");
    auto s = open_sqlite_storage(dir.path()).value();
    CHECK(s->load().value().empty());
    CHECK(s->load_rules().value().size() == 1);
    CHECK(s->load_apis().value().empty());
    CHECK(s->put_api({.id = "a"}).has_value());
}

TEST_CASE("HTTP APIs outlive the storage object, replaced and removed by id") {
    const temporary_directory dir;
    hearth::http_api api{.id = "b",
                         .name = "n",
                         .description = "d",
                         .version = "v",
                         .cors = hearth::cors_settings{.allow_origins = {"*"}, .max_age = 3},
                         .created_date = "today",
                         .tags = {{"k", "v"}}};
    api.integrations["i"] = {"i", "uri", "arn", "2.0", "d", 50, true};
    api.routes["r"] = {"r", "GET /", "integrations/i", "op", true};
    api.stages["$default"] = {"$default", "d", {{"a", "b"}}, {{"t", "u"}}, "c", "l", true};
    {
        auto s = open_sqlite_storage(dir.path()).value();
        REQUIRE(s->put_api({.id = "b"}).has_value());
        REQUIRE(s->put_api(api).has_value());
        REQUIRE(s->put_api({.id = "a"}).has_value());
        REQUIRE(s->put_api({.id = "c"}).has_value());
        REQUIRE(s->remove_api("c").has_value());
        REQUIRE(s->remove_api("never there").has_value());
    }
    auto s = open_sqlite_storage(dir.path()).value();
    const auto apis = s->load_apis().value();
    REQUIRE(apis.size() == 2);
    CHECK(apis[0].id == "a");
    CHECK(apis[1] == api);
    for (const char* bad : {"", "[]", R"({"id":1})", R"({"routes":[]})"})
        CHECK(hearth::control::api_from_json(bad).error() == errc::storage_failed);
}

TEST_CASE("layers and code signing configurations outlive the storage object") {
    const temporary_directory dir;
    const auto layer = [](const std::string& name, std::uint64_t version) {
        stored_layer l;
        l.layer = {
            .name = name,
            .version = version,
            .layer_arn = "arn:l",
            .version_arn = "arn:l:1",
            .description = "d",
            .license_info = "MIT",
            .compatible_runtimes = {"java11"},
            .compatible_architectures = {"x86_64"},
            .created_date = "today",
            .code_sha256 = hearth::image::to_base64(hearth::image::sha256_of("layer" + name)),
            .code_size = 1,
            .unzipped_size = 2};
        l.policy = {"r", {{"id", "{}"}}};
        return l;
    };
    const hearth::code_signing_config signing{.id = "b",
                                              .arn = "arn:b",
                                              .description = "d",
                                              .allowed_publishers = {"arn:p"},
                                              .untrusted_artifact_on_deployment = "Enforce",
                                              .last_modified = "today"};
    {
        auto s = open_sqlite_storage(dir.path()).value();
        for (const char* name : {"a", "b"})
            REQUIRE(s->put_package(hex(std::string("layer") + name), std::string("layer") + name)
                        .has_value());
        REQUIRE(s->put_layer(layer("a", 10)).has_value());
        REQUIRE(s->put_layer(layer("a", 9)).has_value());
        REQUIRE(s->put_layer(layer("b", 1)).has_value());
        stored_layer gone;
        gone.layer.name = "b", gone.layer.version = 1, gone.deleted = true;
        REQUIRE(s->put_layer(gone).has_value());  // replaces
        REQUIRE(s->put_layer(layer("c", 1)).has_value());
        REQUIRE(s->remove_layer("c", 1).has_value());
        REQUIRE(s->remove_layer("never", 1).has_value());
        REQUIRE(s->put_code_signing(signing).has_value());
        REQUIRE(s->put_code_signing({.id = "c"}).has_value());
        REQUIRE(s->remove_code_signing("c").has_value());
    }
    auto s = open_sqlite_storage(dir.path()).value();
    REQUIRE(s->load().has_value());
    const auto layers = s->load_layers().value();
    REQUIRE(layers.size() == 3);
    CHECK(layers[0] == layer("a", 9));
    CHECK(layers[1] == layer("a", 10));
    CHECK(layers[2].deleted);
    CHECK(s->get_package(hex("layera")).has_value());  // a layer's
    CHECK(s->get_package(hex("layerb")).has_error());  // nobody's: swept
    CHECK(s->load_code_signing().value() == std::vector{signing});
}

TEST_CASE("a package that is a function's layer is kept, though the layer is gone") {
    const temporary_directory dir;
    {
        auto s = open_sqlite_storage(dir.path()).value();
        REQUIRE(s->put_package(hex("layer"), "layer").has_value());
        auto f = sample("f", "zip");
        f.latest.current.settings.layers = {
            {"arn:l:1", hearth::image::to_base64(hearth::image::sha256_of("layer")), 5, 6}};
        CHECK(hearth::control::from_json(to_json(f)).value() == f);
        REQUIRE(s->put(f).has_value());
    }
    auto s = open_sqlite_storage(dir.path()).value();
    REQUIRE(s->load().has_value());
    CHECK(s->get_package(hex("layer")).has_value());
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

TEST_CASE("a damaged database is an error with its path, not a crash") {
    const temporary_directory dir;
    {
        auto s = open_sqlite_storage(dir.path()).value();
        for (int i = 0; i < 50; ++i)
            REQUIRE(s->put(sample("f" + std::to_string(i), "zip")).has_value());
    }
    const fs::path database = dir.path() / "hearth.db";
    SECTION("not a database at all") {
        std::ofstream(database) << std::string(8192, 'x');
        check_storage_failure(dir.path(), "hearth.db");
    }
    SECTION("pages overwritten") {
        std::fstream file(database, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(4096 + 8);
        file << std::string(4096, '\xFF');
        file.close();
        check_storage_failure(dir.path(), "hearth.db");
    }
    SECTION("a document that is not JSON") {
        sql(database, "UPDATE functions SET document = '{' WHERE name = 'f1'");
        auto s = open_sqlite_storage(dir.path()).value();
        CHECK(s->load().error() == errc::storage_failed);
    }
    SECTION("truncated") {
        fs::resize_file(database, 5000);
        auto s = open_sqlite_storage(dir.path());
        CHECK((s.has_error() || (*s)->load().has_error()));
    }
}

TEST_CASE("a database of a newer Hearth, or of another program, is left alone") {
    const temporary_directory dir;
    (void)open_sqlite_storage(dir.path()).value();
    sql(dir.path() / "hearth.db", "PRAGMA user_version = 99");
    check_storage_failure(dir.path(), "newer Hearth");
    const temporary_directory other;
    sql(other.path() / "hearth.db", "CREATE TABLE t (x)");
    check_storage_failure(other.path(), "not a Hearth database");
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
