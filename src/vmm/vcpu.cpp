#include "vmm/vcpu.hpp"

#include "base/assert.hpp"
#include "base/system_error.hpp"
#include "base/try.hpp"
#include "vmm/kvm_api.hpp"
#include "vmm/x86_64/arch.hpp"
#include "vmm/x86_64/bring_up.hpp"
#include "vmm/x86_64/fpu_loader.hpp"
#include "vmm/x86_64/syscall_stub.hpp"
#include "vmm/x86_64/system_area.hpp"

#include <pthread.h>
#include <signal.h>
#include <x86intrin.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

namespace hearth::vmm {

using namespace x86_64;

namespace {

constexpr std::uint64_t both_register_sets = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;

void copy_general(vcpu_state& to, const kvm_regs& from) noexcept {
    to.rax = from.rax, to.rbx = from.rbx, to.rcx = from.rcx, to.rdx = from.rdx;
    to.rsi = from.rsi, to.rdi = from.rdi, to.rsp = from.rsp, to.rbp = from.rbp;
    to.r8 = from.r8, to.r9 = from.r9, to.r10 = from.r10, to.r11 = from.r11;
    to.r12 = from.r12, to.r13 = from.r13, to.r14 = from.r14, to.r15 = from.r15;
    to.rip = from.rip, to.rflags = from.rflags;
}
void copy_general(kvm_regs& to, const vcpu_state& from) noexcept {
    to.rax = from.rax, to.rbx = from.rbx, to.rcx = from.rcx, to.rdx = from.rdx;
    to.rsi = from.rsi, to.rdi = from.rdi, to.rsp = from.rsp, to.rbp = from.rbp;
    to.r8 = from.r8, to.r9 = from.r9, to.r10 = from.r10, to.r11 = from.r11;
    to.r12 = from.r12, to.r13 = from.r13, to.r14 = from.r14, to.r15 = from.r15;
    to.rip = from.rip, to.rflags = from.rflags;
}

/// Takes one pending kick off this thread, where it is blocked.
void drain(int signal) noexcept {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    const timespec now{};
    while (sigtimedwait(&set, nullptr, &now) == -1 && errno == EINTR) {
    }
}

/// Guest TSC minus host TSC: zero on software KVM, set by KVM at the vCPU's creation on hardware.
result<std::int64_t> tsc_offset(const kvm_fd& vcpu_fd, flavour flavour) {
    if (flavour == flavour::software) return std::int64_t{0};
    struct {
        kvm_msrs header;
        kvm_msr_entry entry;
    } msrs{};
    msrs.header.nmsrs = 1;
    msrs.entry.index = msr_tsc;
    const std::uint64_t before = __rdtsc();
    if (const int rc = kvm_call(vcpu_fd, KVM_GET_MSRS, &msrs); rc != 1)
        return system_failure(errc::kvm_failed, "KVM_GET_MSRS (TSC)", rc < 0 ? -rc : EINVAL);
    const std::uint64_t after = __rdtsc();
    return static_cast<std::int64_t>(msrs.entry.data - (before + (after - before) / 2));
}

}  // namespace

struct vcpu::impl {
    bare_vcpu bare;
    vmm::flavour flavour;
    std::byte* exception_stack;  ///< host address of the frame page
    fpu_loader loader;
    std::size_t xsave_size;
    int kick_signal;
    std::int64_t guest_tsc_offset = 0;
    std::uint32_t guest_tsc_khz = 0;
    std::optional<std::uint64_t> signal_mask{};  ///< as KVM_SET_SIGNAL_MASK last heard it

    /// What the registers in the run page are.
    enum class boundary {
        user,     ///< user code's own, ready to run
        syscall,  ///< hardware only: those at the stub's OUT, which KVM completes at the next run
        stopped,  ///< those of a vCPU stopped anywhere, perhaps inside the syscall stub
    } at = boundary::user;

