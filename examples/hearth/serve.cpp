#include "command.hpp"

#include <hearth/directory_watch.hpp>
#include <hearth/hearth.hpp>
#include <hearth/http/server.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hearth::cli {
namespace {

namespace asio = boost::asio;

struct serve_settings {
    std::string listen = "127.0.0.1:9000";
    std::string data;
    std::string runtimes;
    std::string credentials;
    std::string tls_certificate, tls_key;
    std::string log_level = "warning";
    std::vector<std::string> watches, queues_at;
    std::size_t vcpu_threads = 0;
    std::uint64_t memory_budget_mb = 0;
    std::size_t concurrency = 1000;
    std::size_t scale_up_starts = 0;
    std::size_t max_shells = 64;
    bool find_shared_randomness = false;
    double event_retry_delay = 60;
    bool cap_cpu = false;
};

using severity = log_record::severity;
const std::map<std::string, severity> severities = {{"debug", severity::debug},
                                                    {"info", severity::info},
                                                    {"warning", severity::warning},
                                                    {"error", severity::error}};

class log_to_stderr final : public observer {
  public:
    explicit log_to_stderr(severity least) : least_(least) {}
    void on_log(const log_record& record) override {
        if (record.level < least_) return;
        static constexpr const char* names[] = {"debug", "info", "warning", "error"};
        std::fprintf(stderr, "hearth: %s: %.*s: %.*s\n",
                     names[static_cast<std::size_t>(record.level)],
                     static_cast<int>(record.room.size()), record.room.data(),
                     static_cast<int>(record.message.size()), record.message.data());
    }

  private:
    severity least_;
};

/// "127.0.0.1:9000", "[::1]:9000"; the port alone will do.
result<http::server_options> parse_listen(const std::string& text) {
    http::server_options options;
    const auto bad = [&] {
        return error(errc::invalid_argument,
                     "'" + text + "' is not ADDRESS:PORT, such as 127.0.0.1:9000");
    };
    const auto colon = text.rfind(':');
    const std::string port = colon == std::string::npos ? text : text.substr(colon + 1);
    const auto [end, failure] =
        std::from_chars(port.data(), port.data() + port.size(), options.port);
    if (failure != std::errc() || end != port.data() + port.size()) return bad();
    if (colon != std::string::npos) options.address = text.substr(0, colon);
    if (options.address.size() > 2 && options.address.front() == '[' &&
        options.address.back() == ']')
        options.address = options.address.substr(1, options.address.size() - 2);
    if (options.address.empty()) return bad();
    return options;
}

/// "DIR=FUNCTION", "DIR=FUNCTION,prefix=in/,suffix=.jpg"
result<directory_watch> parse_watch(const std::string& text) {
    const auto bad = [&] {
        return error(errc::invalid_argument,
                     "'" + text +
                         "' is not DIR=FUNCTION, with ,prefix=… and ,suffix=… if wanted, such as "
                         "/srv/photos=resize,suffix=.jpg");
    };
    directory_watch w;
    std::string rest = text;
    const auto equals = rest.find('=');
    if (equals == std::string::npos || equals == 0) return bad();
    w.directory = rest.substr(0, equals);
    rest.erase(0, equals + 1);
    w.function = rest.substr(0, rest.find(','));
    rest.erase(0, std::min(w.function.size() + 1, rest.size()));
    while (!rest.empty()) {
        const std::string part = rest.substr(0, rest.find(','));
        rest.erase(0, std::min(part.size() + 1, rest.size()));
        if (part.starts_with("prefix="))
            w.prefix = part.substr(7);
        else if (part.starts_with("suffix="))
            w.suffix = part.substr(7);
        else
            return bad();
    }
    if (w.function.empty()) return bad();
    return w;
}

/// "REGION=URL", with the keys that AWS's tools would use.
result<queue_endpoint> parse_queues_at(const std::string& text) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0)
        return error(errc::invalid_argument, "'" + text +
                                                 "' is not REGION=URL, such as "
                                                 "eu-west-1=https://sqs.eu-west-1.amazonaws.com");
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    return queue_endpoint{
        .region = text.substr(0, equals),
        .url = text.substr(equals + 1),
        .credentials = {variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY"),
                        variable("AWS_SESSION_TOKEN")}};
}

/// Those of the credentials file, which SIGHUP has read again. Environments that start from then on
/// are given the new ones.
class function_keys {
  public:
    void set(credentials_source source) {
        const std::scoped_lock lock(mutex_);
        source_ = std::move(source);
    }
    credentials_source source() {
        return [this](const std::string& function) {
            std::unique_lock lock(mutex_);
            const credentials_source now = source_;
            lock.unlock();
            return now(function);
        };
    }

  private:
    std::mutex mutex_;
    credentials_source source_;
};

std::filesystem::path default_data_directory() {
    if (const char* state = std::getenv("XDG_STATE_HOME"); state && *state)
        return std::filesystem::path(state) / "hearth";
    if (const char* home = std::getenv("HOME"); home && *home)
        return std::filesystem::path(home) / ".local/state/hearth";
    return "/var/lib/hearth";
}

