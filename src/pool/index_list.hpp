#pragma once

/// The pool's containers: records with small ids in a table that never moves them, doubly linked
/// lists through the records by index, and a heap of records by time. None allocates when a record
/// that is there changes its place.

#include "base/assert.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace hearth::pool {

inline constexpr std::uint32_t nil = 0xffff'ffff;

/// Records of type T, which has a member `Id self`. An index is used again with the next
/// generation.
template <class T, class Id>
class table {
  public:
    T& make() {
        std::uint32_t index;
        if (free_.empty()) {
            index = static_cast<std::uint32_t>(slots_.size());
            slots_.emplace_back();
            generations_.push_back(0);
            free_.reserve(slots_.size());  // so that remove never allocates
        } else {
            index = free_.back();
            free_.pop_back();
            slots_[index] = T{};
        }
        T& t = slots_[index];
        if (++generations_[index] == 0) ++generations_[index];
        t.self = {index, generations_[index]};
        return t;
    }
    void remove(T& t) {
        const std::uint32_t index = t.self.index;
        t = T{};
        free_.push_back(index);
    }
    [[nodiscard]] T* find(Id which) {
        if (!which || which.index >= slots_.size()) return nullptr;
        T& t = slots_[which.index];
        return t.self == which ? &t : nullptr;
    }
    [[nodiscard]] T& operator[](std::uint32_t index) { return slots_[index]; }
    [[nodiscard]] const T& operator[](std::uint32_t index) const { return slots_[index]; }
    [[nodiscard]] std::size_t size() const noexcept { return slots_.size() - free_.size(); }
    /// Every record that is there.
    template <class F>
    void each(F&& f) {
        for (T& t : slots_)
            if (t.self) f(t);
    }

  private:
    std::deque<T> slots_;  // so that references stay
    std::vector<std::uint32_t> generations_;
    std::vector<std::uint32_t> free_;
};

struct link {
    static constexpr std::uint32_t out = nil - 1;  ///< as prev: in no list
    std::uint32_t prev = out, next = nil;
    [[nodiscard]] bool in() const noexcept { return prev != out; }
};

/// Oldest first. `Member` is the link, so a record is in one list at a time for each link it has.
template <class T, link T::*Member>
class index_list {
  public:
    template <class Table>
    void push_back(Table& all, T& t) {
        link& l = t.*Member;
        HEARTH_ASSERT(!l.in());
        l = {tail_, nil};
        (tail_ == nil ? head_ : (all[tail_].*Member).next) = t.self.index;
        tail_ = t.self.index;
        ++size_;
    }
    /// After the last one that is not younger; usually at or near the end.
    template <class Table>
    void insert_by_since(Table& all, T& t) {
        std::uint32_t after = tail_;
        while (after != nil && t.since < all[after].since) after = (all[after].*Member).prev;
        if (after == tail_) return push_back(all, t);
        link& l = t.*Member;
        HEARTH_ASSERT(!l.in());
        const std::uint32_t before = after == nil ? head_ : (all[after].*Member).next;
        l = {after, before};
        (after == nil ? head_ : (all[after].*Member).next) = t.self.index;
        (all[before].*Member).prev = t.self.index;
        ++size_;
    }
    template <class Table>
    void erase(Table& all, T& t) {
        link& l = t.*Member;
        if (!l.in()) return;
        (l.prev == nil ? head_ : (all[l.prev].*Member).next) = l.next;
        (l.next == nil ? tail_ : (all[l.next].*Member).prev) = l.prev;
        l = {};
        --size_;
    }
    [[nodiscard]] std::uint32_t front() const noexcept { return head_; }
    [[nodiscard]] std::uint32_t back() const noexcept { return tail_; }
    [[nodiscard]] bool empty() const noexcept { return head_ == nil; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

  private:
    std::uint32_t head_ = nil, tail_ = nil;
    std::size_t size_ = 0;
};

/// Records by a time that may only lie too early (a lower bound): raising a key is left until the
/// record comes to the top. So what moves its time forward again and again costs nothing here.
template <class T>
class due_heap {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    /// `t` is not due before `at`.
    template <class Table>
    void lower(Table& all, T& t, time_point at) {
        if (t.heap_at == nil) {
            t.heap_at = static_cast<std::uint32_t>(entries_.size());
            entries_.push_back({at, t.self.index});
        } else if (entries_[t.heap_at].at > at) {
            entries_[t.heap_at].at = at;
        } else {
            return;
        }
        up(all, t.heap_at);
    }
    template <class Table>
    void remove(Table& all, T& t) {
        if (t.heap_at == nil) return;
        const std::uint32_t at = t.heap_at;
        t.heap_at = nil;
        const entry last = entries_.back();
        entries_.pop_back();
        if (at == entries_.size()) return;
        put(all, at, last);
        up(all, at);
        down(all, all[last.index].heap_at);
    }
    /// The record due first, after its key has been set right by `when(record)`; time_point::max()
    /// takes it out. Nil: none.
    template <class Table, class When>
    std::uint32_t top(Table& all, When&& when) {
        while (!entries_.empty()) {
            const entry first = entries_.front();
            const time_point at = when(all[first.index]);
            if (at == first.at && at != time_point::max()) return first.index;
            if (at == time_point::max()) {
                remove(all, all[first.index]);
            } else {
                entries_.front().at = at;
                down(all, 0);
            }
        }
        return nil;
    }
    /// When the top is due; right only just after `top`.
    [[nodiscard]] time_point at() const noexcept { return entries_.front().at; }
    /// Nothing is due before.
    [[nodiscard]] time_point bound() const noexcept {
        return entries_.empty() ? time_point::max() : entries_.front().at;
    }

  private:
    struct entry {
        time_point at;
        std::uint32_t index;
    };
    template <class Table>
    void put(Table& all, std::uint32_t at, entry e) {
        entries_[at] = e;
        all[e.index].heap_at = at;
    }
    template <class Table>
    void up(Table& all, std::uint32_t at) {
        const entry e = entries_[at];
        for (; at > 0 && e.at < entries_[(at - 1) / 2].at; at = (at - 1) / 2)
            put(all, at, entries_[(at - 1) / 2]);
        put(all, at, e);
    }
    template <class Table>
    void down(Table& all, std::uint32_t at) {
        const entry e = entries_[at];
        const auto size = static_cast<std::uint32_t>(entries_.size());
        for (std::uint32_t child; (child = 2 * at + 1) < size; at = child) {
            if (child + 1 < size && entries_[child + 1].at < entries_[child].at) ++child;
            if (entries_[child].at >= e.at) break;
            put(all, at, entries_[child]);
        }
        put(all, at, e);
    }

    std::vector<entry> entries_;
};

}  // namespace hearth::pool
