#include "worker/environment.hpp"

#include "base/try.hpp"
#include "base/uuid.hpp"
#include "worker/credentials.hpp"
#include "worker/environment_variables.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <utility>

namespace hearth::worker {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

std::int64_t realtime_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// For credentials; no longer than what a string holds without an allocation, as each clone has it.
std::string make_token() {
    std::string digits = make_uuid();
    std::erase(digits, '-');
    return digits.substr(0, 15);
}

/// Where an ARN has the account: arn:aws:lambda:REGION:ACCOUNT:function:NAME.
std::string account_of(std::string_view arn) {
    for (int i = 0; i < 4; ++i) arn.remove_prefix(std::min(arn.find(':') + 1, arn.size()));
    return std::string(arn.substr(0, arn.find(':')));
}

/// The files in /opt/extensions, by name: none but a layer can bring them.
std::vector<std::string> extension_files(const image::package_image* layers) {
    std::vector<std::string> names;
    if (!layers) return names;
    constexpr std::string_view directory = "extensions/";
    const auto& entries = layers->entries();
    for (auto it = entries.lower_bound(directory);
         it != entries.end() && it->first.starts_with(directory); ++it) {
        std::string name = it->first.substr(directory.size());
        if (it->second.type != image::package_entry::kind::directory &&
            name.find('/') == std::string::npos)
            names.push_back(std::move(name));
    }
    return names;
}

detail::sandbox_options options_of(const version_data& version,
                                   detail::sandbox_streams& streams,
                                   detail::sandbox_services& services,
                                   guest::outbound* network) {
    detail::sandbox_options o;
    o.memory = version.spec.memory;
    o.filesystem = *version.files;
    o.streams = &streams;
    o.services = &services;
    o.network = network;
    return o;
}

}  // namespace

environment::environment(std::shared_ptr<const version_data> version,
                         const worker_options& options,
                         deadline_watch& watch,
                         net::engine& network)
    : version_(std::move(version)),
      spec_(version_->spec),
      options_(options),
      watch_(watch),
      api_(spec_.snapshot),
      stored_log_(spec_, options_.logs.get()) {
    if (version_->network)
        network_.emplace(network, version_->network, static_cast<net::listener&>(*this));
}

environment::~environment() {
    end_stream();
    watch_.disarm(*this);
    watch_.disarm(timer_);
}

void environment::set_timer(std::optional<detail::monotonic_time> at) {
    watch_.disarm(timer_);
    if (at) watch_.arm(timer_, *at);
}

void environment::open(detail::shell shell) {
    auto options = options_of(*version_, *this, *this, network_ ? &*network_ : nullptr);
    if (options_.find_shared_randomness) options.randomness = &given_;
    const std::lock_guard lock(waker_mutex_);
    sandbox_.emplace(std::move(shell), std::move(options));
}

result<detail::shell> environment::put_away() {
    HEARTH_TRY(at_rest_, sandbox_->snapshot());
    watch_.disarm(timer_);
    const std::lock_guard lock(waker_mutex_);
    calls_before_ = system_calls();
    detail::shell shell = std::move(*sandbox_).take_shell();
    sandbox_.reset();
    return shell;
}

result<void> environment::bring_back(detail::shell shell) {
    open(std::move(shell));
    poisoned_ = true;
    if (auto restored = sandbox_->restore(at_rest_, detail::restore_as::same);
        restored.has_error()) {
        phase_ = phase::dead;
        return restored.error();
    }
    poisoned_ = false;
    at_rest_.reset();
    return {};
}

result<void> environment::load(resources r) {
    vm_time_ = r.vm_time;
    start_ = start_kind::cold;
    stored_log_.open_stream(make_log_stream_name(spec_.version));
    open(std::move(r.shell));
    const auto start = steady_clock::now();
    detail::program p;
    if (spec_.runtime) {
        p.path = spec_.runtime->program;
        p.arguments = image::program_arguments(*spec_.runtime, spec_.memory);
    } else {
        p.path = image::entry_point_of(*spec_.code, spec_.layers.get());
        p.arguments = {p.path};
    }
    std::string token = spec_.snapshot ? make_token() : std::string();
    p.environment = environment_variables(spec_, options_, stored_log_.stream(), token);
    api_.set_credentials_token(std::move(token));
    p.working_directory = "/var/task";
    auto loaded = sandbox_->load(p);
    if (loaded.has_value()) loaded = start_extensions(p.environment);
    boot_time_ = steady_clock::now() - start;
    // A shell that could not be wiped is of no use to others.
    poisoned_ = loaded.has_error() &&
                (loaded.error() == errc::kvm_failed || loaded.error() == errc::no_room);
    return loaded;
}

