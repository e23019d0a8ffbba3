#include "control/shard_poller.hpp"

#include "control/backoff.hpp"
#include "control/item_failures.hpp"

#include <boost/json.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <set>
#include <utility>

namespace hearth::control {

std::string_view to_string(shard_poller::condition c) noexcept {
    return c == shard_poller::condition::retry_attempts_exhausted ? "RetryAttemptsExhausted"
                                                                  : "RecordAgeExceeded";
}

// ---- Windows ----

namespace {

constexpr std::string_view start_member = "{\"start\":", state_member = ",\"state\":";

std::string iso_time(std::int64_t ms) {
    return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(ms / 1000)));
}

}  // namespace

std::string shard_poller::open_window::note() const {
    return fmt::format("{}{}{}{}}}", start_member, start_ms, state_member, state);
}

std::optional<shard_poller::open_window> shard_poller::read_note(std::string_view note) {
    open_window w;
    if (!note.starts_with(start_member) || !note.ends_with('}')) return std::nullopt;
    note.remove_prefix(start_member.size());
    note.remove_suffix(1);
    const auto [end, ec] = std::from_chars(note.data(), note.data() + note.size(), w.start_ms);
    note.remove_prefix(static_cast<std::size_t>(end - note.data()));
    if (ec != std::errc() || !note.starts_with(state_member)) return std::nullopt;
    w.state = note.substr(state_member.size());
    w.is_early = w.state.size() > max_state;
    return w;
}

void shard_poller::resume(std::string last, std::optional<open_window> window) {
    done_ = kept_ = std::move(last);
    window_ = std::move(window);
    kept_note_ = note();
}

std::optional<std::string> shard_poller::state_in(std::string_view payload) {
    boost::json::error_code failed;
    boost::json::parse_options options;
    options.max_depth = 512;
    const boost::json::value said =
        boost::json::parse({payload.data(), payload.size()}, failed, {}, options);
    if (failed || !said.is_object()) return std::nullopt;
    const boost::json::value* const state = said.get_object().if_contains("state");
    if (!state || state->is_null()) return std::nullopt;
    return boost::json::serialize(*state);
}

std::int64_t shard_poller::window_of(std::uint64_t number) {
    const std::int64_t length = std::chrono::milliseconds(settings_.tumbling).count();
    const std::int64_t arrived = at(number).what.arrived_ms;
    return arrived - arrived % length;
}

bool shard_poller::turn_window(lane& l, time_point now) {
    if (!window_) {
        if (l.waiting.empty()) return true;
        const record& first = at(l.waiting.front()).what;
        window_.emplace();
        window_->start_ms = window_of(l.waiting.front());
        window_->end = first.arrived +
                       std::chrono::milliseconds(window_->start_ms - first.arrived_ms) +
                       settings_.tumbling;
        return false;
    }
    bool is_over = window_->is_early || (l.waiting.empty() && progress_ != progress::reading);
    if (!is_over && !l.waiting.empty()) {
        is_over = window_of(l.waiting.front()) != window_->start_ms;
    } else if (!is_over) {
        // Nothing has come that was put before it ended.
        const time_point over = std::max(window_->end, read_at_) + window_patience;
        is_over = reading_ && now >= over;
        if (!is_over) {
            wake_at(over > now ? over : now + window_patience);
            return true;
        }
    }
    if (!is_over) return false;
    l.batches.push_back({.id = ++last_batch_, .is_final = true});
    return true;
}

// ---- What happened ----

