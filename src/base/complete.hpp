#pragma once

/// How the library's own threads call a user's handler on the executor it is bound to.
///
/// The user may destroy the execution context once its run loop has returned for want of work,
/// which may be while the thread that posted to it is still on its way out of the post: Asio wakes
/// a sleeping run loop after the work is in its queue. So who keeps a handler keeps tracked work
/// beside it, from the initiating call until the post has returned: the run loop then neither ends
/// before the handler was called nor while we touch its context.

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/prefer.hpp>

#include <utility>

namespace hearth {

/// The handler's executor with tracked work: to be taken inside the initiating call.
template <class Handler>
[[nodiscard]] boost::asio::any_completion_executor tracked_executor(const Handler& handler) {
    return boost::asio::prefer(boost::asio::get_associated_executor(handler),
                               boost::asio::execution::outstanding_work.tracked);
}

/// Calls the handler on `executor`, which `tracked_executor` gave and which lives until the post
/// has returned. From any thread, but never inside the initiating call.
template <class Handler, class... Args>
void complete(boost::asio::any_completion_executor executor, Handler handler, Args... args) {
    boost::asio::dispatch(executor,
                          [handler = std::move(handler), ... args = std::move(args)]() mutable {
                              std::move(handler)(std::move(args)...);
                          });
}

}  // namespace hearth
