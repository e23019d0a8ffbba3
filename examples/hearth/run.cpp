#include "command.hpp"

#include <hearth/sandbox.hpp>

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <string_view>

namespace hearth::cli {
namespace {

struct run_settings {
    std::string root = "/";
    std::string memory = "1G";
    std::string network = "none";
    std::vector<std::string> environment;
    std::vector<std::string> program;
    bool trace = false;
};

// As a shell and env(1) say it; 125 is Hearth's own failure, so that a program's 1 stays its own.
int status_of(const error& e) {
    if (e == errc::missing_entry_point || e == errc::missing_interpreter) return 127;
    if (e == errc::not_executable || e == errc::bad_executable) return 126;
    return 125;
}

void write_trace(std::string_view line) {
    std::string text(line);
    if (!text.ends_with('\n')) text += '\n';
    std::fwrite(text.data(), 1, text.size(), stderr);
}

int run(const run_settings& settings) {
    run_options options;
    auto memory = parse_memory(settings.memory);
    if (!memory) {
        complain(memory.error());
        return 125;
    }
    options.memory = *memory;
    auto added = parse_environment(settings.environment);
    if (!added) {
        complain(added.error());
        return 125;
    }
    // Our own environment, in its order, each variable replaced where --env says so.
    for (char** entry = environ; *entry; ++entry) {
        const std::string_view variable(*entry);
        if (const auto override = added->find(std::string(variable.substr(0, variable.find('='))));
            override == added->end())
            options.environment.emplace_back(variable);
    }
    for (const auto& [name, value] : *added) options.environment.push_back(name + "=" + value);
    options.root = settings.root;
    options.network = settings.network;
    options.arguments = settings.program;
    if (settings.trace) options.trace = write_trace;

    const auto status = run_program(options);
    if (!status) {
        complain(status.error());
        return status_of(status.error());
    }
    if (status->out_of_memory) {
        complain(settings.program.front() + ": out of memory, at " +
                 std::to_string(options.memory.mebibytes()) + " MiB (--memory gives more)");
        return 128 + 9;  // as the kernel's OOM killer does it
    }
    return status->signal ? 128 + status->signal : status->exit_code;
}

// Where PROGRAM begins: behind the first "--", or at the first word that is neither an option nor
// an option's value. What follows is the program's own and must not be looked at.
int program_start(const CLI::App& app, int argc, char** argv) {
    for (int i = 2; i < argc; ++i) {
        const std::string word = argv[i];
        if (word == "--") return i;
        if (!word.starts_with('-') || word == "-") return i;
        const CLI::Option* option = app.get_option_no_throw(word);
        if (option && option->get_type_size() > 0) ++i;  // --name VALUE
    }
    return argc;
}

}  // namespace

command add_run(CLI::App& app, int& argc, char** argv) {
    auto settings = std::make_shared<run_settings>();
    auto shown = std::make_shared<std::vector<std::string>>();
    app.add_option("--root", settings->root,
                   "The directory the program sees as its root, read-only")
        ->type_name("DIR")
        ->capture_default_str();
    app.add_option("--env", settings->environment,
                   "NAME=VALUE, beside the caller's environment; may be repeated")
        ->allow_extra_args(false)
        ->type_name("NAME=VALUE");
    app.add_option("--memory", settings->memory,
                   "Memory of the guest: MB, or with a unit (512M, 1G)")
        ->capture_default_str();
    add_network_option(app, settings->network);
    app.add_flag("--trace", settings->trace,
                 "Show every system call with its arguments and result, on stderr");
    app.add_option("PROGRAM", *shown,
                   "The program, searched in PATH as a shell does, and its arguments");
    app.footer(
        "The program starts in the current directory and sees the host's files read-only; /tmp, "
        "/proc and /dev are\n"
        "its own. Stdin, stdout and stderr are passed through.\n"
        "Exit status: the program's own; 128 and the signal's number if a signal ended it; 127 no "
        "such program,\n"
        "126 not a program that can run, 125 Hearth could not run it; 2 wrong usage.\n"
        "\nExamples:\n"
        "  hearth run -- /usr/bin/env\n"
        "  hearth run --memory 256M -- busybox ls -l /usr\n"
        "  hearth run --network example.com:443 -- curl -s https://example.com\n"
        "  hearth run --trace -- ./bootstrap 2>trace.txt\n"
        "  hearth run --root /srv/debian --env LANG=C -- /bin/ls /");
    if (argc > 1 && app.get_name() == argv[1]) {
        const int start = program_start(app, argc, argv);
        const bool dashes = start < argc && std::string_view(argv[start]) == "--";
        settings->program.assign(argv + start + (dashes ? 1 : 0), argv + argc);
        argc = start;
    }
    return [settings, shown] {
        (void)shown;
        if (settings->program.empty()) throw CLI::RequiredError("PROGRAM");
        return run(*settings);
    };
}

}  // namespace hearth::cli
