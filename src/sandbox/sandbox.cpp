#include "sandbox/sandbox.hpp"

#include "base/try.hpp"
#include "guest/exec/load_program.hpp"
#include "guest/exec/vdso_image.hpp"
#include "guest/exec/vvar_clock.hpp"
#include "guest/kernel/identity.hpp"
#include "guest/vfs/file_pages.hpp"
#include "guest/vfs/filesystem.hpp"
#include "guest/vfs/open.hpp"
#include "guest/vfs/programs.hpp"
#include "sandbox/memory_capture.hpp"
#include "vmm/x86_64/layout.hpp"
#include "vmm/x86_64/vvar.hpp"

#include <fmt/format.h>

#include <sys/auxv.h>
#include <sys/random.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace hearth::detail {
namespace {

using std::chrono::nanoseconds;

void fill_random(std::span<std::byte> out) {
    while (!out.empty()) {
        const auto n = ::getrandom(out.data(), out.size(), 0);
        if (n > 0) out = out.subspan(static_cast<std::size_t>(n));
    }
}

nanoseconds read_clock(clockid_t clock) {
    timespec t{};
    ::clock_gettime(clock, &t);
    return std::chrono::seconds(t.tv_sec) + nanoseconds(t.tv_nsec);
}

/// A guest that never parks still has its connections looked after, once in so many calls.
constexpr unsigned calls_per_service = 16;

constexpr std::uint64_t slot_granule = 2ull << 20;

}  // namespace

vmm::vm_options sandbox::shell_options(byte_count memory, int kick_signal, bool tracing) {
    const auto total = memory.bytes() + window_space.bytes() + vmm::layout::first_free.value;
    vmm::vm_options options;
    options.memory = byte_count((total + slot_granule - 1) / slot_granule * slot_granule);
    options.fast_syscalls = !tracing;
    options.kick_signal = kick_signal;
    return options;
}

sandbox::sandbox(detail::shell shell, sandbox_options options)
    : shell_(std::move(shell)), options_(std::move(options)) {}

sandbox::~sandbox() = default;

byte_count sandbox::peak_memory() const noexcept {
    return byte_count(kernel_ ? kernel_->state().frames.peak_pages() * vmm::page_size : 0);
}

byte_count sandbox::private_memory() const noexcept {
    if (!kernel_) return byte_count(0);
    return byte_count(private_pages(memory(), kernel_->state(), shell_.root != nullptr) *
                      vmm::page_size);
}

result<void> sandbox::load(const program& what) {
    if (!shell_.blank) {
        clear_kick();
        // Blank is said last: the registers are clean by then.
        HEARTH_CHECK(vcpu().set_fpu({}));
        HEARTH_CHECK(shell_.make_blank());
    }
    shell_.blank = false;
    if (options_.network) options_.network->close_all();
    guest::initial_parameters first;
    first.first_frame = vmm::layout::first_free;
    first.end_frame = vmm::gpa{memory().size()};
    first.limit_pages = options_.memory.bytes() / vmm::page_size;
    first.working_directory = what.working_directory;
    first.boot_time = monotonic_now();
    first.random = fill_random;
    guest::kernel_state state = guest::make_initial_state(first);
    state.vfs = options_.filesystem->initial_state(realtime_now());
    guest::vfs::open_standard_streams(state.vfs, files_of(state, state.tasks.begin()->second));
    kernel_.emplace(std::move(state), options_.filesystem, memory(),
                    static_cast<guest::host&>(*this));

    guest::exec::install_vdso(memory());
    guest::task_state& task = kernel_->state().tasks.begin()->second;
    HEARTH_CHECK(load_into(kernel_->state().processes.begin()->second, task, what));
    registers_ = task.registers;
    vcpu().set_state(registers_);

    show_ids();
    return {};
}

result<guest::pid> sandbox::add(const program& what) {
    guest::kernel_state& state = kernel_->state();
    guest::process_state* process = kernel_->add_process(state.processes.begin()->second);
    if (!process)
        return error(errc::no_room,
                     what.path + " does not fit into the memory of this sandbox");
    guest::task_state& task = state.tasks.at(process->id);
    view_of(state, task).working_directory = what.working_directory;
    HEARTH_CHECK(load_into(*process, task, what));
    kernel_->hold_first();
    parked_ = true;  // so the first run chooses who begins
    return process->id;
}

void sandbox::hold_first() {
    kernel_->hold_first();
    if (!parked_ && !ended_) kernel_->running_task().registers = registers_;
    parked_ = true;
    ended_ = false;
}

