#include "control/schedule_expression.hpp"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

using hearth::control::schedule_expression;
using namespace std::chrono;
using namespace std::chrono_literals;

namespace {

sys_seconds at(int y, unsigned m, unsigned d, int h = 0, int min = 0, int s = 0) {
    return sys_days(year(y) / month(m) / day(d)) + hours(h) + minutes(min) + seconds(s);
}

/// The first `n` times after it.
std::vector<sys_seconds> times(const std::string& text, sys_seconds after, int n) {
    const auto e = schedule_expression::parse(text);
    INFO((e.has_error() ? e.error().message() : ""));
    REQUIRE(e.has_value());
    std::vector<sys_seconds> all;
    for (int i = 0; i < n; ++i) {
        const auto next = e->next(after, at(2024, 1, 1));
        if (!next) break;
        CHECK(*next > after);
        all.push_back(after = *next);
    }
    return all;
}

using list = std::vector<sys_seconds>;

}  // namespace

TEST_CASE("a rate is counted from its rule's beginning") {
    CHECK(times("rate(5 minutes)", at(2024, 1, 1), 2) ==
          list{at(2024, 1, 1, 0, 5), at(2024, 1, 1, 0, 10)});
    CHECK(times("rate(5 minutes)", at(2024, 1, 1, 0, 7, 3), 1) == list{at(2024, 1, 1, 0, 10)});
    CHECK(times("rate(1 hour)", at(2023, 12, 31), 1) == list{at(2024, 1, 1, 1)});
    CHECK(times("rate(2 days)", at(2024, 1, 2), 2) == list{at(2024, 1, 3), at(2024, 1, 5)});
}

TEST_CASE("cron as EventBridge has it") {
    const auto new_year = at(2024, 1, 1);
    SECTION("AWS's own examples") {
        CHECK(times("cron(0 10 * * ? *)", new_year, 2) ==
              list{at(2024, 1, 1, 10), at(2024, 1, 2, 10)});
        CHECK(times("cron(15 12 * * ? *)", at(2024, 1, 1, 12, 15), 1) ==
              list{at(2024, 1, 2, 12, 15)});
        CHECK(times("cron(0 18 ? * MON-FRI *)", at(2024, 1, 5, 17), 2) ==
              list{at(2024, 1, 5, 18), at(2024, 1, 8, 18)});
        CHECK(times("cron(0 8 1 * ? *)", new_year, 2) ==
              list{at(2024, 1, 1, 8), at(2024, 2, 1, 8)});
        CHECK(times("cron(0/15 * * * ? *)", at(2024, 1, 1, 23, 31), 2) ==
              list{at(2024, 1, 1, 23, 45), at(2024, 1, 2)});
        CHECK(times("cron(0/10 * ? * MON-FRI *)", at(2024, 1, 5, 23, 51), 1) ==
              list{at(2024, 1, 8)});
        CHECK(times("cron(0/5 8-17 ? * MON-FRI *)", at(2024, 1, 5, 17, 54), 2) ==
              list{at(2024, 1, 5, 17, 55), at(2024, 1, 8, 8)});
    }
    SECTION("days") {
        CHECK(times("cron(0 0 L * ? *)", at(2024, 1, 31), 2) ==
              list{at(2024, 2, 29), at(2024, 3, 31)});
        // The first is a Saturday in June 2024, the thirtieth a Sunday, the fifteenth a Saturday.
        CHECK(times("cron(0 0 1W 6 ? *)", new_year, 1) == list{at(2024, 6, 3)});
        CHECK(times("cron(0 0 30W 6 ? *)", new_year, 1) == list{at(2024, 6, 28)});
        CHECK(times("cron(0 0 15W 6 ? *)", new_year, 1) == list{at(2024, 6, 14)});
        CHECK(times("cron(0 0 31W 6 ? *)", new_year, 1).empty());
        CHECK(times("cron(0 0 ? * 6L *)", new_year, 2) == list{at(2024, 1, 26), at(2024, 2, 23)});
        CHECK(times("cron(0 0 ? * 3#2 *)", new_year, 2) == list{at(2024, 1, 9), at(2024, 2, 13)});
        CHECK(times("cron(0 0 ? * THU#5 *)", new_year, 2) ==
              list{at(2024, 2, 29), at(2024, 5, 30)});
        CHECK(times("cron(0 0 ? * L *)", new_year, 1) == list{at(2024, 1, 6)});
        CHECK(times("cron(0 0 29 2 ? *)", at(2024, 3, 1), 1) == list{at(2028, 2, 29)});
        CHECK(times("cron(0 0 ? jan sun,wed *)", new_year, 2) ==
              list{at(2024, 1, 3), at(2024, 1, 7)});
    }
    SECTION("what ends, or never comes") {
        CHECK(times("cron(0 0 1 1 ? 2025-2026)", new_year, 5) ==
              list{at(2025, 1, 1), at(2026, 1, 1)});
        CHECK(times("cron(0 0 30 2 ? *)", new_year, 1).empty());
        CHECK(times("cron(59 23 31 12 ? 2199)", new_year, 2) == list{at(2199, 12, 31, 23, 59)});
        CHECK(times("cron(0 0 1 1 ? 1970)", new_year, 1).empty());
    }
}

TEST_CASE("wrong expressions are told what is wrong with them") {
    struct row {
        const char* text;
        const char* why;
    };
    const auto r = GENERATE(
        row{"", "it is rate("}, row{"every day", "it is rate("},
        row{"rate(5 minutes", "it is rate("}, row{"rate()", "positive number"},
        row{"rate(0 minutes)", "positive number"}, row{"rate(-1 minutes)", "positive number"},
        row{"rate(5)", "positive number"}, row{"rate(1 minutes)", "singular"},
        row{"rate(5 minute)", "singular"}, row{"rate(5 weeks)", "\"weeks\" is no unit"},
        row{"rate(99999999 days)", "longer than a year"},
        row{"rate(4294967297 days)", "positive number"}, row{"cron(0 10 * * ?)", "six fields"},
        row{"cron()", "six fields"},
        row{"cron(0 10 * * * *)", "one of day of month and day of week is a ?"},
        row{"cron(0 10 ? * ? *)", "one of day of month and day of week is a ?"},
        row{"cron(60 10 * * ? *)", "\"60\" is no minute (0 to 59)"},
        row{"cron(0 24 * * ? *)", "is no hour"}, row{"cron(0 0 0 * ? *)", "is no day of the month"},
        row{"cron(0 0 32W * ? *)", "is no day of the month"},
        row{"cron(0 0 1 13 ? *)", "is no month (1 to 12, or a name"},
        row{"cron(0 0 ? * 8 *)", "is no day of the week"}, row{"cron(0 0 ? * 3#6 *)", "1 to 5"},
        row{"cron(0 0 ? * XYZ *)", "is no day of the week"},
        row{"cron(0 0 1 1 ? 2200)", "is no year"},
        row{"cron(5-1 0 1 1 ? *)", "ends before it begins"},
        row{"cron(0/0 0 1 1 ? *)", "is no step"}, row{"cron(,, 0 1 1 ? *)", "is no minute"});
    INFO(r.text);
    const auto e = schedule_expression::parse(r.text);
    REQUIRE(e.has_error());
    CHECK(e.error() == hearth::errc::invalid_argument);
    CHECK_THAT(
        e.error().message(),
        Catch::StartsWith("Parameter ScheduleExpression is not valid") && Catch::Contains(r.why));
}