result<void> environment::start_extensions(const std::vector<std::string>& variables) {
    api_.participants().open(
        {spec_.function_name, spec_.version, spec_.handler, account_of(spec_.function_arn)});
    const auto files = extension_files(spec_.layers.get());
    const auto refuse = [](const std::string& why) {
        return error(errc::init_failed, "Extension.LaunchError: " + why);
    };
    if (files.size() > extensions::max_extensions)
        return refuse(fmt::format("/opt/extensions has {} extensions, at most {} can be started",
                                  files.size(), extensions::max_extensions));
    for (const std::string& name : files) {
        detail::program p;
        p.path = "/opt/extensions/" + name;
        p.arguments = {p.path};
        p.environment = extension_variables(variables);
        auto added = sandbox_->add(p);
        if (added.has_error()) return refuse(p.path + ": " + added.error().message());
        api_.participants().expect(name, *added);
    }
    return {};
}

/// Init is over, as far as extensions have to do with it.
void environment::end_registration() {
    if (!api_.participants().is_open()) return;
    api_.participants().close();
    if (api_.participants().empty()) return;
    const std::string lines = api_.participants().init_lines();
    log_.begin_line();
    log_.append(lines);
    stored_log_.extensions(lines);
}

result<void> environment::restore(resources r,
                                  const version_snapshot& from,
                                  std::chrono::nanoseconds read_time) {
    open(std::move(r.shell));
    const auto start = steady_clock::now();
    HEARTH_CHECK(reset(from));
    vm_time_ = r.vm_time;
    boot_time_ = read_time + (steady_clock::now() - start);
    return {};
}

result<std::shared_ptr<const version_snapshot>> environment::snapshot() {
    const auto start = steady_clock::now();
    HEARTH_TRY(auto image, sandbox_->snapshot());
    auto s = std::make_shared<const version_snapshot>(
        version_snapshot{std::move(image), api_, stored_log_.stream()});
    snapshot_time_ = steady_clock::now() - start;
    return s;
}

void environment::go_on(const version_snapshot* as_clone_of) {
    sandbox_->become_clone_of(as_clone_of ? as_clone_of->image : nullptr);
}

result<void> environment::reset(const version_snapshot& to) {
    watch_.disarm(timer_);
    phase_ = phase::dead;  // until all of it stands
    poisoned_ = true;
    if (auto restored = sandbox_->restore(to.image); restored.has_error()) return restored.error();
    poisoned_ = false;
    if (stored_log_.stream() != to.log_stream) stored_log_.open_stream(to.log_stream);
    api_ = to.api;
    served_ = false;
    phase_ = api_.waiting_for_restore() ? phase::restore_point : phase::idle;
    start_ = start_kind::restored;
    init_time_ = boot_time_ = vm_time_ = snapshot_time_ = {};
    log_.clear();
    return {};
}

result<detail::shell> environment::detach() { return put_away(); }

result<detail::shell> environment::suspend() { return put_away(); }

result<void> environment::resume(resources r) { return bring_back(std::move(r.shell)); }

start_report environment::started_as() const noexcept {
    return {.start = start_,
            .ahead = ahead,
            .vm = vm_time_,
            .boot = boot_time_,
            .init = init_time_,
            .snapshot = snapshot_time_};
}

byte_count environment::peak_memory() const noexcept {
    if (sandbox_) return sandbox_->peak_memory();
    return byte_count(at_rest_ ? at_rest_->kernel.frames.peak_pages() * vmm::page_size : 0);
}

const detail::snapshot_image* environment::root() const noexcept {
    const auto& image = at_rest_ ? at_rest_ : sandbox_ ? sandbox_->origin() : at_rest_;
    if (!image) return nullptr;
    return image->root ? image->root.get() : image.get();
}

byte_count environment::held() const noexcept {
    if (!at_rest_) return {};
    // The kernel state's own size, about: tables of files, tasks and mappings of a process.
    constexpr std::size_t process = 24u << 10;
    const auto& kernel = at_rest_->kernel;
    std::uint64_t held = at_rest_->written.bytes.size() + at_rest_->fpu.xsave.size() +
                         kernel.processes.size() * process;
    for (const auto& [tid, task] : kernel.tasks) held += task.fpu.xsave.size();
    // What it keeps in /tmp, /dev/shm and memfds; it shares with the snapshot what that had there.
    const std::uint64_t files = kernel.vfs.files.bytes_used();
    const std::uint64_t before = at_rest_->root ? at_rest_->root->kernel.vfs.files.bytes_used() : 0;
    return byte_count(held + (files > before ? files - before : 0));
}

