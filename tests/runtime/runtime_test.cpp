// The embedder's surface, end to end: what the first page promises.

#include "soon.hpp"
#include "temporary_directory.hpp"
#include "zip_maker.hpp"

#include <hearth/control.hpp>
#include <hearth/hearth.hpp>

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <optional>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace hearth::literals;
using hearth::test::soon;

namespace {

std::string guest(const std::string& name) { return std::string(HEARTH_GUESTS_DIR) + "/" + name; }

hearth::function_config config(const std::string& name, hearth::package package) {
    hearth::function_config c;
    c.name = name;
    c.package = std::move(package);
    c.timeout = 5s;
    return c;
}

/// A zip with one program as its bootstrap.
std::string zip_of(const std::string& program) {
    std::ifstream in(program, std::ios::binary);
    std::string content(std::istreambuf_iterator<char>(in), {});
    hearth::test::zip_maker zip;
    zip.file("bootstrap", std::move(content), 0755);
    static const hearth::test::temporary_directory directory;
    const auto file = directory.path() /
                      (std::filesystem::path(program).filename().string() + ".zip");
    std::ofstream(file, std::ios::binary) << zip.bytes();
    return file.string();
}

}  // namespace

TEST_CASE("a function deployed from a zip answers, cold and then warm") {
    auto rt = hearth::runtime::create({.vcpu_threads = 2}).value();
    auto f =
        rt.deploy(config("zipped", hearth::package::zip(zip_of(guest("function_http_dynamic")))))
            .value();
    CHECK(f.name() == "zipped");
    const auto cold = f.invoke(R"({"key":"dog.png"})").value();
    CHECK(cold.payload == R"({"key":"dog.png"})");
    CHECK(cold.report.start == hearth::start_kind::cold);
    const auto warm = f.invoke("2").value();
    CHECK(warm.report.start == hearth::start_kind::warm);
    CHECK(rt.metrics().pool.idle == 1);
    CHECK(rt.metrics().functions == 1);
}

TEST_CASE("a layer may bring the program, and snapshots stand on it") {
    const hearth::test::temporary_directory code;
    std::ofstream(code.path() / "settings.json") << "{}";
    auto rt = hearth::runtime::create().value();
    auto c = config("layered", hearth::package::directory(code.path()));
    CHECK(rt.deploy(c).error() == hearth::errc::missing_entry_point);
    c.layers = {hearth::package::zip(zip_of(guest("function_http_dynamic")))};
    c.pool.max_idle = 0;
    auto f = rt.deploy(c).value();
    for (const auto start : {hearth::start_kind::cold, hearth::start_kind::restored}) {
        const auto r = f.invoke("1").value();
        CHECK(r.payload == "1");
        CHECK(r.report.start == start);
        CHECK(r.report.system_calls > 0);
    }
    c.layers.assign(6, c.layers.front());
    CHECK(rt.deploy(c).error() == hearth::errc::invalid_argument);
}

TEST_CASE("in-process functions have the same shape, raised exceptions included") {
    auto rt = hearth::runtime::create().value();
    auto f = rt.deploy(config("lambda",
                              hearth::package::in_process([](std::string_view e) -> std::string {
                                  if (e == "raise") throw std::runtime_error("as asked");
                                  return "got " + std::string(e);
                              })))
                 .value();
    const auto r = f.invoke("x").value();
    CHECK(r.payload == "got x");
    CHECK(r.log_tail.find("REPORT RequestId: ") != std::string::npos);
    const auto bad = f.invoke("raise").value();
    CHECK(bad.function_error == "Unhandled");
    CHECK(bad.payload.find("as asked") != std::string::npos);
}

TEST_CASE("async_invoke works with coroutines, as_tuple, futures and callbacks") {
    auto rt = hearth::runtime::create({.vcpu_threads = 2}).value();
    auto f = rt.deploy(config("f", hearth::package::elf(guest("function_native")))).value();
    asio::io_context io;
    int done = 0;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
            hearth::response r = co_await f.async_invoke("1", asio::use_awaitable);
            CHECK(r.payload == "1");
            auto [ec, again] = co_await f.async_invoke("2", asio::as_tuple(asio::use_awaitable));
            CHECK_FALSE(ec);
            CHECK(again.payload == "2");
            ++done;
        },
        asio::detached);
    std::promise<std::string>
        third;  // a handler bound to no executor runs on a thread of the runtime's
    f.async_invoke("3", [&](hearth::error_code ec, hearth::response r) {
        third.set_value(ec ? ec.message() : r.payload);
    });
    io.run();
    CHECK(done == 1);
    CHECK(third.get_future().get() == "3");
    CHECK(f.async_invoke("4", asio::use_future).get().payload == "4");
}

