#pragma once

/// Puts a planned program into an address space: segments, heap, stack, vDSO, and the registers it
/// starts with.
///
/// Placement is fixed: position-independent programs at 0x5555'5555'4000, the interpreter and mmap
/// below the stack, the stack below the system area. There is no randomisation of addresses.

#include "guest/exec/program_plan.hpp"
#include "guest/kernel/kernel_state.hpp"
#include "guest/mm/address_space.hpp"
#include "vmm/vcpu_state.hpp"

#include <hearth/error.hpp>

#include <string>

namespace hearth::guest::exec {

struct loaded_program {
    vmm::vcpu_state registers;  ///< RIP, RSP, RFLAGS; all else zero
    std::string name;           ///< comm: the base name of what was executed, at most 15 bytes
};

/// Gives up what the address space holds and loads the plan; sets the process's mm, executable,
/// arguments and environment. Descriptors and signals are the caller's (close-on-exec, handlers
/// reset).
///
/// After a failure the process has no program any more: the caller ends it, as Linux does past the
/// point of no return. Where the old program shall live on, plan first: what remains is memory.
/// @errors errc::no_room         the program does not fit into the function's memory
///         errc::bad_executable  its segments collide with each other's pages or with the stack
result<loaded_program> load_program(process_state& process,
                                    mm::address_space& space,
                                    const program_plan& plan,
                                    const program_request& request);

/// Both steps: plan_program and load_program.
result<loaded_program> load_program(process_state& process,
                                    mm::address_space& space,
                                    program_source& source,
                                    const program_request& request);

}  // namespace hearth::guest::exec
