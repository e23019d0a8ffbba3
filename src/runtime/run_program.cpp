#include "runtime/run_program.hpp"

#include "base/deadline_watch.hpp"
#include "base/try.hpp"
#include "base/unique_fd.hpp"
#include "net/guest_network.hpp"
#include "sandbox/sandbox.hpp"
#include "vmm/kvm.hpp"
#include "vmm/vm.hpp"

#include <hearth/sandbox.hpp>

#include <boost/asio/error.hpp>

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <utility>

namespace hearth {
namespace {

using guest::stream;
using std::chrono::steady_clock;

/// A reader of ours may be gone (`hearth run … | head`): then write gives EPIPE, and the signal
/// that would end the embedder's process is taken off this thread again.
class no_sigpipe {
  public:
    no_sigpipe() {
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &set, &old_);
    }
    no_sigpipe(const no_sigpipe&) = delete;
    no_sigpipe& operator=(const no_sigpipe&) = delete;
    ~no_sigpipe() {
        if (::sigismember(&old_, SIGPIPE)) return;
        sigset_t set;
        ::sigemptyset(&set);
        ::sigaddset(&set, SIGPIPE);
        const timespec now{};
        ::sigtimedwait(&set, nullptr, &now);
        ::pthread_sigmask(SIG_SETMASK, &old_, nullptr);
    }

  private:
    sigset_t old_{};
};

class host_streams final : public detail::sandbox_streams {
  public:
    explicit host_streams(const run_options& options) : options_(options) {}

    std::size_t write(stream which, std::span<const std::byte> bytes) override {
        const auto& callback =
            which == stream::error ? options_.on_error_output : options_.on_output;
        if (callback) {
            callback({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
            return bytes.size();
        }
        const int fd = descriptor(which);
        if (fd < 0) return bytes.size();
        std::size_t done = 0;
        while (done < bytes.size()) {
            const auto n = ::write(fd, bytes.data() + done, bytes.size() - done);
            if (n >= 0) {
                done += static_cast<std::size_t>(n);
            } else if (errno == EAGAIN) {
                pollfd p{fd, POLLOUT, 0};
                ::poll(&p, 1, -1);
            } else if (errno != EINTR) {
                return done;
            }
        }
        return done;
    }

    guest::host::input_result read(std::span<std::byte> into) override {
        using status = guest::host::input_status;
        if (options_.input < 0) return {status::end_of_file, 0};
        if (!input_ready()) return {status::would_block, 0};
        const auto n = ::read(options_.input, into.data(), into.size());
        if (n > 0) return {status::data, static_cast<std::size_t>(n)};
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) return {status::would_block, 0};
        return {status::end_of_file, 0};
    }
    bool input_ready() override {
        if (options_.input < 0) return true;
        pollfd p{options_.input, POLLIN, 0};
        return ::poll(&p, 1, 0) > 0;
    }
    guest::host::terminal terminal_of(stream which) override {
        const bool redirected = (which == stream::output && options_.on_output) ||
                                (which == stream::error && options_.on_error_output);
        const int fd = descriptor(which);
        winsize size{};
        if (redirected || fd < 0 || !::isatty(fd)) return {};
        ::ioctl(fd, TIOCGWINSZ, &size);
        return {true, size.ws_row, size.ws_col};
    }
    void trace(std::string_view line) override {
        if (options_.trace) options_.trace(line);
    }

  private:
    [[nodiscard]] int descriptor(stream which) const {
        switch (which) {
            case stream::input:
                return options_.input;
            case stream::output:
                return options_.output;
            case stream::error:
                return options_.error_output;
        }
        return -1;
    }
    const run_options& options_;
};

/// No service listens; only the guest's timers, its connections' news and the owner's stop need to
/// get through.
class interrupts final : public detail::sandbox_services,
                         public net::listener,
                         private deadline_watch::entry {
  public:
    interrupts() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
    ~interrupts() override { watch_.disarm(*this); }

    /// Null: afterwards the sandbox is not touched any more.
    void attach(detail::sandbox* s) {
        sandbox_.store(s);
        if (!s) watch_.disarm(*this);
    }
    void stop() noexcept {
        stopped_ = true;
        poke();
    }
    [[nodiscard]] bool stopped() const noexcept { return stopped_; }

    /// Until the deadline, input (when wanted), or a poke.
    void wait(const detail::run_parked& parked, int input) {
        pollfd fds[2] = {{event_.get(), POLLIN, 0}, {parked.input ? input : -1, POLLIN, 0}};
        timespec timeout{};
        if (parked.deadline) {
            const auto left =
                std::max(*parked.deadline - steady_clock::now(), std::chrono::nanoseconds(0));
            timeout.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000);
            timeout.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
        }
        ::ppoll(fds, 2, parked.deadline ? &timeout : nullptr, nullptr);
        std::uint64_t drained = 0;
        if (fds[0].revents) (void)!::read(event_.get(), &drained, sizeof drained);
    }

