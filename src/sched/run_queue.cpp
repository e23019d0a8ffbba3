#include "sched/run_queue.hpp"

#include "base/assert.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace hearth::sched {
namespace {

/// Virtual time is nanoseconds times this over weight. With the remainder kept beside it the
/// division loses nothing; a weight of 1 spinning alone overflows after 4.5 years.
constexpr std::int64_t resolution = 64;
__extension__ using wide = __int128;

constexpr std::int64_t floor_div(std::int64_t a, std::int64_t b) noexcept {
    return a / b - (a % b < 0 ? 1 : 0);
}

/// What `cpu` costs in virtual time.
std::int64_t span(nanoseconds cpu, std::uint32_t weight) noexcept {
    return cpu.count() * resolution / weight;
}

/// What anybody may be owed though it did not wait: it is not asked at every moment.
constexpr int most_owed_slices = 2;

}  // namespace

// --- heaps --------------------------------------------------------------------------------------

struct run_queue::by_deadline {
    static auto key(const entity& e) noexcept { return std::tuple(e.deadline_, e.waits_since_); }
};
struct run_queue::by_time {
    static auto key(const entity& e) noexcept { return std::tuple(e.time_, e.waits_since_); }
};
struct run_queue::by_release {
    static auto key(const entity& e) noexcept { return e.released_at_; }
};

template <class Order>
void run_queue::push(heap& h, entity& e) noexcept {
    e.position_ = h.size();
    h.push_back(&e);  // `add` reserved the room
    sift<Order>(h, e.position_);
}

template <class Order>
void run_queue::erase(heap& h, const entity& e) noexcept {
    const std::size_t at = e.position_;
    entity* const last = h.back();
    h.pop_back();
    if (last == &e) return;
    h[at] = last;
    last->position_ = at;
    sift<Order>(h, at);
}

/// Moves the one at `at` up or down to where it belongs.
template <class Order>
void run_queue::sift(heap& h, std::size_t at) noexcept {
    entity* const e = h[at];
    const auto key = Order::key(*e);
    const auto put = [&h](std::size_t place, entity* x) {
        h[place] = x;
        x->position_ = place;
    };
    while (at > 0) {
        const std::size_t parent = (at - 1) / 2;
        if (!(key < Order::key(*h[parent]))) break;
        put(at, h[parent]);
        at = parent;
    }
    for (;;) {
        std::size_t child = 2 * at + 1;
        if (child >= h.size()) break;
        if (child + 1 < h.size() && Order::key(*h[child + 1]) < Order::key(*h[child])) ++child;
        if (!(Order::key(*h[child]) < key)) break;
        put(at, h[child]);
        at = child;
    }
    put(at, e);
}

// --- virtual time -------------------------------------------------------------------------------

void run_queue::join(const entity& e) noexcept {
    excess_ += e.weight_ * (e.time_ - average_);
    weight_ += e.weight_;
    settle();
}

void run_queue::leave(const entity& e) noexcept {
    excess_ -= e.weight_ * (e.time_ - average_);
    weight_ -= e.weight_;
    settle();
}

void run_queue::settle() noexcept {
    if (weight_ == 0) {
        excess_ = 0;
        return;
    }
    const std::int64_t step = floor_div(excess_, weight_);
    average_ += step;
    excess_ -= step * weight_;
}

/// `e` is active. Less than nothing corrects a charge that was too high.
void run_queue::charge(entity& e, nanoseconds cpu) noexcept {
    const std::int64_t scaled = cpu.count() * resolution + e.remainder_;
    const std::int64_t step = floor_div(scaled, e.weight_);
    e.remainder_ = scaled - step * e.weight_;
    e.time_ += step;
    excess_ += e.weight_ * step;
    settle();
}

/// What runs now is charged before its `ran`, or the average would stand still during a long run
/// and a newcomer placed at it would be owed all of that run.
void run_queue::charge_running(time_point now) noexcept {
    if (now - charged_at_ < options_.granularity / 4) return;
    charged_at_ = now;
    for (entity* e : running_) {
        const nanoseconds ran = now - e->since_;
        charge(*e, ran - e->charged_);
        e->charged_ = ran;
    }
    for (entity* e : running_) forgive(*e);
}

/// Nobody is owed more than the time it had to wait, of which the last few slices count; what the
/// average says beyond is forgotten. That is what makes weights work which N threads cannot serve
/// (one above 1/N of all): the average follows the others, who share the remaining threads.
void run_queue::forgive(entity& e) noexcept {
    if (weight_ == e.weight_) return;
    if (e.time_ >= average_) {
        e.waited_ = nanoseconds::zero();
        return;
    }
    const std::int64_t most = span(most_owed_slices * options_.slice, e.weight_) +
                              std::min(span(e.waited_, e.weight_), 2 * head_start());
    const std::int64_t over = average_ - e.time_ - most;
    if (over <= 0) return;
    // Moving it moves the average too, by its part of the weight.
    const auto step = static_cast<std::int64_t>(wide{over} * weight_ / (weight_ - e.weight_));
    e.time_ += step;
    excess_ += e.weight_ * step;
    settle();
}

