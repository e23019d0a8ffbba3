#include "remote.hpp"

#include <hearth/hearth.hpp>

#include <boost/beast/core/detail/base64.hpp>

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>

namespace hearth::cli {
namespace {

struct invoke_settings {
    std::string package;
    std::string runtime = "provided.al2023";
    std::string runtimes;
    std::string handler;
    std::string event = "-";
    std::string memory = "128";
    double timeout = 3;
    std::string network = "none";
    std::vector<std::string> environment;
    std::vector<std::string> layers;
    bool verbose = false;
    bool is_remote = false;
    remote_settings of;
};

result<std::string> read_event(const std::string& file) {
    std::ostringstream text;
    if (file == "-") {
        // Nobody types an event: without one, the empty object stands for it.
        if (::isatty(STDIN_FILENO) == 1) return std::string("{}");
        text << std::cin.rdbuf();
    } else {
        std::ifstream in(file, std::ios::binary);
        if (!in) return error(errc::io_failed, file + ": the event cannot be read");
        text << in.rdbuf();
    }
    std::string event = std::move(text).str();
    return event.empty() ? std::string("{}") : event;
}

/// The function's log goes to stderr as it is written, not only its last 4 KiB.
class output_to_stderr final : public observer {
  public:
    void on_function_output(std::string_view, std::string_view, std::string_view text) override {
        std::fwrite(text.data(), 1, text.size(), stderr);
    }
};

std::string from_base64(const std::string& text) {
    namespace b64 = boost::beast::detail::base64;
    std::string bytes(b64::decoded_size(text.size()), '\0');
    bytes.resize(b64::decode(bytes.data(), text.data(), text.size()).first);
    return bytes;
}

result<response> invoke_once(const invoke_settings& settings, const std::string& event) {
    auto package = package_at(settings.package);
    if (!package) return package.error();
    auto memory = parse_memory(settings.memory);
    if (!memory) return memory.error();
    auto environment = parse_environment(settings.environment);
    if (!environment) return environment.error();

    runtime_options options;
    options.vcpu_threads = 1;
    options.runtime_directory = settings.runtimes;
    options.observer = std::make_shared<output_to_stderr>();
    const std::chrono::milliseconds timeout(static_cast<long>(settings.timeout * 1000));
    options.init_timeout = std::max(options.init_timeout, timeout);
    auto rt = runtime::create(options);
    if (!rt) return rt.error();
    function_config config;
    config.name = "function";
    config.package = *package;
    for (const std::string& layer : settings.layers) {
        auto found = package_at(layer);
        if (!found) return found.error();
        config.layers.push_back(std::move(*found));
    }
    config.runtime = settings.runtime;
    config.handler = settings.handler.empty() ? usual_handler(settings.runtime) : settings.handler;
    config.memory = *memory;
    config.network = settings.network;
    config.timeout = timeout;
    config.environment = *environment;
    auto fn = rt->deploy(config);
    if (!fn) return fn.error();
    return fn->invoke(event);
}

int invoke_remote(const invoke_settings& settings, const std::string& event) {
    using boost::beast::http::verb;
    auto server = remote::create(settings.of);
    if (!server) return complain(server.error());
    auto answered = [&] {
        const progress running("running " + settings.package, settings.verbose);
        return server->ask(verb::post, path_of(settings.package) + "/invocations", event,
                           {{"X-Amz-Log-Type", "Tail"}});
    }();
    if (!answered) return complain(answered.error());
    if (!answered->ok()) return complain(answered->failure());
    std::cerr << from_base64(answered->headers["x-amz-log-result"]);
    std::cout << answered->body << '\n' << std::flush;
    if (!std::cout) return complain("the response could not be written to stdout");
    return answered->headers.contains("x-amz-function-error") ? 1 : 0;
}

int invoke(const invoke_settings& settings) {
    auto event = read_event(settings.event);
    if (!event) return complain(event.error());
    if (settings.is_remote) return invoke_remote(settings, *event);
    auto outcome = [&] {
        const progress running("running " + settings.package, settings.verbose);
        return invoke_once(settings, *event);
    }();
    if (!outcome) return complain(outcome.error());
    std::cout << outcome->payload << '\n' << std::flush;
    std::cerr << to_string(outcome->report) << '\n';
    if (!std::cout) return complain("the response could not be written to stdout");
    return outcome->ok() ? 0 : 1;
}

}  // namespace

command add_invoke(CLI::App& app) {
    auto settings = std::make_shared<invoke_settings>();
    app.add_option("PACKAGE", settings->package,
                   "A deployment package: a zip, an ELF program or a directory; with --remote a "
                   "function's name or ARN")
        ->required();
    app.add_option("--runtime", settings->runtime,
                   "provided.al2023 (the package has a bootstrap), python3.11, nodejs20.x, …")
        ->capture_default_str();
    app.add_option("--runtimes", settings->runtimes, "More interpreters, as for hearth serve")
        ->type_name("DIR");
    app.add_option("--handler", settings->handler,
                   "The function's _HANDLER (default: bootstrap; of Python "
                   "lambda_function.lambda_handler, of Node index.handler)");
    app.add_option("--event", settings->event,
                   "A file with the event; - is stdin ({} when empty or a terminal)")
        ->type_name("FILE|-")
        ->capture_default_str();
    app.add_option("--memory", settings->memory,
                   "The function's memory: MB, or with a unit (512M, 1G)")
        ->capture_default_str();
    app.add_option("--timeout", settings->timeout,
                   "Seconds the function may take; its init may take as long, and 10 always")
        ->check(CLI::Range(0.001, 900.0))
        ->capture_default_str();
    app.add_option("--env", settings->environment, "NAME=VALUE, may be repeated")
        ->allow_extra_args(false)
        ->type_name("NAME=VALUE");
    app.add_option("--layer", settings->layers,
                   "A layer, shown at /opt; may be repeated, later ones override earlier ones")
        ->allow_extra_args(false)
        ->type_name("ZIP|DIR");
    add_network_option(app, settings->network);
    app.add_flag("-v,--verbose", settings->verbose,
                 "Say on stderr what takes long, even without a terminal");
    auto* remote = app.add_flag("--remote", settings->is_remote,
                                "Invoke a function of a running server: PACKAGE is its name");
    add_remote_options(app, settings->of);
    for (const char* ours : {"--endpoint", "--no-verify-ssl"}) app.get_option(ours)->needs(remote);
    // The function that is there has its own.
    for (const char* its : {"--runtime", "--runtimes", "--handler", "--memory", "--timeout",
                            "--env", "--layer", "--network"})
        remote->excludes(app.get_option(its));
    app.footer(
        "The response goes to stdout; the function's log and the REPORT line go to stderr (of a "
        "remote "
        "one the last 4 KiB).\n"
        "Exit status: 0 the function succeeded, 1 it failed or could not be run, 2 wrong usage.\n"
        "\nExamples:\n"
        "  hearth invoke function.zip --event event.json\n"
        "  echo '{\"name\":\"world\"}' | hearth invoke ./bootstrap\n"
        "  hearth invoke build/ --memory 256 --timeout 10 --env STAGE=dev\n"
        "  hearth invoke --remote hello:live --event event.json\n"
        "  hearth invoke src/ --runtime python3.11 --layer requirements.zip --layer ./shared");
    return [settings] { return invoke(*settings); };
}

}  // namespace hearth::cli
