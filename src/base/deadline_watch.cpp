#include "base/deadline_watch.hpp"

#include <utility>

namespace hearth {

deadline_watch::deadline_watch() : thread_([this] { watch(); }) {}

deadline_watch::~deadline_watch() { stop(); }

void deadline_watch::stop() {
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void deadline_watch::arm(entry& e, time_point deadline) {
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        e.deadline_ = deadline;
        heap_.push_back(&e);
        put(heap_.size() - 1, &e);
        sift_up(heap_.size() - 1);
        if (deadline < sleeps_until_) {
            sleeps_until_ = deadline;
            wake = true;
        }
    }
    if (wake) changed_.notify_one();
}

void deadline_watch::disarm(entry& e) noexcept {
    const std::lock_guard lock(mutex_);
    if (e.position_ != entry::unarmed) remove(e.position_);
}

void deadline_watch::watch() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
        const auto now = std::chrono::steady_clock::now();
        while (!heap_.empty() && heap_.front()->deadline_ <= now) {
            entry* e = heap_.front();
            remove(0);
            e->expire();
        }
        sleeps_until_ = heap_.empty() ? time_point::max() : heap_.front()->deadline_;
        if (heap_.empty())
            changed_.wait(lock);
        else
            changed_.wait_until(lock,
                                time_point(sleeps_until_));  // a copy: arm() changes it meanwhile
    }
}

void deadline_watch::put(std::size_t at, entry* e) noexcept {
    heap_[at] = e;
    e->position_ = at;
}

void deadline_watch::sift_up(std::size_t at) noexcept {
    while (at > 0) {
        const std::size_t parent = (at - 1) / 2;
        if (heap_[parent]->deadline_ <= heap_[at]->deadline_) return;
        entry* const e = heap_[at];
        put(at, heap_[parent]);
        put(parent, e);
        at = parent;
    }
}

void deadline_watch::sift_down(std::size_t at) noexcept {
    for (;;) {
        std::size_t least = at;
        for (std::size_t child = 2 * at + 1; child <= 2 * at + 2; ++child)
            if (child < heap_.size() && heap_[child]->deadline_ < heap_[least]->deadline_)
                least = child;
        if (least == at) return;
        entry* const e = heap_[at];
        put(at, heap_[least]);
        put(least, e);
        at = least;
    }
}

void deadline_watch::remove(std::size_t at) noexcept {
    heap_[at]->position_ = entry::unarmed;
    entry* const last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    put(at, last);
    sift_up(at);
    sift_down(last->position_);
}

}  // namespace hearth
