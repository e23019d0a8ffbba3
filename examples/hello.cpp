// An embedder's first page: functions in microVMs, called like functions.
//
//   hello PACKAGE     a deployment package: build/<preset>/functions/socket_bootstrap.zip, say

#include <hearth/hearth.hpp>

#include <boost/asio.hpp>

#include <iostream>

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace hearth::literals;

asio::awaitable<void> greetings(hearth::function greet) {
    hearth::response r = co_await greet.async_invoke(R"({"name":"cat"})", asio::use_awaitable);
    std::cout << r.payload << '\n' << r.report << '\n';  // REPORT Duration: … Billed Duration: …

    auto [ec, retry] =
        co_await greet.async_invoke(R"({"fail":true})", asio::as_tuple(asio::use_awaitable));
    if (ec == hearth::errc::throttled) co_return;         // the runtime said no
    if (!retry.ok()) std::cerr << retry.payload << '\n';  // the function itself failed: a value
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: hello PACKAGE.zip\n";
        return 2;
    }
    try {
        auto rt = hearth::runtime::create({.vcpu_threads = 4, .memory_budget = 2_GiB}).value();

        hearth::function_config config{
            .name = "greet",
            .package = hearth::package::zip(argv[1]),  // or ::elf(path), ::directory(path)
            .handler = "bootstrap",
            .memory = 256_MiB,
            .timeout = 3s,
            .pool = {.max_idle = 32, .idle_ttl = 5min},
            .environment = {{"STAGE", "dev"}},
        };
        hearth::function greet = rt.deploy(config).value();

        std::cout << greet.invoke(R"({"name":"dog"})").value().payload << '\n';  // blocks

        asio::io_context io;
        asio::co_spawn(io, greetings(greet), [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        io.run();

        // The same calls without a microVM: for tests and glue.
        hearth::function_config glue;
        glue.name = "upper";
        glue.package = hearth::package::in_process([](std::string_view event) {
            std::string text(event);
            for (char& c : text)
                if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
            return text;
        });
        std::cout << rt.deploy(glue).value().invoke("\"hello\"").value().payload << '\n';

        hearth::metrics m = rt.metrics();  // a value, taken at one instant
        std::cout << m.pool.idle << " idle, " << m.pool.cold_starts << " cold, "
                  << m.pool.warm_starts << " warm\n";
    } catch (const boost::system::system_error& e) {  // .value() of what could not be done
        std::cerr << "hello: " << e.what() << '\n';
        return 1;
    }
}
