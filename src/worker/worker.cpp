#include "worker/worker.hpp"

#include "base/complete.hpp"
#include "base/try.hpp"
#include "worker/async_queue.hpp"
#include "worker/core.hpp"
#include "worker/execution.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <thread>
#include <utility>

namespace hearth::worker {
namespace {

namespace asio = boost::asio;

/// Lambda's bound on a synchronous event.
constexpr std::size_t max_event = 6u << 20;

using completion = asio::any_completion_handler<void(error_code, response)>;

/// The threads stop with the worker; versions that outlive it find nothing here.
struct shared {
    shared(worker_options options,
           vmm::kvm kvm,
           std::unique_ptr<snapshot_store> store,
           std::size_t threads);
    hearth::worker::core core;
    async_queue queue;
};

/// The init of an environment that was started ahead of need.
class init_job final : public job {
  public:
    init_job(core& c, std::unique_ptr<environment> e, std::shared_ptr<const version_data> data)
        : job(e->memory()),
          execution_(c, {}, std::move(data), std::nullopt, std::move(e)),
          core_(c) {}
    std::optional<environment::pause> advance(const vmm::run_scope& scope) override {
        if (auto sleeping = execution_.advance(scope)) return sleeping;
        const auto r = execution_.take_result();
        if (r.has_error() && !(r.error() == errc::shutting_down) && core_.options().observer)
            core_.options().observer->on_log(
                {log_record::severity::warning, "worker",
                 "an environment could not be started ahead: " + r.error().message()});
        return std::nullopt;
    }
    bool set_waker(waker* w) noexcept override { return execution_.set_waker(w); }
    void preempt() noexcept override { execution_.preempt(); }

  private:
    execution execution_;
    core& core_;
};

shared::shared(worker_options options,
               vmm::kvm kvm,
               std::unique_ptr<snapshot_store> store,
               std::size_t threads)
    : core(std::move(options), std::move(kvm), std::move(store)),
      queue(threads, core.kick_signal(), core.options().cap_cpu) {
    core.set_init_runner(
        [this](std::unique_ptr<environment> e, std::shared_ptr<const version_data> data) {
            (void)queue.submit(std::make_shared<init_job>(core, std::move(e), std::move(data)));
        });
}

class version final : public deployed_version, public std::enable_shared_from_this<version> {
  public:
    version(std::shared_ptr<shared> s, version_spec spec)
        : shared_(std::move(s)),
          data_(make_version_data(std::move(spec), shared_->core.options())),
          spec_(data_->spec),
          added_(shared_->core.add(data_)) {
        if (added_.has_value()) id_ = *added_;
    }
    ~version() override { shared_->core.remove(id_); }

    [[nodiscard]] const version_spec& spec() const noexcept override { return spec_; }
    result<void> initialize() override;
    result<response> invoke(invocation input) override;
    void async_invoke(invocation input, completion handler) override;
    result<void> set_provisioned_concurrency(std::size_t provisioned) override {
        if (added_.has_error()) return added_.error();
        return shared_->core.set_provisioned_concurrency(id_, provisioned);
    }
    result<void> set_scaling(std::size_t min_idle, std::size_t max_concurrency) override {
        if (added_.has_error()) return added_.error();
        return shared_->core.set_scaling(id_, min_idle, max_concurrency);
    }
    [[nodiscard]] std::size_t ready_environments() const override {
        return shared_->core.ready_environments(id_);
    }
    void retire() override { shared_->core.retire(id_); }
    [[nodiscard]] std::string init_log() const override {
        const std::lock_guard lock(log_mutex_);
        return init_log_;
    }

    /// Of an execution that ended in init_failed: its log is kept, and shown to who invoked.
    error explain(error e, const execution& x);

  private:
    friend class invoke_job;
    /// Admits it. @return what to run it with
    result<std::shared_ptr<const version_data>> accept(const invocation& input);
    result<std::shared_ptr<const version_data>> data();

