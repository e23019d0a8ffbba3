#pragma once

/// Everything the personality knows about its guest, as one value: copyable, comparable, movable, no pointer
/// inside that points inside. A snapshot is a copy of it beside a copy of memory and registers. Aliasing is
/// by index: descriptors hold a `description_id` into an arena, so `dup` survives a copy and two clones never
/// share an offset.

#include "guest/kernel/native_exchange.hpp"
#include "guest/kernel/signal_state.hpp"
#include "guest/kernel/wait_state.hpp"
#include "guest/mm/address_space.hpp"
#include "guest/mm/frame_allocator.hpp"
#include "guest/vfs/fd_table.hpp"
#include "guest/vfs/vfs_state.hpp"
#include "vmm/vcpu_state.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace hearth::guest {

using pid = std::int32_t;

struct task_running {
    bool operator==(const task_running&) const = default;
};
struct task_waiting {
    wait_state wait;
    bool operator==(const task_waiting&) const = default;
};
struct task_exited {
    std::int32_t status = 0;  ///< as wait(2) encodes it
    bool operator==(const task_exited&) const = default;
};

/// A thread of the guest.
struct task_state {
    pid tid = 1;
    pid process = 1;
    vmm::vcpu_state registers;  ///< valid while the task is not on the vCPU
    std::variant<task_running, task_waiting, task_exited> run = task_running{};
    task_signals signals;
    std::uint64_t clear_child_tid = 0;
    std::uint64_t robust_list = 0;
    std::string name;  ///< comm, at most 15 bytes
    bool operator==(const task_state&) const = default;
};

/// What the threads of a process share.
struct process_state {
    pid id = 1;
    pid parent = 0;
    mm::mm_state mm;
    vfs::fd_table files;
    signal_actions actions;
    std::string executable;  ///< /proc/self/exe
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::string working_directory = "/";
    std::uint32_t umask = 022;
    std::uint32_t uid = 0, gid = 0;
    std::map<int, std::pair<std::uint64_t, std::uint64_t>> limits;  ///< RLIMIT_* → soft, hard
    bool dumpable = true;
    bool operator==(const process_state&) const = default;
};

/// What differs between two clones of one snapshot: see renew_identity.
struct identity {
    std::array<std::byte, 16> boot_id{};
    std::string hostname = "localhost";
    std::chrono::nanoseconds boot_time{};  ///< CLOCK_MONOTONIC of the host when this guest booted
    bool operator==(const identity&) const = default;
};

struct kernel_state {
    std::map<pid, process_state> processes;
    std::map<pid, task_state> tasks;
    mm::frame_allocator frames;
    vfs::vfs_state vfs;
    native_exchange native;
    guest::identity identity;
    bool operator==(const kernel_state&) const = default;
};
static_assert(std::is_copy_constructible_v<kernel_state> && std::is_copy_assignable_v<kernel_state>);
static_assert(std::is_nothrow_move_constructible_v<kernel_state> || std::is_move_constructible_v<kernel_state>);

}  // namespace hearth::guest
