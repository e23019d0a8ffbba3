#include "image/elf.hpp"

#include "sound_plan.hpp"

#include <catch2/catch.hpp>

#include <elf.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>

using namespace hearth;
using image::read_elf;

namespace {

std::vector<std::byte> slurp(const char* path) {
    std::ifstream in(path, std::ios::binary);
    const std::string s((std::istreambuf_iterator<char>(in)), {});
    const auto* p = reinterpret_cast<const std::byte*>(s.data());
    return {p, p + s.size()};
}

/// A minimal valid executable: headers and one RX page.
struct small_elf {
    Elf64_Ehdr header{};
    std::vector<Elf64_Phdr> programs;
    std::string interpreter;

    small_elf() {
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_ident[EI_VERSION] = EV_CURRENT;
        header.e_type = ET_EXEC;
        header.e_machine = EM_X86_64;
        header.e_version = EV_CURRENT;
        header.e_entry = 0x401000;
        header.e_phoff = sizeof(Elf64_Ehdr);
        header.e_phentsize = sizeof(Elf64_Phdr);
        programs.push_back({PT_LOAD, PF_R | PF_X, 0, 0x400000, 0x400000, 0x2000, 0x2000, 0x1000});
    }
    std::vector<std::byte> bytes(std::size_t size = 0x3000) {
        std::vector<std::byte> file(size);
        header.e_phnum = static_cast<Elf64_Half>(programs.size());
        std::memcpy(file.data(), &header, sizeof header);
        std::memcpy(file.data() + sizeof header, programs.data(),
                    programs.size() * sizeof(Elf64_Phdr));
        std::memcpy(file.data() + 0x800, interpreter.data(), interpreter.size());
        return file;
    }
    std::string why(std::size_t size = 0x3000) {
        const auto file = bytes(size);
        const auto plan = read_elf(file, file.size());
        if (plan.has_value()) return "";
        REQUIRE(plan.error() == errc::bad_executable);
        return plan.error().message();
    }
};

}  // namespace

TEST_CASE("a small executable is read as it is") {
    const auto file = small_elf().bytes();
    const auto plan = read_elf(file, file.size());
    REQUIRE(plan.has_value());
    CHECK(!plan->position_independent);
    CHECK(plan->entry == 0x401000);
    CHECK(plan->phdr_address == 0x400040);
    CHECK(plan->phdr_count == 1);
    CHECK(plan->segments.size() == 1);
    CHECK(plan->segments[0].execute);
    CHECK(!plan->segments[0].write);
    CHECK(plan->interpreter.empty());
}

TEST_CASE("programs of this system are read, with interpreter and needed libraries") {
    const auto dynamic = slurp("/bin/true");
    const auto plan = read_elf(
        std::span(dynamic).first(std::min<std::size_t>(dynamic.size(), 65536)), dynamic.size());
    REQUIRE(plan.has_value());
    CHECK(test::broken_promise(*plan, dynamic.size()) == "");
    CHECK(plan->interpreter == "/lib64/ld-linux-x86-64.so.2");
    CHECK(plan->position_independent);
    const auto needed = image::read_elf_dynamic(dynamic);
    REQUIRE(needed.has_value());
    CHECK(std::count(needed->needed.begin(), needed->needed.end(), "libc.so.6") == 1);
}

TEST_CASE("what is not an x86-64 Linux program is refused with the reason") {
    const std::string script = "#!/bin/sh\n";
    CHECK(read_elf(std::as_bytes(std::span(script)), script.size()).error().message() ==
          "not an ELF file");
    CHECK(read_elf({}, 0).error() == errc::bad_executable);
    small_elf e;
    e.header.e_machine = EM_AARCH64;
    CHECK(e.why() == "built for aarch64 (arm64); Hearth runs x86-64 programs");
    e = {};
    e.header.e_ident[EI_CLASS] = ELFCLASS32;
    CHECK(e.why().find("32-bit") != std::string::npos);
    e = {};
    e.header.e_type = ET_REL;
    CHECK(e.why() == "an object file, not linked");
}

