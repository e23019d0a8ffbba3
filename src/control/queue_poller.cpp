#include "control/queue_poller.hpp"

#include "control/backoff.hpp"
#include "control/item_failures.hpp"
#include "control/lineage.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace hearth::control {

std::size_t queue_poller::allowed() const { return std::min(allowed_, settings_.concurrency); }

bool queue_poller::has_group(std::string_view group) const {
    return std::ranges::any_of(running_, [&](const auto& each) {
        return std::ranges::find(each.second.messages, group, &message::group_id) !=
               each.second.messages.end();
    });
}

void queue_poller::on_received(std::vector<message> messages,
                               std::vector<std::string> filtered_out,
                               time_point now) {
    receiving_ = cancelled_ = false;
    // A quiet queue begins anew.
    if (messages.empty() && filtered_out.empty())
        allowed_ = std::max(initial_concurrency, running_.size());
    std::ranges::move(filtered_out, std::back_inserter(to_remove_));
    for (message& m : messages) {
        bytes_ += m.record.size();
        const auto patience = std::min<time_point::duration>(
            settings_.window, std::max<time_point::duration>(m.hidden_until - now, {}) / 2);
        waiting_.push_back({std::move(m), now + patience});
    }
}

void queue_poller::on_receive_failed(time_point again) {
    receiving_ = cancelled_ = false;
    no_receive_before_ = again;
}

void queue_poller::forget(std::map<std::uint64_t, batch>::iterator b) {
    for (const message& m : b->second.messages) bytes_ -= m.record.size();
    running_.erase(b);
}

void queue_poller::on_invoked(std::uint64_t id,
                              outcome how,
                              std::string_view answer,
                              time_point now) {
    const auto at = running_.find(id);
    if (at == running_.end()) return;
    batch& b = at->second;
    if (how == outcome::throttled) {
        allowed_ = std::max<std::size_t>(allowed() / 2, 1);
        no_growth_before_ = now + throttle_memory;
        b.retry_at = now + backoff(min_backoff, max_backoff, ++b.attempts);
        const auto first = std::ranges::min(b.messages, {}, &message::hidden_until).hidden_until;
        // Somebody else may get them by then.
        if (*b.retry_at >= first) {
            counted_.failed += b.messages.size();
            forget(at);
        }
        return;
    }
    std::optional<std::set<std::string, std::less<>>> failed;
    if (how == outcome::answered) {
        if (settings_.reports_items) {
            std::set<std::string, std::less<>> ids;
            for (const message& m : b.messages) ids.insert(m.id);
            failed = item_failures(answer, ids);
        } else {
            failed.emplace();
        }
    }
    if (!failed) {
        counted_.failed += b.messages.size();
        allowed_ = std::max<std::size_t>(allowed() - 1, 2);
        no_growth_before_ = now + growth_interval;
    } else {
        for (message& m : b.messages)
            if (failed->contains(m.id))
                ++counted_.failed;
            else
                to_remove_.push_back(std::move(m.receipt_handle));
    }
    forget(at);
}

std::size_t queue_poller::ready(time_point now) const {
    std::size_t n = 0, size = records_frame;
    bool is_due = false;
    for (const arrival& each : waiting_) {
        // It was shown again while one of its group is with the function: after that one.
        if (settings_.is_fifo && has_group(each.what.group_id)) return 0;
        if (n == settings_.batch_size) return n;
        size += each.what.record.size() + 1;
        if (n > 0 && size > max_payload) return n;
        is_due = is_due || each.due <= now;
        ++n;
    }
    return is_due || n == settings_.batch_size ? n : 0;
}

void queue_poller::take_back(std::vector<message>& messages, std::vector<action>& to) {
    if (messages.empty()) return;
    release r;
    for (message& m : messages) {
        bytes_ -= m.record.size();
        r.receipt_handles.push_back(std::move(m.receipt_handle));
    }
    ++settling_;
    to.emplace_back(std::move(r));
}

std::vector<queue_poller::action> queue_poller::step(time_point now, bool may_receive) {
    std::vector<action> todo;
    wake_.reset();
    const auto wake_at = [&](time_point at) { wake_ = wake_ ? std::min(*wake_, at) : at; };

    if (!to_remove_.empty()) {
        ++settling_;
        todo.emplace_back(remove{std::exchange(to_remove_, {})});
    }
    if (stopped_) {
        if (receiving_ && !std::exchange(cancelled_, true)) todo.emplace_back(cancel_receive{});
        std::vector<message> back;
        for (arrival& each : waiting_) back.push_back(std::move(each.what));
        waiting_.clear();
        take_back(back, todo);
        for (auto b = running_.begin(); b != running_.end();) {
            const auto next = std::next(b);
            if (b->second.retry_at) {
                take_back(b->second.messages, todo);
                running_.erase(b);
            }
            b = next;
        }
        grow_at_.reset();
        return todo;
    }

    const auto send = [&](std::uint64_t id, const batch& b) {
        counted_.invoked += b.messages.size();
        std::vector<std::string_view> traces;
        for (const message& m : b.messages) traces.emplace_back(m.trace_header);
        todo.emplace_back(
            invoke{id, b.messages.size(),
                   records_event(b.messages,
                                 [](const message& m) -> const std::string& { return m.record; }),
                   merged_trace(traces)});
    };
    for (auto& [id, b] : running_) {
        if (!b.retry_at) continue;
        if (*b.retry_at > now) {
            wake_at(*b.retry_at);
            continue;
        }
        b.retry_at.reset();
        send(id, b);
    }
    const auto make_batches = [&] {
        while (running_.size() < allowed()) {
            const std::size_t n = ready(now);
            if (n == 0) break;
            batch b;
            for (std::size_t i = 0; i < n; ++i) {
                b.messages.push_back(std::move(waiting_.front().what));
                waiting_.pop_front();
            }
            const auto made = running_.emplace(++last_batch_, std::move(b)).first;
            send(made->first, made->second);
        }
    };
    make_batches();
    if (running_.size() < allowed()) {
        grow_at_.reset();
    } else if (allowed() < settings_.concurrency) {
        if (!grow_at_) grow_at_ = now + growth_interval;
        if (std::max(*grow_at_, no_growth_before_) <= now) {
            allowed_ = std::min(allowed() + growth, settings_.concurrency);
            grow_at_ = now + growth_interval;
            make_batches();
        }
        if (running_.size() >= allowed()) wake_at(std::max(*grow_at_, no_growth_before_));
    }
    const std::size_t slots = allowed() - std::min(allowed(), running_.size());
    // A FIFO queue's wait for others of their group, which end by themselves.
    if (slots > 0 && !settings_.is_fifo)
        for (const arrival& each : waiting_) wake_at(each.due);
    if (receiving_ || slots == 0 || !may_receive) return todo;
    if (no_receive_before_ > now) {
        wake_at(no_receive_before_);
        return todo;
    }
    std::size_t room = slots * settings_.batch_size;
    if (settings_.is_fifo) room = waiting_.empty() ? settings_.batch_size : 0;
    room -= std::min(room, waiting_.size());
    if (room == 0) return todo;
    receiving_ = true;
    todo.emplace_back(receive{std::min(room, max_receive)});
    return todo;
}

}  // namespace hearth::control
