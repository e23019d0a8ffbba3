// The host runs out of something: descriptors, address space, disk, memory budget.

#include "faults.hpp"
#include "temporary_directory.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <future>
#include <thread>
#include <vector>

using namespace functions;
using namespace faults;
using namespace std::chrono_literals;
using Catch::Contains;
using hearth::start_kind;

namespace {

/// A limit of so many leaves none: all below are in use.
rlim_t first_free_file() {
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    return static_cast<rlim_t>(fd);
}

std::size_t address_space_in_use() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    return pages * 4096;
}

}  // namespace

TEST_CASE("out of file descriptors: said, with the cure, and over when some are free again") {
    const auto listens = std::make_shared<listener>();
    std::size_t files = 0;
    {
        auto o = options();
        o.observer = listens;
        auto w = make(o);
        files = open_files();
        const auto lowest = first_free_file();
        auto f = w->deploy(spec("function_http_dynamic"));
        auto g = w->deploy(spec("function_native"));
        // So many more than there are now: at each, something else is what cannot be had.
        bool served = false;
        int refused = 0;
        for (rlim_t more = 0; !served && more < 40; ++more) {
            INFO(more << " descriptors more");
            {
                const lowered_limit few(RLIMIT_NOFILE, lowest + more);
                served = true;
                for (auto& v : {f, g}) {
                    auto r = v->invoke(event("1"));
                    if (r.has_value() && r->ok()) continue;
                    served = false;
                    ++refused;
                    // The guest may have been refused a library, and said so.
                    if (r.has_error() && r.error() == hearth::errc::no_room) {
                        CHECK_THAT(r.error().message(),
                                   Contains("Too many open files") && Contains("ulimit -n"));
                    } else if (r.has_error()) {
                        INFO(r.error().message());
                        CHECK_THAT(r.error().message(), Contains("Too many open files") ||
                                                            Contains("Runtime.ExitError"));
                    }
                }
            }
        }
        CHECK(served);
        CHECK(refused >= 2);
        for (auto& v : {f, g}) CHECK(v->invoke(event("1")).value().ok());
        CHECK(w->metrics().concurrent_executions == 0);
        w->shut_down();
        check_nothing_left(w->metrics());
    }
    CHECK(open_files() < files);
}

TEST_CASE("a version deployed while there are no descriptors is served when there are") {
    auto w = make();
    std::shared_ptr<hearth::worker::deployed_version> f;
    {
        const auto s = spec("function_native");
        const lowered_limit none(RLIMIT_NOFILE, 3);
        f = w->deploy(s);
        for (const auto& e : {f->invoke(event("1")).error(), f->initialize().error()}) {
            CHECK((e == hearth::errc::io_failed || e == hearth::errc::no_room));
            CHECK_THAT(e.message(), Contains("Too many open files") && Contains("ulimit -n"));
        }
    }
    CHECK(f->invoke(event("1")).value().ok());
    CHECK(f->invoke(event("1")).value().ok());
}

TEST_CASE("no descriptor for a snapshot's memory: starts stay cold until there is one") {
    const auto listens = std::make_shared<listener>();
    auto o = options();
    o.observer = listens;
    o.detach_after = 1h;
    auto w = make(o);
    auto s = spec("function_native");
    auto f = w->deploy(s);
    s.pool.max_idle = 0;
    s.function_name += "other", s.function_arn += "other";
    auto g = w->deploy(s);
    // A blank shell is ready, so a start needs no descriptor but the snapshot's, and none becomes free:
    // the used shell stays with f's environment.
    CHECK(f->invoke(event("1")).value().ok());
    REQUIRE(soon([&] {
        const auto m = w->metrics().shells;
        return m.free_used == 0 && m.free_blank >= 1 && m.making == 0;
    }));
    {
        const lowered_limit none(RLIMIT_NOFILE, first_free_file());
        const auto r = g->invoke(event("\"count\""));
        REQUIRE(r.has_value());
        CHECK(r->report.start == start_kind::cold);
        CHECK(r->payload == "1");
        CHECK_THAT(listens->heard(), Contains("starts stay cold") && Contains("ulimit -n"));
    }
    CHECK(g->invoke(event("\"count\"")).value().report.start == start_kind::cold);
    CHECK(g->invoke(event("\"count\"")).value().report.start == start_kind::restored);
}

