// Extensions: processes of a layer beside the function's, and what they are told.

#include "functions.hpp"
#include "logs/log_store.hpp"
#include "temporary_directory.hpp"
#include "zip_maker.hpp"

#include <hearth/observer.hpp>

#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>
#include <mutex>
#include <vector>

using namespace functions;
using namespace std::chrono_literals;
using hearth::isolation;
using hearth::start_kind;

namespace {

std::string content(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

/// The function `guest` with extensions of those names in a layer.
hearth::worker::version_spec with_extensions(const std::string& guest,
                                             const std::vector<std::string>& names,
                                             std::string behave = {},
                                             std::uint32_t mode = 0755) {
    auto s = spec(guest);
    const std::string program = content(std::string(HEARTH_GUESTS_DIR) + "/extension");
    hearth::test::zip_maker zip;
    for (const auto& name : names) zip.file("extensions/" + name, program, mode);
    zip.file("extensions/below/data", "not started", 0755);
    const hearth::package layer = hearth::package::zip_bytes(zip.bytes());
    s.layers = hearth::image::package_image::load_layers({&layer, 1}, *s.code).value();
    s.environment = {{"BEHAVE", std::move(behave)}};
    return s;
}

/// What guests write, whenever they do.
class listener final : public hearth::observer {
  public:
    void on_function_output(std::string_view, std::string_view, std::string_view text) override {
        const std::lock_guard lock(mutex_);
        text_ += text;
    }
    [[nodiscard]] std::string text() const {
        const std::lock_guard lock(mutex_);
        return text_;
    }

  private:
    mutable std::mutex mutex_;
    std::string text_;
};

hearth::worker::worker_options listening(std::shared_ptr<listener> heard) {
    auto o = options();
    o.observer = std::move(heard);
    return o;
}

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

std::string invoke_event(const std::string& id) {
    return R"("requestId":")" + id + R"(","invokedFunctionArn":"arn:invoked","tracing":{)" +
           R"("type":"X-Amzn-Trace-Id","value":"Root=1"}})";
}

hearth::response traced(hearth::worker::deployed_version& f, std::string payload = "{}") {
    auto e = event(std::move(payload));
    e.trace_id = "Root=1";
    return f.invoke(std::move(e)).value();
}

/// Of a start that failed: the reason.
std::string why(hearth::worker::deployed_version& f) {
    const auto r = f.initialize();
    return r.has_error() ? r.error().message() : std::string("it started");
}

}  // namespace

TEST_CASE("an extension sees each invocation, cold, restored and warm") {
    const auto guest = GENERATE(as<std::string>(), "function_http", "function_native");
    const bool snapshot = GENERATE(true, false);
    INFO(guest << snapshot);
    const auto heard = std::make_shared<listener>();
    auto w = make(listening(heard));
    auto s = with_extensions(guest, {"watcher"});
    s.snapshot = snapshot;
    auto f = w->deploy(std::move(s));
    REQUIRE(f->initialize().has_value());
    const auto began = heard->text();
    INFO(began);
    CHECK(has(began, "watcher: registered {\"functionName\":\"" + guest +
                         R"(","functionVersion":"$LATEST","handler":"bootstrap",)" +
                         R"("accountId":"000000000000"})"));
    CHECK(has(began,
              "watcher: telemetry {\"errorMessage\":\"Telemetry API is not "
              "supported\",\"errorType\":\"Telemetry.NotSupported\"}"));
    for (int i = 1; i <= 3; ++i) {
        auto e = event("{}");
        e.trace_id = "Root=1";
        const auto id = e.request_id;
        const auto r = f->invoke(std::move(e)).value();
        CHECK(r.ok());
        CHECK(r.report.start == (i == 1 && snapshot ? start_kind::restored : start_kind::warm));
        // The invocation is over when the extension is done, so the next one finds it waiting.
        CHECK(soon([&] { return w->metrics().pool.idle == 1; }));
        const auto text = heard->text();
        INFO(text);
        CHECK(has(text, invoke_event(id)));
        CHECK(has(text, "watcher: done " + std::to_string(i) + "\n"));
    }
    const auto text = heard->text();
    CHECK(has(text, "watcher: event {\"eventType\":\"INVOKE\",\"deadlineMs\":1"));
    CHECK_FALSE(has(text, "watcher: done 4"));
}

TEST_CASE("an extension goes on from a stored snapshot") {
    const hearth::test::temporary_directory snapshots;
    const auto heard = std::make_shared<listener>();
    for (int i = 1; i <= 2; ++i) {
        auto o = listening(heard);
        o.snapshot_directory = snapshots.path();
        auto w = make(o);
        auto f = w->deploy(with_extensions("function_http", {"watcher"}));
        if (i == 1) REQUIRE(f->initialize().has_value());
        CHECK(traced(*f).report.start == start_kind::restored);
        w->drain();
    }
    const auto text = heard->text();
    INFO(text);
    const std::string done = "watcher: done 1\n";
    CHECK(text.find("watcher: registered") == text.rfind("watcher: registered"));
    CHECK(text.find(done) != text.rfind(done));
}

