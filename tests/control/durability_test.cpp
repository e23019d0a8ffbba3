#include "control_test_support.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <string>
#include <vector>

using namespace hearth;
using namespace hearth::test;
namespace fs = std::filesystem;

namespace {

struct server {
    fake_worker worker;
    std::unique_ptr<control_plane> control;
    explicit server(const fs::path& data) {
        control_options o;
        o.data_directory = data;
        control = control_plane::create(std::move(o), worker).value();
    }
    ~server() { worker.release(); }
};

std::ptrdiff_t packages_in(const fs::path& data) {
    return std::distance(fs::directory_iterator(data / "packages"), fs::directory_iterator());
}

}  // namespace

TEST_CASE("functions come back after a restart and answer without a new creation") {
    const temporary_directory data;
    function_configuration before;
    {
        server s(data.path());
        auto request = creation("f");
        request.tags = {{"team", "a"}};
        request.settings.description = "kept";
        s.control->create_function(request).value();
        before = settle(*s.control, "f");
    }
    server s(data.path());
    const auto found = s.control->get_function("f").value();
    CHECK(found.configuration == before);
    CHECK(found.tags.at("team") == "a");
    CHECK(s.worker.live == 0);  // the package is read when it is needed
    CHECK(s.control->invoke("f", "5").value().payload == "5");
    CHECK(s.worker.live == 1);
    CHECK(s.worker.inits == 0);
    CHECK(s.control->read_package("f").value() == script_zip());
}

TEST_CASE("the first asynchronous invocations after a restart load the package once") {
    const temporary_directory data;
    {
        server s(data.path());
        s.control->create_function(creation("f")).value();
        settle(*s.control, "f");
    }
    server s(data.path());
    boost::asio::io_context io;
    std::vector<std::string> answers;
    for (int i = 0; i < 8; ++i)
        s.control->async_invoke(
            "f", "6", {}, "",
            boost::asio::bind_executor(io.get_executor(), [&](const error& e, response r) {
                answers.push_back(e.code() ? e.message() : r.payload);
            }));
    io.run();  // kept running by the calls under way, also while they wait for the package
    CHECK(answers == std::vector<std::string>(8, "6"));
    CHECK(s.worker.live == 1);
}

TEST_CASE("a creation that a stop interrupted is taken up again") {
    const temporary_directory data;
    {
        server s(data.path());
        for (int i = 0; i < 4; ++i)
            s.control->create_function(creation("f" + std::to_string(i), "init_slow")).value();
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            s.worker.release();
        });
        s.control.reset();  // two run, two have not begun
        later.join();
    }
    server s(data.path());
    s.worker.release();
    for (int i = 0; i < 4; ++i)
        CHECK(settle(*s.control, "f" + std::to_string(i)).state == function_state::active);
}

TEST_CASE("an update that a stop interrupted is taken up again, the old code kept until then") {
    const temporary_directory data;
    {
        server s(data.path());
        s.control->create_function(creation("busy", "init_slow")).value();
        s.control->create_function(creation("busy2", "init_slow"))
            .value();  // both threads are taken
        function_config c;
        c.name = "f";
        c.package = package::zip_bytes(script_zip("old"));
        s.control->deploy(c).value();
        s.control->update_function_code({.function_name = "f", .zip_file = script_zip("new")})
            .value();
        CHECK(packages_in(data.path()) == 3);
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            s.worker.release();
        });
        s.control.reset();
        later.join();
    }
    server s(data.path());
    s.worker.release();
    CHECK(settle(*s.control, "f").last_update == update_status::successful);
    CHECK(s.control->read_package("f").value() == script_zip("new"));
    s.control->drain();
    CHECK(packages_in(data.path()) == 2);
}

TEST_CASE("a function created PER_TENANT isolates its tenants, after an update and a restart too") {
    const temporary_directory data;
    {
        server s(data.path());
        auto request = creation("f");
        request.settings.tenant_isolation = "PER_TENANT";
        s.control->create_function(request).value();
        CHECK(settle(*s.control, "f").settings.tenant_isolation == "PER_TENANT");
        CHECK(s.worker.newest_isolation == isolation::tenant);
        s.control->update_function_configuration({.function_name = "f", .description = "d"})
            .value();
        settle(*s.control, "f");
        CHECK(s.worker.newest_isolation == isolation::tenant);
        s.control->publish_version({.function_name = "f"}).value();
        settle(*s.control, "f:1");
        CHECK_THAT(s.control->put_provisioned_concurrency("f", "1", 1).error().message(),
                   Catch::StartsWith("Provisioned concurrency is not supported"));
        CHECK_THAT(
            s.control->create_function_url_config({.function_name = "f", .auth_type = "NONE"})
                .error()
                .message(),
            Catch::StartsWith("Function URLs are not supported"));
        for (const auto& [source, from] :
             {std::pair(s.control->queues().create("jobs").value().arn(), ""),
              std::pair(s.control->streams().create("clicks", {.shards = 1}).value().arn(),
                        "LATEST")}) {
            const auto refused = s.control->create_event_source_mapping(
                {.event_source_arn = source, .function_name = "f:1", .starting_position = from});
            CHECK(refused.error() == errc::invalid_argument);
            CHECK_THAT(refused.error().message(),
                       Catch::StartsWith("Event source mappings are not supported"));
        }
    }
    server s(data.path());
    CHECK(s.control->invoke("f", "{}").has_value());
    CHECK(s.worker.newest_isolation == isolation::tenant);
}

