#include "image/package_image.hpp"
#include "temporary_directory.hpp"
#include "zip_maker.hpp"

#include <hearth/package.hpp>

#include <catch2/catch.hpp>

#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

using hearth::errc;
using hearth::package;
using hearth::image::check_entry_point;
using hearth::image::entry_point_of;
using hearth::image::package_image;
using hearth::test::temporary_directory;
using hearth::test::zip_maker;

namespace {

using kind = hearth::image::package_entry::kind;

std::shared_ptr<const package_image> code(const zip_maker& zip = zip_maker().file("main.py")) {
    return package_image::from_zip(zip.bytes()).value();
}
package layer(const zip_maker& zip) { return package::zip_bytes(zip.bytes()); }

std::string text_of(const package_image& image, const char* name) {
    const auto* entry = image.find(name);
    REQUIRE(entry);
    std::string text(entry->size, '\0');
    CHECK(::pread(image.contents(*entry)->get(), text.data(), text.size(),
                  static_cast<off_t>(entry->offset)) == static_cast<ssize_t>(text.size()));
    return text;
}

}  // namespace

TEST_CASE("layers are one tree, the later ones on top") {
    const temporary_directory dir;
    std::ofstream(dir.path() / "own.txt") << "from a directory";
    const std::vector<package> layers = {
        layer(
            zip_maker().file("lib/a", "a1").file("lib/b", "b1").file("tree/x").file("leaf", "l1")),
        layer(zip_maker().file("lib/b", "b2").file("tree", "a file now").file("leaf/in", "l2")),
        package::directory(dir.path())};
    const auto merged = package_image::load_layers(layers, *code()).value();
    CHECK(text_of(*merged, "lib/a") == "a1");
    CHECK(text_of(*merged, "lib/b") == "b2");
    CHECK(text_of(*merged, "tree") == "a file now");
    CHECK(merged->find("tree/x") == nullptr);
    CHECK(merged->find("leaf")->type == kind::directory);
    CHECK(text_of(*merged, "leaf/in") == "l2");
    CHECK(text_of(*merged, "own.txt") == "from a directory");
    CHECK(merged->find("")->type == kind::directory);

    const std::vector<package> other_order = {layers[1], layers[0], layers[2]};
    const auto turned = package_image::load_layers(other_order, *code()).value();
    CHECK(text_of(*turned, "lib/b") == "b1");
    CHECK(turned->code_sha256() != merged->code_sha256());
    CHECK(package_image::load_layers(layers, *code()).value()->code_sha256() ==
          merged->code_sha256());
}

TEST_CASE("no layers are none") {
    CHECK(package_image::load_layers({}, *code()).value() == nullptr);
}

TEST_CASE("layers beyond Lambda's limits, and what is no layer, are refused") {
    const package one = layer(zip_maker().file("x"));
    CHECK(package_image::load_layers(std::vector<package>(5, one), *code()).has_value());
    CHECK(package_image::load_layers(std::vector<package>(6, one), *code()).error() ==
          errc::invalid_argument);
    CHECK(package_image::load_layers(std::vector<package>{package()}, *code()).error() ==
          errc::bad_package);
    CHECK(package_image::load_layers(std::vector<package>{package::elf("/bin/true")}, *code())
              .error() == errc::bad_package);
    // 250 MB are counted over package and layers; a sparse file costs the test nothing on disk.
    const temporary_directory dir;
    std::ofstream(dir.path() / "large").put('x');
    std::filesystem::resize_file(dir.path() / "large", 130ull << 20);
    const package large = package::directory(dir.path());
    CHECK(package_image::load_layers(std::vector<package>{large}, *code()).has_value());
    const auto r = package_image::load_layers(std::vector<package>{large, large}, *code());
    CHECK(r.error() == errc::package_too_large);
    CHECK_THAT(r.error().message(),
               Catch::Contains("Function code combined with layers exceeds the maximum"));
}

TEST_CASE("a layer's absolute symlinks stay below /opt") {
    const auto with = [](const char* target) {
        return package_image::load_layers(
            std::vector<package>{layer(zip_maker().file("f").symlink("l", target))}, *code());
    };
    CHECK(with("/opt/f").has_value());
    CHECK(with("/opt").has_value());
    for (const char* outside : {"/var/task/f", "/optional", "/opt/../etc", "/"})
        CHECK(with(outside).error() == errc::bad_package);
}

TEST_CASE("a layer may bring the bootstrap, and libraries for it") {
    const auto check = [](const zip_maker& function, const zip_maker& runtime) {
        const auto f = package_image::from_zip(function.bytes()).value();
        const auto l = package_image::load_layers(std::vector<package>{layer(runtime)}, *f).value();
        auto checked = check_entry_point(*f, "/", l.get());
        return std::pair(entry_point_of(*f, l.get()), checked);
    };
    const zip_maker plain = zip_maker().file("handler.sh");
    auto [path, checked] = check(plain, zip_maker().file("bootstrap", "#!/bin/sh\n", 0755));
    CHECK(path == "/opt/bootstrap");
    CHECK(checked.has_value());
    // #! names an interpreter of the layer's, by way of a link.
    CHECK(check(plain, zip_maker()
                           .file("bootstrap", "#!/opt/bin/run\n", 0755)
                           .symlink("bin", "/opt/programs")
                           .file("programs/run", "#!/bin/sh\n", 0755))
              .second.has_value());
    CHECK(check(plain, zip_maker().file("bootstrap", "#!/opt/bin/run\n", 0755)).second.error() ==
          errc::missing_interpreter);
    CHECK(check(plain, zip_maker().file("bootstrap", "#!/bin/sh\n", 0644)).second.error() ==
          errc::not_executable);
    CHECK(check(plain, zip_maker().file("other")).second.error() == errc::missing_entry_point);
    // The function's own comes first.
    CHECK(check(zip_maker().file("bootstrap", "#!/bin/sh\n", 0755),
                zip_maker().file("bootstrap", "#!/bin/sh\n", 0755))
              .first == "/var/task/bootstrap");
}
