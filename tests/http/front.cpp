/// hearth_test_front COMMAND ARGS…: serves the Lambda API with a fake worker that echoes, runs the
/// command with HEARTH_ENDPOINT and HEARTH_ZIP added as its last two arguments, and exits as it
/// does. Within TLS, with a certificate that the clients find in their variables, and for the keys
/// test (everything) and test-reader (some) only, each its own secret.

#include "fake_worker.hpp"
#include "logs/log_store.hpp"
#include "self_signed.hpp"
#include "temporary_directory.hpp"
#include "zip_maker.hpp"

#include <hearth/http/server.hpp>

#include <boost/asio/io_context.hpp>

#include <spawn.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <thread>

namespace {

/// What logs_client.py reads: 250 lines, a second apart, of two environments in turn.
std::shared_ptr<const hearth::logs::store> write_logs(const std::filesystem::path& directory) {
    auto store = hearth::logs::store::open({.directory = directory}, nullptr).value();
    const char* const streams[] = {"2025/11/27/[$LATEST]0000000000000000000000000000000a",
                                   "2025/11/27/[1]0000000000000000000000000000000b"};
    for (int i = 0; i < 250; ++i) {
        const std::string line = "line " + std::to_string(i) +
                                 (i % 10 ? " fine" : " ERROR exit status 1") + " caf\xc3\xa9\n";
        store->write(hearth::logs::store::make_source(
                         {.group = "/aws/lambda/hello", .stream = streams[i % 2]}),
                     {{1764244800000 + i * 1000, line, true}});
    }
    store->write(hearth::logs::store::make_source({.group = "/other", .stream = "s"}),
                 {{1764244800000, "other\n", true}});
    return store;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) return std::fputs("usage: hearth_test_front COMMAND ARGS…\n", stderr), 2;
    const hearth::test::temporary_directory dir;
    const std::string zip = dir.path() / "echo.zip";
    std::ofstream(zip, std::ios::binary)
        << hearth::test::zip_maker().file("bootstrap", "#!/bin/sh\n", 0755).bytes();

    hearth::test::fake_worker worker;
    hearth::control_options options;
    options.data_directory = dir.path() / "data";
    options.logs = write_logs(dir.path() / "logs");
    const auto control = hearth::control_plane::create(options, worker).value();
    boost::asio::io_context io;
    const hearth::test::self_signed tls;
    hearth::http::server_options http_options{.port = 0};
    http_options.access_keys = {{"test", "test", "test", {{{"*"}}}},
                                {"reader",
                                 "test-reader",
                                 "test-reader",
                                 {{{"InvokeFunction", "Get*"}, {"signatures-*"}},
                                  {{"logs:Filter*"}, {"/aws/lambda/hello"}}}}};
    http_options.tls_certificate = tls.certificate;
    http_options.tls_key = tls.key;
    hearth::http::server front(io.get_executor(), *control, http_options);
    front.listen().value();
    std::thread serving([&] { io.run(); });

    std::vector<std::string> words(argv + 1, argv + argc);
    words.push_back("https://127.0.0.1:" + std::to_string(front.port()));
    words.push_back(zip);
    std::vector<char*> arguments;
    for (auto& w : words) arguments.push_back(w.data());
    arguments.push_back(nullptr);
    ::setenv("HEARTH_FAKE_WORKER", "1", 1);  // for the scripts that look at what a worker does
    for (const char* variable : {"AWS_CA_BUNDLE", "SSL_CERT_FILE", "HEARTH_CA_FILE"})
        ::setenv(variable, tls.certificate.c_str(), 1);
    pid_t child = 0;
    int status = 127 << 8;
    if (::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) == 0)
        ::waitpid(child, &status, 0);

    front.async_stop([](hearth::error_code) {});
    serving.join();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
