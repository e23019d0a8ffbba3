#include "control_test_support.hpp"
#include "soon.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include <fstream>

using namespace hearth;
using namespace hearth::literals;
using namespace hearth::test;

namespace {

using variables = std::map<std::string, std::string>;

using fixture = control_fixture;

}  // namespace

TEST_CASE(
    "a managed runtime needs no bootstrap and reaches the worker, or is refused when it is not "
    "there") {
    temporary_directory runtimes;
    const auto bin = runtimes.path() / "python3.12/bin";
    std::filesystem::create_directories(bin);
    std::ofstream(bin / "python3.12") << "program";
    std::filesystem::permissions(bin / "python3.12", std::filesystem::perms(0755));
    fake_worker worker;
    control_options options;
    options.guest_root = runtimes.path();  // there is nothing in its usr
    options.runtime_directory = runtimes.path();
    auto control = control_plane::create(options, worker).value();
    auto r = creation("f");
    r.settings.runtime = "python3.12";
    r.settings.handler = "lambda_function.lambda_handler";
    r.zip_file = zip_maker().file("lambda_function.py", "").bytes();
    REQUIRE(control->create_function(r).has_value());
    CHECK(settle(*control, "f").state == function_state::active);
    CHECK(control->list_functions().value().functions.at(0).settings.runtime == "python3.12");

    update_function_configuration_request change;
    change.function_name = "f";
    change.runtime = "python3.13";
    CHECK(control->update_function_configuration(change).error() == errc::invalid_argument);
    r.function_name = "g";
    r.settings.runtime = "nodejs20.x";
    const auto refused = control->create_function(r);
    REQUIRE(refused.has_error());
    CHECK(refused.error() == errc::invalid_argument);
    CHECK_THAT(refused.error().message(), Catch::Contains("nodejs20.x is not on this host") &&
                                              Catch::Contains("that are: python3.12") &&
                                              Catch::Contains("apt install nodejs"));
    control.reset();
    worker.release();
}

TEST_CASE("a function is Pending, then Active, and then answers") {
    fixture f;
    const auto created = f.control->create_function(creation("f")).value();
    CHECK(created.state == function_state::pending);
    CHECK(created.state_reason_code == "Creating");
    CHECK(created.function_arn == "arn:aws:lambda:us-east-1:000000000000:function:f");
    CHECK(created.last_modified.size() == 28);
    const auto active = settle(*f.control, "f");
    CHECK(active.state == function_state::active);
    CHECK(active.last_update == update_status::successful);
    CHECK(active.state_reason.empty());
    CHECK(f.worker.inits == 1);
    auto r = f.control->invoke("f", R"({"a":1})").value();
    CHECK(r.payload == R"({"a":1})");
    CHECK(f.worker.last.invoked_arn == created.function_arn);
    CHECK(f.worker.last.request_id.size() == 36);
}

TEST_CASE("an invocation of a Pending function is refused as at AWS") {
    fixture f;
    f.control->create_function(creation("f", "init_slow")).value();
    auto r = f.control->invoke("f", "{}");
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::not_ready);
    CHECK(r.error().message() ==
          "The operation cannot be performed at this time. The function is currently in the "
          "following state: Pending");
    CHECK(f.control->check_invoke("f").error() == errc::not_ready);
    CHECK(
        f.control->update_function_code({.function_name = "f", .zip_file = script_zip()}).error() ==
        errc::conflict);
    f.worker.release();
    settle(*f.control, "f");
    CHECK(f.control->invoke("f", "{}").has_value());
}

TEST_CASE("a failing init makes the function Failed with the reason, and invoke says so") {
    fixture f;
    f.create("f", "init_fail");
    const auto c = f.control->get_function("f").value().configuration;
    CHECK(c.state == function_state::failed);
    CHECK(c.state_reason == "Runtime exited with error: exit status 3");
    CHECK(c.state_reason_code == "FunctionError.RuntimeInitError");
    CHECK_THAT(f.control->invoke("f", "{}").error().message(),
               Catch::Contains("state: Failed") && Catch::Contains("exit status 3"));
    f.create("late", "init_timeout");
    CHECK(f.control->get_function("late").value().configuration.state_reason_code ==
          "FunctionError.InitTimeout");
}