    // Shared with `kick`; the mutex is a leaf. While `runner` is set that thread is inside run(),
    // hence alive and in its run_scope: only then a signal is sent.
    std::mutex mutex;
    bool kicked = false;
    bool signalled = false;
    std::optional<pthread_t> runner;

    impl(bare_vcpu b,
         vmm::flavour f,
         std::byte* stack,
         fpu_loader load,
         std::size_t xsave,
         int signal) noexcept
        : bare(std::move(b)),
          flavour(f),
          exception_stack(stack),
          loader(load),
          xsave_size(xsave),
          kick_signal(signal) {}

    [[nodiscard]] kvm_run& page() const noexcept { return bare.run(); }
    [[nodiscard]] kvm_regs& regs() const noexcept { return page().s.regs.regs; }
    [[nodiscard]] kvm_sregs& sregs() const noexcept { return page().s.regs.sregs; }

    vm_exit run(std::uint64_t mask);
    bool enlist(bool heed_kick) noexcept;
    void discharge() noexcept;
    void clear_kick() noexcept;
    int use_mask(std::uint64_t mask) noexcept;
    [[nodiscard]] std::optional<vm_exit> refuse_wild_rip() const noexcept;
    [[nodiscard]] int exception_in_flight() const noexcept;
    vm_exit classify(int rc) noexcept;
    vm_exit port_exit() noexcept;
    vm_exit take_exception(std::uint8_t vector) noexcept;
    vm_exit refuse_port() noexcept;
    [[nodiscard]] vm_exit unusable(std::uint32_t reason, std::uint64_t detail) const noexcept;
    void resume_at(std::uint64_t rip, std::uint64_t rflags) noexcept;
    void select_user_segments(std::uint64_t fs_base, std::uint64_t gs_base) noexcept;
    [[nodiscard]] vcpu_state state() const noexcept;
    void set_state(const vcpu_state& state) noexcept;
    result<void> send_to_loader();
    result<void> write_xsave(std::span<const std::byte> xsave);
};

result<vcpu> vcpu::create(
    const kvm& kvm, const kvm_fd& vm_fd, const guest_memory& memory, int vcpu_id, int kick_signal) {
    if (kick_signal == 0) kick_signal = default_kick_signal();
    if (kick_signal < SIGRTMIN || kick_signal > SIGRTMAX)
        return error(errc::invalid_argument,
                     "kick signal " + std::to_string(kick_signal) + " is not a real-time signal");
    HEARTH_TRY(auto bare, bring_up(kvm, vm_fd, vcpu_id));
    std::byte* stack = memory.at(layout::exception_stack, page_size);
    HEARTH_ASSERT(stack);  // the system area is written, so it is there
    const std::span<std::byte, page_size> page(memory.at(layout::fpu_loader, page_size), page_size);
    auto i = std::make_unique<impl>(std::move(bare), kvm.flavour(), stack,
                                    fpu_loader(page, kvm.guest_xcr0(), kvm.loadable_xsave_size()),
                                    kvm.xsave_size(), kick_signal);
    const int khz = kvm_call(i->bare.fd, KVM_GET_TSC_KHZ);
    if (khz <= 0) return system_failure(errc::kvm_failed, "KVM_GET_TSC_KHZ", khz < 0 ? -khz : EIO);
    i->guest_tsc_khz = static_cast<std::uint32_t>(khz);
    HEARTH_TRY(i->guest_tsc_offset, tsc_offset(i->bare.fd, i->flavour));
    i->page().kvm_valid_regs = both_register_sets;
    vcpu created(std::move(i));
    created.set_state({});
    return created;
}

vcpu::vcpu(std::unique_ptr<impl> i) noexcept : impl_(std::move(i)) {}
vcpu::vcpu(vcpu&&) noexcept = default;
vcpu& vcpu::operator=(vcpu&&) noexcept = default;
vcpu::~vcpu() = default;

vm_exit vcpu::run(const run_scope& scope) {
    // Another signal would be sent unblocked, and its default action ends the process.
    HEARTH_ASSERT(scope.signal() == impl_->kick_signal);
    return impl_->run(scope.run_mask());
}

vm_exit vcpu::run() {
    sigset_t mask;
    sigemptyset(&mask);
    pthread_sigmask(SIG_BLOCK, nullptr, &mask);
    HEARTH_ASSERT(sigismember(&mask, impl_->kick_signal) == 1);
    sigdelset(&mask, impl_->kick_signal);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &mask, sizeof bits);
    return impl_->run(bits);
}

