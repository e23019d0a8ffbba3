#include "image/package_image.hpp"
#include "temporary_directory.hpp"
#include "zip_maker.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>

using hearth::errc;
using hearth::image::check_entry_point;
using hearth::image::package_image;
using hearth::test::zip_maker;

namespace {

std::string read(const char* path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
}

hearth::result<void> check(const zip_maker& zip, const std::filesystem::path& root = "/") {
    return check_entry_point(*package_image::from_zip(zip.bytes()).value(), root);
}

}  // namespace

TEST_CASE("a package without bootstrap says so") {
    CHECK(check(zip_maker().file("main", "x", 0755)).error() == errc::missing_entry_point);
    CHECK(check(zip_maker().file("bootstrap/main", "x", 0755)).error() ==
          errc::missing_entry_point);
    CHECK(check(zip_maker().symlink("bootstrap", "nowhere")).error() == errc::missing_entry_point);
}

TEST_CASE("a bootstrap without execute permission says how to mend it") {
    auto r = check(zip_maker().file("bootstrap", "#!/bin/sh\n", 0644));
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::not_executable);
    CHECK_THAT(r.error().message(), Catch::Contains("chmod 755 bootstrap"));
}

TEST_CASE("a bootstrap that is no program is refused") {
    CHECK(check(zip_maker().file("bootstrap", "print('hello')", 0755)).error() ==
          errc::bad_executable);
    CHECK(check(zip_maker().file("bootstrap", "", 0755)).error() == errc::bad_executable);
}

TEST_CASE("a script needs its interpreter") {
    CHECK(check(zip_maker().file("bootstrap", "#!/bin/sh\nexit\n", 0755)).has_value());
    CHECK(check(zip_maker().file("bootstrap", "#! /usr/bin/env sh", 0755)).has_value());
    auto r = check(zip_maker().file("bootstrap", "#!/no/such/shell\n", 0755));
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::missing_interpreter);
    CHECK_THAT(r.error().message(), Catch::Contains("/no/such/shell"));
    CHECK_THAT(check(zip_maker().file("bootstrap", "#!/bin/sh\r\n", 0755)).error().message(),
               Catch::Contains("Unix line ends"));
    CHECK(check(zip_maker().file("bootstrap", "#!\n", 0755)).error() == errc::bad_executable);
    CHECK(check(zip_maker().file("bootstrap", "#!", 0755)).error() == errc::bad_executable);
}

TEST_CASE("a program's library is found in the package by its run path") {
    const std::string program = read(NEEDING_PROGRAM), library = read(NEEDED_LIBRARY);
    REQUIRE(!program.empty());
    CHECK(check(zip_maker().file("bootstrap", program, 0755).file("lib/libneeded.so", library))
              .has_value());
    // /var/task is in Lambda's LD_LIBRARY_PATH.
    CHECK(check(zip_maker().file("bootstrap", program, 0755).file("libneeded.so", library))
              .has_value());
    // By a symlink, as distributions ship them.
    CHECK(check(zip_maker()
                    .file("bootstrap", program, 0755)
                    .file("real/libneeded.so.1", library)
                    .symlink("lib", "real")
                    .symlink("real/libneeded.so", "libneeded.so.1"))
              .has_value());
    CHECK(check(zip_maker()
                    .file("app", program, 0755)
                    .symlink("bootstrap", "app")
                    .file("lib/libneeded.so", library))
              .has_value());
}

TEST_CASE("a missing library is named, with who needs it") {
    auto r = check(zip_maker().file("bootstrap", read(NEEDING_PROGRAM), 0755));
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::missing_interpreter);
    CHECK_THAT(r.error().message(),
               Catch::Contains("libneeded.so") && Catch::Contains("/var/task/bootstrap"));
}

TEST_CASE("a missing program interpreter is named") {
    const hearth::test::temporary_directory empty_root;
    auto r = check(zip_maker().file("bootstrap", read(NEEDING_PROGRAM), 0755), empty_root.path());
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::missing_interpreter);
    CHECK_THAT(r.error().message(), Catch::Contains("/lib64/ld-linux-x86-64.so.2"));
}