/// The task's registers are those the program starts with.
result<void> sandbox::load_into(guest::process_state& process,
                                guest::task_state& task,
                                const program& what) {
    guest::exec::program_request request;
    request.path = what.path;
    request.arguments = what.arguments;
    request.environment = what.environment;
    give_random(random_record::source::at_random, request.random);
    request.hwcap = guest::exec::host_hwcap();
    request.minsigstksz = ::getauxval(AT_MINSIGSTKSZ);
    guest::vfs::programs programs(
        *options_.filesystem,
        {kernel_->state(), process, view_of(kernel_->state(), task), *this, memory()});
    guest::mm::address_space space(process.mm, kernel_->state().frames, memory());
    auto loaded = guest::exec::load_program(process, space, programs, request);
    if (loaded.has_error()) {
        if (loaded.error() == errc::not_found)
            return error(errc::missing_entry_point, loaded.error().message());
        return loaded.error();
    }
    task.name = loaded->name;
    task.registers = loaded->registers;
    return {};
}

/// A page of this guest's own for stub and vDSO.
void sandbox::show_ids() noexcept {
    vvar_page() = {};
    enter_running_task();
}

/// What the vCPU needs to know of the task that runs on it: its memory, and the answers of the
/// calls that the stub page gives. Whatever changes one of them ends in a full return and so comes
/// by here: the task's own calls (full_return in sys/process.cpp), and another task's turn before
/// this one's.
void sandbox::enter_running_task() noexcept {
    const guest::task_state& task = kernel_->running_task();
    guest::process_state& process = kernel_->process_of(task);
    vcpu().set_root(guest::memory_of(kernel_->state(), process).root);
    auto& page = vvar_page();
    page.pid = static_cast<std::uint32_t>(process.id);
    page.tid = static_cast<std::uint32_t>(task.tid);
    page.ppid = static_cast<std::uint32_t>(process.parent);
    page.uid = process.uid;
    page.gid = process.gid;
    page.euid = process.ids.euid;
    page.egid = process.ids.egid;
}

result<std::shared_ptr<const snapshot_image>> sandbox::snapshot() {
    if (!kernel_ || ended_) return error(errc::not_snapshotable, "the guest is not at rest");
    auto image = std::make_shared<snapshot_image>();
    image->kernel = kernel_->state();
    guest::forget_retired(image->kernel);
    guest::vfs::put_back_pages(image->kernel, memory());
    image->registers = registers_;
    image->parked = parked_;
    image->memory_limit = options_.memory.bytes();
    image->guest_clock = monotonic_now();
    image->cpu_time = cpu_time_;
    HEARTH_TRY(image->fpu, vcpu().fpu());
    // One that became a clone where it stood has its memory from nobody: all its pages are dirty,
    // and those that are as in the root are left out.
    if (const auto& root = shell_.root ? shell_.root : origin_) {
        image->root = root;
        image->base = root->base;
        HEARTH_TRY(image->written, capture_written(memory(), image->kernel, *root));
    } else {
        HEARTH_TRY(image->base, capture_root(memory(), image->kernel));
    }
    return std::shared_ptr<const snapshot_image>(std::move(image));
}

result<memory_restored> sandbox::restore(std::shared_ptr<const snapshot_image> image,
                                         restore_as as) {
    ended_ = true;  // until all of it stands
    clear_kick();
    keep_layout();
    const bool first = !kernel_;
    if (first) {
        kernel_.emplace(image->kernel, options_.filesystem, memory(),
                        static_cast<guest::host&>(*this));
        guest::exec::install_vdso(memory());
    } else {
        kernel_->restore(image->kernel);
    }
    guest::kernel_state& state = kernel_->state();
    HEARTH_TRY(const memory_restored done, restore_memory(shell_, image, state));
    HEARTH_CHECK(vcpu().set_fpu(image->fpu));

    // The guest's clock goes on as if it had slept; where the host's is behind (another boot), from
    // where it stood.
    auto& identity = state.identity;
    const nanoseconds host_now = read_clock(CLOCK_MONOTONIC);
    if (host_now + identity.clock_offset < image->guest_clock)
        identity.clock_offset = image->guest_clock - host_now;
    clock_offset_ = identity.clock_offset;
    if (as == restore_as::clone) renew_identity();
    show_ids();

    broken_.reset();
    parked_ = image->parked;
    registers_ = image->registers;
    if (!parked_) vcpu().set_state(registers_);
    cpu_time_ = image->cpu_time;
    calls_since_service_ = 0;
    timer_.reset();
    origin_ = std::move(image);
    ended_ = false;
    return done;
}

