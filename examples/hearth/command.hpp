#pragma once

/// The `hearth` binary: one file per subcommand. A subcommand declares its options on the CLI11 app
/// it gets and hands back the function that runs it; that function returns the exit status.

#include <hearth/error.hpp>
#include <hearth/package.hpp>
#include <hearth/units.hpp>

#include <CLI/CLI.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hearth::cli {

using command = std::function<int()>;

command add_serve(CLI::App& app);
command add_invoke(CLI::App& app);
/// Takes PROGRAM and its arguments off the end of argv: they are not ours to parse.
command add_run(CLI::App& app, int& argc, char** argv);
command add_deploy(CLI::App& app);
command add_ls(CLI::App& app);
command add_logs(CLI::App& app);
command add_top(CLI::App& app);
command add_doctor(CLI::App& app);
/// Of every command of `root`, which outlives the program's run.
command add_completion(CLI::App& app, CLI::App& root);

/// "hearth: SENTENCE" on stderr; returns 1, the exit status of what could not be done.
int complain(const std::string& sentence);
inline int complain(const error& e) { return complain(e.message()); }

/// "256", "256M", "256MB", "1G", "1GiB": mebibytes where no unit stands, as Lambda's MemorySize.
result<byte_count> parse_memory(const std::string& text);

/// "NAME=VALUE" each.
result<std::map<std::string, std::string>> parse_environment(
    const std::vector<std::string>& settings);

/// The handler that AWS's console and blueprints give a function of that runtime.
std::string usual_handler(const std::string& runtime);

/// --network LIST.
void add_network_option(CLI::App& app, std::string& network);

/// A zip, an ELF program or a directory, by what stands there.
result<package> package_at(const std::string& path);

/// Says on stderr what is under way, once it has taken a second; only on a terminal, or always when
/// verbose.
class progress {
  public:
    progress(std::string what, bool verbose);
    ~progress();
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;

  private:
    struct impl;
    std::unique_ptr<impl> impl_;
};

}  // namespace hearth::cli