void shard_poller::on_read(std::vector<record> records, bool is_end, time_point now) {
    reading_ = cancelled_ = false;
    if (stopped_) return;
    read_at_ = now;
    if (is_end) progress_ = progress::read;
    for (record& r : records) {
        const std::uint64_t number = base_ + records_.size();
        const bool is_wanted = !r.text.empty();
        bytes_ += r.text.size();
        const std::size_t to = r.key_hash % lanes_.size();
        records_.push_back({std::move(r), now + settings_.window, !is_wanted});
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
    std::optional<std::string> state;
    if (has_windows() && !b.is_final && a.how == outcome::answered) state = state_in(a.payload);
    if (a.how == outcome::failed || (has_windows() && !b.is_final && !state))
        first = 0;
    else if (settings_.reports_items && !b.is_final)
        first = first_failure(b, a.payload);
    std::string().swap(a.payload);  // nobody asks for it again
    b.last = std::move(a);
    // It is of those that are done with.
    if (state && first != std::size_t{0}) {
        window_->state = std::move(*state);
        window_->is_early = window_->state.size() > max_state;
    }
    if (first) return fail(*l, *first, now);
    if (b.is_final) window_.reset();
    finish_batch(*l);
}

void shard_poller::fail(lane& l, std::size_t first, time_point now) {
    batch& b = l.batches.front();
    for (std::size_t i = 0; i < first; ++i) finish(b.records[i]);
    b.records.erase(b.records.begin(), b.records.begin() + static_cast<std::ptrdiff_t>(first));
    counted_.failed += b.records.size();
    b.not_before = now + backoff(min_backoff, max_backoff, b.retries + 1);
    if (settings_.bisects && first > 0) return;  // where the function said
    if (!settings_.bisects || b.records.size() <= 1) {
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
        kept_.clear(), kept_note_.clear();
        if (progress_ == progress::ending) progress_ = progress::read;
    } else if (progress_ == progress::ending) {
        progress_ = progress::kept;
    }
}

// ---- What is to be done ----

std::string shard_poller::payload_of(const batch& b) {
    std::string event = records_event(
        b.records, [&](std::uint64_t each) -> const std::string& { return at(each).what.text; });
    if (!window_) return event;
    event.pop_back();
    const std::int64_t length = std::chrono::milliseconds(settings_.tumbling).count();
    return event + fmt::format(R"(,"window":{{"start":"{}","end":"{}"}},"state":{},{},)"
                               R"("isFinalInvokeForWindow":{},"isWindowTerminatedEarly":{}}})",
                               iso_time(window_->start_ms), iso_time(window_->start_ms + length),
                               window_->state, settings_.origin, b.is_final,
                               b.is_final && window_->is_early);
}

void shard_poller::form_batch(lane& l, time_point now) {
    if (has_windows() && turn_window(l, now)) return;
    if (l.waiting.empty()) return;
    std::size_t n = 0, size = records_frame;
    if (window_) size += window_->state.size() + settings_.origin.size() + 256;
    bool is_full = false;
    for (const std::uint64_t each : l.waiting) {
        size += at(each).what.text.size() + 1;
        is_full = n == settings_.batch_size || (n > 0 && size > max_payload) ||
                  (window_ && window_of(each) != window_->start_ms);
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
    if (!has_windows() && settings_.max_retries && b.retries > *settings_.max_retries)
        return give_up(l, b.records.size(), condition::retry_attempts_exhausted, todo);
    if (b.not_before > now) return wake_at(b.not_before);
    if (!has_windows() && settings_.max_age) {
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
    if (!b.records.empty())
        iterator_age_ = std::max(std::chrono::milliseconds(),
                                 std::chrono::duration_cast<std::chrono::milliseconds>(
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
    while (!records_.empty() && records_.front().is_done) {
        done_ = std::move(records_.front().what.sequence_number);
        records_.pop_front();
        ++base_;
    }
    if (settling_) return;
    const bool is_end = progress_ == progress::read && records_.empty() && !window_;
    std::string noted = note();
    if (!is_end && done_ == kept_ && noted == kept_note_) return;
    // A window that has begun without an answer yet begins again another time.
    if (!is_end && done_.empty()) return;
    if (no_checkpoint_before_ > now) {
        // Of one that was stopped it is given up: what follows is done again.
        if (!stopped_) wake_at(no_checkpoint_before_);
        return;
    }
    settling_ = true;
    kept_ = done_;
    kept_note_ = noted;
    if (is_end) progress_ = progress::ending;
    todo.emplace_back(checkpoint{is_end ? std::string() : done_, std::move(noted)});
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
    if (waiting_ >= room || records_.size() >= std::max(max_window * room, min_window)) return todo;
    if (no_read_before_ > now) {
        wake_at(no_read_before_);
        return todo;
    }
    reading_ = true;
    todo.emplace_back(read{room - waiting_});
    return todo;
}

}  // namespace hearth::control
