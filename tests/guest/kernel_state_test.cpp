#include "kernel_world.hpp"

#include <sys/syscall.h>

using namespace kernel_test;

TEST_CASE("a copied kernel state compares equal and diverges") {
    world w;
    const kernel_state before = w.kernel->state();
    CHECK(before == w.kernel->state());

    kernel_state copy = before;
    CHECK(copy == before);
    copy.views.begin()->second.value.umask = 077;
    CHECK_FALSE(copy == before);
    CHECK(before == w.kernel->state());

    w.put_text(w.data, "renamed");
    REQUIRE(w.call(SYS_prctl, {15, w.data}) == 0);
    CHECK_FALSE(before == w.kernel->state());
    CHECK(before.tasks.begin()->second.name == "test");
}

TEST_CASE("a parked task is part of the state and goes on in the copy") {
    world w;
    w.put(w.data, abi::timespec{5, 0});
    REQUIRE(w.step(SYS_nanosleep, {w.data, 0}).what == kind::parked);
    const kernel_state snapshot = w.kernel->state();

    guest::kernel clone(snapshot, nullptr, w.memory, w.host);
    CHECK(clone.state() == snapshot);
    vmm::vcpu_state regs;
    CHECK(clone.resume(regs).what == kind::parked);
    w.host.advance(5s);
    CHECK(clone.resume(regs).what == kind::set_registers);
    CHECK(regs.rax == 0);
    CHECK(regs.rip == w.regs.rip);
    CHECK(w.kernel->state() == snapshot);  // the original still sleeps
}

TEST_CASE("clones of a state get boot ids of their own and no one's event") {
    world w;
    kernel_state state = w.kernel->state();
    state.native.event.emplace().request_id = "r";
    state.native.reply.emplace().payload = "secret";
    kernel_state clone = state;
    std::uint8_t next = 100;
    renew_identity(clone, w.memory, [&](std::span<std::byte> out) {
        for (auto& b : out) b = std::byte{next++};
    });
    CHECK(clone.identity.boot_id != state.identity.boot_id);
    CHECK_FALSE(clone.native.event);
    CHECK_FALSE(clone.native.reply);
    const auto id = format_boot_id(clone.identity);
    CHECK(id.size() == 36);
    CHECK(id[14] == '4');
    CHECK(std::string_view("89ab").find(id[19]) != std::string_view::npos);
}
