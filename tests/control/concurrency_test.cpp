// Reserved and provisioned concurrency as stored, checked, and handed to the worker.

#include "control_test_support.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {

using fixture = control_fixture;

/// Polls until it is no longer IN_PROGRESS.
provisioned_concurrency settled(const control_plane& control, const std::string& qualifier) {
    for (int i = 0; i < 1000; ++i) {
        auto p = control.get_provisioned_concurrency("f", qualifier).value();
        if (p.status != provisioned_status::in_progress) return p;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    throw std::runtime_error("still in progress");
}

}  // namespace

TEST_CASE("reserved concurrency is shown, reaches the worker, and goes again") {
    fixture f;
    f.create("f");
    CHECK(f.control->get_function_concurrency("f").value() == std::nullopt);
    REQUIRE(f.control->put_function_concurrency("f", 0).has_value());
    CHECK(f.control->get_function_concurrency("f").value() == 0u);
    CHECK(f.worker.reserved.at(arn) == 0u);
    REQUIRE(f.control->put_function_concurrency("f", 300).has_value());
    CHECK(f.worker.reserved.at(arn) == 300u);
    CHECK(f.control->get_function("f").value().reserved_concurrency == 300u);
    CHECK(f.control->get_account_settings().unreserved_concurrent_executions == 700);
    f.change("f", "what is deployed anew keeps it");
    CHECK(f.worker.newest_reserved == 300u);
    REQUIRE(f.control->delete_function_concurrency("f").has_value());
    CHECK(f.worker.reserved.at(arn) == std::nullopt);
    CHECK(f.control->get_function_concurrency("f").value() == std::nullopt);
    REQUIRE(f.control->delete_function_concurrency("f").has_value());
    CHECK(f.control->put_function_concurrency("g", 1).error() == errc::not_found);
    CHECK(f.control->put_function_concurrency("f:1", 1).error() == errc::invalid_argument);
}

TEST_CASE("a hundred executions of the account stay unreserved") {
    fixture f;
    f.create("f"), f.create("g");
    REQUIRE(f.control->put_function_concurrency("f", 500).has_value());
    const auto refused = f.control->put_function_concurrency("g", 401);
    REQUIRE(refused.has_error());
    CHECK(refused.error() == errc::invalid_argument);
    CHECK(refused.error().message() ==
          "Specified ReservedConcurrentExecutions for function decreases account's "
          "UnreservedConcurrentExecution below its minimum value of [100].");
    CHECK(f.control->put_function_concurrency("g", 400).has_value());
    CHECK(f.control->put_function_concurrency("f", 501).error() == errc::invalid_argument);
    REQUIRE(f.control->delete_function("g").has_value());
    CHECK(f.control->put_function_concurrency("f", 900).has_value());
}

TEST_CASE("provisioned concurrency is in progress, then ready, and stays with its version") {
    fixture f;
    f.create("f", "provision_slow");
    f.publish("f");
    const auto put = f.control->put_provisioned_concurrency("f", "1", 5).value();
    CHECK(put.status == provisioned_status::in_progress);
    CHECK(put.requested == 5);
    CHECK(put.available == 0);
    CHECK(f.control->get_provisioned_concurrency("f", "1").value().status ==
          provisioned_status::in_progress);
    f.worker.release();
    const auto ready = settled(*f.control, "1");
    CHECK(ready.status == provisioned_status::ready);
    CHECK(ready.available == 5);
    CHECK(ready.function_arn == arn + ":1");
    CHECK(ready.last_modified == put.last_modified);
    REQUIRE(f.control->delete_provisioned_concurrency("f", "1").has_value());
    REQUIRE(f.control->delete_provisioned_concurrency("f", "1").has_value());
    CHECK(f.control->get_provisioned_concurrency("f", "1").error().message() ==
          "No Provisioned Concurrency Config found for this function");
}

TEST_CASE("what an alias has provisioned moves with it") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.change("f", "two"), f.publish("f");
    f.control->create_alias({.function_name = "f", .name = "live", .function_version = "1"})
        .value();
    f.control->put_provisioned_concurrency("f:live", "", 3).value();
    CHECK(settled(*f.control, "live").status == provisioned_status::ready);
    CHECK(f.control->put_provisioned_concurrency("f", "1", 1).error() == errc::conflict);
    f.control->put_provisioned_concurrency("f", "2", 1).value();
    update_alias_request u{.function_name = "f", .name = "live", .function_version = "2"};
    CHECK(f.control->update_alias(u).error() == errc::conflict);
    REQUIRE(f.control->delete_provisioned_concurrency("f", "2").has_value());
    f.control->update_alias(u).value();
    CHECK(settled(*f.control, "live").status == provisioned_status::ready);
    u.additional_version_weights = {{"1", 0.5}};
    CHECK(f.control->update_alias(u).error().message() ==
          "Alias with weights can not be used with Provisioned Concurrency");
    const auto page = f.control->list_provisioned_concurrency("f").value();
    REQUIRE(page.configs.size() == 1);
    CHECK(page.configs[0].function_arn == arn + ":live");
    REQUIRE(f.control->delete_alias("f", "live").has_value());
    CHECK(f.control->list_provisioned_concurrency("f").value().configs.empty());
}

