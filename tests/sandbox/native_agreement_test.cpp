// Each program runs natively first: Linux is the oracle, the microVM must agree to the byte.

#include "programs.hpp"

#include <catch2/catch.hpp>

#include <csignal>

#include <string>
#include <vector>

using namespace programs;

TEST_CASE("a guest program prints and ends as it does natively") {
    const auto name =
        GENERATE(as<std::string>(), "hello", "hello_pie", "hello_dynamic", "arguments", "heap",
                 "heap_dynamic", "streams", "streams_static", "files", "directories", "signals",
                 "pipes", "clocks", "clocks_dynamic", "file_mappings", "vectors", "memory_rights",
                 "threads", "threads_dynamic", "processes", "processes_dynamic", "sockets",
                 "timer_descriptors", "shared_files", "file_locks", "cpu_timers", "process_memory",
                 "fifos", "waiting", "jobs", "proc_files", "interfaces", "identities", "priorities",
                 "subreapers", "fork_advice", "robust", "full_queues", "restarts", "turns", "rows",
                 "endings", "roots", "urgent", "sharing", "news", "capabilities",
#ifdef HEARTH_HAVE_MUSL
                 "hello_musl", "files_musl",
#endif
                 "echo_input");
    INFO(name);
    const std::vector<std::string> arguments{guest(name), "5", "two words", ""};
    const auto expected = run_natively(arguments, "one\ntwo\n");
    CHECK(expected.signal == 0);
    CHECK(run_in_sandbox(arguments, "one\ntwo\n") == expected);
}

TEST_CASE("a program that crashes ends by the signal it would end by") {
    const auto how = GENERATE(as<std::string>(), "segv", "abort", "ill", "fpe", "exec", "null",
                              "stack", "text", "hlt", "noncanonical", "kernel", "kill");
    INFO(how);
    const std::vector<std::string> arguments{guest("crash"), how};
    const auto expected = run_natively(arguments);
    CHECK(expected.signal != 0);
    CHECK(run_in_sandbox(arguments) == expected);
}

TEST_CASE("the stub page cannot be written") {
    // Natively that address may be unmapped or stack: nothing to agree with.
    CHECK(run_in_sandbox({guest("crash"), "stub"}).signal == SIGSEGV);
}

TEST_CASE("the exit status is passed on") {
    for (const char* status : {"0", "1", "42", "255"}) {
        const std::vector<std::string> arguments{guest("crash"), "exit", status};
        CHECK(run_in_sandbox(arguments) == run_natively(arguments));
    }
}
