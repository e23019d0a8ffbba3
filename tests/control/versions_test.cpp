// Published versions and the aliases that lead to them.

#include "control_test_support.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::literals;
using namespace hearth::test;

namespace {

using fixture = control_fixture;

std::vector<std::string> versions_of(const function_page& page) {
    std::vector<std::string> versions;
    for (const auto& c : page.functions) versions.push_back(c.version);
    return versions;
}

}  // namespace

TEST_CASE("a version is Pending, then Active, and stays as it was published") {
    fixture f;
    f.create("f");
    const auto latest = f.control->get_function("f").value().configuration;
    const auto made =
        f.control->publish_version({.function_name = "f", .description = "one"}).value();
    CHECK(made.version == "1");
    CHECK(made.state == function_state::pending);
    CHECK(made.state_reason_code == "Creating");
    CHECK(made.revision_id != latest.revision_id);
    CHECK(made.settings.description == "one");
    CHECK(settle(*f.control, "f:1").state == function_state::active);
    CHECK(f.worker.inits == 2);  // each version has an init and a snapshot of its own

    update_function_configuration_request u;
    u.function_name = "f";
    u.memory = 512_MiB;
    f.control->update_function_configuration(u).value();
    settle(*f.control, "f");
    REQUIRE(f.control->update_function_code({.function_name = "f", .zip_file = script_zip("2")})
                .has_value());
    settle(*f.control, "f");
    const auto one = f.control->get_function("f", "1").value();
    CHECK(one.qualifier == "1");
    CHECK(one.configuration.settings.memory == 128_MiB);
    CHECK(one.configuration.code_sha256 == latest.code_sha256);
    CHECK(f.control->read_package("f:1").value() == script_zip());
    CHECK(f.control->read_package("f").value() == script_zip("2"));
    const auto r = f.control->invoke("f", "7", {}, "1").value();
    CHECK(r.payload == "7");
    CHECK(r.executed_version == "1");
    CHECK(f.worker.last.invoked_arn == arn + ":1");
    CHECK(f.control->invoke(arn + ":1", "8").value().executed_version == "1");
    CHECK(f.control->invoke("f", "9").value().executed_version == "$LATEST");
    CHECK(f.control->invoke("f", "9", {}, "2").error().message() ==
          "Function not found: " + arn + ":2");
    CHECK(f.control->get_function("f", "01").error() == errc::not_found);
}

TEST_CASE("what has not changed is not published again, what has is numbered on") {
    fixture f;
    f.create("f");
    CHECK(f.publish("f").version == "1");
    const auto again =
        f.control->publish_version({.function_name = "f", .description = "other"}).value();
    CHECK(again.version == "1");
    CHECK(again.settings.description.empty());
    f.change("f", "new");
    CHECK(f.publish("f").version == "2");
    CHECK(f.publish("f").version == "2");
    REQUIRE(f.control->delete_function("f", "2").has_value());
    CHECK(f.publish("f").version == "3");  // numbers are not used again
    CHECK(versions_of(f.control->list_versions("f").value()) ==
          std::vector<std::string>{"$LATEST", "1", "3"});
}

TEST_CASE("a version is published only from what the caller has seen") {
    fixture f;
    f.create("f");
    const auto latest = f.control->get_function("f").value().configuration;
    auto stale = f.control->publish_version({.function_name = "f", .revision_id = "stale"});
    CHECK(stale.error() == errc::precondition_failed);
    auto other = f.control->publish_version({.function_name = "f", .code_sha256 = "other"});
    CHECK(other.error() == errc::invalid_argument);
    CHECK_THAT(other.error().message(),
               Catch::StartsWith("CodeSHA256 (other) is different from current CodeSHA256 in "
                                 "$LATEST (" +
                                 latest.code_sha256 + ")"));
    CHECK(f.control->publish_version({.function_name = "f", .description = std::string(257, 'd')})
              .error() == errc::invalid_argument);
    CHECK(f.control->publish_version({.function_name = "g"}).error() == errc::not_found);
    CHECK(f.control->publish_version({.function_name = "f:1"}).error() == errc::invalid_argument);
    CHECK(f.control
              ->publish_version({.function_name = "f",
                                 .code_sha256 = latest.code_sha256,
                                 .revision_id = latest.revision_id})
              .value()
              .version == "1");

    f.control->create_function(creation("slow", "init_slow")).value();
    CHECK(f.control->publish_version({.function_name = "slow"}).error() == errc::conflict);
    f.create("broken", "init_fail");
    CHECK_THAT(f.control->publish_version({.function_name = "broken"}).error().message(),
               Catch::EndsWith("state: Failed"));
}