TEST_CASE("headers that lie are refused") {
    const auto with = [](auto change, std::size_t size = 0x3000) {
        small_elf e;
        change(e);
        return e.why(size);
    };
    CHECK(with([](auto& e) { e.header.e_phentsize = 32; }) != "");
    CHECK(with([](auto& e) { e.programs.clear(); }) != "");
    CHECK(with([](auto& e) { e.header.e_phoff = ~0ULL - 10; }) != "");
    CHECK(with([](auto& e) { e.header.e_phoff = 0x2ff0; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_filesz = 0x2001; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_offset = ~0ULL; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_memsz = ~0ULL; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_memsz = 1ULL << 47; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_vaddr = 0x7fff'ffdf'f000; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_vaddr = 0xffff'ffff'ffff'f000; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_vaddr = 0x1000; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_vaddr = 0x400010; }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_align = 1ULL << 40; }) != "");
    CHECK(with([](auto& e) { e.programs.push_back(e.programs[0]); }) != "");
    CHECK(with([](auto& e) { e.programs[0].p_type = PT_NOTE; }) != "");
    CHECK(with([](auto&) {}, 0x1fff) != "");
    CHECK(with([](auto& e) { e.programs.resize(1200, e.programs[0]); }, 0x20000) != "");
    // phnum 0xffff: the count would be in a section header
    auto file = small_elf().bytes(0x400000);
    const Elf64_Half many = PN_XNUM;
    std::memcpy(file.data() + offsetof(Elf64_Ehdr, e_phnum), &many, 2);
    CHECK(read_elf(file, file.size()).has_error());
}

TEST_CASE("interpreters are terminated names inside the file") {
    const auto with = [](std::string name, std::uint64_t offset, std::uint64_t size) {
        small_elf e;
        e.interpreter = std::move(name);
        e.programs.insert(e.programs.begin(), {PT_INTERP, PF_R, offset, 0, 0, size, size, 1});
        const auto file = e.bytes();
        return read_elf(file, file.size());
    };
    CHECK(with("/lib/ld-musl", 0x800, 13)->interpreter == "/lib/ld-musl");
    CHECK(with("/lib/ld-musl", 0x800, 12).has_error());
    CHECK(with("", 0x800, 4).has_error());
    CHECK(with("x", 0x800, 5000).has_error());
    CHECK(with("x", 0x2fff, 2).has_error());
    CHECK(with("x", ~0ULL, 2).has_error());
}

TEST_CASE("mutated programs are refused or read into a sound plan, never worse") {
    std::mt19937 random(20240601);
    for (const char* path : {"/bin/true", "/usr/bin/busybox", "/lib64/ld-linux-x86-64.so.2"}) {
        const auto original = slurp(path);
        if (original.empty()) continue;
        std::vector<std::byte> head(
            original.begin(),
            original.begin() + std::min<std::ptrdiff_t>(65536, std::ssize(original)));
        int read = 0;
        for (int round = 0; round < 4000; ++round) {
            auto file = head;
            const std::size_t changes = 1 + random() % 8;
            for (std::size_t i = 0; i < changes; ++i) {
                const std::size_t at = random() % std::min<std::size_t>(file.size(), 1024);
                static constexpr unsigned interesting[] = {0, 1, 0x7f, 0x80, 0xff, 0x10};
                file[at] =
                    static_cast<std::byte>(random() % 2 ? random() : interesting[random() % 6]);
            }
            if (random() % 4 == 0) file.resize(random() % file.size());
            if (const auto plan = read_elf(file, original.size()); plan.has_value()) {
                ++read;
                REQUIRE(test::broken_promise(*plan, original.size()) == "");
            }
            (void)image::read_elf_dynamic(file);
        }
        CHECK(read > 0);
    }
}