TEST_CASE("async_deploy and async_drain complete on the handler's executor") {
    auto rt = hearth::runtime::create().value();
    asio::io_context io;
    auto c = config("f", hearth::package::elf(guest("function_native")));
    bool deployed = false, drained = false;
    rt.async_deploy(
        c, asio::bind_executor(io, [&](hearth::error_code ec, hearth::function f) {
            CHECK_FALSE(ec);
            CHECK(f.name() == "f");
            deployed = true;
            rt.async_drain(asio::bind_executor(io, [&, f](hearth::error_code e) mutable {
                CHECK_FALSE(e);
                CHECK(f.invoke("1").error() == hearth::errc::shutting_down);
                drained = true;
            }));
        }));
    io.run();
    CHECK(deployed);
    CHECK(drained);
}

TEST_CASE("wrong configurations are refused with a sentence") {
    auto rt = hearth::runtime::create().value();
    auto c = config("bad name!", hearth::package::elf(guest("function_native")));
    CHECK(rt.deploy(c).error() == hearth::errc::invalid_argument);
    c.name = "ok";
    c.memory = 1_MiB;
    CHECK(rt.deploy(c).error() == hearth::errc::invalid_argument);
    c.memory = 128_MiB;
    c.package = hearth::package::elf("/nowhere");
    CHECK(rt.deploy(c).has_error());
    CHECK(rt.find("ok").error() == hearth::errc::not_found);
}

TEST_CASE("two runtimes in one process, with different options") {
    auto a = hearth::runtime::create({.vcpu_threads = 1, .region = "us-east-1"}).value();
    std::optional<hearth::runtime> b(
        hearth::runtime::create({.vcpu_threads = 2, .kick_signal_offset = 8, .region = "eu-west-1"})
            .value());
    auto fa = a.deploy(config("same", hearth::package::elf(guest("function_http")))).value();
    auto fb = b->deploy(config("same", hearth::package::elf(guest("function_http")))).value();
    int in_europe = 0;  // Catch2's assertions are for one thread only
    std::jthread other([&] {
        for (int i = 0; i < 10; ++i)
            in_europe += fb.invoke("\"env\"").value().log_tail.find("AWS_REGION=eu-west-1") !=
                         std::string::npos;
    });
    for (int i = 0; i < 10; ++i)
        CHECK(fa.invoke("\"env\"").value().log_tail.find("AWS_REGION=us-east-1") !=
              std::string::npos);
    other.join();
    CHECK(in_europe == 10);
    b.reset();
    CHECK(fb.invoke("1").error() == hearth::errc::shutting_down);
    CHECK(fa.invoke("1").value().payload == "1");
}

TEST_CASE("destroying the runtime interrupts what runs and completes it") {
    std::optional<hearth::runtime> rt(hearth::runtime::create({.vcpu_threads = 1}).value());
    auto f = rt->deploy(config("f", hearth::package::elf(guest("function_http")))).value();
    REQUIRE(f.invoke("1").has_value());
    bool interrupted = false;  // Catch2's assertions are for one thread only
    std::jthread blocking(
        [&] { interrupted = f.invoke("\"sleep\"").error() == hearth::errc::shutting_down; });
    auto later = f.async_invoke("\"loop\"", asio::use_future);
    REQUIRE(soon([&] { return rt->metrics().pool.running == 2; }));
    const auto start = std::chrono::steady_clock::now();
    rt.reset();
    CHECK(std::chrono::steady_clock::now() - start < 2s);
    blocking.join();
    CHECK(interrupted);
    CHECK_THROWS(later.get());
    CHECK(f.invoke("1").error() == hearth::errc::shutting_down);
}

