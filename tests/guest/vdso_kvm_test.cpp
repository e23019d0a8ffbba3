/// The vDSO where it belongs: guest code calls it, and no exit happens.

#include "guest/exec/vdso_image.hpp"
#include "guest/exec/vvar_clock.hpp"
#include "image/elf.hpp"
#include "mm_world.hpp"
#include "vmm/vm.hpp"

#include <elf.h>

#include <cstdlib>
#include <ctime>

using namespace mm_test;
using namespace hearth::guest::exec;
using namespace std::string_view_literals;

namespace {

std::chrono::nanoseconds host_now(int clock) {
    timespec ts{};
    ::clock_gettime(clock, &ts);
    return std::chrono::nanoseconds(ts.tv_sec * 1'000'000'000LL + ts.tv_nsec);
}

/// The symbol's address in the guest, by the dynamic section, as libc finds it.
gva symbol(std::string_view name) {
    const std::byte* base = vdso_image().data();
    Elf64_Ehdr h;
    std::memcpy(&h, base, sizeof h);
    const auto* ph = reinterpret_cast<const Elf64_Phdr*>(base + h.e_phoff);
    const Elf64_Sym* table = nullptr;
    const char* strings = nullptr;
    const std::uint32_t* hash = nullptr;
    for (int i = 0; i < h.e_phnum; ++i) {
        if (ph[i].p_type != PT_DYNAMIC) continue;
        for (auto* d = reinterpret_cast<const Elf64_Dyn*>(base + ph[i].p_vaddr);
             d->d_tag != DT_NULL; ++d) {
            if (d->d_tag == DT_SYMTAB)
                table = reinterpret_cast<const Elf64_Sym*>(base + d->d_un.d_ptr);
            if (d->d_tag == DT_STRTAB)
                strings = reinterpret_cast<const char*>(base + d->d_un.d_ptr);
            if (d->d_tag == DT_HASH)
                hash = reinterpret_cast<const std::uint32_t*>(base + d->d_un.d_ptr);
        }
    }
    REQUIRE((table && strings && hash));
    for (std::uint32_t i = 0; i < hash[1]; ++i)
        if (strings + table[i].st_name == name) return vdso_address + table[i].st_value;
    FAIL("no such symbol");
    return {};
}

}  // namespace

TEST_CASE("guest code reads the clock from the vDSO without an exit") {
    auto kvm = vmm::kvm::open();
    if (kvm.has_error()) {
        WARN("skipped: " << kvm.error().message());
        std::exit(77);
    }
    auto vm = vmm::vm::create(*kvm, {.memory = 16_MiB, .fast_syscalls = false});
    REQUIRE(vm.has_value());
    world w(vm->memory(), 2048);
    install_vdso(vm->memory());
    auto& vvar = *reinterpret_cast<vmm::vvar*>(vm->memory().at(layout::vvar, sizeof(vmm::vvar)));
    vmm::vcpu& vcpu = vm->vcpu();
    refresh_clock(vvar, vcpu.tsc_khz(),
                  {vcpu.tsc_now(), host_now(CLOCK_MONOTONIC), host_now(CLOCK_REALTIME)});

    const gva code = w.map(4096);
    const gva stack = w.map(8192);
    REQUIRE(w.put(code, "\xff\xd0\x0f\x05"sv));  // call rax; syscall
    REQUIRE(w.space->protect(code, 4096, rx));
    const vmm::run_scope scope(vcpu.kick_signal());
    const auto call = [&](int clock) {
        vmm::vcpu_state s;
        s.rip = code.value;
        s.rsp = stack.value + 8192;
        s.rax = symbol("__vdso_clock_gettime").value;
        s.rdi = static_cast<std::uint64_t>(clock);
        s.rsi = stack.value;
        vcpu.set_state(s);
        for (int i = 0; i < 100; ++i) {
            const auto exit = vcpu.run(scope);
            if (std::holds_alternative<vmm::interrupted_exit>(exit)) continue;
            REQUIRE(std::holds_alternative<vmm::syscall_exit>(exit));
            break;
        }
        return vcpu.state();
    };
    std::chrono::nanoseconds last{};
    for (const int clock : {CLOCK_MONOTONIC, CLOCK_MONOTONIC, CLOCK_BOOTTIME}) {
        const auto before = host_now(CLOCK_MONOTONIC);
        const vmm::vcpu_state s = call(clock);
        REQUIRE(s.rip == code.value + 4);  // the system call after the call, not one inside it
        REQUIRE(s.rax == 0);
        timespec ts{};
        REQUIRE(w.space->read(stack, std::as_writable_bytes(std::span(&ts, 1))));
        const auto shown = std::chrono::nanoseconds(ts.tv_sec * 1'000'000'000LL + ts.tv_nsec);
        CHECK(shown >= last);
        CHECK(shown > before - std::chrono::milliseconds(20));
        CHECK(shown < host_now(CLOCK_MONOTONIC) + std::chrono::milliseconds(20));
        last = shown;
    }
    // A clock the page does not hold: the exit comes from inside the vDSO, with Linux's number.
    const vmm::vcpu_state s = call(CLOCK_PROCESS_CPUTIME_ID);
    CHECK(s.rax == 228);
    CHECK(s.rip > vdso_address.value);
}
