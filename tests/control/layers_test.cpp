// Layers: published, listed, deleted, and given to functions.

#include "control/storage.hpp"
#include "control_test_support.hpp"

#include <catch2/catch.hpp>

using namespace hearth;
using namespace hearth::test;

namespace {

using fixture = control_fixture;

const std::string layer_arn = "arn:aws:lambda:us-east-1:000000000000:layer:";

std::string layer_zip(const std::string& path, const std::string& text) {
    return zip_maker().file(path, text, 0644).bytes();
}

layer_version publish(control_plane& control,
                      const std::string& name,
                      const std::string& path = "lib/a",
                      std::vector<std::string> runtimes = {}) {
    publish_layer_request r{.layer_name = name, .zip_file = layer_zip(path, name)};
    r.compatible_runtimes = std::move(runtimes);
    return control.publish_layer_version(std::move(r)).value();
}

std::vector<std::uint64_t> versions_of(const layer_page& page) {
    std::vector<std::uint64_t> found;
    for (const auto& each : page.layers) found.push_back(each.version);
    return found;
}

result<function_configuration> use(control_plane& control, std::vector<std::string> arns) {
    update_function_configuration_request u;
    u.function_name = "f";
    u.layers.emplace();
    for (const std::string& each : arns) u.layers->push_back({.arn = each});
    auto updated = control.update_function_configuration(std::move(u));
    if (updated) settle(control, "f");
    return updated;
}

}  // namespace

TEST_CASE("layer versions are published, read, listed newest first and deleted for good") {
    fixture f;
    const auto one = publish(*f.control, "l", "lib/a", {"python3.11", "nodejs18.x"});
    CHECK(one.version == 1);
    CHECK(one.version_arn == layer_arn + "l:1");
    CHECK(one.layer_arn == layer_arn + "l");
    CHECK(one.code_size == layer_zip("lib/a", "l").size());
    CHECK(one.unzipped_size == 1);
    CHECK(f.control->get_layer_version("l", 1).value() == one);
    CHECK(f.control->get_layer_version(layer_arn + "l", 1).value() == one);
    CHECK(f.control->get_layer_version_by_arn(layer_arn + "l:1").value() == one);
    CHECK(f.control->read_layer("l", 1).value() == layer_zip("lib/a", "l"));
    for (int n = 2; n <= 3; ++n) publish(*f.control, "l", "lib/" + std::to_string(n), {"java11"});
    publish(*f.control, "a");

    auto page = f.control->list_layer_versions("l", {}, "", 2).value();
    CHECK(versions_of(page) == std::vector<std::uint64_t>{3, 2});
    page = f.control->list_layer_versions("l", {}, page.next_marker, 2).value();
    CHECK(versions_of(page) == std::vector<std::uint64_t>{1});
    CHECK(page.next_marker.empty());
    CHECK(versions_of(
              f.control->list_layer_versions("l", {.compatible_runtime = "nodejs18.x"}).value()) ==
          std::vector<std::uint64_t>{1});
    page = f.control->list_layers({}, "", 1).value();
    CHECK(page.layers.at(0).name == "a");
    page = f.control->list_layers({}, page.next_marker, 1).value();
    CHECK(page.layers.at(0).version_arn == layer_arn + "l:3");
    CHECK(page.next_marker.empty());
    CHECK(versions_of(f.control->list_layers({.compatible_runtime = "python3.11"}).value()) ==
          std::vector<std::uint64_t>{1, 1});  // a, which says nothing; l:1

    for (std::uint64_t n : {3, 2, 3}) REQUIRE(f.control->delete_layer_version("l", n).has_value());
    CHECK(f.control->get_layer_version("l", 3).error() == errc::not_found);
    CHECK(f.control->read_layer("l", 3).error() == errc::not_found);
    CHECK(versions_of(f.control->list_layer_versions("l").value()) ==
          std::vector<std::uint64_t>{1});
    CHECK(publish(*f.control, "l").version == 4);  // numbers are never used again
    CHECK(f.control->list_layer_versions("absent").value().layers.empty());
    CHECK(f.control->get_account_settings().total_code_size ==
          one.code_size + 2 * layer_zip("lib/a", "l").size());
}