TEST_CASE("creation and new code may publish at once") {
    fixture f;
    auto request = creation("f");
    request.publish = true;
    const auto created = f.control->create_function(request).value();
    CHECK(created.version == "1");
    CHECK(created.state == function_state::pending);
    CHECK(settle(*f.control, "f:1").state == function_state::active);
    CHECK(settle(*f.control, "f").version == "$LATEST");
    CHECK(f.control->get_account_settings().total_code_size == 2 * script_zip().size());

    update_function_code_request u{.function_name = "f", .zip_file = script_zip("2")};
    u.publish = true;
    CHECK(f.control->update_function_code(u).value().version == "2");
    settle(*f.control, "f"), settle(*f.control, "f:2");
    CHECK(f.control->read_package("f:2").value() == script_zip("2"));
    CHECK(f.control->read_package("f:1").value() == script_zip());
    CHECK(f.control->update_function_code(u).value().version == "2");  // the same code
    settle(*f.control, "f");
}

TEST_CASE("a version whose init fails is Failed by itself") {
    fixture f;
    auto request = creation("f", "init_fail");
    request.publish = true;
    f.control->create_function(request).value();
    CHECK(settle(*f.control, "f:1").state == function_state::failed);
    CHECK(f.control->invoke("f", "{}", {}, "1").error() == errc::not_ready);
}

TEST_CASE("versions are listed page by page, alone and among all functions") {
    fixture f;
    f.create("f"), f.create("g");
    f.publish("f");
    f.change("f", "b"), f.publish("f");
    f.change("f", "c"), f.publish("f");
    f.publish("g");
    auto page = f.control->list_versions("f", "", 2).value();
    CHECK(versions_of(page) == std::vector<std::string>{"$LATEST", "1"});
    page = f.control->list_versions("f", page.next_marker, 2).value();
    CHECK(versions_of(page) == std::vector<std::string>{"2", "3"});
    CHECK(page.next_marker.empty());
    page = f.control->list_versions("f", "", 1).value();
    CHECK(versions_of(f.control->list_versions("f", page.next_marker, 1).value()) ==
          std::vector<std::string>{"1"});
    CHECK(f.control->list_versions("f", "no marker").error() == errc::invalid_argument);
    CHECK(f.control->list_versions("h").error() == errc::not_found);

    std::vector<std::string> all;
    std::string marker;
    do {
        const auto some = f.control->list_functions(marker, 2, true).value();
        for (const auto& c : some.functions) all.push_back(c.function_name + c.version);
        marker = some.next_marker;
    } while (!marker.empty());
    CHECK(all == std::vector<std::string>{"f$LATEST", "f1", "f2", "f3", "g$LATEST", "g1"});
    CHECK(f.control->list_functions().value().functions.size() == 2);
    REQUIRE(f.control->delete_function("f:2").has_value());
    const auto rest = f.control->list_functions("f:2", 50, true).value();  // a marker may go
    CHECK(versions_of(rest) == std::vector<std::string>{"3", "$LATEST", "1"});
}

TEST_CASE("a version goes alone, or with its function, and its packages with the last user") {
    fixture f;
    f.create("f");
    f.publish("f");
    CHECK(f.worker.live == 2);
    CHECK(f.control->delete_function("f", "2").error() == errc::not_found);
    REQUIRE(f.control->delete_function("f", "1").has_value());
    CHECK(f.control->delete_function("f", "1").error() == errc::not_found);
    CHECK(f.worker.live == 1);
    CHECK(f.control->invoke("f", "1", {}, "1").error() == errc::not_found);
    f.change("f", "x"), f.publish("f");
    REQUIRE(f.control->delete_function("f").has_value());
    CHECK(f.worker.live == 0);
    CHECK(f.control->get_function("f", "2").error() == errc::not_found);
}

TEST_CASE("a version deleted while Pending does not come back") {
    fixture f;
    auto request = creation("f", "init_slow");
    request.publish = true;
    f.control->create_function(request).value();
    REQUIRE(f.control->delete_function("f", "1").has_value());
    f.worker.release();
    settle(*f.control, "f");
    f.control->drain();
    CHECK(f.worker.live == 1);
}

