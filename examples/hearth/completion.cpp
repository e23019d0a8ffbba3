#include "command.hpp"

#include <cstdio>

namespace hearth::cli {
namespace {

/// Every option of a command as it is typed, by a space each.
std::string options_of(CLI::App& app) {
    std::string words;
    for (const CLI::Option* option : app.get_options())
        for (const std::string& name : option->get_lnames()) words += "--" + name + " ";
    return words;
}

/// What the shell asks at each TAB: the words come from the commands themselves, so they cannot
/// drift from what the binary takes.
std::string bash_script(CLI::App& root) {
    std::string commands, cases;
    for (CLI::App* each : root.get_subcommands([](CLI::App*) { return true; })) {
        commands += each->get_name() + " ";
        cases += "        " + each->get_name() + ") options='" + options_of(*each) + "' ;;\n";
    }
    return R"bash(# bash completion of hearth: source it, or write it to /etc/bash_completion.d/hearth
_hearth() {
    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-} options word
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W ')bash" +
           commands + options_of(root) + R"bash(' -- "$current"))
        return
    fi
    case $command in
)bash" + cases +
           R"bash(        *) return ;;
    esac
    # What is run is another program's business.
    if [ "$command" = run ]; then
        for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
            if [ "$word" = -- ]; then COMPREPLY=($(compgen -f -- "$current")); return; fi
        done
    fi
    case $current in
        -*) COMPREPLY=($(compgen -W "$options" -- "$current")) ;;
        *)
            if [ "$command" = logs ] ||
                { [ "$command" = invoke ] && [[ " ${COMP_WORDS[*]} " == *' --remote '* ]]; }; then
                COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" ls --names 2>/dev/null)" -- "$current"))
            elif [ "$command" = completion ]; then
                COMPREPLY=($(compgen -W bash -- "$current"))
            else
                COMPREPLY=($(compgen -f -- "$current"))
            fi
            ;;
    esac
}
complete -o filenames -o bashdefault -F _hearth hearth
)bash";
}

}  // namespace

command add_completion(CLI::App& app, CLI::App& root) {
    auto shell = std::make_shared<std::string>();
    app.add_option("SHELL", *shell, "bash")->required()->check(CLI::IsMember({"bash"}));
    app.footer(
        "Prints a script that completes hearth's commands, options, files and, after logs or "
        "--remote, the server's functions.\n"
        "\nExamples:\n"
        "  source <(hearth completion bash)\n"
        "  hearth completion bash > /etc/bash_completion.d/hearth");
    return [shell, &root] {  // the option refers to it
        std::fputs(bash_script(root).c_str(), stdout);
        return std::fflush(stdout) == 0 ? 0 : complain("the script could not be written");
    };
}

}  // namespace hearth::cli
