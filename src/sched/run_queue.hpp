#pragma once

/// How runnable sandboxes share the vCPU threads: by weight, in slices. Decides only: without
/// clock, threads or I/O; time is an argument and never goes back. Not thread-safe: its owner's
/// lock guards it, and none of its calls blocks. Only `add` allocates.
///
/// The rule is EEVDF (Stoica and Abdel-Wahab, "Earliest Eligible Virtual Deadline First", 1995):
/// every entity has a virtual time that advances by what it ran over its weight; those not ahead of
/// the weighted average are eligible, and the one whose virtual deadline (a slice further) comes
/// first runs. Three things are added:
///  - Who is new or slept asks first for as little as possible, so that it gets on a thread at once
///    unless it is in debt; what it runs is charged all the same, so sleeping wins no share.
///  - With N threads a weight above 1/N of all cannot be served. Nobody is owed more
///    than the time it had to wait; so the others share the remaining threads by their weights.
///  - A quota per period (hard cap): who has used it is out until its next period.
///
/// The owner's part:
///     wake(e, now);                  // it is runnable
///     c = pick(now);                 // on a thread with nothing to do; run c.e
///     ran(*c.e, cpu, now, …);        // it came off: stopped by a kick, asleep, or done
///     at next_due(): while (entity* e = take_due(now)) kick(*e);    // one timer for all threads
/// next_due() may change with every call of the others; ask again after each.

#include <hearth/units.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace hearth::sched {

using time_point = std::chrono::steady_clock::time_point;
using std::chrono::nanoseconds;

/// 1,769 MB have one vCPU, as in Lambda.
inline constexpr std::uint64_t mebibytes_per_vcpu = 1769;

/// A function's weight: proportional to its memory.
[[nodiscard]] constexpr std::uint32_t weight_of(byte_count memory) noexcept {
    const std::uint64_t mib = memory.mebibytes();
    return mib == 0 ? 1 : mib > (1u << 24) ? 1u << 24 : static_cast<std::uint32_t>(mib);
}

struct run_queue_options {
    std::size_t threads = 1;
    nanoseconds slice = std::chrono::milliseconds(4);
    /// Who has run this long may be stopped before its slice is over, for one that is owed time.
    nanoseconds granularity = std::chrono::milliseconds(1);
    nanoseconds period = std::chrono::milliseconds(20);  ///< of quotas
};

class run_queue {
  public:
    static constexpr nanoseconds unbounded = nanoseconds::max();
    static constexpr time_point never = time_point::max();

    /// What runs. Stays where it is from add to remove.
    class entity {
      public:
        entity() = default;
        entity(const entity&) = delete;
        entity& operator=(const entity&) = delete;

        [[nodiscard]] bool queued() const noexcept { return state_ != state::out; }
        [[nodiscard]] bool running() const noexcept { return state_ == state::running; }
        [[nodiscard]] bool asleep() const noexcept { return state_ == state::asleep; }
        [[nodiscard]] bool throttled() const noexcept { return state_ == state::throttled; }
        /// All it ran, as `ran` said.
        [[nodiscard]] nanoseconds cpu_time() const noexcept { return cpu_time_; }

      protected:
        ~entity() = default;

      private:
        friend class run_queue;
        /// waiting: in `eligible_` or in `ahead_`.
        enum class state : unsigned char { out, asleep, eligible, ahead, throttled, running };

        state state_ = state::out;
        bool stopping_ = false;  ///< running: stops for one that is owed time
        bool told_ = false;      ///< running: take_due named it
        std::uint32_t weight_ = 1;
        std::size_t position_ = 0;    ///< in the heap or list its state names
        std::int64_t time_ = 0;       ///< virtual
        std::int64_t deadline_ = 0;   ///< virtual
        std::int64_t owed_ = 0;       ///< asleep, throttled: virtual time it was behind
        std::int64_t remainder_ = 0;  ///< of the division by its weight
        nanoseconds cpu_time_{};

        // Running.
        time_point since_;
        time_point stop_at_;     ///< never: until somebody waits
        time_point quota_at_;    ///< its quota may be used up
        nanoseconds charged_{};  ///< of this run, ahead of `ran`

        time_point waits_since_;
        nanoseconds waited_{};  ///< since it was last ahead of the average