TEST_CASE("two aliases do not come to provision one version") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.change("f", "two"), f.publish("f");
    for (const char* version : {"1", "2"}) {
        const std::string name = std::string("to") + version;
        f.control->create_alias({.function_name = "f", .name = name, .function_version = version})
            .value();
        f.control->put_provisioned_concurrency("f", name, 3).value();
    }
    const update_alias_request to_one{.function_name = "f", .name = "to2", .function_version = "1"};
    const auto refused = f.control->update_alias(to_one);
    CHECK(refused.error() == errc::conflict);
    CHECK(refused.error().message() == "Version is pointed by a Provisioned Concurrency alias");
    CHECK(f.control->get_alias("f", "to2").value().function_version == "2");
    CHECK(f.control->update_alias({.function_name = "f", .name = "to2", .description = "d"})
              .has_value());  // where it is already
    REQUIRE(f.control->delete_provisioned_concurrency("f", "to1").has_value());
    CHECK(f.control->update_alias(to_one).has_value());
}

TEST_CASE("provisioned concurrency that is given up while it is made is not there in the end") {
    fixture f;
    f.create("f", "provision_held");
    f.publish("f");
    f.control->put_provisioned_concurrency("f", "1", 5).value();
    REQUIRE(eventually([&] { return f.worker.provisioning.load(); }));
    REQUIRE(f.control->delete_provisioned_concurrency("f", "1").has_value());
    f.create("g");  // the other thread has come to what was posted before
    f.worker.release();
    const auto in_force = [&] {
        const std::scoped_lock lock(f.worker.last_mutex);
        return f.worker.provisioned;
    };
    REQUIRE(eventually([&] { return in_force().size() == 2; }));
    CHECK(in_force() == std::vector<std::size_t>{5, 0});
}

TEST_CASE("provisioned concurrency that cannot be is refused, or failed with its reason") {
    fixture f;
    f.create("f");
    f.publish("f");
    const auto text = [&](const char* qualifier, std::size_t n) {
        return f.control->put_provisioned_concurrency("f", qualifier, n).error().message();
    };
    CHECK_THAT(text("$LATEST", 1), Catch::Contains("unpublished function versions"));
    CHECK_THAT(text("", 1), Catch::Contains("unpublished function versions"));
    CHECK_THAT(text("1", 0), Catch::Contains("greater than or equal to 1"));
    CHECK_THAT(text("1", 901), Catch::Contains("below its minimum value of [100]"));
    CHECK_THAT(text("7", 1), Catch::Contains("Function not found: " + arn + ":7"));
    REQUIRE(f.control->put_function_concurrency("f", 10).has_value());
    CHECK_THAT(text("1", 11), Catch::Contains("greater than the reservedConcurrentExecution"));
    f.control->put_provisioned_concurrency("f", "1", 10).value();
    CHECK_THAT(f.control->put_function_concurrency("f", 9).error().message(),
               Catch::Contains("total provisioned concurrency [10]"));
    CHECK(f.control->get_provisioned_concurrency("f", "$LATEST").error() == errc::invalid_argument);
    settled(*f.control, "1");

    f.control->delete_function("f").value();
    f.create("f", "provision_fail");
    f.publish("f");
    f.control->put_provisioned_concurrency("f", "1", 2).value();
    const auto failed = settled(*f.control, "1");
    CHECK(failed.status == provisioned_status::failed);
    CHECK(failed.status_reason == "no room for it");
}

TEST_CASE("concurrency is in force again after a restart, before anybody calls") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    {
        fake_worker worker;
        auto control = control_plane::create(o, worker).value();
        auto request = creation("f");
        request.publish = true;
        control->create_function(request).value();
        settle(*control, "f"), settle(*control, "f:1");
        control->put_function_concurrency("f", 20).value();
        control->put_provisioned_concurrency("f", "1", 4).value();
    }
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    CHECK(settled(*control, "1").available == 4);
    CHECK(control->get_function_concurrency("f").value() == 20u);
    CHECK(worker.newest_reserved == 20u);
    CHECK(worker.live == 2);
    REQUIRE(control->delete_function("f", "1").has_value());
    CHECK(control->list_provisioned_concurrency("f").value().configs.empty());
}
