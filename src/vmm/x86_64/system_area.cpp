#include "vmm/x86_64/system_area.hpp"

#include "vmm/x86_64/arch.hpp"
#include "vmm/x86_64/fpu_loader.hpp"
#include "vmm/x86_64/syscall_stub.hpp"

#include <algorithm>
#include <cstring>

namespace hearth::vmm::x86_64 {
namespace {

static_assert(exception_stub_size * 256 == page_size);
static_assert(layout::system_area.value % (2u << 20) == 0 &&
              layout::system_area.value >> 39 == 255);

void store16(std::byte* at, std::uint64_t value) noexcept {
    const auto half = static_cast<std::uint16_t>(value);
    std::memcpy(at, &half, sizeof half);
}

void write_tables(guest_memory& memory) {
    // The upper tables are open: user mappings share them, and the leaf entries decide.
    constexpr std::uint64_t table = pte_present | pte_write | pte_user | pte_accessed;
    constexpr std::uint64_t last = 511 * 8;
    memory.word(layout::pml4 + 255 * 8) = layout::system_pdpt.value | table;
    memory.word(layout::system_pdpt + last) = layout::system_pd.value | table;
    memory.word(layout::system_pd + last) = layout::system_pt.value | table;

    const auto map = [&](gpa frame, std::uint64_t flags) {
        const std::uint64_t index = (frame - layout::gdt_tss) / page_size;
        memory.word(layout::system_pt + index * 8) =
            frame.value | pte_present | pte_accessed | flags;
    };
    map(layout::gdt_tss, pte_no_execute);
    map(layout::idt, pte_no_execute);
    map(layout::exception_stubs, 0);
    map(layout::exception_stack, pte_write | pte_dirty | pte_no_execute);
    map(layout::syscall_stub, pte_user);
    map(layout::vvar, pte_user | pte_no_execute);
    for (std::uint64_t i = 0; i < layout::vdso_pages; i++)
        map(layout::vdso + i * page_size, pte_user);
    map(layout::fpu_loader, pte_user);
}

void write_gdt_and_tss(guest_memory& memory, flavour flavour) {
    const auto descriptor = [&](std::uint16_t selector, std::uint64_t value) {
        memory.word(layout::gdt_tss + (selector & ~7u)) = value;
    };
    // Flat segments, "accessed" set so that the CPU never writes here (SDM, "Segment Descriptors").
    descriptor(kernel_code, 0x00af'9b00'0000'ffff);
    descriptor(kernel_data, 0x00cf'9300'0000'ffff);
    descriptor(user_data, 0x00cf'f300'0000'ffff);
    descriptor(user_code, 0x00af'fb00'0000'ffff);
    const std::uint64_t base = tss.value;
    descriptor(task_state, tss_limit | (base & 0xff'ffff) << 16 | std::uint64_t{0x8b} << 40 |
                               (base >> 24 & 0xff) << 56);
    descriptor(task_state + 8, base >> 32);

    std::byte* state = memory.at(layout::gdt_tss + (tss - gdt), tss_limit + 1);
    std::memset(state, 0, io_bitmap_offset);
    std::memcpy(state + 4, &exception_stack_top.value, 8);  // RSP0
    store16(state + 0x66, io_bitmap_offset);
    std::memset(state + io_bitmap_offset, 0xff, tss_limit + 1 - io_bitmap_offset);
    // Only software KVM runs the syscall stub at CPL3, so only there user code needs the port.
    if (flavour == flavour::software)
        state[io_bitmap_offset + syscall_port / 8] &= ~(std::byte{1} << syscall_port % 8);
}

void write_idt(guest_memory& memory) {
    std::byte* stubs = memory.at(layout::exception_stubs, page_size);
    std::memset(stubs, 0xcc, page_size);
    for (unsigned vector = 0; vector < 256; vector++) {
        const std::uint64_t offset = vector * exception_stub_size;
        stubs[offset] = std::byte{0xe6};  // out vector, al
        stubs[offset + 1] = static_cast<std::byte>(vector);
        // 64-bit interrupt gate (SDM, "64-Bit Mode IDT"); INT3 and INTO are open to user code.
        const std::uint64_t handler = layout::va_of(layout::exception_stubs).value + offset;
        const std::uint64_t dpl = vector == 3 || vector == 4 ? 3 : 0;
        memory.word(layout::idt + vector * 16) =
            (handler & 0xffff) | std::uint64_t{kernel_code} << 16 | (0x8e | dpl << 5) << 40 |
            (handler >> 16 & 0xffff) << 48;
        memory.word(layout::idt + vector * 16 + 8) = handler >> 32;
    }
}

}  // namespace

result<void> write_system_area(guest_memory& memory, flavour flavour, bool fast_syscalls) {
    if (!memory.at(gpa{0}, layout::first_free.value))
        return error(errc::invalid_argument, "guest memory is too small for the system area");
    write_tables(memory);
    write_gdt_and_tss(memory, flavour);
    write_idt(memory);
    const auto page = [&](gpa frame) {
        return std::span<std::byte, page_size>(memory.at(frame, page_size), page_size);
    };
    write_syscall_stub(page(layout::syscall_stub), flavour, fast_syscalls);
    write_fpu_loader(page(layout::fpu_loader));
    return {};
}

}  // namespace hearth::vmm::x86_64
