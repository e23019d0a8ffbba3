#include "guest/exec/stack_image.hpp"

#include <catch2/catch.hpp>

#include <elf.h>

#include <cstring>
#include <map>

using namespace hearth;
using namespace hearth::guest;
using namespace hearth::guest::exec;

namespace {

/// Reads a stack as a program's start code does.
struct reader {
    const stack_image& image;

    [[nodiscard]] std::uint64_t word(gva at) const {
        std::uint64_t w = 0;
        REQUIRE(at.value - image.pointer.value <= image.bytes.size() - sizeof w);
        std::memcpy(&w, image.bytes.data() + (at - image.pointer), sizeof w);
        return w;
    }
    [[nodiscard]] std::string text(std::uint64_t at) const {
        const std::uint64_t offset = at - image.pointer.value;
        REQUIRE(offset < image.bytes.size());
        const auto* s = reinterpret_cast<const char*>(image.bytes.data() + offset);
        return {s, ::strnlen(s, image.bytes.size() - offset)};
    }
};

}  // namespace

TEST_CASE("a program finds its arguments, environment and auxiliary vector on the stack") {
    const gva top{0x7fff'0000'0000};
    for (std::size_t argc = 1; argc < 6; ++argc) {
        for (std::size_t envc = 0; envc < 5; ++envc) {
            std::vector<std::string> arguments, environment;
            for (std::size_t i = 0; i < argc; ++i)
                arguments.push_back("argument" + std::string(i * 3, 'x'));
            for (std::size_t i = 0; i < envc; ++i)
                environment.push_back("KEY" + std::to_string(i) + "=");
            stack_contents c;
            c.arguments = arguments;
            c.environment = environment;
            c.file_name = "/var/task/bootstrap";
            c.random.fill(std::byte{0x5a});
            c.auxiliary = {{AT_PAGESZ, 4096}, {AT_ENTRY, 0x401000}};
            const stack_image image = build_stack(top, c);
            const reader r{image};

            REQUIRE(image.pointer.value % 16 == 0);
            REQUIRE(image.pointer + image.bytes.size() == top);
            gva at = image.pointer;
            REQUIRE(r.word(at) == argc);
            std::uint64_t last = 0;
            for (const auto& a : arguments) {
                REQUIRE(r.text(r.word(at += 8)) == a);
                if (last) REQUIRE(r.word(at) > last);
                last = r.word(at);
            }
            REQUIRE(r.word(at += 8) == 0);
            for (const auto& e : environment) REQUIRE(r.text(r.word(at += 8)) == e);
            REQUIRE(r.word(at += 8) == 0);
            std::map<std::uint64_t, std::uint64_t> auxiliary;
            for (at += 8; r.word(at) != AT_NULL; at += 16) auxiliary[r.word(at)] = r.word(at + 8);
            REQUIRE(auxiliary.size() == 5);
            REQUIRE(auxiliary[AT_ENTRY] == 0x401000);
            REQUIRE(r.text(auxiliary[AT_EXECFN]) == "/var/task/bootstrap");
            REQUIRE(r.text(auxiliary[AT_PLATFORM]) == "x86_64");
            REQUIRE(r.word(gva{auxiliary[AT_RANDOM]}) == 0x5a5a'5a5a'5a5a'5a5a);
            REQUIRE(r.word(gva{auxiliary[AT_RANDOM] + 8}) == 0x5a5a'5a5a'5a5a'5a5a);
        }
    }
}

TEST_CASE("arguments are limited one by one and together") {
    std::vector<std::string> list{std::string(131'071, 'x')};
    CHECK(check_lengths(list, {}).has_value());
    list[0].push_back('x');
    CHECK(check_lengths(list, {}).error() == errc::invalid_argument);
    list.assign(15, std::string(131'071, 'x'));
    CHECK(check_lengths(list, {}).has_value());
    CHECK(check_lengths({}, list).has_value());
    CHECK(check_lengths(list, list).error() == errc::invalid_argument);
    // Pointers count: many empty strings are not free.
    list.assign(300'000, "");
    CHECK(check_lengths(list, {}).error() == errc::invalid_argument);
}
