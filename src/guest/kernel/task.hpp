#pragma once

/// The handle through which a system-call handler acts: one task, its process, the kernel and guest
/// memory, for the length of one call. Not a value and never kept.

#include "guest/guest_ptr.hpp"
#include "guest/kernel/kernel_state.hpp"
#include "guest/kernel/sysret.hpp"
#include "guest/mm/address_space.hpp"
#include "guest/vfs/file_pages.hpp"

#include <cerrno>
#include <span>
#include <string>
#include <type_traits>

namespace hearth::guest {

class kernel;

class task {
  public:
    task(guest::kernel& kernel,
         process_state& process,
         task_state& state,
         vmm::vcpu_state& registers) noexcept;

    [[nodiscard]] guest::kernel& kernel() noexcept { return kernel_; }
    [[nodiscard]] process_state& process() noexcept { return process_; }
    [[nodiscard]] task_state& state() noexcept { return state_; }
    [[nodiscard]] vmm::vcpu_state& registers() noexcept { return registers_; }
    [[nodiscard]] mm::address_space& memory() noexcept { return memory_; }
    [[nodiscard]] vfs::fd_table& files();
    [[nodiscard]] viewpoint& view();
    [[nodiscard]] signal_actions& actions();
    /// Set while a parked call is dispatched again: what it waited for. Null on the first dispatch.
    [[nodiscard]] const wait_state* wait() const noexcept { return wait_; }
    void set_wait(const wait_state* wait) noexcept { wait_ = wait; }
    /// With wait(): a signal ends the wait now. Parking again becomes EINTR (or a restart); a
    /// handler that has something to say of the rest (nanosleep) answers itself.
    [[nodiscard]] bool interrupted() const noexcept { return interrupted_; }
    void set_interrupted(bool interrupted) noexcept { interrupted_ = interrupted; }

    /// The mask during this call only (sigsuspend, ppoll, pselect, epoll_pwait): the old one comes
    /// back after the handler of the signal that ends it, or with the call's value. Not again when
    /// dispatched again.
    void set_temporary_mask(signal_set mask) noexcept;

    /// Copies a T in. EFAULT.
    template <class T>
    outcome<std::remove_const_t<T>> read(guest_ptr<T> from) {
        static_assert(std::is_trivially_copyable_v<T>);
        std::remove_const_t<T> value;
        auto r = memory_.read(from.address, std::as_writable_bytes(std::span(&value, 1)));
        if (!r) return r.error();
        return value;
    }
    /// Copies a T out. EFAULT.
    template <class T>
    outcome<void> write(guest_ptr<T> to, const std::type_identity_t<T>& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        return memory_.write(to.address, std::as_bytes(std::span(&value, 1)));
    }
    /// A path or other string argument; PATH_MAX 4096 (ENAMETOOLONG), EFAULT.
    outcome<std::string> read_path(guest_ptr<const char> from) {
        return memory_.read_string(from.address, 4096);
    }

  private:
    guest::kernel& kernel_;
    process_state& process_;
    task_state& state_;
    vmm::vcpu_state& registers_;
    vfs::file_pages shared_;
    mm::address_space memory_;
    const wait_state* wait_ = nullptr;
    bool interrupted_ = false;
};

}  // namespace hearth::guest
