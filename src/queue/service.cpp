#include "queue/service.hpp"

#include "base/try.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace hearth {

namespace asio = boost::asio;
using queues::job_ptr;
using queues::receive_job;
using steady = std::chrono::steady_clock;

namespace {

/// Of messages that wait for the disk: beyond, sends are refused.
constexpr std::size_t max_waiting_bytes = std::size_t{64} << 20;
/// What a job counts for beside its messages.
constexpr std::size_t job_bytes = 256;
constexpr std::chrono::minutes sweep_interval{1};

}  // namespace

namespace queues {

result<std::shared_ptr<queue_service::impl>> open_service(const std::filesystem::path& file,
                                                          identity who,
                                                          clock_function now) {
    HEARTH_TRY(auto opened, store::open(file, std::move(who)));
    return std::make_shared<queue_service::impl>(std::move(opened), std::move(now));
}

}  // namespace queues

queue_service::impl::impl(std::unique_ptr<queues::store> s, queues::clock_function now)
    : who(s->who),
      store_(std::move(s)),
      now_(std::move(now)),
      next_sweep_(steady::now()),
      thread_([this] { run(); }) {}

queue_service::impl::~impl() { stop(); }

void queue_service::impl::stop() {
    tasks_.stop();
    if (thread_.joinable()) thread_.join();
}

error queue_service::impl::submit(job_ptr& j, std::size_t bytes) {
    using verdict = commit_queue<task>::verdict;
    task t{std::move(j)};
    switch (tasks_.push(std::move(t), bytes + job_bytes, true, max_waiting_bytes)) {
        case verdict::taken:
            return {};
        case verdict::full:
            j = std::move(t.job);
            return {errc::throttled,
                    "Request is throttled: more messages wait for the disk than it can take"};
        case verdict::stopped:
            break;
    }
    j = std::move(t.job);
    return errc::shutting_down;
}

void queue_service::impl::cancel(std::uint64_t ticket) {
    // One that is refused ends at its deadline, or has ended with the thread.
    task t{nullptr, ticket};
    (void)tasks_.push(std::move(t), job_bytes, true, max_waiting_bytes);
}

void queue_service::impl::run() {
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
            struct sweep final : queues::job {
                result<void> run(queues::store& s, queue_time now) override { return s.sweep(now); }
                void finish() override {}
                void fail(error) override {
                }  // the disk's trouble is told to who asks for something
            };
            std::vector<job_ptr> one;
            one.push_back(std::make_unique<sweep>());
            perform(std::move(one));
        }
    }
    for (auto& [name, each] : waiting_)
        for (auto& w : each.waiters) w->fail(errc::shutting_down);
    waiting_.clear();
}

void queue_service::impl::perform(std::vector<job_ptr> jobs) {
    const auto done = attempt(jobs);
    if (!done.has_error()) return;
    // What cannot be written takes nothing else with it: on a full disk removals still go.
    if (jobs.size() == 1) return jobs.front()->fail(done.error());
    for (job_ptr& j : jobs) {
        std::vector<job_ptr> one;
        one.push_back(std::move(j));
        if (const auto alone = attempt(one); alone.has_error()) one.front()->fail(alone.error());
    }
    if (!jobs.empty()) return;
    // Waiters that were due could not be served: they hear of it, rather than being tried for ever.
    const queue_time now = now_();
    for (auto& [name, each] : waiting_) {
        if (!each.next_visible || *each.next_visible > now) continue;
        for (auto& w : each.waiters) w->fail(done.error());
        each.waiters.clear();
    }
    std::erase_if(waiting_, [](const auto& each) { return each.second.waiters.empty(); });
}

result<void> queue_service::impl::attempt(std::vector<job_ptr>& jobs) {
    const queue_time now = now_();
    const bool is_due = std::ranges::any_of(waiting_, [&](const auto& each) {
        return each.second.next_visible && *each.second.next_visible <= now;
    });
    if (jobs.empty() && !is_due) return {};
    HEARTH_CHECK(store_->begin());
    std::map<std::string, served, std::less<>> served_by;
    const result<void> written = [&]() -> result<void> {
        for (const job_ptr& j : jobs) HEARTH_CHECK(j->run(*store_, now));
        HEARTH_CHECK(serve_waiters(now, served_by));
        return store_->commit();
    }();
    if (written.has_error()) {
        store_->roll_back();
        return written;
    }
    for (const auto& [name, s] : served_by) {
        const auto at = waiting_.find(name);
        auto& waiters = at->second.waiters;
        const auto end = waiters.begin() + static_cast<std::ptrdiff_t>(s.count);
        for (auto w = waiters.begin(); w != end; ++w) (*w)->finish();
        waiters.erase(waiters.begin(), end);
        at->second.next_visible = s.next_visible;
        if (waiters.empty()) waiting_.erase(at);
    }
    for (job_ptr& j : jobs) settle(std::move(j), now);
    return {};
}

result<void> queue_service::impl::serve_waiters(
    queue_time now, std::map<std::string, served, std::less<>>& served_by) {
    auto touched = store_->take_touched();
    for (const auto& [name, each] : waiting_)
        if (each.next_visible && *each.next_visible <= now) touched.insert(name);
    // Serving may touch others: what has been received too often moves to another queue.
    for (; !touched.empty(); touched = store_->take_touched())
        for (const std::string& name : touched) {
            const auto at = waiting_.find(name);
            if (at == waiting_.end()) continue;
            served& s = served_by[name];
            for (; s.count < at->second.waiters.size(); ++s.count) {
                receive_job& w = *at->second.waiters[s.count];
                HEARTH_CHECK(w.run(*store_, now));
                if (!w.is_answered()) break;
            }
            if (s.count == at->second.waiters.size()) continue;
            HEARTH_TRY(s.next_visible, store_->next_visible(name, now));
        }
    return {};
}

void queue_service::impl::settle(job_ptr j, queue_time now) {
    auto* receive = dynamic_cast<receive_job*>(j.get());
    if (!receive || receive->is_answered() || receive->wait().count() == 0) return j->finish();
    receive->deadline = steady::now() + receive->wait();
    waiting_queue& w = waiting_[receive->queue()];
    w.waiters.emplace_back(static_cast<receive_job*>(j.release()));
    // It is tried once more at once: a message may have come after it in the same transaction.
    w.next_visible = now;
}

void queue_service::impl::end_waits(steady::time_point now) {
    for (auto& [name, each] : waiting_)
        std::erase_if(each.waiters, [now](const auto& w) {
            if (w->deadline > now) return false;
            w->finish();
            return true;
        });
    std::erase_if(waiting_, [](const auto& each) { return each.second.waiters.empty(); });
}

void queue_service::impl::end_wait(std::uint64_t ticket) {
    for (auto& [name, each] : waiting_)
        for (auto& w : each.waiters)
            if (w->ticket == ticket) w->deadline = steady::time_point::min();
}

std::optional<steady::time_point> queue_service::impl::next_wake() {
    steady::time_point wake = next_sweep_;
    const queue_time now = now_();
    for (const auto& [name, each] : waiting_) {
        for (const auto& w : each.waiters) wake = std::min(wake, w->deadline);
        if (each.next_visible)
            wake = std::min(wake, steady::now() + std::max(*each.next_visible - now,
                                                           std::chrono::milliseconds(0)));
    }
    return wake;
}

}  // namespace hearth
