#include "worker/execution.hpp"

#include "base/response_writer.hpp"
#include "worker/stored_log.hpp"

#include <boost/asio/error.hpp>
#include <boost/json/parse.hpp>
#include <fmt/format.h>

#include <condition_variable>
#include <exception>
#include <typeinfo>
#include <utility>

namespace hearth::worker {
namespace {

using std::chrono::steady_clock;

/// {"errorMessage":…,"errorType":…} as a runtime posts it to init/error: the message alone, if it
/// is one.
std::string message_of(const std::string& document) {
    boost::system::error_code ec;
    const auto value = boost::json::parse(document, ec);
    if (!ec && value.is_object())
        if (const auto* m = value.as_object().if_contains("errorMessage"); m && m->is_string())
            return std::string(m->as_string().subview(0, 1024));
    return document.substr(0, 1024);
}

/// What a function's own program is to blame for, in Lambda's words; the rest as it is.
error start_error(const error& e) {
    for (const errc code : {errc::missing_entry_point, errc::not_executable, errc::bad_executable,
                            errc::missing_interpreter})
        if (e == code) return {errc::init_failed, "Runtime.InvalidEntrypoint: " + e.message()};
    return e;
}

/// So long that the way to snapshot + diff and back, about a millisecond when much was written, is
/// little beside it.
bool sleeps_long(const environment::pause& p) {
    constexpr std::chrono::milliseconds long_sleep(10);
    return !p.preempted && (!p.until || *p.until > steady_clock::now() + long_sleep);
}

class thread_waiter final : public waker {
  public:
    void wake() noexcept override {
        {
            const std::lock_guard lock(mutex_);
            woken_ = true;
        }
        woke_.notify_one();
    }
    void wait(std::optional<steady_clock::time_point> until) {
        std::unique_lock lock(mutex_);
        const auto woken = [this] { return woken_; };
        if (until)
            woke_.wait_until(lock, *until, woken);
        else
            woke_.wait(lock, woken);
        woken_ = false;
    }

