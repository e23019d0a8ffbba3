// The contract of storages (control/storage.hpp), sentence by sentence, held by every engine.

#include "control/storage.hpp"
#include "small_files.hpp"
#include "storage_samples.hpp"
#include "temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>

using namespace hearth;
using namespace hearth::control;
using hearth::test::hex;
using hearth::test::sample;
using hearth::test::temporary_directory;

namespace {

/// Lives as long as its object: that is as durable as it can be.
struct storage_in_memory {
    std::unique_ptr<storage> engine = open_memory_storage();
    storage& reopen() { return *engine; }
    static constexpr bool can_fail = false;
};

struct storage_in_sqlite {
    temporary_directory dir;
    std::unique_ptr<storage> engine;
    storage& reopen() {
        engine.reset();  // its lock goes with it
        engine = open_sqlite_storage(dir.path() / "data").value();
        return *engine;
    }
    static constexpr bool can_fail = true;
};

function_configuration sample_version(const std::string& name, const std::string& number) {
    auto c = sample(name, "zip-" + number).latest.current;
    c.version = number;
    return c;
}

stored_layer sample_layer(const std::string& name, std::uint64_t number) {
    stored_layer l;
    l.layer = {.name = name,
               .version = number,
               .layer_arn = "arn:l",
               .version_arn = "arn:l:1",
               .description = "d",
               .license_info = "MIT",
               .compatible_runtimes = {"java11"},
               .compatible_architectures = {"x86_64"},
               .created_date = "today",
               .code_sha256 = image::to_base64(image::sha256_of("layer" + name)),
               .code_size = 1,
               .unzipped_size = 2};
    l.policy = {"r", {{"id", "{}"}}};
    return l;
}

http_api sample_api(const std::string& id) {
    http_api a{.id = id,
               .name = "n",
               .description = "d",
               .version = "v",
               .cors = cors_settings{.allow_origins = {"*"}, .max_age = 3},
               .created_date = "today",
               .tags = {{"k", "v"}}};
    a.integrations["i"] = {"i", "uri", "arn", "2.0", "d", 50, true};
    a.routes["r"] = {"r", "GET /", "integrations/i", "op", "g", true};
    a.authorizers["g"] = {"g", "n", "uri", "arn", "2.0", true, {"$context.stage"}, 7};
    a.stages["$default"] = {"$default", "d", {{"a", "b"}}, {{"t", "u"}}, "c", "l", true};
    return a;
}

code_signing_config sample_signing(const std::string& id) {
    return {.id = id,
            .arn = "arn:" + id,
            .description = "d",
            .allowed_publishers = {"arn:p"},
            .untrusted_artifact_on_deployment = "Enforce",
            .last_modified = "today"};
}

event_rule sample_rule(const std::string& name) {
    return {.name = name,
            .arn = "arn:" + name,
            .schedule_expression = "rate(5 minutes)",
            .description = "d",
            .role_arn = "arn:r",
            .enabled = false,
            .since = 7,
            .targets = {{.id = "t", .arn = "arn:t"}},
            .tags = {{"k", "v"}}};
}

}  // namespace

#define FOR_EVERY_STORAGE(SENTENCE) \
    TEMPLATE_TEST_CASE(SENTENCE, "", storage_in_memory, storage_in_sqlite)

FOR_EVERY_STORAGE("a storage: every function is loaded, by name, as it was put last") {
    TestType e;
    storage& s = e.reopen();
    CHECK(s.load().value().empty());
    REQUIRE(s.put(sample("b", "zip-b")).has_value());
    REQUIRE(s.put(sample("a", "zip-old")).has_value());
    REQUIRE(s.put(sample("a", "zip-a")).has_value());
    REQUIRE(s.put(sample("c", "zip-c")).has_value());
    REQUIRE(s.remove("c").has_value());
    REQUIRE(s.remove("never there").has_value());
    const auto functions = e.reopen().load().value();
    REQUIRE(functions.size() == 2);
    CHECK(functions[0].function == sample("a", "zip-a"));
    CHECK(functions[1].function == sample("b", "zip-b"));
    CHECK(functions[0].versions.empty());
}