TEST_CASE("layers that cannot be are refused") {
    fixture f;
    const auto refused = [&](auto change, errc code, const char* text) {
        publish_layer_request r{.layer_name = "l", .zip_file = layer_zip("a", "b")};
        change(r);
        const auto made = f.control->publish_layer_version(r);
        REQUIRE(made.has_error());
        CHECK(made.error() == code);
        CHECK_THAT(made.error().message(), Catch::Contains(text));
    };
    using request = publish_layer_request;
    refused([](request& r) { r.layer_name = "a b"; }, errc::invalid_argument, "'layerName'");
    refused([](request& r) { r.layer_name = ""; }, errc::invalid_argument, "'layerName'");
    refused([](request& r) { r.layer_name = layer_arn + "l:1"; }, errc::invalid_argument,
            "'layerName'");
    refused([](request& r) { r.layer_name = "arn:aws:lambda:eu-west-1:000000000000:layer:l"; },
            errc::not_found, "us-east-1");
    refused([](request& r) { r.zip_file = "no zip"; }, errc::bad_package, "");
    refused([](request& r) { r.zip_file.clear(); }, errc::invalid_argument, "source");
    refused([](request& r) { r.compatible_architectures = {"mips"}; }, errc::invalid_argument,
            "'compatibleArchitectures'");
    refused([](request& r) { r.compatible_runtimes.assign(16, "java11"); }, errc::invalid_argument,
            "'compatibleRuntimes'");
    refused([](request& r) { r.license_info.assign(513, 'x'); }, errc::invalid_argument, "512");
    CHECK(f.control->get_layer_version_by_arn("l").error() == errc::invalid_argument);
    CHECK(f.control->get_layer_version_by_arn(layer_arn + "l:x").error() == errc::invalid_argument);
    CHECK(f.control->get_layer_version("l", 0).error() == errc::not_found);
}

TEST_CASE("a function gets its layers merged, later over earlier, and keeps deleted ones") {
    fixture f;
    publish(*f.control, "one", "lib/shared");
    publish(*f.control, "two", "lib/shared");
    publish(*f.control, "three", "bin/tool");
    f.create("f");
    CHECK(f.worker.newest_layers == nullptr);
    const auto updated =
        use(*f.control, {layer_arn + "one:1", layer_arn + "three:1", layer_arn + "two:1"}).value();
    REQUIRE(updated.settings.layers.size() == 3);
    CHECK(updated.settings.layers[1].arn == layer_arn + "three:1");
    CHECK(updated.settings.layers[1].code_size > 0);
    REQUIRE(f.worker.newest_layers);
    const auto* shared = f.worker.newest_layers->find("lib/shared");
    REQUIRE(shared);
    CHECK(shared->size == 3);  // "two"
    CHECK(f.worker.newest_layers->find("bin/tool"));
    f.publish("f");
    REQUIRE(f.control->delete_layer_version("two", 1).has_value());
    f.change("f", "changed");  // one that has it keeps it
    CHECK(f.control->get_function("f").value().configuration.settings.layers.size() == 3);
    CHECK(f.worker.newest_layers->find("lib/shared"));
    REQUIRE(use(*f.control, {}).has_value());
    CHECK(f.worker.newest_layers == nullptr);
    CHECK(f.control->get_function("f:1").value().configuration.settings.layers.size() == 3);
    CHECK(use(*f.control, {layer_arn + "two:1"}).error() == errc::invalid_argument);  // anew
}

TEST_CASE("layers beyond AWS's limits are refused") {
    fixture f;
    f.create("f");
    std::vector<std::string> six;
    for (int i = 0; i < 6; ++i)
        six.push_back(publish(*f.control, "l" + std::to_string(i)).version_arn);
    CHECK_THAT(use(*f.control, six).error().message(), Catch::Contains("more than 5 layers"));
    six.pop_back();
    CHECK(use(*f.control, six).has_value());
    publish(*f.control, "l0");
    CHECK_THAT(use(*f.control, {layer_arn + "l0:1", layer_arn + "l0:2"}).error().message(),
               Catch::StartsWith("Two different versions of the same layer"));
    CHECK(use(*f.control, {layer_arn + "l0"}).error() == errc::invalid_argument);
    CHECK(use(*f.control, {layer_arn + "l0:9"}).error() == errc::invalid_argument);
    CHECK(use(*f.control, {"l0"}).error() == errc::invalid_argument);
}

