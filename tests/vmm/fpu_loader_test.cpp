// Vector state that the guest loads itself on its way in: it is never lost or seen by another,
// wherever a kick or a hostile program meets the loader.

#include "vmm/x86_64/fpu_loader.hpp"

#include "machine.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

using namespace hearth::vmm;
using namespace hearth::vmm::test;
using hearth::vmm::x86_64::fpu_loader;

namespace {

constexpr gva loader_at = layout::va_of(layout::fpu_loader);

/// A state whose XMM0 begins with that, and nothing else.
fpu_state with_xmm0(std::uint64_t value) {
    fpu_state s;
    s.xsave.resize(576);
    const std::uint16_t control_word = 0x37f;
    const std::uint32_t mxcsr = 0x1f80;
    std::memcpy(s.xsave.data(), &control_word, sizeof control_word);
    std::memcpy(s.xsave.data() + 24, &mxcsr, sizeof mxcsr);
    std::memcpy(s.xsave.data() + 160, &value, sizeof value);
    s.xsave[512] = std::byte{2};  // XSTATE_BV: SSE
    return s;
}
std::uint64_t xmm0_of(const fpu_state& s) {
    std::uint64_t value = 0;
    std::memcpy(&value, s.xsave.data() + 160, sizeof value);
    return value;
}

/// Whether the page holds these eight bytes anywhere.
bool in_loader_page(machine& m, std::uint64_t value) {
    const std::byte* page = m.memory().at(layout::fpu_loader, page_size);
    std::byte bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    return std::search(page, page + page_size, bytes, bytes + sizeof value) != page + page_size;
}

}  // namespace

TEST_CASE("a state that was set is loaded with the registers that go with it") {
    machine m;
    m.code({0x66, 0x48, 0x0f, 0x7e, 0xc7, 0x0f, 0x05});  // movq rdi,xmm0 ; syscall
    m.state.rax = 0x1111'2222'3333'4444;
    m.state.rdx = 0x5555'6666'7777'8888;
    for (std::uint64_t i = 1; i < 4; ++i) {
        REQUIRE(m.cpu().set_fpu(with_xmm0(i)).has_value());
        CHECK(xmm0_of(m.cpu().fpu().value()) == i);
        REQUIRE(describe(m.start()) == "syscall");
        const vcpu_state s = m.cpu().state();
        CHECK(s.rdi == i);
        CHECK(s.rax == m.state.rax);
        CHECK(s.rdx == m.state.rdx);
        CHECK(xmm0_of(m.cpu().fpu().value()) == i);
    }
}

TEST_CASE("a state set inside a system call is there when the call returns") {
    machine m;
    // syscall ; movq rdi,xmm0 ; syscall
    m.code({0x0f, 0x05, 0x66, 0x48, 0x0f, 0x7e, 0xc7, 0x0f, 0x05});
    REQUIRE(describe(m.start()) == "syscall");
    REQUIRE(m.cpu().set_fpu(with_xmm0(7)).has_value());
    m.cpu().return_from_syscall(99);
    REQUIRE(describe(m.run()) == "syscall");
    CHECK(m.cpu().state().rdi == 7);
    CHECK(m.cpu().state().rax == 99);
}

TEST_CASE("a state is loaded though the trap flag is set, and the trap is the program's own") {
    machine m;
    m.code({0x66, 0x48, 0x0f, 0x7e, 0xc7, 0x90});  // movq rdi,xmm0 ; nop
    m.state.rflags = x86_64::flag_trap;
    REQUIRE(m.cpu().set_fpu(with_xmm0(7)).has_value());
    REQUIRE(describe(m.start()) == exception(1));
    CHECK(m.cpu().state().rip == code_at.value + 5);
    CHECK(m.cpu().state().rdi == 7);
}

TEST_CASE(
    "a kick before the state is loaded shows the program's own registers, and nothing is lost") {
    machine m;
    m.code({0x66, 0x48, 0x0f, 0x7e, 0xc7, 0x0f, 0x05});  // movq rdi,xmm0 ; syscall
    const bool moves = GENERATE(false, true);
    m.state.rax = 5;
    m.state.rdx = 6;
    REQUIRE(m.cpu().set_fpu(with_xmm0(7)).has_value());
    m.cpu().kick();
    REQUIRE(describe(m.start()) == "interrupted");
    const vcpu_state s = m.cpu().state();
    CHECK(s.rip == code_at.value);
    CHECK(s.rax == 5);
    CHECK(s.rdx == 6);
    CHECK(xmm0_of(m.cpu().fpu().value()) == 7);
    if (moves) {
        machine other;
        other.code({0x66, 0x48, 0x0f, 0x7e, 0xc7, 0x0f, 0x05});
        REQUIRE(other.cpu().set_fpu(m.cpu().fpu().value()).has_value());
        other.cpu().set_state(s);
        REQUIRE(describe(other.run()) == "syscall");
        CHECK(other.cpu().state().rdi == 7);
        m.cpu().set_state(s);  // as a switch between tasks does
    }
    REQUIRE(describe(m.run()) == "syscall");
    CHECK(m.cpu().state().rdi == 7);
}

