#include "worker/core.hpp"

#include "base/try.hpp"

#include <fmt/format.h>

#include <signal.h>
#include <sys/random.h>

#include <algorithm>
#include <utility>

namespace hearth::worker {
namespace {

using std::chrono::steady_clock;

std::string log_stream_name(const version_spec& spec) {
    std::uint64_t bits[2] = {};
    (void)!::getrandom(bits, sizeof bits, 0);
    const std::time_t now = std::time(nullptr);
    std::tm day{};
    ::gmtime_r(&now, &day);
    return fmt::format("{:04}/{:02}/{:02}/[{}]{:016x}{:016x}", day.tm_year + 1900, day.tm_mon + 1,
                       day.tm_mday, spec.version, bits[0], bits[1]);
}

}  // namespace

core::core(worker_options options, vmm::kvm kvm)
    : options_(std::move(options)),
      kick_signal_(SIGRTMIN + options_.kick_signal_offset),
      kvm_(std::move(kvm)),
      housekeeper_([this] { housekeep(); }) {}

core::~core() { shut_down(); }

void core::close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
}

void core::wait_quiet() {
    std::unique_lock lock(mutex_);
    quiet_.wait(lock, [this] { return admitted_ == 0; });
}

void core::shut_down() {
    const std::lock_guard once(shut_down_mutex_);
    {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        interrupting_ = true;
        for (environment* e : active_) e->interrupt(environment::reason::shutdown);
    }
    wait_quiet();
    std::vector<std::unique_ptr<environment>> idle;
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        for (auto& v : versions_)
            for (auto& e : v.slots->idle.take_all()) idle.push_back(std::move(e));
        std::move(discarded_.begin(), discarded_.end(), std::back_inserter(idle));
        discarded_.clear();
    }
    chores_.notify_all();
    if (housekeeper_.joinable()) housekeeper_.join();
    idle.clear();
    spare_.reset();
    watch_.stop();
}

void core::add(version_slots& slots, const version_spec& spec) {
    {
        const std::lock_guard lock(mutex_);
        versions_.push_back({&slots, &spec});
        wanted_size_ = spec.memory;
    }
    chores_.notify_one();
}

void core::remove(version_slots& slots) {
    retire(slots);
    const std::lock_guard lock(mutex_);
    std::erase_if(versions_, [&](const version_entry& v) { return v.slots == &slots; });
}

void core::retire(version_slots& slots) {
    std::vector<std::unique_ptr<environment>> idle;
    {
        const std::lock_guard lock(mutex_);
        slots.retired = true;
        const auto entry = std::find_if(versions_.begin(), versions_.end(),
                                        [&](const version_entry& v) { return v.slots == &slots; });
        for (auto& e : slots.idle.take_all()) {
            if (entry != versions_.end()) reserved_ -= entry->spec->memory.bytes();
            if (stop_)
                idle.push_back(std::move(e));
            else
                discarded_.push_back(std::move(e));
        }
    }
    chores_.notify_one();
}

result<void> core::admit(version_slots& slots, const version_spec& spec) {
    const std::lock_guard lock(mutex_);
    if (closed_ || slots.retired) return error(errc::shutting_down);
    if (admitted_ >= options_.account_concurrency) {
        ++counters_.throttles;
        return error(
            errc::throttled,
            fmt::format("ConcurrentInvocationLimitExceeded: {} executions run, the limit is {}",
                        admitted_, options_.account_concurrency));
    }
    if (slots.active >= spec.pool.max_concurrency) {
        ++counters_.throttles;
        return error(errc::throttled,
                     fmt::format("ReservedFunctionConcurrentInvocationLimitExceeded: {} executions "
                                 "of {} run, its limit "
                                 "is {}",
                                 slots.active, spec.function_name, spec.pool.max_concurrency));
    }
    ++admitted_;
    ++slots.active;
    return {};
}

void core::leave(version_slots& slots) noexcept {
    const std::lock_guard lock(mutex_);
    --slots.active;
    if (--admitted_ == 0) quiet_.notify_all();
}

bool core::evict_oldest(std::vector<std::unique_ptr<environment>>& into) {
    version_entry* oldest = nullptr;
    for (auto& v : versions_) {
        const auto since = v.slots->idle.oldest_since();
        if (since && (!oldest || *since < *oldest->slots->idle.oldest_since())) oldest = &v;
    }
    if (!oldest) return false;
    into.push_back(std::move(*oldest->slots->idle.take_oldest()));
    reserved_ -= oldest->spec->memory.bytes();
    ++counters_.pool.expired;
    return true;
}

result<std::unique_ptr<environment>> core::acquire(version_slots& slots,
                                                   const version_spec& spec,
                                                   bool fresh) {
    std::vector<std::unique_ptr<environment>> evicted;  // destroyed after the lock is gone
    const std::lock_guard lock(mutex_);
    if (interrupting_) return error(errc::shutting_down);
    if (auto warm = fresh ? std::nullopt : slots.idle.take_newest()) {
        ++counters_.pool.warm_starts;
        return std::move(*warm);
    }
    const auto budget = options_.memory_budget.bytes();
    if (budget) {
        while (reserved_ + spec.memory.bytes() > budget && evict_oldest(evicted)) {
        }
        if (reserved_ + spec.memory.bytes() > budget)
            return error(errc::no_room,
                         fmt::format("{} needs {} MB, {} MB are free of the memory budget of {} MB",
                                     spec.function_name, spec.memory.mebibytes(),
                                     (budget - std::min(budget, reserved_)) >> 20, budget >> 20));
    }
    reserved_ += spec.memory.bytes();
    ++counters_.pool.cold_starts;
    return std::unique_ptr<environment>();
}

