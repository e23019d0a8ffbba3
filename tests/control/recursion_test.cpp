// Loops of invocations: the chain in a trace header, and where a function is not invoked again.

#include "control/lineage.hpp"
#include "control_test_support.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <string>
#include <string_view>
#include <utility>

using namespace hearth;
using namespace hearth::test;
using namespace std::chrono_literals;
using control::max_visits;
using control::merged_trace;
using control::visits;
using control::with_visit;
namespace json = boost::json;

namespace {

const std::string g_arn = "arn:aws:lambda:us-east-1:000000000000:function:g";

/// A header of a chain in which the function was invoked so often.
std::string after(std::uint32_t times, std::string_view function_arn = arn) {
    std::string header = "Root=1-2";
    for (std::uint32_t i = 0; i < times; ++i) header = with_visit(header, function_arn);
    return header;
}

struct loop_world : control_fixture {
    queue_service& queues() { return control->queues(); }
    std::uint64_t dropped(const std::string& name) {
        for (const function_metrics& m : control->metrics().by_function)
            if (m.name == name) return m.recursive_dropped;
        return 0;
    }
    bool ended() {
        return eventually([&] { return control->metrics().async_events_queued == 0; });
    }
};

}  // namespace

TEST_CASE("a trace header counts each function of its chain") {
    CHECK(visits("", arn) == 0);
    CHECK(visits("Root=1;Sampled=0", arn) == 0);
    const std::string once = with_visit("Root=1;Parent=2;Sampled=0", arn);
    CHECK(once.starts_with("Root=1;Parent=2;Sampled=0;Lineage=1:"));
    CHECK(once.ends_with(":0"));
    CHECK(visits(once, arn) == 1);
    CHECK(visits(once, g_arn) == 0);
    const std::string both = with_visit(with_visit(once, g_arn), arn);
    CHECK(visits(both, arn) == 2);
    CHECK(visits(both, g_arn) == 1);
    CHECK(both.find("|2:") != both.npos);
    // As AWS's SDK for Python writes it, and with the field elsewhere.
    std::string escaped = both;
    escaped.replace(escaped.find('|'), 1, "%7C");
    CHECK(visits(escaped, g_arn) == 1);
    CHECK(visits(both.substr(both.find("Lineage")) + ";Root=1", arn) == 2);
    CHECK(with_visit("", arn).starts_with("Lineage=1:"));
}

TEST_CASE("what is no lineage is left out of a header") {
    for (const char* bad :
         {"Lineage=", "Lineage=a87bd80c:1|68fd508a:5", "Lineage=1:a87bd80c", "Lineage=1::0",
          "Lineage=256:a87bd80c:0", "Lineage=1:a87bd80c:32768", "Lineage=1:a87bd80:0",
          "Lineage=1:a87bd80c:-1", "Lineage=1:a87bd80g:0", "Lineage=1:a87bd80c:0:0", "Lineage=|||",
          "Lineage=99999999999999999999:a87bd80c:0"}) {
        CAPTURE(bad);
        CHECK(with_visit("Root=1;" + std::string(bad), arn) == with_visit("Root=1", arn));
    }
    // One of AWS's own is another function's.
    CHECK(with_visit("Root=1;Lineage=1:36680206:0", arn)
              .starts_with("Root=1;Lineage=1:36680206:0|2:"));
    std::string many = "Root=1";
    for (int i = 0; i < 100; ++i) many = with_visit(many, arn + std::to_string(i));
    CHECK(many.size() < 256);  // what a native guest has room for
    CHECK(visits(many, arn + "0") == 1);
    CHECK(visits(many, arn + "99") == 0);
    std::string doubled = "Lineage=1:a87bd80c:1|1:a87bd80c:2";
    CHECK(merged_trace({doubled}) == "Lineage=1:a87bd80c:1");
}

TEST_CASE("several headers are one, with the highest counts") {
    CHECK(merged_trace({}).empty());
    CHECK(merged_trace({"", std::string_view("Root=1\r\nX: y"), std::string(1025, 'x')}).empty());
    const std::string first = after(2), second = with_visit(after(5), g_arn);
    const std::string both = merged_trace({"", first, second});
    CHECK(visits(both, arn) == 5);
    CHECK(visits(both, g_arn) == 1);
    CHECK(visits(merged_trace({second, first}), arn) == 5);
    CHECK(both.starts_with("Root=1-2;"));
}

TEST_CASE("a function is invoked 16 times in a chain of requests, and not again") {
    loop_world w;
    w.create("f"), w.create("g");
    std::string header = "Root=1-2";
    for (std::uint32_t i = 0; i < max_visits; ++i) {
        REQUIRE(w.control->invoke("f", "{}", {.trace_id = header}).has_value());
        const std::scoped_lock lock(w.worker.last_mutex);
        header = w.worker.last.trace_id;
    }
    const auto refused = w.control->invoke("f", "{}", {.trace_id = header});
    CHECK(refused.error() == errc::recursive_invocation);
    CHECK(refused.error().message().find("RecursiveLoop Allow") != std::string::npos);
    CHECK(w.worker.runs() == max_visits);
    CHECK(w.dropped("f") == 1);
    // A version is the same function; another one is not, nor is another chain.
    w.publish("f");
    CHECK(w.control->invoke("f", "{}", {.trace_id = header}, "1").error() ==
          errc::recursive_invocation);
    CHECK(w.control->invoke("g", "{}", {.trace_id = header}).has_value());
    CHECK(w.control->invoke("f", "{}", {.trace_id = "Root=1-2"}).has_value());
    CHECK(w.control->invoke("f", "{}").has_value());
    CHECK(w.dropped("f") == 2);
    CHECK(w.dropped("g") == 0);

    w.control->put_function_recursion_config("f", "Allow").value();
    CHECK(w.control->invoke("f", "{}", {.trace_id = header}).has_value());
    w.control->put_function_recursion_config("f", "Terminate").value();
    CHECK(w.control->invoke("f", "{}", {.trace_id = header}).has_error());
    CHECK(w.dropped("f") == 3);
}

