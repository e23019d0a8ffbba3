// Scheduled rules: what they keep and refuse, and when they fire. The clock is the test's.

#include "control/rules.hpp"

#include "control_test_support.hpp"

#include <boost/json.hpp>
#include <catch2/catch.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

using namespace hearth;
using namespace hearth::control;
using namespace hearth::test;
using namespace std::chrono_literals;
using std::chrono::sys_seconds;

namespace {

class held_sink final : public rule_sink {
  public:
    result<void> check(std::string_view target) override {
        if (target.ends_with("function:f")) return {};
        return error(errc::invalid_argument, "no function of ours");
    }
    void deliver(const std::string& target,
                 std::string payload,
                 std::function<void(error)> done) override {
        events.emplace_back(target, std::move(payload));
        if (hold)
            held.push_back(std::move(done));
        else
            done(answer);
    }
    void tell(std::string_view message) override { told += message; }

    std::vector<std::pair<std::string, std::string>> events;
    std::vector<std::function<void(error)>> held;
    error answer;
    bool hold = false;
    std::string told;
};

struct world {
    sys_seconds now = std::chrono::sys_days(std::chrono::year(2024) / 5 / 1);
    const sys_seconds start = now;
    std::unique_ptr<storage> kept = open_memory_storage();
    held_sink sink;
    rules all{*kept, sink, "us-east-1", "000000000000", [this] { return now; }};

    void put(const std::string& name, const std::string& expression, std::string input = {}) {
        REQUIRE(all.put({.name = name, .schedule_expression = expression}).has_value());
        REQUIRE(all.put_targets(name, {{.id = "t", .arn = arn, .input = std::move(input)}})
                    .has_value());
    }
    /// Second by second, as the thread would at the latest.
    void pass(std::chrono::seconds length) {
        for (const sys_seconds end = now + length; now < end;) {
            now += 1s;
            if (all.next() <= now) all.tick(now);
        }
    }
};

}  // namespace

TEST_CASE("a rule fires when its time comes, and each of its targets gets the event") {
    world w;
    w.put("often", "rate(5 minutes)");
    REQUIRE(
        w.all.put_targets("often", {{.id = "u", .arn = arn, .input = "{\"a\":1}"}}).has_value());
    CHECK(w.all.next() == w.start + 5min);
    w.pass(4min + 59s);
    CHECK(w.sink.events.empty());
    w.pass(1s);
    REQUIRE(w.sink.events.size() == 2);
    const auto e = boost::json::parse(w.sink.events[0].second).as_object();
    CHECK(w.sink.events[0].first == arn);
    CHECK(e.at("version") == "0");
    CHECK(e.at("source") == "aws.events");
    CHECK(e.at("detail-type") == "Scheduled Event");
    CHECK(e.at("time") == "2024-05-01T00:05:00Z");
    CHECK(e.at("resources") ==
          boost::json::array{"arn:aws:events:us-east-1:000000000000:rule/often"});
    CHECK(e.at("id").as_string().size() == 36);
    CHECK(w.sink.events[1].second == "{\"a\":1}");
    w.pass(10min);
    CHECK(w.sink.events.size() == 6);
    CHECK(w.all.counted().fired == 3);
    CHECK(w.all.counted().delivered == 6);

    // Without targets it fires for nobody; what is gone fires no more.
    REQUIRE(w.all.remove_targets("often", {"t", "u", "none"}).has_value());
    w.pass(5min);
    CHECK(w.sink.events.size() == 6);
    REQUIRE(w.all.remove("often").has_value());
    CHECK_FALSE(w.all.next());
}

TEST_CASE("disabled rules do not fire, and count their rate from when they are enabled") {
    world w;
    w.put("r", "rate(1 hour)");
    w.pass(30min);
    REQUIRE(w.all.enable("r", false).has_value());
    CHECK_FALSE(w.all.next());
    w.pass(2h);
    REQUIRE(w.all.enable("r", true).has_value());
    CHECK(w.all.next() == w.now + 1h);
    REQUIRE(w.all.enable("r", true).has_value());
    REQUIRE(w.all.put({.name = "r", .description = "still the same times"}).has_value());
    w.pass(10min);
    CHECK(w.all.next() == w.now + 50min);
    REQUIRE(w.all.put({.name = "r", .schedule_expression = "rate(1 day)"}).has_value());
    CHECK(w.all.next() == w.now + 24h);
    CHECK(w.sink.events.empty());
    CHECK(w.all.enable("none", true).error() == errc::not_found);
}

