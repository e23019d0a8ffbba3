// Snapshots, clones and resets of guests with several processes (tests/guests/snapshot_family.c):
// the first waits for its child, which serves the events and has a brother behind pipes; they share
// memory, and other memory until one writes.

#include "guest_box.hpp"
#include "sandbox/snapshot_format.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

using namespace snapshot_tests;

namespace {

// Of the server, its brother, the counter in shared memory, and the file that holds the secret.
const std::string nothing_found = "memory=0 unclean=0, memory=0 unclean=0, 0, file=0";

}  // namespace

TEST_CASE("each process of a family finds the secret it has, so the search can find one") {
    guest_box g = guest_box::started("snapshot_family");
    CHECK(g.ask("search") == nothing_found);
    REQUIRE(g.ask("dirty") == "dirty, dirty, 0, file=0");
    const std::string found = g.ask("search");
    CHECK(found.find("memory=0") == std::string::npos);
    CHECK(found.find("unclean=1") == std::string::npos);
    REQUIRE(g.ask("mess").starts_with("mess"));
    CHECK(g.ask("search").ends_with("file=1"));
}

TEST_CASE("a clone of a family is all of it, with its own memory, pipes and ids") {
    const std::string program = GENERATE("snapshot_family", "snapshot_family_dynamic");
    guest_box first = guest_box::started(program);
    CHECK(first.ask("count") == "1, 1, 2, file=0");
    const auto image = first.snapshot();
    CHECK(image->kernel.processes.size() == 3);
    const std::string layout = first.ask("layout"), pids = first.ask("pids");
    CHECK(first.ask("count") == "2, 2, 4, file=0");

    guest_box a, b;
    CHECK(a.restore(image).remapped);
    CHECK(b.restore(image).remapped);
    for (guest_box* clone : {&a, &b}) {
        CHECK(clone->ask("pids") == pids);
        CHECK(clone->ask("layout") == layout);
        CHECK(clone->ask("count") == "2, 2, 4, file=0");
    }
    REQUIRE(a.ask("dirty") == "dirty, dirty, 4, file=0");
    CHECK(b.ask("search") == "memory=0 unclean=0, memory=0 unclean=0, 4, file=0");
    CHECK(b.ask("count") == "3, 3, 6, file=0");
    CHECK(a.ask("count") == "3, 3, 6, file=0");
    CHECK(first.ask("search") == "memory=0 unclean=0, memory=0 unclean=0, 4, file=0");
}

TEST_CASE("a family that was reset is its snapshot again, whatever it did to itself") {
    const std::string program = GENERATE("snapshot_family", "snapshot_family_dynamic");
    const auto deeds = GENERATE(
        std::vector<std::string>{"count"}, std::vector<std::string>{"dirty"},
        std::vector<std::string>{"spawn"}, std::vector<std::string>{"more", "more", "spawn"},
        std::vector<std::string>{"mess"}, std::vector<std::string>{"dirty", "mess"},
        std::vector<std::string>{"mess", "mess", "dirty"});
    guest_box g = guest_box::started(program);
    const auto image = g.snapshot();
    g.restore(image);
    const std::string layout = g.ask("layout");
    g.restore(image);
    // Where a process of the snapshot ended, its frames may be tables of others by now: then memory
    // is mapped anew.
    const bool ended = std::ranges::find(deeds, "mess") != deeds.end();
    for (int round = 0; round < 3; ++round) {
        for (const auto& deed : deeds) g.ask(deed);
        const bool remapped = g.restore(image).remapped;
        CHECK((!remapped || ended));
        CHECK(g.ask("search") == nothing_found);
        CHECK_FALSE(g.restore(image).remapped);
        CHECK(g.ask("layout") == layout);
        CHECK(g.ask("count") == "1, 1, 2, file=0");
        g.restore(image);
    }
}

TEST_CASE("a secret of one clone's child is nowhere in the next clone, which has the same shell") {
    const auto image = guest_box::started("snapshot_family").snapshot();
    guest_box first;
    first.restore(image);
    REQUIRE(first.ask("dirty") == "dirty, dirty, 0, file=0");
    REQUIRE(first.ask("mess").starts_with("mess"));
    detail::shell shell = std::move(first.sandbox).take_shell();
    SECTION("of the same function") {
        guest_box next(std::move(shell));
        next.restore(image);
        CHECK(next.ask("search") == nothing_found);
    }
    SECTION("of another function") {
        const auto other = guest_box::started("snapshot_family_dynamic").snapshot();
        guest_box next(std::move(shell));
        CHECK(next.restore(other).remapped);
        CHECK(next.ask("search") == nothing_found);
    }
    SECTION("a function of one process, and back") {
        const auto other = guest_box::started("snapshot_guest").snapshot();
        guest_box next(std::move(shell));
        CHECK(next.restore(other).remapped);
        CHECK(next.ask("search").starts_with("memory=0 file=0"));
        guest_box again(std::move(next.sandbox).take_shell());
        CHECK(again.restore(image).remapped);
        CHECK(again.ask("search") == nothing_found);
    }
    SECTION("a guest that is loaded") {
        guest_box next(std::move(shell), "snapshot_family_dynamic");
        CHECK(next.ask("search") == nothing_found);
    }
}

