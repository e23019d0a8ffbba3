#include "worker/log_buffer.hpp"

#include <catch2/catch.hpp>

#include <string>

using hearth::worker::log_buffer;

TEST_CASE("the tail is the last 4 KiB, whatever was written") {
    log_buffer log;
    std::string all;
    for (int i = 0; i < 5000; ++i) {
        const auto line = "line " + std::to_string(i) + "\n";
        log.append(line);
        all += line;
        REQUIRE(log.tail() ==
                std::string_view(all).substr(all.size() > 4096 ? all.size() - 4096 : 0));
    }
    log.append(std::string(1 << 20, 'x'));
    CHECK(log.tail() == std::string(4096, 'x'));
}

TEST_CASE("a line of ours starts on its own line") {
    log_buffer log;
    log.begin_line();
    log.append("no end");
    log.begin_line();
    log.append("REPORT");
    CHECK(log.tail() == "no end\nREPORT");
}

TEST_CASE("the last line that says something is found") {
    log_buffer log;
    CHECK(log.last_line().empty());
    log.append("first\nsecond  \n\n \n");
    CHECK(log.last_line() == "second");
}
