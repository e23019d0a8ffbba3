/// A guest's own view of sockets that lead out of it, against servers of this process.

#include "echo_server.hpp"
#include "programs.hpp"

#include <catch2/catch.hpp>

#include <string>

using namespace programs;

TEST_CASE("connections and datagrams to named servers are as natively") {
    const hearth::testing::echo_server server;
    const std::vector<std::string> arguments{guest("outside"), std::to_string(server.tcp_port),
                                             std::to_string(server.udp_port)};
    const auto expected = run_natively(arguments);
    CHECK(expected.output == "a stream\nmuch\nmany\nthreads\ndatagrams\nnobody there\n");
    ended e;
    auto o = options_for(arguments, e);
    o.network = server.named() + ",127.0.0.1:1";  // where nobody listens
    const auto r = hearth::run_program(o);
    REQUIRE(r.has_value());
    CHECK(e == expected);
}
