#pragma once

/// The part of exec that may fail without harm: opens and checks everything a program needs (the
/// file, the interpreters of `#!` scripts, the ELF interpreter) before anything of the old program
/// is given up.

#include "guest/exec/program_source.hpp"
#include "image/elf.hpp"

#include <hearth/error.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hearth::guest::exec {

struct program_request {
    std::string
        path;  ///< what is executed; AT_EXECFN, and argv[0] of a script's interpreter comes from it
    std::vector<std::string> arguments;    ///< argv, argv[0] included
    std::vector<std::string> environment;  ///< "NAME=value"
    std::array<std::byte, 16> random{};    ///< AT_RANDOM: fresh from the host for each program
    std::uint32_t uid = 0, euid = 0, gid = 0, egid = 0;
    std::uint64_t hwcap = 0;   ///< AT_HWCAP: CPUID 1 EDX as the guest sees it; see host_hwcap
    std::uint64_t hwcap2 = 0;  ///< AT_HWCAP2: bit 1 when WRFSBASE works in the guest
    std::uint64_t minsigstksz =
        0;  ///< AT_MINSIGSTKSZ: the signal frame with the host's XSAVE area; 0: unsaid
};

/// CPUID 1 EDX of this processor.
std::uint64_t host_hwcap() noexcept;

struct program_part {
    std::string path;
    mm::file_backing file;
    image::elf_plan elf;
};

struct program_plan {
    program_part program;                     ///< the ELF file that runs, after any #! lines
    std::optional<program_part> interpreter;  ///< PT_INTERP
    std::vector<std::string> arguments;       ///< with what #! lines put before them
};

/// @errors errc::not_found            the program is not there
///         errc::not_executable       no execute permission, or not a regular file
///         errc::bad_executable       neither an ELF program we can run nor a `#!` script; the
///         detail says why errc::missing_interpreter  a `#!` or ELF interpreter is not there; the
///         detail names both errc::invalid_argument     arguments and environment are too long
///         (E2BIG) errc::io_failed            a file could not be read
result<program_plan> plan_program(program_source& source, const program_request& request);

/// The errno of execve(2) for a failure of this room: ENOENT, EACCES, ENOEXEC, E2BIG, EIO, ENOMEM.
int errno_of(const error& e) noexcept;

}  // namespace hearth::guest::exec