FOR_EVERY_STORAGE("a storage: published versions are with their function and go with it") {
    TestType e;
    storage& s = e.reopen();
    for (const char* name : {"a", "b"}) REQUIRE(s.put(sample(name, "zip")).has_value());
    auto f = sample("a", "zip");
    f.attributes.last_version = 10;
    f.attributes.aliases["live"] = {.alias_arn = "arn",
                                    .name = "live",
                                    .function_version = "2",
                                    .description = "d",
                                    .additional_version_weights = {{"10", 0.125}},
                                    .revision_id = "r"};
    REQUIRE(s.put_both(f, sample_version("a", "2")).has_value());
    REQUIRE(s.put_version(sample_version("a", "10")).has_value());
    auto replaced = sample_version("a", "10");
    replaced.settings.description = "replaced";
    REQUIRE(s.put_version(replaced).has_value());
    REQUIRE(s.put_version(sample_version("a", "3")).has_value());
    REQUIRE(s.put_version(sample_version("b", "1")).has_value());
    REQUIRE(s.remove_version("a", 3).has_value());
    REQUIRE(s.remove_version("a", 99).has_value());
    REQUIRE(s.remove_version("never there", 1).has_value());
    REQUIRE(s.remove("b").has_value());
    REQUIRE(s.put(sample("b", "zip")).has_value());
    const auto loaded = e.reopen().load().value();
    REQUIRE(loaded.size() == 2);
    CHECK(loaded[0].function == f);
    REQUIRE(loaded[0].versions.size() == 2);
    CHECK(loaded[0].versions.at(2) == sample_version("a", "2"));
    CHECK(loaded[0].versions.at(10) == replaced);
    CHECK(loaded[1].versions.empty());  // they are not those of the one of that name before
}

FOR_EVERY_STORAGE("a storage: layers, signing configurations, rules and APIs are kept in order") {
    TestType e;
    storage& s = e.reopen();
    REQUIRE(s.put_layer(sample_layer("a", 10)).has_value());
    REQUIRE(s.put_layer(sample_layer("a", 9)).has_value());
    REQUIRE(s.put_layer(sample_layer("b", 1)).has_value());
    stored_layer gone;
    gone.layer.name = "b", gone.layer.version = 1, gone.deleted = true;
    REQUIRE(s.put_layer(gone).has_value());  // replaces
    REQUIRE(s.put_layer(sample_layer("c", 1)).has_value());
    REQUIRE(s.remove_layer("c", 1).has_value());
    REQUIRE(s.remove_layer("never there", 1).has_value());
    for (const char* id : {"b", "a", "c"}) {
        REQUIRE(s.put_code_signing({.id = id}).has_value());
        REQUIRE(s.put_code_signing(sample_signing(id)).has_value());
        REQUIRE(s.put_rule({.name = id}).has_value());
        REQUIRE(s.put_rule(sample_rule(id)).has_value());
        REQUIRE(s.put_api({.id = id}).has_value());
        REQUIRE(s.put_api(sample_api(id)).has_value());
    }
    for (const char* id : {"c", "never there"}) {
        REQUIRE(s.remove_code_signing(id).has_value());
        REQUIRE(s.remove_rule(id).has_value());
        REQUIRE(s.remove_api(id).has_value());
    }
    storage& again = e.reopen();
    REQUIRE(again.load().has_value());
    CHECK(again.load_layers().value() ==
          std::vector{sample_layer("a", 9), sample_layer("a", 10), gone});
    CHECK(again.load_code_signing().value() ==
          std::vector{sample_signing("a"), sample_signing("b")});
    CHECK(again.load_rules().value() == std::vector{sample_rule("a"), sample_rule("b")});
    CHECK(again.load_apis().value() == std::vector{sample_api("a"), sample_api("b")});
}

FOR_EVERY_STORAGE("a storage: documents are kept by kind and id, whatever is in them") {
    TestType e;
    storage& s = e.reopen();
    const std::string any("not JSON \"'\0\xff", 14);
    REQUIRE(s.put_document("a", "2", any).has_value());
    REQUIRE(s.put_document("a", "1", "old").has_value());
    REQUIRE(s.put_document("a", "1", "one").has_value());  // replaces
    REQUIRE(s.put_document("b", "1", "of another kind").has_value());
    REQUIRE(s.put_document("a", "3", "three").has_value());
    REQUIRE(s.remove_document("a", "3").has_value());
    REQUIRE(s.remove_document("a", "never there").has_value());
    storage& again = e.reopen();
    CHECK(again.load_documents("a").value() == std::vector<std::string>{"one", any});
    CHECK(again.load_documents("b").value() == std::vector<std::string>{"of another kind"});
    CHECK(again.load_documents("c").value().empty());
}