TEST_CASE("a package without an entry point fails in the background with AWS's reason code") {
    fixture f;
    const std::pair<std::string, const char*> cases[] = {
        {zip_maker().file("main", "x", 0755).bytes(), "FunctionError.InvalidEntryPoint"},
        {zip_maker().file("bootstrap", "#!/bin/sh\n", 0644).bytes(),
         "FunctionError.PermissionDenied"},
        {zip_maker().file("bootstrap", "text", 0755).bytes(), "FunctionError.InvalidEntryPoint"},
    };
    int n = 0;
    for (const auto& [zip, code] : cases) {
        auto request = creation("f" + std::to_string(n++));
        request.zip_file = zip;
        REQUIRE(f.control->create_function(request).has_value());
        const auto c = settle(*f.control, request.function_name);
        CHECK(c.state == function_state::failed);
        CHECK(c.state_reason_code == code);
        CHECK_FALSE(c.state_reason.empty());
    }
    CHECK(f.worker.inits == 0);
}

TEST_CASE("a Failed function recovers by an update") {
    fixture f;
    f.create("f", "init_fail");
    update_function_configuration_request u;
    u.function_name = "f";
    u.environment = variables{{"MODE", "echo"}};
    const auto updating = f.control->update_function_configuration(std::move(u)).value();
    CHECK(updating.state == function_state::pending);
    CHECK(settle(*f.control, "f").state == function_state::active);
    CHECK(f.control->invoke("f", "1").value().payload == "1");
}

TEST_CASE("a bad package is refused at once and leaves nothing behind") {
    fixture f;
    auto request = creation("f");
    request.zip_file = "not a zip";
    CHECK(f.control->create_function(request).error() == errc::bad_package);
    request.zip_file.clear();
    CHECK(f.control->create_function(request).error() == errc::invalid_argument);
    CHECK(f.control->size() == 0);
    CHECK(f.control->get_function("f").error() == errc::not_found);
}

TEST_CASE("the old code serves while an update is under way, and after one that failed") {
    fixture f;
    f.create("f");
    const auto before = f.control->get_function("f").value().configuration;
    update_function_configuration_request u;
    u.function_name = "f";
    u.environment = variables{{"MODE", "init_slow"}};
    CHECK(f.control->update_function_configuration(u).value().last_update ==
          update_status::in_progress);
    CHECK(f.control->get_function("f").value().configuration.state == function_state::active);
    CHECK(f.control->invoke("f", "2").value().payload == "2");
    CHECK_THAT(f.control->update_function_configuration(u).error().message(),
               Catch::Contains("An update is in progress for resource: arn:aws:lambda"));
    f.worker.release();
    CHECK(settle(*f.control, "f").last_update == update_status::successful);

    u.environment = variables{{"MODE", "init_fail"}};
    REQUIRE(f.control->update_function_configuration(u).has_value());
    const auto after = settle(*f.control, "f");
    CHECK(after.state == function_state::active);
    CHECK(after.last_update == update_status::failed);
    CHECK(after.last_update_reason_code == "FunctionError.RuntimeInitError");
    CHECK(after.settings.environment.at("MODE") == "init_slow");  // what serves is what is shown
    CHECK(after.revision_id != before.revision_id);
    CHECK(f.control->invoke("f", "3").value().payload == "3");
}

TEST_CASE("new code replaces the old, which goes with its last invocation") {
    fixture f;
    f.create("f");
    const auto old = f.control->get_function("f").value().configuration;
    update_function_code_request u{.function_name = "f", .zip_file = script_zip("new")};
    u.dry_run = true;
    CHECK(f.control->update_function_code(u).value().code_sha256 != old.code_sha256);
    CHECK(f.control->get_function("f").value().configuration == old);  // a dry run changes nothing
    u.dry_run = false;
    REQUIRE(f.control->update_function_code(u).has_value());
    const auto updated = settle(*f.control, "f");
    CHECK(updated.code_sha256 != old.code_sha256);
    CHECK(updated.settings == old.settings);
    CHECK(soon([&] { return f.worker.live == 1; }));  // the old goes on a thread of its own
    CHECK(f.control->read_package("f").value() == script_zip("new"));
}