// --- states -------------------------------------------------------------------------------------

run_queue::run_queue(const run_queue_options& options) : options_(options) {
    HEARTH_ASSERT(options.threads > 0 && options.slice.count() > 0 &&
                  options.granularity.count() >= 0 && options.period.count() > 0);
}

void run_queue::add(entity& e, std::uint32_t weight, nanoseconds quota) {
    HEARTH_ASSERT(e.state_ == entity::state::out && weight > 0 && quota.count() >= 0);
    const std::size_t room = size_ + 1;
    for (heap* h : {&eligible_, &ahead_, &throttled_, &running_})
        if (h->capacity() < room) h->reserve(std::max(room, 2 * h->capacity()));
    ++size_;
    e.state_ = entity::state::asleep;
    e.weight_ = weight;
    e.quota_ = quota < options_.period ? quota : nanoseconds::zero();
    e.time_ = average_;
    e.owed_ = 0;
    e.remainder_ = 0;
    e.cpu_time_ = e.used_ = nanoseconds::zero();
    e.period_start_ = {};
}

void run_queue::remove(entity& e) noexcept {
    if (e.state_ == entity::state::out) return;
    if (e.state_ == entity::state::running) {
        take_off(e);
        leave(e);
    } else {
        sleep(e);
    }
    e.state_ = entity::state::out;
    --size_;
}

void run_queue::wake(entity& e, time_point now) noexcept {
    if (e.state_ != entity::state::asleep) return;
    charge_running(now);
    admit(e, now, true);
}

void run_queue::sleep(entity& e) noexcept {
    switch (e.state_) {
        case entity::state::eligible:
        case entity::state::ahead:
            dequeue(e);
            park(e);
            break;
        case entity::state::throttled:
            erase<by_release>(throttled_, e);
            break;
        default:
            return;
    }
    e.state_ = entity::state::asleep;
}

/// By how much who wakes comes before those who ask for a whole slice and may be a slice behind:
/// two slices of an average weight. It is order only, what it runs is charged: who keeps coming
/// falls behind all the same.
std::int64_t run_queue::head_start() const noexcept {
    const auto active = static_cast<std::int64_t>(waiting() + running()) + 1;
    return 2 * (options_.slice.count() * resolution * active / weight_);
}

/// From asleep or throttled to waiting, or to throttled while its quota is used up.
void run_queue::admit(entity& e, time_point now, bool woken) noexcept {
    refill(e, now);
    if (e.quota_.count() > 0 && e.used_ >= e.quota_) {
        e.state_ = entity::state::throttled;
        e.released_at_ = e.period_start_ + (e.used_ / e.quota_) * options_.period;
        push<by_release>(throttled_, e);
        return;
    }
    // Debt stays until the others have caught up; credit is what it was owed when it left.
    e.time_ = std::max(e.time_, average_ - e.owed_);
    join(e);
    if (woken) {
        e.deadline_ = e.time_ - head_start();
    } else {
        renew(e);
    }
    e.waits_since_ = now;
    enqueue(e, now);
    preempt_for(e, now);
}

/// `e` is active.
void run_queue::enqueue(entity& e, time_point now) noexcept {
    if (e.time_ <= average_) {
        e.state_ = entity::state::eligible;
        push<by_deadline>(eligible_, e);
    } else {
        e.state_ = entity::state::ahead;
        push<by_time>(ahead_, e);
    }
    bound_running(now);
}

/// It got what it asked for, and asks for another slice.
void run_queue::renew(entity& e) const noexcept {
    if (e.time_ >= e.deadline_) e.deadline_ = e.time_ + span(options_.slice, e.weight_);
}

void run_queue::dequeue(entity& e) noexcept {
    if (e.state_ == entity::state::eligible)
        erase<by_deadline>(eligible_, e);
    else
        erase<by_time>(ahead_, e);
}

/// Active no more. Credit lasts, at most a slice of it.
void run_queue::park(entity& e) noexcept {
    e.owed_ = std::clamp<std::int64_t>(average_ - e.time_, 0, span(options_.slice, e.weight_));
    e.waited_ = nanoseconds::zero();
    leave(e);
}

void run_queue::take_off(entity& e) noexcept {
    entity* const last = running_.back();
    running_[e.position_] = last;
    last->position_ = e.position_;
    running_.pop_back();
}

/// Its quota of the periods that began since. What it ran too much stays used.
void run_queue::refill(entity& e, time_point now) const noexcept {
    if (e.quota_.count() == 0) return;
    if (e.period_start_ == time_point{}) e.period_start_ = now;
    const auto periods = (now - e.period_start_) / options_.period;
    if (periods <= 0) return;
    e.period_start_ += periods * options_.period;
    if (e.used_ / e.quota_ < periods)
        e.used_ = nanoseconds::zero();
    else
        e.used_ -= periods * e.quota_;
}