TEST_CASE("an event of a loop goes to its destinations without being delivered") {
    loop_world w;
    w.create("f");
    w.queues().create("failed").value();
    w.queues().create("dead").value();
    event_invoke_request r{.function_name = "f", .has_destinations = true};
    r.on_failure = w.queues().arn_of("failed");
    w.control->put_event_invoke_config(r).value();
    update_function_configuration_request u;
    u.function_name = "f";
    u.dead_letter_target_arn = w.queues().arn_of("dead");
    w.control->update_function_configuration(std::move(u)).value();
    settle(*w.control, "f");

    w.control->enqueue("f", R"({"n":1})", {.trace_id = after(max_visits)}).value();
    REQUIRE(w.ended());
    CHECK(w.worker.runs() == 0);
    CHECK(w.dropped("f") == 1);
    const auto record = w.queues().find("failed")->receive().value().at(0);
    const json::value said = json::parse(record.body);
    CHECK(said.at("requestContext").at("condition") == "RetriesExhausted");
    CHECK(said.at("requestContext").at("approximateInvokeCount") == 0);
    CHECK(said.at("responseContext").at("statusCode") == 400);
    CHECK(visits(record.trace_header, arn) == max_visits);
    const auto dead = w.queues().find("dead")->receive().value().at(0);
    CHECK(dead.body == R"({"n":1})");
    CHECK(dead.attributes.at("ErrorCode").value == "400");
}

TEST_CASE("functions that are each other's destinations come to an end") {
    std::atomic<std::uint32_t> runs = 0;
    loop_world w;
    for (const char* name : {"f", "g"})
        w.control
            ->deploy({.name = name, .package = package::in_process([&](std::string_view) {
                                        ++runs;
                                        return std::string("null");
                                    })})
            .value();
    for (const auto& [from, to] : {std::pair("f", "g"), std::pair("g", "f")}) {
        event_invoke_request r{.function_name = from, .has_destinations = true};
        r.on_success = w.control->function_arn(to).value();
        w.control->put_event_invoke_config(r).value();
    }
    w.control->enqueue("f", "{}").value();
    REQUIRE(w.ended());
    CHECK(runs == 2 * max_visits);
    CHECK(w.dropped("f") == 1);
    CHECK(w.dropped("g") == 0);
}

TEST_CASE("a message that goes round in a loop is left to its queue's redrive policy") {
    loop_world w;
    w.queues().create("dead").value();
    queue jobs =
        w.queues()
            .create("jobs", {{"VisibilityTimeout", "1"},
                             {"RedrivePolicy", R"({"maxReceiveCount":"2","deadLetterTargetArn":")" +
                                                   w.queues().arn_of("dead") + "\"}"}})
            .value();
    create_function_request r = creation("f");
    r.settings.timeout = 1s;
    w.control->create_function(std::move(r)).value();
    settle(*w.control, "f");
    jobs.send({.body = "round", .trace_header = after(max_visits)}).value();
    jobs.send({.body = "straight", .trace_header = after(3)}).value();
    jobs.send({.body = "new"}).value();
    const auto made = w.control->create_event_source_mapping(
        {.event_source_arn = jobs.arn(), .function_name = "f", .batch_size = 1});
    REQUIRE(made.has_value());
    REQUIRE(eventually([&] {
        return w.queues().attributes("dead").value().at("ApproximateNumberOfMessages") == "1";
    }));
    CHECK(w.queues().find("dead")->receive().value().at(0).body == "round");
    CHECK(w.dropped("f") == 2);
    REQUIRE(eventually([&] { return w.worker.runs() == 2; }));
    const std::scoped_lock lock(w.worker.last_mutex);
    for (const std::string& each : w.worker.events) CHECK(each.find("round") == each.npos);
}

TEST_CASE("a function that is invoked for a message is given its trace") {
    loop_world w;
    w.queues().create("jobs", {{"VisibilityTimeout", "60"}}).value();
    queue jobs = w.queues().find("jobs").value();
    w.create("f");
    const auto next = [&](const std::string& header, std::size_t runs) {
        jobs.send({.body = "x", .trace_header = header}).value();
        REQUIRE(eventually([&] { return w.worker.runs() == runs; }));
        const std::scoped_lock lock(w.worker.last_mutex);
        return w.worker.last.trace_id;
    };
    w.control->create_event_source_mapping({.event_source_arn = jobs.arn(), .function_name = "f"})
        .value();
    CHECK(next(after(3), 1) == after(4));
    // Without one it begins a chain, so that its SDK has what to hand on.
    const std::string begun = next("", 2);
    CHECK(begun.starts_with("Root=1-"));
    CHECK(visits(begun, arn) == 1);
}
