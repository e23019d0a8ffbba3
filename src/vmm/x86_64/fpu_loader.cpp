#include "vmm/x86_64/fpu_loader.hpp"

#include "base/assert.hpp"
#include "vmm/x86_64/assembler.hpp"

#include <cpuid.h>

#include <algorithm>
#include <cstring>

namespace hearth::vmm::x86_64 {
namespace {

// SDM vol. 1, "XSAVE Area": the legacy region, the header, and then the extended components.
constexpr std::size_t legacy_size = 512, header_size = 64;
constexpr std::size_t control_word_offset = 0, mxcsr_offset = 24;
constexpr std::uint16_t initial_control_word = 0x37f;
constexpr std::uint32_t initial_mxcsr = 0x1f80, defined_mxcsr = 0xffff;

template <class T>
T value_at(std::span<const std::byte> image, std::size_t offset) noexcept {
    T value;
    std::memcpy(&value, image.data() + offset, sizeof value);
    return value;
}

}  // namespace

std::size_t loadable_xsave_size(std::uint64_t guest_xcr0) noexcept {
    if (!guest_xcr0) return 0;
    std::size_t end = legacy_size + header_size;
    for (unsigned component = 2; component < 63; ++component) {
        if (!(guest_xcr0 >> component & 1)) continue;
        unsigned size = 0, offset = 0, c = 0, d = 0;
        if (!__get_cpuid_count(0xd, component, &size, &offset, &c, &d) || !size) return 0;
        end = std::max(end, std::size_t{offset} + size);
    }
    if (end > page_size - fpu_loader::area_offset) return 0;  // AMX
    return end;
}

bool fpu_loader::takes(std::span<const std::byte> xsave) const noexcept {
    if (!size_) return false;
    if (xsave.empty()) return true;
    if (xsave.size() < legacy_size + header_size) return false;
    const auto header = xsave.subspan(legacy_size, header_size);
    return (value_at<std::uint64_t>(header, 0) & ~components_) == 0 &&
           std::ranges::all_of(header.subspan(8), [](std::byte b) { return b == std::byte{0}; }) &&
           (value_at<std::uint32_t>(xsave, mxcsr_offset) & ~defined_mxcsr) == 0;
}

bool fpu_loader::put(std::span<const std::byte> xsave) noexcept {
    if (!takes(xsave)) return false;
    const std::size_t length = std::min(xsave.size(), size_);
    std::ranges::copy(xsave.first(length), area());
    std::memset(area() + length, 0, size_ - length);
    if (xsave.empty()) {
        // Components that XSTATE_BV lacks become initial; these two are read all the same.
        std::memcpy(area() + control_word_offset, &initial_control_word,
                    sizeof initial_control_word);
        std::memcpy(area() + mxcsr_offset, &initial_mxcsr, sizeof initial_mxcsr);
    }
    at_ = stage::pending;
    used_ = true;
    return true;
}

void fpu_loader::forget() noexcept {
    at_ = stage::idle;
    if (!used_) return;
    std::memset(page_ + code_size, 0, page_size - code_size);
    used_ = false;
}

std::span<const std::byte> fpu_loader::image() const noexcept {
    if (at_ == stage::idle) return {};
    return {area(), size_};
}

void fpu_loader::send(kvm_regs& r) noexcept {
    HEARTH_ASSERT(pending());
    const registers kept{r.rax, r.rdx, r.rip};
    std::memcpy(page_ + code_size, &kept, sizeof kept);
    r.rax = components_ & 0xffff'ffff;
    r.rdx = components_ >> 32;
    r.rip = layout::va_of(layout::fpu_loader).value;
    at_ = stage::loading;
}

void fpu_loader::show(kvm_regs& r) const noexcept {
    HEARTH_ASSERT(loading());
    registers kept;
    std::memcpy(&kept, page_ + code_size, sizeof kept);
    r.rax = kept.rax, r.rdx = kept.rdx, r.rip = kept.rip;
}

void write_fpu_loader(std::span<std::byte, page_size> page) noexcept {
    constexpr gva start = layout::va_of(layout::fpu_loader);
    constexpr gva kept = start + fpu_loader::code_size;
    std::ranges::fill(page, std::byte{0});
    std::ranges::fill(page.first<fpu_loader::code_size>(), std::byte{0xcc});
    assembler code(page, start);
    // AMD's older processors leave the addresses of the last x87 instruction as they are when no
    // exception is pending: another program's, were this not the last one.
    code.emit({0xdb, 0xe2, 0x0f, 0x77, 0xdb, 0x05});  // fnclex ; emms ; fild dword [kept]
    code.relative_to(kept);
    code.emit({0x48, 0x0f, 0xae, 0x2d});  // xrstor64 [area]
    code.relative_to(start + fpu_loader::area_offset);
    code.emit({0x48, 0x8b, 0x05});  // mov rax, [kept.rax]
    code.relative_to(kept);
    code.emit({0x48, 0x8b, 0x15});  // mov rdx, [kept.rdx]
    code.relative_to(kept + 8);
    code.emit({0xff, 0x25});  // jmp [kept.rip]
    code.relative_to(kept + 16);
}

}  // namespace hearth::vmm::x86_64