result<void> environment::attach(resources r) {
    vm_time_ = r.vm_time;
    const auto start = steady_clock::now();
    HEARTH_CHECK(bring_back(std::move(r.shell)));
    reattached_ = true;
    boot_time_ = steady_clock::now() - start;
    return {};
}

std::optional<detail::shell> environment::give_up() {
    watch_.disarm(*this);
    watch_.disarm(timer_);
    end_stream();
    std::optional<detail::shell> shell;
    if (sandbox_ && !poisoned_) shell.emplace(std::move(*sandbox_).take_shell());
    sandbox_.reset();
    at_rest_.reset();
    if (network_) network_->close_all();
    phase_ = phase::dead;
    return shell;
}

void environment::begin_init() {
    hooks_ = phase_ == phase::restore_point;
    if (hooks_) {
        api_.restored();
        sandbox_->wake();
    }
    phase_ = phase::init;
    stopped_ = false;
    started_ = steady_clock::now();
    watch_.arm(*this, started_ + options_.init_limit);
}

void environment::begin_invocation(invocation& input, start_kind start) {
    phase_ = phase::running;
    served_ = true;
    stopped_ = false;
    answered_ = false;
    failure_.reset();
    start_ = start;
    if (start == start_kind::warm) log_.clear();
    request_id_ = std::move(input.request_id);
    log_.begin_line();
    log_.append("START RequestId: ");
    log_.append(request_id_);
    log_.append(" Version: ");
    log_.append(spec_.version);
    log_.append("\n");
    stored_log_.begin(request_id_);

    guest::native_event event;
    event.request_id = request_id_;
    event.deadline_ms = realtime_ms() + spec_.timeout.count();
    event.function_arn = std::move(input.invoked_arn);
    event.trace_id = std::move(input.trace_id);
    event.client_context = std::move(input.client_context);
    event.tenant_id = input.tenant_id;
    event.payload = std::move(input.payload);
    stream_ = std::move(input.stream);
    streaming_ = waits_for_room_ = false;
    if (stream_) {
        stream_->set_executed_version(spec_.version);
        stream_->set_listener(this);
    }
    if (!api_.participants().empty()) [[unlikely]]
        api_.tell_of_invocation(event);
    auto& native = sandbox_->kernel().native();
    if (native.waiting)
        native.event = std::move(event);
    else
        api_.offer(std::move(event), stream_ != nullptr);
    sandbox_->wake();
    calls_at_begin_ = system_calls();
    started_ = steady_clock::now();
    watch_.arm(*this, started_ + spec_.timeout);
}

std::optional<environment::pause> environment::advance(const vmm::run_scope& scope,
                                                       std::atomic<bool>& preempt) {
    for (;;) {
        if (on_interrupt()) return std::nullopt;
        if (preempt.exchange(false, std::memory_order_relaxed)) return pause{{}, true};
        if (stream_ && stream_->full()) {
            // A reader that only takes its time is waited for with the shell in hand.
            constexpr std::chrono::milliseconds patience(5);
            stored_log_.settle();
            if (std::exchange(waits_for_room_, true)) return pause{};
            return pause{steady_clock::now() + patience, false};
        }
        waits_for_room_ = false;
        network_news_.store(false);
        auto outcome = sandbox_->run(scope);
        if (const auto* parked = std::get_if<detail::run_parked>(&outcome)) {
            if (phase_is_over()) return std::nullopt;
            if (parked->deadline && *parked->deadline <= steady_clock::now()) continue;
            stored_log_.settle();
            return pause{parked->deadline, false};
        }
        if (std::holds_alternative<detail::run_interrupted>(outcome)) {
            // A task that computes on does not keep the others' phase from ending: it is frozen.
            if (phase_is_over()) return std::nullopt;
            continue;  // the flags say why
        }
        if (const auto* exited = std::get_if<detail::run_exited>(&outcome)) {
            if (on_exit(*exited)) continue;
        } else if (std::holds_alternative<detail::run_out_of_memory>(outcome)) {
            on_end(out_of_memory_failure(sandbox_->peak_memory(), spec_.memory));
        } else {
            poisoned_ = true;
            on_end(poisoned_failure(std::get<detail::run_poisoned>(outcome).reason));
        }
        return std::nullopt;
    }
}

