/// hearth_test_front COMMAND ARGS…: serves the Lambda API with a fake worker that echoes, runs the
/// command with HEARTH_ENDPOINT and HEARTH_ZIP added as its last two arguments, and exits as it
/// does.

#include "fake_worker.hpp"
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

int main(int argc, char** argv) {
    if (argc < 2) return std::fputs("usage: hearth_test_front COMMAND ARGS…\n", stderr), 2;
    const hearth::test::temporary_directory dir;
    const std::string zip = dir.path() / "echo.zip";
    std::ofstream(zip, std::ios::binary)
        << hearth::test::zip_maker().file("bootstrap", "#!/bin/sh\n", 0755).bytes();

    hearth::test::fake_worker worker;
    hearth::control_options options;
    options.data_directory = dir.path() / "data";
    const auto control = hearth::control_plane::create(options, worker).value();
    boost::asio::io_context io;
    hearth::http::server front(io.get_executor(), *control, {.port = 0});
    front.listen().value();
    std::thread serving([&] { io.run(); });

    std::vector<std::string> words(argv + 1, argv + argc);
    words.push_back("http://127.0.0.1:" + std::to_string(front.port()));
    words.push_back(zip);
    std::vector<char*> arguments;
    for (auto& w : words) arguments.push_back(w.data());
    arguments.push_back(nullptr);
    ::setenv("HEARTH_FAKE_WORKER", "1", 1);  // for the scripts that look at what a worker does
    pid_t child = 0;
    int status = 127 << 8;
    if (::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) == 0)
        ::waitpid(child, &status, 0);

    front.async_stop([](hearth::error_code) {});
    serving.join();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