TEST_CASE("an extension is reset with its function where each invocation is isolated") {
    const auto heard = std::make_shared<listener>();
    auto w = make(listening(heard));
    auto s = with_extensions("function_http", {"watcher"});
    s.isolation = isolation::invocation;
    auto f = w->deploy(std::move(s));
    REQUIRE(f->initialize().has_value());
    for (int i = 0; i < 3; ++i) {
        const auto r = traced(*f, "\"after\"");  // the function is not quicker
        INFO(r.log_tail);
        CHECK(has(r.log_tail, "watcher: done 1\n"));
        CHECK(soon([&] { return w->metrics().pool.idle == 1; }));
    }
    // What there was to be told of is gone.
    w->shut_down();
    CHECK_FALSE(has(heard->text(), "SHUTDOWN"));
}

TEST_CASE("ten extensions are started before the runtime, an eleventh is too many") {
    std::vector<std::string> names;
    for (int i = 0; i < 10; ++i) names.push_back("e" + std::to_string(i));
    auto w = make();
    auto s = with_extensions("function_http", names);
    s.memory = hearth::byte_count(512u << 20);
    s.snapshot = false;
    auto f = w->deploy(s);
    const auto first = traced(*f, "\"env\"");
    INFO(first.log_tail);
    CHECK(first.ok());
    // Each was told; the log's tail has the last lines only.
    CHECK(soon([&] { return w->metrics().pool.idle == 1; }));

    names.push_back("e10");
    auto more = with_extensions("function_http", names);
    CHECK(why(*w->deploy(std::move(more))) ==
          "Extension.LaunchError: /opt/extensions has 11 extensions, at most 10 can be started");
}

TEST_CASE("the runtime begins when the extensions have registered") {
    auto w = make();
    auto s = with_extensions("function_http", {"watcher"}, "watcher=late;");
    s.snapshot = false;
    auto f = w->deploy(std::move(s));
    const auto r = traced(*f);
    INFO(r.log_tail);
    CHECK(has(r.log_tail, "EXTENSION\tName: watcher\tState: Ready\tEvents: [INVOKE,SHUTDOWN]\n"));
    const auto enrolls = r.log_tail.find("watcher: enrolls");
    const auto began = r.log_tail.find("init\n");
    REQUIRE(enrolls != std::string::npos);
    REQUIRE(began != std::string::npos);
    CHECK(enrolls < began);
}

TEST_CASE("init is over when an extension has asked for its first event") {
    const auto heard = std::make_shared<listener>();
    auto w = make(listening(heard));
    auto s = with_extensions("function_http", {"watcher"}, "watcher=ponder;");
    SECTION("without hooks") {}
    SECTION("with hooks after the restore") { s.environment["HOOKS"] = "none"; }
    auto f = w->deploy(std::move(s));
    REQUIRE(f->initialize().has_value());
    CHECK(has(heard->text(), "watcher: pondered"));
    CHECK(traced(*f).report.start == start_kind::restored);
    CHECK(soon([&] { return has(heard->text(), "watcher: done 1"); }));
}

TEST_CASE("an extension that does not start says why the function does not") {
    auto w = make();
    auto o = options();
    o.init_limit = 500ms;
    auto impatient = make(o);
    const auto deploy = [](auto& where, const std::string& behave) {
        return where->deploy(with_extensions("function_http", {"watcher"}, behave));
    };
    CHECK(why(*deploy(w, "watcher=die;")) == "Extension.Crash: extension watcher: exit status 7");
    CHECK(why(*deploy(w, "watcher=init error;")) ==
          "Extension.InitError: extension watcher: Test.Asked");
    CHECK(has(why(*deploy(impatient, "watcher=mute;")),
              "Init phase timed out after 0.50 seconds: extension watcher has not registered"));
    CHECK(has(why(*deploy(impatient, "watcher=misnamed;")),
              "extension watcher has not registered (under its file's name, watcher)"));
    const auto refused = why(*w->deploy(with_extensions("function_http", {"watcher"}, "", 0644)));
    INFO(refused);
    CHECK(refused.starts_with("Extension.LaunchError: /opt/extensions/watcher: "));
    CHECK(has(refused, "execute permission"));
}

