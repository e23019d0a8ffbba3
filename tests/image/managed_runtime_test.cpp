#include "image/managed_runtime.hpp"

#include "temporary_directory.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <fstream>

namespace {

namespace fs = std::filesystem;
using hearth::errc;
using hearth::image::managed_runtime;
using hearth::image::runtime_catalogue;

void put(const fs::path& file, const char* text = "program", unsigned mode = 0755) {
    fs::create_directories(file.parent_path());
    std::ofstream(file) << text;
    fs::permissions(file, fs::perms(mode));
}

std::vector<std::string> names(const runtime_catalogue& c) {
    std::vector<std::string> all;
    for (const auto& [name, runtime] : c.list()) all.push_back(name);
    return all;
}

}  // namespace

TEST_CASE("interpreters are known by their files' names, Node by its headers or its library") {
    hearth::test::temporary_directory d;
    const fs::path root = d.path() / "root";
    const runtime_catalogue c(root, {});
    CHECK(names(c).empty());
    put(root / "usr/bin/python3.11");
    put(root / "usr/bin/python3");               // no version in its name
    put(root / "usr/bin/python3.12", "", 0644);  // not a program
    put(root / "usr/bin/python2.7");
    put(root / "usr/bin/node");
    CHECK(names(c) == std::vector<std::string>{"python3.11"});
    put(root / "usr/lib/x86_64-linux-gnu/libnode.so.108");
    CHECK(names(c) == std::vector<std::string>{"nodejs18.x", "python3.11"});
    put(root / "usr/include/node/node_version.h",
        "#ifndef X\n#define NODE_MAJOR_VERSION 22\n#define NODE_MINOR_VERSION 1\n");
    CHECK(names(c) == std::vector<std::string>{"nodejs22.x", "python3.11"});
}

TEST_CASE("a link to an interpreter means what it means in the guest's root") {
    hearth::test::temporary_directory d;
    const fs::path root = d.path();
    fs::create_directories(root / "usr/bin");
    fs::create_symlink("/opt/p/python", root / "usr/bin/python3.10");
    fs::create_symlink("python3.13", root / "usr/bin/python3.13");  // itself
    const runtime_catalogue c(root, {});
    CHECK(names(c).empty());
    put(root / "opt/p/python");
    CHECK(names(c) == std::vector<std::string>{"python3.10"});
}

TEST_CASE("a directory of runtimes comes first and is shown at /var/lang") {
    hearth::test::temporary_directory d;
    put(d.path() / "root/usr/bin/python3.11");
    put(d.path() / "more/python3.11/bin/python3");
    put(d.path() / "more/nodejs20.x/bin/node");
    const runtime_catalogue c(d.path() / "root", d.path() / "more");
    const auto python = c.find("python3.11").value();
    REQUIRE(python);
    CHECK(python->program == "/var/lang/bin/python3");
    CHECK(python->prefix == d.path() / "more/python3.11");
    CHECK(python->arguments.back() == "/var/runtime/bootstrap.py");
    const auto node = c.find("nodejs20.x").value();
    REQUIRE(node);
    CHECK(node->environment.at("NODE_PATH").starts_with("/opt/nodejs/node20/node_modules:"));
    CHECK(python->client_sha256 != node->client_sha256);
}

TEST_CASE("what is not there is refused with what is; what is not managed is nobody's") {
    hearth::test::temporary_directory d;
    const runtime_catalogue c(d.path(), {});
    CHECK(c.find("provided.al2023").value() == nullptr);
    auto none = c.find("python3.12");
    REQUIRE(none.has_error());
    CHECK(none.error() == errc::invalid_argument);
    CHECK_THAT(none.error().message(), Catch::Contains("that are: none"));
    put(d.path() / "usr/local/bin/python3.14");
    CHECK_THAT(c.find("python3.12").error().message(), Catch::Contains("that are: python3.14"));
}

TEST_CASE("an interpreter is asked for its version once, and again when its file changes") {
    hearth::test::temporary_directory d;
    std::map<std::string, std::string> says;
    int asked = 0;
    const runtime_catalogue c(d.path() / "root", d.path() / "more",
                              [&](const managed_runtime& r) -> hearth::result<std::string> {
                                  ++asked;
                                  if (const auto it = says.find(r.program); it != says.end())
                                      return it->second;
                                  return hearth::error(errc::init_failed,
                                                       "exit status 127\nand more");
                              });
    CHECK(c.check("provided.al2023").has_value());
    put(d.path() / "root/usr/bin/python3.11");
    put(d.path() / "more/python3.12/bin/python3");
    put(d.path() / "more/nodejs20.x/bin/node");
    says = {{"/usr/bin/python3.11", "Python 3.11.2\n"},
            {"/var/lang/bin/python3", "Python 3.1.12\n"},
            {"/var/lang/bin/node", "v20.1.0\n"}};
    for (int i = 0; i < 2; ++i) {
        CHECK(c.check("python3.11").has_value());
        CHECK(c.check("nodejs20.x").has_value());
        const auto refused = c.check("python3.12");
        REQUIRE(refused.has_error());
        CHECK(refused.error() == errc::invalid_argument);
        const std::string text = refused.error().message();
        CHECK_THAT(text, Catch::Contains((d.path() / "more/python3.12/bin/python3").string() +
                                         " says that it is \"Python 3.1.12\"."));
        CHECK_THAT(text, Catch::Contains("that are: nodejs20.x, python3.11. Install"));
        CHECK(c.find("python3.12").has_value());  // by its name
    }
    CHECK(asked == 3);
    says["/var/lang/bin/python3"] = "Python 3.12.9+\n";
    put(d.path() / "more/python3.12/bin/python3", "another program");
    CHECK(c.check("python3.12").has_value());
    CHECK(asked == 4);
    says.erase("/var/lang/bin/node");
    put(d.path() / "more/nodejs20.x/bin/node", "a broken program");
    CHECK_THAT(c.check("nodejs20.x").error().message(),
               Catch::Contains("bin/node does not run: exit status 127. Managed"));
}

TEST_CASE("the clients are part of the library") {
    const auto files = hearth::image::client_files();
    for (const char* name : {"python/bootstrap.py", "node/bootstrap.mjs"})
        CHECK(std::ranges::any_of(files, [&](const auto& f) {
            return f.path == name && f.text.find("Runtime API") != f.text.npos;
        }));
}