void read_again(const std::string& file, http::server& front, function_keys& functions) {
    auto keys = http::read_access_keys(file);
    const auto source = keys ? http::keys_for_functions(*keys) : credentials_source();
    const std::size_t count = keys ? keys->size() : 0;
    const auto taken =
        keys ? front.replace_access_keys(std::move(*keys)) : result<void>(keys.error());
    if (taken.has_error()) {
        std::fprintf(stderr, "hearth: the access keys stay as they were: %s\n",
                     taken.error().message().c_str());
        return;
    }
    functions.set(source);
    std::fprintf(stderr, "hearth: %zu access key%s from %s hold now\n", count,
                 count == 1 ? "" : "s", file.c_str());
}

int serve(const serve_settings& settings) {
    auto address = parse_listen(settings.listen);
    if (!address) return complain(address.error());
    function_keys functions;  // outlives the runtime
    if (!settings.credentials.empty()) {
        auto keys = http::read_access_keys(settings.credentials);
        if (!keys) return complain(keys.error());
        functions.set(http::keys_for_functions(*keys));
        address->access_keys = std::move(*keys);
    }
    address->tls_certificate = settings.tls_certificate;
    address->tls_key = settings.tls_key;

    runtime_options options;
    options.data_directory =
        settings.data.empty() ? default_data_directory() : std::filesystem::path(settings.data);
    options.logs.directory = options.data_directory / "logs";
    options.runtime_directory = settings.runtimes;
    options.vcpu_threads = settings.vcpu_threads;
    options.memory_budget = byte_count(settings.memory_budget_mb << 20);
    options.account_concurrency = settings.concurrency;
    options.scale_up_starts = settings.scale_up_starts;
    options.max_shells = settings.max_shells;
    options.find_shared_randomness = settings.find_shared_randomness;
    options.events.retry_delay =
        std::chrono::milliseconds(static_cast<std::int64_t>(settings.event_retry_delay * 1000));
    options.cap_cpu = settings.cap_cpu;
    if (!settings.credentials.empty()) options.credentials = functions.source();
    for (const std::string& text : settings.queues_at) {
        auto each = parse_queues_at(text);
        if (!each) return complain(each.error());
        options.queue_endpoints.push_back(std::move(*each));
    }
    options.observer = std::make_shared<log_to_stderr>(severities.at(settings.log_level));
    auto rt = runtime::create(options);
    if (!rt) return complain(rt.error());
    std::vector<directory_watch> watched;
    for (const std::string& text : settings.watches) {
        auto each = parse_watch(text);
        if (!each) return complain(each.error());
        watched.push_back(std::move(*each));
    }
    std::optional<directory_watches> watches;
    if (!watched.empty()) {
        auto started = directory_watches::start(
            rt->control(), watched, options.data_directory / "watches.db", options.observer);
        if (!started) return complain(started.error());
        watches.emplace(std::move(*started));
    }

    asio::io_context io(1);
    // Before anybody hears that it listens, and may want it to stop.
    asio::signal_set signals(io, SIGINT, SIGTERM);
    asio::signal_set hangups(io);
    http::server front(io.get_executor(), *rt, *address);
    std::function<void()> await_hangup = [&] {
        hangups.async_wait([&](error_code cancelled, int) {
            if (cancelled) return;
            read_again(settings.credentials, front, functions);
            await_hangup();
        });
    };
    if (!settings.credentials.empty()) {
        hangups.add(SIGHUP);
        await_hangup();
    }
    if (auto listening = front.listen(); !listening) return complain(listening.error());
    const bool six = address->address.find(':') != std::string::npos;
    std::printf("hearth: listening on %s://%s%s%s:%u, data in %s\n",
                address->tls_key.empty() ? "http" : "https", six ? "[" : "",
                address->address.c_str(), six ? "]" : "", front.port(),
                std::filesystem::absolute(options.data_directory).c_str());
    std::puts(
        "hearth: open that address in a browser to see functions, environments and invocations");
    std::fflush(stdout);

    // The first signal lets running invocations finish; the second ends at once.
    int impatient = 0;
    signals.async_wait([&](error_code failed, int) {
        if (failed) return;
        if (::isatty(STDERR_FILENO) == 1)
            std::fputs("hearth: finishing running invocations; again to stop at once\n", stderr);
        signals.async_wait([&](error_code cancelled, int second) {
            if (cancelled) return;
            impatient = second;
            io.stop();
        });
        front.async_stop([&](error_code) {
            signals.cancel();
            await_hangup = [] {};  // one may be on its way
            hangups.cancel();
        });
    });
    io.run();
    // Guests may still run, for up to their timeouts: nobody waits for them any more.
    if (impatient) std::_Exit(128 + impatient);
    watches.reset();
    if (auto quiet = rt->drain(); !quiet) return complain(quiet.error());
    return 0;
}

}  // namespace

