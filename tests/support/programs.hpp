#pragma once

/// Runs a guest program natively and in a microVM, and keeps what it wrote and how it ended.

#include <hearth/sandbox.hpp>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <ostream>
#include <string>
#include <vector>

namespace programs {

struct ended {
    std::string output, errors;
    int exit_code = 0;
    int signal = 0;
    bool operator==(const ended&) const = default;
};
inline std::ostream& operator<<(std::ostream& out, const ended& e) {
    return out << "exit " << e.exit_code << " signal " << e.signal << "\n--- stdout\n"
               << e.output << "--- stderr\n"
               << e.errors << "---";
}

inline std::string guest(const std::string& name) {
    return std::string(HEARTH_GUESTS_DIR) + "/" + name;
}

inline const std::vector<std::string>& plain_environment() {
    static const std::vector<std::string> e{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C", "ONE=1",
                                            "EMPTY="};
    return e;
}

/// The native run stands in `directory`; so does the guest.
inline ended run_natively(const std::vector<std::string>& arguments,
                          const std::string& input = {},
                          const std::string& directory = "/usr") {
    std::array<int, 2> in{}, out{}, err{};
    if (::pipe2(in.data(), O_CLOEXEC) || ::pipe2(out.data(), O_CLOEXEC) ||
        ::pipe2(err.data(), O_CLOEXEC))
        std::abort();
    ::fcntl(in[1], F_SETPIPE_SZ, 1 << 20);
    if (::write(in[1], input.data(), input.size()) != static_cast<ssize_t>(input.size()))
        std::abort();
    ::close(in[1]);
    std::vector<char*> argv, envp;
    for (auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    for (auto& e : plain_environment()) envp.push_back(const_cast<char*>(e.c_str()));
    argv.push_back(nullptr);
    envp.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(in[0], 0);
        ::dup2(out[1], 1);
        ::dup2(err[1], 2);
        if (::chdir(directory.c_str())) ::_exit(126);
        ::execve(argv[0], argv.data(), envp.data());
        ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    ::close(err[1]);
    ended e;
    // The programs write little to stderr: no need to read both at once.
    const auto drain = [](int fd, std::string& into) {
        char buffer[65536];
        for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;)
            into.append(buffer, static_cast<std::size_t>(n));
        ::close(fd);
    };
    drain(out[0], e.output);
    drain(err[0], e.errors);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) e.exit_code = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) e.signal = WTERMSIG(status);
    return e;
}

inline hearth::run_options options_for(std::vector<std::string> arguments, ended& into) {
    hearth::run_options o;
    o.arguments = std::move(arguments);
    o.environment = plain_environment();
    o.working_directory = "/usr";
    o.input = -1;
    o.memory = hearth::byte_count(256u << 20);
    o.on_output = [&into](std::string_view text) { into.output += text; };
    o.on_error_output = [&into](std::string_view text) { into.errors += text; };
    return o;
}

inline ended run_in_sandbox(std::vector<std::string> arguments, const std::string& input = {}) {
    ended e;
    auto o = options_for(std::move(arguments), e);
    std::array<int, 2> in{-1, -1};
    if (::pipe2(in.data(), O_CLOEXEC)) std::abort();
    ::fcntl(in[1], F_SETPIPE_SZ, 1 << 20);
    if (::write(in[1], input.data(), input.size()) != static_cast<ssize_t>(input.size()))
        std::abort();
    ::close(in[1]);
    o.input = in[0];
    auto r = hearth::run_program(o);
    ::close(in[0]);
    if (r.has_error()) {
        e.errors += "run_program: " + r.error().message();
        e.exit_code = -1;
    } else {
        e.exit_code = r->exit_code;
        e.signal = r->signal;
    }
    return e;
}

}  // namespace programs
