// What a function that behaves sees and gives.

#include "functions.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <thread>
#include <vector>

using namespace functions;
using hearth::start_kind;

TEST_CASE("a function on plain sockets answers, cold and then warm") {
    const auto guest =
        GENERATE(as<std::string>(), "function_http", "function_http_dynamic", "function_native");
    INFO(guest);
    auto w = make();
    auto f = w->deploy(spec(guest));
    auto cold = f->invoke(event(R"({"n":1})")).value();
    CHECK(cold.ok());
    CHECK(cold.payload == R"({"n":1})");
    CHECK(cold.report.start == start_kind::cold);
    CHECK(cold.report.init.count() > 0);
    CHECK(cold.executed_version == "$LATEST");
    CHECK(cold.report.max_memory_used.bytes() > 0);
    CHECK(cold.report.max_memory_used <= cold.report.memory_size);
    for (int i = 0; i < 5; ++i) {
        auto warm = f->invoke(event("\"" + std::to_string(i) + "x\"")).value();
        CHECK(warm.ok());
        CHECK(warm.payload == "\"" + std::to_string(i) + "x\"");
        CHECK(warm.report.start == start_kind::warm);
        CHECK(warm.report.init.count() == 0);
    }
    const auto m = w->metrics();
    CHECK(m.pool.cold_starts == 1);
    CHECK(m.pool.warm_starts == 5);
    CHECK(m.pool.idle == 1);
    CHECK(m.pool.running == 0);
    CHECK(m.invocations == 6);
}

TEST_CASE("a warm environment keeps its globals and its files") {
    const auto guest = GENERATE(as<std::string>(), "function_http", "function_native");
    auto w = make();
    auto f = w->deploy(spec(guest));
    for (int i = 1; i <= 3; ++i)
        CHECK(f->invoke(event("\"count\"")).value().payload == std::to_string(i));
    if (guest == "function_http") {
        CHECK(f->invoke(event("\"tmp\"")).value().payload == "0 0");
        CHECK(f->invoke(event("\"tmp\"")).value().payload == "1 1");
    }
}

TEST_CASE("the log has START, the output, END and REPORT") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    auto e = event("\"env\"");
    const auto id = e.request_id;
    const auto r = f->invoke(std::move(e)).value();
    INFO(r.log_tail);
    CHECK(r.log_tail.starts_with("init\nSTART RequestId: " + id + " Version: $LATEST\n"));
    CHECK(r.log_tail.find("AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001\n") != std::string::npos);
    CHECK(r.log_tail.find("LAMBDA_TASK_ROOT=/var/task\n") != std::string::npos);
    CHECK(r.log_tail.find("AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128\n") != std::string::npos);
    CHECK(r.log_tail.find("\nEND RequestId: " + id + "\nREPORT RequestId: " + id + "\t") !=
          std::string::npos);
    CHECK(r.log_tail.find("Init Duration: ") != std::string::npos);
    const auto again = f->invoke(event("{}")).value();
    CHECK(again.log_tail.starts_with("START RequestId: "));
    CHECK(again.log_tail.find("Init Duration: ") == std::string::npos);
}

TEST_CASE("the function's own variables reach it") {
    auto s = spec("function_http");
    s.environment = {{"STAGE", "dev"}};
    auto w = make();
    CHECK(w->deploy(std::move(s))->invoke(event("\"env\"")).value().payload == "dev");
}

TEST_CASE("the native path hands over everything an event has") {
    auto w = make();
    auto f = w->deploy(spec("function_native"));
    auto e = event("\"about\"");
    e.trace_id = "Root=1-2-3";
    e.client_context = "{c}";
    const auto id = e.request_id;
    CHECK(f->invoke(std::move(e)).value().payload ==
          R"({"id":")" + id +
              R"(","arn":"arn:invoked","trace":"Root=1-2-3","context":"{c}","left":1})");
}

