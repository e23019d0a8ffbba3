#pragma once

/// The thread that owns a store in a database. Calls come to it as jobs; those that wait together
/// are one transaction (commit_queue.hpp), in which each has its own outcome, and are answered when
/// it is durable. A job that found nothing and may wait stays behind as a waiter of its key (a
/// queue, a shard): it is tried again in the transaction that touches the key, or when the store
/// said that something becomes due, and ends at its deadline. So no thread waits for something to
/// come but this one, for all.
///
/// A Store has `begin`, `commit` and `roll_back` of a transaction; `take_touched`: the keys in
/// which something may have come since the last call; `next_due(key, now)`: when something comes
/// by itself; and `sweep(now)`, called once a minute.

#include "base/commit_queue.hpp"
#include "base/try.hpp"

#include <hearth/error.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hearth {

/// What is said of stored things outlives the process.
using wall_time = std::chrono::sys_time<std::chrono::milliseconds>;
using wall_clock = std::function<wall_time()>;

inline wall_time wall_now() {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now());
}

/// Something to be done with the store, and whom to tell.
template <class Store>
class store_job {
  public:
    virtual ~store_job() = default;
    /// Inside a transaction; may be called again after one that was rolled back.
    /// @errors errc::storage_failed only: what the caller did wrong is part of the outcome
    virtual result<void> run(Store& s, wall_time now) = 0;
    /// The outcome is durable.
    virtual void finish() = 0;
    /// There is none.
    virtual void fail(error why) = 0;
};
template <class Store>
using store_job_ptr = std::unique_ptr<store_job<Store>>;

/// One that may have to wait. Of a key the first that came is the first served: while it finds
/// nothing, those behind it would not either.
template <class Store>
class waiting_job : public store_job<Store> {
  public:
    [[nodiscard]] virtual const std::string& key() const = 0;
    /// Whether there is an outcome but for the time that is left.
    [[nodiscard]] virtual bool is_answered() const = 0;
    /// Of the wait that `run` found to be asked for.
    [[nodiscard]] virtual std::chrono::milliseconds wait() const = 0;

    std::uint64_t ticket = 0;
    std::chrono::steady_clock::time_point deadline{};
};

template <class Store>
class commit_thread : public std::enable_shared_from_this<commit_thread<Store>> {
  public:
    using job_ptr = store_job_ptr<Store>;
    using waiter = waiting_job<Store>;

    /// @param what  "messages", for an error's sentence
    commit_thread(std::unique_ptr<Store> s, wall_clock now, const char* what)
        : what_(what),
          store_(std::move(s)),
          now_(std::move(now)),
          next_sweep_(steady::now()),
          thread_([this] { run(); }) {}
    ~commit_thread() { stop(); }
    commit_thread(const commit_thread&) = delete;
    commit_thread& operator=(const commit_thread&) = delete;

    /// Does what was asked for before and joins; waiters are told that it is over. Calls after it
    /// fail with errc::shutting_down.
    void stop() {
        tasks_.stop();
        if (thread_.joinable()) thread_.join();
    }

    /// @return an error when the job is refused; it is given back then
    error submit(job_ptr& j, std::size_t bytes = 0) {
        using verdict = typename commit_queue<task>::verdict;
        task t{std::move(j)};
        switch (tasks_.push(std::move(t), bytes + job_bytes, true, max_waiting_bytes)) {
            case verdict::taken:
                return {};
            case verdict::full:
                j = std::move(t.job);
                return {errc::throttled, std::string("Request is throttled: more ") + what_ +
                                             " wait for the disk than it can take"};
            case verdict::stopped:
                break;
        }
        j = std::move(t.job);
        return errc::shutting_down;
    }

    /// Of a job that may wait, before it is submitted.
    std::uint64_t next_ticket() { return ++last_ticket_; }
    /// The job of that ticket waits no longer.
    void cancel(std::uint64_t ticket) {
        // One that is refused ends at its deadline, or has ended with the thread.
        task t{nullptr, ticket};
        (void)tasks_.push(std::move(t), job_bytes, true, max_waiting_bytes);
    }

  private:
    using steady = std::chrono::steady_clock;
    using keys = std::set<std::string, std::less<>>;

    /// Of what waits for the disk: beyond, jobs are refused.
    static constexpr std::size_t max_waiting_bytes = std::size_t{64} << 20;
    /// What a job counts for beside what it carries.
    static constexpr std::size_t job_bytes = 256;
    static constexpr std::chrono::minutes sweep_interval{1};

    struct task {
        job_ptr job;  ///< null: a cancellation
        std::uint64_t cancelled = 0;
    };
    struct waiting_key {
        std::vector<std::unique_ptr<waiter>> waiters;  ///< first come, first served
        std::optional<wall_time> next_due;
    };
    /// The first so many of a key's waiters have an answer in this transaction.
    struct served {
        std::size_t count = 0;
        std::optional<wall_time> next_due;
    };
    struct sweep final : store_job<Store> {
        result<void> run(Store& s, wall_time now) override { return s.sweep(now); }
        void finish() override {}
        void fail(error) override {}  // the disk's trouble is told to who asks for something
    };

    void run() {
        for (;;) {
            std::vector<task> tasks = tasks_.take(next_wake());
            if (tasks.empty() && tasks_.stopped()) break;
            std::vector<job_ptr> jobs;
            std::vector<std::uint64_t> cancelled;
            for (task& t : tasks)
                if (t.job)
                    jobs.push_back(std::move(t.job));
                else
                    cancelled.push_back(t.cancelled);
            perform(std::move(jobs));
            // What is cancelled was asked for before.
            for (const std::uint64_t ticket : cancelled) end_wait(ticket);
            end_waits(steady::now());
            if (steady::now() >= next_sweep_) {
                next_sweep_ = steady::now() + sweep_interval;
                std::vector<job_ptr> one;
                one.push_back(std::make_unique<sweep>());
                perform(std::move(one));
            }
        }
        for (auto& [key, each] : waiting_)
            for (auto& w : each.waiters) w->fail(errc::shutting_down);
        waiting_.clear();
    }