result<vmm::vm> core::take_shell(byte_count memory) {
    std::optional<vmm::vm> spare;
    {
        const std::lock_guard lock(mutex_);
        wanted_size_ = memory;
        if (spare_ && spare_size_ == memory) {
            spare.emplace(std::move(*spare_));
            spare_.reset();
        }
    }
    chores_.notify_one();
    if (spare) return std::move(*spare);
    return vmm::vm::create(kvm_, detail::sandbox::shell_options(memory, kick_signal_, false));
}

result<std::unique_ptr<environment>> core::build(
    const std::shared_ptr<const version_data>& version) {
    const version_spec& spec = version->spec;
    const auto make = [&]() -> result<std::unique_ptr<environment>> {
        const auto start = steady_clock::now();
        if (version->files.has_error()) return version->files.error();
        HEARTH_TRY(auto shell, take_shell(spec.memory));
        environment::resources r{std::move(shell), steady_clock::now() - start};
        auto e = std::make_unique<environment>(std::move(r), version, options_, watch_);
        HEARTH_CHECK(e->load(log_stream_name(spec)));
        return e;
    };
    auto made = make();
    if (made.has_error()) {
        const std::lock_guard lock(mutex_);
        reserved_ -= spec.memory.bytes();
    }
    return made;
}

bool core::begin(environment& e) {
    const std::lock_guard lock(mutex_);
    if (interrupting_) return false;
    e.running_slot = active_.size();
    active_.push_back(&e);
    return true;
}

void core::unregister(environment& e) noexcept {
    if (e.running_slot < active_.size() && active_[e.running_slot] == &e) {
        active_[e.running_slot] = active_.back();
        active_[e.running_slot]->running_slot = e.running_slot;
        active_.pop_back();
    }
}

void core::give_back(std::unique_ptr<environment> e,
                     version_slots& slots,
                     const version_spec& spec) {
    bool wake = false;
    std::unique_ptr<environment> destroy_here;
    {
        const std::lock_guard lock(mutex_);
        unregister(*e);
        if (e->reusable() && !slots.retired && !interrupting_ &&
            slots.idle.size() < spec.pool.max_idle) {
            const auto now = steady_clock::now();
            slots.idle.push(std::move(e), now);
            if (const auto expires = now + spec.pool.idle_ttl; expires < wakes_at_) {
                wakes_at_ = expires;
                wake = true;
            }
        } else {
            if (!e->reusable()) ++counters_.pool.destroyed;
            reserved_ -= spec.memory.bytes();
            if (stop_) {
                destroy_here = std::move(e);
            } else {
                discarded_.push_back(std::move(e));
                wake = true;
            }
        }
    }
    if (wake) chores_.notify_one();
}

void core::count(const response& r) {
    const std::lock_guard lock(mutex_);
    ++counters_.invocations;
    if (!r.ok()) ++counters_.function_errors;
}

hearth::metrics core::metrics() const {
    const std::lock_guard lock(mutex_);
    hearth::metrics m = counters_;
    m.pool.running = active_.size();
    for (const auto& v : versions_) m.pool.idle += v.slots->idle.size();
    m.functions = versions_.size();
    m.guest_memory = byte_count(reserved_);
    return m;
}

std::size_t core::idle_count(const version_slots& slots) const {
    const std::lock_guard lock(mutex_);
    return slots.idle.size();
}

/// Expires idle environments, tears down what was given up, and keeps one fresh shell of the size
/// last used.
void core::housekeep() {
    std::unique_lock lock(mutex_);
    while (!stop_) {
        const auto now = steady_clock::now();
        auto work = std::exchange(discarded_, {});
        wakes_at_ = steady_clock::time_point::max();
        for (auto& v : versions_) {
            for (auto& e :
                 v.slots->idle.expire(now, v.spec->pool.idle_ttl, v.spec->pool.min_idle)) {
                work.push_back(std::move(e));
                reserved_ -= v.spec->memory.bytes();
                ++counters_.pool.expired;
            }
            if (v.slots->idle.size() > v.spec->pool.min_idle)
                wakes_at_ =
                    std::min(wakes_at_, *v.slots->idle.oldest_since() + v.spec->pool.idle_ttl);
        }
        const bool shell_wanted =
            !closed_ && wanted_size_.bytes() && (!spare_ || spare_size_ != wanted_size_);
        if (!work.empty() || shell_wanted) {
            const byte_count size = wanted_size_;
            std::optional<vmm::vm> old;
            if (shell_wanted && spare_) {
                old.emplace(std::move(*spare_));
                spare_.reset();
            }
            lock.unlock();
            work.clear();
            old.reset();
            std::optional<vmm::vm> made;
            if (shell_wanted) {
                auto shell = vmm::vm::create(
                    kvm_, detail::sandbox::shell_options(size, kick_signal_, false));
                if (shell) made.emplace(std::move(*shell));
            }
            lock.lock();
            if (made) {
                spare_.emplace(std::move(*made));
                spare_size_ = size;
            } else if (shell_wanted) {
                wanted_size_ = {};  // no spare, then: whoever needs a shell hears why
            }
            continue;
        }
        if (wakes_at_ == steady_clock::time_point::max())
            chores_.wait(lock);
        else
            chores_.wait_until(lock, steady_clock::time_point(wakes_at_));
    }
}

}  // namespace hearth::worker
