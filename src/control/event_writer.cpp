#include "control/event_writer.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace hearth::control {

namespace {

/// How long a transaction waits for company when nobody waits for it.
constexpr std::chrono::milliseconds patience{5};
/// One transaction's: a bound on the write-ahead log, not on what may wait.
constexpr std::size_t max_batch = 4096;

}  // namespace

event_writer::event_writer(event_store& store) : store_(store), thread_([this] { run(); }) {}

event_writer::~event_writer() { stop(); }

void event_writer::stop() {
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

result<void> event_writer::submit(event_change change, bool urgent, handler done) {
    job j{std::move(change), std::move(done)};
    for (const queued_event& e : j.change.add) j.bytes += e.payload.size();
    bool is_awaited = false;
    {
        const std::scoped_lock lock(mutex_);
        if (stop_) return error(errc::shutting_down);
        if (urgent && waiting_bytes_ != 0 && waiting_bytes_ + j.bytes > max_waiting_bytes)
            return error(errc::throttled,
                         "Rate Exceeded: more events wait for the disk than it can take");
        waiting_bytes_ += j.bytes;
        waiting_.push_back(std::move(j));
        is_awaited = waiting_.size() == 1 || waiting_.size() == wanted_ || (urgent && !urgent_);
        urgent_ = urgent_ || urgent;
    }
    if (is_awaited) changed_.notify_one();
    return {};
}

void event_writer::run() {
    std::size_t last_size = 1;
    std::chrono::steady_clock::duration last_took{};
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stop_ || !waiting_.empty(); });
        if (last_size > 1 && urgent_ && !stop_) {
            wanted_ = std::min(last_size, max_batch);
            changed_.wait_for(
                lock, std::min<std::chrono::steady_clock::duration>(last_took / 4, patience),
                [this] { return stop_ || waiting_.size() >= wanted_; });
            wanted_ = 1;
        }
        if (!urgent_ && !stop_)
            changed_.wait_for(lock, patience,
                              [this] { return stop_ || urgent_ || waiting_.size() >= max_batch; });
        if (waiting_.empty()) return;
        std::vector<job> batch;
        if (waiting_.size() <= max_batch) {
            batch.swap(waiting_);
            waiting_bytes_ = 0;
            urgent_ = false;
        } else {
            const auto end = waiting_.begin() + static_cast<std::ptrdiff_t>(max_batch);
            batch.assign(std::move_iterator(waiting_.begin()), std::move_iterator(end));
            waiting_.erase(waiting_.begin(), end);
            for (const job& j : batch) waiting_bytes_ -= j.bytes;
        }
        lock.unlock();
        last_size = batch.size();
        const auto from = std::chrono::steady_clock::now();
        write(std::move(batch));
        last_took = std::chrono::steady_clock::now() - from;
        lock.lock();
    }
}

void event_writer::write(std::vector<job> batch) {
    std::vector<const event_change*> changes;
    changes.reserve(batch.size());
    for (const job& j : batch) changes.push_back(&j.change);
    const result<void> together = store_.apply(changes);
    for (std::size_t i = 0; i < batch.size(); ++i) {
        error e;
        // What cannot be written takes nothing else with it: on a full disk removals still go.
        if (together.has_error()) {
            const auto alone =
                batch.size() == 1 ? together : store_.apply(std::span(changes).subspan(i, 1));
            if (alone.has_error()) e = alone.error();
        }
        std::move(batch[i].done)(std::move(e));
    }
}

}  // namespace hearth::control