/// The signals blocked inside KVM_RUN; 0 or -errno.
int vcpu::impl::use_mask(std::uint64_t mask) noexcept {
    if (signal_mask == mask) return 0;
    struct {
        kvm_signal_mask header;
        std::byte set[sizeof mask];
    } argument{};
    argument.header.len = sizeof mask;
    std::memcpy(argument.set, &mask, sizeof mask);
    if (int rc = kvm_call(bare.fd, KVM_SET_SIGNAL_MASK, &argument); rc < 0) return rc;
    signal_mask = mask;
    return 0;
}

/// What is pending goes with the registers of user code, which those in a call are not yet. The
/// trap flag would trap in the loader.
result<void> vcpu::impl::send_to_loader() {
    if (regs().rflags & flag_trap) {
        const auto image = loader.image();
        const std::vector<std::byte> state(image.begin(), image.end());
        loader.forget();
        return write_xsave(state);
    }
    loader.send(regs());
    page().kvm_dirty_regs |= KVM_SYNC_X86_REGS;
    return {};
}

vm_exit vcpu::impl::run(std::uint64_t mask) {
    if (loader.pending() && at != boundary::user) set_state(state());
    if (auto refused = refuse_wild_rip()) return *refused;
    if (int rc = use_mask(mask); rc < 0) return classify(rc);
    if (loader.pending())
        if (auto sent = send_to_loader(); sent.has_error()) return unusable(KVM_EXIT_UNKNOWN, 0);

    // Not even entered: what return_from_syscall or set_state wrote stays in the run page.
    if (!enlist(true)) return interrupted_exit{};
    for (;;) {
        const int rc = kvm_call(bare.fd, KVM_RUN);
        discharge();
        at = boundary::stopped;
        // In an exception's stub it may still be on its way from there: see take_exception.
        if (!exception_vector_at(regs().rip)) loader.found_at(regs().rip);
        if (rc != -EINTR) return classify(rc);

        // Inside an exception's delivery there is no boundary, and no set of registers that would
        // tell the state. Its stub's OUT is a few instructions away: go there; the kick stays for
        // the next run.
        if (sregs().cs.dpl != 3) {
            if (auto vector = exception_vector_at(regs().rip)) return take_exception(*vector);
            if (!in_stub(regs().rip)) return unusable(KVM_EXIT_INTR, sregs().cs.dpl);
        }
        const int in_flight = exception_in_flight();
        if (in_flight < 0) return classify(in_flight);
        if (in_flight == 0) {
            clear_kick();
            return interrupted_exit{};
        }
        enlist(false);
    }
}

/// From here on a kick signals this thread. False: one came before, and is hereby delivered.
bool vcpu::impl::enlist(bool heed_kick) noexcept {
    std::lock_guard lock(mutex);
    if (heed_kick && std::exchange(kicked, false)) return false;
    runner = pthread_self();
    return true;
}

/// From here on it does not. The signal has no handler to take it: left pending it would end every
/// KVM_RUN to come, and the process once it is unblocked.
void vcpu::impl::discharge() noexcept {
    {
        std::lock_guard lock(mutex);
        runner.reset();
        if (!std::exchange(signalled, false)) return;
        page().immediate_exit = 0;
    }
    drain(kick_signal);
}

void vcpu::impl::clear_kick() noexcept {
    std::lock_guard lock(mutex);
    kicked = false;
}

