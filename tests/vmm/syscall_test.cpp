#include "machine.hpp"
#include "vmm/x86_64/syscall_stub.hpp"
#include "vmm/x86_64/vvar.hpp"

using namespace hearth::vmm;
using namespace hearth::vmm::test;

namespace {

// add_loop: xor ebx,ebx ; L: mov eax,0x1000 ; syscall ; add rbx,rax ; jmp L
void add_loop(machine& m) {
    m.code({0x31, 0xdb, 0xb8, 0x00, 0x10, 0, 0, 0x0f, 0x05, 0x48, 0x01, 0xc3, 0xeb, 0xf4});
}

}  // namespace

TEST_CASE("a system call reaches the host with its arguments and returns the host's value") {
    machine m;
    add_loop(m);
    m.state.rdi = 1, m.state.rsi = 2, m.state.rdx = 3, m.state.r10 = 4, m.state.r8 = 5,
    m.state.r9 = 6;
    REQUIRE(describe(m.start()) == "syscall");
    for (std::uint64_t i = 1; i <= 50; i++) {
        const vcpu_state s = m.cpu().state();
        REQUIRE(s.rax == 0x1000);
        REQUIRE(s.rip == code_at.value + 9);
        REQUIRE(s.rcx == s.rip);
        REQUIRE((s.rdi == 1 && s.rsi == 2 && s.rdx == 3 && s.r10 == 4 && s.r8 == 5 && s.r9 == 6));
        REQUIRE(s.rsp == stack_top.value);
        m.cpu().return_from_syscall(i);
        REQUIRE(describe(m.run()) == "syscall");
        REQUIRE(m.cpu().state().rbx == i * (i + 1) / 2);
    }
}

TEST_CASE("the registers and flags of a program survive a system call") {
    machine m;
    // stc ; std ; syscall ; syscall
    m.code({0xf9, 0xfd, 0x0f, 0x05, 0x0f, 0x05});
    m.state.rbx = 0x1111, m.state.rbp = 0x2222, m.state.r12 = 0x3333, m.state.r15 = ~0ull;
    REQUIRE(describe(m.start()) == "syscall");
    m.cpu().return_from_syscall(7);
    REQUIRE(describe(m.run()) == "syscall");
    const vcpu_state s = m.cpu().state();
    CHECK(s.rax == 7);
    CHECK((s.rbx == 0x1111 && s.rbp == 0x2222 && s.r12 == 0x3333 && s.r15 == ~0ull));
    CHECK((s.rflags & 0x401) == 0x401);
}

TEST_CASE("running on after an unanswered system call leaves RAX as it was") {
    machine m;
    m.code({0x0f, 0x05, 0x48, 0x89, 0xc3, 0x0f, 0x05});  // syscall ; mov rbx,rax ; syscall
    m.state.rax = 0x4242;
    REQUIRE(describe(m.start()) == "syscall");
    REQUIRE(describe(m.run()) == "syscall");
    CHECK(m.cpu().state().rbx == 0x4242);
}

