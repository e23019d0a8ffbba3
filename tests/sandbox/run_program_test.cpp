#include "programs.hpp"

#include <hearth/sandbox.hpp>

#include <boost/asio/error.hpp>
#include <catch2/catch.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

using namespace programs;
using namespace std::chrono_literals;

TEST_CASE("a program is looked for in PATH as a shell does") {
    ended e;
    auto o = options_for({"true"}, e);
    CHECK(hearth::run_program(o).value().exit_code == 0);
    o.arguments = {"no-such-program-anywhere"};
    auto r = hearth::run_program(o);
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::missing_entry_point);
    CHECK(r.error().message().find("no-such-program-anywhere") != std::string::npos);
}

TEST_CASE("what cannot be run is refused with a sentence") {
    ended e;
    auto o = options_for({"/etc/passwd"}, e);
    CHECK(hearth::run_program(o).error() == hearth::errc::not_executable);
    o.arguments = {"/nowhere/at/all"};
    CHECK(hearth::run_program(o).error() == hearth::errc::missing_entry_point);
    o.arguments = {};
    CHECK(hearth::run_program(o).error() == hearth::errc::invalid_argument);
    o.arguments = {"/usr"};
    CHECK(hearth::run_program(o).has_error());
}

TEST_CASE("the guest cannot write to the host's files") {
    const auto file = std::filesystem::current_path() / "read-only-probe";
    std::ofstream(file) << "before";
    ended e;
    auto o = options_for({"/bin/sh", "-c", "echo after > " + file.string()}, e);
    const auto r = hearth::run_program(o);
    REQUIRE(r.has_value());
    CHECK(r->exit_code != 0);
    std::string text;
    std::ifstream(file) >> text;
    CHECK(text == "before");
    std::filesystem::remove(file);
}

TEST_CASE("every call is traced when asked for") {
    ended e;
    auto o = options_for({guest("hello")}, e);
    std::vector<std::string> lines;
    o.trace = [&](std::string_view line) { lines.emplace_back(line); };
    REQUIRE(hearth::run_program(o).has_value());
    CHECK(e.output == "hello\n");
    const auto has = [&](std::string_view what) {
        for (const auto& l : lines)
            if (l.find(what) != std::string::npos) return true;
        return false;
    };
    CHECK(has("write(1, "));
    CHECK(has("exit_group("));
}

TEST_CASE("a stop request ends a guest, whatever it is at") {
    const auto how = GENERATE(as<std::string>(), "spin", "calls", "sleep", "read");
    INFO(how);
    ended e;
    auto o = options_for({guest("spin"), how}, e);
    int in[2];
    REQUIRE(::pipe2(in, O_CLOEXEC) == 0);
    o.input = in[0];
    std::stop_source stop;
    o.stop = stop.get_token();
    std::jthread later([&] {
        std::this_thread::sleep_for(100ms);
        stop.request_stop();
    });
    const auto start = std::chrono::steady_clock::now();
    auto r = hearth::run_program(o);
    REQUIRE(r.has_error());
    CHECK(r.error().code() == boost::asio::error::operation_aborted);
    CHECK(std::chrono::steady_clock::now() - start < 5s);
    ::close(in[0]);
    ::close(in[1]);
}

TEST_CASE("a guest that wants more memory than it may have is ended") {
    ended e;
    auto o = options_for({guest("glutton")}, e);
    o.memory = hearth::byte_count(32u << 20);
    const auto r = hearth::run_program(o);
    REQUIRE(r.has_value());
    CHECK(r->out_of_memory);
    CHECK(r->peak_memory <= o.memory);
    CHECK(r->peak_memory.bytes() > (24u << 20));
}

TEST_CASE("a guest has its thousand processes, and no more") {
    ended e;
    auto o = options_for({guest("multitude")}, e);
    o.memory = hearth::byte_count(2ull << 30);
    REQUIRE(hearth::run_program(o).has_value());
    const std::string round = "1023 children, then Resource temporarily unavailable\n1023 ended\n";
    CHECK(e.output == round + round);
}

TEST_CASE("no host signal mask or disposition is left changed") {
    sigset_t before, after;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    (void)run_in_sandbox({guest("hello")});
    ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (int s = 1; s < 65; ++s) CHECK(::sigismember(&before, s) == ::sigismember(&after, s));
    struct sigaction a {};
    ::sigaction(SIGRTMIN + 7, nullptr, &a);
    CHECK(a.sa_handler == SIG_DFL);
}