FOR_EVERY_STORAGE(
    "a storage: packages are found by their names, and those nobody names are swept") {
    TestType e;
    storage& s = e.reopen();
    const std::vector<std::string> named = {"function", "update", "version", "layer", "used layer"};
    for (const auto& zip : named) REQUIRE(s.put_package(hex(zip), zip).has_value());
    REQUIRE(s.put_package(hex("layer"), "layer").has_value());  // again
    // A crash is here: what names them has not come.
    REQUIRE(s.put_package(hex("orphan"), "orphan").has_value());
    auto f = sample("f", "function");
    f.latest.update = sample("f", "update").latest.current;
    f.latest.update->settings.layers = {
        {"arn:l:1", image::to_base64(image::sha256_of("used layer")), 5, 6}};
    auto one = sample("f", "version").latest.current;
    one.version = "1";
    REQUIRE(s.put_both(f, one).has_value());
    auto own = sample_layer("l", 1);
    own.layer.code_sha256 = image::to_base64(image::sha256_of("layer"));
    REQUIRE(s.put_layer(own).has_value());
    storage& again = e.reopen();
    REQUIRE(again.load().has_value());
    for (const auto& zip : named) CHECK(again.get_package(hex(zip)).value() == zip);
    const auto orphan = again.get_package(hex("orphan"));
    REQUIRE(orphan.has_error());
    CHECK(orphan.error() == errc::storage_failed);
    CHECK_THAT(orphan.error().message(), Catch::Contains(hex("orphan")));
    REQUIRE(again.remove_package(hex("layer")).has_value());
    REQUIRE(again.remove_package(hex("never there")).has_value());
    CHECK(again.get_package(hex("layer")).has_error());
}

FOR_EVERY_STORAGE(
    "a storage: an empty one sweeps no packages, as it may stand for one that is lost") {
    TestType e;
    REQUIRE(e.reopen().put_package(hex("zip"), "zip").has_value());
    storage& again = e.reopen();
    REQUIRE(again.load().has_value());
    CHECK(again.get_package(hex("zip")).value() == "zip");
}

FOR_EVERY_STORAGE("a storage: calls may come from any thread") {
    TestType e;
    storage& s = e.reopen();
    constexpr int threads = 4, each = 10;
    std::atomic<int> failed = 0;
    std::vector<std::thread> callers;
    for (int t = 0; t < threads; ++t)
        callers.emplace_back([&, t] {
            for (int i = 0; i < each; ++i) {
                const std::string id = std::to_string(t * each + i);
                failed += s.put(sample(id, id)).has_error();
                failed += s.put_both(sample(id, id), sample_version(id, "1")).has_error();
                failed += s.put_document("kind", std::to_string(i), id).has_error();
                failed += s.load_documents("kind").has_error();
                failed += s.put_package(hex(id), id).has_error();
                failed += s.get_package(hex(id)).has_error();
                if (i % 5 == 0) failed += s.remove(id).has_error();
            }
        });
    for (auto& each_thread : callers) each_thread.join();
    CHECK(failed == 0);
    storage& again = e.reopen();
    const auto loaded = again.load().value();
    CHECK(loaded.size() == threads * each * 4 / 5);
    CHECK(std::ranges::all_of(loaded, [](const auto& f) { return f.versions.size() == 1; }));
    CHECK(again.load_documents("kind").value().size() == each);
}

FOR_EVERY_STORAGE(
    "a storage: what returns an error says so in a sentence, and has changed nothing") {
    TestType e;
    storage& s = e.reopen();
    REQUIRE(s.put(sample("f", "zip")).has_value());
    REQUIRE(s.put_document("kind", "id", "before").has_value());
    if constexpr (!TestType::can_fail) return;  // nothing keeps it from anything
    const auto refused = [](const auto& r) {
        REQUIRE(r.has_error());
        CHECK(r.error() == errc::storage_failed);
        CHECK_THAT(r.error().message(),
                   Catch::Contains("cannot be ") || Catch::Contains("cannot write"));
    };
    auto f = sample("f", "other");
    f.latest.current.settings.description = std::string(2 << 20, 'x');
    {
        const test::small_files limit(1 << 20);
        refused(s.put(f));
        refused(s.put_both(f, sample_version("f", "1")));
        auto large = sample_version("f", "1");
        large.settings.description = f.latest.current.settings.description;
        refused(s.put_both(sample("f", "changed"), large));  // both or neither
        refused(s.put_document("kind", "id", f.latest.current.settings.description));
        refused(s.put_package(hex("x"), f.latest.current.settings.description));
    }
    storage& again = e.reopen();
    const auto loaded = again.load().value();
    REQUIRE(loaded.size() == 1);
    CHECK(loaded[0].function == sample("f", "zip"));
    CHECK(loaded[0].versions.empty());
    CHECK(again.load_documents("kind").value() == std::vector<std::string>{"before"});
    CHECK(again.get_package(hex("x")).has_error());
    // Nor does it keep what comes after from anything.
    REQUIRE(again.put(f).has_value());
    CHECK(e.reopen().load().value().at(0).function == f);
}
