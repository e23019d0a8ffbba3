#include "guest/kernel/signal_frame.hpp"

#include "guest/abi/signal.hpp"
#include "guest/kernel/kernel.hpp"
#include "guest/kernel/signals.hpp"

#include <cpuid.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace hearth::guest::signals {
namespace {

constexpr std::uint64_t red_zone = 128;
constexpr std::uint64_t user_end = 0x7fff'ffff'f000;  // TASK_SIZE_MAX
// What a program may set in RFLAGS by rt_sigreturn: CF PF AF ZF SF TF DF OF RF AC (FIX_EFLAGS).
constexpr std::uint64_t settable_flags = 0x0005'0dd5;
constexpr std::uint64_t cleared_in_handler = 0x0001'0500;  // RF, DF, TF
// As Linux names the user segments; our own selectors never show.
constexpr std::uint16_t user_cs = 0x33, user_ss = 0x2b;
constexpr std::size_t minimal_xsave = abi::fxsave_size + abi::xsave_header_size;

template <class T>
T load(const std::vector<std::byte>& from, std::size_t offset) {
    T value;
    std::memcpy(&value, from.data() + offset, sizeof value);
    return value;
}
template <class T>
void store(std::vector<std::byte>& into, std::size_t offset, const T& value) {
    std::memcpy(into.data() + offset, &value, sizeof value);
}

/// Where each XSAVE component ends in the standard format: CPUID 0xd is the layout of KVM's image
/// too (api.rst, KVM_GET_XSAVE2). A property of the machine, read once.
const std::array<std::uint32_t, 63>& component_ends() {
    static const auto ends = [] {
        std::array<std::uint32_t, 63> out{};
        for (unsigned i = 2; i < out.size(); ++i) {
            unsigned a = 0, b = 0, c = 0, d = 0;
            if (__get_cpuid_count(0xd, i, &a, &b, &c, &d)) out[i] = a + b;
        }
        return out;
    }();
    return ends;
}

/// The image that stands in a frame: just long enough for the components in use.
std::vector<std::byte> frame_image(vmm::fpu_state fpu) {
    auto image = std::move(fpu.xsave);
    if (image.size() < minimal_xsave) {  // the initial state (SDM, "Initial x87 FPU State", MXCSR)
        image.assign(minimal_xsave, std::byte{0});
        store(image, 0, std::uint16_t{0x37f});
        store(image, 24, std::uint32_t{0x1f80});
    }
    const auto in_use = load<std::uint64_t>(image, abi::fxsave_size);
    std::size_t size = minimal_xsave;
    for (std::size_t i = 2; i < component_ends().size(); ++i)
        if (in_use >> i & 1) size = std::max<std::size_t>(size, component_ends()[i]);
    image.resize(std::min(size, image.size()));
    abi::fpx_sw_bytes sw{};
    sw.magic1 = abi::fp_xstate_magic1;
    sw.extended_size = static_cast<std::uint32_t>(image.size() + sizeof abi::fp_xstate_magic2);
    sw.features = in_use | 3;  // x87 and SSE always
    sw.xstate_size = static_cast<std::uint32_t>(image.size());
    store(image, abi::fpx_sw_offset, sw);
    image.resize(image.size() + sizeof abi::fp_xstate_magic2);
    store(image, image.size() - sizeof abi::fp_xstate_magic2, abi::fp_xstate_magic2);
    return image;
}

/// Reads the image back. Null address: the initial state. As the kernel does, an image without the
/// right magic numbers counts as a bare FXSAVE one.
bool restore_fpu(task& t, std::uint64_t address) {
    if (address == 0) return t.kernel().host().write_fpu({});
    std::vector<std::byte> image(minimal_xsave);
    if (!t.memory().read(gva{address}, std::span(image).first(abi::fxsave_size))) return false;
    const auto sw = load<abi::fpx_sw_bytes>(image, abi::fpx_sw_offset);
    std::uint64_t features = 3;
    bool extended = sw.magic1 == abi::fp_xstate_magic1 && sw.xstate_size >= minimal_xsave &&
                    sw.xstate_size <= 16384 && sw.extended_size >= sw.xstate_size;
    if (extended) {
        std::uint32_t magic2 = 0;
        if (!t.memory().read(gva{address} + sw.xstate_size,
                             std::as_writable_bytes(std::span(&magic2, 1))))
            return false;
        extended = magic2 == abi::fp_xstate_magic2;
    }
    if (extended) {
        image.resize(sw.xstate_size);
        if (!t.memory().read(gva{address}, image)) return false;
        features = load<std::uint64_t>(image, abi::fxsave_size) & sw.features;
    }
    // Whatever lies in the software bytes and the header's reserved part is not for the processor.
    store(image, abi::fpx_sw_offset, abi::fpx_sw_bytes{});
    std::fill_n(image.begin() + abi::fxsave_size, abi::xsave_header_size, std::byte{0});
    store(image, abi::fxsave_size, features);
    return t.kernel().host().write_fpu({std::move(image)});
}

bool on_alternate_stack(const task_signals& s, std::uint64_t sp) noexcept {
    if (s.alternate_flags & abi::ss_autodisarm) return false;  // it is disarmed while in use
    return sp > s.alternate_stack && sp - s.alternate_stack <= s.alternate_size;
}

}  // namespace

