#include "remote.hpp"
#include "zip.hpp"

#include <boost/beast/core/detail/base64.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

namespace hearth::cli {
namespace {

namespace fs = std::filesystem;
namespace json = boost::json;
using boost::beast::http::verb;

/// Init may take 10 s, twice, and a package has to be unpacked before.
constexpr std::chrono::minutes longest_wait{5};
constexpr std::chrono::milliseconds poll{100};

struct deploy_settings {
    std::string package, name, runtime, handler, memory;
    std::string role = "arn:aws:iam::000000000000:role/hearth";
    double timeout = 0;
    std::vector<std::string> environment;
    remote_settings to;
};

/// "resize" of ./resize/, resize.zip or build/resize.
std::string name_of(const std::string& package) {
    std::error_code ec;
    fs::path path = fs::absolute(package, ec).lexically_normal();
    if (!path.has_filename()) path = path.parent_path();
    return path.extension() == ".zip" ? path.stem().string() : path.filename().string();
}

/// By what stands at the top of a directory; anything else says it by --runtime.
std::string runtime_of(const std::string& package) {
    const fs::path dir(package);
    std::error_code ec;
    const auto has = [&](const char* file) { return fs::exists(dir / file, ec); };
    if (!fs::is_directory(dir, ec) || has("bootstrap")) return "provided.al2023";
    if (has("lambda_function.py")) return "python3.11";
    if (has("index.mjs") || has("index.js") || has("index.cjs")) return "nodejs18.x";
    return "provided.al2023";
}

std::string base64(const std::string& bytes) {
    namespace b64 = boost::beast::detail::base64;
    std::string text(b64::encoded_size(bytes.size()), '\0');
    text.resize(b64::encode(text.data(), bytes.data(), bytes.size()));
    return text;
}

std::string in_megabytes(std::size_t bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f MB", static_cast<double>(bytes) / (1 << 20));
    return text;
}

/// A bar on a terminal, for what is large enough to wait for.
remote::progress bar() {
    if (::isatty(STDERR_FILENO) != 1) return {};
    return [](std::size_t sent, std::size_t total) {
        constexpr std::size_t width = 40, worth_it = 1u << 20;
        if (total < worth_it) return;
        const std::size_t filled = sent * width / total;
        std::string line = "\rhearth: sending [" + std::string(filled, '#') +
                           std::string(width - filled, ' ') + "] " + in_megabytes(sent) + " of " +
                           in_megabytes(total);
        std::fputs(line.c_str(), stderr);
        if (sent == total) std::fputs("\r\033[K", stderr);
    };
}

std::string text_of(const json::value& document, const char* key) {
    const auto* at = document.as_object().if_contains(key);
    return at && at->is_string() ? std::string(at->as_string()) : std::string();
}

/// The function's configuration once nothing is under way any more.
result<json::value> settled(const remote& server, const std::string& name) {
    const auto end = std::chrono::steady_clock::now() + longest_wait;
    for (;;) {
        auto seen = server.json(verb::get, path_of(name) + "/configuration");
        if (!seen) return seen.error();
        const std::string state = text_of(*seen, "State");
        const std::string update = text_of(*seen, "LastUpdateStatus");
        if (state == "Failed" || update == "Failed")
            return error(
                errc::init_failed,
                name + " is deployed but cannot start: " +
                    text_of(*seen, state == "Failed" ? "StateReason" : "LastUpdateStatusReason"));
        if (state != "Pending" && update != "InProgress") return seen;
        if (std::chrono::steady_clock::now() > end)
            return error(errc::init_failed, name + " is still " + state + " after 5 minutes");
        std::this_thread::sleep_for(poll);
    }
}

/// What the settings say of a function's configuration.
result<json::object> configuration_of(const deploy_settings& settings) {
    json::object c;
    if (!settings.runtime.empty()) c["Runtime"] = settings.runtime;
    if (!settings.handler.empty()) c["Handler"] = settings.handler;
    if (settings.timeout > 0) c["Timeout"] = static_cast<std::int64_t>(std::ceil(settings.timeout));
    if (!settings.memory.empty()) {
        auto memory = parse_memory(settings.memory);
        if (!memory) return memory.error();
        c["MemorySize"] = memory->mebibytes();
    }
    if (!settings.environment.empty()) {
        auto environment = parse_environment(settings.environment);
        if (!environment) return environment.error();
        json::object variables;
        for (const auto& [name, value] : *environment) variables[name] = value;
        c["Environment"] = json::object{{"Variables", std::move(variables)}};
    }
    return c;
}

result<void> create(const remote& server,
                    const deploy_settings& settings,
                    const std::string& name,
                    const std::string& zip,
                    json::object c) {
    const std::string runtime =
        settings.runtime.empty() ? runtime_of(settings.package) : settings.runtime;
    c["Runtime"] = runtime;
    if (settings.handler.empty()) c["Handler"] = usual_handler(runtime);
    c["FunctionName"] = name;
    c["Role"] = settings.role;
    c["Code"] = json::object{{"ZipFile", base64(zip)}};
    auto made = server.json(verb::post, "/2015-03-31/functions", json::serialize(c), bar());
    if (!made) return made.error();
    return {};
}

result<void> update(const remote& server,
                    const std::string& name,
                    const std::string& zip,
                    const json::object& c) {
    // An update that is still under way would refuse this one.
    if (auto quiet = settled(server, name); !quiet && !(quiet.error() == errc::init_failed))
        return quiet.error();
    auto code = server.json(verb::put, path_of(name) + "/code",
                            json::serialize(json::object{{"ZipFile", base64(zip)}}), bar());
    if (!code) return code.error();
    if (c.empty()) return {};
    if (auto ready = settled(server, name); !ready && !(ready.error() == errc::init_failed))
        return ready.error();
    auto changed = server.json(verb::put, path_of(name) + "/configuration", json::serialize(c));
    if (!changed) return changed.error();
    return {};
}

int deploy(const deploy_settings& settings) {
    auto server = remote::create(settings.to);
    if (!server) return complain(server.error());
    auto wanted = configuration_of(settings);
    if (!wanted) return complain(wanted.error());
    auto zip = make_zip(settings.package);
    if (!zip) return complain(zip.error());
    const std::string name = settings.name.empty() ? name_of(settings.package) : settings.name;

    auto there = server->ask(verb::get, path_of(name) + "/configuration");
    if (!there) return complain(there.error());
    const bool is_new = there->status == 404;
    if (!is_new && !there->ok()) return complain(there->failure());
    const auto sent = is_new ? create(*server, settings, name, *zip, *wanted)
                             : update(*server, name, *zip, *wanted);
    if (!sent) return complain(sent.error());
    auto ready = [&] {
        const progress waiting("waiting for " + name + " to become active", false);
        return settled(*server, name);
    }();
    if (!ready) return complain(ready.error());
    std::printf("%s %s: %s, %s zipped, %s\n", name.c_str(), is_new ? "created" : "updated",
                text_of(*ready, "Runtime").c_str(), in_megabytes(zip->size()).c_str(),
                text_of(*ready, "State").c_str());
    return 0;
}

}  // namespace

command add_deploy(CLI::App& app) {
    auto settings = std::make_shared<deploy_settings>();
    app.add_option("PACKAGE", settings->package,
                   "What to deploy: a directory (it is zipped), a zip or an ELF program")
        ->required()
        ->type_name("DIR|ZIP|ELF");
    app.add_option("--name", settings->name,
                   "The function's name (default: the directory's or file's)");
    app.add_option("--runtime", settings->runtime,
                   "provided.al2023, python3.11, nodejs20.x, … (default for a new function: by "
                   "bootstrap, lambda_function.py or index.*)");
    app.add_option("--handler", settings->handler,
                   "Its handler (default for a new function: bootstrap, "
                   "lambda_function.lambda_handler or index.handler)");
    app.add_option("--memory", settings->memory, "Its memory: MB, or with a unit (512M, 1G)");
    app.add_option("--timeout", settings->timeout, "Seconds an invocation may take")
        ->check(CLI::Range(1.0, 900.0));
    app.add_option(
           "--env", settings->environment,
           "NAME=VALUE, may be repeated; replaces all variables of a function that is there")
        ->allow_extra_args(false)
        ->type_name("NAME=VALUE");
    app.add_option("--role", settings->role, "A new function's role; shown, not used")
        ->capture_default_str();
    add_remote_options(app, settings->to);
    app.footer(
        "Creates the function, or updates the one of that name: its code, and what else is given. "
        "Waits until it is\n"
        "active. Requests are signed when AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are set.\n"
        "\nExamples:\n"
        "  hearth deploy src/hello\n"
        "  hearth deploy build/function.zip --name hello --memory 512 --env STAGE=dev\n"
        "  AWS_ENDPOINT_URL=https://hearth.lan:9000 hearth deploy ./bootstrap --name hello");
    return [settings] { return deploy(*settings); };
}

}  // namespace hearth::cli
