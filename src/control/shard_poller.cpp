#include "control/shard_poller.hpp"

#include "control/backoff.hpp"
#include "control/item_failures.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace hearth::control {

std::string_view to_string(shard_poller::condition c) noexcept {
    return c == shard_poller::condition::retry_attempts_exhausted ? "RetryAttemptsExhausted"
                                                                  : "RecordAgeExceeded";
}

// ---- What happened ----

void shard_poller::on_read(std::vector<record> records, bool is_end, time_point now) {
    reading_ = cancelled_ = false;
    if (stopped_) return;
    if (is_end) progress_ = progress::read;
    for (record& r : records) {
        const std::uint64_t number = base_ + window_.size();
        const bool is_wanted = !r.text.empty();
        bytes_ += r.text.size();
        const std::size_t to = r.key_hash % lanes_.size();
        window_.push_back({std::move(r), now + settings_.window, !is_wanted});
        if (!is_wanted) continue;
        lanes_[to].waiting.push_back(number);
        ++waiting_;
    }
}

void shard_poller::on_read_failed(time_point again) {
    reading_ = cancelled_ = false;
    no_read_before_ = again;
}

shard_poller::lane* shard_poller::lane_of(std::uint64_t id) {
    const auto found = std::ranges::find_if(
        lanes_, [&](const lane& l) { return !l.batches.empty() && l.batches.front().id == id; });
    return found == lanes_.end() ? nullptr : &*found;
}

void shard_poller::let_go(std::uint64_t number) {
    std::string& text = at(number).what.text;
    bytes_ -= text.size();
    std::string().swap(text);  // an assignment would keep the memory
}

void shard_poller::finish(std::uint64_t number) {
    let_go(number);
    at(number).is_done = true;
}

void shard_poller::finish_batch(lane& l) {
    for (const std::uint64_t each : l.batches.front().records) finish(each);
    l.batches.pop_front();
}

void shard_poller::split_batch(lane& l, std::size_t n) {
    batch& front = l.batches.front();
    batch rest = front;
    const auto end = static_cast<std::ptrdiff_t>(n);
    rest.records.erase(rest.records.begin(), rest.records.begin() + end);
    front.records.resize(n);
    l.batches.insert(l.batches.begin() + 1, std::move(rest));
}

std::optional<std::size_t> shard_poller::first_failure(const batch& b, std::string_view said) {
    std::set<std::string, std::less<>> ids;
    for (const std::uint64_t each : b.records) ids.insert(at(each).what.sequence_number);
    const auto failed = item_failures(said, ids);
    if (!failed) return 0;
    if (failed->empty()) return std::nullopt;
    // Sequence numbers are of one length. What follows the lowest is done again.
    const auto first = std::ranges::find_if(b.records, [&](std::uint64_t each) {
        return at(each).what.sequence_number == *failed->begin();
    });
    return static_cast<std::size_t>(first - b.records.begin());
}

void shard_poller::on_invoked(std::uint64_t id, answer a, time_point now) {
    lane* const l = lane_of(id);
    if (!l || l->batches.front().is != batch::state::with_function) return;
    batch& b = l->batches.front();
    --running_, --busy_;
    b.is = batch::state::ready;
    if (a.how == outcome::throttled) {
        b.not_before = now + backoff(min_backoff, max_backoff, ++b.throttles);
        return;
    }
    ++b.invocations;
    b.throttles = 0;
    std::optional<std::size_t> first;
    if (a.how == outcome::failed)
        first = 0;
    else if (settings_.reports_items)
        first = first_failure(b, a.payload);
    std::string().swap(a.payload);  // nobody asks for it again
    b.last = std::move(a);
    if (first) return fail(*l, *first, now);
    finish_batch(*l);
}

void shard_poller::fail(lane& l, std::size_t first, time_point now) {
    batch& b = l.batches.front();
    for (std::size_t i = 0; i < first; ++i) finish(b.records[i]);
    b.records.erase(b.records.begin(), b.records.begin() + static_cast<std::ptrdiff_t>(first));
    counted_.failed += b.records.size();
    b.not_before = now + backoff(min_backoff, max_backoff, b.retries + 1);
    if (settings_.bisects && first > 0) return;  // where the function said
    if (!settings_.bisects || b.records.size() == 1) {
        ++b.retries;
        return;
    }
    split_batch(l, b.records.size() / 2);
}

void shard_poller::on_discarded(std::uint64_t id, bool is_kept) {
    lane* const l = lane_of(id);
    if (!l || l->batches.front().is != batch::state::being_discarded) return;
    batch& b = l->batches.front();
    --busy_;
    if (!is_kept) {
        b.is = batch::state::ready;
        return;
    }
    counted_.dropped += b.records.size();
    finish_batch(*l);
}

void shard_poller::on_checkpoint(std::optional<time_point> again) {
    settling_ = false;
    if (again) {
        no_checkpoint_before_ = *again;
        kept_.clear();
        if (progress_ == progress::ending) progress_ = progress::read;
    } else if (progress_ == progress::ending) {
        progress_ = progress::kept;
    }
}

// ---- What is to be done ----

