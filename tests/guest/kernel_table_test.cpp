#include "guest/sys/bind.hpp"
#include "guest/sys/exchange.hpp"
#include "guest/sys/table.hpp"
#include "kernel_world.hpp"

#include <sys/ptrace.h>
#include <sys/syscall.h>

#include <set>

using namespace kernel_test;

TEST_CASE("every x86-64 number up to 6.1 has a row") {
    const auto& table = default_table();
    for (std::uint64_t n = 0; n <= 450; ++n) {
        if (n >= 335 && n <= 423) {
            CHECK(table.find(n) == nullptr);  // never assigned on x86-64
            continue;
        }
        INFO(n);
        REQUIRE(table.find(n) != nullptr);
        CHECK(table.find(n)->number == n);
    }
    CHECK(table.find(451) == nullptr);
    CHECK(table.find(~0ull) == nullptr);
}

TEST_CASE("the numbers are those of the host's headers") {
    const auto is = [](std::uint64_t n, std::string_view name) {
        return default_table().find(n)->name == name;
    };
    CHECK(is(SYS_rt_sigreturn, "rt_sigreturn"));
    CHECK(is(SYS_clock_nanosleep, "clock_nanosleep"));
    CHECK(is(SYS_getrandom, "getrandom"));
    CHECK(is(SYS_prlimit64, "prlimit64"));
    CHECK(is(SYS_futex_waitv, "futex_waitv"));
    CHECK(is(SYS_rt_tgsigqueueinfo, "rt_tgsigqueueinfo"));
}

TEST_CASE("rows know the release that brought them") {
    const auto since = [](std::uint64_t n) { return default_table().find(n)->since; };
    CHECK(since(SYS_read).empty());
    CHECK(since(SYS_openat) == "2.6.16");
    CHECK(since(SYS_pipe2) == "2.6.27");
    CHECK(since(SYS_getrandom) == "3.17");
    CHECK(since(SYS_statx) == "4.11");
    CHECK(since(SYS_clone3) == "5.3");
    CHECK(since(SYS_close_range) == "5.9");
}

TEST_CASE("rows say honestly what they do") {
    for (const auto& row : default_table().rows()) {
        INFO(row.name);
        CHECK((row.level == support_level::full) == row.note.empty());
        if (row.level == support_level::refused) {
            const bool named = row.note.starts_with("ENOSYS: ") ||
                               row.note.starts_with("EPERM: ") || row.note.starts_with("E");
            CHECK(named);
        } else {
            CHECK(row.handler.call != nullptr);
            CHECK(row.handler.format != nullptr);
        }
    }
}

TEST_CASE("a table's copy takes replaced and added rows") {
    syscall_table copy = default_table();
    const auto count = copy.rows().size();
    copy.replace(
        {39, "getpid", support_level::full, binding{[](task&) { return sysret(77); }, nullptr}});
    CHECK(copy.rows().size() == count);
    copy.replace(
        {400, "novel", support_level::full, binding{[](task&) { return sysret(78); }, nullptr}});
    CHECK(copy.rows().size() == count + 1);
    REQUIRE(copy.find(400) != nullptr);
    CHECK(copy.find(400)->name == "novel");
    for (const auto& row : copy.rows()) CHECK(copy.find(row.number) == &row);
    CHECK(default_table().find(400) == nullptr);
}

namespace {
int seen_int;
std::uint32_t seen_unsigned;
std::uint64_t seen_long;
std::uint64_t seen_pointer;
sysret probe(task&, int a, std::uint32_t b, std::uint64_t c, guest_ptr<int> d) {
    seen_int = a, seen_unsigned = b, seen_long = c, seen_pointer = d.address.value;
    return 0;
}
}  // namespace

TEST_CASE("bind narrows registers as the kernel's wrappers do") {
    world w;
    w.regs.rdi = 0xdead'beef'ffff'ffff;
    w.regs.rsi = 0xdead'beef'0000'0005;
    w.regs.rdx = 0xdead'beef'0000'0006;
    w.regs.r10 = 0xdead'beef'0000'0007;
    task t(*w.kernel, w.process(), w.task_of(), w.regs);
    bind_call<probe>(t);
    CHECK(seen_int == -1);
    CHECK(seen_unsigned == 5);
    CHECK(seen_long == 0xdead'beef'0000'0006);
    CHECK(seen_pointer == 0xdead'beef'0000'0007);
    CHECK(bind_format<probe>(t) == "-1, 5, 0xdeadbeef00000006, 0xdeadbeef00000007");
}

TEST_CASE("unknown and refused calls answer ENOSYS, forbidden ones EPERM") {
    world w;
    CHECK(w.call(335) == -ENOSYS);
    CHECK(w.call(9999) == -ENOSYS);
    CHECK(w.call(~0ull) == -ENOSYS);
    CHECK(w.call(SYS_io_uring_setup) == -ENOSYS);
    CHECK(w.call(SYS_ptrace, {PTRACE_TRACEME, 0}) == -EPERM);
    CHECK(w.call(SYS_ptrace, {PTRACE_ATTACH, first_process}) == -EPERM);
    CHECK(w.call(SYS_ptrace, {PTRACE_SEIZE, first_process}) == -EPERM);
    CHECK(w.call(SYS_ptrace, {PTRACE_ATTACH, 4711}) == -ESRCH);
    CHECK(w.call(SYS_ptrace, {PTRACE_PEEKDATA, first_process}) == -ESRCH);  // not traced
    CHECK(w.call(SYS_mount) == -EPERM);
    CHECK(w.call(SYS_reboot) == -EPERM);
    // The upper half of RAX does not count, as in do_syscall_64.
    CHECK(w.call(0xffff'ffff'0000'0000ull | SYS_getpid) == first_process);
}