TEST_CASE("out of address space: said, with the cure, and over when there is some again") {
    auto w = make();
    auto f = w->deploy(spec("function_native"));
    auto s = spec("function_native");
    s.memory = hearth::byte_count(3008ull << 20);
    CHECK(f->invoke(event("1")).value().ok());
    std::shared_ptr<hearth::worker::deployed_version> large;
    {
        // Room for us, not for a guest.
        const lowered_limit little(RLIMIT_AS, address_space_in_use() + (1ull << 30));
        large = w->deploy(s);
        auto r = large->invoke(event("1"));
        REQUIRE(r.has_error());
        CHECK(r.error() == hearth::errc::no_room);
        CHECK_THAT(r.error().message(), Contains("address space") && Contains("ulimit -v"));
        CHECK(f->invoke(event("1")).value().report.start == start_kind::warm);
    }
    CHECK(large->invoke(event("1")).value().ok());
}

TEST_CASE("files may not be large: no snapshot, and no signal that ends the process") {
    const auto listens = std::make_shared<listener>();
    auto o = options();
    o.observer = listens;
    auto w = make(o);
    auto s = spec("function_native");
    s.pool.max_idle = 0;
    auto f = w->deploy(s);
    {
        const lowered_limit small(RLIMIT_FSIZE, 1u << 20);
        REQUIRE(f->initialize().has_value());
        CHECK(f->invoke(event("1")).value().report.start == start_kind::cold);
    }
    CHECK_THAT(listens->heard(), Contains("starts stay cold") && Contains("ulimit -f"));
    CHECK(f->invoke(event("1")).value().report.start == start_kind::cold);
    CHECK(f->invoke(event("1")).value().report.start == start_kind::restored);
}

namespace {

/// In a process of its own, whose disk it fills. What is wrong, as text.
std::string fill_a_disk(const std::filesystem::path& directory) {
    std::string wrong;
    const auto expect = [&](bool good, const std::string& what) {
        if (!good) wrong += what + '\n';
    };
    const auto listens = std::make_shared<listener>();
    auto o = options();
    o.observer = listens;
    o.snapshot_directory = directory;
    const auto stored = [&] {
        return std::distance(std::filesystem::directory_iterator(directory), {});
    };
    auto s = spec("function_native");
    {
        auto w = make(o);
        auto f = w->deploy(s);
        expect(f->initialize().has_value(), "a full disk fails the deployment");
        expect(listens->heard().find("could not be stored") != std::string::npos &&
                   listens->heard().find("No space left on device") != std::string::npos,
               "heard: " + listens->heard());
        expect(stored() == 0, "something was left on the full disk");
        auto r = f->invoke(event("1"));
        expect(r.has_value() && r->report.start == start_kind::restored, "not restored");
        s.environment["A"] = "B";
        auto g = w->deploy(s);  // whose first invocation stores it, behind its back
        r = g->invoke(event("1"));
        expect(r.has_value() && r->ok(), "an invocation failed for a full disk");
    }
    expect(stored() == 0, "something was left on the full disk at the end");
    if (::mount("none", directory.c_str(), nullptr, MS_REMOUNT, "size=64m") != 0)
        return "remount: " + std::string(std::strerror(errno));
    expect(make(o)->deploy(s)->initialize().has_value(), "the second deployment failed");
    expect(stored() == 1, "nothing was stored when there was room");
    auto r = make(o)->deploy(s)->invoke(event("1"));
    expect(r.has_value() && r->report.start == start_kind::restored, "not restored from disk");
    return wrong;
}

}  // namespace

