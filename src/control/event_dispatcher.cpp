#include "control/event_dispatcher.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>

#include <time.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

namespace hearth::control {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

/// The wall clock may be set: the timer looks at it this often at least.
constexpr milliseconds longest_sleep{30'000};
/// The CPU use of this process is measured over this at least.
constexpr milliseconds cpu_window{100};
/// What the disk refused is tried again after this.
constexpr milliseconds again_after{1000};

}  // namespace

event_dispatcher::event_dispatcher(
    event_store& store, event_writer& writer, event_target& target, event_policy policy, clock now)
    : store_(store),
      writer_(writer),
      target_(target),
      policy_([&] {
          policy.max_in_flight = std::max<std::size_t>(policy.max_in_flight, 1);
          return policy;
      }()),
      now_(std::move(now)),
      timer_(thread_.get_executor()) {}

void event_dispatcher::start() {
    asio::post(thread_, [this] { visit_lanes([this](const std::string& name) { pump(name); }); });
}

event_dispatcher::~event_dispatcher() { stop(); }

void event_dispatcher::stop() {
    paused_ = true;
    asio::post(thread_, [this] { timer_.cancel(); });
    // Every delivery under way counts as work on the thread until its handler has been called.
    thread_.join();
}

void event_dispatcher::notify(std::string_view name) {
    const std::scoped_lock lock(notices_mutex_);
    notices_.emplace(name);
    if (!std::exchange(notices_posted_, true)) asio::post(thread_, [this] { take_notices(); });
}

void event_dispatcher::notify_function(std::string_view name) {
    asio::post(thread_, [this, name = std::string(name)] {
        visit_lanes([this, name](const std::string& each) {
            if (function_of(each) != name) return;
            if (const auto at = lanes_.find(each); at != lanes_.end()) {
                at->second.look = true;
                at->second.flow.retry_now();
            }
            pump(each);
        });
    });
}

void event_dispatcher::visit_lanes(std::function<void(const std::string&)> visit) {
    if (paused_) return;
    const auto names = store_.lanes();
    if (names.has_error()) {
        target_.tell(names.error().message());
        auto later = std::make_shared<asio::steady_timer>(thread_, again_after);
        later->async_wait([this, later, visit = std::move(visit)](error_code) mutable {
            visit_lanes(std::move(visit));
        });
        return;
    }
    for (const std::string& name : *names) visit(name);
}

void event_dispatcher::take_notices() {
    std::set<std::string, std::less<>> names;
    {
        const std::scoped_lock lock(notices_mutex_);
        names.swap(notices_);
        notices_posted_ = false;
    }
    for (const std::string& name : names) {
        if (const auto at = lanes_.find(name); at != lanes_.end()) at->second.look = true;
        pump(name);
    }
}

void event_dispatcher::pump(const std::string& name) {
    if (paused_) return;
    lane& l = lanes_.try_emplace(name, policy_).first->second;
    const event_time now = now_();
    if (l.next_due && *l.next_due <= now) l.look = true;
    if (!l.look) {
        if (l.known.empty() && !l.next_due) return erase(name, l);
        return set_alarm(name, l, l.next_due);
    }
    const std::size_t room = l.flow.room(now, has_spare_cpu());
    if (room == 0) return set_alarm(name, l, l.flow.resume_at());
    if (events_ >= policy_.max_in_flight || bytes_ >= max_bytes_in_flight) return starve(name, l);

    const event_target::state state = target_.look(name);
    if (!state.known) {
        // Its function was deleted, or is one that only `deploy` brings back, which notifies. What
        // is with a function has its own end.
        event_change stale;
        stale.drop_function = function_of(name);
        stale.spare_awaiting = true;
        l.look = false;
        l.next_due.reset();
        if (l.known.empty())
            erase(name, l);
        else
            set_alarm(name, l, std::nullopt);
        (void)writer_.submit(std::move(stale), false, [](const error&) {});
        return;
    }
    const std::size_t want = std::min(room, policy_.max_in_flight - events_);
    auto read = store_.read(name, now, want, max_bytes_in_flight - bytes_, l.known);
    if (read.has_error()) {
        target_.tell(read.error().message());
        return set_alarm(name, l, now + again_after);
    }
    l.next_due = read->next_due;
    l.look = read->next_due && *read->next_due <= now;
    for (queued_event& e : read->events) deliver(name, l, std::move(e), state);
    if (l.look && l.flow.room(now, false) > 0) return starve(name, l);
    if (l.look) return set_alarm(name, l, l.flow.resume_at());
    if (l.known.empty() && !l.next_due) return erase(name, l);
    set_alarm(name, l, l.next_due);
}

void event_dispatcher::deliver(const std::string& name,
                               lane& l,
                               queued_event given,
                               const event_target::state& state) {
    const event_time now = now_();
    l.known.insert(given.id);
    l.flow.started(now);
    const auto e = std::make_shared<held_event>();
    static_cast<queued_event&>(*e) = std::move(given);
    e->bytes = e->payload.size();
    ++events_;
    bytes_ += e->bytes;
    if (state.admits && !too_old(*e, state.limits, now)) {
        target_.on_delivery(name, std::max(now - e->received, milliseconds(0)));
        target_.deliver(*e, asio::bind_executor(thread_.get_executor(),
                                                [this, a = attempt{name, e, state.limits, now}](
                                                    error failed, response r) {
                                                    on_answer(a, std::move(failed), std::move(r));
                                                }));
        return;
    }
    event_ending ending{.how = condition::event_age_exceeded, .deliveries = e->failures};
    if (!state.admits)
        ending = {.how = condition::retries_exhausted,
                  .deliveries = e->failures,
                  .failure = error(errc::throttled,
                                   "ReservedFunctionConcurrentInvocationLimitExceeded: the "
                                   "reserved concurrency is zero")};
    // Through the thread's queue, as an answer comes.
    asio::post(thread_, [this, name, e, ending = std::move(ending)]() mutable {
        if (const auto at = lanes_.find(name); at != lanes_.end()) at->second.flow.finished(now_());
        conclude(name, e, std::move(ending));
        pump(name);
    });
}

void event_dispatcher::on_answer(const attempt& a, error failed, response r) {
    held_event& e = *a.event;
    const delivery outcome = classify(failed, r);
    const event_time now = now_();
    if (const auto at = lanes_.find(a.name); at != lanes_.end()) {
        lane_flow& flow = at->second.flow;
        if (outcome == delivery::succeeded || outcome == delivery::function_error)
            flow.ran(now, now - a.started, has_spare_cpu());
        else if (outcome == delivery::throttled || outcome == delivery::interrupted)
            flow.held_back(now);
        else
            flow.finished(now);
    }
    const verdict v = judge(e, outcome, a.limits, policy_, now);
    if (const auto* end = std::get_if<ended>(&v)) {
        event_ending ending{.how = end->how, .deliveries = e.failures, .failure = failed};
        if (outcome != delivery::impossible) ++ending.deliveries;
        ending.last = std::move(r);
        e.bytes += ending.last.payload.size();
        bytes_ += ending.last.payload.size();
        conclude(a.name, a.event, std::move(ending));
    } else if (const auto* later = std::get_if<again>(&v)) {
        if (outcome == delivery::system_error)
            target_.tell("an event of " + a.name + " could not be delivered: " + failed.message());
        event_change change;
        change.postpone = {e.id, later->due, later->failures, later->setbacks};
        write(a.name, a.event, std::move(change));
    } else {
        forget(a.name, a.event, true);
    }
    pump(a.name);
}

void event_dispatcher::conclude(const std::string& name, const event_ptr& e, event_ending ending) {
    if (ending.how != condition::success) target_.on_dropped(name);
    target_.conclude(
        *e, std::move(ending),
        asio::bind_executor(thread_.get_executor(), [this, name, e](event_change change) {
            change.remove = e->id;
            write(name, e, std::move(change));
        }));
}

void event_dispatcher::write(const std::string& name, const event_ptr& e, event_change change) {
    // Kept for another try: on disk the event is what it was, so here it must stay known.
    auto kept = std::make_shared<event_change>(change);
    const auto written = [this, name, e, kept](const error& failed) {
        if (!failed.code()) {
            for (const queued_event& each : kept->add) notify(each.lane);
            return forget(name, e, kept->postpone.has_value());
        }
        target_.tell("what became of an event of " + name +
                     " could not be written: " + failed.message());
        auto later = std::make_shared<asio::steady_timer>(thread_, again_after);
        later->async_wait([this, later, name, e, kept](error_code) {
            if (!paused_) write(name, e, std::move(*kept));
        });
    };
    // Tracked work: `stop` waits for it.
    auto thread = asio::prefer(thread_.get_executor(), asio::execution::outstanding_work.tracked);
    // Refused only when the writer has stopped: then the event stays on disk as it is.
    (void)writer_.submit(std::move(change), false, [thread, written](const error& failed) {
        asio::post(thread, [written, failed] { written(failed); });
    });
}

void event_dispatcher::forget(const std::string& name, const event_ptr& e, bool may_be_due_again) {
    --events_;
    bytes_ -= e->bytes;
    if (const auto at = lanes_.find(name); at != lanes_.end()) {
        at->second.known.erase(e->id);
        lane& l = at->second;
        l.look = l.look || may_be_due_again;
        // What it has freed is for those that wait; it goes on behind them.
        if (l.look && !starved_.empty())
            starve(name, l);
        else
            pump(name);
    }
    feed_starved();
}

void event_dispatcher::feed_starved() {
    for (std::size_t i = starved_.size();
         i > 0 && events_ < policy_.max_in_flight && bytes_ < max_bytes_in_flight; --i) {
        const std::string next = std::move(starved_.front());
        starved_.pop_front();
        if (const auto at = lanes_.find(next); at != lanes_.end()) {
            at->second.starved = false;
            pump(next);
        }
    }
}

bool event_dispatcher::has_spare_cpu() {
    using namespace std::chrono;
    const auto time = steady_clock::now();
    const nanoseconds passed = time - measured_at_;
    if (passed < cpu_window) return spare_cpu_;
    timespec used{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    const nanoseconds cpu = seconds(used.tv_sec) + nanoseconds(used.tv_nsec);
    const auto there = passed * std::max(1u, std::thread::hardware_concurrency());
    spare_cpu_ = cpu - cpu_then_ < there / 4 * 3;
    measured_at_ = time;
    cpu_then_ = cpu;
    return spare_cpu_;
}

void event_dispatcher::starve(const std::string& name, lane& l) {
    // The end of any event in memory feeds those that wait, and there is one: else there was room.
    set_alarm(name, l, std::nullopt);
    if (!std::exchange(l.starved, true)) starved_.push_back(name);
}

void event_dispatcher::erase(const std::string& name, lane& l) {
    set_alarm(name, l, std::nullopt);
    lanes_.erase(lanes_.find(name));
}

void event_dispatcher::set_alarm(const std::string& name, lane& l, std::optional<event_time> at) {
    if (l.alarm == at) return;
    if (l.alarm) alarms_.erase({*l.alarm, name});
    l.alarm = at;
    if (at) alarms_.emplace(*at, name);
    arm_timer();
}

void event_dispatcher::arm_timer() {
    if (alarms_.empty() || paused_) return;
    const event_time first = alarms_.begin()->first;
    if (armed_for_ && *armed_for_ <= first) return;  // and then it looks again
    armed_for_ = first;
    timer_.expires_after(std::clamp(first - now_(), milliseconds(0), longest_sleep));
    timer_.async_wait([this](error_code cancelled) {
        if (!cancelled) on_timer();
    });
}

void event_dispatcher::on_timer() {
    const event_time now = now_();
    armed_for_.reset();
    while (!alarms_.empty() && alarms_.begin()->first <= now && !paused_) {
        const std::string name = alarms_.begin()->second;
        lane& l = lanes_.at(name);
        set_alarm(name, l, std::nullopt);
        l.look = true;
        pump(name);
    }
    arm_timer();
}

}  // namespace hearth::control