void sandbox::become_clone_of(std::shared_ptr<const snapshot_image> image) {
    origin_ = std::move(image);
    renew_identity();
}

void sandbox::renew_identity() {
    if (options_.network) options_.network->close_all();
    guest::renew_identity(kernel_->state(), memory(), [this](std::span<std::byte> out) {
        give_random(random_record::source::at_random, out);
    });
}

/// The shell remembers what stands in its memory.
void sandbox::keep_layout() {
    if (!kernel_) return;
    guest::vfs::discard_pages(kernel_->state(), memory());
    vcpu().set_root(vmm::layout::pml4);
    shell_.keep_layout(kernel_->state());
}

shell sandbox::take_shell() && {
    keep_layout();
    return std::move(shell_);
}

vmm::vvar& sandbox::vvar_page() noexcept {
    return *reinterpret_cast<vmm::vvar*>(memory().at(vmm::layout::vvar, sizeof(vmm::vvar)));
}

nanoseconds sandbox::refresh_clock() {
    const guest::exec::clock_reading now{vcpu().tsc_now(), monotonic_now(), realtime_now()};
    guest::exec::refresh_clock(vvar_page(), vcpu().tsc_khz(), now);
    return now.monotonic;
}

run_outcome sandbox::run(const vmm::run_scope& scope) {
    run_started_ = refresh_clock();
    running_ = true;
    struct stop_watch {  // CPU time is the time inside run(): a parked guest is not in it
        sandbox& self;
        ~stop_watch() {
            self.cpu_time_ += self.monotonic_now() - self.run_started_;
            self.running_ = false;
        }
    } const watch{*this};

    if (parked_) {
        if (options_.services) options_.services->serve(*kernel_);
        const guest::step step = kernel_->resume(registers_);
        if (step.what == guest::step::kind::parked) return park();
        parked_ = false;
        if (step.what == guest::step::kind::return_value ||
            step.what == guest::step::kind::set_registers) {
            enter_running_task();
            vcpu().set_state(registers_);
        } else if (auto end = apply(step))
            return *end;
    }
    watch_timer();  // a restored guest's may be due before its first exit
    for (;;) {
        const vmm::vm_exit exit = vcpu().run(scope);
        guest::step step;
        if (std::holds_alternative<vmm::syscall_exit>(exit)) {
            registers_ = vcpu().state();
            ++system_calls_;
            const guest::pid caller = kernel_->state().running;
            step = kernel_->on_syscall(registers_);
            // A parked task is served in apply(), which then tries it again.
            if (options_.services && step.what != guest::step::kind::parked) {
                if (kernel_->state().running != caller && waits_for_service()) [[unlikely]]
                    kick();
                if (++calls_since_service_ >= calls_per_service) {
                    calls_since_service_ = 0;
                    if (options_.services->serve(*kernel_)) kernel_->yield();
                }
            }
        } else if (const auto* exception = std::get_if<vmm::exception_exit>(&exit)) {
            registers_ = vcpu().state();
            step = kernel_->on_exception(registers_, *exception);
        } else if (std::holds_alternative<vmm::interrupted_exit>(exit)) {
            // The owner's kick, the guest's timer, or our own: all are looked after.
            registers_ = vcpu().state();
            if (options_.services && kernel_->state().tasks.size() > 1 &&
                options_.services->serve(*kernel_))
                kernel_->yield();  // to those that wait for it while this one runs
            step = kernel_->on_interrupt(registers_);
            watch_timer();
            if (step.what == guest::step::kind::run_on) return run_interrupted{};
            if (step.what != guest::step::kind::set_registers) {
                if (auto end = apply(step)) return *end;
                return run_interrupted{};
            }
            enter_running_task();
            vcpu().set_state(registers_);
            return run_interrupted{};
        } else if (std::holds_alternative<vmm::memory_exit>(exit)) {
            registers_ = vcpu().state();
            step = kernel_->on_memory_fault(registers_);
        } else {
            ended_ = true;
            const auto& u = std::get<vmm::unusable_exit>(exit);
            return run_poisoned{
                fmt::format("KVM exit {} ({:#x}) at rip {:#x}", u.reason, u.detail, u.rip)};
        }
        if (auto end = apply(step)) return *end;
    }
}

/// A task that gave way has turned to a service or asked for an event, which must not wait until
/// the others have had their slices, nor may the owner, for whom the guest may be done.
bool sandbox::waits_for_service() const noexcept {
    return kernel_->state().native.waiting || kernel_->has_service_activity();
}