TEST_CASE("only $LATEST is changed") {
    fixture f;
    f.create("f");
    f.publish("f");
    CHECK(f.control->update_function_code({.function_name = "f:1", .zip_file = script_zip("2")})
              .error() == errc::invalid_argument);
    update_function_configuration_request u;
    u.function_name = arn + ":1";
    CHECK(f.control->update_function_configuration(u).error() == errc::invalid_argument);
    u.function_name = arn + ":$LATEST";
    CHECK(f.control->update_function_configuration(u).has_value());
    settle(*f.control, "f");
}

TEST_CASE("an alias leads to its version, wherever it is moved") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.change("f", "two"), f.publish("f");
    const auto made =
        f.control
            ->create_alias(
                {.function_name = "f", .name = "live", .function_version = "1", .description = "d"})
            .value();
    CHECK(made.alias_arn == arn + ":live");
    CHECK(made.revision_id.size() == 36);
    CHECK(f.control->get_alias("f", "live").value() == made);
    auto r = f.control->invoke("f", "1", {}, "live").value();
    CHECK(r.executed_version == "1");
    CHECK(f.worker.last.invoked_arn == arn + ":live");
    const auto shown = f.control->get_function("f:live").value();
    CHECK(shown.configuration.version == "1");
    CHECK(shown.qualifier == "live");

    update_alias_request u{.function_name = "f", .name = "live", .revision_id = "stale"};
    CHECK(f.control->update_alias(u).error() == errc::precondition_failed);
    u.revision_id = made.revision_id;
    u.function_version = "2";
    const auto moved = f.control->update_alias(u).value();
    CHECK(moved.function_version == "2");
    CHECK(moved.description == "d");
    CHECK(moved.revision_id != made.revision_id);
    CHECK(f.control->invoke("f:live", "1").value().executed_version == "2");
    u = {.function_name = "f", .name = "live", .function_version = "$LATEST"};
    REQUIRE(f.control->update_alias(u).has_value());
    CHECK(f.control->invoke("f:live", "1").value().executed_version == "$LATEST");
    REQUIRE(f.control->delete_alias("f", "live").has_value());
    REQUIRE(f.control->delete_alias("f", "live").has_value());  // as at AWS
    CHECK(f.control->invoke("f:live", "1").error() == errc::not_found);
    CHECK(f.control->get_alias("f", "live").error().message() ==
          "Cannot find alias arn: " + arn + ":live");
}

TEST_CASE("a weighted alias shares its invocations out, and says which version ran") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.change("f", "two"), f.publish("f");
    f.control
        ->create_alias({.function_name = "f",
                        .name = "canary",
                        .function_version = "1",
                        .additional_version_weights = {{"2", 0.25}}})
        .value();
    int second = 0;
    for (int i = 0; i < 2000; ++i)
        second += f.control->invoke("f", "1", {}, "canary").value().executed_version == "2";
    // Ten standard deviations of 2,000 draws.
    CHECK(second > 500 - 194);
    CHECK(second < 500 + 194);
    update_alias_request u{.function_name = "f", .name = "canary"};
    u.additional_version_weights = {{"2", 1.0}};
    f.control->update_alias(u).value();
    CHECK(f.control->invoke("f", "1", {}, "canary").value().executed_version == "2");
    u.additional_version_weights = {{"2", 0.0}};
    f.control->update_alias(u).value();
    CHECK(f.control->invoke("f", "1", {}, "canary").value().executed_version == "1");
    u.additional_version_weights.emplace();
    CHECK(f.control->update_alias(u).value().additional_version_weights.empty());
}