/// A RIP outside the user half never enters KVM, where a failed VM entry would cost the vCPU: the
/// fault it would raise is reported at once. Only a register set written by us can hold one.
std::optional<vm_exit> vcpu::impl::refuse_wild_rip() const noexcept {
    const std::uint64_t rip = regs().rip;
    if (at != boundary::user || rip < user_half_end) return std::nullopt;
    if (!is_canonical(rip)) return exception_exit{vector_general_protection, 0, {}};
    return exception_exit{vector_page_fault, user_fault(fault_user | fault_fetch, rip), gva{rip}};
}

/// Whether KVM holds an exception it has still to deliver. It never says so of #BP and #OF, the
/// "software exceptions" (it would rather meet the instruction again, but RIP may be past it
/// already); their number stands there all the same, and take_exception clears it.
/// @return 1, 0, or -errno
int vcpu::impl::exception_in_flight() const noexcept {
    kvm_vcpu_events events{};
    if (const int rc = kvm_call(bare.fd, KVM_GET_VCPU_EVENTS, &events); rc < 0) return rc;
    return events.exception.injected || events.exception.pending ||
           is_software_exception(events.exception.nr);
}

vm_exit vcpu::impl::classify(int rc) noexcept {
    const kvm_run& exit = page();
    if (rc == -EFAULT) return memory_exit{state().rip};
    if (rc < 0) return unusable(KVM_EXIT_UNKNOWN, static_cast<std::uint64_t>(-rc));
    switch (exit.exit_reason) {
        case KVM_EXIT_IO:
            return port_exit();
        case KVM_EXIT_UNKNOWN:
            return unusable(KVM_EXIT_UNKNOWN, exit.hw.hardware_exit_reason);
        case KVM_EXIT_FAIL_ENTRY:
            return unusable(KVM_EXIT_FAIL_ENTRY, exit.fail_entry.hardware_entry_failure_reason);
        case KVM_EXIT_INTERNAL_ERROR:
            return unusable(KVM_EXIT_INTERNAL_ERROR, exit.internal.suberror);
        case KVM_EXIT_MMIO:
            return unusable(KVM_EXIT_MMIO, exit.mmio.phys_addr);
        case KVM_EXIT_SYSTEM_EVENT:
            return unusable(KVM_EXIT_SYSTEM_EVENT, exit.system_event.type);
        default:
            return unusable(exit.exit_reason, 0);  // SHUTDOWN (triple fault), HLT, …
    }
}

vm_exit vcpu::impl::unusable(std::uint32_t reason, std::uint64_t detail) const noexcept {
    return unusable_exit{reason, detail, regs().rip};
}

vm_exit vcpu::impl::port_exit() noexcept {
    const auto& io = page().io;
    const std::uint64_t rip = regs().rip;
    const unsigned cpl = sregs().cs.dpl;
    const bool plain_out = io.direction == KVM_EXIT_IO_OUT && io.size == 1 && io.count == 1;

    if (plain_out && io.port == syscall_port) {
        if (flavour == flavour::hardware && cpl == 0 && rip == stub_out.value) {
            at = boundary::syscall;
            return syscall_exit{};
        }
        if (flavour == flavour::software && rip == stub_after_out.value) {
            // RCX and R11 may be anything: a program can jump to the OUT itself. CPL is 0 where KVM
            // had to emulate the SYSCALL, as it does when RSP is not canonical.
            resume_at(regs().rcx, regs().r11);
            if (cpl != 3) select_user_segments(sregs().fs.base, sregs().gs.base);
            return syscall_exit{};
        }
    }
    if (plain_out && cpl == 0 && exception_vector_at(rip) == io.port)
        return take_exception(static_cast<std::uint8_t>(io.port));
    return refuse_port();
}

