#pragma once

#include <hearth/error.hpp>
#include <hearth/event_policy.hpp>
#include <hearth/function.hpp>
#include <hearth/function_credentials.hpp>
#include <hearth/logs.hpp>
#include <hearth/metrics.hpp>
#include <hearth/queue_endpoint.hpp>
#include <hearth/units.hpp>

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hearth {

class control_plane;
class observer;

struct runtime_options {
    /// Threads that run guests for asynchronous invocations. Zero: as many as the host has cores.
    std::size_t vcpu_threads = 0;
    /// Memory sizes of all live environments (metrics::guest_memory; of idle ones without a microVM
    /// what they wrote counts) and versions' snapshots, each once (metrics::snapshot_memory),
    /// together stay below this. A start that would go beyond gives up the environments idle
    /// longest, then snapshots of versions without an environment; those unused for 15 min go
    /// first. A snapshot that went, or for which there was no room, is read from disk again with a
    /// start if there is a data_directory; without, or without room for it beside the environment,
    /// that start is cold. When all that is not enough: errc::no_room, with what was needed and
    /// what was free. Not in it: free microVMs, and files that a guest in a microVM keeps in /tmp.
    /// Zero: no limit of ours.
    byte_count memory_budget{};
    /// Where functions are kept across restarts (SQLite and packages). Empty: in memory only.
    std::filesystem::path data_directory{};
    /// Where what functions write is kept, in files that are rotated. No directory: nowhere.
    log_options logs{};
    /// The directory a guest sees as its read-only root; of it only the parts programs need are shown
    /// (/usr, /lib*, /bin, /sbin and a few files of /etc).
    std::filesystem::path guest_root = "/";
    /// Interpreters of managed runtimes that are not among the guest root's programs: a prefix for each
    /// identifier, python3.12/bin/python3.12, nodejs22.x/bin/node. Empty: none. Wherever one is, it is
    /// asked for its version once, in a microVM, before a function is made of it.
    std::filesystem::path runtime_directory{};
    /// The real-time signal that interrupts a running vCPU, as an offset from SIGRTMIN. No handler is
    /// installed: the signal is blocked on threads while they run guests. The one global resource we use.
    int kick_signal_offset = 7;
    /// Executions at once over all functions (AWS: 1,000 per account and region).
    std::size_t account_concurrency = 1000;
    /// What an init may take (AWS: 10 s). One that takes longer fails its start, with Sandbox.Timedout.
    std::chrono::milliseconds init_timeout = std::chrono::seconds(10);
    /// Environments a function may start in 10 s because of invocations (AWS: 1,000). Zero: no limit.
    std::size_t scale_up_starts = 0;
    /// VM shells in use at most, unless more are needed to run. An idle environment beyond gives its shell
    /// back and keeps what it wrote, as one does that was idle for `detach_after`. A few blank ones
    /// stand ready beside them.
    std::size_t max_shells = 64;
    std::chrono::milliseconds detach_after = std::chrono::seconds(1);
    /// vCPU threads are shared by memory size (1,769 MB count as one CPU, as in Lambda). True: a function
    /// gets no more than that share even when a thread has nothing else to do. A blocking invoke runs on
    /// its caller's thread, beside all this: what it gets is what the host's scheduler gives that thread.
    bool cap_cpu = false;
    /// For testing functions: looks into each snapshot for random bytes that init drew, as
    /// snapshot::shared_randomness does, and tells the observer, as a warning. A restore hook may
    /// still renew them. Takes about 5 ms for each MiB, once per version.
    bool find_shared_randomness = false;
    /// How asynchronous invocations are retried.
    event_policy events{};
    /// The identity functions see in their ARNs.
    std::string region = "us-east-1";
    std::string account_id = "000000000000";
    /// Where mappings find queues of other regions.
    std::vector<queue_endpoint> queue_endpoints{};
    /// Told what happens; may be null.
    std::shared_ptr<hearth::observer> observer{};
    /// Where functions get their AWS credentials from; null: they get a placeholder
    /// (no_credentials_id). A function with a snapshot asks for them at
    /// AWS_CONTAINER_CREDENTIALS_FULL_URI, as with SnapStart, and again within 20 minutes, so they
    /// may change and are in no snapshot; one without has them in AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, as its environments began.
    credentials_source credentials{};
};

/// A Lambda-like runtime in this process. Movable. Several may live in one process. All members are
/// thread-safe. The destructor interrupts what still runs and joins its threads; `drain` first for a
/// clean end.
///
/// Asynchronous calls count as work on their handler's executor until the handler has been called: an
/// `io_context` may be destroyed as soon as its `run` has returned for want of work. One that was stopped
/// before that outlives the runtime.
class runtime {
  public:
    /// Opens /dev/kvm and finds out which flavour it is (milliseconds, once).
    /// @errors errc::kvm_missing, kvm_forbidden, kvm_unsupported, storage_failed, invalid_argument
    static result<runtime> create(runtime_options options = {});

    runtime(runtime&&) noexcept;
    runtime& operator=(runtime&&) noexcept;
    ~runtime();

    /// Creates the function, or replaces its code and configuration. Reads and checks the package;
    /// does not run it (the first invocation does, or `pool.min_idle`).
    /// @errors errc::invalid_argument, bad_package, package_too_large, missing_entry_point,
    ///         not_executable, bad_executable, missing_interpreter, io_failed
    [[nodiscard]] result<function> deploy(function_config config);

    template <class CompletionToken = boost::asio::deferred_t>
    auto async_deploy(function_config config, CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code, function)>(
            [this](auto handler, function_config c) { start_deploy(std::move(c), std::move(handler)); },
            token, std::move(config));
    }

    /// The deployed function of that name. @errors errc::not_found
    [[nodiscard]] result<function> find(const std::string& name) const;

    /// Admits nothing more, lets what runs finish, and returns when all is quiet.
    result<void> drain();

    template <class CompletionToken = boost::asio::deferred_t>
    auto async_drain(CompletionToken&& token = {}) {
        return boost::asio::async_initiate<CompletionToken, void(error_code)>(
            [this](auto handler) { start_drain(std::move(handler)); }, token);
    }

    [[nodiscard]] hearth::metrics metrics() const;

    /// What functions wrote; null where none is kept. Lives as long as the runtime.
    [[nodiscard]] const function_logs* logs() const noexcept;

    /// The AWS-shaped operations on functions, over the same registry. Lives as long as the runtime.
    [[nodiscard]] control_plane& control() noexcept;

    struct impl;

  private:
    explicit runtime(std::unique_ptr<impl>) noexcept;
    void start_deploy(function_config, boost::asio::any_completion_handler<void(error_code, function)>);
    void start_drain(boost::asio::any_completion_handler<void(error_code)>);
    std::unique_ptr<impl> impl_;
};

}  // namespace hearth