TEST_CASE("six megabytes go in and come out") {
    const auto guest = GENERATE(as<std::string>(), "function_http", "function_native");
    INFO(guest);
    auto w = make();
    auto f = w->deploy(spec(guest));
    std::string big(6u << 20, 'b');
    big.front() = big.back() = '"';
    for (int i = 0; i < 2; ++i) CHECK(f->invoke(event(big)).value().payload == big);
    big += ' ';
    auto refused = f->invoke(event(big));
    REQUIRE(refused.has_error());
    CHECK(refused.error() == hearth::errc::payload_too_large);
}

TEST_CASE("every way to speak HTTP that runtimes use works") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    CHECK(f->invoke(event("\"chunked\"")).value().payload == "\"chunked\"");
    CHECK(f->invoke(event("\"close\"")).value().payload == "\"close\"");
    CHECK(f->invoke(event("\"close header\"")).value().payload == "closing");
    CHECK(f->invoke(event("\"second connection\"")).value().payload == "other");
    CHECK(f->invoke(event("\"twice\"")).value().payload == "1");
    const auto r = f->invoke(event("\"wrong id\"")).value();
    CHECK(r.payload == "\"wrong id\"");
    CHECK(r.log_tail.find("wrong id 400\n") != std::string::npos);
    CHECK(f->invoke(event("\"garbage\"")).value().log_tail.find("garbage 400\n") !=
          std::string::npos);
    CHECK(w->metrics().pool.cold_starts == 1);
}

TEST_CASE("the environment is frozen only after what the guest does behind its response") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    const auto r = f->invoke(event("\"after\"")).value();
    CHECK(r.payload == "done");
    CHECK(r.log_tail.find("afterwards\n") != std::string::npos);
    CHECK(f->invoke(event("1")).value().report.start == start_kind::warm);
}

TEST_CASE("a sleeping handler takes as long as it sleeps") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    const auto r = f->invoke(event("\"nap\"")).value();
    CHECK(r.report.duration >= std::chrono::milliseconds(199));
    CHECK(r.report.duration < std::chrono::seconds(10));  // far from its timeout
}

TEST_CASE("initialize runs init ahead, and the first invocation is warm") {
    auto s = spec("function_http");
    s.pool.min_idle = 2;
    auto w = make();
    auto f = w->deploy(std::move(s));
    REQUIRE(f->initialize().has_value());
    CHECK(w->metrics().pool.idle == 2);
    CHECK(f->invoke(event("1")).value().report.start == start_kind::warm);
    CHECK(w->metrics().pool.idle == 2);
}

TEST_CASE("several threads invoke at once, each in an environment of its own") {
    auto w = make();
    auto f = w->deploy(spec("function_native"));
    std::vector<std::jthread> threads;
    std::atomic<int> right{0};
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < 20; ++i) {
                const auto payload = std::to_string(t * 1000 + i);
                if (f->invoke(event(payload)).value().payload == payload) ++right;
            }
        });
    threads.clear();
    CHECK(right == 80);
    CHECK(w->metrics().pool.cold_starts <= 4);
    const auto m = w->metrics().pool;
    CHECK(m.idle == m.cold_starts + m.restored_starts);
}

TEST_CASE("two workers with different options live side by side") {
    auto a_options = options();
    auto b_options = options();
    b_options.kick_signal_offset = 8;
    b_options.region = "eu-west-1";
    auto a = make(a_options), b = make(b_options);
    auto fa = a->deploy(spec("function_http")), fb = b->deploy(spec("function_http"));
    const auto ra = fa->invoke(event("\"env\"")).value(), rb = fb->invoke(event("\"env\"")).value();
    CHECK(ra.log_tail.find("AWS_REGION=us-east-1\n") != std::string::npos);
    CHECK(rb.log_tail.find("AWS_REGION=eu-west-1\n") != std::string::npos);
    a.reset();
    CHECK(fa->invoke(event("1")).error() == hearth::errc::shutting_down);
    CHECK(fb->invoke(event("1")).value().payload == "1");
}
