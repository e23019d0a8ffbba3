#include "base/try.hpp"
#include "guest/kernel/native_exchange.hpp"
#include "image/sha256.hpp"
#include "runtime/sandbox_impl.hpp"
#include "vmm/vm.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hearth {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

/// Lambda's bound on an event.
constexpr std::size_t max_call_event = 6u << 20;
constexpr byte_count least_memory{1ull << 20}, most_memory{1ull << 40};

std::int64_t epoch_milliseconds_after(nanoseconds timeout) {
    using std::chrono::milliseconds;
    // A guest may do sums with it: without a limit it is far away, but no more than that.
    const auto left = std::min<nanoseconds>(timeout, std::chrono::hours(24 * 365));
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return std::chrono::duration_cast<milliseconds>(now + left).count();
}

std::string describe(const run_end& end) {
    using reason = run_end::reason;
    switch (end.why) {
        case reason::waiting:
            return "the guest waits for an event";
        case reason::asleep:
            return "the guest sleeps";
        case reason::exited:
            return end.signal ? fmt::format("the guest was ended by signal {}", end.signal)
                              : fmt::format("the guest exited with status {}", end.exit_code);
        case reason::out_of_memory:
            return "the guest was out of memory";
        case reason::timed_out:
            return "the time was over";
        case reason::stopped:
            return "the guest was stopped";
    }
    return {};
}

/// What a stored snapshot is known by: everything its guest could see of its configuration. The
/// program's name stands first, for the sentence about a wrong one.
std::string key_of(const sandbox_config& config, const detail::guest_program& program) {
    std::string all;
    const auto add = [&all](const std::string& s) { all += fmt::format("{}:{}", s.size(), s); };
    const auto add_list = [&](const std::vector<std::string>& list) {
        add(std::to_string(list.size()));
        for (const auto& s : list) add(s);
    };
    add(program.version);
    add_list(program.what.arguments);
    add_list(program.what.environment);
    add(program.what.working_directory);
    add(config.root.string());
    add(config.package.empty() ? "root" : "package");
    add(fmt::format("{} {}", config.memory.bytes(), config.tmp_size.bytes()));
    return program.what.path.substr(0, 1024) + ' ' + image::to_hex(image::sha256_of(all));
}

}  // namespace

result<configured_guest> configure(const std::shared_ptr<hypervisor::impl>& host,
                                   const sandbox_config& config) {
    if (config.memory < least_memory || config.memory > most_memory)
        return error(errc::invalid_argument, "memory is not between 1 MiB and 1 TiB");
    const detail::guest_program_request request{config.arguments, config.environment,
                                                config.working_directory, config.root,
                                                config.tmp_size};
    HEARTH_TRY(auto program, config.package.empty()
                                 ? detail::program_of_root(request)
                                 : detail::program_of_package(request, config.package));
    return configured_guest{{host, program.files, config.memory, key_of(config, program)},
                            std::move(program.what)};
}

/// What ends a run early.
class sandbox::impl::interruptions {
  public:
    interruptions(impl& self, nanoseconds timeout, const std::stop_token& stop)
        : self_(none_yet(self)), on_stop_(stop, stopper{self}) {
        // A limit beyond what the clock can show is none.
        const auto now = steady_clock::now();
        if (timeout < steady_clock::time_point::max() - now)
            self_.origin_.host->watch.arm(self_.limit_, now + timeout);
    }
    interruptions(const interruptions&) = delete;
    interruptions& operator=(const interruptions&) = delete;
    ~interruptions() {
        // A kick may be left: the next run finds that nothing is behind it, and goes on.
        self_.origin_.host->watch.disarm(self_.limit_);
    }

    [[nodiscard]] std::optional<run_end> over() const noexcept {
        const unsigned flags = self_.interrupts_.load(std::memory_order_acquire);
        if (flags & stopped) return run_end{.why = run_end::reason::stopped};
        if (flags & timed_out) return run_end{.why = run_end::reason::timed_out};
        return std::nullopt;
    }
    void wait(steady_clock::time_point until) {
        std::unique_lock lock(self_.mutex_);
        self_.woken_.wait_until(lock, until, [this] { return over().has_value(); });
    }

  private:
    struct stopper {
        void operator()() const noexcept { self.interrupt(stopped); }
        impl& self;
    };
    static impl& none_yet(impl& self) noexcept {
        self.interrupts_.store(0);
        return self;
    }

