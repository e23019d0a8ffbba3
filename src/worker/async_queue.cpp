#include "worker/async_queue.hpp"

#include <utility>

namespace hearth::worker {

using std::chrono::steady_clock;

void job::wake() noexcept { queue_->wake(*this); }

async_queue::async_queue(std::size_t threads, int kick_signal) : kick_signal_(kick_signal) {
    threads_.reserve(threads);
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
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
}

void async_queue::submit(std::shared_ptr<job> j) {
    {
        const std::lock_guard lock(mutex_);
        j->queue_ = this;
        ready_.push_back(std::move(j));
    }
    changed_.notify_one();
}

void async_queue::wake(job& j) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (!j.sleeping_) {
            j.woken_ = true;
            return;
        }
        j.sleeping_ = false;
        ready_.push_back(std::move(j.due_->second));
        sleeping_.erase(j.due_);
    }
    changed_.notify_one();
}

void async_queue::run() {
    std::unique_lock lock(mutex_);
    for (;;) {
        const auto now = steady_clock::now();
        while (!sleeping_.empty() && sleeping_.begin()->first <= now) {
            sleeping_.begin()->second->sleeping_ = false;
            ready_.push_back(std::move(sleeping_.begin()->second));
            sleeping_.erase(sleeping_.begin());
        }
        if (ready_.empty()) {
            if (stop_) return;
            if (sleeping_.empty())
                changed_.wait(lock);
            else
                changed_.wait_until(lock, steady_clock::time_point(sleeping_.begin()->first));
            continue;
        }
        std::shared_ptr<job> j = std::move(ready_.front());
        ready_.pop_front();
        if (!ready_.empty()) changed_.notify_one();
        lock.unlock();
        std::optional<environment::sleeping> sleeping;
        bool may_sleep = false;
        {
            const vmm::run_scope scope(kick_signal_);
            sleeping = j->advance(scope);
            may_sleep = sleeping && j->set_waker(j.get());
        }
        if (!sleeping) j.reset();  // what it holds goes without the lock
        lock.lock();
        if (!j) continue;
        if (may_sleep && !j->woken_) {
            job& sleeper = *j;
            sleeper.due_ = sleeping_.emplace(
                sleeping->until.value_or(steady_clock::time_point::max()), std::move(j));
            sleeper.sleeping_ = true;
        } else {
            j->woken_ = false;
            ready_.push_back(std::move(j));
        }
    }
}

}  // namespace hearth::worker
