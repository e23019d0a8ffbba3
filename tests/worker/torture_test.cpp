// Everything at once: blocking and asynchronous invocations, cancellations, versions that come and
// go, environments that are detached, stolen, evicted, reset and killed, and a shutdown in the
// middle of it.

#include "functions.hpp"
#include "temporary_directory.hpp"

#include <boost/asio.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

using namespace functions;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using hearth::errc;
using hearth::error_code;
using hearth::response;

namespace {

/// Ends the process when what it guards hangs.
class watchdog {
  public:
    watchdog() : thread_([this] { watch(); }) {}
    watchdog(const watchdog&) = delete;
    watchdog& operator=(const watchdog&) = delete;
    ~watchdog() {
        {
            const std::lock_guard lock(mutex_);
            done_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }

  private:
    void watch() {
        std::unique_lock lock(mutex_);
        if (changed_.wait_for(lock, 120s, [this] { return done_; })) return;
        std::fputs("the worker hangs\n", stderr);
        std::abort();
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    bool done_ = false;
    std::thread thread_;
};

/// A version, and whether its end has been asked for.
struct target {
    std::shared_ptr<hearth::worker::deployed_version> version;
    bool tenants = false;
    std::atomic<bool> retired{false};
};

class torture {
  public:
    torture(unsigned seed, const std::filesystem::path& directory) : seed_(seed) {
        auto o = options();
        o.account_concurrency = 24;
        o.max_shells = 3;
        o.detach_after = 1ms;
        o.memory_budget = hearth::byte_count(12 * 128u << 20);
        o.snapshot_directory = directory;
        worker_ = make(o);
        std::mt19937 random(seed);
        for (auto& slot : slots_) slot = deploy(random);
    }

    void run(std::chrono::milliseconds length, bool drain) {
        std::vector<std::thread> askers, loops;
        for (unsigned i = 0; i < 3; ++i) askers.emplace_back([this, i] { block(seed_ + i); });
        for (unsigned i = 0; i < 2; ++i) askers.emplace_back([this, i] { issue(seed_ + 100 + i); });
        askers.emplace_back([this] { redeploy(); });
        askers.emplace_back([this] { look(); });
        auto work = asio::make_work_guard(io_);
        for (unsigned i = 0; i < 2; ++i) loops.emplace_back([this] { io_.run(); });
        std::this_thread::sleep_for(length);
        // On a slow machine longer: it shall be no idle day.
        for (int i = 0; i < 600 && was_idle(); ++i) std::this_thread::sleep_for(100ms);
        closing_ = true;
        if (drain) worker_->drain();
        worker_->shut_down();
        stop_ = true;
        // Who asks last still finds a loop that runs.
        for (auto& t : askers) t.join();
        work.reset();
        for (auto& t : loops) t.join();
    }

    /// Something has not come up yet.
    [[nodiscard]] bool was_idle() const {
        return responses_ == 0 || failures_ == 0 || aborted_ == 0;
    }

    void check() {
        std::size_t lost = 0, twice = 0;
        for (const auto& o : operations_) {
            lost += o->calls == 0;
            twice += o->calls > 1;
        }
        CHECK(lost == 0);
        CHECK(twice == 0);
        std::string all;
        for (const auto& w : wrong_) all += w + '\n';
        CHECK(all.empty());
        if (!all.empty()) WARN(all.substr(0, 2000));
        const auto m = worker_->metrics();
        CHECK(m.invocations == responses_);
        CHECK(m.function_errors == failures_);
        CHECK(m.throttles == throttled_);
        CHECK(m.concurrent_executions == 0);
        CHECK(m.pool.environments.idle() == 0);
        CHECK(m.pool.environments.ending == 0);
        CHECK(m.pool.shells == 0);
        CHECK(m.guest_memory.bytes() == 0);
        CHECK_FALSE(was_idle());
    }

  private:
    struct operation {
        asio::cancellation_signal cancel;
        std::atomic<bool> cancelled{false};
        std::atomic<int> calls{0};
    };
    using strand = asio::strand<asio::io_context::executor_type>;

    std::shared_ptr<target> deploy(std::mt19937& random) {
        const auto n = random();
        auto s = spec(n % 3 == 0 ? "function_native" : "function_http");
        s.function_name += std::to_string(n % 5), s.function_arn += std::to_string(n % 5);
        s.isolation = static_cast<hearth::isolation>(n / 16 % 3);
        s.snapshot = n / 64 % 4 != 0;
        s.pool.min_idle = n / 256 % 2;
        s.pool.max_idle = 1 + n / 512 % 3;
        s.timeout = 80ms;
        if (s.snapshot && n / 2048 % 4 == 0) s.environment["HOOKS"] = "sleep";
        auto t = std::make_shared<target>();
        t->tenants = s.isolation == hearth::isolation::tenant;
        t->version = worker_->deploy(std::move(s));
        return t;
    }
    std::shared_ptr<target> any(std::mt19937& random) {
        const std::lock_guard lock(slots_mutex_);
        return slots_[random() % slots_.size()];
    }
    static hearth::worker::invocation some_event(std::mt19937& random, const target& t) {
        static constexpr const char* payloads[] = {"1",         "1",        "1",        "\"count\"",
                                                   "\"count\"", "\"exit\"", "\"segv\"", "\"loop\"",
                                                   "\"nap\"",   "\"fail\""};
        auto e = event(payloads[random() % std::size(payloads)]);
        if (t.tenants) e.tenant_id = random() % 2 ? "alice" : "bob";
        return e;
    }

    void note(const std::string& what) {
        const std::lock_guard lock(wrong_mutex_);
        if (wrong_.size() < 20) wrong_.push_back(what);
    }
    void look_at(const response& r) {
        ++responses_;
        failures_ += !r.ok();
        if (r.log_tail.find("REPORT") == std::string::npos) note("no REPORT line");
    }
    void look_at(error_code ec, const std::string& why, const target& t, bool cancelled) {
        if (ec == errc::throttled)
            ++throttled_;
        else if (ec == errc::shutting_down) {
            if (!t.retired && !closing_) note("shutting_down out of nowhere");
        } else if (ec == asio::error::operation_aborted) {
            ++aborted_;
            if (!cancelled) note("aborted out of nowhere");
        } else if (ec != errc::no_room)
            note(ec.message() + ": " + why);
    }

    void block(unsigned seed) {
        std::mt19937 random(seed);
        while (!stop_) {
            const auto t = any(random);
            auto r = t->version->invoke(some_event(random, *t));
            if (r.has_value())
                look_at(*r);
            else
                look_at(r.error().code(), r.error().message(), *t, false);
            if (closing_) std::this_thread::sleep_for(1ms);
        }
    }

    void issue(unsigned seed) {
        std::mt19937 random(seed);
        while (!stop_) {
            const auto t = any(random);
            const auto o = std::make_shared<operation>();
            {
                const std::lock_guard lock(operations_mutex_);
                operations_.push_back(o);
            }
            const strand own(io_.get_executor());
            // The signal is the strand's, so the operation begins there as well.
            asio::dispatch(own, [this, t, o, own, e = some_event(random, *t)]() mutable {
                t->version->async_invoke(
                    std::move(e),
                    asio::bind_cancellation_slot(
                        o->cancel.slot(),
                        asio::bind_executor(own, [this, t, o](error_code ec, response r) {
                            ++o->calls;
                            if (ec)
                                look_at(ec, r.payload, *t, o->cancelled);
                            else
                                look_at(r);
                        })));
            });
            if (random() % 3 == 0) {
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 12000));
                asio::post(own, [o] {
                    o->cancelled = true;
                    o->cancel.emit(asio::cancellation_type::terminal);
                });
            } else {
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 8000));
            }
        }
    }

    void redeploy() {
        std::mt19937 random(seed_ + 1000);
        while (!stop_) {
            std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 40));
            auto next = deploy(random);
            if (random() % 3 == 0 && !closing_) {
                if (auto r = next->version->initialize(); r.has_error())
                    if (!(r.error() == errc::no_room) && !closing_)
                        note("initialize: " + r.error().message());
            }
            {
                const std::lock_guard lock(slots_mutex_);
                std::swap(slots_[random() % slots_.size()], next);
            }
            next->retired = true;
            next->version->retire();
        }
    }

    void look() {
        while (!stop_) {
            const auto m = worker_->metrics();
            if (m.guest_memory + m.snapshot_memory > m.memory_budget)
                note("over the memory budget");
            if (m.concurrent_executions > m.concurrency_limit) note("over the account limit");
            std::this_thread::sleep_for(1ms);
        }
    }

    const unsigned seed_;
    asio::io_context io_;
    std::unique_ptr<hearth::worker::worker> worker_;
    std::mutex slots_mutex_, wrong_mutex_, operations_mutex_;
    std::array<std::shared_ptr<target>, 5> slots_;
    std::vector<std::shared_ptr<operation>> operations_;
    std::vector<std::string> wrong_;
    std::atomic<bool> closing_{false}, stop_{false};
    std::atomic<std::uint64_t> responses_{0}, failures_{0}, throttled_{0}, aborted_{0};
};

}  // namespace

