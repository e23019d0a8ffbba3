#pragma once

/// Lines of the tracer, as strace prints them. Pure functions; host::trace takes the lines.

#include "guest/kernel/kernel_state.hpp"
#include "guest/kernel/sysret.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::guest {
class task;
}

namespace hearth::guest::tracer {

/// "3", "-100", "0x80000": small numbers in decimal, larger ones as the flags or sizes they mostly
/// are.
std::string format_number(std::int64_t value);
std::string format_number(std::uint64_t value);
/// "\"/etc/passwd\"", cut at 64 bytes; the address when it cannot be read.
std::string format_text(task& t, std::uint64_t address);
std::string format_pointer(std::uint64_t address);

/// "= 3", "= -1 ENOENT (No such file or directory)", "= 0x7f…", "= ? <waits until …>".
std::string format_result(sysret& result, std::uint64_t rax);
std::string format_wait(const wait_state& wait);

/// "SIGSEGV", "SIGRT_3".
std::string signal_name(int number);
/// "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10} ---"
std::string format_signal(const signal_info& info);

}  // namespace hearth::guest::tracer