TEST_CASE("a machine that was asleep fires once for what it missed") {
    world w;
    w.put("minutely", "rate(1 minute)");
    w.put("noon", "cron(0 12 * * ? *)");
    w.now += std::chrono::days(20) + 13h + 30s;
    w.all.tick(w.now);
    REQUIRE(w.sink.events.size() == 2);
    CHECK(w.sink.events[0].second.find("2024-05-21T13:00:00Z") != std::string::npos);
    CHECK(w.sink.events[1].second.find("2024-05-21T12:00:00Z") != std::string::npos);
    w.pass(30s);
    CHECK(w.sink.events.size() == 3);
    // A clock set back does not keep rules waiting.
    w.now -= std::chrono::days(10);
    w.all.tick(w.now);
    CHECK(w.all.next() <= w.now + 1min);
}

TEST_CASE(
    "a target that cannot take an event now is tried again, and one that is gone is told of") {
    world w;
    w.put("r", "cron(0 0 2 5 ? *)", "1");
    w.sink.answer = {errc::throttled, "the disk is slow"};
    w.pass(24h + 10min);
    const auto tries = w.sink.events.size();
    CHECK(tries > 10);
    CHECK(tries < 20);  // 1 + 2 + 4 … then once a minute
    CHECK(w.all.counted().failed == 0);
    w.sink.answer = {};
    w.pass(61s);
    CHECK(w.sink.events.size() == tries + 1);
    CHECK(w.all.counted().delivered == 1);
    CHECK(w.sink.told.empty());

    SECTION("no longer than a day") {
        w.put("r", "cron(0 0 3 5 ? *)", "2");
        w.sink.answer = {errc::throttled, "the disk is slow"};
        w.pass(24h);
        CHECK(w.all.counted().failed == 0);
        w.pass(24h + 1min);
        CHECK(w.all.counted().failed == 1);
        CHECK(w.sink.told.find("rule r: an event for " + arn + " is lost: the disk is slow") !=
              std::string::npos);
        CHECK(w.all.next() == std::chrono::sys_days(std::chrono::year(2025) / 5 / 3));
    }
    SECTION("not at all") {
        w.put("r", "rate(1 minute)");
        w.sink.answer = {errc::not_found, "Function not found"};
        w.pass(1min);
        CHECK(w.all.counted().failed == 1);
        CHECK(w.sink.told.find("Function not found") != std::string::npos);
    }
    SECTION("answers may come later, from anywhere") {
        w.sink.hold = true;
        w.put("r", "rate(1 minute)");
        w.pass(2min);
        REQUIRE(w.sink.held.size() == 2);
        w.sink.held[1]({errc::throttled});
        w.sink.held[0]({});
        w.pass(1s);
        CHECK(w.sink.held.size() == 3);
        w.all.stop();
        w.sink.held[2]({errc::throttled, "too late"});
        CHECK(w.all.counted().failed == 1);
        w.pass(10min);
        CHECK(w.sink.held.size() == 3);
    }
}

TEST_CASE("what rules refuse") {
    world w;
    const auto why = [](const auto& r) {
        REQUIRE(r.has_error());
        CHECK(r.error() == errc::invalid_argument);
        return r.error().message();
    };
    CHECK_THAT(why(w.all.put({.name = "a b", .schedule_expression = "rate(1 day)"})),
               Catch::Contains("[\\.\\-_A-Za-z0-9]+"));
    CHECK_THAT(why(w.all.put({.name = std::string(65, 'a'), .schedule_expression = "rate(1 day)"})),
               Catch::Contains("64"));
    CHECK_THAT(why(w.all.put({.name = "r"})), Catch::Contains("must be specified"));
    CHECK_THAT(why(w.all.put({.name = "r", .schedule_expression = "rate(1 days)"})),
               Catch::Contains("singular"));
    CHECK_THAT(why(w.all.put({.name = "r",
                              .schedule_expression = "rate(1 day)",
                              .description = std::string(513, 'd')})),
               Catch::Contains("512"));
    CHECK(w.all.list({}, {}, 100).rules.empty());
    w.put("r", "rate(1 day)");
    const auto target = [&](rule_target t) { return w.all.put_targets("r", {std::move(t)}); };
    CHECK_THAT(why(target({.id = "", .arn = arn})), Catch::Contains("Id"));
    CHECK_THAT(why(target({.id = "x", .arn = "arn:other"})), Catch::Contains("no function"));
    CHECK_THAT(why(target({.id = "x", .arn = arn, .input = "{"})), Catch::Contains("JSON syntax"));
    CHECK_THAT(why(target({.id = "x", .arn = arn, .input = "\"" + std::string(8191, 'x') + "\""})),
               Catch::Contains("8192"));
    CHECK_THAT(why(w.all.put_targets("r", {{.id = "a", .arn = arn},
                                           {.id = "b", .arn = arn},
                                           {.id = "c", .arn = arn},
                                           {.id = "d", .arn = arn},
                                           {.id = "e", .arn = arn}})),
               Catch::StartsWith("The requested resource exceeds the maximum number allowed"));
    CHECK(w.all.get("r").value().targets.size() == 1);  // all or none
    CHECK_THAT(why(w.all.remove("r")), Catch::Contains("has targets"));
    CHECK(w.all.remove("none").has_value());
    CHECK(w.all.get("none").error() == errc::not_found);
    CHECK(w.all.put_targets("none", {}).error() == errc::not_found);
    CHECK(w.all.remove_targets("none", {}).error() == errc::not_found);
}

