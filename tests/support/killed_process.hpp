#pragma once

/// A process that is killed in the midst of its work: this program again, which runs its hidden
/// test "[.to-be-killed]" and says on its standard output, in records of one size, what it has been
/// promised.

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <string_view>

namespace hearth::test {

/// Kills it (kill -9) when it has said `count` records. `take` gets each one as text, also those
/// that were said before it died.
template <std::size_t record_size, class Take>
void run_until_killed(int count, Take take) {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    char program[] = "/proc/self/exe", which[] = "[.to-be-killed]";
    char* const arguments[] = {program, which, nullptr};
    pid_t child = 0;
    REQUIRE(::posix_spawn(&child, program, &actions, nullptr, arguments, environ) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    std::array<char, record_size> record;
    for (int n = 1; ::read(ends[0], record.data(), record_size) == ssize_t{record_size}; ++n) {
        take(std::string_view(record.data(), record_size));
        if (n == count) ::kill(child, SIGKILL);
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
}

}  // namespace hearth::test
