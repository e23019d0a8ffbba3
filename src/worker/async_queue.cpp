#include "worker/async_queue.hpp"

#include <algorithm>
#include <utility>

namespace hearth::worker {

using std::chrono::steady_clock;

void job::wake() noexcept { queue_->wake(*this); }

async_queue::async_queue(std::size_t threads, int kick_signal, bool cap)
    : kick_signal_(kick_signal), cap_(cap), seats_(threads), queue_({.threads = threads}) {
    idle_.reserve(threads);
    threads_.reserve(threads);
    for (seat& each : seats_) threads_.emplace_back([this, &each] { run(each); });
    timer_ = std::thread([this] { end_slices(); });
}

async_queue::~async_queue() { stop(); }

void async_queue::stop() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        for (seat* each : idle_) each->called.notify_one();
    }
    for (auto& t : threads_)
        if (t.joinable()) t.join();
    threads_.clear();
    {
        const std::lock_guard lock(mutex_);
        threads_joined_ = true;
    }
    timer_changed_.notify_one();
    if (timer_.joinable()) timer_.join();
}

async_queue::time_point async_queue::first_due() const noexcept {
    return sleeping_.empty() ? time_point::max() : sleeping_.begin()->first;
}

/// Under the lock: who is to be notified of work, if there is any.
async_queue::seat* async_queue::call_one() noexcept {
    if (!queue_.has_work() || idle_.empty()) return nullptr;
    seat* const one = idle_.back();
    idle_.pop_back();
    return one;
}

/// Under the lock, after a change of the run queue.
void async_queue::watch_slices() noexcept {
    if (queue_.next_due() < timer_ends_at_) timer_changed_.notify_one();
}

/// Under the lock, when fewer threads wait or more jobs sleep: somebody looks after the first one.
void async_queue::watch_sleepers() noexcept {
    if (sleeping_.empty()) return;
    const auto due = first_due();
    if (idle_.empty()) {
        if (due < timer_ends_at_) timer_changed_.notify_one();
        return;
    }
    for (const seat* each : idle_)
        if (each->until <= due) return;
    idle_.front()->until = due;
    idle_.front()->called.notify_one();
}

bool async_queue::submit(std::shared_ptr<job> j) {
    seat* one = nullptr;
    {
        const std::lock_guard lock(mutex_);
        if (stop_) return false;
        job& added = *j;
        added.queue_ = this;
        added.self_ = std::move(j);
        queue_.add(added, sched::weight_of(added.memory_),
                   cap_ ? queue_.quota_of(added.memory_) : sched::nanoseconds{});
        queue_.wake(added, steady_clock::now());
        one = call_one();
        watch_slices();
        watch_sleepers();
    }
    // On the caller's own core it would begin with waiting for the lock.
    if (one) one->called.notify_one();
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
    if (seat* const one = call_one()) one->called.notify_one();
    watch_slices();
    watch_sleepers();
}

void async_queue::wake_sleepers(time_point now) {
    while (!sleeping_.empty() && sleeping_.begin()->first <= now) {
        job& j = *sleeping_.begin()->second;
        sleeping_.erase(sleeping_.begin());
        j.sleeping_ = false;
        queue_.wake(j, now);
    }
}

/// Until there is work or a sleeper is due, or for no reason.
void async_queue::wait(std::unique_lock<std::mutex>& lock, seat& mine) {
    idle_.push_back(&mine);
    mine.until = first_due();
    if (mine.until == time_point::max())
        mine.called.wait(lock);
    else
        mine.called.wait_until(lock, time_point(mine.until));
    std::erase(idle_, &mine);
}

void async_queue::run(seat& mine) {
    const vmm::run_scope scope(kick_signal_);  // the thread is ours: for as long as it lives
    std::unique_lock lock(mutex_);
    for (;;) {
        auto now = steady_clock::now();
        wake_sleepers(now);
        const auto choice = queue_.pick(now);
        watch_slices();
        if (!choice.e) {
            if (stop_ && queue_.size() == 0) return;
            wait(lock, mine);
            continue;
        }
        if (seat* const one = call_one()) one->called.notify_one();
        watch_sleepers();
        job& j = static_cast<job&>(*choice.e);
        lock.unlock();
        const std::optional<environment::pause> pause = j.advance(scope);
        const bool may_sleep = pause && !pause->preempted && j.set_waker(&j);
        lock.lock();
        const auto ran_from = std::exchange(now, steady_clock::now());
        if (!pause) {
            queue_.remove(j);
            auto finished = std::move(j.self_);
            if (stop_)
                for (seat* each : idle_) each->called.notify_one();
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

/// The timer thread: kicks whose slice is over, lets in again who had used up a quota, and wakes
/// sleepers while no other thread waits for them.
void async_queue::end_slices() {
    std::vector<std::shared_ptr<job>> over;
    std::unique_lock lock(mutex_);
    while (!threads_joined_) {
        const auto now = steady_clock::now();
        wake_sleepers(now);
        while (auto* e = queue_.take_due(now)) over.push_back(static_cast<job&>(*e).self_);
        if (seat* const one = call_one()) one->called.notify_one();
        if (!over.empty()) {
            lock.unlock();
            for (const auto& j : over) j->preempt();
            over.clear();
            lock.lock();
            continue;
        }
        timer_ends_at_ = queue_.next_due();
        if (idle_.empty()) timer_ends_at_ = std::min(timer_ends_at_, first_due());
        if (timer_ends_at_ == sched::run_queue::never)
            timer_changed_.wait(lock);
        else
            timer_changed_.wait_until(lock, time_point(timer_ends_at_));
        timer_ends_at_ = time_point::min();
    }
}

}  // namespace hearth::worker
