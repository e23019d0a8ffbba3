#pragma once

/// A guest that runs on the calling thread until it ends, wherever its program is from.

#include "runtime/guest_program.hpp"

#include <hearth/error.hpp>
#include <hearth/sandbox.hpp>

namespace hearth::detail {

/// Of the options, what does not choose the program. @errors as run_program
result<run_status> run_guest(guest_program program, const run_options& options);

}  // namespace hearth::detail
