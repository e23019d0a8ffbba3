#pragma once

/// The vCPU threads of a worker and what they run. Jobs whose guest can go on share the threads by
/// the weight of their memory (sched::run_queue): one timer thread ends the slices by kicking the
/// guest, and nobody is kicked while nobody waits. A sleeping guest holds no thread; it is kept
/// here by the time it is due, for which an idle thread waits or, when all are busy, the timer's.
///
/// Lock order: the mutex here is a leaf. Jobs are advanced, kicked and destroyed without it.

#include "sched/run_queue.hpp"
#include "worker/execution.hpp"

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace hearth::worker {

class async_queue;

/// Something the threads carry on with until it is finished.
class job : public waker, private sched::run_queue::entity {
  public:
    /// memory: of the function whose guest it runs.
    explicit job(byte_count memory) noexcept : memory_(memory) {}
    virtual ~job() = default;
    /// Nothing: finished, and never called again.
    virtual std::optional<environment::pause> advance(const vmm::run_scope& scope) = 0;
    [[nodiscard]] virtual bool set_waker(waker* w) noexcept = 0;
    /// Any thread: `advance` comes back soon, if it is under way.
    virtual void preempt() noexcept = 0;

    void wake() noexcept final;

  private:
    friend class async_queue;
    using due_map = std::multimap<std::chrono::steady_clock::time_point, job*>;
    const byte_count memory_;
    async_queue* queue_ = nullptr;
    // Guarded by the queue's mutex.
    std::shared_ptr<job> self_;  ///< while it is in the queue
    bool sleeping_ = false;
    bool woken_ = false;
    due_map::iterator due_;
};

class async_queue {
  public:
    /// cap: no function gets more of a CPU than its memory stands for (1,769 MB: a whole one), even
    /// when nobody waits.
    async_queue(std::size_t threads, int kick_signal, bool cap);
    async_queue(const async_queue&) = delete;
    async_queue& operator=(const async_queue&) = delete;
    ~async_queue();

    /// False, and the job is not taken: after `stop`.
    [[nodiscard]] bool submit(std::shared_ptr<job> j);
    /// Runs what is ready, then joins. Nothing sleeps any more: who stops the queue has interrupted
    /// it.
    void stop();

  private:
    friend class job;
    using time_point = std::chrono::steady_clock::time_point;

    /// Where a thread waits for work.
    struct seat {
        std::condition_variable called;
        time_point until = time_point::min();
    };

    void run(seat& mine);
    void wait(std::unique_lock<std::mutex>& lock, seat& mine);
    void end_slices();
    void wake(job& j) noexcept;
    void wake_sleepers(time_point now);
    [[nodiscard]] time_point first_due() const noexcept;
    [[nodiscard]] seat* call_one() noexcept;
    void watch_slices() noexcept;
    void watch_sleepers() noexcept;

    const int kick_signal_;
    const bool cap_;
    std::deque<seat> seats_;   ///< one for each thread
    std::mutex mutex_;         // guards all below but the threads
    std::vector<seat*> idle_;  ///< whose threads wait; the last one's has the warmest caches
    std::condition_variable timer_changed_;
    sched::run_queue queue_;
    job::due_map sleeping_;
    time_point timer_ends_at_ = time_point::min();  ///< what the timer thread sleeps until
    bool stop_ = false;
    bool threads_joined_ = false;
    std::vector<std::thread> threads_;
    std::thread timer_;
};

}  // namespace hearth::worker