bool push_frame(task& t, const signal_info& info, const signal_action& action) {
    if (!(action.flags & abi::sa_restorer)) return false;  // x86-64 has no other way back
    if (action.handler >= user_end) return false;          // entering it would fault at once
    auto& signals = t.state().signals;
    auto& r = t.registers();

    std::uint64_t sp = r.rsp - red_zone;
    const bool already_on = on_alternate_stack(signals, r.rsp);
    bool entering = false;
    if ((action.flags & abi::sa_onstack) && signals.alternate_size != 0 && !already_on) {
        sp = signals.alternate_stack + signals.alternate_size;
        entering = true;
    }
    const auto image = frame_image(t.kernel().host().read_fpu());
    const std::uint64_t fpstate = (sp - image.size()) & ~std::uint64_t{63};
    const std::uint64_t frame_at = ((fpstate - sizeof(abi::rt_sigframe)) & ~std::uint64_t{15}) - 8;
    // Never run over the end of an alternate stack: the memory below belongs to someone else.
    if ((entering || already_on) && !(frame_at > signals.alternate_stack &&
                                      frame_at - signals.alternate_stack <= signals.alternate_size))
        return false;

    abi::rt_sigframe frame{};
    frame.return_address = action.restorer;
    frame.ucontext.flags = abi::uc_fp_xstate | abi::uc_sigcontext_ss | abi::uc_strict_restore_ss;
    std::int32_t stack_flags = signals.alternate_flags;
    if (signals.alternate_size == 0)
        stack_flags = abi::ss_disable;
    else if (already_on)
        stack_flags |= abi::ss_onstack;
    frame.ucontext.stack = {signals.alternate_stack, stack_flags, 0, signals.alternate_size};
    frame.ucontext.context = {r.r8,
                              r.r9,
                              r.r10,
                              r.r11,
                              r.r12,
                              r.r13,
                              r.r14,
                              r.r15,
                              r.rdi,
                              r.rsi,
                              r.rbp,
                              r.rbx,
                              r.rdx,
                              r.rax,
                              r.rcx,
                              r.rsp,
                              r.rip,
                              r.rflags,
                              user_cs,
                              0,
                              0,
                              user_ss,
                              signals.trap_error,
                              signals.trap_number,
                              0,
                              signals.trap_address,
                              fpstate,
                              {}};
    frame.ucontext.mask = signals.restore_blocked ? signals.saved_blocked : signals.blocked;
    frame.ucontext.context.old_mask = frame.ucontext.mask;
    frame.siginfo = to_abi(info);

    if (!t.memory().write(gva{fpstate}, image)) return false;
    if (!t.memory().write(gva{frame_at}, std::as_bytes(std::span(&frame, 1)))) return false;

    r.rdi = static_cast<std::uint64_t>(info.number);
    r.rsi = frame_at + offsetof(abi::rt_sigframe, siginfo);
    r.rdx = frame_at + offsetof(abi::rt_sigframe, ucontext);
    r.rax = 0;
    r.rip = action.handler;
    r.rsp = frame_at;
    r.rflags &= ~cleared_in_handler;
    if (signals.alternate_flags & abi::ss_autodisarm) {
        signals.alternate_stack = signals.alternate_size = 0;
        signals.alternate_flags = abi::ss_disable;
    }
    return true;
}

bool pop_frame(task& t) {
    auto& r = t.registers();
    auto& signals = t.state().signals;
    // RET took the return address off.
    const auto frame = t.read(guest_ptr<abi::rt_sigframe>{gva{r.rsp - 8}});
    if (!frame) return false;
    const auto& c = frame->ucontext.context;
    if (c.rip >= user_end) return false;
    if (!restore_fpu(t, c.fpstate)) return false;

    signals.blocked = frame->ucontext.mask & ~unblockable;
    const auto base = std::pair(r.fs_base, r.gs_base);
    r = {.rax = c.rax,
         .rbx = c.rbx,
         .rcx = c.rcx,
         .rdx = c.rdx,
         .rsi = c.rsi,
         .rdi = c.rdi,
         .rsp = c.rsp,
         .rbp = c.rbp,
         .r8 = c.r8,
         .r9 = c.r9,
         .r10 = c.r10,
         .r11 = c.r11,
         .r12 = c.r12,
         .r13 = c.r13,
         .r14 = c.r14,
         .r15 = c.r15,
         .rip = c.rip,
         .rflags = (r.rflags & ~settable_flags) | (c.rflags & settable_flags),
         .fs_base = base.first,
         .gs_base = base.second};

    // The alternate stack as it was: needed after SS_AUTODISARM. A senseless one is ignored
    // (restore_altstack).
    const auto& stack = frame->ucontext.stack;
    const auto mode = stack.flags & ~(abi::ss_autodisarm | abi::ss_onstack);
    if (mode == abi::ss_disable) {
        signals.alternate_stack = signals.alternate_size = 0;
        signals.alternate_flags = abi::ss_disable;
    } else if (mode == 0 && stack.size >= abi::minimum_signal_stack) {
        signals.alternate_stack = stack.sp;
        signals.alternate_size = stack.size;
        signals.alternate_flags = stack.flags & abi::ss_autodisarm;
    }
    return true;
}

}  // namespace hearth::guest::signals
