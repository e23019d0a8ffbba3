// Snapshots, clones and resets of real guests. The guest (tests/guests/snapshot_guest.c) does on
// request what is then looked for: everything a guest can leave behind must be gone, everything it
// had must be there.

#include "base/deadline_watch.hpp"
#include "guest_box.hpp"
#include "sandbox/snapshot_format.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>

using namespace snapshot_tests;

namespace {

const std::string clean = "memory=0 file=0 gs=0 handler=0 timer=0 fds=";
const std::string clean_rest =
    "unclean=0 x87=0 vectors=0 avx512=0 fcw=37f mxcsr=1f80 regs=0 fs=0 files=0 timers=0 timerfds=0 "
    "mask=0 pending=0 altstack=0";

}  // namespace

TEST_CASE("the guest finds its own secret everywhere, so the search can find one") {
    guest_box g = guest_box::started();
    CHECK(g.ask("search").starts_with(clean));
    CHECK(g.ask("search").ends_with(clean_rest));
    REQUIRE(g.ask("dirty") == "dirty");
    const std::string found = g.ask("search");
    INFO(found);
    const auto has = [&](const std::string& what) { return found.find(what) != std::string::npos; };
    CHECK_FALSE(has("memory=0"));
    CHECK(has("file=1"));
    CHECK_FALSE(has("gs=0"));
    CHECK(has("handler=1 timer=1"));
    CHECK(has("unclean=0"));
    // One MMX register; four vector registers; ZMM11's upper half, two more and one mask.
    CHECK(has(" x87=1 vectors=16 "));
    CHECK(has(__builtin_cpu_supports("avx512bw") ? " avx512=21 " : " avx512=0 "));
    CHECK(has("fcw=77f mxcsr=7f80 regs=11 fs=1"));
    CHECK_FALSE(has("files=0"));
    // SIGUSR1, SIGUSR2 and signal 40 are blocked, the first two pending.
    CHECK(has("timers=1 timerfds=1 mask=8000000a00 pending=a00 altstack=1"));
}

TEST_CASE("a clone goes on where its snapshot stood, in a shell of its own") {
    const auto program = GENERATE("snapshot_guest", "snapshot_guest_dynamic");
    guest_box first = guest_box::started(program);
    CHECK(first.ask("count") == "1");
    const auto image = first.snapshot();
    CHECK(image->kernel.frames.used_pages() > 0);
    const std::string layout = first.ask("layout");
    CHECK(first.ask("count") == "2");

    guest_box a, b;
    CHECK(a.restore(image).remapped);
    CHECK(b.restore(image).remapped);
    CHECK(a.ask("layout") == layout);
    CHECK(a.ask("count") == "2");
    CHECK(a.ask("count") == "3");
    CHECK(b.ask("count") == "2");
    CHECK(b.ask("layout") == layout);  // and its own file offset
    CHECK(first.ask("count") == "3");
}

TEST_CASE("a reset guest is its snapshot again, whatever it did to itself") {
    const auto program = GENERATE("snapshot_guest", "snapshot_guest_dynamic");
    const auto deeds =
        GENERATE(std::vector<std::string>{"count"}, std::vector<std::string>{"dirty"},
                 std::vector<std::string>{"mess"}, std::vector<std::string>{"dirty", "mess"});
    guest_box g = guest_box::started(program);
    const auto image = g.snapshot();
    g.restore(image);
    const std::string search = g.ask("search"), layout = g.ask("layout");
    REQUIRE(search.starts_with(clean));
    REQUIRE(search.ends_with(clean_rest));
    g.restore(image);
    for (int round = 0; round < 3; ++round) {
        for (const auto& deed : deeds) REQUIRE(g.ask(deed) == (deed == "count" ? "1" : deed));
        CHECK_FALSE(g.restore(image).remapped);
        CHECK(g.ask("search") == search);
        CHECK_FALSE(g.restore(image).remapped);
        CHECK(g.ask("layout") == layout);
        CHECK(g.ask("count") == "1");
        g.restore(image);
    }
}

TEST_CASE("the next occupant of a shell sees nothing of the one before") {
    guest_box secretive = guest_box::started();
    REQUIRE(secretive.ask("dirty") == "dirty");

    SECTION("a guest that is loaded") {
        guest_box next(std::move(secretive.sandbox).take_shell(), "snapshot_guest_dynamic");
        CHECK(next.ask("search").starts_with(clean));
        CHECK(next.ask("search").ends_with(clean_rest));
    }
    SECTION("a clone of another function") {
        guest_box other = guest_box::started("snapshot_guest_dynamic");
        const std::string search = other.ask("search");
        const auto image = guest_box::started("snapshot_guest_dynamic").snapshot();
        guest_box next(std::move(secretive.sandbox).take_shell());
        CHECK(next.restore(image).remapped);
        CHECK(next.ask("search") == search);
    }
    SECTION("a clone of the same function, another environment") {
        const auto image = guest_box::started().snapshot();
        guest_box first;
        first.restore(image);
        const std::string search = first.ask("search");
        REQUIRE(first.ask("dirty") == "dirty");
        guest_box next(std::move(first.sandbox).take_shell());
        CHECK_FALSE(next.restore(image).remapped);
        CHECK(next.ask("search") == search);
    }
}

