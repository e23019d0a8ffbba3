#include "guest/kernel/tracer.hpp"

#include "guest/abi/errno_names.hpp"
#include "guest/abi/signal.hpp"
#include "guest/kernel/task.hpp"

#include <fmt/format.h>

#include <iterator>

namespace hearth::guest::tracer {
namespace {

constexpr std::size_t shown_text = 64;

constexpr std::string_view names[] = {
    "0",         "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
    "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
    "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS",
};

std::string code_name(int number, int code) {
    switch (code) {
        case abi::si_user:
            return "SI_USER";
        case abi::si_kernel:
            return "SI_KERNEL";
        case abi::si_queue:
            return "SI_QUEUE";
        case abi::si_timer:
            return "SI_TIMER";
        case abi::si_tkill:
            return "SI_TKILL";
        default:
            break;
    }
    const auto is = [&](int n, int c) { return number == n && code == c; };
    if (is(abi::sigsegv, abi::segv_maperr)) return "SEGV_MAPERR";
    if (is(abi::sigsegv, abi::segv_accerr)) return "SEGV_ACCERR";
    if (is(abi::sigbus, abi::bus_adraln)) return "BUS_ADRALN";
    if (is(abi::sigbus, abi::bus_adrerr)) return "BUS_ADRERR";
    if (is(abi::sigill, abi::ill_illopn)) return "ILL_ILLOPN";
    if (is(abi::sigtrap, abi::trap_brkpt)) return "TRAP_BRKPT";
    if (is(abi::sigtrap, abi::trap_trace)) return "TRAP_TRACE";
    if (number == abi::sigfpe) {
        constexpr std::string_view fpe[] = {"",           "FPE_INTDIV", "FPE_INTOVF",
                                            "FPE_FLTDIV", "FPE_FLTOVF", "FPE_FLTUND",
                                            "FPE_FLTRES", "FPE_FLTINV", "FPE_FLTSUB"};
        if (code > 0 && code < static_cast<int>(std::size(fpe))) return std::string(fpe[code]);
    }
    return fmt::format("{}", code);
}

}  // namespace

std::string format_number(std::int64_t value) {
    return value > 0xffff ? fmt::format("{:#x}", value) : fmt::format("{}", value);
}
std::string format_number(std::uint64_t value) {
    return value > 0xffff ? fmt::format("{:#x}", value) : fmt::format("{}", value);
}
std::string format_pointer(std::uint64_t address) {
    return address ? fmt::format("{:#x}", address) : "NULL";
}

std::string format_text(task& t, std::uint64_t address) {
    const auto text = t.memory().read_string(gva{address}, 4096);
    if (!text) return format_pointer(address);
    std::string out = "\"";
    for (const char c : std::string_view(*text).substr(0, shown_text)) {
        if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (c == '"' || c == '\\')
            (out += '\\') += c;
        else if (c < 0x20 || c == 0x7f)
            fmt::format_to(std::back_inserter(out), "\\{:o}", static_cast<unsigned char>(c));
        else
            out += c;
    }
    out += '"';
    if (text->size() > shown_text) out += "...";
    return out;
}

std::string format_wait(const wait_state& wait) {
    std::string out = "waits";
    const char* before = " for ";
    const auto add = [&](std::string_view what) {
        out.append(before).append(what);
        before = ", ";
    };
    if (wait.native_event) add("an event");
    if (!wait.watches.empty())
        add(fmt::format("{} file{}", wait.watches.size(), wait.watches.size() == 1 ? "" : "s"));
    if (wait.signals) add("a signal of a set");
    if (wait.deadline) add(fmt::format("{} ns on the clock", wait.deadline->count()));
    if (wait.signal_only) add("a signal");
    return out;
}

std::string format_result(sysret& result, std::uint64_t rax) {
    switch (result.what()) {
        case sysret::kind::parked:
            return fmt::format("= ? <{}>", format_wait(result.wait()));
        case sysret::kind::exited:
            return "= ?";
        case sysret::kind::registers_set:
            return "= " + format_number(static_cast<std::int64_t>(rax));
        case sysret::kind::value:
            break;
    }
    const auto value = result.value();
    if (value < 0 && value >= -4095) {
        const auto error = abi::name_of_error(static_cast<int>(-value));
        return fmt::format("= -1 {} ({})", error.name, error.text);
    }
    return "= " + format_number(value);
}

std::string signal_name(int number) {
    if (number >= 0 && number < static_cast<int>(std::size(names)))
        return std::string(names[number]);
    return fmt::format("SIGRT_{}", number - abi::first_realtime_signal);
}

std::string format_signal(const signal_info& info) {
    const auto name = signal_name(info.number);
    std::string out = fmt::format("--- {} {{si_signo={}, si_code={}", name, name,
                                  code_name(info.number, info.code));
    auto end = std::back_inserter(out);
    if (info.code == abi::si_timer)
        fmt::format_to(end, ", si_timerid={}, si_overrun={}", info.timer, info.overrun);
    else if (info.code == abi::si_kernel) {
    } else if (info.code > 0)
        fmt::format_to(end, ", si_addr={}", format_pointer(info.address));
    else
        fmt::format_to(end, ", si_pid={}, si_uid={}", info.sender_pid, info.sender_uid);
    return out + "} ---";
}

}  // namespace hearth::guest::tracer
