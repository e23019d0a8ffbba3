#pragma once

/// Idle things, newest reused first, oldest given up first. Without clock, threads or I/O: time is
/// an argument.

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

namespace hearth::pool {

template <class T>
class idle_list {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }

    /// `now` never goes back.
    void push(T item, time_point now) { entries_.push_back({std::move(item), now}); }

    std::optional<T> take_newest() {
        if (entries_.empty()) return std::nullopt;
        std::optional<T> item(std::move(entries_.back().item));
        entries_.pop_back();
        return item;
    }
    std::optional<T> take_oldest() {
        if (entries_.empty()) return std::nullopt;
        std::optional<T> item(std::move(entries_.front().item));
        entries_.pop_front();
        return item;
    }
    /// Since when the oldest has been idle.
    [[nodiscard]] std::optional<time_point> oldest_since() const {
        if (entries_.empty()) return std::nullopt;
        return entries_.front().since;
    }
    /// Those idle for `ttl` or longer, but the newest `keep` stay.
    std::vector<T> expire(time_point now, std::chrono::milliseconds ttl, std::size_t keep = 0) {
        std::vector<T> expired;
        while (entries_.size() > keep && now - entries_.front().since >= ttl) {
            expired.push_back(std::move(entries_.front().item));
            entries_.pop_front();
        }
        return expired;
    }
    std::vector<T> take_all() {
        std::vector<T> all;
        all.reserve(entries_.size());
        for (auto& e : entries_) all.push_back(std::move(e.item));
        entries_.clear();
        return all;
    }

  private:
    struct entry {
        T item;
        time_point since;
    };
    std::deque<entry> entries_;  // oldest first
};

}  // namespace hearth::pool