TEST_CASE("an environment at rest moves between shells with all it has") {
    const auto program = GENERATE("snapshot_guest", "snapshot_guest_dynamic");
    const auto root = guest_box::started(program).snapshot();
    guest_box a;
    a.restore(root);
    REQUIRE(a.ask("count") == "1");
    REQUIRE(a.ask("dirty") == "dirty");
    const auto at_rest = a.snapshot();
    const std::string found = a.ask("search");
    CHECK(at_rest->root == root);
    CHECK_FALSE(at_rest->written.pages.empty());

    SECTION("on a shell of the same function, which another environment has dirtied") {
        guest_box b;
        b.restore(root);
        REQUIRE(b.ask("mess") == "mess");
        b.restore(at_rest);
        CHECK(b.ask("search") == found);
        CHECK(b.ask("count") == "2");
        // From there back to the root, and to where it went on to.
        const auto later = b.snapshot();
        const std::string found_later = b.ask("search");
        b.restore(root);
        CHECK(b.ask("count") == "1");
        CHECK(b.ask("search").starts_with(clean));
        b.restore(later);
        CHECK(b.ask("search") == found_later);
        CHECK(b.ask("count") == "3");
    }
    SECTION("on a fresh shell") {
        guest_box b;
        CHECK(b.restore(at_rest).remapped);
        CHECK(b.ask("search") == found);
        CHECK(b.ask("count") == "2");
        b.restore(root);
        CHECK(b.ask("search").starts_with(clean));
    }
    SECTION("after it took its memory apart") {
        REQUIRE(a.ask("mess") == "mess");
        const auto messy = a.snapshot();
        const std::string apart = a.ask("search");
        guest_box b;
        b.restore(messy);
        CHECK(b.ask("search") == apart);
        b.restore(at_rest);
        CHECK(b.ask("search") == found);
        b.restore(messy);
        CHECK(b.ask("search") == apart);
        CHECK(b.ask("count") == "2");
    }
}

TEST_CASE("what a guest holds for itself grows with what it writes, until it is mapped anew") {
    guest_box first = guest_box::started();
    const auto image = first.snapshot();
    CHECK(first.sandbox.private_memory().bytes() > 100 << 10);
    guest_box g;
    g.restore(image);
    REQUIRE(g.ask("count") == "1");
    const auto little = g.sandbox.private_memory().bytes();
    CHECK(little < first.sandbox.private_memory().bytes());
    REQUIRE(g.ask("dirty") == "dirty");
    const auto much = g.sandbox.private_memory().bytes();
    CHECK(much > little + (1 << 20));
    // What was mapped in addition goes with a reset; pages that the snapshot has stay.
    g.restore(image);
    CHECK(g.sandbox.private_memory().bytes() < much);
    CHECK(g.sandbox.private_memory().bytes() > little);
    detail::shell shell = std::move(g.sandbox).take_shell();
    REQUIRE(shell.make_blank().has_value());
    guest_box next(std::move(shell));
    next.restore(image);
    CHECK(next.sandbox.private_memory().bytes() < little);
}

TEST_CASE("two clones share neither AT_RANDOM nor boot id") {
    const auto image = guest_box::started().snapshot();
    std::set<std::string> seen;
    guest_box a, b;
    for (int i = 0; i < 3; ++i) {
        a.restore(image);
        b.restore(image);
        seen.insert(a.ask("random"));
        seen.insert(b.ask("random"));
    }
    CHECK(seen.size() == 6);
}

TEST_CASE("a clone's clock goes on, also where the host's started again") {
    auto image = guest_box::started().snapshot();
    guest_box g;
    g.restore(image);
    const auto now = std::stoll(g.ask("clock"));
    CHECK(now >= image->guest_clock.count());
    auto later = std::make_shared<detail::snapshot_image>(*image);
    later->guest_clock += std::chrono::hours(1000);  // as if taken in a boot long up
    g.restore(later);
    const auto then = std::stoll(g.ask("clock"));
    CHECK(then >= later->guest_clock.count());
    CHECK(then < (later->guest_clock + std::chrono::minutes(1)).count());
    g.restore(image);
    CHECK(std::stoll(g.ask("clock")) < later->guest_clock.count());
}

