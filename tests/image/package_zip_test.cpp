#include "image/package_image.hpp"
#include "image/sha256.hpp"
#include "image/zip_directory.hpp"
#include "zip_maker.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <catch2/catch.hpp>

#include <sys/mman.h>
#include <unistd.h>

using hearth::errc;
using hearth::image::package_entry;
using hearth::image::package_image;
using hearth::test::zip_maker;

namespace {

std::string content_of(const package_image& image, const char* name) {
    const package_entry* e = image.find(name);
    REQUIRE(e);
    std::string text(e->size, '\0');
    REQUIRE(::pread(image.contents(*e)->get(), text.data(), text.size(),
                    static_cast<off_t>(e->offset)) == static_cast<ssize_t>(text.size()));
    return text;
}

void check_refused(const zip_maker& zip, const char* why) {
    auto r = package_image::from_zip(zip.bytes());
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::bad_package);
    CHECK_THAT(r.error().message(), Catch::Contains(why));
}

/// `megabytes` of zeroes, deflated: about a thousandth of its size.
std::string bomb(int megabytes) {
    std::string out(2u << 20, '\0');
    std::size_t used = 0;
    archive* a = archive_write_new();
    archive_write_set_format_zip(a);
    archive_write_set_options(a, "compression-level=1");
    REQUIRE(archive_write_open_memory(a, out.data(), out.size(), &used) == ARCHIVE_OK);
    archive_entry* e = archive_entry_new();
    archive_entry_set_pathname(e, "bootstrap");
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0755);
    archive_write_header(a, e);  // no size: a data descriptor tells it afterwards
    const std::string zeroes(1u << 20, '\0');
    for (int i = 0; i < megabytes; ++i) archive_write_data(a, zeroes.data(), zeroes.size());
    archive_entry_free(e);
    REQUIRE(archive_write_close(a) == ARCHIVE_OK);
    archive_write_free(a);
    out.resize(used);
    return out;
}

}  // namespace

TEST_CASE("a zip becomes a tree with its missing directories, modes and contents") {
    auto zip = zip_maker()
                   .file("bootstrap", "#!/bin/sh\n", 0755)
                   .file("lib/deep/data.txt", "hello")
                   .symlink("lib/link", "deep/data.txt")
                   .directory("empty/")
                   .bytes();
    auto image = package_image::from_zip(zip).value();
    CHECK(image->find("bootstrap")->mode == 0755);
    CHECK(content_of(*image, "bootstrap") == "#!/bin/sh\n");
    CHECK(content_of(*image, "lib/deep/data.txt") == "hello");
    CHECK(image->find("lib/deep")->type == package_entry::kind::directory);
    CHECK(image->find("")->type == package_entry::kind::directory);
    CHECK(image->find("empty")->type == package_entry::kind::directory);
    CHECK(image->find("lib/link")->target == "deep/data.txt");
    CHECK(image->code_size() == zip.size());
    CHECK(image->code_sha256() == hearth::image::to_base64(hearth::image::sha256_of(zip)));
}

TEST_CASE("file contents start at pages, and nobody can change them") {
    auto image =
        package_image::from_zip(zip_maker().file("a", "1").file("b", "22").bytes()).value();
    CHECK(image->find("a")->offset % 4096 == 0);
    CHECK(image->find("b")->offset % 4096 == 0);
    CHECK(image->find("a")->offset != image->find("b")->offset);
    const int fd = image->contents(*image->find("a"))->get();
    CHECK(::pwrite(fd, "x", 1, 0) == -1);
    CHECK(::ftruncate(fd, 0) == -1);
    void* p = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(p == MAP_FAILED);
}

TEST_CASE("set-id and sticky bits are dropped, absent modes become 0644") {
    auto image = package_image::from_zip(zip_maker()
                                             .file("suid", "x", 06755)
                                             .add({.name = "none", .content = "x", .mode = 0100000})
                                             .bytes())
                     .value();
    CHECK(image->find("suid")->mode == 0755);
    CHECK(image->find("none")->mode == 0644);
}

TEST_CASE("a file without a Unix mode is readable but not executable") {
    auto image =
        package_image::from_zip(
            zip_maker().add({.name = "bootstrap", .content = "x", .unix_made = false}).bytes())
            .value();
    CHECK((image->find("bootstrap")->mode & 0444) == 0444);
    CHECK((image->find("bootstrap")->mode & 0111) == 0);
}

TEST_CASE("names in UTF-8 are taken whatever the process's locale is") {
    auto image = package_image::from_zip(
                     zip_maker()
                         .add({.name = "gr\xC3\xBC\xC3\x9F.txt", .content = "x", .flags = 0x800})
                         .bytes())
                     .value();
    CHECK(image->find("gr\xC3\xBC\xC3\x9F.txt"));
}

TEST_CASE("path traversal is refused") {
    check_refused(zip_maker().file("../evil"), "leaves the package");
    check_refused(zip_maker().file("a/../../evil"), "leaves the package");
    check_refused(zip_maker().file("/etc/passwd"), "absolute");
    check_refused(zip_maker().file("..\\evil"), "backslash");
    check_refused(zip_maker().file(std::string("a\0b", 3)), "NUL");
    check_refused(zip_maker().file(""), "empty name");
    check_refused(zip_maker().file("."), "empty name");
}

