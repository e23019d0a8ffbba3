#pragma once

/// The last invocations that ended, for those who ask why one was slow. A ring of fixed size: its
/// rows keep their memory, so that remembering one more is a few copies (of the log's 4 KiB at
/// most) and no allocation. Its mutex is a leaf.

#include <hearth/recent_invocation.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

namespace hearth::worker {

class recent_invocations {
  public:
    void record(std::string_view function_name, const response& r) {
        const auto now = std::chrono::system_clock::now();
        const std::lock_guard lock(mutex_);
        if (rows_.empty()) rows_.resize(max_recent_invocations);
        recent_invocation& row = rows_[count_ % max_recent_invocations];
        row.number = ++count_;
        row.function_name = function_name;
        row.executed_version = r.executed_version;
        row.function_error = r.function_error;
        row.log_tail = r.log_tail;
        row.ended = now;
        row.report = r.report;
    }

    /// Those after that number, in order. A number not reached yet is another process's: all.
    [[nodiscard]] std::vector<recent_invocation> after(std::uint64_t number) const {
        const std::lock_guard lock(mutex_);
        if (number > count_) number = 0;
        if (count_ > max_recent_invocations)
            number = std::max(number, count_ - max_recent_invocations);
        std::vector<recent_invocation> found;
        found.reserve(count_ - number);
        for (; number < count_; ++number) found.push_back(rows_[number % max_recent_invocations]);
        return found;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<recent_invocation> rows_;  // under mutex_; empty before the first
    std::uint64_t count_ = 0;              // under mutex_
};

}  // namespace hearth::worker
