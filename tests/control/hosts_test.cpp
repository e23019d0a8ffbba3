// Which host gets a version, and what is said when none has room.

#include "control/hosts.hpp"

#include "control/run_policy.hpp"
#include "fake_worker.hpp"

#include <catch2/catch.hpp>

using hearth::byte_count;

namespace {

hearth::worker::version_spec spec(std::uint64_t mebibytes) {
    hearth::worker::version_spec s;
    s.function_name = "f";
    s.memory = byte_count(mebibytes << 20);
    return s;
}

}  // namespace

TEST_CASE("a version goes to the host whose room fits it best, and to none without room") {
    hearth::test::fake_worker large, small;
    large.memory = byte_count(4096ull << 20);
    small.memory = byte_count(512ull << 20);
    hearth::control::hosts hosts({&large, &small});
    const auto first = hosts.deploy(spec(256)), second = hosts.deploy(spec(1024));
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    CHECK(small.live == 1);
    CHECK(large.live == 1);
    const auto none = hosts.deploy(spec(5120));
    REQUIRE(none.has_error());
    CHECK(none.error() == hearth::errc::no_room);
    CHECK(none.error().message().find("memory is short by 1024 MiB on host 0") !=
          std::string::npos);
}

TEST_CASE("what a function says of its snapshot, isolation and network is heeded or refused") {
    using hearth::control::with_variables;
    auto p = with_variables({}, {{"HEARTH_SNAPSHOT", "off"}, {"HEARTH_ISOLATION", "tenant"}});
    REQUIRE(p.has_value());
    CHECK_FALSE(p->snapshot);
    CHECK(p->isolation == hearth::isolation::tenant);
    CHECK(with_variables({}, {})->snapshot);
    CHECK(with_variables({}, {})->network == "none");
    CHECK(with_variables({}, {{"HEARTH_NETWORK", "db:5432,10.0.0.0/8"}})->network ==
          "db:5432,10.0.0.0/8");
    for (const auto& [name, value] :
         {std::pair{"HEARTH_SNAPSHOT", "maybe"}, std::pair{"HEARTH_ISOLATION", "none"},
          std::pair{"HEARTH_ISOLATION", ""}, std::pair{"HEARTH_NETWORK", "db"}}) {
        const auto refused = with_variables({}, {{name, value}});
        REQUIRE(refused.has_error());
        CHECK(refused.error() == hearth::errc::invalid_argument);
        CHECK(refused.error().message().find(name) != std::string::npos);
    }
}