    void network_ready() noexcept override { wake(); }

  private:
    bool listens(std::uint32_t, std::uint16_t) override { return false; }
    bool serve(guest::kernel&) override { return false; }
    void set_timer(std::optional<detail::monotonic_time> at) override {
        watch_.disarm(*this);
        if (at) watch_.arm(*this, *at);
    }
    void expire() noexcept override { poke(); }
    void poke() noexcept {
        if (auto* s = sandbox_.load()) s->kick();
        wake();
    }
    void wake() noexcept {
        const std::uint64_t one = 1;
        (void)!::write(event_.get(), &one, sizeof one);
    }

    unique_fd event_;
    std::atomic<detail::sandbox*> sandbox_{nullptr};
    std::atomic<bool> stopped_{false};
    deadline_watch watch_;
};

}  // namespace

result<run_status> run_program(const run_options& options) {
    HEARTH_TRY(const auto policy, net::policy::parse(options.network));
    HEARTH_TRY(auto program, detail::program_of_root({options.arguments, options.environment,
                                                      options.working_directory, options.root,
                                                      options.tmp_size, !policy.none()}));
    return detail::run_guest(std::move(program), options);
}

result<run_status> detail::run_guest(guest_program program, const run_options& options) {
    const int signal = SIGRTMIN + options.kick_signal_offset;
    if (options.kick_signal_offset < 0 || signal > SIGRTMAX)
        return error(errc::invalid_argument, "kick_signal_offset is beyond SIGRTMAX");
    HEARTH_TRY(auto policy, net::policy::parse(options.network));
    const bool has_network = !policy.none();
    HEARTH_TRY(const auto kvm, vmm::kvm::open());

    run_status status;
    auto start = steady_clock::now();
    const auto lap = [&start] {
        const auto now = steady_clock::now();
        return now - std::exchange(start, now);
    };
    const bool tracing = static_cast<bool>(options.trace);
    HEARTH_TRY(auto shell, vmm::vm::create(kvm, detail::sandbox::shell_options(options.memory,
                                                                               signal, tracing)));
    status.vm = lap();

    host_streams streams(options);
    interrupts services;
    net::engine engine;
    std::optional<net::guest_network> network;
    if (has_network)
        network.emplace(engine, std::make_shared<net::rules>(std::move(policy)), services);
    detail::sandbox sandbox(std::move(shell), {.memory = options.memory,
                                               .filesystem = std::move(program.files),
                                               .streams = &streams,
                                               .services = &services,
                                               .tracing = tracing,
                                               .network = network ? &*network : nullptr});
    HEARTH_CHECK(sandbox.load(program.what));
    status.load = lap();

    const no_sigpipe quiet;
    services.attach(&sandbox);
    const std::stop_callback on_stop(options.stop, [&services] { services.stop(); });
    const vmm::run_scope scope(signal);
    const auto finish = [&] {
        status.peak_memory = sandbox.peak_memory();
        status.run = lap();
        services.attach(nullptr);
        return status;
    };
    for (;;) {
        if (services.stopped()) {
            services.attach(nullptr);
            return error(error_code(boost::asio::error::operation_aborted));
        }
        auto outcome = sandbox.run(scope);
        if (const auto* parked = std::get_if<detail::run_parked>(&outcome)) {
            services.wait(*parked, options.input);
        } else if (const auto* exited = std::get_if<detail::run_exited>(&outcome)) {
            status.exit_code = exited->status.code;
            status.signal = exited->status.signal;
            return finish();
        } else if (std::holds_alternative<detail::run_out_of_memory>(outcome)) {
            status.out_of_memory = true;
            return finish();
        } else if (const auto* poisoned = std::get_if<detail::run_poisoned>(&outcome)) {
            services.attach(nullptr);
            return error(errc::sandbox_poisoned, poisoned->reason);
        }
    }
}

}  // namespace hearth