TEST_CASE("names longer than Linux allows are refused") {
    check_refused(zip_maker().file(std::string(256, 'n')), "too long");
    std::string path;
    while (path.size() <= 4000) path += std::string(200, 'd') + "/";
    check_refused(zip_maker().file(path + "f"), "too long");
}

TEST_CASE("symlinks that leave the package are refused, by their text or by way of another") {
    check_refused(zip_maker().symlink("l", "../outside"), "leaves the package");
    check_refused(zip_maker().symlink("l", "/etc/shadow"), "leaves the package");
    check_refused(zip_maker().symlink("d/l", "../../x"), "leaves the package");
    // d/up is the root, so d/up/.. is above it, though the text "d/up/.." is not.
    check_refused(zip_maker().directory("d/").symlink("d/up", "..").symlink("l", "d/up/.."),
                  "leaves the package");
    check_refused(zip_maker().symlink("l", ""), "symlink");
    check_refused(zip_maker().symlink("a", "b").symlink("b", "a"), "never arrives");
}

TEST_CASE("symlinks that stay inside are kept, dangling ones too") {
    auto image = package_image::from_zip(zip_maker()
                                             .file("d/f")
                                             .symlink("d/up", "../d/f")
                                             .symlink("abs", "/var/task/d/f")
                                             .symlink("dangling", "not/here")
                                             .bytes());
    REQUIRE(image.has_value());
    CHECK((*image)->entries().size() == 6);
}

TEST_CASE("nothing is written below a symlink or a file") {
    check_refused(zip_maker().symlink("d", "elsewhere").file("d/f"), "not a directory");
    check_refused(zip_maker().file("d").file("d/f"), "not a directory");
}

TEST_CASE("an entry that is there twice is refused") {
    check_refused(zip_maker().file("bootstrap", "good").file("bootstrap", "evil"), "twice");
    check_refused(zip_maker().file("a/./f").file("a/f"), "twice");
}

TEST_CASE("devices, pipes and sockets are refused") {
    for (std::uint32_t type : {0020000u, 0060000u, 0010000u, 0140000u})
        check_refused(zip_maker().add({.name = "node", .content = "", .mode = type | 0666}),
                      "not a file, a directory or a symlink");
}

TEST_CASE("encrypted zips are refused") {
    check_refused(zip_maker().add({.name = "f", .content = "secret", .flags = 1}), "encrypted");
}

TEST_CASE("what is not a zip, or a part of one, is refused at every cut") {
    const std::string zip =
        zip_maker().file("bootstrap", "content", 0755).file("lib/x", "more").bytes();
    for (std::size_t n = 0; n < zip.size(); ++n) {
        auto r = package_image::from_zip(std::string_view(zip).substr(0, n));
        REQUIRE(r.has_error());
        CHECK(r.error() == errc::bad_package);
    }
    CHECK(package_image::from_zip(std::string(1000, 'x')).error() == errc::bad_package);
}

TEST_CASE("a damaged byte anywhere gives an error or a package, never a crash") {
    const std::string zip =
        zip_maker().file("bootstrap", "content", 0755).symlink("l", "bootstrap").bytes();
    for (std::size_t i = 0; i < zip.size(); ++i)
        for (int bit = 0; bit < 8; ++bit) {
            std::string damaged = zip;
            damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
            (void)package_image::from_zip(damaged);
        }
    std::string wrong_content = zip;
    wrong_content[wrong_content.find("content")] = 'C';
    CHECK(package_image::from_zip(wrong_content).has_error());  // its CRC
}

TEST_CASE("a bomb stops at 250 MB of content, whatever its headers say") {
    const std::string zip = bomb(251);
    REQUIRE(zip.size() < hearth::image::max_zipped / 10);
    auto r = package_image::from_zip(zip);
    REQUIRE(r.has_error());
    CHECK(r.error() == errc::package_too_large);
    CHECK(r.error().message() == "Unzipped size must be smaller than 262144000 bytes");
}

TEST_CASE("too many entries are refused before any is unpacked") {
    zip_maker zip;
    for (int i = 0; i < 200; ++i) zip.file("f" + std::to_string(i));
    CHECK(hearth::image::read_zip_directory(zip.bytes(), 200).value().size() == 200);
    CHECK(hearth::image::read_zip_directory(zip.bytes(), 199).error() == errc::bad_package);
}

TEST_CASE("a zip over 50 MB is refused") {
    const std::string big(hearth::image::max_zipped + 1, 'x');
    CHECK(package_image::from_zip(big).error() == errc::package_too_large);
}

TEST_CASE("a digest is the same in base64 and in hex") {
    const auto digest = hearth::image::sha256_of("abc");  // FIPS 180-2, appendix B.1
    CHECK(hearth::image::to_hex(digest) ==
          "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(hearth::image::hex_of_base64_digest(hearth::image::to_base64(digest)) ==
          hearth::image::to_hex(digest));
    CHECK(hearth::image::hex_of_base64_digest("nonsense").empty());
}
