#include "base/complete.hpp"
#include "base/gate.hpp"
#include "base/try.hpp"
#include "logs/log_store.hpp"
#include "runtime/interpreter_version.hpp"
#include "worker/worker.hpp"

#include <hearth/control.hpp>
#include <hearth/function.hpp>
#include <hearth/runtime.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <utility>

namespace hearth {

namespace asio = boost::asio;

/// What function handles hold instead of their runtime: a call goes in, the runtime's destructor
/// shuts it when nobody is inside, and who comes later finds it shut.
struct door {
    hearth::gate gate;
    control_plane* control = nullptr;  ///< to be used inside the gate
};

struct function::impl {
    std::shared_ptr<door> way;
    std::string name;
};

struct runtime::impl {
    std::unique_ptr<worker::worker> worker;
    std::unique_ptr<control_plane> control;
    std::shared_ptr<door> way = std::make_shared<door>();
    asio::thread_pool helpers{2};  ///< async_deploy and async_drain: they wait

    function handle(std::string name) const {
        return function(std::make_shared<function::impl>(function::impl{way, std::move(name)}));
    }
    result<function> deploy(const function_config& config) {
        HEARTH_TRY(auto deployed, control->deploy(config));
        return handle(std::move(deployed.function_name));
    }
    void drain() {
        control->drain();
        worker->drain();
    }

    ~impl() {
        if (worker) worker->shut_down();  // ends the calls inside
        way->gate.close();
        helpers.join();
        control.reset();  // its threads use the worker
    }
};

const std::string& function::name() const noexcept {
    static const std::string none;
    return impl_ ? impl_->name : none;
}

result<response> function::invoke(std::string payload, invoke_options options) {
    if (!impl_) return error(errc::not_found);
    const gate::pass inside(impl_->way->gate);
    if (!inside) return error(errc::shutting_down);
    return impl_->way->control->invoke(impl_->name, std::move(payload), std::move(options));
}

void function::start_invoke(std::string payload,
                            invoke_options options,
                            asio::any_completion_handler<void(error_code, response)> handler) {
    const auto refuse = [&](errc code) {
        // Never inside the initiating call.
        const auto executor = tracked_executor(handler);
        asio::post(asio::system_executor(),
                   [executor, code, handler = std::move(handler)]() mutable {
                       complete(executor, std::move(handler), make_error_code(code), response{});
                   });
    };
    if (!impl_) return refuse(errc::not_found);
    const gate::pass inside(impl_->way->gate);
    if (!inside) return refuse(errc::shutting_down);
    const auto executor = asio::get_associated_executor(handler);
    const auto slot = asio::get_associated_cancellation_slot(handler);
    impl_->way->control->async_invoke(
        impl_->name, std::move(payload), std::move(options), {},
        asio::bind_cancellation_slot(
            slot, asio::bind_executor(executor,
                                      [handler = std::move(handler)](error e, response r) mutable {
                                          std::move(handler)(e.code(), std::move(r));
                                      })));
}

result<std::string> function::enqueue(std::string payload, invoke_options options) {
    if (!impl_) return error(errc::not_found);
    const gate::pass inside(impl_->way->gate);
    if (!inside) return error(errc::shutting_down);
    return impl_->way->control->enqueue(impl_->name, std::move(payload), std::move(options));
}

void function::start_enqueue(std::string payload,
                             invoke_options options,
                             asio::any_completion_handler<void(error_code, std::string)> handler) {
    const auto refuse = [&](errc code) {
        const auto executor = tracked_executor(handler);
        asio::post(asio::system_executor(), [executor, code, handler = std::move(handler)]() mutable {
            complete(executor, std::move(handler), make_error_code(code), std::string());
        });
    };
    if (!impl_) return refuse(errc::not_found);
    const gate::pass inside(impl_->way->gate);
    if (!inside) return refuse(errc::shutting_down);
    const auto executor = asio::get_associated_executor(handler);
    impl_->way->control->async_enqueue(
        impl_->name, std::move(payload), std::move(options), {},
        asio::bind_executor(executor,
                            [handler = std::move(handler)](error e, std::string id) mutable {
                                std::move(handler)(e.code(), std::move(id));
                            }));
}

result<runtime> runtime::create(runtime_options options) {
    auto i = std::make_unique<impl>();

    worker::worker_options w;
    w.vcpu_threads = options.vcpu_threads;
    w.memory_budget = options.memory_budget;
    w.guest_root = options.guest_root;
    if (!options.data_directory.empty())
        w.snapshot_directory = options.data_directory / "snapshots";
    w.kick_signal_offset = options.kick_signal_offset;
    w.account_concurrency = options.account_concurrency;
    w.init_limit = options.init_timeout;
    w.scale_up_starts = options.scale_up_starts;
    w.max_shells = options.max_shells;
    w.cap_cpu = options.cap_cpu;
    w.find_shared_randomness = options.find_shared_randomness;
    w.detach_after = options.detach_after;
    w.region = options.region;
    w.observer = options.observer;
    w.credentials = options.credentials;
    if (!options.logs.directory.empty()) {
        HEARTH_TRY(w.logs, logs::store::open(options.logs, options.observer));
    }
    const auto logs = w.logs;
    HEARTH_TRY(i->worker, worker::worker::create(std::move(w)));

    control_options c;
    c.data_directory = options.data_directory;
    c.guest_root = options.guest_root;
    c.runtime_directory = options.runtime_directory;
    c.interpreter_version = ask_in_microvm(options.guest_root, options.kick_signal_offset);
    c.region = options.region;
    c.account_id = options.account_id;
    c.queue_endpoints = options.queue_endpoints;
    c.account_concurrency = options.account_concurrency;
    c.events = options.events;
    c.observer = options.observer;
    c.logs = logs;
    HEARTH_TRY(i->control, control_plane::create(std::move(c), *i->worker));
    i->way->control = i->control.get();
    return runtime(std::move(i));
}

runtime::runtime(std::unique_ptr<impl> i) noexcept : impl_(std::move(i)) {}
runtime::runtime(runtime&&) noexcept = default;
runtime& runtime::operator=(runtime&&) noexcept = default;
runtime::~runtime() = default;

result<function> runtime::deploy(function_config config) { return impl_->deploy(config); }

result<function> runtime::find(const std::string& name) const {
    HEARTH_TRY(auto found, impl_->control->get_function(name));
    return impl_->handle(std::move(found.configuration.function_name));
}

result<void> runtime::drain() {
    impl_->drain();
    return {};
}

metrics runtime::metrics() const { return impl_->control->metrics(); }

const function_logs* runtime::logs() const noexcept { return impl_->control->logs(); }

control_plane& runtime::control() noexcept { return *impl_->control; }

void runtime::start_deploy(function_config config,
                           asio::any_completion_handler<void(error_code, function)> handler) {
    auto executor = tracked_executor(handler);
    asio::post(impl_->helpers, [i = impl_.get(), config = std::move(config), executor,
                                handler = std::move(handler)]() mutable {
        auto deployed = i->deploy(config);
        if (deployed)
            complete(std::move(executor), std::move(handler), error_code(), std::move(*deployed));
        else
            complete(std::move(executor), std::move(handler), deployed.error().code(), function());
    });
}

void runtime::start_drain(asio::any_completion_handler<void(error_code)> handler) {
    auto executor = tracked_executor(handler);
    asio::post(impl_->helpers, [i = impl_.get(), executor, handler = std::move(handler)]() mutable {
        i->drain();
        complete(std::move(executor), std::move(handler), error_code());
    });
}

}  // namespace hearth