bool environment::asks_for_event() {
    const auto& native = sandbox_->kernel().native();
    return api_.waiting() || (native.waiting && !native.event);
}

void environment::collect_reply() {
    if (answered_ || !sandbox_) return;  // suspended: collected before
    auto& native = sandbox_->kernel().native();
    if (native.reply) {
        reply_.failed = native.reply->failed;
        reply_.error_type.clear();
        reply_.payload = std::move(native.reply->payload);
        native.reply.reset();
    } else if (auto posted = api_.take_reply()) {
        reply_ = std::move(*posted);
    } else {
        return;
    }
    answered_ = true;
}

/// Looks what the guest has said, where it stands between two of its instructions.
bool environment::phase_is_over() {
    const phase before = phase_;
    extensions& ext = api_.participants();
    if (!ext.empty()) [[unlikely]] {
        if (auto failed = ext.take_failure()) {
            failed_ = phase_ == phase::running || phase_ == phase::lingering;
            on_end(std::move(*failed));
            return true;
        }
    }
    if (phase_ == phase::shutdown) {
        if (ext.done_with(extensions::event::shutdown)) finish(phase::dead);
    } else if (phase_ == phase::init) {
        if (auto posted = api_.take_init_error()) {
            init_failure_ = failure{
                posted->error_type.empty() ? "Runtime.Unknown" : std::move(posted->error_type),
                std::move(posted->payload)};
            finish(phase::dead);
        } else if (auto refused = api_.take_restore_error()) {
            init_failure_ = failure{refused->error_type.empty() ? "Runtime.RestoreError"
                                                                : std::move(refused->error_type),
                                    std::move(refused->payload)};
            finish(phase::dead);
        } else if (!ext.all_wait()) {
            // After a restore they wait as they did; what is not so then is its own affair.
            if (hooks_ && asks_for_event()) finish(phase::idle);
        } else if (api_.waiting_for_restore()) {
            end_registration();
            finish(phase::restore_point);
        } else if (asks_for_event()) {
            end_registration();
            sandbox_->kernel().native().reply.reset();  // an answer to nothing
            finish(phase::idle);
        }
    } else {
        collect_reply();
        if (answered_ && asks_for_event()) {
            if (ext.done_with(extensions::event::invoke)) {
                finish(phase::idle);
            } else if (phase_ == phase::running) {
                duration_ = steady_clock::now() - started_;
                phase_ = phase::lingering;
            }
        }
    }
    return phase_ != before;
}

/// @return whether the others go on
bool environment::on_exit(const detail::run_exited& exited) {
    auto crashed = api_.participants().ended(exited.process, exited.status);
    // That is what SHUTDOWN is for; the other extensions have their time.
    if (phase_ == phase::shutdown && crashed && !phase_is_over()) return true;
    failed_ = phase_ == phase::running || phase_ == phase::lingering;
    on_end(crashed ? std::move(*crashed) : exit_failure(exited.status, log_.last_line()));
    return false;
}

void environment::begin_shutdown() {
    constexpr std::chrono::milliseconds grace = std::chrono::seconds(2);  // for external extensions
    phase_ = phase::shutdown;
    shuts_down_ = true;
    stopped_ = false;
    answered_ = true;
    // In small letters, as they come at AWS; the guide writes SPINDOWN, TIMEOUT and FAILURE.
    api_.tell_of_shutdown(timed_out_ ? "timeout"
                          : failed_  ? "failure"
                                     : "spindown",
                          realtime_ms() + grace.count());
    if (timed_out_ || failed_)
        sandbox_->hold_first();
    else
        sandbox_->wake();
    started_ = steady_clock::now();
    watch_.arm(*this, started_ + grace);
}

/// The guest is gone.
void environment::on_end(failure f) {
    if (phase_ == phase::init) {
        if (auto posted = api_.take_init_error())
            init_failure_ = failure{
                posted->error_type.empty() ? "Runtime.Unknown" : std::move(posted->error_type),
                std::move(posted->payload)};
        else
            init_failure_ = std::move(f);
    } else {
        collect_reply();
        if (phase_ == phase::lingering) log_failure(f);  // nobody else is told
        if (!answered_) failure_ = std::move(f);
    }
    finish(phase::dead);
}

