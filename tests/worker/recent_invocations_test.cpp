#include "worker/recent_invocations.hpp"

#include <catch2/catch.hpp>

using namespace hearth;

TEST_CASE("the last invocations are remembered, so many and no more") {
    worker::recent_invocations r;
    CHECK(r.after(0).empty());
    response one;
    for (std::size_t i = 1; i <= max_recent_invocations + 44; ++i) {
        one.report.request_id = std::to_string(i);
        one.log_tail = std::string(i % 50, 'x');
        r.record(i % 2 ? "odd" : "even", one);
    }
    const auto all = r.after(0);
    REQUIRE(all.size() == max_recent_invocations);
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK(all[i].number == 45 + i);
        CHECK(all[i].report.request_id == std::to_string(45 + i));
        CHECK(all[i].log_tail.size() == (45 + i) % 50);
        CHECK(all[i].function_name == ((45 + i) % 2 ? "odd" : "even"));
        if (i) CHECK(all[i].ended >= all[i - 1].ended);
    }
    const std::uint64_t last = max_recent_invocations + 44;
    CHECK(r.after(last).empty());
    REQUIRE(r.after(last - 1).size() == 1);
    CHECK(r.after(last - 1)[0].number == last);
    // Of another process.
    CHECK(r.after(last + 1).size() == max_recent_invocations);
}
