// The hearth binary: serve, deploy, ls, logs, invoke, run, top, doctor, completion.

#include "command.hpp"

#include <hearth/version.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <iterator>
#include <utility>

int main(int argc, char** argv) {
    using namespace hearth::cli;
    // A reader that goes away is an error of a write, not the end of a server. In the binary only:
    // the library leaves signals alone.
    std::signal(SIGPIPE, SIG_IGN);

    CLI::App app("Hearth: AWS Lambda functions in KVM microVMs, on this machine.", "hearth");
    app.set_version_flag("--version", std::string("hearth ") + hearth::version());
    app.require_subcommand(1);
    app.footer(
        "Examples:\n"
        "  hearth doctor                                     what this host has and lacks\n"
        "  hearth run -- /usr/bin/env                        any Linux program, in a microVM\n"
        "  hearth invoke function.zip --event event.json     one package, one event, no server\n"
        "  hearth serve --data /var/lib/hearth               the Lambda API on 127.0.0.1:9000\n"
        "  hearth deploy src/hello                           a directory becomes a function of it\n"
        "  hearth logs hello --follow                        what it writes, as it does\n"
        "  hearth top                                        what that server does, live\n"
        "\n'hearth COMMAND --help' has more of each.");

    CLI::App& serve = *app.add_subcommand("serve", "Serve the Lambda HTTP API");
    CLI::App& deploy =
        *app.add_subcommand("deploy", "Create or update a function of a running server");
    CLI::App& ls = *app.add_subcommand("ls", "List the functions of a running server");
    CLI::App& logs = *app.add_subcommand("logs", "Show what a function of a running server wrote");
    CLI::App& invoke = *app.add_subcommand(
        "invoke",
        "Invoke one deployment package with one event, without a server, or a server's function");
    CLI::App& run = *app.add_subcommand("run", "Run any Linux program in a microVM");
    CLI::App& top = *app.add_subcommand("top", "Watch a running server");
    CLI::App& doctor =
        *app.add_subcommand("doctor", "Say what this host has for Hearth, and what to mend");
    CLI::App& completion =
        *app.add_subcommand("completion", "Print a script that completes hearth in a shell");
    const std::pair<CLI::App*, command> commands[] = {
        {&serve, add_serve(serve)},
        {&deploy, add_deploy(deploy)},
        {&ls, add_ls(ls)},
        {&logs, add_logs(logs)},
        {&invoke, add_invoke(invoke)},
        {&run, add_run(run, argc, argv)},
        {&top, add_top(top)},
        {&doctor, add_doctor(doctor)},
        {&completion, add_completion(completion, app)},
    };

    try {
        // CLI11 would only say that a command is missing.
        if (argc > 1 && argv[1][0] != '-' &&
            std::none_of(std::begin(commands), std::end(commands),
                         [&](auto& c) { return c.first->check_name(argv[1]); }))
            throw CLI::ExtrasError({argv[1]});
        app.parse(argc, argv);
        for (const auto& [chosen, action] : commands)
            if (chosen->parsed()) return action();
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
        std::fprintf(stderr, "hearth: %s\n", e.what());
        std::fputs("Try 'hearth --help', or 'hearth COMMAND --help'.\n", stderr);
        return 2;
    } catch (const std::exception& e) {  // out of memory, or a bug
        return complain(e.what());
    }
    return 2;
}