TEST_CASE("a restored guest's timer gets in although it computes without a system call") {
    /// As the owner of a sandbox does it: kicks the guest when its timer is due.
    struct alarm_clock final : detail::sandbox_services, deadline_watch::entry {
        explicit alarm_clock(deadline_watch& w) : watch(w) {}
        bool listens(std::uint32_t, std::uint16_t) override { return false; }
        bool serve(guest::kernel&) override { return false; }
        void set_timer(std::optional<detail::monotonic_time> at) override {
            watch.disarm(*this);
            if (at) watch.arm(*this, *at);
        }
        void expire() noexcept override { guest->kick(); }
        deadline_watch& watch;
        detail::sandbox* guest = nullptr;
    };
    /// So that the test fails and does not hang.
    struct despair final : deadline_watch::entry {
        void expire() noexcept override {
            given_up = true;
            guest->kick();
        }
        detail::sandbox* guest = nullptr;
        std::atomic<bool> given_up{false};
    };
    deadline_watch watch;
    alarm_clock clock(watch);
    despair last;
    guest_box armed = guest_box::started();
    const auto root = armed.snapshot();
    REQUIRE(armed.ask("arm") == "armed");
    const auto with_timer = armed.snapshot();
    guest_box g(new_shell(), files(), &clock);
    clock.guest = last.guest = &g.sandbox;
    SECTION("a clone's") { g.restore(with_timer); }
    SECTION("that of a guest that moves to another shell") {
        g.restore(root);
        REQUIRE(g.ask("arm") == "armed");
        const auto at_rest = g.snapshot();
        watch.disarm(clock);  // as whoever takes a guest out of its shell does
        g.restore(root);
        REQUIRE(g.sandbox.restore(at_rest, detail::restore_as::same).has_value());
    }
    guest::native_event e;
    e.payload = "spin";
    g.sandbox.kernel().native().event = std::move(e);
    watch.arm(last, std::chrono::steady_clock::now() + std::chrono::seconds(30));
    const vmm::run_scope scope(kick_signal);
    while (std::holds_alternative<detail::run_interrupted>(g.sandbox.run(scope))) continue;
    watch.disarm(last);
    watch.disarm(clock);
    CHECK_FALSE(last.given_up);
    REQUIRE(g.sandbox.kernel().native().reply);
    CHECK(g.sandbox.kernel().native().reply->payload == "ticked");
}

TEST_CASE("what has ended cannot be snapshotted") {
    guest_box g;
    CHECK(g.sandbox.snapshot().error() == errc::not_snapshotable);
}

TEST_CASE("a snapshot fits only a shell of its own size") {
    const auto image = guest_box::started().snapshot();
    detail::sandbox small(new_shell(128_MiB), {128_MiB, files(), &silent, nullptr, false});
    CHECK(small.restore(image).error() == errc::invalid_argument);
}

TEST_CASE("a function learns with its first event that it was restored, and only then") {
    guest_box first = guest_box::started("function_restored");
    const auto image = first.snapshot();
    const auto starts = [](const std::string& text, const std::string& with) {
        INFO(text);
        return text.starts_with(with);
    };
    const std::string plain = first.ask("1");
    CHECK(starts(plain, R"({"restored":0,)"));
    guest_box a, b;
    a.restore(image);
    b.restore(image);
    const std::string one = a.ask("1"), other = b.ask("1");
    CHECK(starts(one, R"({"restored":1,)"));
    CHECK(starts(other, R"({"restored":1,)"));
    CHECK(one != other);  // seeded anew
    CHECK(one.substr(one.find("seed")) != plain.substr(plain.find("seed")));
    const std::string again = a.ask("1");
    CHECK(starts(again, R"({"restored":0,)"));
    CHECK(again.ends_with(R"("calls":2})"));

    // Here the call that is told so has handed a reply over, before the snapshot: it is not given
    // again.
    const auto later = a.snapshot();
    b.restore(later);
    const std::string third = b.ask("1");
    CHECK(starts(third, R"({"restored":1,)"));
    CHECK(third.ends_with(R"("calls":3})"));
    CHECK(b.ask("1").ends_with(R"("calls":4})"));
    b.restore(later);
    CHECK(b.ask("\"silent\"") == "null");
}

TEST_CASE("a stored snapshot goes on as after a restart: other trees, other shell") {
    const auto program = GENERATE("snapshot_guest", "snapshot_guest_dynamic");
    char directory[] = "/tmp/hearth-stored-XXXXXX";
    REQUIRE(::mkdtemp(directory));
    const std::filesystem::path place(directory);
    std::string layout;
    {
        guest_box first = guest_box::started(program);
        CHECK(first.ask("count") == "1");
        const auto root = first.snapshot();
        layout = first.ask("layout");
        guest_box clone;
        clone.restore(root);
        CHECK(clone.ask("count") == "2");
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
    CHECK(a.ask("count") == "2");
    CHECK_FALSE(a.restore(root).remapped);
    CHECK(a.ask("count") == "2");
    b.restore(load("clone", "c"));
    CHECK(b.ask("count") == "3");
    std::filesystem::remove_all(place);
}
