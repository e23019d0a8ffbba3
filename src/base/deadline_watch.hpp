#pragma once

/// Interrupts what runs past its deadline. Arming costs a lock and a comparison: the watching
/// thread is woken only when the new deadline is earlier than the time it sleeps until, and a
/// deadline that was disarmed in time costs it nothing but one look.
///
/// Lock order: the mutex here is held while `expire` is called, and is a leaf otherwise; `expire`
/// must not arm or disarm.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace hearth {

class deadline_watch {
  public:
    using time_point = std::chrono::steady_clock::time_point;

    /// What has a deadline. Stays where it is while armed.
    class entry {
      public:
        virtual void expire() noexcept = 0;

      protected:
        entry() = default;
        entry(const entry&) = delete;
        entry& operator=(const entry&) = delete;
        ~entry() = default;

      private:
        friend class deadline_watch;
        static constexpr std::size_t unarmed = static_cast<std::size_t>(-1);
        std::size_t position_ = unarmed;
        time_point deadline_;
    };

    deadline_watch();
    deadline_watch(const deadline_watch&) = delete;
    deadline_watch& operator=(const deadline_watch&) = delete;
    ~deadline_watch();

    /// Joins the thread; nothing expires any more.
    void stop();

    /// `e` is not armed.
    void arm(entry& e, time_point deadline);
    /// Afterwards `e.expire` does not run and will not. Harmless when unarmed.
    void disarm(entry& e) noexcept;

  private:
    void watch();
    void sift_up(std::size_t at) noexcept;
    void sift_down(std::size_t at) noexcept;
    void put(std::size_t at, entry* e) noexcept;
    void remove(std::size_t at) noexcept;

    std::mutex mutex_;  // guards all below
    std::condition_variable changed_;
    std::vector<entry*> heap_;  // a binary heap, earliest first; entries know their place
    time_point sleeps_until_ = time_point::max();
    bool stop_ = false;
    std::thread thread_;
};

}  // namespace hearth