command add_serve(CLI::App& app) {
    auto settings = std::make_shared<serve_settings>();
    app.add_option("--listen", settings->listen, "Address and port; port 0 takes a free one")
        ->type_name("ADDRESS:PORT")
        ->capture_default_str();
    app.add_option("--data", settings->data,
                   "Where functions are kept; created if absent (default: $XDG_STATE_HOME/hearth "
                   "or ~/.local/state/hearth)")
        ->type_name("DIR");
    app.add_option("--runtimes", settings->runtimes,
                   "More interpreters of managed runtimes: DIR/python3.12/bin/python3.12, "
                   "DIR/nodejs22.x/bin/node")
        ->type_name("DIR");
    app.add_option("--credentials", settings->credentials,
                   "The access keys that requests must be signed with, and what each is allowed "
                   "(mode 0600; the format stands below). SIGHUP has it read again. Without, every "
                   "request is taken, and only on loopback")
        ->type_name("FILE");
    app.add_option("--tls-certificate", settings->tls_certificate,
                   "Serve within TLS (1.2 or later): the certificate and its issuers, PEM")
        ->type_name("FILE");
    app.add_option("--tls-key", settings->tls_key, "The certificate's private key, PEM")
        ->type_name("FILE");
    app.add_option("--log-level", settings->log_level,
                   "The least severe messages shown: debug, info, warning or error")
        ->check(CLI::IsMember(severities))
        ->capture_default_str();
    app.add_option("--vcpu-threads", settings->vcpu_threads,
                   "Threads that run guests (default: one for each core)")
        ->check(CLI::Range(1, 4096))
        ->type_name("N");
    app.add_option(
           "--memory-budget", settings->memory_budget_mb,
           "Memory sizes of all live environments, and snapshots, together stay below so many MB; "
           "idle ones are given up for it (default: no limit)")
        ->check(CLI::Range(1u, 1u << 30))
        ->type_name("MB");
    app.add_option("--concurrency", settings->concurrency,
                   "Executions at once, all functions together")
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N")
        ->capture_default_str();
    app.add_option("--scale-up-starts", settings->scale_up_starts,
                   "Environments that invocations may start for one function in 10 s; beyond that "
                   "they are throttled (AWS: 1000; default: no limit)")
        ->check(CLI::Range(1, 1'000'000))
        ->type_name("N");
    app.add_option("--max-shells", settings->max_shells,
                   "MicroVMs in use at most, unless more run at once; idle environments beyond "
                   "keep only what they wrote")
        ->check(CLI::Range(1, 100'000))
        ->type_name("N")
        ->capture_default_str();
    app.add_flag("--find-shared-randomness", settings->find_shared_randomness,
                 "Warn of random bytes that a function drew in its init and that all its "
                 "environments share; for testing functions, slow");
    app.add_option("--event-retry-delay", settings->event_retry_delay,
                   "An asynchronous invocation that failed is retried after so long, and after "
                   "twice as long again")
        ->check(CLI::Range(0.0, 3600.0))
        ->type_name("SECONDS")
        ->capture_default_str();
    app.add_option("--watch", settings->watches,
                   "Tell the function of the files in a directory, by events of Amazon S3's format; "
                   "several times if wanted")
        ->type_name("DIR=FUNCTION[,prefix=…][,suffix=…]");
    app.add_option(
           "--queues-at", settings->queues_at,
           "Where event source mappings find the queues of another region: an endpoint that "
           "speaks Amazon SQS. Requests are signed with AWS_ACCESS_KEY_ID, "
           "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the environment; several times "
           "if wanted")
        ->type_name("REGION=URL");
    app.add_flag("--cap-cpu", settings->cap_cpu,
                 "No function gets more CPU than its memory stands for (1,769 MB: one)");
    app.footer(
        "Says on stdout where it listens once it does. SIGTERM and SIGINT let running invocations "
        "finish; a second\n"
        "one stops at once. To listen beyond loopback, --credentials is needed: a file like AWS's, "
        "with "
        "rules:\n"
        "\n"
        "  [frontend]\n"
        "  aws_access_key_id = AKIAFRONTEND\n"
        "  aws_secret_access_key = …             as 'openssl rand -base64 30' gives\n"
        "  allow = InvokeFunction on hello, thumb-*\n"
        "  allow = Get*, List*                   'allow = *' is everything\n"
        "  functions = resize                    functions that are given this key, to sign with\n"
        "\nExamples:\n"
        "  hearth serve\n"
        "  hearth serve --listen 127.0.0.1:8080 --data /var/lib/hearth --log-level info\n"
        "  hearth serve --listen 0.0.0.0:9000 --credentials /etc/hearth/credentials "
        "--tls-certificate cert.pem --tls-key key.pem\n"
        "  aws --endpoint-url http://127.0.0.1:9000 lambda list-functions");
    return [settings] { return serve(*settings); };
}

}  // namespace hearth::cli