/// The CPU pushed its frame on the exception stack (SDM, "64-Bit Mode Stack Frame"). The registers
/// become user code's at the exception, so that running on tries the instruction again.
vm_exit vcpu::impl::take_exception(std::uint8_t vector) noexcept {
    struct {
        std::uint64_t rip, cs, rflags, rsp, ss;
    } frame;
    const bool with_code = has_error_code(vector);
    std::uint64_t code = 0;
    const std::uint64_t offset = regs().rsp - layout::va_of(layout::exception_stack).value;
    const std::uint64_t length = sizeof frame + (with_code ? sizeof code : 0);
    if (offset > page_size - length) return unusable(page().exit_reason, vector);
    if (with_code) std::memcpy(&code, exception_stack + offset, sizeof code);
    std::memcpy(&frame, exception_stack + offset + length - sizeof frame, sizeof frame);
    // An exception of our own stubs: nothing a guest can cause.
    if ((frame.cs & 3) != 3) return unusable(page().exit_reason, vector);

    if (is_software_exception(vector)) {  // see exception_in_flight
        page().s.regs.events = {};
        page().kvm_dirty_regs |= KVM_SYNC_X86_EVENTS;
    }
    gva fault_address;
    // Only a program that jumped there by itself meets an exception in the loader.
    if (loader.loading() && fpu_loader::inside(frame.rip)) {
        loader.show(regs());
        frame.rip = regs().rip;
    }
    loader.found_at(0);
    if (vector == vector_page_fault) {
        fault_address.value = sregs().cr2;
        code = user_fault(static_cast<std::uint32_t>(code), fault_address.value);
    }
    regs().rsp = frame.rsp;
    resume_at(frame.rip, frame.rflags);
    select_user_segments(sregs().fs.base, sregs().gs.base);
    return exception_exit{vector, static_cast<std::uint32_t>(code), fault_address};
}

/// User code reached the syscall port, which software KVM must leave open, by an IN or OUT of its
/// own. KVM may still have to complete the instruction (an IN waits for data): that must not happen
/// in whatever runs next on this vCPU.
vm_exit vcpu::impl::refuse_port() noexcept {
    if (sregs().cs.dpl != 3) return unusable(KVM_EXIT_IO, page().io.port);
    constexpr int attempts = 16;
    int rc = 0;
    for (int i = 0; i < attempts && rc != -EINTR; i++) {
        page().immediate_exit = 1;
        rc = kvm_call(bare.fd, KVM_RUN);
        page().immediate_exit = 0;
    }
    if (rc != -EINTR) return unusable(KVM_EXIT_IO, page().io.port);
    resume_at(regs().rip, regs().rflags);
    return exception_exit{vector_general_protection, 0, {}};
}

void vcpu::impl::resume_at(std::uint64_t rip, std::uint64_t rflags) noexcept {
    regs().rip = rip;
    regs().rflags = user_rflags(rflags);
    page().kvm_dirty_regs |= KVM_SYNC_X86_REGS;
    at = boundary::user;
}

void vcpu::impl::select_user_segments(std::uint64_t fs_base, std::uint64_t gs_base) noexcept {
    kvm_sregs wanted = bare.user_sregs;
    wanted.fs.base = fs_base;
    wanted.gs.base = gs_base;
    // Often they are the vCPU's already; KVM would set each of them anew.
    if (std::memcmp(&sregs(), &wanted, sizeof wanted) == 0) return;
    sregs() = wanted;
    page().kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
}

vcpu_state vcpu::impl::state() const noexcept {
    vcpu_state s;
    kvm_regs general = regs();
    if (loader.loading()) loader.show(general);
    copy_general(s, general);
    s.fs_base = sregs().fs.base;
    s.gs_base = sregs().gs.base;
    const bool inside_call = at == boundary::syscall ||
                             (at == boundary::stopped && !loader.loading() && in_stub(s.rip) &&
                              (flavour == flavour::software || sregs().cs.dpl == 0));
    if (inside_call) {
        const bool answered = at == boundary::syscall || s.rip == stub_after_out.value;
        constexpr std::uint64_t syscall_length = 2;
        if (!answered)
            if (auto number = trivial_call_at(s.rip)) s.rax = *number;
        s.rip = answered ? s.rcx : s.rcx - syscall_length;
        s.rflags = s.r11;
    }
    s.rflags = user_rflags(s.rflags);
    return s;
}

