#pragma once

/// What waits for the one thread that writes to a database. All jobs that come while it writes are
/// its next transaction, so a disk that takes 4 ms for an fsync accepts hundreds in that time
/// (group commit). Callers that were answered together come again together: so after a transaction
/// of several the next one waits for as many, a part of what the last one took. What nobody waits
/// for is taken a few milliseconds later, to cost fewer transactions.
///
/// Thread-safe; `take` is the writing thread's. The mutex is a leaf.

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace hearth {

template <class Job>
class commit_queue {
  public:
    using clock = std::chrono::steady_clock;

    enum class verdict { taken, full, stopped };

    /// `urgent`: somebody waits for it; then it is refused while more than `max_bytes` wait.
    /// What is not taken is not moved from.
    verdict push(Job&& job, std::size_t bytes, bool urgent, std::size_t max_bytes) {
        bool is_awaited = false;
        {
            const std::scoped_lock lock(mutex_);
            if (stop_) return verdict::stopped;
            if (urgent && waiting_bytes_ != 0 && waiting_bytes_ + bytes > max_bytes)
                return verdict::full;
            waiting_bytes_ += bytes;
            waiting_.push_back({std::move(job), bytes});
            is_awaited = waiting_.size() == 1 || waiting_.size() == wanted_ || (urgent && !urgent_);
            urgent_ = urgent_ || urgent;
        }
        if (is_awaited) changed_.notify_one();
        return verdict::taken;
    }

    /// The next transaction's, in the order they came; empty at `wake`, or when all is done and no
    /// more can come.
    std::vector<Job> take(std::optional<clock::time_point> wake = std::nullopt) {
        std::unique_lock lock(mutex_);
        const auto last_took = clock::now() - given_;
        const auto is_ready = [this] { return stop_ || !waiting_.empty(); };
        if (!wake)
            changed_.wait(lock, is_ready);
        else if (!changed_.wait_until(lock, *wake, is_ready))
            return {};
        if (last_size_ > 1 && urgent_ && !stop_) {
            wanted_ = std::min(last_size_, max_batch);
            changed_.wait_for(lock, std::min<clock::duration>(last_took / 4, patience),
                              [this] { return stop_ || waiting_.size() >= wanted_; });
            wanted_ = 1;
        }
        if (!urgent_ && !stop_)
            changed_.wait_for(lock, patience,
                              [this] { return stop_ || urgent_ || waiting_.size() >= max_batch; });
        std::vector<Job> batch;
        const std::size_t size = std::min(waiting_.size(), max_batch);
        batch.reserve(size);
        for (std::size_t i = 0; i < size; ++i) {
            waiting_bytes_ -= waiting_[i].bytes;
            batch.push_back(std::move(waiting_[i].job));
        }
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(size));
        if (waiting_.empty()) urgent_ = false;
        last_size_ = size;
        given_ = clock::now();
        return batch;
    }

    /// What waits can still be taken; who pushes after it is refused.
    void stop() {
        {
            const std::scoped_lock lock(mutex_);
            stop_ = true;
        }
        changed_.notify_one();
    }
    [[nodiscard]] bool stopped() const {
        const std::scoped_lock lock(mutex_);
        return stop_;
    }

  private:
    /// How long a transaction waits for company when nobody waits for it.
    static constexpr std::chrono::milliseconds patience{5};
    /// One transaction's: a bound on the write-ahead log, not on what may wait.
    static constexpr std::size_t max_batch = 4096;

    struct entry {
        Job job;
        std::size_t bytes;
    };
    mutable std::mutex mutex_;  // guards all below
    std::condition_variable changed_;
    std::vector<entry> waiting_;
    std::size_t waiting_bytes_ = 0;
    bool urgent_ = false;
    std::size_t wanted_ = 1;  ///< waiting jobs that are worth waking the thread for
    bool stop_ = false;
    std::size_t last_size_ = 1;
    clock::time_point given_ = clock::now();
};

}  // namespace hearth