TEST_CASE("a stale RevisionId is refused") {
    fixture f;
    f.create("f");
    const std::string latest = f.control->get_function("f").value().configuration.revision_id;
    update_function_configuration_request u;
    u.function_name = "f";
    u.revision_id = "stale";
    u.description = "new";
    CHECK(f.control->update_function_configuration(u).error() == errc::precondition_failed);
    u.revision_id = latest;
    CHECK(f.control->update_function_configuration(u).has_value());
    CHECK(f.control
              ->update_function_code(
                  {.function_name = "f", .zip_file = script_zip(), .revision_id = latest})
              .error() == errc::precondition_failed);
}

TEST_CASE("names, ARNs and qualifiers find the function, others do not") {
    fixture f;
    f.create("f");
    for (const char* name : {"f", "f:$LATEST", "000000000000:function:f",
                             "arn:aws:lambda:us-east-1:000000000000:function:f",
                             "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"})
        CHECK(f.control->get_function(name).has_value());
    CHECK(f.control->get_function("f", "$LATEST").has_value());
    CHECK(f.control->get_function("f", "1").error() == errc::not_found);
    CHECK(f.control->get_function("f", "1").error().message() ==
          "Function not found: arn:aws:lambda:us-east-1:000000000000:function:f:1");
    CHECK(f.control->get_function("g").error() == errc::not_found);
    CHECK(f.control->get_function("arn:aws:lambda:eu-west-1:000000000000:function:f").error() ==
          errc::not_found);
    CHECK(f.control->get_function("f:$LATEST", "live").error() == errc::invalid_argument);
    CHECK(f.control->get_function("f g").error() == errc::invalid_argument);
    REQUIRE(f.control->invoke("f", "{}", {}, "$LATEST").has_value());
    CHECK(f.worker.last.invoked_arn == "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST");
}

TEST_CASE("a function is created once, and deleted once") {
    fixture f;
    f.create("f");
    CHECK(f.control->create_function(creation("f")).error() == errc::already_exists);
    CHECK(f.control->create_function(creation("arn:aws:lambda:us-east-1:000000000000:function:f"))
              .error() == errc::already_exists);
    CHECK(f.control->delete_function("f", "$LATEST").error() == errc::invalid_argument);
    CHECK(f.control->delete_function("f", "1").error() == errc::not_found);
    REQUIRE(f.control->delete_function("f").has_value());
    CHECK(f.control->delete_function("f").error() == errc::not_found);
    CHECK(f.control->invoke("f", "{}").error() == errc::not_found);
    CHECK(f.worker.live == 0);
    f.create("f");
    CHECK(f.control->invoke("f", "4").value().payload == "4");
}

TEST_CASE("a function deleted while Pending does not come back") {
    fixture f;
    f.control->create_function(creation("f", "init_slow")).value();
    REQUIRE(f.control->delete_function("f").has_value());
    f.control->create_function(creation("f")).value();  // another of that name meanwhile
    f.worker.release();
    CHECK(settle(*f.control, "f").settings.environment.at("MODE") == "echo");
    f.control->drain();
    CHECK(f.worker.live == 1);
}

TEST_CASE("listing goes page by page in order of name") {
    fixture f;
    for (int i = 0; i < 7; ++i) f.create("f" + std::to_string(i));
    std::vector<std::string> names;
    std::string marker;
    int pages = 0;
    do {
        const auto page = f.control->list_functions(marker, 3).value();
        for (const auto& c : page.functions) names.push_back(c.function_name);
        marker = page.next_marker;
        ++pages;
    } while (!marker.empty());
    CHECK(pages == 3);
    CHECK(names == std::vector<std::string>{"f0", "f1", "f2", "f3", "f4", "f5", "f6"});
    CHECK(f.control->list_functions("", 7).value().next_marker.empty());
    CHECK(f.control->list_functions("no marker", 3).error() == errc::invalid_argument);
    CHECK(f.control->list_functions("", 0).error() == errc::invalid_argument);
    CHECK(f.control->list_functions("", 10001).error() == errc::invalid_argument);
    CHECK(f.control->get_account_settings().function_count == 7);
}

