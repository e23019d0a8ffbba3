#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace hearth {

/// Refuses new work and waits for old. Entering again from inside is allowed.
class gate {
  public:
    gate() = default;
    gate(const gate&) = delete;
    gate& operator=(const gate&) = delete;

    [[nodiscard]] bool enter() {
        const std::lock_guard lock(mutex_);
        if (closed_) return false;
        ++inside_;
        return true;
    }
    void leave() noexcept {
        const std::lock_guard lock(mutex_);
        if (--inside_ == 0 && closed_) empty_.notify_all();
    }
    /// Returns when nobody is inside any more.
    void close() {
        std::unique_lock lock(mutex_);
        closed_ = true;
        empty_.wait(lock, [this] { return inside_ == 0; });
    }

    /// Inside for as long as it lives, if it got in.
    class pass {
      public:
        explicit pass(gate& g) : gate_(g.enter() ? &g : nullptr) {}
        pass(const pass&) = delete;
        pass& operator=(const pass&) = delete;
        ~pass() {
            if (gate_) gate_->leave();
        }
        explicit operator bool() const noexcept { return gate_ != nullptr; }

      private:
        gate* gate_;
    };

  private:
    std::mutex mutex_;  // a leaf; guards all below
    std::condition_variable empty_;
    std::size_t inside_ = 0;
    bool closed_ = false;
};

}  // namespace hearth