TEST_CASE("packages nobody uses are removed, shared ones stay") {
    const temporary_directory data;
    server s(data.path());
    s.control->create_function(creation("a")).value();
    s.control->create_function(creation("b")).value();
    settle(*s.control, "a"), settle(*s.control, "b");
    CHECK(packages_in(data.path()) == 1);
    REQUIRE(s.control->update_function_code({.function_name = "a", .zip_file = script_zip("2")})
                .has_value());
    settle(*s.control, "a");
    CHECK(packages_in(data.path()) == 2);
    REQUIRE(s.control->delete_function("b").has_value());
    CHECK(packages_in(data.path()) == 1);
    REQUIRE(s.control->delete_function("a").has_value());
    CHECK(packages_in(data.path()) == 0);
}

TEST_CASE(
    "a package lost from the disk makes the invocation fail with its name, and nothing else") {
    const temporary_directory data;
    {
        server s(data.path());
        s.control->create_function(creation("f")).value();
        settle(*s.control, "f");
    }
    for (const auto& e : fs::directory_iterator(data.path() / "packages")) fs::remove(e.path());
    server s(data.path());
    auto r = s.control->invoke("f", "{}");
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::not_ready);
    CHECK_THAT(r.error().message(), Catch::Contains(".zip") && Catch::Contains("No such file"));
    CHECK(s.control->create_function(creation("g")).has_value());
}

TEST_CASE(
    "what is deployed without a zip does not come back, and hides no stored function for ever") {
    const temporary_directory data;
    {
        server s(data.path());
        function_config c;
        c.name = "f";
        c.package = package::in_process([](std::string_view) { return std::string("1"); });
        s.control->deploy(c).value();
        CHECK(s.control->invoke("f", "{}").value().payload == "1");
    }
    server s(data.path());
    CHECK(s.control->get_function("f").error() == errc::not_found);
}

TEST_CASE("versions and aliases come back, each with its own package") {
    const temporary_directory data;
    function_configuration one;
    {
        server s(data.path());
        auto request = creation("f");
        request.publish = true;
        s.control->create_function(request).value();
        settle(*s.control, "f"), one = settle(*s.control, "f:1");
        s.control->update_function_code({.function_name = "f", .zip_file = script_zip("2")})
            .value();
        settle(*s.control, "f");
        s.control
            ->create_alias({.function_name = "f", .name = "live", .function_version = "1"})
            .value();
        CHECK(packages_in(data.path()) == 2);
    }
    server s(data.path());
    CHECK(packages_in(data.path()) == 2);
    CHECK(s.control->get_function("f", "1").value().configuration == one);
    CHECK(s.worker.live == 0);
    CHECK(s.control->invoke("f:live", "3").value().executed_version == "1");
    CHECK(s.worker.live == 1);
    CHECK(s.control->read_package("f:1").value() == script_zip());
    CHECK(s.control->publish_version({.function_name = "f"}).value().version == "2");
    settle(*s.control, "f:2");
    REQUIRE(s.control->delete_alias("f", "live").has_value());
    REQUIRE(s.control->delete_function("f", "1").has_value());
    CHECK(packages_in(data.path()) == 1);
    REQUIRE(s.control->delete_function("f").has_value());
    CHECK(packages_in(data.path()) == 0);
}

TEST_CASE("a version that a stop found Pending is taken up again, and no number is used twice") {
    const temporary_directory data;
    {
        server s(data.path());
        auto request = creation("f", "init_slow");
        request.publish = true;
        s.control->create_function(request).value();
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            s.worker.release();
        });
        s.control.reset();
        later.join();
    }
    {
        server s(data.path());
        s.worker.release();
        settle(*s.control, "f");
        CHECK(settle(*s.control, "f:1").state == function_state::active);
        REQUIRE(s.control->delete_function("f", "1").has_value());
    }
    server s(data.path());
    CHECK(s.control->get_function("f", "1").error() == errc::not_found);
    CHECK(s.control->publish_version({.function_name = "f"}).value().version == "2");
}