TEST_CASE("tortured from all sides, a worker loses no handler, counts right and comes to its end") {
    const watchdog dog;
    const bool drain = GENERATE(true, false);
    const unsigned seed = GENERATE(1u, 2u);
    INFO("drain " << drain << ", seed " << seed);
    const hearth::test::temporary_directory directory;
    torture t(seed * 10'000, directory.path());
    t.run(std::chrono::milliseconds(1000 + seed * 137), drain);
    t.check();
}

TEST_CASE("what is asked after the end is answered as well") {
    auto w = make();
    auto f = w->deploy(spec("function_native"));
    w->shut_down();
    if (GENERATE(true, false)) w.reset();
    asio::io_context io;
    int told = 0;
    bool inside = true;
    for (int i = 0; i < 3; ++i)
        f->async_invoke(event("1"), asio::bind_executor(io, [&](error_code ec, response) {
                            CHECK(ec == errc::shutting_down);
                            CHECK_FALSE(inside);
                            ++told;
                        }));
    inside = false;
    io.run_for(10s);
    CHECK(told == 3);
    CHECK(f->invoke(event("1")).error() == errc::shutting_down);
}

TEST_CASE("a cancellation that comes as the invocation ends hits nobody else") {
    auto w = make();
    auto f = w->deploy(spec("function_native"));
    REQUIRE(f->initialize().has_value());
    // How long one takes here, so that about half of the cancellations come in time; some come at
    // once and some when all is over, however the machine's other work goes.
    std::vector<std::chrono::steady_clock::duration> times(21);
    for (auto& t : times) {
        const auto begin = std::chrono::steady_clock::now();
        asio::io_context io;
        f->async_invoke(event("1"), asio::bind_executor(io, [](error_code, response) {}));
        io.run();
        t = std::chrono::steady_clock::now() - begin;
    }
    std::ranges::sort(times);
    const auto usual = times[times.size() / 2];
    int aborted = 0, wrong = 0;
    std::mt19937 random(7);
    std::uniform_real_distribution<double> share(0, 2);
    for (int i = 0; i < 400; ++i) {
        asio::io_context io;
        asio::cancellation_signal signal;
        f->async_invoke(event("1"),
                        asio::bind_cancellation_slot(
                            signal.slot(), asio::bind_executor(io, [&](error_code ec, response) {
                                aborted += ec == asio::error::operation_aborted;
                            })));
        if (i % 8 == 1) io.run();
        if (i % 8 > 1) std::this_thread::sleep_for(usual * share(random));
        signal.emit(asio::cancellation_type::terminal);
        io.run();
        const auto r = f->invoke(event("1"));
        wrong += r.has_error() || !r->ok();
    }
    CHECK(wrong == 0);
    CHECK(aborted > 0);
    CHECK(aborted <= 350);
}
