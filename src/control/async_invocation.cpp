/// Lambda's Event invocations, as the control plane's callers make them.

#include "base/complete.hpp"
#include "base/try.hpp"
#include "control/control_plane_impl.hpp"
#include "control/destination.hpp"
#include "control/events.hpp"

#include <boost/asio/post.hpp>

#include <future>
#include <utility>

namespace hearth {

namespace asio = boost::asio;

result<void> control_plane::impl::check_outcome_target(std::string_view arn,
                                                       std::string_view own_name) const {
    if (arn.empty()) return {};
    HEARTH_TRY(const auto where, control::parse_destination(arn));
    if (std::holds_alternative<control::http_destination>(where)) return {};
    if (std::holds_alternative<control::bucket_destination>(where)) {
        if (!options_.data_directory.empty()) return {};
        return error(errc::invalid_argument, "The destination ARN " + std::string(arn) +
                                                 " is a directory of files, and this server has no "
                                                 "data directory to keep them in");
    }
    if (std::holds_alternative<control::queue_destination>(where)) {
        const auto found = queues_.find(queues_.name_of(arn));
        if (found.has_value()) return {};
        if (found.error().code() != queue_errc::queue_does_not_exist) return found.error();
        return error(errc::invalid_argument,
                     "The destination ARN " + std::string(arn) + " names no queue here");
    }
    const auto name = parse(arn, {});
    if (name.has_error())
        return error(errc::invalid_argument, "The destination ARN " + std::string(arn) +
                                                 " is invalid: " + name.error().message());
    if (name->name == own_name)
        return error(errc::invalid_argument,
                     "You can't specify the function as a destination for itself.");
    if (find_version(*name).has_error())
        return error(errc::invalid_argument,
                     "The destination ARN " + std::string(arn) + " names no function here");
    return {};
}

result<std::string> control_plane::enqueue(std::string_view name,
                                           std::string payload,
                                           invoke_options options,
                                           std::string_view qualifier) {
    HEARTH_TRY(auto e,
               impl_->events_->prepare(name, std::move(payload), std::move(options), qualifier));
    std::string id = e.request_id;
    std::promise<error> written;
    auto outcome = written.get_future();
    HEARTH_CHECK(impl_->events_->accept(
        std::move(e), [&written](error failed) { written.set_value(std::move(failed)); }));
    if (error failed = outcome.get(); failed.code()) return failed;
    return id;
}

void control_plane::async_enqueue(std::string_view name,
                                  std::string payload,
                                  invoke_options options,
                                  std::string_view qualifier,
                                  enqueue_handler handler) {
    // Shared between the way that succeeds and the one that fails, of which one is gone.
    struct caller {
        asio::any_completion_executor executor;
        enqueue_handler handler;
        void answer(error e, std::string id) {
            complete(std::move(executor), std::move(handler), std::move(e), std::move(id));
        }
    };
    auto back = std::make_shared<caller>(caller{tracked_executor(handler), std::move(handler)});
    auto e = impl_->events_->prepare(name, std::move(payload), std::move(options), qualifier);
    result<void> taken;
    if (e.has_error()) {
        taken = e.error();
    } else {
        std::string id = e->request_id;
        taken =
            impl_->events_->accept(std::move(*e), [back, id = std::move(id)](error failed) mutable {
                if (failed.code()) id.clear();
                back->answer(std::move(failed), std::move(id));
            });
    }
    if (taken.has_error())  // never inside this call
        asio::post(impl_->loads_,
                   [back, failed = taken.error()] { back->answer(failed, std::string()); });
}

}  // namespace hearth
