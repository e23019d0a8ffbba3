#pragma once

/// The first bytes on a new program's stack: argc, argv, envp, the auxiliary vector, and the
/// strings they point to (System V ABI x86-64, "Initial Stack and Register State"; man 3
/// getauxval). Pure.

#include "guest/guest_ptr.hpp"

#include <hearth/error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hearth::guest::exec {

/// One string, its zero included, and all of them with their pointers: Linux's MAX_ARG_STRLEN, and
/// a quarter of the 8 MiB stack.
inline constexpr std::uint64_t longest_string = 131'072;
inline constexpr std::uint64_t longest_strings = 2ULL << 20;

/// @errors errc::invalid_argument: too long, E2BIG
result<void> check_lengths(std::span<const std::string> arguments,
                           std::span<const std::string> environment);

struct stack_contents {
    std::span<const std::string> arguments;
    std::span<const std::string> environment;
    std::string_view file_name;          ///< AT_EXECFN
    std::array<std::byte, 16> random{};  ///< AT_RANDOM
    /// Further entries: AT_PHDR, … AT_RANDOM, AT_EXECFN, AT_PLATFORM and AT_NULL are added.
    std::vector<std::pair<std::uint64_t, std::uint64_t>> auxiliary;
};

struct stack_image {
    gva pointer;                   ///< RSP, where argc stands; a multiple of 16
    std::vector<std::byte> bytes;  ///< from `pointer` up to the top
    gva random;                    ///< where AT_RANDOM points
    /// The argument strings' start, the environment strings' start and end (the arguments end where
    /// the environment starts), and where the auxiliary vector stands.
    gva arguments, environment, environment_end, auxiliary;
};

/// The lengths have been checked.
stack_image build_stack(gva top, const stack_contents& contents);

}  // namespace hearth::guest::exec