TEST_CASE("events are kept by a runtime that is destroyed, and run by the next") {
    const hearth::test::temporary_directory data;
    hearth::runtime_options options{.data_directory = data.path()};
    options.events.max_in_flight = 1;
    {
        auto rt = hearth::runtime::create(options).value();
        auto c = config("f", hearth::package::zip(zip_of(guest("function_http_dynamic"))));
        c.timeout = 900s;
        auto f = rt.deploy(c).value();
        CHECK_FALSE(f.enqueue("1").value().empty());
        CHECK(f.async_enqueue("2", {.request_id = "mine"}, asio::use_future).get() == "mine");
        CHECK_THROWS_AS(f.async_enqueue(std::string((1 << 20) + 1, ' '), {}, asio::use_future).get(),
                        boost::system::system_error);
        REQUIRE(soon([&] { return rt.metrics().async_events_queued == 0; }));
        CHECK(rt.metrics().invocations == 2);
        // One is under way when the runtime goes, and one waits behind it.
        REQUIRE(f.enqueue("\"loop\"").has_value());
        REQUIRE(soon([&] { return rt.metrics().concurrent_executions == 1; }));
        REQUIRE(f.enqueue("3").has_value());
    }
    options.events.max_in_flight = 2;
    auto rt = hearth::runtime::create(options).value();
    REQUIRE(soon([&] {
        const auto m = rt.metrics();
        return m.invocations == 1 && m.async_events_queued == 1 && m.concurrent_executions == 1;
    }));
    hearth::function none;
    CHECK(none.enqueue("{}").error() == hearth::errc::not_found);
}

TEST_CASE("an observer sees each start, the output and the end of each invocation") {
    struct watcher final : hearth::observer {
        void on_start(std::string_view name, const hearth::start_report& start) override {
            CHECK(name == "f");
            CHECK_FALSE(start.ahead);
            CHECK((start.boot > 0ns && (start.init > 0ns) == (start.start == hearth::start_kind::cold)));
            starts.push_back(start.start);
        }
        void on_function_output(std::string_view name,
                                std::string_view,
                                std::string_view text) override {
            CHECK(name == "f");
            output += text;
        }
        void on_invocation_end(std::string_view, const hearth::response& r) override {
            CHECK(r.ok());
            ++ended;
        }
        std::vector<hearth::start_kind> starts;
        std::string output;
        int ended = 0;
    };
    auto watch = std::make_shared<watcher>();
    auto rt = hearth::runtime::create({.observer = watch}).value();
    auto f = rt.deploy(config("f", hearth::package::elf(guest("function_http")))).value();
    REQUIRE(f.invoke("1").has_value());
    CHECK(watch->output.find("init\n") != std::string::npos);
    CHECK(watch->ended == 1);
    REQUIRE(f.invoke("2").value().report.start == hearth::start_kind::warm);
    CHECK(watch->starts == std::vector{hearth::start_kind::cold});
    // Two at once: the second one is not warm. The first sleeps until the runtime goes.
    auto other = f.async_invoke("\"sleep\"", asio::use_future);
    REQUIRE(soon([&] { return rt.metrics().pool.running == 1; }));
    REQUIRE(f.invoke("3").value().ok());
    CHECK(watch->starts ==
          std::vector{hearth::start_kind::cold, hearth::start_kind::restored});
}

TEST_CASE("a function that never asks for an event is Failed, and an invocation says so") {
    auto rt = hearth::runtime::create({.init_timeout = 200ms}).value();
    auto& control = rt.control();
    hearth::create_function_request request;
    request.function_name = "stuck";
    std::ifstream zip(zip_of(guest("function_init")), std::ios::binary);
    request.zip_file.assign(std::istreambuf_iterator<char>(zip), {});
    request.settings.role = "arn:aws:iam::000000000000:role/any";
    request.settings.handler = "bootstrap";
    request.settings.environment = {{"INIT", "hang"}};
    REQUIRE(control.create_function(std::move(request)).value().state ==
            hearth::function_state::pending);
    const auto described = [&] { return control.get_function("stuck").value().configuration; };
    for (int i = 0; i < 500 && described().state == hearth::function_state::pending; ++i)
        std::this_thread::sleep_for(10ms);
    CHECK(described().state == hearth::function_state::failed);
    CHECK(described().state_reason_code == "FunctionError.InitTimeout");
    CHECK(described().state_reason ==
          "Sandbox.Timedout: Init phase timed out after 0.20 seconds");
    const auto refused = control.invoke("stuck", "1");
    CHECK(refused.error() == hearth::errc::not_ready);
    CHECK(refused.error().message().find("timed out after 0.20 seconds") != std::string::npos);
}