void sandbox::wake() noexcept {
    if (parked_) return;
    kernel_->yield();
    kick();
}

/// Carries a step over to the vCPU; the outcome when that ends the run.
std::optional<run_outcome> sandbox::apply(guest::step step) {
    watch_timer();
    close_gone_sockets();
    if (broken_) {
        ended_ = true;
        return run_poisoned{broken_->message()};
    }
    switch (step.what) {
        case guest::step::kind::run_on:
            return std::nullopt;
        case guest::step::kind::return_value:
            vcpu().return_from_syscall(step.rax);
            return std::nullopt;
        case guest::step::kind::set_registers:
            enter_running_task();
            vcpu().set_state(registers_);
            return std::nullopt;
        case guest::step::kind::exited:
            return exited();
        case guest::step::kind::out_of_memory:
            ended_ = true;
            return run_out_of_memory{};
        case guest::step::kind::parked:
            break;
    }
    calls_since_service_ = 0;
    if (!options_.services || !options_.services->serve(*kernel_)) return park();
    step = kernel_->resume(registers_);
    switch (step.what) {
        case guest::step::kind::parked:
            return park();
        case guest::step::kind::exited:
            return exited();
        case guest::step::kind::out_of_memory:
            ended_ = true;
            return run_out_of_memory{};
        default:
            enter_running_task();
            vcpu().set_state(registers_);
            return std::nullopt;
    }
}

void sandbox::watch_timer() {
    const auto next = kernel_->next_timer();
    if (next == timer_ || !options_.services) return;
    timer_ = next;
    options_.services->set_timer(next ? std::optional(monotonic_time(*next - clock_offset_))
                                      : std::nullopt);
}

/// The last descriptor of each is closed.
void sandbox::close_gone_sockets() {
    auto& gone = kernel_->state().vfs.gone_outside;
    if (gone.empty()) [[likely]]
        return;
    for (const std::uint32_t id : gone)
        if (options_.network) options_.network->close(id);
    gone.clear();
}

run_outcome sandbox::exited() {
    const guest::pid process = kernel_->ended_process();
    ended_ = process == kernel_->state().processes.begin()->first;
    parked_ = !ended_;  // a further run goes on with those that are left
    return run_exited{kernel_->exit_status(), process};
}

run_outcome sandbox::park() {
    close_gone_sockets();
    parked_ = true;
    run_parked parked;
    if (const auto deadline = kernel_->wait_deadline())
        parked.deadline = monotonic_time(*deadline - clock_offset_);
    parked.input = kernel_->waits_for_input();
    return parked;
}

nanoseconds sandbox::monotonic_now() { return read_clock(CLOCK_MONOTONIC) + clock_offset_; }
nanoseconds sandbox::realtime_now() { return read_clock(CLOCK_REALTIME); }
nanoseconds sandbox::cpu_time() {
    return running_ ? cpu_time_ + (monotonic_now() - run_started_) : cpu_time_;
}

void sandbox::random(std::span<std::byte> out) { give_random(random_record::source::drawn, out); }

void sandbox::give_random(random_record::source source, std::span<std::byte> out) {
    fill_random(out);
    if (options_.randomness) options_.randomness->add(source, out);
}

std::size_t sandbox::write_stream(guest::stream which, std::span<const std::byte> bytes) {
    return options_.streams ? options_.streams->write(which, bytes) : bytes.size();
}
guest::host::input_result sandbox::read_input(std::span<std::byte> into) {
    return options_.streams ? options_.streams->read(into) : input_result{};
}
bool sandbox::input_ready() { return !options_.streams || options_.streams->input_ready(); }
guest::host::terminal sandbox::terminal_of(guest::stream which) {
    return options_.streams ? options_.streams->terminal_of(which) : terminal{};
}
bool sandbox::service_listens(std::uint32_t address, std::uint16_t port) {
    return options_.services && options_.services->listens(address, port);
}
vmm::fpu_state sandbox::read_fpu() {
    auto state = vcpu().fpu();
    if (state) return std::move(*state);
    broken_ = state.error();
    return {};
}
bool sandbox::write_fpu(const vmm::fpu_state& state) {
    const auto written = vcpu().set_fpu(state);
    // The guest may be to blame for what KVM does not take, for nothing else.
    if (written.has_error() && !(written.error() == errc::invalid_argument))
        broken_ = written.error();
    return written.has_value();
}
void sandbox::trace(std::string_view line) {
    if (options_.streams) options_.streams->trace(line);
}

}  // namespace hearth::detail
