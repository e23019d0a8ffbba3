#include "worker/async_queue.hpp"

#include <utility>

namespace hearth::worker {

using std::chrono::steady_clock;

void job::wake() noexcept { queue_->wake(*this); }

async_queue::async_queue(std::size_t threads, int kick_signal, bool cap)
    : kick_signal_(kick_signal), cap_(cap), queue_({.threads = threads}) {
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
    timer_ = std::thread([this] { end_slices(); });
}

async_queue::~async_queue() { stop(); }

void async_queue::stop() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_all();
    for (auto& t : threads_)
        if (t.joinable()) t.join();
    threads_.clear();
    {
        const std::lock_guard lock(mutex_);
        threads_joined_ = true;
    }
    slices_changed_.notify_one();
    if (timer_.joinable()) timer_.join();
}

/// Under the lock, after a change of the run queue.
void async_queue::changed() {
    if (queue_.has_work()) changed_.notify_one();
    if (queue_.next_due() < slice_ends_at_) slices_changed_.notify_one();
}

bool async_queue::submit(std::shared_ptr<job> j) {
    const std::lock_guard lock(mutex_);
    if (stop_) return false;
    job& added = *j;
    added.queue_ = this;
    added.self_ = std::move(j);
    queue_.add(added, sched::weight_of(added.memory_),
               cap_ ? queue_.quota_of(added.memory_) : sched::nanoseconds{});
    queue_.wake(added, steady_clock::now());
    changed();
    return true;
}

void async_queue::wake(job& j) noexcept {
    const std::lock_guard lock(mutex_);
    if (!j.sleeping_) {
        j.woken_ = true;
        return;
    }
    j.sleeping_ = false;
    sleeping_.erase(j.due_);
    queue_.wake(j, steady_clock::now());
    changed();
}

void async_queue::wake_sleepers(time_point now) {
    while (!sleeping_.empty() && sleeping_.begin()->first <= now) {
        job& j = *sleeping_.begin()->second;
        sleeping_.erase(sleeping_.begin());
        j.sleeping_ = false;
        queue_.wake(j, now);
    }
}

void async_queue::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        auto now = steady_clock::now();
        wake_sleepers(now);
        const auto choice = queue_.pick(now);
        changed();
        if (!choice.e) {
            if (stop_ && queue_.size() == 0) return;
            if (sleeping_.empty())
                changed_.wait(lock);
            else
                changed_.wait_until(lock, time_point(sleeping_.begin()->first));
            continue;
        }
        job& j = static_cast<job&>(*choice.e);
        lock.unlock();
        std::optional<environment::pause> pause;
        bool may_sleep = false;
        {
            const vmm::run_scope scope(kick_signal_);
            pause = j.advance(scope);
            may_sleep = pause && !pause->preempted && j.set_waker(&j);
        }
        lock.lock();
        const auto ran_from = std::exchange(now, steady_clock::now());
        if (!pause) {
            queue_.remove(j);
            auto finished = std::move(j.self_);
            changed();
            if (stop_) changed_.notify_all();
            lock.unlock();
            finished.reset();  // what it holds goes without the lock
            lock.lock();
            continue;
        }
        const bool sleeps = may_sleep && !j.woken_;
        queue_.ran(j, now - ran_from, now,
                   sleeps ? sched::run_queue::then::sleeps : sched::run_queue::then::waits);
        if (sleeps) {
            j.due_ = sleeping_.emplace(pause->until.value_or(time_point::max()), &j);
            j.sleeping_ = true;
        } else {
            j.woken_ = false;
        }
    }
}

/// The timer thread: kicks whose slice is over, lets in again who had used up a quota.
void async_queue::end_slices() {
    std::vector<std::shared_ptr<job>> over;
    std::unique_lock lock(mutex_);
    while (!threads_joined_) {
        const auto now = steady_clock::now();
        while (auto* e = queue_.take_due(now)) over.push_back(static_cast<job&>(*e).self_);
        if (queue_.has_work()) changed_.notify_one();
        if (!over.empty()) {
            lock.unlock();
            for (const auto& j : over) j->preempt();
            over.clear();
            lock.lock();
            continue;
        }
        slice_ends_at_ = queue_.next_due();
        if (slice_ends_at_ == sched::run_queue::never)
            slices_changed_.wait(lock);
        else
            slices_changed_.wait_until(lock, time_point(slice_ends_at_));
        slice_ends_at_ = time_point::min();
    }
}

}  // namespace hearth::worker
