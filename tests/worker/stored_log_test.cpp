// Lambda's own lines, as text and as JSON, and which of them a level shows.

#include "worker/stored_log.hpp"

#include "temporary_directory.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using namespace hearth;
using namespace std::chrono_literals;
namespace json = boost::json;

namespace {

/// What one cold invocation leaves that ends so, after an init that makes a snapshot.
std::vector<std::string> lines(bool is_json,
                               const std::string& system_level,
                               const std::string& status = "success") {
    const hearth::test::temporary_directory d;
    const auto store = logs::store::open({.directory = d.path()}, nullptr).value();
    worker::version_spec spec;
    spec.function_name = "f";
    spec.json_logs = is_json;
    spec.system_log_level = system_level;
    spec.application_log_level = "ERROR";
    worker::stored_log log(spec, store.get());
    log.open_stream(worker::make_log_stream_name("7"));
    log.output("hello\n{\"level\":\"ERROR\"}\n");
    log.init_ended(1234567us, "init", "success", {});
    log.begin("id-1");
    invocation_report report;
    report.request_id = "id-1";
    report.start = start_kind::cold;
    report.duration = 10'500us;
    report.boot = 1ms, report.init = 2ms;
    report.billed = 14ms;
    report.memory_size = byte_count(128u << 20);
    report.max_memory_used = byte_count((5u << 20) + 1);
    if (status != "success") log.failed("it failed\n");
    log.end(report, "REPORT line", status, status == "success" ? "" : "Runtime.ExitError");
    const auto page = store->read({.group = "/aws/lambda/f"}).value();
    std::vector<std::string> all;
    for (const auto& e : page.events) all.push_back(e.message);
    return all;
}

std::vector<std::string> types(const std::string& system_level,
                               const std::string& status = "success") {
    std::vector<std::string> all;
    for (const auto& line : lines(true, system_level, status)) {
        const auto o = json::parse(line).as_object();
        if (const auto* type = o.if_contains("type")) all.emplace_back(type->as_string());
    }
    return all;
}

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE("as text: init, START, END and REPORT") {
    CHECK(lines(false, "") ==
          texts{"hello\n", "{\"level\":\"ERROR\"}\n",
                "INIT_REPORT Init Duration: 1234.56 ms\tPhase: init\tStatus: success\n",
                "START RequestId: id-1 Version: $LATEST\n", "END RequestId: id-1\n",
                "REPORT line\n"});
    CHECK(lines(false, "", "error").at(4) == "it failed\n");
}

TEST_CASE("as JSON: platform records, and the function's lines of its level") {
    const auto all = lines(true, "");
    REQUIRE(all.size() == 4);
    CHECK(all[0] == "{\"level\":\"ERROR\"}\n");
    const auto start = json::parse(all[2]).as_object();
    CHECK(start.at("type") == "platform.start");
    CHECK(start.at("record") == json::parse(R"({"requestId":"id-1","version":"$LATEST"})"));
    const std::string time(start.at("time").as_string());
    CHECK(time.size() == std::string("2025-11-27T12:00:00.000Z").size());
    CHECK((time[10] == 'T' && time[19] == '.' && time.back() == 'Z'));
    const auto report = json::parse(all[3]).as_object();
    CHECK(report.at("type") == "platform.report");
    CHECK(report.at("record") ==
          json::parse(R"({"requestId":"id-1","metrics":{"durationMs":10.5,"billedDurationMs":14,
              "memorySizeMB":128,"maxMemoryUsedMB":6,"initDurationMs":3E0},"status":"success"})"));
}

TEST_CASE("the system's level says which records there are") {
    CHECK(types("") == texts{"platform.initReport", "platform.start", "platform.report"});
    CHECK(types("DEBUG") == texts{"platform.initReport", "platform.start", "platform.runtimeDone",
                                  "platform.report"});
    CHECK(types("WARN").empty());
    CHECK(types("WARN", "error") == texts{"platform.runtimeDone", "platform.report"});
    const auto failed = lines(true, "WARN", "timeout");
    CHECK(json::parse(failed.back()).at("record").at("status") == "timeout");
    CHECK(json::parse(failed.back()).at("record").at("errorType") == "Runtime.ExitError");
}

TEST_CASE("where no logs are kept nothing is done") {
    worker::version_spec spec;
    worker::stored_log log(spec, nullptr);
    log.open_stream("s");
    log.output("x");
    log.begin("id");
    log.settle();
    log.failed("y\n");
    log.end({}, "REPORT", "success", {});
    log.init_ended(1s, "init", "error", "E");
    CHECK(log.stream() == "s");
}
