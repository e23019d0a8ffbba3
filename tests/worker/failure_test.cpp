#include "worker/failure.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <csignal>

using namespace hearth;
using namespace hearth::worker;

TEST_CASE("exits read as on Lambda") {
    CHECK(exit_failure({3, 0}, "").message == "Runtime exited with error: exit status 3");
    CHECK(exit_failure({0, 0}, "").message == "Runtime exited without providing a reason");
    CHECK(exit_failure({0, SIGSEGV}, "").message ==
          "Runtime exited with error: signal: segmentation fault");
    CHECK(exit_failure({0, SIGKILL}, "").message == "Runtime exited with error: signal: killed");
    CHECK(exit_failure({0, 44}, "").message == "Runtime exited with error: signal: signal 44");
    CHECK(exit_failure({3, 0}, "").type == "Runtime.ExitError");
}

TEST_CASE("status 127 says what ld.so said") {
    CHECK(exit_failure({127, 0}, "libx.so.1: cannot open").message ==
          "Runtime exited with error: exit status 127: libx.so.1: cannot open");
    CHECK(exit_failure({126, 0}, "libx.so.1: cannot open").message ==
          "Runtime exited with error: exit status 126");
}

TEST_CASE("timeouts have two decimals") {
    CHECK(timeout_failure(std::chrono::milliseconds(3000)).message ==
          "Task timed out after 3.00 seconds");
    CHECK(timeout_failure(std::chrono::milliseconds(250)).message ==
          "Task timed out after 0.25 seconds");
    CHECK(timeout_failure(std::chrono::milliseconds(250)).type == "Sandbox.Timedout");
}

TEST_CASE("documents are JSON whatever the guest wrote") {
    std::string nasty = "quote \" backslash \\ newline \n tab \t bell \a high ";
    for (int i = 128; i < 256; ++i) nasty.push_back(static_cast<char>(i));
    const auto value = boost::json::parse(error_document({"T\"y", nasty}, "id"));
    CHECK(value.at("errorType").as_string() == "T\"y");
    CHECK(std::string(value.at("errorMessage").as_string())
              .starts_with("RequestId: id Error: quote \" backslash \\ newline \n"));
}