    impl& self_;
    std::stop_callback<stopper> on_stop_;
};

sandbox::impl::impl(guest_origin o, sandbox_output out, bool record_randomness)
    : origin_(std::move(o)), output_(std::move(out)), records_(record_randomness) {}

sandbox::impl::~impl() { origin_.host->watch.disarm(timer_); }

void sandbox::impl::interrupt(unsigned why) noexcept {
    {
        const std::lock_guard lock(mutex_);
        interrupts_.fetch_or(why, std::memory_order_release);
    }
    box_->kick();
    woken_.notify_one();
}

void sandbox::impl::set_timer(std::optional<detail::monotonic_time> at) {
    origin_.host->watch.disarm(timer_);
    if (at) origin_.host->watch.arm(timer_, *at);
}

std::size_t sandbox::impl::write(guest::stream which, std::span<const std::byte> bytes) {
    const auto& callback =
        which == guest::stream::error ? output_.on_error_output : output_.on_output;
    if (callback) callback({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    return bytes.size();
}

/// In that shell, or in a new one.
result<void> sandbox::impl::emplace(std::optional<detail::shell> shell) {
    if (!shell) {
        const auto options =
            detail::sandbox::shell_options(origin_.memory, origin_.host->kick_signal, false);
        HEARTH_TRY(auto vm, vmm::vm::create(origin_.host->kvm, options));
        shell.emplace(std::move(vm));
    }
    detail::sandbox_options options;
    options.memory = origin_.memory;
    options.filesystem = origin_.files;
    options.streams = this;
    options.services = this;
    options.randomness = records_ ? &randomness_ : nullptr;
    box_.emplace(std::move(*shell), std::move(options));
    shell_usable_ = true;
    return {};
}

result<void> sandbox::impl::load(const detail::program& what) {
    HEARTH_CHECK(emplace(std::nullopt));
    return box_->load(what);
}

result<void> sandbox::impl::become(const std::shared_ptr<const snapshot::impl>& image) {
    origin_.host->watch.disarm(timer_);
    poisoned_ = "the sandbox could not be restored";  // until all of it stands
    const guest_origin& to = image->origin;
    const bool fits =
        box_ && shell_usable_ && origin_.host == to.host && origin_.memory == to.memory;
    const bool records = image->randomness != nullptr;
    if (!fits || origin_.files != to.files || records_ != records) {
        std::optional<detail::shell> shell;
        if (fits) shell.emplace(std::move(*box_).take_shell());
        box_.reset();
        origin_ = to;
        records_ = records;
        HEARTH_CHECK(emplace(std::move(shell)));
    }
    if (records) randomness_ = *image->randomness;
    shell_usable_ = false;
    if (auto done = box_->restore(image->image); done.has_error()) return done.error();
    shell_usable_ = true;
    own_ = image;
    poisoned_.clear();
    return {};
}

result<void> sandbox::impl::reset() {
    if (!own_) return error(errc::invalid_argument, "the sandbox has no snapshot to be reset to");
    return become(own_);
}

bool sandbox::impl::asks_for_event() {
    const auto& native = box_->kernel().native();
    return native.waiting && !native.event;
}

result<run_end> sandbox::impl::drive(interruptions& limits, bool return_asleep) {
    const vmm::run_scope scope(origin_.host->kick_signal);
    for (;;) {
        if (auto over = limits.over()) return *over;
        const auto outcome = box_->run(scope);
        if (const auto* parked = std::get_if<detail::run_parked>(&outcome)) {
            if (asks_for_event())
                return run_end{.why = run_end::reason::waiting, .wakes_at = parked->deadline};
            if (parked->deadline && *parked->deadline <= steady_clock::now()) continue;
            if (return_asleep || !parked->deadline)
                return run_end{.why = run_end::reason::asleep, .wakes_at = parked->deadline};
            limits.wait(*parked->deadline);
        } else if (const auto* exited = std::get_if<detail::run_exited>(&outcome)) {
            const run_end end{.exit_code = exited->status.code, .signal = exited->status.signal};
            poisoned_ = describe(end);
            return end;
        } else if (std::holds_alternative<detail::run_out_of_memory>(outcome)) {
            const run_end end{.why = run_end::reason::out_of_memory};
            poisoned_ = describe(end);
            return end;
        } else if (const auto* bad = std::get_if<detail::run_poisoned>(&outcome)) {
            shell_usable_ = false;
            poisoned_ = "the microVM stopped: " + bad->reason;
            return error(errc::sandbox_poisoned, poisoned_);
        }
        // else interrupted: by a limit, the guest's timer, or a kick too late
    }
}

result<run_end> sandbox::impl::run(const run_limits& limits) {
    if (!poisoned_.empty()) return error(errc::sandbox_poisoned, poisoned_ + "; reset the sandbox");
    interruptions interrupting(*this, limits.timeout, limits.stop);
    return drive(interrupting, limits.return_asleep);
}

result<reply> sandbox::impl::call(std::string event,
                                  nanoseconds timeout,
                                  const std::stop_token& stop) {
    if (!poisoned_.empty()) return error(errc::sandbox_poisoned, poisoned_ + "; reset the sandbox");
    if (event.size() > max_call_event)
        return error(errc::payload_too_large, "the event is over 6 MB");
    interruptions interrupting(*this, timeout, stop);
    reply r;
    if (!asks_for_event()) {
        HEARTH_TRY(r.end, drive(interrupting, false));
        if (r.end.why != run_end::reason::waiting) return r;
    }
    guest::native_exchange& native = box_->kernel().native();
    native.reply.reset();  // of a call that its caller gave up
    native.event.emplace();
    native.event->request_id = fmt::format("call-{}", ++calls_);
    native.event->deadline_ms = epoch_milliseconds_after(timeout);
    native.event->payload = std::move(event);
    HEARTH_TRY(r.end, drive(interrupting, false));
    native.event.reset();  // if it was not taken in time
    if (native.reply) {
        r.answered = true;
        r.failed = native.reply->failed;
        r.payload = std::move(native.reply->payload);
        native.reply.reset();
    }
    return r;
}

result<std::shared_ptr<const snapshot::impl>> sandbox::impl::take_snapshot() {
    if (!poisoned_.empty()) return error(errc::not_snapshotable, poisoned_);
    guest::native_exchange& native = box_->kernel().native();
    if (native.busy || native.event)
        return error(errc::not_snapshotable,
                     "the guest is in the middle of a call: let it end with run");
    native.reply.reset();
    HEARTH_TRY(auto image, box_->snapshot());
    auto taken = std::make_shared<snapshot::impl>();
    taken->origin = origin_;
    taken->image = std::move(image);
    if (records_) taken->randomness = std::make_shared<detail::random_record>(randomness_);
    box_->renew_identity();  // the image has the one it had
    own_ = taken;
    return std::shared_ptr<const snapshot::impl>(std::move(taken));
}

// ---------------------------------------------------------------------------------------------

sandbox::sandbox(std::unique_ptr<impl> i) noexcept : impl_(std::move(i)) {}
sandbox::sandbox(sandbox&&) noexcept = default;
sandbox& sandbox::operator=(sandbox&&) noexcept = default;
sandbox::~sandbox() = default;

result<sandbox> sandbox::create(const hypervisor& host, sandbox_config config) {
    HEARTH_TRY(auto guest, configure(host.impl_, config));
    auto made = std::make_unique<impl>(std::move(guest.origin), std::move(config.output),
                                       config.record_randomness);
    HEARTH_CHECK(made->load(guest.what));
    return sandbox(std::move(made));
}

result<run_end> sandbox::run(run_limits limits) { return impl_->run(limits); }

result<reply> sandbox::call(std::string event, nanoseconds timeout, std::stop_token stop) {
    return impl_->call(std::move(event), timeout, stop);
}

result<hearth::snapshot> sandbox::snapshot() {
    HEARTH_TRY(auto taken, impl_->take_snapshot());
    return hearth::snapshot(std::move(taken));
}

result<hearth::snapshot> sandbox::snapshot_when_ready(run_limits limits) {
    limits.return_asleep = false;
    HEARTH_TRY(const run_end end, impl_->run(limits));
    if (end.why != run_end::reason::waiting)
        return error(errc::init_failed, "before it asked for an event, " + describe(end));
    return snapshot();
}

result<void> sandbox::reset() { return impl_->reset(); }

byte_count sandbox::peak_memory() const noexcept { return impl_->peak_memory(); }

}  // namespace hearth