/// @return true when an interrupt ended the phase.
bool environment::on_interrupt() {
    const unsigned flags = interrupts_.load(std::memory_order_acquire);
    if (!flags) return false;
    if (flags &
        (static_cast<unsigned>(reason::cancelled) | static_cast<unsigned>(reason::shutdown))) {
        stopped_ = true;
        if (phase_ == phase::init)
            init_failure_ = failure{"Runtime.Stopped", "the start was stopped"};
        else
            failure_ = failure{"Runtime.Stopped", "the invocation was stopped"};
    } else if (phase_ == phase::init) {
        init_failure_ =
            failure{"Sandbox.Timedout",
                    fmt::format("Init phase timed out after {:.2f} seconds",
                                static_cast<double>(options_.init_limit.count()) / 1000)};
        if (const auto name = api_.participants().missing(); !name.empty())
            init_failure_->message += fmt::format(
                ": extension {0} has not registered (under its file's name, {0})", name);
    } else {
        collect_reply();
        // A response that was posted in time stands, though the guest did not ask for the next
        // event.
        if (!answered_) failure_ = timeout_failure(spec_.timeout);
        timed_out_ = phase_ != phase::shutdown;
        if (phase_ == phase::lingering) log_failure(timeout_failure(spec_.timeout));
    }
    finish(phase::dead);
    return true;
}

void environment::finish(phase next) {
    const auto elapsed = steady_clock::now() - started_;
    if (phase_ == phase::init) {
        init_time_ += elapsed;
        report_init(elapsed);
    } else if (phase_ == phase::running) {
        duration_ = elapsed;
        if (stopped_) stored_log_.settle();  // no report follows
    }
    phase_ = next;
    watch_.disarm(*this);
    if (interrupts_.load(std::memory_order_relaxed)) settle_interrupts();
}

void environment::report_init(std::chrono::nanoseconds duration) {
    if (stopped_) return;
    const char* phase_name = hooks_ ? "restore" : "init";
    if (init_failure_) {
        const bool is_timeout = init_failure_->type == "Sandbox.Timedout";
        stored_log_.init_ended(duration, phase_name, is_timeout ? "timeout" : "error",
                               init_failure_->type);
    } else if (!hooks_) {
        stored_log_.init_ended(duration, phase_name, "success", {});
    }
}

/// The deadline struck just after the guest was done: not its fault.
void environment::settle_interrupts() {
    interrupts_.fetch_and(~static_cast<unsigned>(reason::timeout));
    if (sandbox_) sandbox_->clear_kick();
}

void environment::forget_interrupts() noexcept {
    if (interrupts_.exchange(0) && sandbox_) sandbox_->clear_kick();
}

response environment::take_response() {
    response r;
    r.executed_version = spec_.version;
    invocation_report& report = r.report;
    report.request_id = request_id_;
    report.start = start_;
    auto billed = duration_;
    if (start_ != start_kind::warm || reattached_) {
        report.reattached = std::exchange(reattached_, false);
        report.vm = vm_time_;
        report.boot = boot_time_;
    }
    if (start_ != start_kind::warm) {
        report.init = init_time_;
        report.snapshot = snapshot_time_;
        report.reason = std::exchange(why, start_reason::none);
        report.no_snapshot = std::exchange(no_snapshot, cold_reason::none);
        billed += boot_time_ + init_time_;
    }
    report.duration = duration_;
    report.system_calls = system_calls() - calls_at_begin_;
    report.billed = std::chrono::ceil<std::chrono::milliseconds>(billed);
    report.memory_size = spec_.memory;
    report.max_memory_used = peak_memory();

    pump();
    log_.begin_line();
    if (failure_) {
        r.function_error = "Unhandled";
        r.payload = error_document(*failure_, request_id_);
        log_failure(*failure_);
    } else {
        if (reply_.failed) r.function_error = "Unhandled";
        r.payload = std::move(reply_.payload);
        if (stream_ && !reply_.failed) stream_->write(std::exchange(r.payload, {}));
    }
    end_stream();
    log_.append("END RequestId: ");
    log_.append(request_id_);
    log_.append("\n");
    const std::string line = to_string(report);
    log_.append(line);
    log_.append("\n");
    const std::string_view type = failure_ ? failure_->type : std::string_view(reply_.error_type);
    stored_log_.end(report, line,
                    r.ok()                                   ? "success"
                    : failure_ && type == "Sandbox.Timedout" ? "timeout"
                                                             : "error",
                    r.ok() ? std::string_view() : type);
    r.log_tail = std::string(log_.tail());
    return r;
}