        // Quota; none: 0.
        nanoseconds quota_{};
        nanoseconds used_{};  ///< in the period
        time_point period_start_;
        time_point released_at_;  ///< throttled
    };

    explicit run_queue(const run_queue_options& options);
    run_queue(const run_queue&) = delete;
    run_queue& operator=(const run_queue&) = delete;

    /// Asleep at first. `weight` > 0. `quota`: cpu time per period, 0: no cap.
    void add(entity& e, std::uint32_t weight, nanoseconds quota = {});
    /// From any state; what it ran since `pick` is not charged.
    void remove(entity& e) noexcept;

    /// It is runnable; harmless if it was. When all threads are busy, next_due says when one of
    /// them must be kicked for it.
    void wake(entity& e, time_point now) noexcept;
    /// It waits for no thread any more. Harmless when asleep; not for one that runs (`ran` does
    /// it).
    void sleep(entity& e) noexcept;

    struct choice {
        entity* e = nullptr;  ///< none: nobody waits
        /// After which it must be kicked if it still runs; counted in next_due.
        nanoseconds slice = unbounded;
    };
    /// Who runs next on a thread that is free; it is running from now on.
    [[nodiscard]] choice pick(time_point now) noexcept;

    enum class then { waits, sleeps };
    /// It came off its thread after `cpu` on it.
    void ran(entity& e, nanoseconds cpu, time_point now, then next = then::waits) noexcept;

    /// When take_due must be called: a slice ends, a quota is used up, a throttled one is let in
    /// again. `never`: no need.
    [[nodiscard]] time_point next_due() const noexcept;
    /// A running entity to kick now, each once a run; null: no more. After it, threads with nothing
    /// to do `pick` while has_work().
    [[nodiscard]] entity* take_due(time_point now) noexcept;

    /// Somebody waits for a thread.
    [[nodiscard]] bool has_work() const noexcept { return waiting() > 0; }
    [[nodiscard]] std::size_t waiting() const noexcept { return eligible_.size() + ahead_.size(); }
    [[nodiscard]] std::size_t running() const noexcept { return running_.size(); }
    [[nodiscard]] std::size_t throttled() const noexcept { return throttled_.size(); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

    /// The quota that caps a function at its share of vCPUs: 885 MB have half of each period. None
    /// (0) from one vCPU on: a sandbox has one.
    [[nodiscard]] nanoseconds quota_of(byte_count memory) const noexcept;

  private:
    /// Binary, entities know their places. `Order` is their key.
    using heap = std::vector<entity*>;
    struct by_deadline;
    struct by_time;
    struct by_release;
    template <class Order>
    static void push(heap& h, entity& e) noexcept;
    template <class Order>
    static void erase(heap& h, const entity& e) noexcept;
    template <class Order>
    static void sift(heap& h, std::size_t at) noexcept;

    void join(const entity& e) noexcept;
    void leave(const entity& e) noexcept;
    void settle() noexcept;
    void charge(entity& e, nanoseconds cpu) noexcept;
    void charge_running(time_point now) noexcept;
    void forgive(entity& e) noexcept;
    [[nodiscard]] std::int64_t head_start() const noexcept;

    void admit(entity& e, time_point now, bool woken) noexcept;
    void enqueue(entity& e, time_point now) noexcept;
    void dequeue(entity& e) noexcept;
    void renew(entity& e) const noexcept;
    void park(entity& e) noexcept;
    void take_off(entity& e) noexcept;
    void release_throttled(time_point now) noexcept;
    void refill(entity& e, time_point now) const noexcept;

    void bound_running(time_point now) noexcept;
    void preempt_for(const entity& e, time_point now) noexcept;
    [[nodiscard]] bool contended() const noexcept {
        return waiting() + running() > options_.threads;
    }

    const run_queue_options options_;
    std::size_t size_ = 0;

    // Virtual time is the weighted average of those active (waiting or running): the invariant is
    // excess_ = sum of weight * (time - average_), 0 <= excess_ < weight_ once settled.
    std::int64_t average_ = 0;
    std::int64_t excess_ = 0;
    std::int64_t weight_ = 0;

    heap eligible_;          // by virtual deadline
    heap ahead_;             // by virtual time
    heap throttled_;         // by release
    heap running_;           // no order
    time_point charged_at_;  // the running ones, last
};

}  // namespace hearth::sched