void run_queue::release_throttled(time_point now) noexcept {
    while (!throttled_.empty() && throttled_.front()->released_at_ <= now) {
        entity& e = *throttled_.front();
        erase<by_release>(throttled_, e);
        e.state_ = entity::state::asleep;
        admit(e, now, false);
    }
}

// --- decisions ----------------------------------------------------------------------------------

run_queue::choice run_queue::pick(time_point now) noexcept {
    charge_running(now);
    release_throttled(now);
    while (!ahead_.empty() && ahead_.front()->time_ <= average_) {
        entity& e = *ahead_.front();
        erase<by_time>(ahead_, e);
        e.state_ = entity::state::eligible;
        push<by_deadline>(eligible_, e);
    }
    // With several threads all who wait may be ahead of those that run.
    if (!has_work()) return {};
    entity& e = eligible_.empty() ? *ahead_.front() : *eligible_.front();
    dequeue(e);
    e.state_ = entity::state::running;
    e.position_ = running_.size();
    running_.push_back(&e);
    e.stopping_ = e.told_ = false;
    e.since_ = now;
    e.charged_ = nanoseconds::zero();
    e.waited_ += now - e.waits_since_;
    e.stop_at_ = contended() ? now + options_.slice : never;
    e.quota_at_ = never;
    if (e.quota_.count() > 0) {
        refill(e, now);
        e.quota_at_ = now + (e.quota_ - e.used_);
    }
    const time_point until = std::min(e.stop_at_, e.quota_at_);
    return {&e, until == never ? unbounded : until - now};
}

void run_queue::ran(entity& e, nanoseconds cpu, time_point now, then next) noexcept {
    HEARTH_ASSERT(e.state_ == entity::state::running);
    charge_running(now);
    charge(e, cpu - e.charged_);
    e.cpu_time_ += cpu;
    forgive(e);
    take_off(e);
    if (e.quota_.count() > 0) {
        // What it ran in the period under way counts there, the rest before.
        const auto boundary =
            e.period_start_ + (now - e.period_start_) / options_.period * options_.period;
        const nanoseconds here = std::clamp(now - boundary, nanoseconds::zero(), cpu);
        e.used_ += cpu - here;
        refill(e, now);
        e.used_ += here;
    }
    if (next == then::sleeps) {
        park(e);
        e.state_ = entity::state::asleep;
    } else if (e.quota_.count() > 0 && e.used_ >= e.quota_) {
        park(e);
        admit(e, now, false);
    } else {
        renew(e);
        e.waits_since_ = now;
        enqueue(e, now);
    }
}

/// Somebody waits: who ran without an end gets one. Not all at the same moment.
void run_queue::bound_running(time_point now) noexcept {
    if (!contended()) return;
    const auto apart = options_.slice / static_cast<std::int64_t>(options_.threads);
    std::int64_t n = 0;
    for (entity* r : running_)
        if (r->stop_at_ == never && !r->told_)
            r->stop_at_ = std::max(r->since_ + options_.slice, now + apart * n++);
}

/// `e` waits: whoever asks for the latest deadline makes room for it, if later than its own.
void run_queue::preempt_for(const entity& e, time_point now) noexcept {
    if (e.state_ != entity::state::eligible || !contended()) return;
    entity* victim = nullptr;
    std::int64_t latest = e.deadline_;
    for (entity* r : running_) {
        if (r->stopping_ || r->told_) continue;
        const std::int64_t deadline =
            r->time_ < r->deadline_ ? r->deadline_ : r->time_ + span(options_.slice, r->weight_);
        if (deadline > latest) {
            victim = r;
            latest = deadline;
        }
    }
    if (!victim) return;
    victim->stopping_ = true;
    victim->stop_at_ =
        std::min(victim->stop_at_, std::max(now, victim->since_ + options_.granularity));
}

time_point run_queue::next_due() const noexcept {
    time_point due = throttled_.empty() ? never : throttled_.front()->released_at_;
    for (const entity* r : running_)
        if (!r->told_) due = std::min({due, r->stop_at_, r->quota_at_});
    return due;
}

run_queue::entity* run_queue::take_due(time_point now) noexcept {
    charge_running(now);
    release_throttled(now);
    for (entity* r : running_) {
        if (r->told_) continue;
        if (r->stop_at_ <= now && !contended()) {  // who waited is gone
            r->stop_at_ = never;
            r->stopping_ = false;
        }
        if (r->stop_at_ <= now || r->quota_at_ <= now) {
            r->told_ = true;
            return r;
        }
    }
    return nullptr;
}

nanoseconds run_queue::quota_of(byte_count memory) const noexcept {
    const std::uint64_t mib = memory.mebibytes();
    if (mib == 0 || mib >= mebibytes_per_vcpu) return nanoseconds::zero();
    return options_.period * static_cast<std::int64_t>(mib) /
           static_cast<std::int64_t>(mebibytes_per_vcpu);
}

}  // namespace hearth::sched
