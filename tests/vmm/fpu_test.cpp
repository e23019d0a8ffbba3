#include "machine.hpp"

#include <cstring>

using namespace hearth::vmm;
using namespace hearth::vmm::test;

namespace {

// vmovdqu ymm5,[rdi] ; syscall ; vmovdqu [rdi+64],ymm5 ; syscall
void avx_program(machine& m) {
    m.code({0xc5, 0xfe, 0x6f, 0x2f, 0x0f, 0x05, 0xc5, 0xfe, 0x7f, 0x6f, 0x40, 0x0f, 0x05});
    m.state.rdi = data_at.value;
    for (std::uint64_t i = 0; i < 4; i++) m.word(data_at + 8 * i) = 0x1111'1111'1111'1111 * (i + 1);
}
bool kept(machine& m) { return std::memcmp(m.host(data_at), m.host(data_at + 64), 32) == 0; }

bool host_has_avx() { return __builtin_cpu_supports("avx"); }

}  // namespace

TEST_CASE("AVX registers survive a system call while the host uses the same ones") {
    if (!host_has_avx()) return;
    machine m;
    avx_program(m);
    REQUIRE(describe(m.start()) == "syscall");
    asm volatile("vzeroall" ::: "xmm0", "xmm5", "xmm15");
    m.cpu().return_from_syscall(0);
    REQUIRE(describe(m.run()) == "syscall");
    CHECK(kept(m));
}

TEST_CASE("vector state moves to another vCPU") {
    if (!host_has_avx()) return;
    machine a, b;
    avx_program(a);
    avx_program(b);
    REQUIRE(describe(a.start()) == "syscall");
    const fpu_state saved = a.cpu().fpu().value();
    REQUIRE(b.cpu().set_fpu(saved).has_value());
    b.cpu().set_state(a.cpu().state());
    REQUIRE(describe(b.run()) == "syscall");
    CHECK(kept(b));
}

TEST_CASE("vector state is read back as it was set") {
    machine m;
    m.code({0x66, 0x48, 0x0f, 0x6e, 0xc7, 0x0f, 0x05});  // movq xmm0,rdi ; syscall
    m.state.rdi = 0x1234'5678'9abc'def0;
    REQUIRE(describe(m.start()) == "syscall");
    const fpu_state saved = m.cpu().fpu().value();
    std::uint64_t xmm0 = 0;
    std::memcpy(&xmm0, saved.xsave.data() + 160, 8);
    CHECK(xmm0 == m.state.rdi);
    REQUIRE(m.cpu().set_fpu({}).has_value());
    CHECK(!(m.cpu().fpu().value() == saved));
    REQUIRE(m.cpu().set_fpu(saved).has_value());
    CHECK(m.cpu().fpu().value() == saved);
}

TEST_CASE("the empty state is the initial one: no register of the program before is left") {
    machine m;
    // movq xmm0,rdi ; fld1 ; syscall ; movq [rdi],xmm0 ; fnstcw [rdi+8] ; stmxcsr [rdi+16] ; fnstsw
    // [rdi+24] ; syscall
    m.code({0x66, 0x48, 0x0f, 0x6e, 0xc7, 0xd9, 0xe8, 0x0f, 0x05, 0x66, 0x0f, 0xd6, 0x07,
            0xd9, 0x7f, 0x08, 0x0f, 0xae, 0x5f, 0x10, 0xdd, 0x7f, 0x18, 0x0f, 0x05});
    m.state.rdi = data_at.value;
    REQUIRE(describe(m.start()) == "syscall");
    REQUIRE(m.cpu().set_fpu({}).has_value());
    m.word(data_at) = ~0ull;
    m.cpu().return_from_syscall(0);
    REQUIRE(describe(m.run()) == "syscall");
    CHECK(m.word(data_at) == 0);
    CHECK((m.word(data_at + 8) & 0xffff) == 0x37f);
    CHECK((m.word(data_at + 16) & 0xffff'ffff) == 0x1f80);
    CHECK((m.word(data_at + 24) & 0xffff) == 0);
}

TEST_CASE("a state with reserved bits is refused and nothing changes") {
    machine m;
    const fpu_state good = m.cpu().fpu().value();
    const auto with = [&](std::size_t offset, std::uint64_t value, std::size_t length) {
        fpu_state bad = good;
        std::memcpy(bad.xsave.data() + offset, &value, length);
        return bad;
    };
    CHECK(m.cpu().set_fpu(with(512, ~0ull, 8)).has_error());  // XSTATE_BV
    CHECK(m.cpu().set_fpu(with(520, ~0ull, 8)).has_error());  // XCOMP_BV
    // MXCSR counts once SSE is in XSTATE_BV
    fpu_state mxcsr = with(24, 0xffff'ffff, 4);
    mxcsr.xsave[512] |= std::byte{2};
    CHECK(m.cpu().set_fpu(mxcsr).has_error());
    fpu_state short_one;
    short_one.xsave.resize(100);
    CHECK(m.cpu().set_fpu(short_one).has_error());
    fpu_state long_one;
    long_one.xsave.resize(good.xsave.size() + 1);
    CHECK(m.cpu().set_fpu(long_one).has_error());
    CHECK(m.cpu().fpu().value() == good);
}
