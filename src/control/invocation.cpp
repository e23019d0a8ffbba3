/// From a call to the version that runs it.

#include "base/complete.hpp"
#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/lineage.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <fmt/format.h>

#include <utility>

namespace hearth {

namespace asio = boost::asio;
using control::entry_ptr;

namespace {

/// Calls an invocation's handler with an error: on its executor, and never inside the call that
/// brought it.
void complete_with(asio::thread_pool& pool, control_plane::invoke_handler handler, error e) {
    auto executor = tracked_executor(handler);
    asio::post(pool, [executor = std::move(executor), handler = std::move(handler),
                      e = std::move(e)]() mutable {
        complete(std::move(executor), std::move(handler), std::move(e), response{});
    });
}

/// Hands over to the worker, whose errors carry their sentence in the response (worker.hpp).
void run(std::shared_ptr<worker::deployed_version> version,
         worker::invocation input,
         control_plane::invoke_handler handler) {
    const auto executor = asio::get_associated_executor(handler);
    const auto slot = asio::get_associated_cancellation_slot(handler);
    worker::deployed_version& target = *version;
    target.async_invoke(
        std::move(input),
        asio::bind_cancellation_slot(
            slot, asio::bind_executor(executor,
                                      [version = std::move(version), handler = std::move(handler)](
                                          error_code ec, response r) mutable {
                                          version.reset();
                                          error e;
                                          if (ec) e = error(ec, std::exchange(r.payload, {}));
                                          std::move(handler)(std::move(e), std::move(r));
                                      })));
}

/// Which version an invocation of the alias goes to.
const std::string& routed(const alias_configuration& alias, sched::random_source& random) {
    if (alias.additional_version_weights.empty()) return alias.function_version;
    double at = random.unit();
    for (const auto& [version, weight] : alias.additional_version_weights) {
        if (at < weight) return version;
        at -= weight;
    }
    return alias.function_version;
}

}  // namespace

result<control_plane::impl::admission> control_plane::impl::admit(
    std::string_view name, std::string_view qualifier) const {
    if (draining_) return error(errc::shutting_down);
    auto guard = registry_.lock();
    // Most callers use the plain name; what is a key needs no parsing.
    entry_ptr e = qualifier.empty() ? registry_.find_locked(name) : nullptr;
    control::function_name parsed;
    const bool plain = e != nullptr;
    if (!plain) {
        guard.unlock();
        HEARTH_TRY(parsed, parse(name, qualifier));
        HEARTH_TRY(e, find(parsed));
        guard.lock();
    }
    std::string_view version = parsed.qualifier;
    if (const auto alias = e->attributes.aliases.find(version);
        alias != e->attributes.aliases.end())
        version = routed(alias->second, routing_);
    auto v = control::find_version(*e, version);
    if (!v) return not_found(parsed);
    const function_configuration& current = v->stored.current;
    if (current.state != function_state::active)
        return error(
            errc::not_ready,
            fmt::format(
                "The operation cannot be performed at this time. The function is currently in "
                "the following state: {}{}{}",
                to_string(current.state), current.state == function_state::failed ? ": " : "",
                current.state == function_state::failed ? current.state_reason : ""));
    auto serving = v->serving;
    std::string arn = plain ? current.function_arn : arn_of(parsed.name, parsed.qualifier);
    const bool allows_loops = e->allows_loops();
    return admission{std::move(e), std::move(v), std::move(serving), std::move(arn), allows_loops};
}

worker::invocation control_plane::impl::make_invocation(std::string payload,
                                                        invoke_options options,
                                                        std::string arn) const {
    return {.request_id =
                options.request_id.empty() ? request_ids_.next() : std::move(options.request_id),
            .payload = std::move(payload),
            .client_context = std::move(options.client_context),
            .trace_id = std::move(options.trace_id),
            .invoked_arn = std::move(arn),
            .tenant_id = std::move(options.tenant_id),
            .stream = std::move(options.stream)};
}

result<void> control_plane::impl::follow(const admission& admitted, std::string& trace_id) const {
    if (trace_id.empty()) return {};
    const std::string& name = admitted.function->name();
    const std::string function_arn = arn_of(name);
    if (!admitted.allows_loops && control::visits(trace_id, function_arn) >= control::max_visits) {
        count_stopped(admitted.function);
        return error(errc::recursive_invocation,
                     fmt::format("The function {} was invoked {} times in this chain of requests "
                                 "and is not invoked again, as it goes round in a loop. Where that "
                                 "is meant, PutFunctionRecursionConfig with RecursiveLoop Allow "
                                 "lets it go on",
                                 name, control::max_visits));
    }
    trace_id = control::with_visit(trace_id, function_arn);
    return {};
}

bool control_plane::impl::stops(std::string_view function, std::string_view trace_header) const {
    const auto name = parse(function, {});
    const entry_ptr e = name ? registry_.find(name->name) : nullptr;
    if (!e || control::visits(trace_header, arn_of(name->name)) < control::max_visits) return false;
    {
        const auto guard = registry_.lock();
        if (e->allows_loops()) return false;
    }
    count_stopped(e);
    return true;
}

void control_plane::impl::count_stopped(const entry_ptr& e) const {
    {
        const auto guard = registry_.lock();
        ++e->recursive_dropped;
    }
    tell(fmt::format("an invocation of {} was stopped: it would go on with a loop", e->name()));
}

result<void> control_plane::check_invoke(std::string_view name, std::string_view qualifier) const {
    HEARTH_CHECK(impl_->admit(name, qualifier));
    return {};
}

result<response> control_plane::invoke(std::string_view name,
                                       std::string payload,
                                       invoke_options options,
                                       std::string_view qualifier) {
    HEARTH_TRY(auto admitted, impl_->admit(name, qualifier));
    if (!admitted.version) {
        HEARTH_TRY(admitted.version, impl_->load({admitted.function, admitted.entry}));
    }
    HEARTH_CHECK(impl_->follow(admitted, options.trace_id));
    return admitted.version->invoke(
        impl_->make_invocation(std::move(payload), std::move(options), std::move(admitted.arn)));
}

void control_plane::async_invoke(std::string_view name,
                                 std::string payload,
                                 invoke_options options,
                                 std::string_view qualifier,
                                 invoke_handler handler) {
    impl_->async_invoke(name, std::move(payload), std::move(options), qualifier,
                        std::move(handler));
}

void control_plane::impl::async_invoke(std::string_view name,
                                       std::string payload,
                                       invoke_options options,
                                       std::string_view qualifier,
                                       invoke_handler handler) {
    auto admitted = admit(name, qualifier);
    if (admitted.has_error()) {
        complete_with(loads_, std::move(handler), admitted.error());
        return;
    }
    if (const auto counted = follow(*admitted, options.trace_id); counted.has_error()) {
        complete_with(loads_, std::move(handler), counted.error());
        return;
    }
    auto input = make_invocation(std::move(payload), std::move(options), std::move(admitted->arn));
    if (admitted->version) {
        run(std::move(admitted->version), std::move(input), std::move(handler));
        return;
    }
    auto work = tracked_executor(handler);
    asio::post(loads_, [this, work = std::move(work),
                        t = target{admitted->function, admitted->entry}, input = std::move(input),
                        handler = std::move(handler)]() mutable {
        auto version = load(t);
        if (version.has_error())
            complete_with(loads_, std::move(handler), version.error());
        else
            run(std::move(*version), std::move(input), std::move(handler));
    });
}

}  // namespace hearth
