#pragma once

/// Executes deployed versions: finds a warm environment or starts one, runs an invocation end to
/// end, keeps the environment for the next. The control plane decides *what* is deployed; this room
/// runs it. All members are thread-safe.

#include "image/managed_runtime.hpp"
#include "image/package_image.hpp"
#include "sched/placement.hpp"

#include <hearth/error.hpp>
#include <hearth/function.hpp>
#include <hearth/function_credentials.hpp>
#include <hearth/metrics.hpp>
#include <hearth/observer.hpp>
#include <hearth/recent_invocation.hpp>
#include <hearth/response.hpp>

#include <boost/asio/any_completion_handler.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hearth::logs {
class store;
}
namespace hearth::vmm {
class ioctl_filter;
}

namespace hearth::worker {

/// An immutable deployed version: everything needed to run it.
struct version_spec {
    std::string function_name;
    std::string version = "$LATEST";
    std::string function_arn;  ///< unqualified
    std::shared_ptr<const image::package_image> code;
    std::shared_ptr<const image::package_image> layers;     ///< merged; null: none
    std::shared_ptr<const image::managed_runtime> runtime;  ///< null: the code has its bootstrap
    std::string handler;
    byte_count memory;
    std::chrono::milliseconds timeout{};
    byte_count ephemeral_storage;
    pool_policy pool;
    hearth::isolation isolation = isolation::environment;
    bool snapshot = true;
    std::string network = "none";  ///< as net::policy::parse takes it
    std::string log_group;  ///< empty: /aws/lambda/NAME
    bool json_logs = false;                               ///< LogFormat JSON
    std::string application_log_level, system_log_level;  ///< with it; empty: INFO
    std::map<std::string, std::string> environment;
};

struct invocation {
    std::string request_id;  ///< never empty
    std::string payload;
    std::string client_context;
    std::string trace_id;
    std::string invoked_arn;
    std::string tenant_id;
    std::shared_ptr<response_writer> stream;  ///< null: the response is the result's
};

struct worker_options {
    std::size_t vcpu_threads = 0;
    byte_count memory_budget;
    std::filesystem::path guest_root = "/";
    std::filesystem::path snapshot_directory;  ///< empty: snapshots live in memory only
    int kick_signal_offset = 7;
    std::size_t account_concurrency = 1000;
    std::size_t scale_up_starts = 0;
    std::size_t max_shells = 64;
    bool cap_cpu = false;
    bool find_shared_randomness = false;
    std::chrono::milliseconds detach_after{1000};
    /// Lambda's limit for the init phase.
    std::chrono::milliseconds init_limit = std::chrono::seconds(10);
    std::string region;
    std::shared_ptr<hearth::observer> observer;
    std::shared_ptr<logs::store> logs;  ///< null: none are kept
    credentials_source credentials;     ///< null: functions get a placeholder

    // A seam for tests.
    vmm::ioctl_filter* ioctl_filter = nullptr;  ///< outlives the worker and its versions
};

class worker;

/// A version that can be invoked, with its idle environments. Shared; destroying the last handle
/// terminates them. Calls under way keep it alive.
class deployed_version {
  public:
    virtual ~deployed_version() = default;

    [[nodiscard]] virtual const version_spec& spec() const noexcept = 0;

    /// Runs init once and keeps the environment idle (pool.min_idle environments, at least one).
    /// Blocks.
    /// @errors errc::init_failed (the detail is Lambda's StateReason), no_room, shutting_down
    virtual result<void> initialize() = 0;

    /// On the caller's own thread. @errors errc::throttled, no_room, payload_too_large,
    /// init_failed, shutting_down
    virtual result<response> invoke(invocation input) = 0;

    /// On a vCPU thread. The handler is called on its associated executor, never inside this call.
    /// Its cancellation slot stops the guest: operation_aborted. With an error, `response::payload`
    /// is the error's sentence (what `invoke` gives as error::detail(), or empty) and its log_tail
    /// what the guest wrote in a failed init.
    virtual void async_invoke(
        invocation input,
        boost::asio::any_completion_handler<void(error_code, response)> handler) = 0;

    /// What the guest wrote during the last init that failed; its last 4 KiB.
    [[nodiscard]] virtual std::string init_log() const { return {}; }

    /// From now on; `spec` says what it was at first. Environments are started and given up in the
    /// background. @errors errc::invalid_argument: no room for it in the limits, tenants isolated
    virtual result<void> set_provisioned_concurrency(std::size_t provisioned) = 0;
    /// pool.min_idle and pool.max_concurrency from now on.
    virtual result<void> set_scaling(std::size_t min_idle, std::size_t max_concurrency) = 0;
    /// Environments that have initialised.
    [[nodiscard]] virtual std::size_t ready_environments() const = 0;

    /// Admits nothing more; running invocations finish; idle environments are terminated.
    virtual void retire() = 0;
};

class worker {
  public:
    static result<std::unique_ptr<worker>> create(worker_options options);
    virtual ~worker() = default;

    virtual std::shared_ptr<deployed_version> deploy(version_spec spec) = 0;

    /// This host's room for a version's environments, for placement; what idle ones hold counts as
    /// free, as they are given up for a start.
    [[nodiscard]] virtual sched::host_view view(const version_spec& spec) const = 0;

    /// Of a function with versions here; of others nothing is known. What is deployed later says it
    /// in its spec. @errors errc::invalid_argument: as pool_fsm::set_reserved_concurrency
    virtual result<void> set_reserved_concurrency(const std::string& function_arn,
                                                  std::optional<std::size_t> reserved) = 0;

    /// Stored snapshots of other functions are removed.
    virtual void keep_snapshots(const std::vector<std::string>& functions) { (void)functions; }
    virtual void remove_snapshots(const std::string& function) { (void)function; }

    /// Admits nothing more and waits until nothing runs.
    virtual void drain() = 0;
    /// Interrupts what runs, waits for it, and joins the threads. Every later call is
    /// errc::shutting_down. The destructor does it too.
    virtual void shut_down() {}
    virtual hearth::metrics metrics() const = 0;
    /// As control_plane::recent_invocations.
    virtual std::vector<recent_invocation> recent_invocations(std::uint64_t after) const = 0;

    worker() = default;
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
};

}  // namespace hearth::worker
