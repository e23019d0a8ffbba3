#include "guest/exec/load_program.hpp"
#include "guest/exec/vdso_image.hpp"
#include "mm_world.hpp"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>
#include <random>

using namespace mm_test;
using namespace hearth::guest::exec;

namespace {

struct files : program_source {
    outcome<file_backing> open(std::string_view path) override {
        if (const auto it = made.find(std::string(path)); it != made.end()) return it->second;
        if (forbidden.contains(std::string(path))) return os_error{EACCES};
        if (!host) return os_error{ENOENT};
        const int fd = ::open(std::string(path).c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return os_error{errno};
        struct stat st {};
        ::fstat(fd, &st);
        file_backing f;
        f.fd = std::make_shared<const unique_fd>(fd);
        f.size = static_cast<std::uint64_t>(st.st_size);
        f.path = path;
        return f;
    }
    std::map<std::string, file_backing> made;
    std::set<std::string> forbidden;
    bool host = true;
};

std::string slurp(const char* path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

program_request request_for(std::string path, std::vector<std::string> rest = {}) {
    program_request q;
    q.path = path;
    q.arguments = {std::move(path)};
    q.arguments.insert(q.arguments.end(), rest.begin(), rest.end());
    q.environment = {"LANG=C"};
    return q;
}

std::string why(const error& e, errc expected) {
    CHECK(e == expected);
    return e.message();
}

struct sandbox {
    sandbox() { w.space.emplace(process.mm, w.frames, w.memory); }
    result<loaded_program> load(const program_request& q) {
        return load_program(process, *w.space, source, q);
    }
    std::string get(gva at, std::size_t n) { return w.get(at, n); }
    /// The argument strings on the stack, as /proc/self/cmdline shows them.
    std::string arguments() {
        return get(process.mm.arguments, process.mm.environment - process.mm.arguments);
    }
    world w{256_MiB, 32768};
    process_state process;
    files source;
};

}  // namespace

TEST_CASE("a static program is laid out as its headers say") {
    const std::string file = slurp("/bin/busybox");
    if (file.empty()) {
        WARN("no /bin/busybox: not tested");
        return;
    }
    sandbox s;
    const auto loaded = s.load(request_for("/bin/busybox", {"ls", "-l"}));
    REQUIRE(loaded.has_value());
    CHECK(loaded->name == "busybox");
    CHECK(loaded->registers.rflags == 0x202);
    CHECK(loaded->registers.rsp % 16 == 0);
    CHECK(s.process.executable == "/bin/busybox");
    using namespace std::string_literals;
    CHECK(s.arguments() == "/bin/busybox\0ls\0-l\0"s);
    CHECK(s.get(s.process.mm.environment,
                s.process.mm.environment_end - s.process.mm.environment) == "LANG=C\0"s);

    const auto plan = image::read_elf(std::as_bytes(std::span(file)), file.size());
    REQUIRE(plan.has_value());
    const std::uint64_t bias = loaded->registers.rip - plan->entry;
    for (const auto& segment : plan->segments) {
        CHECK(s.get(gva{bias + segment.address}, segment.file_size) ==
              file.substr(segment.offset, segment.file_size));
        const std::uint64_t zeroes = segment.memory_size - segment.file_size;
        CHECK(s.get(gva{bias + segment.address + segment.file_size}, zeroes) ==
              std::string(zeroes, '\0'));
        const auto v = find_vma(s.process.mm.vmas, gva{bias + segment.address});
        CHECK(v->second.prot == protection{segment.read, segment.write, segment.execute});
    }
    const auto argc = s.get(gva{loaded->registers.rsp}, 8);
    CHECK(argc[0] == 3);
    CHECK(s.w.space->set_brk(gva{0}) == s.process.mm.brk_start);
    CHECK(s.process.mm.brk_start.offset_in_page() == 0);
    CHECK(s.w.space->set_brk(s.process.mm.brk_start + 4096) == s.process.mm.brk_start + 4096);
    std::set<std::string> names;
    for (const auto& [start, v] : s.process.mm.vmas) names.insert(v.name);
    CHECK(names.contains("[stack]"));
    CHECK(names.contains("[vdso]"));
    CHECK(names.contains("[vvar]"));
    CHECK(s.w.space->unmap(vdso_address, 4096).error().number == EINVAL);
    CHECK(s.w.space->fault(vdso_address, 7) == fault_result::segv_accerr);
}

TEST_CASE("a dynamic program starts in its interpreter and knows where both stand") {
    sandbox s;
    const auto loaded = s.load(request_for("/bin/true"));
    REQUIRE(loaded.has_value());
    const auto entry = find_vma(s.process.mm.vmas, gva{loaded->registers.rip});
    REQUIRE(entry != s.process.mm.vmas.end());
    CHECK(entry->second.prot.execute);
    CHECK(entry->second.file->path == "/lib64/ld-linux-x86-64.so.2");

    std::map<std::uint64_t, std::uint64_t> auxiliary;
    gva at{loaded->registers.rsp};
    const auto word = [&](gva a) {
        std::uint64_t w = 0;
        REQUIRE(s.w.space->read(a, std::as_writable_bytes(std::span(&w, 1))));
        return w;
    };
    at += 8 * (word(at) + 2);
    while (word(at) != 0) at += 8;
    for (at += 8; word(at) != AT_NULL; at += 16) auxiliary[word(at)] = word(at + 8);
    CHECK(s.get(gva{auxiliary[AT_BASE]}, 4) ==
          "\x7f"
          "ELF");
    CHECK(auxiliary[AT_SYSINFO_EHDR] == vdso_address.value);
    CHECK(auxiliary[AT_PHENT] == 56);
    CHECK(auxiliary[AT_PAGESZ] == 4096);
    CHECK(auxiliary[AT_SECURE] == 0);
    CHECK(auxiliary[AT_PHDR] >= 0x5555'5555'4000);
    CHECK(word(gva{auxiliary[AT_PHDR]}) == (PT_PHDR | (std::uint64_t{PF_R} << 32)));
    CHECK(auxiliary[AT_ENTRY] > 0x5555'5555'4000);
    CHECK(auxiliary[AT_BASE] > s.process.mm.brk_start.value);
    CHECK(auxiliary[AT_BASE] < s.process.mm.mmap_base.value);
}

TEST_CASE("another program in the same address space leaves nothing of the first") {
    sandbox s;
    REQUIRE(s.load(request_for("/bin/true")).has_value());
    const auto used = s.w.frames.used_pages();
    const auto windows = s.process.mm.windows.size();
    s.w.map(1 << 20);
    (void)s.w.space->set_brk(s.process.mm.brk + 100'000);
    for (int i = 0; i < 3; ++i) REQUIRE(s.load(request_for("/bin/true")).has_value());
    CHECK(s.w.frames.used_pages() <= used + 8);  // tables stay
    CHECK(s.process.mm.windows.size() == windows);
    s.w.space->clear();
    CHECK(s.w.frames.used_pages() == s.w.tables().size());
}

TEST_CASE("scripts run their interpreter with the line's argument and the script's path") {
    sandbox s;
    s.source.made["/var/task/run"] = bytes_file("#! /bin/true \t -e  -x \nexit\n");
    auto q = request_for("/var/task/run", {"one"});
    q.arguments[0] = "run";
    const auto loaded = s.load(q);
    REQUIRE(loaded.has_value());
    using namespace std::string_literals;
    CHECK(s.arguments() == "/bin/true\0-e  -x\0/var/task/run\0one\0"s);
    CHECK(s.process.executable == "/bin/true");
    CHECK(loaded->name == "run");

    s.source.made["/again"] = bytes_file("#!/var/task/run");
    REQUIRE(s.load(request_for("/again")).has_value());
    CHECK(s.arguments() == "/bin/true\0-e  -x\0/var/task/run\0/again\0"s);
    s.source.made["/loop"] = bytes_file("#!/loop\n");
    CHECK(why(s.load(request_for("/loop")).error(), errc::bad_executable).find("too many") !=
          std::string::npos);
    s.source.made["/empty"] = bytes_file("#!  \n");
    CHECK(s.load(request_for("/empty")).error() == errc::bad_executable);
    s.source.made["/long"] = bytes_file("#!/" + std::string(300, 'x') + "\n");
    CHECK(s.load(request_for("/long")).error() == errc::bad_executable);
}

TEST_CASE("what cannot be executed is refused in a sentence that names it and the cure") {
    sandbox s;
    s.source.host = false;
    CHECK(why(s.load(request_for("/nowhere")).error(), errc::not_found) == "/nowhere is not there");
    s.source.forbidden.insert("/plain");
    CHECK(why(s.load(request_for("/plain")).error(), errc::not_executable).find("chmod +x") !=
          std::string::npos);
    s.source.made["/text"] = bytes_file("hello");
    CHECK(why(s.load(request_for("/text")).error(), errc::bad_executable) ==
          "/text: not an ELF file");
    s.source.made["/nothing"] = bytes_file("");
    CHECK(s.load(request_for("/nothing")).error() == errc::bad_executable);

    s.source.made["/var/task/bootstrap"] = bytes_file(slurp("/bin/true"));
    CHECK(why(s.load(request_for("/var/task/bootstrap")).error(), errc::missing_interpreter)
              .starts_with("/lib64/ld-linux-x86-64.so.2, the interpreter of /var/task/bootstrap, "
                           "is not there: "));
    s.source.made["/script"] = bytes_file("#!/usr/bin/python3\n");
    CHECK(why(s.load(request_for("/script")).error(), errc::missing_interpreter)
              .starts_with(
                  "/usr/bin/python3, the interpreter in the #! line of /script, is not there: "));
    auto q = request_for("/script");
    q.environment.emplace_back(200'000, 'x');
    s.source.made["/usr/bin/python3"] = s.source.made["/lib64/ld-linux-x86-64.so.2"] =
        bytes_file(slurp("/lib64/ld-linux-x86-64.so.2"));
    const auto e = s.load(q).error();
    CHECK(e == errc::invalid_argument);
    CHECK(errno_of(e) == E2BIG);
}

TEST_CASE("a program that does not fit into memory is refused, and the memory is free again") {
    process_state process;
    world w(16_MiB, 64);
    w.space.emplace(process.mm, w.frames, w.memory);
    files source;
    auto q = request_for("/bin/true");
    q.environment.emplace_back(100'000, 'x');
    q.environment.emplace_back(100'000, 'x');
    q.environment.emplace_back(100'000, 'x');
    const auto loaded = load_program(process, *w.space, source, q);
    REQUIRE(loaded.has_error());
    CHECK(loaded.error() == errc::no_room);
    w.space->clear();
    w.check();
}

TEST_CASE("mutated programs load or are refused, and never break the address space") {
    std::mt19937 random(99);
    for (const char* path : {"/bin/true", "/bin/busybox"}) {
        const std::string original = slurp(path);
        if (original.empty()) continue;
        int ran = 0;
        for (int round = 0; round < 150; ++round) {
            std::string text = original;
            for (std::uint64_t i = 0, n = 1 + random() % 5; i < n; ++i)
                text[random() % 700] = static_cast<char>(random() % 3 ? random() : 0xff);
            process_state process;
            world w(32_MiB, 3000);
            w.space.emplace(process.mm, w.frames, w.memory);
            files source;
            source.made["/p"] = bytes_file(text);
            const auto loaded = load_program(process, *w.space, source, request_for("/p"));
            ran += loaded.has_value() ? 1 : 0;
            w.state = process.mm;
            std::erase_if(w.state.vmas, [](const auto& v) { return v.first >= user_end; });
            w.check();
        }
        CHECK(ran > 0);
    }
}