TEST_CASE("an extension that fails takes its environment with it") {
    auto w = make();
    const auto ended = [&](const std::string& behave, bool snapshot) {
        auto s = with_extensions("function_http", {"watcher"}, behave);
        s.snapshot = snapshot;
        auto f = w->deploy(std::move(s));
        REQUIRE(f->initialize().has_value());
        const auto r = traced(*f, "\"sleep\"");  // it would, for ever
        CHECK_FALSE(r.ok());
        // The next invocation has another environment.
        CHECK_FALSE(traced(*f, "\"sleep\"").report.start == start_kind::warm);
        return r.payload;
    };
    const bool snapshot = GENERATE(true, false);
    CHECK(has(ended("watcher=crash;", snapshot), "Error: extension watcher: exit status 9"));
    CHECK(has(ended("watcher=exit error;", snapshot), R"({"errorType":"Extension.ExitError")"));
}

TEST_CASE("a caller does not wait for an extension, its next invocation has another environment") {
    auto w = make();
    auto f = w->deploy(with_extensions("function_http", {"watcher"}, "watcher=slow;"));
    REQUIRE(f->initialize().has_value());
    const auto r = traced(*f);
    INFO(r.log_tail);
    CHECK(r.ok());
    CHECK_FALSE(has(r.log_tail, "watcher: done"));
    CHECK(w->metrics().pool.running == 1);
    CHECK(w->metrics().pool.idle == 0);
    const auto other = answer_of(*f, "\"count\"");
    CHECK(other.payload == "1");
    CHECK(other.report.start == start_kind::restored);
    CHECK(soon([&] { return w->metrics().pool.idle == 2; }));
    // They were not done before their time; and not lost either.
    CHECK(traced(*f, "\"count\"").report.start == start_kind::warm);
}

TEST_CASE("an invocation's time is its extensions' too") {
    auto w = make();
    auto s = with_extensions("function_http", {"watcher"}, "watcher=endless;");
    s.timeout = 300ms;
    auto f = w->deploy(std::move(s));
    REQUIRE(f->initialize().has_value());
    CHECK(traced(*f).ok());
    CHECK(soon([&] { return w->metrics().pool.running == 0; }));
    CHECK(w->metrics().pool.idle == 0);
}

TEST_CASE("an extension that fails when the function has answered is told of in the log") {
    const hearth::test::temporary_directory directory;
    auto o = options();
    o.logs = hearth::logs::store::open({.directory = directory.path()}, nullptr).value();
    const auto logs = o.logs;
    auto w = make(o);
    auto f =
        w->deploy(with_extensions("function_http", {"watcher"}, "watcher=slow;watcher=crash;"));
    REQUIRE(f->initialize().has_value());
    CHECK(traced(*f).ok());
    w->drain();
    const auto page = logs->read({.group = "/aws/lambda/function_http"}).value();
    std::string text;
    for (const auto& e : page.events) text += e.message;
    INFO(text);
    CHECK(has(text, "Error: extension watcher: exit status 9\nExtension.Crash\n"));
    CHECK(w->metrics().pool.idle == 0);
}

TEST_CASE("a drained worker has waited for extensions, a stopped one does not") {
    auto w = make();
    SECTION("drained") {
        auto f = w->deploy(with_extensions("function_http", {"watcher"}, "watcher=slow;"));
        REQUIRE(f->initialize().has_value());
        CHECK(traced(*f).ok());
        w->drain();
        CHECK(w->metrics().pool.running == 0);
    }
    SECTION("stopped") {
        auto f = w->deploy(with_extensions("function_http", {"watcher"}, "watcher=endless;"));
        REQUIRE(f->initialize().has_value());
        CHECK(traced(*f).ok());
        w->shut_down();
    }
}

TEST_CASE("an internal extension may not ask for SHUTDOWN, and has its invocations") {
    auto w = make();
    auto s = with_extensions("function_http", {"watcher"}, "watcher=internal;");
    s.snapshot = false;
    auto f = w->deploy(std::move(s));
    const auto r = traced(*f, "\"after\"");
    INFO(r.log_tail);
    CHECK(has(r.log_tail, "watcher: refused {\"errorType\":\"Extension.InvalidEventType\""));
    CHECK(has(r.log_tail, "watcher: refused {\"errorType\":\"Extension.InvalidExtensionState\""));
    CHECK(has(r.log_tail, "EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]\n"));
    CHECK(has(r.log_tail, "watcher: inner event INVOKE\n"));
}

TEST_CASE("an extension without events is waited for at init only") {
    auto w = make();
    auto f = w->deploy(with_extensions("function_http", {"watcher"}, "watcher=cold;"));
    REQUIRE(f->initialize().has_value());
    for (int i = 1; i <= 2; ++i) CHECK(traced(*f, "\"count\"").payload == std::to_string(i));
}

