// Code signing configurations: stored, given to functions, shown.

#include "control_test_support.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {

using fixture = control_fixture;
const std::string publisher = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/v";

code_signing_config make(control_plane& control) {
    return control.create_code_signing_config({.allowed_publishers = {{publisher}}}).value();
}

}  // namespace

TEST_CASE("a code signing configuration is made, changed in part, listed and deleted") {
    fixture f;
    const auto made = make(*f.control);
    CHECK(made.arn == "arn:aws:lambda:us-east-1:000000000000:code-signing-config:" + made.id);
    CHECK(made.id.size() == 21);
    CHECK(made.untrusted_artifact_on_deployment == "Warn");
    const auto changed =
        f.control->update_code_signing_config(made.arn, {.description = "d"}).value();
    CHECK(changed.description == "d");
    CHECK(changed.allowed_publishers == made.allowed_publishers);
    CHECK(f.control->get_code_signing_config(made.arn).value() == changed);
    make(*f.control);
    auto page = f.control->list_code_signing_configs("", 1).value();
    REQUIRE(page.configs.size() == 1);
    page = f.control->list_code_signing_configs(page.next_marker, 1).value();
    CHECK(page.configs.size() == 1);
    CHECK(page.next_marker.empty());
    REQUIRE(f.control->delete_code_signing_config(made.arn).has_value());
    for (const errc e : {errc::not_found}) {
        CHECK(f.control->delete_code_signing_config(made.arn).error() == e);
        CHECK(f.control->get_code_signing_config(made.arn).error() == e);
        CHECK(f.control->update_code_signing_config(made.arn, {}).error() == e);
        CHECK(f.control->list_functions_by_code_signing_config(made.arn).error() == e);
    }
    CHECK(f.control->create_code_signing_config({}).error() == errc::invalid_argument);
    CHECK(f.control->create_code_signing_config({.allowed_publishers = {{"x"}}}).error() ==
          errc::invalid_argument);
    CHECK(f.control
              ->create_code_signing_config({.untrusted_artifact_on_deployment = "Maybe",
                                            .allowed_publishers = {{publisher}}})
              .error() == errc::invalid_argument);
}

TEST_CASE("a configuration that functions have is not deleted, and all come back after a restart") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    code_signing_config made;
    {
        fake_worker worker;
        auto control = control_plane::create(o, worker).value();
        made = make(*control);
        auto request = creation("f");
        request.code_signing_config_arn = made.arn;
        control->create_function(request).value();
        request.function_name = "g";
        request.code_signing_config_arn += "x";
        CHECK(control->create_function(request).error() == errc::not_found);
        settle(*control, "f");
    }
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    CHECK(control->get_code_signing_config(made.arn).value() == made);
    CHECK(control->get_function_code_signing_config("f").value() == made.arn);
    CHECK(control->list_functions_by_code_signing_config(made.arn).value().function_arns ==
          std::vector<std::string>{arn});
    CHECK(control->delete_code_signing_config(made.arn).error() == errc::conflict);
    CHECK(control->put_function_code_signing_config("f", "arn:x").error() == errc::not_found);
    REQUIRE(control->put_function_code_signing_config("f", "").has_value());
    CHECK(control->get_function_code_signing_config("f").value().empty());
    CHECK(control->delete_code_signing_config(made.arn).has_value());
}
