// A user's program: in GNU mode, without Hearth's flags, using the core and, if there, the HTTP
// front.
#include <hearth/hearth.hpp>
#ifdef WITH_HTTP
#include <hearth/http/server.hpp>
#endif

#include <iostream>
#include <string>

int main() {
    const std::string linked = hearth::version();
    const std::string compiled = std::to_string(HEARTH_VERSION_MAJOR) + "." +
                                 std::to_string(HEARTH_VERSION_MINOR) + "." +
                                 std::to_string(HEARTH_VERSION_PATCH);
    if (linked != compiled) {
        std::cerr << "headers " << compiled << ", library " << linked << '\n';
        return 1;
    }
    // Pulls the whole library in, with or without a usable /dev/kvm.
    auto runtime = hearth::runtime::create();
    if (!runtime) {
        std::cout << "hearth " << linked << ", no runtime here: " << runtime.error().message()
                  << '\n';
        return 0;
    }
    hearth::function_config config;
    config.name = "echo";
    config.package =
        hearth::package::in_process([](std::string_view event) { return std::string(event); });
    auto echo = runtime->deploy(config);
    if (!echo || echo->invoke("\"hello\"").value().payload != "\"hello\"") {
        std::cerr << "the in-process function does not answer\n";
        return 1;
    }
#ifdef WITH_HTTP
    static_assert(sizeof(hearth::http::server) > 0);
#endif
    std::cout << "hearth " << linked << " works\n";
}