vcpu_state vcpu::state() const noexcept { return impl_->state(); }

void vcpu::return_from_syscall(std::uint64_t rax) noexcept {
    impl_->regs().rax = rax;
    impl_->page().kvm_dirty_regs |= KVM_SYNC_X86_REGS;
}

void vcpu::set_root(gpa pml4) noexcept {
    auto& sregs = impl_->bare.user_sregs;
    if (sregs.cr3 == pml4.value) return;
    sregs.cr3 = pml4.value;
    impl_->sregs().cr3 = pml4.value;
    impl_->page().kvm_dirty_regs |= KVM_SYNC_X86_SREGS;
}
gpa vcpu::root() const noexcept { return {impl_->bare.user_sregs.cr3}; }

void vcpu::impl::set_state(const vcpu_state& state) noexcept {
    loader.again();
    copy_general(regs(), state);
    resume_at(state.rip, state.rflags);
    select_user_segments(to_canonical(state.fs_base), to_canonical(state.gs_base));
}

void vcpu::set_state(const vcpu_state& state) noexcept { impl_->set_state(state); }

result<fpu_state> vcpu::fpu() const {
    fpu_state state;
    state.xsave.resize(impl_->xsave_size);
    if (const auto image = impl_->loader.image(); !image.empty()) {
        std::ranges::copy(image, state.xsave.begin());
        return state;
    }
    if (int rc = kvm_call(impl_->bare.fd, KVM_GET_XSAVE2, state.xsave.data()); rc < 0)
        return system_failure(errc::kvm_failed, "KVM_GET_XSAVE2", -rc);
    return state;
}

result<void> vcpu::set_fpu(const fpu_state& state) {
    if (state.xsave.size() <= impl_->xsave_size && impl_->loader.put(state.xsave)) return {};
    HEARTH_CHECK(impl_->write_xsave(state.xsave));
    impl_->loader.forget();
    return {};
}

result<void> vcpu::impl::write_xsave(std::span<const std::byte> xsave) {
    // SDM vol. 1, "XSAVE Area": 512 bytes of legacy region, 64 of header, then the extended
    // components.
    constexpr std::size_t smallest = 512 + 64;
    std::vector<std::byte> image(xsave_size);
    if (xsave.empty()) {
        // XSTATE_BV 0 makes every component initial; these two are read all the same.
        constexpr std::uint16_t control_word = 0x37f;
        constexpr std::uint32_t mxcsr = 0x1f80;
        std::memcpy(image.data(), &control_word, sizeof control_word);
        std::memcpy(image.data() + 24, &mxcsr, sizeof mxcsr);
    } else if (xsave.size() < smallest || xsave.size() > image.size()) {
        return error(errc::invalid_argument,
                     "an XSAVE image of " + std::to_string(xsave.size()) + " bytes");
    } else {
        std::ranges::copy(xsave, image.begin());
    }
    const int rc = kvm_call(bare.fd, KVM_SET_XSAVE, image.data());
    if (rc == -EINVAL)
        return error(errc::invalid_argument, "the XSAVE image has reserved bits set");
    if (rc < 0) return system_failure(errc::kvm_failed, "KVM_SET_XSAVE", -rc);
    return {};
}

std::uint64_t vcpu::tsc_now() const noexcept {
    return __rdtsc() + static_cast<std::uint64_t>(impl_->guest_tsc_offset);
}
std::uint32_t vcpu::tsc_khz() const noexcept { return impl_->guest_tsc_khz; }

void vcpu::kick() noexcept {
    std::lock_guard lock(impl_->mutex);
    impl_->kicked = true;
    if (!impl_->runner || impl_->signalled) return;
    impl_->page().immediate_exit = 1;
    impl_->signalled = true;
    pthread_kill(*impl_->runner, impl_->kick_signal);
}

void vcpu::clear_kick() noexcept { impl_->clear_kick(); }

int vcpu::kick_signal() const noexcept { return impl_->kick_signal; }

}  // namespace hearth::vmm
