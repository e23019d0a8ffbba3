// DESIGN, "What happens when": every row that needs no snapshot, limit or queue.

#include "functions.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

using namespace functions;
using namespace std::chrono_literals;
using hearth::start_kind;

namespace {
std::string type_of(const hearth::response& r) {
    return std::string(boost::json::parse(r.payload).at("errorType").as_string());
}
std::string message_of(const hearth::response& r) {
    return std::string(boost::json::parse(r.payload).at("errorMessage").as_string());
}
}  // namespace

TEST_CASE("a handler that raises: the runtime's payload, and the environment is kept") {
    const auto guest = GENERATE(as<std::string>(), "function_http", "function_native");
    auto w = make();
    auto f = w->deploy(spec(guest));
    const auto r = f->invoke(event("\"fail\"")).value();
    CHECK(r.function_error == "Unhandled");
    CHECK(r.payload == R"({"errorMessage":"as asked","errorType":"Asked"})");
    CHECK(f->invoke(event("1")).value().report.start == start_kind::warm);
    CHECK(w->metrics().function_errors == 1);
}

TEST_CASE("a timeout: said so, and the environment is destroyed") {
    const auto how = GENERATE(as<std::string>(), "\"loop\"", "\"sleep\"");
    INFO(how);
    auto s = spec("function_http");
    s.timeout = 1s;
    auto w = make();
    auto f = w->deploy(std::move(s));
    CHECK(f->invoke(event("1")).value().ok());
    const auto start = std::chrono::steady_clock::now();
    const auto r = f->invoke(event(how)).value();
    const auto took = std::chrono::steady_clock::now() - start;
    CHECK(r.function_error == "Unhandled");
    CHECK(type_of(r) == "Sandbox.Timedout");
    CHECK(message_of(r).ends_with("Task timed out after 1.00 seconds"));
    CHECK(r.log_tail.find("Task timed out after 1.00 seconds\n") != std::string::npos);
    CHECK(took >= 999ms);
    CHECK(took < 10s);
    CHECK(f->invoke(event("1")).value().report.start == start_kind::restored);
    CHECK(w->metrics().pool.destroyed == 1);
}

TEST_CASE("a guest that ends: exit status or signal, and the environment is destroyed") {
    struct row {
        const char* event;
        const char* message;
    };
    const auto row_ =
        GENERATE(row{"\"exit\"", "Runtime exited with error: exit status 3"},
                 row{"\"exit 0\"", "Runtime exited without providing a reason"},
                 row{"\"segv\"", "Runtime exited with error: signal: segmentation fault"},
                 row{"\"stack\"", "Runtime exited with error: signal: segmentation fault"},
                 row{"\"abort\"", "Runtime exited with error: signal: aborted"});
    INFO(row_.event);
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    auto e = event(row_.event);
    const auto id = e.request_id;
    const auto r = f->invoke(std::move(e)).value();
    CHECK(r.function_error == "Unhandled");
    CHECK(type_of(r) == "Runtime.ExitError");
    CHECK(message_of(r) == "RequestId: " + id + " Error: " + row_.message);
    CHECK(r.log_tail.find("REPORT RequestId: " + id) != std::string::npos);
    CHECK(f->invoke(event("1")).value().report.start == start_kind::restored);
}

TEST_CASE("a guest out of memory: peak and limit are told") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    const auto r = f->invoke(event("\"memory\"")).value();
    CHECK(type_of(r) == "Runtime.OutOfMemory");
    CHECK(message_of(r).find("of 128 MB") != std::string::npos);
    CHECK(r.report.max_memory_used.mebibytes() > 120);
    CHECK(r.report.max_memory_used.mebibytes() <= 128);
    CHECK(f->invoke(event("1")).value().report.start == start_kind::restored);
}

TEST_CASE("a guest that ends behind its response has answered, and is not used again") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    const auto r = f->invoke(event("\"after exit\"")).value();
    CHECK(r.ok());
    CHECK(r.payload == "done");
    CHECK(f->invoke(event("1")).value().report.start == start_kind::restored);
}

TEST_CASE("a response over 6 MB fails with its own error and the environment goes on") {
    auto w = make();
    auto f = w->deploy(spec("function_http"));
    const auto r = f->invoke(event("\"too large\"")).value();
    CHECK(r.function_error == "Unhandled");
    CHECK(type_of(r) == "Function.ResponseSizeTooLarge");
    CHECK(r.log_tail.find("too large 413\n") != std::string::npos);
    CHECK(f->invoke(event("1")).value().report.start == start_kind::warm);
}

TEST_CASE("a failed init says why and keeps its log") {
    struct row {
        const char* how;
        const char* reason;
    };
    const auto row_ = GENERATE(
        row{"exit", "Runtime.ExitError: Runtime exited with error: exit status 7"},
        row{"exit 0", "Runtime.ExitError: Runtime exited without providing a reason"},
        row{"segv", "Runtime.ExitError: Runtime exited with error: signal: segmentation fault"},
        row{"error", "Runtime.ImportModuleError: no such module"},
        row{"memory", "Runtime.OutOfMemory: "},
        row{"library", "libmissing.so.1: cannot open shared object file"});
    INFO(row_.how);
    auto s = spec("function_init");
    s.environment = {{"INIT", row_.how}};
    auto w = make();
    auto f = w->deploy(std::move(s));
    auto r = f->invoke(event("1"));
    REQUIRE(r.has_error());
    CHECK(r.error() == hearth::errc::init_failed);
    INFO(r.error().message());
    CHECK(r.error().message().find(row_.reason) != std::string::npos);
    CHECK(f->init_log().find(std::string("about to ") + row_.how) != std::string::npos);
    CHECK(f->initialize().error() == hearth::errc::init_failed);
    CHECK(w->metrics().pool.idle == 0);
    CHECK(w->metrics().guest_memory.bytes() == 0);
}

TEST_CASE("what cannot be started at all is a failed init as well") {
    auto s = spec("function_init");
    s.code = hearth::image::package_image::load(
                 hearth::package::elf(std::string(HEARTH_GUESTS_DIR) + "/function_init"))
                 .value();
    auto o = options();
    o.guest_root = "/proc/self/fd";  // a root with no interpreter in it
    auto w = make(o);
    auto dynamic = spec("hello_dynamic");
    auto r = w->deploy(std::move(dynamic))->invoke(event("1"));
    REQUIRE(r.has_error());
}