  private:
    std::mutex mutex_;
    std::condition_variable woke_;
    bool woken_ = false;
};

}  // namespace

execution::execution(core& c,
                     pool::version_id id,
                     std::shared_ptr<const version_data> version,
                     std::optional<invocation> input,
                     std::unique_ptr<environment> started)
    : core_(c),
      id_(id),
      version_(std::move(version)),
      spec_(version_->spec),
      input_(std::move(input)),
      started_(std::move(started)) {}

execution::~execution() {
    release();
    if (started_) core_.give_back(std::move(started_));
    if (input_) core_.leave(id_);
}

result<response> execution::take_result() {
    if (input_) core_.leave(id_);
    input_.reset();
    return std::move(result_);
}

result<core::assigned> execution::get_environment() {
    if (started_) return core::assigned{std::move(started_), start_kind::cold};
    if (!input_) return core_.prepare(id_);
    return core_.assign(id_, input_->tenant_id);
}

std::optional<environment::pause> execution::advance(const vmm::run_scope& scope) {
    clear_waker();
    if (stage_ == stage::start && started_ && started_->lingers()) {
        const std::lock_guard lock(cancel_mutex_);
        env_ = std::move(started_);
        stage_ = stage::linger;
    }
    if (stage_ == stage::start) {
        if (spec_.code && spec_.code->in_process()) {
            run_in_process();
            return std::nullopt;
        }
        if (cancelled_) return fail(errc::shutting_down);  // said as aborted
        auto got = get_environment();
        if (got.has_error()) return fail(start_error(got.error()));
        start_ = got->start;
        if (!take_environment(std::move(*got))) return fail(errc::shutting_down);
        stage_ = stage::run;
        if (!env_->initialised()) {
            if (start_ == start_kind::warm) start_ = start_kind::restored;  // its hooks are to come
            env_->begin_init();
            stage_ = stage::init;
        } else if (input_) {
            env_->begin_invocation(*input_, start_);
        }
    }
    if (stage_ == stage::init) {
        while (!env_->initialised()) {
            if (auto sleeping = env_->advance(scope, preempted_)) return sleeping;
            if (env_->stopped()) return fail(errc::shutting_down);
            if (env_->init_failure()) return init_failed(*env_->init_failure());
            if (!env_->at_restore_point()) break;
            core_.take_snapshot(*env_);
            env_->begin_init();
        }
        core_.take_snapshot(*env_);
        core_.initialised(*env_);
        if (input_) env_->begin_invocation(*input_, start_);
        stage_ = stage::run;
    }
    if (stage_ == stage::run || stage_ == stage::linger) {
        if (!input_ && stage_ == stage::run) {
            result_ = response{};
            stage_ = stage::done;
            release();
            return std::nullopt;
        }
        if (env_->suspended() && !env_->interrupted())
            if (auto resumed = core_.resume(*env_); resumed.has_error())
                return fail(resumed.error());
        if (auto sleeping = env_->advance(scope, preempted_)) {
            // Preempted for the first time it has written little, and in a storm of starts it waits
            // behind all of them: else each of those might have to make a shell, be preempted over
            // that, and keep it.
            if (!env_->shuts_down() &&
                (sleeps_long(*sleeping) || (sleeping->preempted && !std::exchange(waited_, true))))
                core_.suspend(*env_);
            return sleeping;
        }
        if (stage_ == stage::linger) {
            result_ = response{};
            stage_ = stage::done;
            release();
            return std::nullopt;
        }
        if (env_->stopped()) return fail(errc::shutting_down);
        result_ = env_->take_response();
        stage_ = stage::done;
        // Its extensions work on; whoever has the response need not wait for them.
        if (env_->lingers()) core_.carry_on(put_down(), version_);
        ended();
    }
    return std::nullopt;
}

/// The environment becomes ours and visible to cancel and shutdown. False, and given back, when too
/// late.
bool execution::take_environment(core::assigned got) {
    const bool begun = got.begun || core_.begin(*got.env);
    {
        const std::lock_guard lock(cancel_mutex_);
        env_ = std::move(got.env);
        if (cancelled_) env_->interrupt(environment::reason::cancelled);
    }
    if (!begun) release();
    return begun;
}

std::unique_ptr<environment> execution::put_down() {
    const std::lock_guard lock(cancel_mutex_);
    return std::move(env_);
}

void execution::release() {
    if (env_) core_.give_back(put_down());
}

/// The core counts it for no limit from now on.
void execution::ended() {
    core_.ended(id_, spec_.function_name, env_ ? put_down() : nullptr, *result_);
    input_.reset();
}

void execution::cancel() noexcept {
    const std::lock_guard lock(cancel_mutex_);
    cancelled_ = true;
    if (env_) env_->interrupt(environment::reason::cancelled);
}

void execution::preempt() noexcept {
    preempted_.store(true, std::memory_order_relaxed);
    const std::lock_guard lock(cancel_mutex_);
    if (env_) env_->kick();
}

std::optional<environment::pause> execution::fail(error e) {
    release();
    stage_ = stage::done;
    if (input_) input_->stream.reset();
    if (input_ && e == errc::init_failed) core_.count_init_failure(id_);
    const std::lock_guard lock(cancel_mutex_);
    result_ = cancelled_ ? error(error_code(boost::asio::error::operation_aborted)) : std::move(e);
    return std::nullopt;
}

std::optional<environment::pause> execution::init_failed(const failure& f) {
    init_log_ = std::string(env_->log_tail());
    return fail({errc::init_failed, fmt::format("{}: {}", f.type, message_of(f.message))});
}

void execution::run_in_process() {
    stage_ = stage::done;
    if (!input_) {
        result_ = response{};
        return;
    }
    response r;
    r.executed_version = spec_.version;
    r.report.request_id = input_->request_id;
    r.report.start = start_kind::warm;
    r.report.memory_size = spec_.memory;
    log_buffer log;
    stored_log stored(spec_, core_.options().logs.get());
    stored.open_stream(version_->in_process_log_stream);
    log.append(fmt::format("START RequestId: {} Version: {}\n", input_->request_id, spec_.version));
    stored.begin(input_->request_id);
    const auto start = steady_clock::now();
    const auto raised = [&](const char* type, const char* what) {
        r.function_error = "Unhandled";
        r.payload = plain_error_document(type, what);
        const std::string text = fmt::format("{}: {}\n", type, what);
        log.append(text);
        stored.failed(text);
    };
    try {
        r.payload = spec_.code->in_process()(input_->payload);
    } catch (const std::exception& e) {
        raised("std::exception", e.what());
    } catch (...) {
        raised("Unknown", "an exception that is no std::exception");
    }
    if (const auto stream = std::exchange(input_->stream, nullptr)) {
        stream->set_executed_version(spec_.version);
        if (r.ok()) stream->write(std::exchange(r.payload, {}));
    }
    r.report.duration = steady_clock::now() - start;
    r.report.billed = std::chrono::ceil<std::chrono::milliseconds>(r.report.duration);
    const std::string line = to_string(r.report);
    log.append(fmt::format("END RequestId: {}\n{}\n", input_->request_id, line));
    stored.end(r.report, line, r.ok() ? "success" : "error", {});
    r.log_tail = std::string(log.tail());
    result_ = std::move(r);
    ended();
}

void run_blocking(execution& e, const vmm::run_scope& scope) {
    std::optional<thread_waiter> waiter;
    while (const auto sleeping = e.advance(scope)) {
        if (!waiter) waiter.emplace();
        if (e.set_waker(&*waiter)) waiter->wait(sleeping->until);
        e.clear_waker();
    }
}

}  // namespace hearth::worker