    std::shared_ptr<shared> shared_;
    mutable std::mutex data_mutex_;  // before the core's; guards data_
    std::shared_ptr<const version_data> data_;
    const std::shared_ptr<const version_data> first_data_ = data_;  ///< spec_ is its
    const version_spec& spec_;
    const result<pool::version_id> added_;
    pool::version_id id_;
    mutable std::mutex log_mutex_;  // a leaf; guards init_log_
    std::string init_log_;
};

/// The files a guest sees may not have been there when the version was deployed, for want of
/// descriptors.
result<std::shared_ptr<const version_data>> version::data() {
    const std::lock_guard lock(data_mutex_);
    if (data_->files.has_value()) return data_;
    auto again = make_version_data(spec_, shared_->core.options());
    if (again->files.has_error()) return again->files.error();
    shared_->core.replace(id_, again);
    return data_ = std::move(again);
}

result<std::shared_ptr<const version_data>> version::accept(const invocation& input) {
    if (added_.has_error()) return added_.error();
    HEARTH_TRY(auto with, data());
    if (input.payload.size() > max_event)
        return error(errc::payload_too_large, fmt::format("the event has {} bytes, {} are allowed",
                                                          input.payload.size(), max_event));
    if (spec_.isolation == isolation::tenant && input.tenant_id.empty())
        return error(errc::invalid_argument,
                     fmt::format("{} isolates its tenants: the invocation must say whose it is "
                                 "(X-Amz-Tenant-Id)",
                                 spec_.function_name));
    HEARTH_CHECK(shared_->core.admit(id_));
    return with;
}

error version::explain(error e, const execution& x) {
    if (!(e == errc::init_failed)) return e;
    const std::lock_guard lock(log_mutex_);
    init_log_ = x.init_log();
    return e;
}

result<response> version::invoke(invocation input) {
    HEARTH_TRY(auto with, accept(input));
    execution x(shared_->core, id_, std::move(with), std::move(input));
    {
        const vmm::run_scope scope(shared_->core.kick_signal());
        run_blocking(x, scope);
    }
    auto r = x.take_result();
    if (r.has_error()) return explain(r.error(), x);
    return r;
}

result<void> version::initialize() {
    if (added_.has_error()) return added_.error();
    if (spec_.code && spec_.code->in_process()) return {};
    HEARTH_TRY(auto with, data());
    if (!shared_->core.has_snapshot(id_)) {
        execution x(shared_->core, id_, std::move(with), std::nullopt);
        {
            const vmm::run_scope scope(shared_->core.kick_signal());
            run_blocking(x, scope);
        }
        auto r = x.take_result();
        if (r.has_error()) return explain(r.error(), x);
    }
    return shared_->core.wait_for_ahead(id_);
}

/// An asynchronous invocation. Holds its version, and work on the handler's executor, until it has
/// completed.
class invoke_job final : public job {
  public:
    /// With an error: it was refused, and only the handler is left to be told.
    invoke_job(std::shared_ptr<version> v,
               result<std::shared_ptr<const version_data>> admitted,
               invocation input,
               completion handler)
        : job(v->spec_.memory),
          version_(std::move(v)),
          handler_(std::move(handler)),
          executor_(tracked_executor(handler_)) {
        if (admitted.has_error())
            refused_ = admitted.error();
        else
            execution_.emplace(version_->shared_->core, version_->id_, std::move(*admitted),
                               std::move(input));
    }

    void watch_cancellation(const std::shared_ptr<invoke_job>& self) {
        auto slot = asio::get_associated_cancellation_slot(handler_);
        if (!slot.is_connected()) return;
        slot.assign([weak = std::weak_ptr<invoke_job>(self)](asio::cancellation_type type) {
            if (type == asio::cancellation_type::none) return;
            const auto j = weak.lock();
            if (j && j->execution_) j->execution_->cancel();
        });
    }

