#pragma once

#include <hearth/error.hpp>
#include <hearth/units.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

/// Any Linux program in a microVM of its own: no function, no scheduler. What `hearth run` is made
/// of.
struct run_options {
    /// The program and its arguments. Without a slash the program is looked for in the
    /// environment's PATH, as a shell does (without PATH: /usr/local/bin:/usr/bin:/bin).
    std::vector<std::string> arguments;
    /// "NAME=value", all of it: nothing comes from the caller's own environment.
    std::vector<std::string> environment;
    /// The host directory the guest sees, read-only, as its root; /tmp, /proc and /dev are its own.
    /// Of the host's /tmp it sees the working directory and the program's directory, read-only.
    std::filesystem::path root = "/";
    /// Inside that root. Empty: the caller's current directory if the root is "/", else "/".
    std::filesystem::path working_directory;
    byte_count memory = byte_count(1024ull << 20);
    byte_count tmp_size = byte_count(512ull << 20);
    /// Descriptors that are the guest's stdin, stdout and stderr; borrowed. Negative: end of file,
    /// discarded.
    int input = 0, output = 1, error_output = 2;
    /// Called instead of writing to a descriptor, when set.
    std::function<void(std::string_view)> on_output, on_error_output;
    /// Called with one line per system call, as strace prints it, when set.
    std::function<void(std::string_view)> trace;
    /// A stop request ends the guest: errc of the result is `asio::error::operation_aborted`.
    std::stop_token stop;
    /// As in runtime_options.
    int kick_signal_offset = 7;
};

/// How the program ended.
struct run_status {
    int exit_code = 0;           ///< of exit_group
    int signal = 0;              ///< or the signal that ended it
    bool out_of_memory = false;  ///< or the memory size was reached
    byte_count peak_memory;
    std::chrono::nanoseconds vm{}, load{}, run{};
};

/// Runs it on the calling thread until it ends.
///
/// @errors errc::missing_entry_point no such program; not_executable, bad_executable,
/// missing_interpreter;
///         invalid_argument, io_failed, no_room, kvm_missing, kvm_forbidden, kvm_unsupported,
///         kvm_failed; sandbox_poisoned the microVM stopped, the detail says why
[[nodiscard]] result<run_status> run_program(const run_options& options);

}  // namespace hearth