TEST_CASE("aliases that cannot be are refused in AWS's words") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.change("f", "two"), f.publish("f");
    const auto refused = [&](create_alias_request r, errc code, const std::string& text) {
        r.function_name = r.function_name.empty() ? "f" : r.function_name;
        const auto made = f.control->create_alias(r);
        REQUIRE(made.has_error());
        CHECK(made.error() == code);
        CHECK_THAT(made.error().message(), Catch::Contains(text));
    };
    refused({.name = "12", .function_version = "1"}, errc::invalid_argument, "at 'name'");
    refused({.name = "", .function_version = "1"}, errc::invalid_argument, "at 'name'");
    refused({.name = "a.b", .function_version = "1"}, errc::invalid_argument, "(?!^[0-9]+$)");
    refused({.name = "a", .function_version = "x"}, errc::invalid_argument, "'functionVersion'");
    refused({.name = "a", .function_version = "9"}, errc::not_found,
            "Function not found: " + arn + ":9");
    refused({.function_name = "g", .name = "a", .function_version = "1"}, errc::not_found, "g");
    using weights = std::map<std::string, double>;
    const auto routed = [&](const std::string& version, const weights& w, errc code,
                            const char* text) {
        refused({.name = "a", .function_version = version, .additional_version_weights = w}, code,
                text);
    };
    routed("1", {{"1", 0.5}}, errc::invalid_argument, "already included");
    routed("$LATEST", {{"1", 0.5}}, errc::invalid_argument, "more than 1 version");
    routed("1", {{"2", 1.5}}, errc::invalid_argument, "less than or equal to 1.0");
    routed("1", {{"2", -0.5}}, errc::invalid_argument, "greater than or equal to 0.0");
    routed("1", {{"$LATEST", 0.5}}, errc::invalid_argument, "[0-9]+");
    routed("1", {{"2", 0.5}, {"3", 0.5}}, errc::invalid_argument, "cannot be greater than 1");
    routed("1", {{"7", 0.5}}, errc::not_found, ":7");
    f.control->create_alias({.function_name = "f", .name = "a", .function_version = "1"}).value();
    refused({.name = "a", .function_version = "1"}, errc::already_exists,
            "Alias already exists: " + arn + ":a");
    CHECK(f.control->update_alias({.function_name = "f", .name = "b"}).error().message() ==
          "Alias not found: " + arn + ":b");
}

TEST_CASE("a version that an alias leads to is not deleted") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.change("f", "two"), f.publish("f");
    f.control
        ->create_alias({.function_name = "f",
                        .name = "live",
                        .function_version = "1",
                        .additional_version_weights = {{"2", 0.5}}})
        .value();
    f.control->create_alias({.function_name = "f", .name = "old", .function_version = "1"}).value();
    CHECK(f.control->delete_function("f", "1").error() == errc::conflict);
    CHECK(f.control->delete_function("f", "1").error().message() ==
          "Unable to delete version because the following aliases reference it: [live, old]");
    CHECK(f.control->delete_function("f", "2").error() == errc::conflict);
    CHECK(f.control->delete_function("f", "live").error() == errc::invalid_argument);
    REQUIRE(f.control->delete_alias("f", "live").has_value());
    CHECK(f.control->delete_function("f", "2").has_value());
    CHECK(f.control->delete_function("f").has_value());
    f.create("f");
    CHECK(f.control->list_aliases("f").value().aliases.empty());
}

TEST_CASE("aliases are listed by name, page by page, or those of a version") {
    fixture f;
    f.create("f");
    f.publish("f");
    f.change("f", "two"), f.publish("f");
    for (const char* name : {"c", "a", "b"})
        f.control
            ->create_alias(
                {.function_name = "f", .name = name, .function_version = *name == 'b' ? "2" : "1"})
            .value();
    const auto names = [](const alias_page& page) {
        std::string all;
        for (const auto& a : page.aliases) all += a.name;
        return all;
    };
    auto page = f.control->list_aliases("f", "", "", 2).value();
    CHECK(names(page) == "ab");
    page = f.control->list_aliases("f", "", page.next_marker, 2).value();
    CHECK(names(page) == "c");
    CHECK(page.next_marker.empty());
    CHECK(names(f.control->list_aliases("f", "1").value()) == "ac");
    CHECK(f.control->list_aliases("f", "x").error() == errc::invalid_argument);
    CHECK(f.control->list_aliases("f", "", "0").error() == errc::invalid_argument);
}

TEST_CASE("deploy keeps the versions of a function that is as durable as before") {
    fixture f;
    function_config c;
    c.name = "f";
    c.package = package::in_process([](std::string_view) { return std::string("1"); });
    f.control->deploy(c).value();
    f.publish("f");
    f.control->create_alias({.function_name = "f", .name = "live", .function_version = "1"})
        .value();
    c.package = package::in_process([](std::string_view) { return std::string("2"); });
    f.control->deploy(c).value();
    CHECK(f.control->invoke("f", "{}").value().payload == "2");
    CHECK(f.control->invoke("f:live", "{}").value().payload == "1");
    CHECK(f.publish("f").version == "2");
    CHECK(f.control->invoke("f:2", "{}").value().payload == "2");
}
