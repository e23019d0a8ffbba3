#pragma once

/// Vector state for a vCPU without KVM_SET_XSAVE, which costs several microseconds on software KVM.
/// A page that user code can read and execute but not write holds the state and the code that loads
/// it, and the vCPU is sent there first:
///
///     fnclex ; emms ; fild [rip] ; xrstor64 [area] ; mov rax, [rax] ; mov rdx, [rdx] ; jmp [rip]
///
/// A kick may stop it in between, so the registers that it goes on with are kept here as well. They
/// and the state stay in the page until others take their place: every occupant of a shell is given
/// a state before it runs.
///
/// Not thread-safe; of one vCPU.

#include "vmm/kvm_api.hpp"
#include "vmm/vcpu_state.hpp"
#include "vmm/x86_64/layout.hpp"

#include <cstddef>
#include <cstdint>
#include <span>

namespace hearth::vmm::x86_64 {

/// Bytes of an XSAVE image in standard format with all components of XCR0; 0 if the page has no
/// room for them. A CPUID each for most components.
std::size_t loadable_xsave_size(std::uint64_t guest_xcr0) noexcept;

class fpu_loader {
  public:
    /// `page`: layout::fpu_loader's, for the loader's life. `size`: loadable_xsave_size(xcr0); 0:
    /// all states are refused.
    fpu_loader(std::span<std::byte, page_size> page, std::uint64_t xcr0, std::size_t size) noexcept
        : page_(page.data()), components_(xcr0), size_(size) {}

    /// Takes the state, to be loaded when the vCPU is entered. False: it is not for XRSTOR, and
    /// nothing has changed. Empty: the initial state.
    bool put(std::span<const std::byte> xsave) noexcept;
    /// Another state is in the vCPU: what stands in the page is nobody's.
    void forget() noexcept;

    /// A state was put and the vCPU is still to be sent here.
    [[nodiscard]] bool pending() const noexcept { return at_ == stage::pending; }
    /// The vCPU was sent here and has not left.
    [[nodiscard]] bool loading() const noexcept { return at_ == stage::loading; }
    /// The state that is not, or perhaps not, in the vCPU yet; empty: there is none.
    [[nodiscard]] std::span<const std::byte> image() const noexcept;

    /// The vCPU, about to run user code with these registers, is sent here first.
    void send(kvm_regs& registers) noexcept;
    /// The registers it is to go on with, while it is `loading`.
    void show(kvm_regs& registers) const noexcept;
    /// Where the vCPU was found.
    void found_at(std::uint64_t rip) noexcept {
        if (loading() && !inside(rip)) at_ = stage::idle;
    }
    /// While it is `loading`, it was given other registers: the state is to be loaded all the same.
    void again() noexcept {
        if (loading()) at_ = stage::pending;
    }
    [[nodiscard]] static bool inside(std::uint64_t rip) noexcept {
        const std::uint64_t start = layout::va_of(layout::fpu_loader).value;
        return rip >= start && rip < start + code_size;
    }

    static constexpr std::uint64_t code_size = 0x40;

  private:
    /// What the code finds behind itself.
    struct registers {
        std::uint64_t rax, rdx, rip;
    };
    static constexpr std::size_t area_offset = 0x80;
    friend std::size_t loadable_xsave_size(std::uint64_t) noexcept;
    friend void write_fpu_loader(std::span<std::byte, page_size>) noexcept;

    [[nodiscard]] std::byte* area() const noexcept { return page_ + area_offset; }
    [[nodiscard]] bool takes(std::span<const std::byte> xsave) const noexcept;

    std::byte* page_;
    std::uint64_t components_;
    std::size_t size_;
    enum class stage { idle, pending, loading } at_ = stage::idle;
    bool used_ = false;  ///< something stands in the page
};

/// Writes the page's code.
void write_fpu_loader(std::span<std::byte, page_size> page) noexcept;

}  // namespace hearth::vmm::x86_64