TEST_CASE("a family at rest moves between shells with all it has") {
    const std::string program = GENERATE("snapshot_family", "snapshot_family_dynamic");
    const auto root = guest_box::started(program).snapshot();
    guest_box a;
    a.restore(root);
    const std::string deed = GENERATE("dirty", "spawn", "more", "mess");
    REQUIRE(a.ask("count") == "1, 1, 2, file=0");
    a.ask(deed);
    const auto at_rest = a.snapshot();
    CHECK(at_rest->root == root);
    const std::string found = a.ask("search"), layout = a.ask("layout"), count = a.ask("count");

    const auto is_that = [&](guest_box& g) {
        CHECK(g.ask("search") == found);
        CHECK(g.ask("layout") == layout);
        CHECK(g.ask("count") == count);
    };
    guest_box b;
    SECTION("on a fresh shell") {
        CHECK(b.restore(at_rest).remapped);
        is_that(b);
    }
    SECTION("on a shell that another environment has dirtied") {
        b.restore(root);
        b.ask("mess");
        b.ask("dirty");
        b.restore(at_rest);
        is_that(b);
        const auto later = b.snapshot();
        b.restore(root);
        CHECK(b.ask("search") == nothing_found);
        b.restore(later);
        CHECK(b.ask("count") != count);
        b.restore(at_rest);
        is_that(b);
    }
    b.restore(root);
    CHECK(b.ask("search") == nothing_found);
    CHECK(b.ask("count") == "1, 1, 2, file=0");
}

TEST_CASE("no two processes of clones share AT_RANDOM") {
    const auto image = guest_box::started("snapshot_family").snapshot();
    std::set<std::string> seen;
    guest_box a, b;
    for (int i = 0; i < 3; ++i) {
        for (guest_box* g : {&a, &b}) {
            g->restore(image);
            const std::string both = g->ask("random");
            seen.insert(both.substr(0, 32));
            seen.insert(both.substr(34, 32));
        }
    }
    CHECK(seen.size() == 12);
}

TEST_CASE("a stored family goes on as after a restart: other trees, other shell") {
    char directory[] = "/tmp/hearth-stored-XXXXXX";
    REQUIRE(::mkdtemp(directory));
    const std::filesystem::path place(directory);
    std::string layout;
    {
        guest_box first = guest_box::started("snapshot_family_dynamic");
        CHECK(first.ask("count") == "1, 1, 2, file=0");
        const auto root = first.snapshot();
        layout = first.ask("layout");
        guest_box clone;
        clone.restore(root);
        clone.ask("dirty");
        CHECK(clone.ask("count") == "2, 2, 4, file=0");
        const auto at_rest = clone.snapshot();
        const detail::guest_files trees(*files());
        REQUIRE(detail::save_snapshot(place / "root", "r", *root, "", trees).has_value());
        REQUIRE(detail::save_snapshot(place / "clone", "c", *at_rest, "", trees).has_value());
    }
    const auto others = new_files();
    const auto load = [&](const char* name, const char* key) {
        auto loaded = detail::load_snapshot(place / name, key, detail::guest_files(*others));
        INFO((loaded.has_error() ? loaded.error().message() : ""));
        REQUIRE(loaded.has_value());
        return std::make_shared<const detail::snapshot_image>(std::move(loaded->image));
    };
    guest_box a(new_shell(), others), b(new_shell(), others);
    const auto root = load("root", "r");
    a.restore(root);
    CHECK(a.ask("layout") == layout);
    CHECK(a.ask("count") == "2, 2, 4, file=0");
    CHECK_FALSE(a.restore(root).remapped);
    CHECK(a.ask("count") == "2, 2, 4, file=0");
    b.restore(load("clone", "c"));
    CHECK(b.ask("count") == "3, 3, 6, file=0");
    CHECK(b.ask("search").find("memory=0") == std::string::npos);
    std::filesystem::remove_all(place);
}
