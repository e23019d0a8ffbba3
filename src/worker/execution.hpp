#pragma once

/// One admitted invocation (or initialisation) from its environment to its response, in steps:
/// `advance` runs on any thread, one at a time, and comes back when the guest sleeps. A blocking
/// invoke waits on its own thread in between, an asynchronous one leaves the thread to others.

#include "worker/core.hpp"
#include "worker/environment.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace hearth::worker {

class execution {
  public:
    /// Admitted already, or for no invocation (then not); `leave` is the destructor's. `core`
    /// outlives it. `started`: an environment started ahead, whose init is to be run; or one that
    /// lingers, to be carried on to its end.
    execution(core& c,
              pool::version_id id,
              std::shared_ptr<const version_data> version,
              std::optional<invocation> input,
              std::unique_ptr<environment> started = nullptr);
    execution(const execution&) = delete;
    execution& operator=(const execution&) = delete;
    ~execution();

    /// Nothing: finished, `take_result` has it.
    std::optional<environment::pause> advance(const vmm::run_scope& scope);

    /// While it sleeps: `w` is woken by an interrupt. @return false when there is one already:
    /// advance at once
    [[nodiscard]] bool set_waker(waker* w) noexcept { return env_->set_waker(w); }
    void clear_waker() noexcept {
        if (env_) env_->clear_waker();
    }

    /// Any thread; the result is then `asio::error::operation_aborted`.
    void cancel() noexcept;
    /// Any thread: `advance` comes back soon, if a guest of it runs.
    void preempt() noexcept;

    /// It counts for no limit any more: who has the answer may come again at once.
    result<response> take_result();
    /// The guest's log of a failed init.
    [[nodiscard]] const std::string& init_log() const noexcept { return init_log_; }

  private:
    enum class stage { start, init, run, linger, done };

    std::optional<environment::pause> fail(error e);
    result<core::assigned> get_environment();
    std::optional<environment::pause> init_failed(const failure& f);
    bool take_environment(core::assigned got);
    std::unique_ptr<environment> put_down();
    void release();
    void ended();
    void run_in_process();

    core& core_;
    const pool::version_id id_;
    std::shared_ptr<const version_data> version_;
    const version_spec& spec_;
    std::optional<invocation> input_;  ///< none: only initialise
    std::unique_ptr<environment> started_;
    stage stage_ = stage::start;
    bool waited_ = false;  ///< the guest was preempted
    start_kind start_ = start_kind::warm;
    result<response> result_ = error(errc::shutting_down);
    std::string init_log_;
    std::atomic<bool> preempted_{false};  ///< stays set until a guest would run

    std::mutex cancel_mutex_;  // the owner changes env_ under it, since cancel reads it
    std::unique_ptr<environment> env_;
    std::atomic<bool> cancelled_{false};  ///< set under cancel_mutex_
};

/// Waits on the calling thread for a sleeping guest.
void run_blocking(execution& e, const vmm::run_scope& scope);

}  // namespace hearth::worker
