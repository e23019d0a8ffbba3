#pragma once

/// Calls as jobs for a commit_thread: one that somebody blocks for, and one with a handler.

#include "base/commit_thread.hpp"
#include "base/complete.hpp"

#include <hearth/error.hpp>

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/cancellation_type.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>

#include <cstddef>
#include <future>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace hearth {

/// The disk's trouble is the transaction's; anything else is the call's outcome.
template <class T>
result<void> storage_trouble(const result<T>& outcome) {
    if (outcome.has_error() && outcome.error() == errc::storage_failed) return outcome.error();
    return {};
}

template <class Store, class Run>
class blocking_job final : public store_job<Store> {
  public:
    using outcome = std::invoke_result_t<Run&, Store&, wall_time>;
    explicit blocking_job(Run run) : run_(std::move(run)) {}
    std::future<outcome> future() { return promise_.get_future(); }

    result<void> run(Store& s, wall_time now) override {
        outcome_.emplace(run_(s, now));
        return storage_trouble(*outcome_);
    }
    void finish() override { promise_.set_value(std::move(*outcome_)); }
    void fail(error why) override { promise_.set_value(std::move(why)); }

  private:
    Run run_;
    std::optional<outcome> outcome_;
    std::promise<outcome> promise_;
};

/// `run(store, now)` on the thread, and what came of it, on disk.
template <class Store, class Run>
auto wait_for(commit_thread<Store>& thread, Run run) -> typename blocking_job<Store, Run>::outcome {
    auto own = std::make_unique<blocking_job<Store, Run>>(std::move(run));
    auto answer = own->future();
    store_job_ptr<Store> j = std::move(own);
    if (error refused = thread.submit(j); refused.code()) return refused;
    return answer.get();
}

/// Whom to tell of an outcome, on the executor that was his when he called.
template <class T>
class kept_handler {
  public:
    using handler = boost::asio::any_completion_handler<void(error, T)>;
    explicit kept_handler(handler h) : executor_(tracked_executor(h)), handler_(std::move(h)) {}

    void call(result<T> outcome) {
        if (outcome.has_error())
            complete(std::move(executor_), std::move(handler_), outcome.error(), T());
        else
            complete(std::move(executor_), std::move(handler_), error(), std::move(*outcome));
    }

  private:
    boost::asio::any_completion_executor executor_;
    handler handler_;
};

template <class Store, class T, class Run>
class async_job final : public store_job<Store> {
  public:
    async_job(Run run, typename kept_handler<T>::handler h)
        : run_(std::move(run)), handler_(std::move(h)) {}

    result<void> run(Store& s, wall_time now) override {
        outcome_.emplace(run_(s, now));
        return storage_trouble(*outcome_);
    }
    void finish() override { handler_.call(std::move(*outcome_)); }
    void fail(error why) override { handler_.call(std::move(why)); }

  private:
    Run run_;
    kept_handler<T> handler_;
    std::optional<result<T>> outcome_;
};

template <class Store>
void start(commit_thread<Store>& thread, store_job_ptr<Store> j, std::size_t bytes = 0) {
    error refused = thread.submit(j, bytes);
    if (!refused.code()) return;
    // Never inside the initiating call.
    boost::asio::post(boost::asio::system_executor(),
                      [j = std::move(j), refused = std::move(refused)]() mutable {
                          j->fail(std::move(refused));
                      });
}

/// `run(store, now)` on the thread; the handler is called when what came of it is on disk.
template <class T, class Store, class Run>
void start_call(commit_thread<Store>& thread,
                Run run,
                boost::asio::any_completion_handler<void(error, T)> h,
                std::size_t bytes = 0) {
    start(thread,
          store_job_ptr<Store>(
              std::make_unique<async_job<Store, T, Run>>(std::move(run), std::move(h))),
          bytes);
}

/// A job that may wait, whose wait ends where `slot` says so.
template <class Store>
void start_waiting(commit_thread<Store>& thread,
                   std::unique_ptr<waiting_job<Store>> j,
                   boost::asio::cancellation_slot slot) {
    j->ticket = thread.next_ticket();
    if (slot.is_connected())
        slot.assign(
            [weak = thread.weak_from_this(), ticket = j->ticket](boost::asio::cancellation_type) {
                if (const auto alive = weak.lock()) alive->cancel(ticket);
            });
    start(thread, store_job_ptr<Store>(std::move(j)));
}

/// What a call with a handler came to, awaited.
template <class T, class Start>
result<T> await(Start start_call) {
    std::promise<result<T>> promise;
    auto answer = promise.get_future();
    start_call([promise = std::move(promise)](error failed, T value) mutable {
        if (failed.code())
            promise.set_value(std::move(failed));
        else
            promise.set_value(std::move(value));
    });
    return answer.get();
}

}  // namespace hearth