void environment::log_failure(const failure& f) {
    std::string text;
    if (f.type == "Sandbox.Timedout") {
        const auto now = std::chrono::system_clock::now();
        const auto ms =
            std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() %
            1000;
        text = fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z {} {}\n",
                           fmt::gmtime(std::chrono::system_clock::to_time_t(now)), ms, request_id_,
                           f.message);
    } else {
        text = fmt::format("RequestId: {} Error: {}\n{}\n", request_id_, f.message, f.type);
    }
    log_.append(text);
    stored_log_.failed(text);
}

void environment::interrupt(reason r) noexcept {
    interrupts_.fetch_or(static_cast<unsigned>(r), std::memory_order_release);
    const std::lock_guard lock(waker_mutex_);
    if (sandbox_) sandbox_->kick();
    if (waker_) waker_->wake();
}

/// A guest that runs sees for itself, at its next system call or slice.
void environment::network_ready() noexcept {
    const std::lock_guard lock(waker_mutex_);
    network_news_.store(true);
    if (waker_) waker_->wake();
}

void environment::room() noexcept {
    const std::lock_guard lock(waker_mutex_);
    if (waker_) waker_->wake();
}

void environment::kick() noexcept {
    const std::lock_guard lock(waker_mutex_);
    if (sandbox_) sandbox_->kick();
}

bool environment::set_waker(waker* w) noexcept {
    const std::lock_guard lock(waker_mutex_);
    if (interrupts_.load(std::memory_order_acquire) || network_news_.load()) return false;
    waker_ = w;
    // Whoever makes room after this look finds the waker.
    if (!waits_for_room_ || stream_->full()) return true;
    waker_ = nullptr;
    return false;
}

void environment::clear_waker() noexcept {
    const std::lock_guard lock(waker_mutex_);
    waker_ = nullptr;
}

std::size_t environment::write(guest::stream, std::span<const std::byte> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    log_.append(text);
    stored_log_.output(text);
    if (options_.observer)
        options_.observer->on_function_output(spec_.function_name, request_id_, text);
    return bytes.size();
}

bool environment::listens(std::uint32_t address, std::uint16_t port) {
    return address == runtime_api_address && port == runtime_api_port;
}

bool environment::serve(guest::kernel& kernel) {
    for (const auto c : kernel.take_service_activity()) {
        if (std::string* input = kernel.service_input(c)) {
            if (!input->empty()) api_.receive(c, *input);
            if (kernel.service_peer_closed(c)) {
                flush(kernel);
                api_.closed(c);
                kernel.service_close(c);
            }
        } else {
            api_.closed(c);
        }
    }
    if (api_.wants_credentials()) [[unlikely]]
        api_.give_credentials(
            credentials_document(credentials_of(options_.credentials, spec_.function_name),
                                 std::chrono::system_clock::now()));
    pump();
    const bool sent = flush(kernel);
    if (sent && api_.participants().is_open() && api_.participants().all_registered())
        kernel.start_first();
    return sent;
}

/// Hands on what was streamed. Once that is enough the guest comes back here from its next exit.
void environment::pump() {
    if (!stream_) return;
    std::string bytes = api_.take_streamed();
    if (bytes.empty()) return;
    if (!std::exchange(streaming_, true)) stream_->set_content_type(api_.streamed_type());
    stream_->write(std::move(bytes));
    if (sandbox_ && stream_->full()) sandbox_->kick();
}

void environment::end_stream() noexcept {
    if (!stream_) return;
    stream_->set_listener(nullptr);
    stream_.reset();
    waits_for_room_ = false;
}

/// What connections may hold that the guest has not read: the largest event several times over.
constexpr std::size_t max_unread_answers = 32u << 20;

bool environment::flush(guest::kernel& kernel) {
    if (!api_.has_output()) return false;
    for (auto& out : api_.take_output()) {
        kernel.service_send(out.to, out.bytes);
        if (out.close) kernel.service_close(out.to);
        std::size_t unread = 0;
        auto& connections = kernel.state().vfs.connections;
        for (const auto& [number, c] : connections) unread += c.to_guest.size();
        if (unread > max_unread_answers) {
            if (auto it = connections.find(out.to); it != connections.end())
                it->second.to_guest = {};
            kernel.service_close(out.to);
            api_.closed(out.to);
        }
    }
    return true;
}

}  // namespace hearth::worker