    std::optional<environment::pause> advance(const vmm::run_scope& scope) override {
        if (!execution_) {
            response told;
            told.payload = refused_.detail();
            complete(refused_.code(), std::move(told));
            return std::nullopt;
        }
        if (auto sleeping = execution_->advance(scope)) return sleeping;
        auto r = execution_->take_result();
        if (r.has_error()) {
            const error e = version_->explain(r.error(), *execution_);
            // An error_code has no room for the sentence, nor for what the guest wrote: the
            // response does.
            response told;
            told.payload = e.detail();
            told.log_tail = execution_->init_log();
            complete(e.code(), std::move(told));
        } else {
            complete({}, std::move(*r));
        }
        return std::nullopt;
    }
    bool set_waker(waker* w) noexcept override { return execution_->set_waker(w); }
    void preempt() noexcept override {
        if (execution_) execution_->preempt();
    }
    /// The worker's threads are gone: one of Asio's own tells the handler.
    void refuse() {
        asio::post(asio::system_executor(), [handler = std::move(handler_),
                                             executor = std::move(executor_)]() mutable {
            hearth::complete(std::move(executor), std::move(handler),
                             error_code(make_error_code(errc::shutting_down)), response{});
        });
    }

  private:
    void complete(error_code ec, response r) {
        // The cancellation slot is the handler's executor's to touch.
        hearth::complete(std::move(executor_), std::move(handler_), ec, std::move(r));
    }

    std::shared_ptr<version> version_;
    completion handler_;
    asio::any_completion_executor executor_;
    std::optional<execution> execution_;
    error refused_;
};

void version::async_invoke(invocation input, completion handler) {
    auto admitted = accept(input);
    auto j = std::make_shared<invoke_job>(shared_from_this(), std::move(admitted), std::move(input),
                                          std::move(handler));
    j->watch_cancellation(j);
    if (!shared_->queue.submit(j)) j->refuse();
}

class worker_impl final : public worker {
  public:
    explicit worker_impl(std::shared_ptr<shared> s) noexcept : shared_(std::move(s)) {}
    ~worker_impl() override { worker_impl::shut_down(); }
    void shut_down() override {
        shared_->core.shut_down();
        shared_->queue.stop();
    }

    std::shared_ptr<deployed_version> deploy(version_spec spec) override {
        return std::make_shared<version>(shared_, std::move(spec));
    }
    [[nodiscard]] sched::host_view view(const version_spec& spec) const override {
        return shared_->core.view(spec);
    }
    result<void> set_reserved_concurrency(const std::string& function_arn,
                                          std::optional<std::size_t> reserved) override {
        return shared_->core.set_reserved_concurrency(function_arn, reserved);
    }
    void keep_snapshots(const std::vector<std::string>& functions) override {
        shared_->core.snapshots().keep_only(functions);
    }
    void remove_snapshots(const std::string& function) override {
        shared_->core.snapshots().remove(function);
    }
    void drain() override {
        shared_->core.close();
        shared_->core.wait_quiet();
    }
    hearth::metrics metrics() const override { return shared_->core.metrics(); }
    std::vector<recent_invocation> recent_invocations(std::uint64_t after) const override {
        return shared_->core.recent().after(after);
    }

  private:
    std::shared_ptr<shared> shared_;
};

}  // namespace

result<std::unique_ptr<worker>> worker::create(worker_options options) {
    if (options.kick_signal_offset < 0 || SIGRTMIN + options.kick_signal_offset > SIGRTMAX)
        return error(errc::invalid_argument, fmt::format("kick_signal_offset {} is beyond SIGRTMAX",
                                                         options.kick_signal_offset));
    HEARTH_TRY(auto kvm, vmm::kvm::open("/dev/kvm", options.ioctl_filter));
    std::size_t threads = options.vcpu_threads;
    if (!threads) threads = std::max(1u, std::thread::hardware_concurrency());
    HEARTH_TRY(auto store, snapshot_store::open(options));
    auto s =
        std::make_shared<shared>(std::move(options), std::move(kvm), std::move(store), threads);
    return std::unique_ptr<worker>(std::make_unique<worker_impl>(std::move(s)));
}

}  // namespace hearth::worker
