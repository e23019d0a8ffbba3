// What a function's environments leave in its log files.

#include "functions.hpp"
#include "logs/log_store.hpp"
#include "temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <set>
#include <thread>

using namespace functions;
using namespace hearth;
using hearth::test::temporary_directory;

namespace {

std::vector<log_event> kept(const logs::store& s, const std::string& group) {
    const auto page = s.read({.group = group});
    return page.has_value() ? page->events : std::vector<log_event>();
}

std::string messages(const std::vector<log_event>& events) {
    std::string all;
    for (const auto& e : events) all += e.message;
    return all;
}

struct logged {
    temporary_directory directory;
    std::shared_ptr<logs::store> store =
        logs::store::open({.directory = directory.path()}, nullptr).value();
    std::unique_ptr<worker::worker> worker = make(with(store));

    static worker::worker_options with(std::shared_ptr<logs::store> s) {
        auto o = options();
        o.logs = std::move(s);
        return o;
    }
};

}  // namespace

TEST_CASE(
    "a function's log files have its init, and START, output, END and REPORT of each invocation") {
    logged l;
    auto s = spec("function_http");
    s.snapshot = false;
    auto f = l.worker->deploy(std::move(s));
    auto e = event("\"env\"");
    const std::string id = e.request_id;
    const auto r = f->invoke(std::move(e)).value();
    const auto events = kept(*l.store, "/aws/lambda/function_http");
    const std::string all = messages(events);
    CHECK(all == r.log_tail);
    REQUIRE(events.size() > 5);
    CHECK(events[0].message == "init\n");
    CHECK(events[1].message == "START RequestId: " + id + " Version: $LATEST\n");
    CHECK(events.back().message == to_string(r.report) + "\n");
    for (const auto& each : events) CHECK(each.stream == events[0].stream);
    // The names that the guest is told are those.
    CHECK(all.find("AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/function_http\n") != all.npos);
    CHECK(all.find("AWS_LAMBDA_LOG_STREAM_NAME=" + events[0].stream + "\n") != all.npos);
    CHECK(events[0].stream.find("/[$LATEST]") == 10);
    CHECK(events[0].stream.size() == 10 + 10 + 32);
}

TEST_CASE("clones write to the stream whose name they have, also after a restart") {
    logged l;
    auto options = logged::with(l.store);
    const temporary_directory snapshots;
    options.snapshot_directory = snapshots.path();
    auto s = spec("function_http");
    s.log_group = "/shared/group";
    std::set<std::string> streams;
    for (int run = 0; run < 2; ++run) {
        auto w = make(options);
        auto f = w->deploy(s);
        REQUIRE(f->initialize().has_value());
        const auto r = f->invoke(event("\"env\"")).value();
        CHECK(r.report.start == start_kind::restored);
        CHECK(r.log_tail.find("AWS_LAMBDA_LOG_GROUP_NAME=/shared/group\n") != r.log_tail.npos);
        const auto at = r.log_tail.find("AWS_LAMBDA_LOG_STREAM_NAME=");
        REQUIRE(at != r.log_tail.npos);
        streams.insert(r.log_tail.substr(at + 27, 52));
    }
    CHECK(streams.size() == 1);
    const auto events = kept(*l.store, "/shared/group");
    for (const auto& each : events) CHECK(each.stream == *streams.begin());
    const std::string all = messages(events);
    CHECK(all.starts_with("init\nINIT_REPORT Init Duration: "));
    CHECK(all.find(" ms\tPhase: init\tStatus: success\n") != all.npos);
    CHECK(all.find("INIT_REPORT") == all.rfind("INIT_REPORT"));  // there was one init
}

TEST_CASE("an init that fails, an exit and a timeout are in the log files too") {
    logged l;
    auto s = spec("function_init");
    s.environment = {{"INIT", "error"}};
    CHECK(l.worker->deploy(s)->invoke(event("1")).has_error());
    std::string all = messages(kept(*l.store, "/aws/lambda/function_init"));
    CHECK(all.starts_with("about to error\nINIT_REPORT Init Duration: "));
    CHECK(all.ends_with("Phase: init\tStatus: error\tError Type: Runtime.ImportModuleError\n"));

    s = spec("function_http");
    s.timeout = std::chrono::milliseconds(200);
    auto f = l.worker->deploy(s);
    for (const char* how : {"\"exit\"", "\"loop\""}) {
        const auto r = f->invoke(event(how)).value();
        CHECK(!r.ok());
        all = messages(kept(*l.store, "/aws/lambda/function_http"));
        CHECK(all.ends_with(r.log_tail.substr(r.log_tail.find("START "))));
    }
    CHECK(all.find("Task timed out after 0.20 seconds\n") != all.npos);
}

TEST_CASE("with LogFormat JSON the platform's lines are records") {
    logged l;
    auto s = spec("function_http");
    s.json_logs = true;
    s.system_log_level = "DEBUG";
    auto f = l.worker->deploy(s);
    CHECK(f->invoke(event("7")).value().ok());
    const std::string all = messages(kept(*l.store, "/aws/lambda/function_http"));
    std::size_t at = 0;
    for (const char* type : {"init\n", "platform.initReport", "platform.start",
                             "platform.runtimeDone", "platform.report"}) {
        INFO(type << " in " << all);
        at = all.find(type, at);
        REQUIRE(at != all.npos);
    }
    CHECK(all.find("START ") == all.npos);
}

TEST_CASE("an in-process function's invocations are in its log files") {
    logged l;
    auto s = spec("function_http");
    s.code = image::package_image::load(package::in_process([](std::string_view e) {
                 return std::string(e);
             })).value();
    auto f = l.worker->deploy(s);
    const auto r = f->invoke(event("1")).value();
    CHECK(messages(kept(*l.store, "/aws/lambda/function_http")) == r.log_tail);
}
