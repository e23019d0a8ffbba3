#pragma once

/// What a system-call handler answers.

#include "guest/kernel/wait_state.hpp"
#include "guest/outcome.hpp"

#include <cstdint>
#include <utility>

namespace hearth::guest {

class sysret {
  public:
    enum class kind {
        value,          ///< RAX is set and the call is over
        parked,         ///< the task waits; the call is dispatched again when the wait is over
        registers_set,  ///< the handler wrote the task's registers itself (rt_sigreturn)
        exited,         ///< the task is gone
    };

    sysret(std::int64_t value) : value_(value) {}            // NOLINT(google-explicit-constructor)
    sysret(os_error e) : value_(-std::int64_t{e.number}) {}  // NOLINT(google-explicit-constructor)
    template <class T>
    sysret(const outcome<T>& o)  // NOLINT(google-explicit-constructor)
        : value_(o ? to_value(o) : -std::int64_t{o.error().number}) {}

    static sysret error(int number) { return os_error{number}; }
    static sysret park(wait_state wait) {
        sysret r(0);
        r.kind_ = kind::parked;
        r.wait_ = std::move(wait);
        return r;
    }
    static sysret registers_set() { return with(kind::registers_set); }
    static sysret exited() { return with(kind::exited); }

    [[nodiscard]] kind what() const noexcept { return kind_; }
    [[nodiscard]] std::int64_t value() const noexcept { return value_; }
    [[nodiscard]] wait_state& wait() noexcept { return wait_; }

  private:
    static sysret with(kind k) {
        sysret r(0);
        r.kind_ = k;
        return r;
    }
    template <class T>
    static std::int64_t to_value(const outcome<T>& o) {
        if constexpr (requires { (*o).value; })
            return static_cast<std::int64_t>((*o).value);
        else
            return static_cast<std::int64_t>(*o);
    }
    static std::int64_t to_value(const outcome<void>&) { return 0; }

    kind kind_ = kind::value;
    std::int64_t value_;
    wait_state wait_;
};

}  // namespace hearth::guest
