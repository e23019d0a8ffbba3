// What a function says of its runtime's updates, of loops and of scaling: stored and shown.

#include "control_test_support.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {
using fixture = control_fixture;
}

TEST_CASE("runtime management is of $LATEST or a version, and Auto unless said") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.control->create_alias({.function_name = "f", .name = "live", .function_version = "1"})
        .value();
    const auto get = [&](const char* q) {
        return f.control->get_runtime_management_config("f", q);
    };
    const auto put = [&](const char* q, const char* when, const char* version = "") {
        return f.control->put_runtime_management_config(
            "f", q, {.update_runtime_on = when, .runtime_version_arn = version});
    };
    CHECK(get("").value() == runtime_management_config{.function_arn = arn + ":$LATEST"});
    const char* version = "arn:aws:lambda:us-east-1::runtime:x";
    const auto manual = put("1", "Manual", version).value();
    CHECK(manual.function_arn == arn + ":1");
    CHECK(get("1").value() == manual);
    CHECK(get("").value().update_runtime_on == "Auto");
    CHECK(put("", "FunctionUpdate").value().update_runtime_on == "FunctionUpdate");
    CHECK(put("", "Never").error() == errc::invalid_argument);
    CHECK(put("", "Manual").error() == errc::invalid_argument);
    CHECK(put("", "Auto", version).error() == errc::invalid_argument);
    CHECK(put("", "Manual", "x").error() == errc::invalid_argument);
    CHECK(put("live", "Auto").error() == errc::invalid_argument);
    CHECK(get("9").error() == errc::not_found);
    REQUIRE(f.control->delete_alias("f", "live").has_value());
    REQUIRE(f.control->delete_function("f", "1").has_value());
    CHECK(get("1").error() == errc::not_found);
}

TEST_CASE("recursion is a function's, and terminated unless said") {
    fixture f;
    f.create("f");
    CHECK(f.control->get_function_recursion_config("f").value() == "Terminate");
    REQUIRE(f.control->put_function_recursion_config("f", "Allow").has_value());
    CHECK(f.control->get_function_recursion_config("f").value() == "Allow");
    CHECK(f.control->put_function_recursion_config("f", "Maybe").error() == errc::invalid_argument);
    CHECK(f.control->put_function_recursion_config("g", "Allow").error() == errc::not_found);
    CHECK(f.control->get_function_recursion_config("f:1").error() == errc::invalid_argument);
}

TEST_CASE("scaling is a version's") {
    fixture f;
    f.create("f");
    const auto put = [&](const char* q, function_scaling_config s) {
        return f.control->put_function_scaling_config("f", q, s);
    };
    CHECK_FALSE(f.control->get_function_scaling_config("f", "").value().requested);
    CHECK(put("$LATEST.PUBLISHED", {2, 5}).value() == function_state::active);
    const auto got = f.control->get_function_scaling_config("f", "$LATEST.PUBLISHED").value();
    CHECK(got.function_arn == arn + ":$LATEST.PUBLISHED");
    CHECK(got.requested == function_scaling_config{2, 5});  // there is no such version yet
    CHECK_FALSE(got.applied);
    CHECK(put("", {6, 5}).error() == errc::invalid_argument);
    CHECK(put("", {{}, 15001}).error() == errc::invalid_argument);
    CHECK(put("7", {}).error() == errc::not_found);
}

TEST_CASE("a version is given its bounds, now and when it is published or updated") {
    fixture f;
    f.create("f");
    const auto put = [&](const char* q, function_scaling_config s) {
        f.control->put_function_scaling_config("f", q, s).value();
    };
    using bounds = std::pair<std::size_t, std::size_t>;
    const auto becomes = [&](const char* version, bounds wanted) {
        return eventually([&] {
            const std::scoped_lock lock(f.worker.last_mutex);
            const auto at = f.worker.scaled.find(version);
            return at != f.worker.scaled.end() && at->second == wanted;
        });
    };
    put("$LATEST", {2, 5});
    CHECK(becomes("$LATEST", {2, 5}));
    CHECK(eventually([&] {
        return f.control->get_function_scaling_config("f", "$LATEST").value().applied ==
               function_scaling_config{2, 5};
    }));
    f.change("f", "one");
    CHECK(f.worker.newest_pool.min_idle == 2);
    CHECK(f.worker.newest_pool.max_concurrency == 5);
    put("$LATEST", {});
    CHECK(becomes("$LATEST", {0, pool_policy().max_concurrency}));

    f.publish("f");
    put("$LATEST.PUBLISHED", {1, 7});
    CHECK(becomes("1", {1, 7}));
    put("1", {{}, 0});
    CHECK(becomes("1", {0, 0}));
    f.change("f", "two");
    f.publish("f");
    CHECK(f.worker.newest_pool.max_concurrency == 7);
    CHECK(becomes("2", {1, 7}));
}

TEST_CASE("a function's options come back after a restart") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    {
        fake_worker worker;
        auto control = control_plane::create(o, worker).value();
        control->create_function(creation("f")).value();
        settle(*control, "f");
        control->put_function_recursion_config("f", "Allow").value();
        control->put_runtime_management_config("f", "", {.update_runtime_on = "FunctionUpdate"})
            .value();
        control->put_function_scaling_config("f", "", {{}, 3}).value();
    }
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    CHECK(control->get_function_recursion_config("f").value() == "Allow");
    CHECK(control->get_runtime_management_config("f", "").value().update_runtime_on ==
          "FunctionUpdate");
    CHECK(control->get_function_scaling_config("f", "").value().applied ==
          function_scaling_config{{}, 3});
    // One that nobody has called since is loaded with it.
    REQUIRE(control->invoke("f", "{}").has_value());
    CHECK(worker.newest_pool.max_concurrency == 3);
}