TEST_CASE("the worker's refusals reach the caller with their sentences, blocking or not") {
    fixture f;
    f.create("full", "no_room");
    f.create("busy", "throttle");
    CHECK(f.control->invoke("full", "{}").error() == errc::no_room);
    boost::asio::io_context io;
    int done = 0;
    const auto expect = [&](const char* name, errc code, const char* text) {
        auto called = std::make_shared<bool>(false);
        f.control->async_invoke(
            name, "{}", {}, "",
            boost::asio::bind_executor(
                io.get_executor(), [&done, called, code, text](const error& e, const response&) {
                    CHECK(e == code);
                    CHECK_THAT(e.message(), Catch::Contains(text));
                    *called = true;
                    ++done;
                }));
        CHECK_FALSE(*called);  // never inside the initiating call
    };
    expect("full", errc::no_room, "64 MiB were free");
    expect("busy", errc::throttled, "Rate");
    expect("absent", errc::not_found, "Function not found");
    io.run();  // no work of its own: the calls under way keep it running
    CHECK(done == 3);
}

TEST_CASE("code storage is limited over all functions") {
    fake_worker worker;
    auto control =
        control_plane::create({.code_storage_limit = byte_count(script_zip().size() * 2)}, worker)
            .value();
    REQUIRE(control->create_function(creation("a")).has_value());
    REQUIRE(control->create_function(creation("b")).has_value());
    CHECK(control->create_function(creation("c")).error() == errc::code_storage_exceeded);
    REQUIRE(control->delete_function("a").has_value());
    CHECK(control->create_function(creation("c")).has_value());
}

TEST_CASE("deploy takes any package, replaces, and is Active at once") {
    fixture f;
    function_config c;
    c.name = "f";
    c.package = package::in_process([](std::string_view e) { return "<" + std::string(e) + ">"; });
    CHECK(f.control->deploy(c).value().state == function_state::active);
    CHECK(f.control->invoke("f", "x").value().payload == "<x>");
    CHECK(f.worker.inits == 0);
    CHECK(
        f.control->update_function_code({.function_name = "f", .zip_file = script_zip()}).error() ==
        errc::unsupported);
    CHECK_FALSE(f.control->get_function("f").value().has_zip);

    c.package = package::zip_bytes(script_zip());
    c.pool.min_idle = 1;
    c.memory = 512_MiB;
    CHECK(f.control->deploy(c).value().settings.memory == 512_MiB);
    CHECK(f.worker.inits == 1);
    CHECK(f.control->invoke("f", "x").value().payload == "x");
    CHECK(f.worker.live == 1);

    c.memory = 1_MiB;
    CHECK(f.control->deploy(c).error() == errc::invalid_argument);
    c.memory = 128_MiB;
    c.package = package::zip_bytes(zip_maker().file("main").bytes());
    CHECK(f.control->deploy(c).error() == errc::missing_entry_point);
    c.package = {};
    CHECK(f.control->deploy(c).error() == errc::bad_package);
    CHECK(f.control->invoke("f", "y").value().payload == "y");  // what stood before stands
}

TEST_CASE("after drain nothing new is admitted") {
    fixture f;
    f.create("f");
    f.control->drain();
    CHECK(f.control->invoke("f", "{}").error() == errc::shutting_down);
    CHECK(f.control->create_function(creation("g")).error() == errc::shutting_down);
    boost::asio::io_context io;
    bool refused = false;
    f.control->async_invoke(
        "f", "{}", {}, "",
        boost::asio::bind_executor(io.get_executor(), [&](const error& e, const response&) {
            refused = e == errc::shutting_down;
        }));
    io.run();
    CHECK(refused);
}