TEST_CASE("the trivial calls are answered without an exit, and touch only RAX, RCX and R11") {
    machine m;
    auto& v = *reinterpret_cast<vvar*>(m.memory().at(layout::vvar, sizeof(vvar)));
    v.pid = 101, v.tid = 102, v.ppid = 103, v.uid = 104, v.gid = 0xffff'fffe;
    v.euid = 105, v.egid = 106;
    const std::uint64_t expected[] = {101, 102, 103, 104, 105, 0xffff'fffe, 106};
    // For each: mov eax, nr ; syscall ; mov [rdi + 8*i], rax.  Then an unknown call.
    std::byte* at = m.host(code_at);
    const auto put = [&](std::initializer_list<int> bytes) {
        for (int b : bytes) *at++ = static_cast<std::byte>(b);
    };
    int slot = 0;
    for (const auto& call : x86_64::trivial_calls) {
        put({0xb8, static_cast<int>(call.number), 0, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0x47,
             8 * slot++});
    }
    put({0xb8, 0x00, 0x10, 0, 0, 0x0f, 0x05});
    m.state.rdi = data_at.value;
    m.state.rbx = 1, m.state.rdx = 2, m.state.rsi = 3, m.state.r8 = 4, m.state.r9 = 5,
    m.state.r10 = 6;
    const std::uint64_t all_arithmetic = 0x8d5;
    m.state.rflags = all_arithmetic | 0x202;
    REQUIRE(describe(m.start()) == "syscall");
    const vcpu_state s = m.cpu().state();
    CHECK(s.rax == 0x1000);
    for (std::size_t i = 0; i < std::size(expected); i++)
        CHECK(m.word(data_at + 8 * i) == expected[i]);
    CHECK((s.rdi == data_at.value && s.rbx == 1 && s.rdx == 2 && s.rsi == 3));
    CHECK((s.r8 == 4 && s.r9 == 5 && s.r10 == 6 && s.rsp == stack_top.value));
    CHECK((s.rflags & all_arithmetic) == all_arithmetic);
}

TEST_CASE("an answer in the stub page keeps every combination of arithmetic flags") {
    machine m;
    m.code({0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xb8, 0x00, 0x10, 0, 0, 0x0f, 0x05});
    constexpr std::uint64_t bits[] = {1, 4, 0x10, 0x40, 0x80, 0x800};
    for (unsigned n = 0; n < 64; n++) {
        std::uint64_t flags = 0;
        for (unsigned b = 0; b < 6; b++)
            if (n & 1u << b) flags |= bits[b];
        m.state.rflags = flags;
        REQUIRE(describe(m.start()) == "syscall");
        REQUIRE((m.cpu().state().rflags & 0x8d5) == flags);
    }
}

TEST_CASE("a program with the direction flag set gets its answer and keeps the flag") {
    machine m;
    m.code(
        {0xfd, 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x48, 0x89, 0xc3, 0xb8, 0, 0x10, 0, 0, 0x0f, 0x05});
    vm_exit e = m.start();
    if (m.cpu().state().rax == 39) {  // software KVM: left to the host
        m.cpu().return_from_syscall(0);
        e = m.run();
    }
    REQUIRE(describe(e) == "syscall");
    CHECK(m.cpu().state().rbx == 0);
    CHECK((m.cpu().state().rflags & 0x400));
}

TEST_CASE("with fast system calls off every call reaches the host") {
    machine m(false);
    m.code({0x0f, 0x05});
    for (const auto& call : x86_64::trivial_calls) {
        m.state.rax = call.number;
        REQUIRE(describe(m.start()) == "syscall");
        CHECK(m.cpu().state().rax == call.number);
    }
}

TEST_CASE("a set state is read back as it was") {
    machine m;
    vcpu_state s;
    s.rax = 1, s.rbx = 2, s.rcx = 3, s.rdx = 4, s.rsi = 5, s.rdi = 6, s.rsp = 7, s.rbp = 8;
    s.r8 = 9, s.r9 = 10, s.r10 = 11, s.r11 = 12, s.r12 = 13, s.r13 = 14, s.r14 = 15, s.r15 = 16;
    s.rip = code_at.value, s.rflags = 0x202 | 0x8d5, s.fs_base = data_at.value, s.gs_base = 0x1000;
    m.cpu().set_state(s);
    CHECK(m.cpu().state() == s);

    m.code({0x0f, 0x05});
    REQUIRE(describe(m.run()) == "syscall");
    s.rcx = s.rip = code_at.value + 2;
    vcpu_state after = m.cpu().state();
    CHECK((after.r11 & 0x8d5) == 0x8d5);
    s.r11 = after.r11;
    CHECK(after == s);
}

TEST_CASE("user code cannot be given privileged flags") {
    machine m;
    m.state.rflags = ~0ull & ~(x86_64::flag_trap | 0x4000ull | 0x4'0000ull);
    m.code({0x9c, 0x58, 0x48, 0x89, 0xc3, 0x0f, 0x05});  // pushfq ; pop rax ; mov rbx,rax ; syscall
    REQUIRE(describe(m.start()) == "syscall");
    CHECK((m.cpu().state().rbx & 0x3000) == 0);     // IOPL
    CHECK((m.cpu().state().rbx & 0x1a'0000) == 0);  // VM, VIF, VIP
    CHECK((m.cpu().state().rflags & 0x3000) == 0);
}

TEST_CASE("the last full set of registers wins over an earlier answer") {
    machine m;
    m.code({0x0f, 0x05});
    m.code({0x48, 0x89, 0xc3, 0x0f, 0x05}, code_at + 0x100);  // mov rbx,rax ; syscall
    REQUIRE(describe(m.start()) == "syscall");
    m.cpu().return_from_syscall(1);
    vcpu_state s = m.cpu().state();
    s.rip = code_at.value + 0x100, s.rax = 2;
    m.cpu().set_state(s);
    REQUIRE(describe(m.run()) == "syscall");
    CHECK(m.cpu().state().rbx == 2);
    CHECK(m.cpu().state().rip == code_at.value + 0x105);
}

TEST_CASE("FS and GS bases are the program's own") {
    machine m;
    m.word(data_at + 8) = 0xfeed;
    m.word(data_at + 0x108) = 0xbeef;
    // mov rbx, fs:[8] ; mov rdx, gs:[8] ; syscall
    m.code({0x64, 0x48, 0x8b, 0x1c, 0x25, 8, 0, 0, 0,    0x65,
            0x48, 0x8b, 0x14, 0x25, 8,    0, 0, 0, 0x0f, 0x05});
    m.state.fs_base = data_at.value;
    m.state.gs_base = data_at.value + 0x100;
    REQUIRE(describe(m.start()) == "syscall");
    CHECK(m.cpu().state().rbx == 0xfeed);
    CHECK(m.cpu().state().rdx == 0xbeef);
    CHECK(m.cpu().state().fs_base == data_at.value);
    CHECK(m.cpu().state().gs_base == data_at.value + 0x100);
}

TEST_CASE("a non-canonical base is made canonical instead of breaking the vCPU") {
    machine m;
    m.code({0x0f, 0x05});
    m.state.fs_base = 0x1234'5678'9abc'def0;
    m.state.gs_base = 0x8000'0000'0000;
    REQUIRE(describe(m.start()) == "syscall");
    CHECK(m.cpu().state().fs_base == 0x5678'9abc'def0);
    CHECK(m.cpu().state().gs_base == 0xffff'8000'0000'0000);
}

TEST_CASE("two microVMs in one process do not see each other") {
    machine a, b;
    add_loop(a);
    add_loop(b);
    REQUIRE(describe(a.start()) == "syscall");
    REQUIRE(describe(b.start()) == "syscall");
    for (std::uint64_t i = 1; i <= 20; i++) {
        a.cpu().return_from_syscall(1);
        REQUIRE(describe(a.run()) == "syscall");
        b.cpu().return_from_syscall(1000);
        REQUIRE(describe(b.run()) == "syscall");
        REQUIRE(a.cpu().state().rbx == i);
        REQUIRE(b.cpu().state().rbx == 1000 * i);
    }
}

TEST_CASE("the guest's TSC is the host's idea of it") {
    machine m;
    // rdtsc ; shl rdx,32 ; or rax,rdx ; mov rbx,rax ; syscall
    m.code({0x0f, 0x31, 0x48, 0xc1, 0xe2, 0x20, 0x48, 0x09, 0xd0, 0x48, 0x89, 0xc3, 0x0f, 0x05});
    const std::uint64_t before = m.cpu().tsc_now();
    REQUIRE(describe(m.start()) == "syscall");
    const std::uint64_t after = m.cpu().tsc_now();
    const std::uint64_t read = m.cpu().state().rbx;
    const std::uint64_t slack =
        m.cpu().tsc_khz() / 2;  // half a millisecond: the offset is measured
    CHECK(read + slack >= before);
    CHECK(read <= after + slack);
    CHECK(m.cpu().tsc_khz() > 100'000);
}
