#include "machine.hpp"
#include "vmm/x86_64/syscall_stub.hpp"

using namespace hearth::vmm;
using namespace hearth::vmm::test;

TEST_CASE("a store to a read-only page is a page fault with its address") {
    machine m;
    const gva page{0x70'0000};
    m.map(page, r);
    m.code({0x90, 0x89, 0x07});  // nop ; mov [rdi],eax
    m.state.rdi = page.value + 0x10;
    m.state.rbx = 99;
    REQUIRE(describe(m.start()) == exception(14, 7, page.value + 0x10));
    const vcpu_state s = m.cpu().state();
    CHECK(s.rip == code_at.value + 1);
    CHECK(s.rsp == stack_top.value);
    CHECK((s.rbx == 99 && s.rdi == page.value + 0x10));
    CHECK((s.rflags & 0x10000) == 0);
}

TEST_CASE("a fault is tried again when the program runs on, and gone once mended") {
    machine m;
    const gva page{0x70'0000};
    auto& entry = m.map(page, r);
    m.code({0x89, 0x07, 0x0f, 0x05});  // mov [rdi],eax ; syscall
    m.state.rdi = page.value, m.state.rax = 0x55;
    REQUIRE(describe(m.start()) == exception(14, 7, page.value));
    REQUIRE(describe(m.run()) == exception(14, 7, page.value));
    entry |= x86_64::pte_write;
    REQUIRE(describe(m.run()) == "syscall");
    CHECK(m.word(page) == 0x55);
}

TEST_CASE("data cannot be executed") {
    machine m;
    m.code({0xff, 0xe7});  // jmp rdi
    m.state.rdi = data_at.value;
    CHECK(describe(m.start()) == exception(14, 0x15, data_at.value));
    CHECK(m.cpu().state().rip == data_at.value);
}

TEST_CASE("a null pointer faults") {
    machine m;
    m.code({0x31, 0xff, 0x8b, 0x07});  // xor edi,edi ; mov eax,[rdi]
    CHECK(describe(m.start()) == exception(14, 4, 0));
}

TEST_CASE("jumps to nowhere are faults at the place jumped to") {
    machine m;
    m.code({0xff, 0xe7});
    for (std::uint64_t target :
         {0x1000ull, 0x7000'0000'0000ull, 0xffff'8000'0000'0000ull, ~0xfffull}) {
        m.state.rdi = target;
        // In the kernel half a program is not told what is mapped.
        CHECK(describe(m.start()) == exception(14, target >> 47 ? 0x15 : 0x14, target));
    }
    m.state.rdi = 0x8000'0000'0000;
    CHECK(describe(m.start()) == exception(13));
    m.code({0x0f, 0x05}, code_at + 0x80);
    m.state.rip = code_at.value + 0x80;
    CHECK(describe(m.start()) == "syscall");
}

TEST_CASE(
    "a state with a wild RIP is refused as the fault it would be, and the vCPU stays usable") {
    machine m;
    m.code({0x0f, 0x05});
    for (std::uint64_t target :
         {0x8000'0000'0000ull, 0x1234'5678'9abc'def0ull, 0xffff'7fff'ffff'ffffull}) {
        m.state.rip = target;
        CHECK(describe(m.start()) == exception(13));
        CHECK(m.cpu().state().rip == target);
    }
    for (std::uint64_t target : {0xffff'8000'0000'0000ull, ~0ull}) {
        m.state.rip = target;
        CHECK(describe(m.start()) == exception(14, 0x15, target));
    }
    for (std::uint64_t target : {0ull, 0x7fff'ffff'f000ull, 0x7fff'ffff'ffffull}) {
        m.state.rip = target;
        CHECK(describe(m.start()) == exception(14, 0x14, target));
    }
    m.state.rip = code_at.value;
    CHECK(describe(m.start()) == "syscall");
}

TEST_CASE("the common exceptions arrive with their vectors") {
    struct sample {
        const char* name;
        std::initializer_list<int> code;
        unsigned vector, error;
    };
    const sample samples[] = {
        {"divide by zero", {0x31, 0xc9, 0xf7, 0xf1}, 0, 0},
        {"ud2", {0x0f, 0x0b}, 6, 0},
        {"hlt", {0xf4}, 13, 0},
        {"cli", {0xfa}, 13, 0},
        {"mov cr3", {0x0f, 0x22, 0xd8}, 13, 0},
        {"rdmsr", {0x0f, 0x32}, 13, 0},
        {"wrmsr", {0x0f, 0x30}, 13, 0},
        {"lgdt", {0x0f, 0x01, 0x10}, 13, 0},
        {"in from a port", {0xe4, 0x60}, 13, 0},
        {"sysexit", {0x0f, 0x35}, 13, 0},
        {"out to a port", {0xe6, 0x80}, 13, 0},
        {"a vector stub's port", {0xe6, 14}, 13, 0},
    };
    for (const auto& s : samples) {
        machine m;
        m.code(s.code);
        INFO(s.name);
        CHECK(describe(m.start()) == exception(s.vector, s.error));
    }
}

TEST_CASE("INT3 traps past itself and single steps trap after each instruction") {
    machine m;
    m.code({0x90, 0xcc, 0x90});
    REQUIRE(describe(m.start()) == exception(3));
    CHECK(m.cpu().state().rip == code_at.value + 2);

    m.code({0x90, 0x90, 0x90});
    m.state.rflags |= x86_64::flag_trap;
    REQUIRE(describe(m.start()) == exception(1));
    CHECK(m.cpu().state().rip == code_at.value + 1);
    REQUIRE(describe(m.run()) == exception(1));
    CHECK(m.cpu().state().rip == code_at.value + 2);
}

TEST_CASE("the system area is out of a program's reach but for the stub, vvar and vdso pages") {
    machine m;
    m.code({0x8b, 0x07, 0x0f, 0x05});                // mov eax,[rdi] ; syscall
    m.code({0x89, 0x07, 0x0f, 0x05}, code_at + 16);  // mov [rdi],eax ; syscall
    for (gpa frame :
         {layout::gdt_tss, layout::idt, layout::exception_stubs, layout::exception_stack}) {
        m.state.rdi = layout::va_of(frame).value;
        m.state.rip = code_at.value;
        CHECK(describe(m.start()) == exception(14, 5, m.state.rdi));
        m.state.rip = code_at.value + 16;
        CHECK(describe(m.start()) == exception(14, 7, m.state.rdi));
    }
    for (gpa frame : {layout::syscall_stub, layout::vvar, layout::vdso}) {
        m.state.rdi = layout::va_of(frame).value;
        m.state.rip = code_at.value;
        CHECK(describe(m.start()) == "syscall");
        m.state.rip = code_at.value + 16;
        CHECK(describe(m.start()) == exception(14, 7, m.state.rdi));
    }
    m.code({0xff, 0xe7}, code_at + 32);  // jmp rdi
    m.state.rip = code_at.value + 32;
    m.state.rdi = layout::va_of(layout::vvar).value;
    CHECK(describe(m.start()) == exception(14, 0x15, m.state.rdi));
}

TEST_CASE("wherever a program jumps into the stub page, the vCPU stays usable") {
    machine m;
    m.code({0x0f, 0x05}, code_at + 0x80);
    m.code({0xff, 0xe7});  // jmp rdi
    const std::uint64_t wild[] = {0, code_at.value + 0x80, 0x8000'0000'0000, ~0ull};
    for (std::uint64_t offset = 0; offset < 0x300; offset += offset < 0x90 ? 1 : 7) {
        for (std::uint64_t rcx : wild) {
            m.state.rip = code_at.value;
            m.state.rdi = x86_64::stub_entry.value + offset;
            m.state.rcx = rcx;
            m.state.r11 = ~0ull & ~x86_64::flag_trap;
            m.state.rax = 39;
            vm_exit e = m.start();
            INFO("offset " << offset << " rcx " << rcx << ": " << describe(e));
            REQUIRE((is<syscall_exit>(e) || is<exception_exit>(e)));
            const vcpu_state s = m.cpu().state();
            REQUIRE((s.rflags & 0x3000) == 0);
            if (is<syscall_exit>(e)) {
                m.cpu().return_from_syscall(0);
                e = m.run();
                INFO("then " << describe(e));
                REQUIRE((is<syscall_exit>(e) || is<exception_exit>(e)));
            }
        }
    }
    m.state.rip = code_at.value + 0x80;
    m.state.rax = 0x1000;
    CHECK(describe(m.start()) == "syscall");
}

TEST_CASE("the syscall port touched outside the stub is a protection fault") {
    const std::initializer_list<int> attempts[] = {
        {0xe6, x86_64::syscall_port},                       // out port,al
        {0xe4, x86_64::syscall_port},                       // in al,port
        {0xba, x86_64::syscall_port, 0, 0, 0, 0xee},        // out dx,al
        {0xba, x86_64::syscall_port, 0, 0, 0, 0xec},        // in al,dx
        {0xba, x86_64::syscall_port, 0, 0, 0, 0x6e},        // outsb
        {0xba, x86_64::syscall_port, 0, 0, 0, 0x6c},        // insb
        {0xba, x86_64::syscall_port, 0, 0, 0, 0xf3, 0x6e},  // rep outsb
        {0xba, x86_64::syscall_port, 0, 0, 0, 0xf3, 0x6c},  // rep insb
        {0xe7, x86_64::syscall_port},                       // out port,eax
    };
    int n = 0;
    for (const auto& code : attempts) {
        INFO("attempt " << n++);
        machine m;
        m.code(code);
        m.code({0x48, 0x89, 0xc3, 0x0f, 0x05}, code_at + 0x80);  // mov rbx,rax ; syscall
        m.state.rsi = m.state.rdi = data_at.value;
        m.state.rcx = 3;
        REQUIRE(describe(m.start()) == exception(13));
        // Nothing of it reaches what runs next.
        m.state.rip = code_at.value + 0x80;
        m.state.rax = 0x77;
        REQUIRE(describe(m.start()) == "syscall");
        CHECK(m.cpu().state().rbx == 0x77);
        CHECK(m.cpu().state().rip == code_at.value + 0x85);
    }
}

TEST_CASE("endless port input ends") {
    machine m;
    m.code({0xba, x86_64::syscall_port, 0, 0, 0, 0xf3, 0x6c});  // rep insb
    m.state.rdi = data_at.value;
    m.state.rcx = 1ull << 40;
    const vm_exit e = m.start();
    // Software KVM may fault at the end of the page instead.
    INFO(describe(e));
    CHECK((is<exception_exit>(e) || is<unusable_exit>(e)));
}

TEST_CASE("ways into the kernel other than SYSCALL are no way in") {
    for (std::initializer_list<int> code : {std::initializer_list<int>{0x0f, 0x34},  // sysenter
                                            {0xcd, 0x80},                            // int 0x80
                                            {0x0f, 0x01, 0xc1, 0x0f, 0x0b},          // vmcall ; ud2
                                            {0x0f, 0x01, 0xd9, 0x0f, 0x0b},  // vmmcall ; ud2
                                            {0x0f, 0x01, 0xf8}}) {           // swapgs
        machine m;
        m.code(code);
        const vm_exit e = m.start();
        INFO(describe(e));
        CHECK(is<exception_exit>(e));
        CHECK(m.cpu().state().rip >= code_at.value);
    }
}

TEST_CASE("far jumps to other code segments end in a fault, not in the host") {
    for (int selector : {0x08, 0x1b, 0x23, 0x33, 0x2b, 0x3b, 0xfff8 | 3}) {
        machine m;
        // push selector ; push rdi ; retfq     — with a syscall where it would land
        m.code({0x68, selector & 0xff, selector >> 8, 0, 0, 0x57, 0x48, 0xcb});
        m.code({0x0f, 0x05, 0x0f, 0x0b}, code_at + 0x80);
        m.state.rdi = code_at.value + 0x80;
        const vm_exit e = m.start();
        INFO("selector " << selector << ": " << describe(e));
        CHECK((is<syscall_exit>(e) || is<exception_exit>(e)));
        m.state.rip = code_at.value + 0x80;
        CHECK(describe(m.start()) == "syscall");
    }
}

TEST_CASE("a bad stack pointer faults on use and does no harm to exceptions or system calls") {
    machine m;
    m.state.rsp = 0x8000'0000'0000;
    m.code({0x0f, 0x05, 0x0f, 0x0b});  // syscall ; ud2
    REQUIRE(describe(m.start()) == "syscall");
    m.cpu().return_from_syscall(0);
    REQUIRE(describe(m.run()) == exception(6));
    CHECK(m.cpu().state().rsp == 0x8000'0000'0000);

    // A trivial call made with it comes back to CPL3: it may not read the IDT.
    m.code({0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0x8b, 0x1f});  // mov eax,39 ; syscall ; mov ebx,[rdi]
    m.state.rdi = layout::va_of(layout::idt).value;
    vm_exit e = m.start();
    if (is<syscall_exit>(e)) {
        CHECK(m.cpu().state().rax == 39);
        m.cpu().return_from_syscall(0);
        e = m.run();
    }
    CHECK(describe(e) == exception(14, 5, m.state.rdi));

    m.state.rsp = 0;
    m.code({0x50});  // push rax
    CHECK(describe(m.start()) == exception(14, 7, ~7ull));
}
