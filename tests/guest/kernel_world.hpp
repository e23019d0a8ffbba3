#pragma once

/// A kernel with one process, memory and a fake host: what a test needs to make system calls
/// without KVM.

#include "fake_host.hpp"
#include "guest/abi/signal.hpp"
#include "guest/abi/time.hpp"
#include "guest/kernel/identity.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/task.hpp"
#include "guest/vfs/filesystem.hpp"
#include "vmm/x86_64/layout.hpp"

#include <catch2/catch.hpp>

#include <sys/syscall.h>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace kernel_test {

using namespace hearth;
using namespace hearth::guest;
using namespace hearth::literals;
using namespace std::chrono_literals;
using kind = guest::step::kind;

struct world {
    static constexpr std::uint64_t data = 0x10'0000;  // a writable area of guest memory
    static constexpr std::uint64_t data_size = 1 << 20;
    static constexpr std::uint64_t code = 0x40'0000;
    static constexpr std::uint64_t stack_top = data + data_size;

    vmm::guest_memory memory = vmm::guest_memory::create(64_MiB).value();
    test::fake_host host;
    std::unique_ptr<guest::kernel> kernel;
    vmm::vcpu_state regs;

    world() : world(std::shared_ptr<vfs::filesystem>{}) {}
    explicit world(std::shared_ptr<vfs::filesystem> files) {
        initial_parameters p;
        p.first_frame = vmm::layout::first_free;
        p.end_frame = gpa{memory.size()};
        p.limit_pages = 8192;
        p.name = "test";
        p.boot_time = host.monotonic;
        p.random = [&](std::span<std::byte> out) { host.random(out); };
        auto state = make_initial_state(p);
        if (files) state.vfs = files->initial_state(host.monotonic);
        auto& mm = state.processes.begin()->second.mm;
        mm.stack_top = vmm::layout::system_area;
        mm.mmap_base = vmm::layout::system_area - (16ull << 20);
        mm.brk_start = mm.brk = gva{0x60'0000};
        kernel = std::make_unique<guest::kernel>(std::move(state), std::move(files), memory, host);
        map(data, data_size, {true, true, false});
        map(code, 4096, {true, false, true});
        regs.rsp = stack_top - 256;
        regs.rip = code + 0x100;
    }

    process_state& process() { return kernel->state().processes.begin()->second; }
    task_state& task_of() { return kernel->state().tasks.begin()->second; }
    mm::address_space space() { return {process().mm, kernel->state().frames, memory}; }

    void map(std::uint64_t at, std::uint64_t length, mm::protection prot) {
        mm::address_space::map_request q;
        q.hint = gva{at}, q.length = length, q.prot = prot, q.fixed = true;
        REQUIRE(space().map(q).has_value());
    }
    template <class T>
    void put(std::uint64_t at, const T& value) {
        REQUIRE(space().write(gva{at}, std::as_bytes(std::span(&value, 1))).has_value());
    }
    void put_text(std::uint64_t at, const std::string& text) {
        REQUIRE(space()
                    .write(gva{at}, std::as_bytes(std::span(text.c_str(), text.size() + 1)))
                    .has_value());
    }
    template <class T>
    T get(std::uint64_t at) {
        T value;
        REQUIRE(space().read(gva{at}, std::as_writable_bytes(std::span(&value, 1))).has_value());
        return value;
    }
    std::string get_text(std::uint64_t at, std::size_t length) {
        std::string s(length, '\0');
        REQUIRE(space().read(gva{at}, std::as_writable_bytes(std::span(s))).has_value());
        return s;
    }

    /// As the processor leaves the registers at a SYSCALL, then what the sandbox does with the
    /// step.
    guest::step step(std::uint64_t number, std::initializer_list<std::uint64_t> args = {}) {
        std::uint64_t a[6] = {};
        std::copy(args.begin(), args.end(), a);
        regs.rax = number;
        regs.rdi = a[0], regs.rsi = a[1], regs.rdx = a[2], regs.r10 = a[3], regs.r8 = a[4],
        regs.r9 = a[5];
        regs.rip += 2;
        regs.rcx = regs.rip;
        regs.r11 = regs.rflags;
        const auto s = kernel->on_syscall(regs);
        if (s.what == kind::return_value) regs.rax = s.rax;
        return s;
    }
    /// The value of a call that is over at once.
    std::int64_t call(std::uint64_t number, std::initializer_list<std::uint64_t> args = {}) {
        const auto s = step(number, args);
        REQUIRE((s.what == kind::return_value || s.what == kind::set_registers));
        return static_cast<std::int64_t>(regs.rax);
    }
};

/// Where the guest's handlers and values are: nothing runs, so no code need be there.
inline constexpr std::uint64_t handler = world::code + 0x800, restorer = world::code + 0x900;
inline constexpr std::uint64_t scratch = world::data + 0x100;

/// rt_sigaction of signal `number`.
inline void install(world& w,
                    int number,
                    std::uint64_t flags = 0,
                    std::uint64_t mask = 0,
                    std::uint64_t entry = handler) {
    w.put(scratch, abi::sigaction{entry, flags | abi::sa_restorer, restorer, mask});
    REQUIRE(w.call(SYS_rt_sigaction, {static_cast<std::uint64_t>(number), scratch, 0, 8}) == 0);
}

}  // namespace kernel_test
