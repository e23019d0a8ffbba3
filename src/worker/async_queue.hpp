#pragma once

/// The vCPU threads of a worker and what they run: jobs that are ready, oldest first, and jobs
/// whose guest sleeps, by the time they are due. A sleeping guest holds no thread.

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
class job : public waker {
  public:
    virtual ~job() = default;
    /// Nothing: finished, and never called again.
    virtual std::optional<environment::sleeping> advance(const vmm::run_scope& scope) = 0;
    [[nodiscard]] virtual bool set_waker(waker* w) noexcept = 0;

    void wake() noexcept final;

  private:
    friend class async_queue;
    using due_map = std::multimap<std::chrono::steady_clock::time_point, std::shared_ptr<job>>;
    async_queue* queue_ = nullptr;
    // Guarded by the queue's mutex.
    bool sleeping_ = false;
    bool woken_ = false;
    due_map::iterator due_;
};

class async_queue {
  public:
    async_queue(std::size_t threads, int kick_signal);
    async_queue(const async_queue&) = delete;
    async_queue& operator=(const async_queue&) = delete;
    ~async_queue();

    void submit(std::shared_ptr<job> j);
    /// Runs what is ready, then joins. Nothing sleeps any more: who stops the queue has interrupted
    /// it.
    void stop();

  private:
    friend class job;
    void run();
    void wake(job& j) noexcept;

    const int kick_signal_;
    std::mutex mutex_;  // a leaf; guards all below but the threads
    std::condition_variable changed_;
    std::deque<std::shared_ptr<job>> ready_;
    job::due_map sleeping_;
    bool stop_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace hearth::worker
