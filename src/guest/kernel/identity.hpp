#pragma once

/// The first state of a guest, and what a clone of it must have renewed.

#include "guest/kernel/kernel_state.hpp"
#include "vmm/guest_memory.hpp"

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::guest {

/// As on Lambda, where the runtime is not the first process of its namespace: 1 would be "I am
/// init" to many programs, and the kernel treats signals to it differently.
inline constexpr pid first_process = 8;

struct initial_parameters {
    vmm::gpa first_frame, end_frame;  ///< the frame allocator's range
    std::uint64_t limit_pages = 0;    ///< the memory size
    std::string hostname = "localhost";
    std::string name;  ///< comm; exec sets it again
    std::string working_directory = "/";
    std::uint32_t uid = 0, gid = 0;
    std::chrono::nanoseconds boot_time{};  ///< guest CLOCK_MONOTONIC at boot
    /// Fills bytes with randomness: host::random.
    std::function<void(std::span<std::byte>)> random;
};

/// One process with one task, no memory mapped, no descriptor open: exec fills them in.
kernel_state make_initial_state(const initial_parameters& parameters);

/// What two clones of one snapshot must not share: the boot id, AT_RANDOM's bytes, and sockets that
/// lead out of the guest, which look reset; and an event or reply in flight is nobody's. The clock
/// needs nothing (the sandbox lets it go on), nor does getrandom, which asks the host each time,
/// nor do process ids, which each guest has to itself. A program's own generators are seeded
/// already: see the restore hooks.
void renew_identity(kernel_state& state,
                    vmm::guest_memory& memory,
                    const std::function<void(std::span<std::byte>)>& random);

/// Before a state goes into a snapshot: the tables that ended processes left are no part of it, but
/// for those that every guest has.
void forget_retired(kernel_state& state);

/// "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx", as /proc/sys/kernel/random/boot_id shows it.
std::string format_boot_id(const identity& id);

}  // namespace hearth::guest