TEST_CASE("a package and its layers are 250 MB unzipped at most") {
    const temporary_directory data;
    {
        // As if they had been unzipped: the sizes are on record.
        auto storage = control::open_sqlite_storage(data.path()).value();
        for (const auto& [name, megabytes] :
             {std::pair("big1", 130u), {"big2", 130u}, {"huge", 249u}}) {
            control::stored_layer l;
            l.layer.name = name, l.layer.version = 1;
            l.layer.version_arn = layer_arn + name + ":1";
            l.layer.unzipped_size = megabytes << 20;
            storage->put_layer(l).value();
        }
    }
    const std::string two_megabytes = zip_maker()
                                          .file("bootstrap", "#!/bin/sh\n", 0755)
                                          .file("more", std::string(2u << 20, 'x'))
                                          .bytes();
    const auto too_large = Catch::StartsWith(
        "Function code combined with layers exceeds the maximum allowed size of 262144000 bytes. "
        "The actual size is 2");
    control_options o;
    o.data_directory = data.path();
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    SECTION("the layers alone") {
        control->create_function(creation("f")).value();
        settle(*control, "f");
        CHECK_THAT(use(*control, {layer_arn + "big1:1", layer_arn + "big2:1"}).error().message(),
                   too_large);
        auto request = creation("g");
        request.settings.layers = {{.arn = layer_arn + "big1:1"}, {.arn = layer_arn + "big2:1"}};
        CHECK_THAT(control->create_function(request).error().message(), too_large);
    }
    SECTION("new code to layers that are there") {
        auto request = creation("f");
        request.settings.layers = {{.arn = layer_arn + "huge:1"}};
        control->create_function(request).value();
        settle(*control, "f");
        for (const bool dry_run : {true, false})
            CHECK_THAT(
                control
                    ->update_function_code(
                        {.function_name = "f", .zip_file = two_megabytes, .dry_run = dry_run})
                    .error()
                    .message(),
                too_large);
        CHECK(control->update_function_code({.function_name = "f", .zip_file = script_zip("2")})
                  .has_value());
    }
    SECTION("new layers to code that is not in memory") {
        auto request = creation("f");
        request.zip_file = two_megabytes;
        control->create_function(request).value();
        settle(*control, "f");
        control.reset();
        control = control_plane::create(o, worker).value();
        CHECK_THAT(use(*control, {layer_arn + "huge:1"}).error().message(), too_large);
        CHECK(use(*control, {layer_arn + "big1:1"}).has_value());
    }
}

TEST_CASE("a layer that is deleted while a function is created is refused, or stays with it") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    for (int round = 1; round <= 20; ++round) {
        const std::string name = "f" + std::to_string(round);
        const auto layer = publish(*control, "l", "lib/" + name);
        std::atomic<bool> begun = false;
        std::thread deleting([&] {
            begun = true;
            control->delete_layer_version("l", layer.version).value();
        });
        while (!begun) std::this_thread::yield();
        auto request = creation(name);
        request.settings.layers = {{.arn = layer.version_arn}};
        const auto created = control->create_function(request);
        deleting.join();
        if (created)
            CHECK(settle(*control, name).state == function_state::active);
        else
            CHECK(created.error() == errc::invalid_argument);
    }
}

TEST_CASE("layers, their numbers and their policies come back after a restart") {
    const temporary_directory data;
    control_options o;
    o.data_directory = data.path();
    layer_version one;
    {
        fake_worker worker;
        auto control = control_plane::create(o, worker).value();
        one = publish(*control, "l", "lib/a", {"java11"});
        control
            ->add_layer_permission(
                "l", 1, {.statement_id = "s", .action = "lambda:GetLayerVersion", .principal = "*"})
            .value();
        for (const char* path : {"lib/b", "lib/c"}) publish(*control, "l", path);
        control->create_function(creation("f")).value();
        settle(*control, "f");
        use(*control, {layer_arn + "l:2"}).value();
        control->delete_layer_version("l", 2).value();
        control->delete_layer_version("l", 3).value();
    }
    fake_worker worker;
    auto control = control_plane::create(o, worker).value();
    CHECK(control->get_layer_version("l", 1).value() == one);
    CHECK(versions_of(control->list_layer_versions("l").value()) == std::vector<std::uint64_t>{1});
    CHECK_THAT(control->get_layer_policy("l", 1).value().document, Catch::Contains("\"s\""));
    CHECK(publish(*control, "l").version == 4);
    // The deleted one's package is still there for the function that uses it.
    CHECK(control->invoke("f", "1").value().payload == "1");
    REQUIRE(worker.newest_layers);
    CHECK(worker.newest_layers->find("lib/b"));
}

TEST_CASE("a layer's policy is stored and shown") {
    fixture f;
    publish(*f.control, "l");
    const permission_request r{
        .statement_id = "s", .action = "lambda:GetLayerVersion", .principal = "123456789012"};
    CHECK(f.control->get_layer_policy("l", 1).error() == errc::not_found);
    const auto added = f.control->add_layer_permission("l", 1, r).value();
    CHECK_THAT(added.document, Catch::Contains(layer_arn + "l:1"));
    CHECK(f.control->get_layer_policy("l", 1).value().revision_id == added.revision_id);
    CHECK(f.control->add_layer_permission("l", 1, r).error() == errc::conflict);
    CHECK(f.control->add_layer_permission("l", 2, r).error() == errc::not_found);
    CHECK(f.control->remove_layer_permission("l", 1, "s", "x").error() ==
          errc::precondition_failed);
    permission_request other = r;
    other.action = "lambda:InvokeFunction";
    CHECK(f.control->add_layer_permission("l", 1, other).error() == errc::invalid_argument);
    REQUIRE(f.control->remove_layer_permission("l", 1, "s", added.revision_id).has_value());
    CHECK(f.control->get_layer_policy("l", 1).error() == errc::not_found);
}
