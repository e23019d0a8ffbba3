#include "worker/failure.hpp"

#include <fmt/format.h>

#include <csignal>

namespace hearth::worker {
namespace {

/// As Go's syscall.Signal prints them, which is what Lambda's messages show.
std::string signal_name(int number) {
    switch (number) {
        case SIGHUP:
            return "hangup";
        case SIGINT:
            return "interrupt";
        case SIGQUIT:
            return "quit";
        case SIGILL:
            return "illegal instruction";
        case SIGTRAP:
            return "trace/breakpoint trap";
        case SIGABRT:
            return "aborted";
        case SIGBUS:
            return "bus error";
        case SIGFPE:
            return "floating point exception";
        case SIGKILL:
            return "killed";
        case SIGUSR1:
            return "user defined signal 1";
        case SIGSEGV:
            return "segmentation fault";
        case SIGUSR2:
            return "user defined signal 2";
        case SIGPIPE:
            return "broken pipe";
        case SIGALRM:
            return "alarm clock";
        case SIGTERM:
            return "terminated";
        case SIGSYS:
            return "bad system call";
    }
    return fmt::format("signal {}", number);
}

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out.push_back('\\');
            out.push_back(c);
        } else if (c == '\n') {
            out.append("\\n");
        } else if (c == '\t') {
            out.append("\\t");
        } else if (u < 0x20 || u == 0x7f) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}", u);
        } else if (u >= 0x80) {
            fmt::format_to(std::back_inserter(out), "\\u{:04x}",
                           u);  // bytes, whatever their encoding: still JSON
        } else {
            out.push_back(c);
        }
    }
}

double mebibytes(byte_count n) { return static_cast<double>(n.bytes()) / (1 << 20); }

}  // namespace

std::string how_it_ended(guest::exit_status status) {
    return status.signal ? "signal: " + signal_name(status.signal)
                         : fmt::format("exit status {}", status.code);
}

failure exit_failure(guest::exit_status status, std::string_view hint) {
    if (!status.signal && status.code == 0)
        return {"Runtime.ExitError", "Runtime exited without providing a reason"};
    auto message = "Runtime exited with error: " + how_it_ended(status);
    // 127 is how ld.so and shells end when something is not there; they say what on stderr.
    if (!status.signal && status.code == 127 && !hint.empty())
        message.append(": ").append(hint.substr(0, 512));
    return {"Runtime.ExitError", std::move(message)};
}

failure out_of_memory_failure(byte_count peak, byte_count limit) {
    return {
        "Runtime.OutOfMemory",
        fmt::format(
            "Runtime exited with error: signal: killed (out of memory: {:.1f} MB used of {} MB)",
            mebibytes(peak), limit.mebibytes())};
}

failure timeout_failure(std::chrono::milliseconds limit) {
    return {"Sandbox.Timedout", fmt::format("Task timed out after {:.2f} seconds",
                                            static_cast<double>(limit.count()) / 1000)};
}

failure poisoned_failure(std::string_view reason) {
    return {"Runtime.ExitError",
            fmt::format("Runtime exited with error: the microVM stopped: {}", reason)};
}

std::string plain_error_document(std::string_view type, std::string_view message) {
    std::string out = R"({"errorType":")";
    append_escaped(out, type);
    out.append(R"(","errorMessage":")");
    append_escaped(out, message);
    out.append("\"}");
    return out;
}

std::string error_document(const failure& f, std::string_view request_id) {
    return plain_error_document(f.type,
                                fmt::format("RequestId: {} Error: {}", request_id, f.message));
}

}  // namespace hearth::worker