    void perform(std::vector<job_ptr> jobs) {
        if (!attempt(jobs, due_keys(now_())).has_error()) return;
        // What cannot be written takes nothing else with it.
        for (job_ptr& j : jobs) {
            std::vector<job_ptr> one;
            one.push_back(std::move(j));
            if (const auto alone = attempt(one, std::nullopt); alone.has_error())
                one.front()->fail(alone.error());
        }
        // Waiters that were due and cannot be served hear of it, rather than being tried for ever.
        std::vector<job_ptr> none;
        for (const std::string& key : due_keys(now_())) {
            const auto done = attempt(none, keys{key});
            if (!done.has_error()) continue;
            for (auto& w : waiting_.at(key).waiters) w->fail(done.error());
            waiting_.erase(key);
        }
    }

    [[nodiscard]] keys due_keys(wall_time now) const {
        keys due;
        for (const auto& [key, each] : waiting_)
            if (each.next_due && *each.next_due <= now) due.insert(key);
        return due;
    }

    /// One transaction of these, and of the waiters of the keys that are due and of those that the
    /// jobs touch. Without any keys no waiter is served, and theirs are due afterwards.
    result<void> attempt(std::vector<job_ptr>& jobs, const std::optional<keys>& due) {
        const wall_time now = now_();
        if (jobs.empty() && (!due || due->empty())) return {};
        HEARTH_CHECK(store_->begin());
        std::map<std::string, served, std::less<>> served_by;
        const result<void> written = [&]() -> result<void> {
            for (const job_ptr& j : jobs) HEARTH_CHECK(j->run(*store_, now));
            if (due) HEARTH_CHECK(serve_waiters(now, *due, served_by));
            return store_->commit();
        }();
        if (written.has_error()) {
            store_->roll_back();
            return written;
        }
        if (!due)
            for (const std::string& key : store_->take_touched())
                if (const auto at = waiting_.find(key); at != waiting_.end())
                    at->second.next_due = now;
        for (const auto& [key, s] : served_by) {
            const auto at = waiting_.find(key);
            auto& waiters = at->second.waiters;
            const auto end = waiters.begin() + static_cast<std::ptrdiff_t>(s.count);
            for (auto w = waiters.begin(); w != end; ++w) (*w)->finish();
            waiters.erase(waiters.begin(), end);
            at->second.next_due = s.next_due;
            if (waiters.empty()) waiting_.erase(at);
        }
        for (job_ptr& j : jobs) settle(std::move(j), now);
        return {};
    }

    result<void> serve_waiters(wall_time now,
                               const keys& due,
                               std::map<std::string, served, std::less<>>& served_by) {
        keys touched = store_->take_touched();
        touched.insert(due.begin(), due.end());
        // Serving may touch others: what has been received too often moves to another queue.
        for (; !touched.empty(); touched = store_->take_touched())
            for (const std::string& key : touched) {
                const auto at = waiting_.find(key);
                if (at == waiting_.end()) continue;
                served& s = served_by[key];
                for (; s.count < at->second.waiters.size(); ++s.count) {
                    waiter& w = *at->second.waiters[s.count];
                    HEARTH_CHECK(w.run(*store_, now));
                    if (!w.is_answered()) break;
                }
                if (s.count == at->second.waiters.size()) continue;
                HEARTH_TRY(s.next_due, store_->next_due(key, now));
            }
        return {};
    }

    void settle(job_ptr j, wall_time now) {
        auto* waits = dynamic_cast<waiter*>(j.get());
        if (!waits || waits->is_answered() || waits->wait().count() == 0) return j->finish();
        waits->deadline = steady::now() + waits->wait();
        waiting_key& w = waiting_[waits->key()];
        w.waiters.emplace_back(static_cast<waiter*>(j.release()));
        // It is tried once more at once: something may have come after it in the same transaction.
        w.next_due = now;
    }

    void end_waits(steady::time_point now) {
        for (auto& [key, each] : waiting_)
            std::erase_if(each.waiters, [now](const auto& w) {
                if (w->deadline > now) return false;
                w->finish();
                return true;
            });
        std::erase_if(waiting_, [](const auto& each) { return each.second.waiters.empty(); });
    }

    void end_wait(std::uint64_t ticket) {
        for (auto& [key, each] : waiting_)
            for (auto& w : each.waiters)
                if (w->ticket == ticket) w->deadline = steady::time_point::min();
    }

    [[nodiscard]] std::optional<steady::time_point> next_wake() {
        steady::time_point wake = next_sweep_;
        const wall_time now = now_();
        for (const auto& [key, each] : waiting_) {
            for (const auto& w : each.waiters) wake = std::min(wake, w->deadline);
            if (each.next_due)
                wake = std::min(wake, steady::now() + std::max(*each.next_due - now,
                                                               std::chrono::milliseconds(0)));
        }
        return wake;
    }

    const char* const what_;
    const std::unique_ptr<Store> store_;  // the thread's
    const wall_clock now_;
    std::map<std::string, waiting_key, std::less<>> waiting_;  // the thread's
    steady::time_point next_sweep_;                            // the thread's
    std::atomic<std::uint64_t> last_ticket_ = 0;
    commit_queue<task> tasks_;
    std::thread thread_;
};

}  // namespace hearth
