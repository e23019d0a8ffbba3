#pragma once

/// The frame on a user stack from which a handler runs and to which rt_sigreturn returns, byte for
/// byte the kernel's (arch/x86/kernel/signal.c): struct rt_sigframe, then the XSAVE image.

#include "guest/kernel/task.hpp"

namespace hearth::guest::signals {

/// Writes the frame and points the task's registers at the handler. False when the stack cannot
/// hold it: the registers are unchanged then.
bool push_frame(task& t, const signal_info& info, const signal_action& action);

/// rt_sigreturn: takes registers, mask, alternate stack and vector state from the frame at RSP.
/// Every field is the guest's to forge, so each is checked. False: a bad frame, SIGSEGV.
bool pop_frame(task& t);

}  // namespace hearth::guest::signals
