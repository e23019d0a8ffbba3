#pragma once

/// The body of `queue_service`: the thread that owns the store. Calls come to it as jobs; those
/// that wait together are one transaction (commit_queue.hpp), in which each has its own outcome,
/// and are answered when it is durable. A receive that found nothing and may wait stays behind as a
/// waiter: it is tried again in the transaction that touches its queue, when a message of that
/// becomes visible, and ends at its deadline. So no thread waits for a message but this one, for
/// all.

#include "base/commit_queue.hpp"
#include "queue/store.hpp"

#include <hearth/queue.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hearth::queues {

/// Something to be done with the store, and whom to tell.
class job {
  public:
    virtual ~job() = default;
    /// Inside a transaction; may be called again after one that was rolled back.
    /// @errors errc::storage_failed only: what the caller did wrong is part of the outcome
    virtual result<void> run(store& s, queue_time now) = 0;
    /// The outcome is durable.
    virtual void finish() = 0;
    /// There is none.
    virtual void fail(error why) = 0;
};
using job_ptr = std::unique_ptr<job>;

/// A receive, which may have to wait.
class receive_job : public job {
  public:
    [[nodiscard]] virtual const std::string& queue() const = 0;
    /// Whether there is an outcome but for the time that is left.
    [[nodiscard]] virtual bool is_answered() const = 0;
    /// Of the wait that `run` found to be asked for.
    [[nodiscard]] virtual std::chrono::seconds wait() const = 0;

    std::uint64_t ticket = 0;
    std::chrono::steady_clock::time_point deadline{};
};

using clock_function = std::function<queue_time()>;

/// `file` as store::open. @errors errc::storage_failed
result<std::shared_ptr<queue_service::impl>> open_service(const std::filesystem::path& file,
                                                          identity who,
                                                          clock_function now);

}  // namespace hearth::queues

namespace hearth {

struct queue_service::impl : std::enable_shared_from_this<queue_service::impl> {
    impl(std::unique_ptr<queues::store> s, queues::clock_function now);
    ~impl();

    /// Does what was asked for before and joins; waiters are told that it is over. Calls after it
    /// fail with errc::shutting_down.
    void stop();

    /// @return an error when the job is refused; it is given back then
    error submit(queues::job_ptr& j, std::size_t bytes = 0);
    /// The receive of that ticket waits no longer.
    void cancel(std::uint64_t ticket);

    const queues::identity who;
    std::atomic<std::uint64_t> last_ticket = 0;

  private:
    struct task {
        queues::job_ptr job;  ///< null: a cancellation
        std::uint64_t cancelled = 0;
    };
    struct waiting_queue {
        std::vector<std::unique_ptr<queues::receive_job>> waiters;  ///< first come, first served
        std::optional<queue_time> next_visible;
    };
    void run();
    /// One transaction of these, and of the waiters they set free.
    result<void> attempt(std::vector<queues::job_ptr>& jobs);
    void perform(std::vector<queues::job_ptr> jobs);
    /// The first so many of a queue's waiters have an answer in this transaction.
    struct served {
        std::size_t count = 0;
        std::optional<queue_time> next_visible;
    };
    result<void> serve_waiters(queue_time now,
                               std::map<std::string, served, std::less<>>& served_by);
    void settle(queues::job_ptr j, queue_time now);
    void end_waits(std::chrono::steady_clock::time_point now);
    void end_wait(std::uint64_t ticket);
    [[nodiscard]] std::optional<std::chrono::steady_clock::time_point> next_wake();

    const std::unique_ptr<queues::store> store_;  // the thread's
    const queues::clock_function now_;
    std::map<std::string, waiting_queue, std::less<>> waiting_;  // the thread's
    std::chrono::steady_clock::time_point next_sweep_;           // the thread's
    commit_queue<task> tasks_;
    std::thread thread_;
};

}  // namespace hearth