TEST_CASE("rules are listed in pages, by prefix and by target") {
    world w;
    for (const char* name : {"b2", "a1", "b1", "c"}) w.put(name, "rate(1 day)");
    auto page = w.all.list("", "", 3);
    CHECK(page.rules.size() == 3);
    CHECK(page.rules[0].name == "a1");
    page = w.all.list("", page.next_marker, 3);
    REQUIRE(page.rules.size() == 1);
    CHECK(page.rules[0].name == "c");
    CHECK(page.next_marker.empty());
    CHECK(w.all.list("b", "", 9).rules.size() == 2);
    CHECK(w.all.names_by_target(arn, "b1", 9).names == std::vector<std::string>{"b2", "c"});
    CHECK(w.all.names_by_target("arn:other", "", 9).names.empty());
}

TEST_CASE("rules are there after a restart, and fire at the same times") {
    const temporary_directory data;
    fake_worker worker;
    event_rule made;
    {
        auto control = control_plane::create({.data_directory = data.path()}, worker).value();
        control->create_function(creation("f")).value();
        settle(*control, "f");
        made = control
                   ->put_rule({.name = "r",
                               .schedule_expression = "rate(7 days)",
                               .description = "d",
                               .role_arn = "arn:role",
                               .enabled = false,
                               .tags = {{"a", "1"}, {"b", "2"}}})
                   .value();
        CHECK(made.arn == "arn:aws:events:us-east-1:000000000000:rule/r");
        const rule_target t{.id = "t", .arn = arn, .input = "1", .role_arn = "arn:r"};
        REQUIRE(control->put_targets("r", {t}).has_value());
        made.targets = {t};
        REQUIRE(control->tag_rule("r", {{"c", "3"}, {"a", "0"}}).has_value());
        REQUIRE(control->untag_rule("r", {"b"}).has_value());
        made.tags = {{"a", "0"}, {"c", "3"}};
        CHECK(control->tag_rule("none", {}).error() == errc::not_found);
        CHECK(control->tag_rule("r", {{"aws:x", ""}}).error() == errc::invalid_argument);
        CHECK_THAT(control->put_targets("r", {{.id = "u", .arn = arn + "-not"}}).error().message(),
                   Catch::Contains("create it first"));
        CHECK(control->put_targets("r", {{.id = "u", .arn = "arn:aws:s3:::bucket"}}).error() ==
              errc::invalid_argument);
        REQUIRE(
            control->put_rule({.name = "gone", .schedule_expression = "rate(1 day)"}).has_value());
        REQUIRE(control->delete_rule("gone").has_value());
    }
    auto control = control_plane::create({.data_directory = data.path()}, worker).value();
    CHECK(control->list_rules().rules == std::vector{made});
    REQUIRE(control->enable_rule("r").has_value());
    CHECK(control->get_rule("r").value().since >= made.since);
    REQUIRE(control->remove_targets("r", {"t"}).has_value());
    control->drain();
    CHECK(control->delete_rule("r").error() == errc::shutting_down);
    worker.release();
}

TEST_CASE("a rule's thread fires it, and the function is invoked") {
    const temporary_directory data;
    fake_worker worker;
    {
        auto control = control_plane::create({.data_directory = data.path()}, worker).value();
        control->create_function(creation("f")).value();
        settle(*control, "f");
    }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    // Its first minute ends in a second or two.
    const event_rule r{.name = "r",
                       .schedule_expression = "rate(1 minute)",
                       .since = std::chrono::duration_cast<std::chrono::seconds>(now).count() - 58,
                       .targets = {{.id = "t", .arn = arn, .input = "1"}}};
    REQUIRE(open_sqlite_storage(data.path()).value()->put_rule(r).has_value());
    auto control = control_plane::create({.data_directory = data.path()}, worker).value();
    for (int i = 0; i < 1800 && control->metrics().rule_events_delivered == 0; ++i)
        std::this_thread::sleep_for(50ms);
    CHECK(control->metrics().rules_fired >= 1);
    CHECK(control->metrics().rule_events_delivered >= 1);
    CHECK(control->metrics().rule_events_failed == 0);
    worker.release();
}