TEST_CASE("an environment that has served tells its extensions of its end") {
    const auto heard = std::make_shared<listener>();
    auto o = listening(heard);
    const bool detached = GENERATE(true, false);
    o.detach_after = detached ? 1ms : 1h;
    INFO(detached);
    auto w = make(o);
    auto s = with_extensions("function_http", {"first", "second"}, "second=last;");
    s.pool.idle_ttl = 300ms;
    const auto both_left = [&] {
        const auto text = heard->text();
        return has(text, "first: leaves") && has(text, "second: leaves");
    };
    SECTION("it was idle for long enough") {
        auto f = w->deploy(std::move(s));
        REQUIRE(f->initialize().has_value());
        CHECK(traced(*f).ok());
        CHECK(soon(both_left));
        CHECK(soon([&] { return w->metrics().pool.idle == 0; }));
    }
    SECTION("its function goes") {
        s.pool.idle_ttl = 1h;
        auto f = w->deploy(std::move(s));
        REQUIRE(f->initialize().has_value());
        CHECK(traced(*f).ok());
        CHECK(soon([&] { return w->metrics().pool.idle == 1; }));
        f->retire();
        CHECK(soon(both_left));
    }
    SECTION("the worker stops") {
        s.pool.idle_ttl = 1h;
        auto f = w->deploy(std::move(s));
        REQUIRE(f->initialize().has_value());
        CHECK(traced(*f).ok());
        CHECK(soon([&] { return w->metrics().pool.idle == 1; }));
        w->shut_down();
        CHECK(both_left());
    }
    const auto text = heard->text();
    INFO(text);
    CHECK(
        has(text,
            "event {\"eventType\":\"SHUTDOWN\",\"shutdownReason\":\"spindown\",\"deadlineMs\":1"));
}

TEST_CASE("an invocation that takes too long ends, and its extensions hear why") {
    const auto heard = std::make_shared<listener>();
    auto w = make(listening(heard));
    auto s = with_extensions("function_http", {"first", "second"}, "second=last;");
    s.timeout = 300ms;
    const auto how = GENERATE(as<std::string>(), "\"sleep\"", "\"loop\"", "with a spinner");
    INFO(how);
    if (how == "with a spinner") s.environment["SPIN"] = "on";  // a process of the function's own
    auto f = w->deploy(std::move(s));
    REQUIRE(f->initialize().has_value());
    const auto r = traced(*f, how == "\"loop\"" ? how : "\"sleep\"");
    CHECK(has(r.payload, "Sandbox.Timedout"));
    CHECK(soon([&] {
        const auto text = heard->text();
        return has(text, "first: leaves") && has(text, "second: leaves");
    }));
    CHECK(has(heard->text(), "\"shutdownReason\":\"timeout\""));
}

TEST_CASE("an invocation whose process or extension crashes ends, and the others hear of it") {
    const auto heard = std::make_shared<listener>();
    auto w = make(listening(heard));
    struct crash {
        std::string event, behave, error;
    };
    const auto [event, behave, error] =
        GENERATE(values<crash>({{"\"exit\"", "second=last;", "exit status 3"},
                                {"\"abort\"", "", "signal: aborted"},
                                {"\"sleep\"", "third=crash;", "extension third: exit status 9"},
                                {"\"sleep\"", "third=exit error;", "Extension.ExitError"}}));
    auto s = with_extensions("function_http", {"first", "second", "third"}, behave);
    const bool spins = GENERATE(false, true);
    if (spins) s.environment["SPIN"] = "on";  // a process of the function's own
    s.snapshot = GENERATE(true, false);
    INFO(behave << event << spins << s.snapshot);
    const bool all_leave = event != "\"sleep\"";
    auto f = w->deploy(std::move(s));
    REQUIRE(f->initialize().has_value());
    const auto r = traced(*f, event);
    CHECK_FALSE(r.ok());
    CHECK(has(r.payload, error));
    CHECK(soon([&] {
        const auto text = heard->text();
        return has(text, "first: leaves") && has(text, "second: leaves") &&
               (!all_leave || has(text, "third: leaves"));
    }));
    CHECK(has(heard->text(), "\"shutdownReason\":\"failure\""));
    CHECK(has(heard->text(), "third: leaves") == all_leave);
    if (all_leave) CHECK(traced(*f, "\"count\"").payload == "1");
}

TEST_CASE(
    "an environment that has not served ends without a word, one that is deaf after two seconds") {
    const auto heard = std::make_shared<listener>();
    auto w = make(listening(heard));
    auto f = w->deploy(with_extensions("function_http", {"watcher"}, "watcher=deaf;"));
    REQUIRE(f->initialize().has_value());
    if (GENERATE(false, true)) {
        CHECK(traced(*f).ok());
        CHECK(soon([&] { return w->metrics().pool.idle == 1; }));
        const auto start = std::chrono::steady_clock::now();
        w->shut_down();
        CHECK(std::chrono::steady_clock::now() - start >= 2s);
        CHECK(has(heard->text(), "SHUTDOWN"));
    } else {
        w->shut_down();
        CHECK_FALSE(has(heard->text(), "SHUTDOWN"));
    }
}