TEST_CASE("a full disk costs the stored snapshot and nothing else") {
    const hearth::test::temporary_directory directory;
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        // A namespace of its own, for those who may not mount as well.
        const int flags = CLONE_NEWNS | (::geteuid() == 0 ? 0 : CLONE_NEWUSER);
        std::string text = "-";
        if (::unshare(flags) == 0 &&
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
            ::mount("none", directory.path().c_str(), "tmpfs", 0, "size=16k") == 0)
            text = fill_a_disk(directory.path());
        (void)!::write(ends[1], text.data(), text.size());
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0;)
        text.append(buffer, static_cast<std::size_t>(n));
    ::close(ends[0]);
    int status = -1;
    ::waitpid(child, &status, 0);
    CHECK(status == 0);
    if (text == "-")
        WARN("not tested: a file system may not be mounted here");
    else
        CHECK(text == "");
}

TEST_CASE("a memory budget of one byte: said, at deployment too, and nothing spins") {
    auto o = options();
    o.memory_budget = hearth::byte_count(1);
    auto w = make(o);
    auto s = spec("function_native");
    s.pool.min_idle = 2;
    auto f = w->deploy(s);
    for (const auto& e : {f->invoke(event("1")).error(), f->initialize().error()}) {
        CHECK(e == hearth::errc::no_room);
        CHECK_THAT(e.message(), Contains("needs 128 MB") && Contains("1 bytes are free of the") &&
                                    Contains("raise memory_budget"));
    }
    std::this_thread::sleep_for(50ms);
    CHECK(w->metrics().pool.starts_ahead == 0);
    CHECK(w->metrics().pool.shells <= 2);  // blank ones
    w->shut_down();
    check_nothing_left(w->metrics());
}

TEST_CASE("two functions and room for one: each is served, one after the other") {
    auto o = options();
    o.memory_budget = hearth::byte_count(128u << 20);
    auto w = make(o);
    auto s = spec("function_http");
    auto f = w->deploy(s);
    s.function_name += "2", s.function_arn += "2";
    auto g = w->deploy(s);
    for (int i = 0; i < 5; ++i)
        for (auto& v : {f, g}) {
            const auto r = v->invoke(event("\"count\""));
            REQUIRE(r.has_value());
            CHECK(r->payload == "1");  // the other was evicted for it
            const auto m = w->metrics();
            CHECK(m.guest_memory + m.snapshot_memory <= o.memory_budget);
        }
    CHECK(w->metrics().pool.evicted == 9);

    // While one runs there is no room for the other.
    auto busy = std::async(std::launch::async, [&] { return f->invoke(event("\"nap\"")); });
    REQUIRE(soon([&] { return w->metrics().pool.running == 1; }));
    auto r = g->invoke(event("1"));
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::no_room);
    CHECK(busy.get().value().ok());
    CHECK(g->invoke(event("1")).value().ok());
}

TEST_CASE("many functions fight for little memory: served or refused, and the budget holds") {
    auto o = options();
    o.memory_budget = hearth::byte_count(3 * 128u << 20);
    o.detach_after = 2ms;
    o.max_shells = 2;
    auto w = make(o);
    std::vector<std::shared_ptr<hearth::worker::deployed_version>> all;
    for (int i = 0; i < 6; ++i) {
        auto s = spec("function_native");
        s.function_name += std::to_string(i), s.function_arn += std::to_string(i);
        all.push_back(w->deploy(s));
    }
    std::atomic<int> served{0}, refused{0}, wrong{0};
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < 5; ++t)
        threads.emplace_back([&, t] {
            for (std::size_t i = 0; i < 40; ++i) {
                auto r = all[(t * 7 + i * 5) % all.size()]->invoke(event("7"));
                if (r.has_value() && r->ok() && r->payload == "7")
                    ++served;
                else if (r.has_error() && r.error() == hearth::errc::no_room)
                    ++refused;
                else
                    ++wrong;
                const auto m = w->metrics();
                if (m.guest_memory + m.snapshot_memory > o.memory_budget) over = true;
            }
        });
    for (auto& t : threads) t.join();
    CHECK(wrong == 0);
    CHECK_FALSE(over);
    CHECK(served + refused == 200);
    CHECK(served >= 40);
    for (auto& v : all) CHECK(v->invoke(event("7")).value().ok());
    w->shut_down();
    check_nothing_left(w->metrics());
}
