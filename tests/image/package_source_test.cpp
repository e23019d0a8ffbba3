#include "image/package_image.hpp"
#include "temporary_directory.hpp"
#include "zip_maker.hpp"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <fstream>

using hearth::errc;
using hearth::package;
using hearth::image::package_entry;
using hearth::image::package_image;
using hearth::test::temporary_directory;
using hearth::test::zip_maker;
namespace fs = std::filesystem;

namespace {
void write(const fs::path& p, const std::string& text) {
    fs::create_directories(p.parent_path());
    std::ofstream(p, std::ios::binary) << text;
}
}  // namespace

TEST_CASE("a zip file and its bytes give the same package") {
    const temporary_directory dir;
    const std::string zip = zip_maker().file("bootstrap", "x", 0755).bytes();
    write(dir.path() / "p.zip", zip);
    auto from_file = package_image::load(package::zip(dir.path() / "p.zip")).value();
    auto from_bytes = package_image::load(package::zip_bytes(zip)).value();
    CHECK(from_file->entries() == from_bytes->entries());
    CHECK(from_file->code_sha256() == from_bytes->code_sha256());
}

TEST_CASE("an ELF file becomes bootstrap with its own mode") {
    const temporary_directory dir;
    write(dir.path() / "program", "\177ELF...");
    fs::permissions(dir.path() / "program", fs::perms(0755));
    auto image = package_image::load(package::elf(dir.path() / "program")).value();
    REQUIRE(image->find("bootstrap"));
    CHECK(image->find("bootstrap")->mode == 0755);
    CHECK(image->find("bootstrap")->size == 7);
    CHECK(image->code_size() == 7);
}

TEST_CASE("a directory is taken as it would be zipped") {
    const temporary_directory dir;
    write(dir.path() / "bootstrap", "x");
    write(dir.path() / "lib/data", "yy");
    fs::create_symlink("lib/data", dir.path() / "link");
    auto image = package_image::load(package::directory(dir.path())).value();
    CHECK(image->find("lib/data")->size == 2);
    CHECK(image->find("link")->type == package_entry::kind::symlink);
    CHECK(image->code_size() == 3);

    const std::string before = image->code_sha256();
    write(dir.path() / "lib/data", "yz");
    CHECK(package_image::load(package::directory(dir.path())).value()->code_sha256() != before);
}

TEST_CASE("a directory is held to a zip's rules") {
    const temporary_directory dir;
    fs::create_symlink("/etc/passwd", dir.path() / "link");
    CHECK(package_image::load(package::directory(dir.path())).error() == errc::bad_package);
    fs::remove(dir.path() / "link");
    REQUIRE(::mkfifo((dir.path() / "pipe").c_str(), 0600) == 0);
    CHECK(package_image::load(package::directory(dir.path())).has_error());
}

TEST_CASE("a callable is carried as it is") {
    auto image = package_image::load(package::in_process([](std::string_view e) {
                     return std::string(e);
                 })).value();
    CHECK(image->in_process()("echo") == "echo");
    CHECK(image->entries().empty());
}

TEST_CASE("what cannot be read says which file and why") {
    CHECK(package_image::load(package()).error() == errc::bad_package);
    CHECK(package_image::load(package::in_process(nullptr)).error() == errc::bad_package);
    for (const package& p : {package::zip("/no/such.zip"), package::elf("/no/such.zip"),
                             package::directory("/no/such.zip")}) {
        auto r = package_image::load(p);
        REQUIRE(r.has_error());
        CHECK(r.error() == errc::io_failed);
        CHECK_THAT(r.error().message(),
                   Catch::Contains("/no/such.zip") && Catch::Contains("No such file"));
    }
    CHECK(package_image::load(package::zip("/tmp")).error() == errc::bad_package);
}