TEST_CASE("kicks racing with states being loaded lose neither a state nor a register") {
    machine m;
    // L: movq rdi,xmm0 ; add rbx,rdi ; syscall ; jmp L
    m.code({0x66, 0x48, 0x0f, 0x7e, 0xc7, 0x48, 0x01, 0xfb, 0x0f, 0x05, 0xeb, 0xf4});
    std::atomic<bool> done = false;
    std::thread other([&] {
        for (int i = 0; i < 1000; i++) {
            m.cpu().kick();
            std::this_thread::sleep_for(std::chrono::microseconds(i % 37));
        }
        done = true;
    });
    m.state.rbx = 0;
    std::uint64_t sum = 0, given = 1;
    REQUIRE(m.cpu().set_fpu(with_xmm0(given)).has_value());
    m.cpu().set_state(m.state);
    std::string wrong;
    for (std::uint64_t i = 0; !done && wrong.empty(); ++i) {
        const vm_exit e = m.run();
        const vcpu_state s = m.cpu().state();
        if (is<interrupted_exit>(e)) {
            if (s.rip < code_at.value || s.rip > code_at.value + 12) wrong = "rip";
            if (xmm0_of(m.cpu().fpu().value()) != given) wrong = "state while interrupted";
            if (i % 2) m.cpu().set_state(s);
            continue;
        }
        if (!is<syscall_exit>(e)) wrong = describe(e);
        sum += given;
        if (wrong.empty() && s.rbx != sum)
            wrong = "sum " + std::to_string(s.rbx) + " for " + std::to_string(sum);
        if (wrong.empty() && s.rdx != m.state.rdx) wrong = "rdx";
        REQUIRE(m.cpu().set_fpu(with_xmm0(++given)).has_value());
        m.state = s;
        if (i % 3) {
            m.state.rdx = i;
            m.cpu().set_state(m.state);
        } else {
            m.cpu().return_from_syscall(0x10000 + i);  // no trivial call
        }
    }
    other.join();
    CHECK(wrong == "");
    CHECK(sum > 0);
}

TEST_CASE("a program that jumps into the loader harms only itself") {
    machine m;
    m.code({0xff, 0xe7});  // jmp rdi
    for (std::uint64_t offset = 0; offset < 0x100; ++offset) {
        m.state.rdi = loader_at.value + offset;
        REQUIRE(m.cpu().set_fpu({}).has_value());
        m.cpu().set_state(m.state);
        for (int i = 0; i < 3; ++i) {
            m.cpu().kick();  // it may have found a loop
            const vm_exit e = m.run();
            REQUIRE_FALSE(is<unusable_exit>(e));
            if (!is<interrupted_exit>(e)) break;
        }
    }
    m.code({0x0f, 0x05});
    REQUIRE(m.cpu().set_fpu({}).has_value());
    CHECK(describe(m.start()) == "syscall");
}

TEST_CASE("the page is not the program's to write") {
    machine m;
    m.code({0x48, 0x89, 0x07});  // mov [rdi],rax
    m.state.rdi = loader_at.value + 0x40;
    CHECK(describe(m.start()) == exception(14, 7, m.state.rdi));
}

TEST_CASE("whoever has the vCPU next finds nothing of the state before") {
    machine m;
    m.code({0x0f, 0x05});
    constexpr std::uint64_t secret = 0x5ec2'e75e'c2e7'5ec2;
    m.state.rax = m.state.rdx = secret;
    REQUIRE(m.cpu().set_fpu(with_xmm0(secret)).has_value());
    REQUIRE(describe(m.start()) == "syscall");
    const bool by_ioctl = GENERATE(false, true);
    if (by_ioctl) {
        machine fresh;
        fpu_state refused = with_xmm0(1);  // bits that only KVM may judge
        const std::uint32_t mxcsr = 0x3'1f80;
        std::memcpy(refused.xsave.data() + 24, &mxcsr, sizeof mxcsr);
        (void)m.cpu().set_fpu(refused);
        REQUIRE(m.cpu().set_fpu({}).has_value());
    } else {
        REQUIRE(m.cpu().set_fpu({}).has_value());
    }
    m.state.rax = m.state.rdx = 0;
    REQUIRE(describe(m.start()) == "syscall");
    CHECK_FALSE(in_loader_page(m, secret));
    CHECK(xmm0_of(m.cpu().fpu().value()) == 0);
}
