// The lower floor: one guest, its snapshots and their clones, as an embedder uses them.

#include "../support/temporary_directory.hpp"

#include <hearth/sandbox.hpp>

#include <catch2/catch.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using namespace hearth::literals;
using reason = hearth::run_end::reason;

namespace lower_floor_test {
namespace {

const hearth::hypervisor& host() {
    static const hearth::hypervisor h = hearth::hypervisor::open().value();
    return h;
}
std::string program(const std::string& name) { return std::string(HEARTH_GUESTS_DIR "/") + name; }

hearth::sandbox_config config_of(std::vector<std::string> arguments) {
    hearth::sandbox_config c;
    c.arguments = std::move(arguments);
    c.arguments.front() = program(c.arguments.front());
    c.memory = 64_MiB;
    return c;
}
hearth::sandbox create(std::vector<std::string> arguments) {
    return hearth::sandbox::create(host(), config_of(std::move(arguments))).value();
}
hearth::snapshot ready(std::vector<std::string> arguments) {
    return create(std::move(arguments)).snapshot_when_ready({.timeout = 10s}).value();
}
std::string ask(hearth::sandbox& box, const std::string& what) {
    const auto r = box.call(what).value();
    CHECK(r.answered);
    return r.payload;
}

}  // namespace

TEST_CASE("a guest function is called like a function") {
    auto box = create({"called"});
    CHECK(ask(box, "count") == "1");  // its init runs first
    CHECK(ask(box, "count") == "2");
    CHECK(ask(box, "hello") == "hello");
    CHECK(ask(box, "") == "");
    const auto failed = box.call("fail").value();
    CHECK(failed.answered);
    CHECK(failed.failed);
    CHECK_FALSE(failed.ok());
    CHECK(failed.payload.find("as asked") != std::string::npos);
    CHECK(failed.end.why == reason::waiting);
    CHECK(box.peak_memory() > 4_KiB);
    CHECK(box.call(std::string((6 << 20) + 1, 'x')).error() == hearth::errc::payload_too_large);
    CHECK(ask(box, std::string(6 << 20, 'x')).size() == 6 << 20);
    const auto moved = std::move(box).call("count").value();
    CHECK(moved.payload == "3");
}

TEST_CASE("a run says why it came back") {
    SECTION("it waits for an event") { CHECK(create({"called"}).run()->why == reason::waiting); }
    SECTION("it sleeps, which a run may wait out") {
        auto box = create({"called", "nap"});
        const auto asleep = box.run({.return_asleep = true}).value();
        CHECK(asleep.why == reason::asleep);
        REQUIRE(asleep.wakes_at);
        CHECK(*asleep.wakes_at <= std::chrono::steady_clock::now() + 20ms);
        CHECK(box.run()->why == reason::waiting);
        CHECK(*asleep.wakes_at <= std::chrono::steady_clock::now());
    }
    SECTION("it exits") {
        std::string output, errors;
        auto c = config_of({"called", "say", "hello", "complain", "alas", "exit", "3"});
        c.output = {[&](std::string_view t) { output += t; },
                    [&](std::string_view t) { errors += t; }};
        auto box = hearth::sandbox::create(host(), std::move(c)).value();
        const auto end = box.run().value();
        CHECK(end.why == reason::exited);
        CHECK(end.exit_code == 3);
        CHECK(end.ended());
        CHECK(output == "hello\n");
        CHECK(errors == "alas\n");
        CHECK(box.run().error() == hearth::errc::sandbox_poisoned);
        CHECK(box.call("x").error() == hearth::errc::sandbox_poisoned);
        CHECK(box.snapshot().error() == hearth::errc::not_snapshotable);
        CHECK(box.snapshot().error().message().find("status 3") != std::string::npos);
        CHECK(box.reset().error() == hearth::errc::invalid_argument);
    }
    SECTION("a limit, after which it goes on") {
        auto box = create({"spin"});
        const auto start = std::chrono::steady_clock::now();
        CHECK(box.run({.timeout = 20ms})->why == reason::timed_out);
        CHECK(std::chrono::steady_clock::now() - start >= 20ms);
        CHECK(box.run({.timeout = 1ms})->why == reason::timed_out);
        CHECK(box.run({.timeout = -1ms})->why == reason::timed_out);
        std::stop_source stop;
        std::jthread later([&] {
            std::this_thread::sleep_for(20ms);
            stop.request_stop();
        });
        CHECK(box.run({.stop = stop.get_token()})->why == reason::stopped);
        CHECK(box.run({.stop = stop.get_token()})->why == reason::stopped);
    }
    SECTION("a limit while it sleeps") {
        auto box = create({"spin", "sleep"});
        CHECK(box.run({.timeout = 20ms})->why == reason::timed_out);
        std::stop_source stop;
        std::jthread later([&] {
            std::this_thread::sleep_for(20ms);
            stop.request_stop();
        });
        CHECK(box.run({.stop = stop.get_token()})->why == reason::stopped);
    }
    SECTION("a timer of its own interrupts its code") {
        auto box = create({"called"});
        CHECK(ask(box, "alarm") == "rang");
    }
    SECTION("it wants more memory than it has") {
        auto box = create({"glutton"});
        CHECK(box.run()->why == reason::out_of_memory);
        CHECK(box.run().error() == hearth::errc::sandbox_poisoned);
    }
}

TEST_CASE("what cannot be created is refused with a sentence") {
    const auto refused = [](const hearth::sandbox_config& c) {
        return hearth::sandbox::create(host(), c).error();
    };
    CHECK(refused(config_of({"no-such-program"})) == hearth::errc::missing_entry_point);
    hearth::sandbox_config c;
    CHECK(refused(c) == hearth::errc::invalid_argument);
    c.arguments = {"/etc/passwd"};
    CHECK(refused(c) == hearth::errc::not_executable);
    c.package = hearth::package::elf_bytes("not a program");
    c.arguments.clear();
    CHECK(refused(c) == hearth::errc::bad_executable);
    c.package = hearth::package::in_process([](std::string_view) { return std::string(); });
    CHECK(refused(c) == hearth::errc::invalid_argument);
    for (const auto size : {0_KiB, 1023_KiB, hearth::byte_count(~0ull)}) {
        auto sized = config_of({"called"});
        sized.memory = size;
        CHECK(refused(sized) == hearth::errc::invalid_argument);
    }
    CHECK(hearth::hypervisor::open({.device = "/dev/no-such-kvm"}).error() ==
          hearth::errc::kvm_missing);
    CHECK(hearth::hypervisor::open({.kick_signal_offset = 1000}).error() ==
          hearth::errc::invalid_argument);
}

TEST_CASE("a program may come from the embedder's own memory") {
    std::ifstream in(program("called"), std::ios::binary);
    hearth::sandbox_config c;
    c.package = hearth::package::elf_bytes(std::string(std::istreambuf_iterator<char>(in), {}));
    c.memory = 64_MiB;
    auto box = hearth::sandbox::create(host(), c).value();
    CHECK(ask(box, "count") == "1");
}

TEST_CASE("clones go on where the snapshot stands, and a reset undoes what they did") {
    auto first = create({"called"});
    CHECK(ask(first, "count") == "1");
    const auto image = first.snapshot().value();
    CHECK(image.size() > 4_KiB);
    CHECK(ask(first, "about") == "restored=1 init=1");  // its identity is another now
    CHECK(ask(first, "count") == "2");

    auto a = image.clone().value(), b = image.clone().value();
    CHECK(ask(a, "about") == "restored=1 init=1");
    CHECK(ask(a, "about") == "restored=0 init=1");
    CHECK(ask(a, "count") == "2");
    CHECK(ask(a, "count") == "3");
    CHECK(ask(b, "count") == "2");
    a.reset().value();
    CHECK(ask(a, "count") == "2");
    first.reset().value();  // to the snapshot taken of it
    CHECK(ask(first, "count") == "2");

    // A clone's own snapshot is where it is reset to from then on.
    const auto later = a.snapshot().value();
    CHECK(later.size() < image.size());
    CHECK(ask(a, "count") == "3");
    a.reset().value();
    CHECK(ask(a, "count") == "3");
    image.clone_into(a).value();
    CHECK(ask(a, "count") == "2");
    a.reset().value();
    CHECK(ask(a, "count") == "2");
    // A sandbox of anything else becomes a clone too: another guest, another memory size, none yet.
    auto other = create({"spin"});
    CHECK(other.run({.timeout = 1ms})->why == reason::timed_out);
    later.clone_into(other).value();
    CHECK(ask(other, "count") == "3");
    auto c = config_of({"called"});
    c.memory = 32_MiB;
    auto small = hearth::sandbox::create(host(), c).value();
    image.clone_into(small).value();
    CHECK(ask(small, "count") == "2");
    CHECK(ask(b, "count") == "3");  // none of it was b's business
}

TEST_CASE("a clone's output is its own") {
    std::string of_first, of_clone;
    auto c = config_of({"called", "nap", "say", "hello"});
    c.output.on_output = [&](std::string_view t) { of_first += t; };
    auto first = hearth::sandbox::create(host(), std::move(c)).value();
    CHECK(first.run({.return_asleep = true})->why == reason::asleep);
    const auto asleep = first.snapshot().value();  // at any boundary, not only between events
    auto clone = asleep.clone({.on_output = [&](std::string_view t) { of_clone += t; }}).value();
    CHECK(clone.run()->why == reason::waiting);
    CHECK(of_first.empty());
    CHECK(of_clone == "hello\n");
    CHECK(first.run()->why == reason::waiting);
    CHECK(of_first == "hello\n");
    clone.reset().value();
    CHECK(clone.run()->why == reason::waiting);
    CHECK(of_clone == "hello\nhello\n");
}

TEST_CASE("a guest's end is a value, and a reset mends its sandbox") {
    const auto image = ready({"called"});
    auto box = image.clone().value();
    const auto ends = [&](const char* event, reason why) {
        INFO(event);
        const auto r = box.call(event).value();
        CHECK_FALSE(r.answered);
        CHECK(r.end.why == why);
        CHECK(box.call("count").error() == hearth::errc::sandbox_poisoned);
        CHECK(box.snapshot().error() == hearth::errc::not_snapshotable);
        CHECK(box.reset().has_value());
        CHECK(ask(box, "count") == "1");
        return r.end;
    };
    CHECK(ends("exit 7", reason::exited).exit_code == 7);
    CHECK(ends("crash", reason::exited).signal == SIGSEGV);
    ends("eat", reason::out_of_memory);
}

TEST_CASE("a call that times out can be waited for, left or forgotten") {
    const auto image = ready({"called"});
    auto box = image.clone().value();
    const auto late = box.call("nap", 5ms).value();
    CHECK_FALSE(late.answered);
    CHECK(late.end.why == reason::timed_out);
    CHECK(box.snapshot().error() == hearth::errc::not_snapshotable);
    SECTION("waited for") {
        CHECK(box.run()->why == reason::waiting);
        CHECK(box.snapshot().has_value());
        CHECK(ask(box, "count") == "1");
    }
    SECTION("left: the next call drops its reply") {
        CHECK(ask(box, "count") == "1");
        CHECK(box.call("nap", 5ms)->end.why == reason::timed_out);
        CHECK_FALSE(box.call("exit 1")->answered);
    }
    SECTION("forgotten") {
        CHECK(box.call("spin", 5ms)->end.why == reason::timed_out);
        CHECK(box.call("count", 5ms)->end.why == reason::timed_out);
        box.reset().value();
        CHECK(ask(box, "count") == "1");
    }
    SECTION("stopped instead") {
        std::stop_source stop;
        std::jthread later([&] {
            std::this_thread::sleep_for(30ms);
            stop.request_stop();
        });
        CHECK(box.call("sleep", 1000s, stop.get_token())->end.why == reason::stopped);
        box.reset().value();
        // Before the guest could take the event: it is not handed to the next caller's guest.
        CHECK(box.call("exit 1", 1000s, stop.get_token())->end.why == reason::stopped);
        CHECK(ask(box, "count") == "1");
    }
}

TEST_CASE("a guest that never asks for an event has no snapshot to be ready") {
    const auto error = [](std::vector<std::string> arguments, std::chrono::milliseconds timeout) {
        return create(std::move(arguments)).snapshot_when_ready({.timeout = timeout}).error();
    };
    CHECK(error({"called", "exit", "5"}, 10s) == hearth::errc::init_failed);
    CHECK(error({"called", "exit", "5"}, 10s).message().find("status 5") != std::string::npos);
    CHECK(error({"spin"}, 30ms) == hearth::errc::init_failed);
    CHECK_FALSE(create({"called", "exit", "5"}).call("x")->answered);
}

TEST_CASE("a snapshot is saved and loaded again, and a wrong file refused") {
    const hearth::test::temporary_directory directory;
    const auto file = directory.path() / "image";
    const auto config = config_of({"called"});
    auto first = create({"called"});
    CHECK(ask(first, "count") == "1");
    const auto image = first.snapshot().value();
    image.save(file).value();
    const auto load = [&](const hearth::sandbox_config& c) {
        return hearth::snapshot::load(host(), file, c);
    };
    const auto loaded = load(config).value();
    CHECK(loaded.size() == image.size());
    auto clone = loaded.clone().value();
    CHECK(ask(clone, "about") == "restored=1 init=1");
    CHECK(ask(clone, "count") == "2");
    CHECK(loaded.shared_randomness().error() == hearth::errc::invalid_argument);

    SECTION("that of a clone cannot be saved") {
        CHECK(clone.snapshot()->save(file).error() == hearth::errc::unsupported);
        CHECK(load(config).has_value());  // the file is as it was
    }
    SECTION("where there is no place for it") {
        CHECK(image.save(directory.path() / "none" / "image").error() ==
              hearth::errc::storage_failed);
        CHECK(hearth::snapshot::load(host(), directory.path() / "none", config).error() ==
              hearth::errc::not_found);
    }
    SECTION("another configuration") {
        auto other = config;
        other.environment = {"A=b"};
        CHECK(load(other).error() == hearth::errc::snapshot_unusable);
        other = config;
        other.memory = 65_MiB;
        CHECK(load(other).error() == hearth::errc::snapshot_unusable);
        CHECK(load(config_of({"function_native"})).error() == hearth::errc::snapshot_unusable);
        CHECK(load(config_of({"no-such-program"})).has_error());
        other = config;
        other.record_randomness = true;
        CHECK(load(other).has_value());
    }
    SECTION("a flipped byte, or fewer") {
        const auto size = static_cast<std::streamoff>(std::filesystem::file_size(file));
        for (const auto at : {std::streamoff{0}, std::streamoff{4096}, size / 2, size - 1}) {
            std::fstream f(file, std::ios::binary | std::ios::in | std::ios::out);
            f.seekg(at);
            const char was = static_cast<char>(f.get());
            f.seekp(at);
            f.put(static_cast<char>(was ^ 1));
            f.flush();
            CHECK(load(config).error() == hearth::errc::snapshot_unusable);
            f.seekp(at);
            f.put(was);
        }
        CHECK(load(config).has_value());
        std::filesystem::resize_file(file, static_cast<std::uintmax_t>(size) - 4096);
        CHECK(load(config).error() == hearth::errc::snapshot_unusable);
    }
    SECTION("a program that was built anew") {
        const auto copy = directory.path() / "bin" / "guest";
        std::filesystem::create_directory(copy.parent_path());
        std::filesystem::copy_file(program("called"), copy);
        auto own = config;
        own.arguments = {copy.string()};
        hearth::sandbox::create(host(), own)->snapshot_when_ready().value().save(file).value();
        CHECK(load(own).has_value());
        std::filesystem::last_write_time(copy, std::filesystem::file_time_type::clock::now() + 1h);
        CHECK(load(own).error() == hearth::errc::snapshot_unusable);
    }
}

TEST_CASE("out of descriptors, what needs a new microVM fails, and what does not goes on") {
    const auto image = ready({"called"});
    auto box = image.clone().value();
    auto c = config_of({"called"});
    c.memory = 32_MiB;
    auto small = hearth::sandbox::create(host(), c).value();
    const auto small_image = small.snapshot_when_ready().value();

    rlimit files{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
    const rlimit none{0, files.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    const auto cloned = image.clone();
    const auto taken = box.snapshot();  // of a clone: no memfd is needed
    const auto root = small.snapshot();
    const auto made_small = small_image.clone_into(box);
    const auto refused = box.call("count");
    ::setrlimit(RLIMIT_NOFILE, &files);

    CHECK(cloned.has_error());
    CHECK(taken.has_value());
    CHECK(root.error() == hearth::errc::no_room);
    CHECK(made_small.has_error());
    CHECK(refused.error() == hearth::errc::sandbox_poisoned);
    box.reset().value();
    CHECK(ask(box, "count") == "1");
    CHECK(ask(small, "count") == "1");
}

TEST_CASE("threads run clones of one snapshot at the same time") {
    std::optional<hearth::snapshot> image = ready({"called"});
    std::atomic<int> wrong = 0;
    std::vector<std::jthread> threads;
    for (int t = 0; t < 2; ++t)
        threads.emplace_back([&wrong, image = *image] {
            for (int round = 0; round < 2; ++round) {
                auto box = image.clone().value();
                for (int i = 0; i < 25; ++i) {
                    for (const char* expected : {"1", "2"})
                        wrong += box.call("count").value().payload != expected;
                    wrong += box.call("touch 30").value().payload != "touched";
                    wrong += box.reset().has_error();
                }
            }
        });
    image.reset();  // clones keep what they need
    threads.clear();
    CHECK(wrong == 0);
}

TEST_CASE("a sandbox moves between threads, and outlives its handles") {
    std::optional<hearth::hypervisor> own = hearth::hypervisor::open().value();
    CHECK(std::string(own->flavour()).ends_with("KVM"));
    auto box = hearth::sandbox::create(*own, config_of({"called"})).value();
    own.reset();
    CHECK(ask(box, "count") == "1");
    std::string counted;
    std::thread([&counted, b = std::move(box)]() mutable {
        counted = b.call("count").value().payload;
        (void)b.snapshot().value();
        b.reset().value();
        counted += b.call("count").value().payload;
    }).join();
    CHECK(counted == "23");
}

namespace {

hearth::randomness_report shared_by_clones(const std::string& how) {
    auto c = config_of({"seeds", how});
    c.record_randomness = true;
    return hearth::sandbox::create(host(), c)
        ->snapshot_when_ready()
        .value()
        .shared_randomness()
        .value();
}
/// Without the places of every program with glibc: a key that malloc draws (tcache_key), and the
/// stack canary and pointer guard, which are copies of AT_RANDOM's bytes. A place may be a byte
/// longer or two than what was kept: what stands beside it is right by chance.
std::vector<hearth::shared_bytes> of_its_own(hearth::randomness_report r) {
    static const auto of_every_program = shared_by_clones("none").places;
    using source = hearth::shared_bytes::source;
    for (const auto from : {source::drawn, source::at_random})
        CHECK(std::ranges::count(of_every_program, from, &hearth::shared_bytes::from) >= 1);
    std::erase_if(r.places, [](const auto& p) {
        // Once in 256 times AT_RANDOM begins with the zero that a canary begins with: then every
        // canary on the stack is eight bytes of it.
        if (p.from == source::at_random && p.length < 16) return true;
        return std::ranges::any_of(of_every_program, [&](const auto& q) {
            return p.address < q.address + q.length && q.address < p.address + p.length;
        });
    });
    return r.places;
}
/// The guest keeps its seed 20 bytes before the end of a page.
bool holds_seed(const hearth::shared_bytes& p, std::size_t length) {
    const auto before = (4096 - 20 - p.address % 4096) % 4096;
    INFO(p.address << ' ' << p.length);
    CHECK(before <= 2);
    CHECK(p.length >= before + length);
    CHECK(p.length <= before + length + 2);
    return true;
}

}  // namespace

TEST_CASE("a seed that all clones will share is found where the guest keeps it") {
    const std::string how = GENERATE("keep", "urandom", "bytewise");
    INFO(how);
    const auto report = shared_by_clones(how);
    CHECK(report.complete);
    CHECK(report.recorded == 16 + 8 + 64);
    const auto places = of_its_own(report);
    REQUIRE(places.size() == 1);
    CHECK(holds_seed(places[0], 64));  // in one piece, over the border of two pages
    CHECK(places[0].from == hearth::shared_bytes::source::drawn);
}

TEST_CASE("what is not kept, or too little to be a seed, is not reported") {
    const std::string how = GENERATE("wipe", "short");
    INFO(how);
    const auto report = shared_by_clones(how);
    CHECK(report.complete);
    CHECK(of_its_own(report).empty());
    CHECK(report.recorded == 16 + 8 + (how == "wipe" ? 64 : 4));
}

TEST_CASE("a copy of AT_RANDOM is found, its own place is not") {
    const auto places = of_its_own(shared_by_clones("at_random"));
    REQUIRE(places.size() == 1);
    CHECK(places[0].from == hearth::shared_bytes::source::at_random);
    CHECK(holds_seed(places[0], 16));
}

TEST_CASE("the search for shared randomness is bounded, and says when it was") {
    const auto much = shared_by_clones("much");
    CHECK_FALSE(much.complete);
    CHECK(much.recorded == 256 << 10);
    const auto strewn = shared_by_clones("strew");
    CHECK_FALSE(strewn.complete);
    CHECK(strewn.places.size() == 1024);
    CHECK(ready({"seeds", "keep"}).shared_randomness().error() == hearth::errc::invalid_argument);
}

TEST_CASE("what a clone draws is looked for in its own snapshot, with what it was given before") {
    auto c = config_of({"seeds", "keep"});
    c.record_randomness = true;
    const auto image = hearth::sandbox::create(host(), c)->snapshot_when_ready().value();
    auto clone = image.clone().value();
    CHECK(ask(clone, "x").size() == 64);
    const auto report = clone.snapshot()->shared_randomness().value();
    CHECK(report.recorded > image.shared_randomness()->recorded);
    const auto places = of_its_own(report);
    REQUIRE(places.size() == 1);
    CHECK(holds_seed(places[0], 64));
}

}  // namespace lower_floor_test