std::string shard_poller::payload_of(const batch& b) {
    return records_event(
        b.records, [&](std::uint64_t each) -> const std::string& { return at(each).what.text; });
}

void shard_poller::form_batch(lane& l, time_point now) {
    if (l.waiting.empty()) return;
    std::size_t n = 0, size = records_frame;
    bool is_full = false;
    for (const std::uint64_t each : l.waiting) {
        size += at(each).what.text.size() + 1;
        is_full = n == settings_.batch_size || (n > 0 && size > max_payload);
        if (is_full) break;
        ++n;
    }
    is_full = is_full || n == settings_.batch_size || progress_ != progress::reading;
    if (const time_point due = at(l.waiting.front()).due; !is_full && due > now)
        return wake_at(due);
    const auto end = l.waiting.begin() + static_cast<std::ptrdiff_t>(n);
    l.batches.push_back({.id = ++last_batch_, .records = {l.waiting.begin(), end}});
    l.waiting.erase(l.waiting.begin(), end);
    waiting_ -= n;
}

void shard_poller::give_up(lane& l, std::size_t n, condition why, std::vector<action>& todo) {
    if (n < l.batches.front().records.size()) split_batch(l, n);
    batch& b = l.batches.front();
    b.id = ++last_batch_;
    b.is = batch::state::being_discarded;
    ++busy_;
    const record &first = at(b.records.front()).what, &last = at(b.records.back()).what;
    todo.emplace_back(discard{.batch = b.id,
                              .why = why,
                              .first = first.sequence_number,
                              .last = last.sequence_number,
                              .first_arrived = first.arrived,
                              .last_arrived = last.arrived,
                              .records = b.records.size(),
                              .invocations = b.invocations,
                              .last_answer = b.last,
                              .payload = payload_of(b)});
}

void shard_poller::run(lane& l, time_point now, std::vector<action>& todo) {
    if (l.batches.empty()) form_batch(l, now);
    if (l.batches.empty()) return;
    batch& b = l.batches.front();
    if (b.is != batch::state::ready) return;
    if (settings_.max_retries && b.retries > *settings_.max_retries)
        return give_up(l, b.records.size(), condition::retry_attempts_exhausted, todo);
    if (b.not_before > now) return wake_at(b.not_before);
    if (settings_.max_age) {
        const auto young = std::ranges::find_if(b.records, [&](std::uint64_t each) {
            return now - at(each).what.arrived <= *settings_.max_age;
        });
        if (young != b.records.begin())
            return give_up(l, static_cast<std::size_t>(young - b.records.begin()),
                           condition::record_age_exceeded, todo);
    }
    b.id = ++last_batch_;
    b.is = batch::state::with_function;
    ++running_, ++busy_;
    counted_.invoked += b.records.size();
    iterator_age_ =
        std::max(std::chrono::milliseconds(), std::chrono::duration_cast<std::chrono::milliseconds>(
                                                  now - at(b.records.back()).what.arrived));
    todo.emplace_back(invoke{b.id, payload_of(b)});
}

void shard_poller::step_back(std::vector<action>& todo) {
    if (reading_ && !std::exchange(cancelled_, true)) todo.emplace_back(cancel_read{});
    for (lane& l : lanes_) {
        waiting_ -= l.waiting.size();
        for (const std::uint64_t each : l.waiting) let_go(each);
        l.waiting.clear();
        const bool is_busy = !l.batches.empty() && l.batches.front().is != batch::state::ready;
        for (; l.batches.size() > (is_busy ? 1 : 0); l.batches.pop_back())
            for (const std::uint64_t each : l.batches.back().records) let_go(each);
    }
}

void shard_poller::settle(time_point now, std::vector<action>& todo) {
    while (!window_.empty() && window_.front().is_done) {
        done_ = std::move(window_.front().what.sequence_number);
        window_.pop_front();
        ++base_;
    }
    if (settling_) return;
    const bool is_end = progress_ == progress::read && window_.empty();
    if (!is_end && done_ == kept_) return;
    if (no_checkpoint_before_ > now) {
        // Of one that was stopped it is given up: what follows is done again.
        if (!stopped_) wake_at(no_checkpoint_before_);
        return;
    }
    settling_ = true;
    kept_ = done_;
    if (is_end) progress_ = progress::ending;
    todo.emplace_back(checkpoint{is_end ? std::string() : done_});
}

std::vector<shard_poller::action> shard_poller::step(time_point now, bool may_read) {
    std::vector<action> todo;
    wake_.reset();
    if (stopped_)
        step_back(todo);
    else
        for (lane& l : lanes_) run(l, now, todo);
    settle(now, todo);
    if (stopped_ || reading_ || progress_ != progress::reading || !may_read) return todo;
    const std::size_t room = settings_.batch_size * lanes_.size();
    if (waiting_ >= room || window_.size() >= std::max(max_window * room, min_window)) return todo;
    if (no_read_before_ > now) {
        wake_at(no_read_before_);
        return todo;
    }
    reading_ = true;
    todo.emplace_back(read{room - waiting_});
    return todo;
}

}  // namespace hearth::control
