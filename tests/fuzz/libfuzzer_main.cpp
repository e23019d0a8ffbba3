/// One target under libFuzzer, whose command line this takes. Inside a test case of Catch2, because
/// the worlds that targets stand on are built with its assertions.

#include "catch_main.hpp"
#include "target.hpp"

#include <catch2/catch.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>

extern "C" int LLVMFuzzerRunDriver(int* argc,
                                   char*** argv,
                                   int (*one)(const std::uint8_t* data, std::size_t size));

namespace {

int argument_count;
char** arguments;
hearth::fuzz::target* chosen;

int one_input(const std::uint8_t* data, std::size_t size) {
    try {
        chosen->run({reinterpret_cast<const char*>(data), size});
    } catch (const std::exception& e) {
        std::fprintf(stderr, "broken promise: %s\n", e.what());
        std::abort();
    }
    return 0;
}

#define HEARTH_JOIN(a, b) a##b
#define HEARTH_MAKE(target) hearth::fuzz::HEARTH_JOIN(make_, target)

}  // namespace

TEST_CASE("fuzz") {
    const auto target = HEARTH_MAKE(HEARTH_FUZZ_TARGET)();
    chosen = target.get();
    // The seeds join the corpus directory, if one is named.
    for (int i = 1; i < argument_count; ++i) {
        if (arguments[i][0] == '-' || !std::filesystem::is_directory(arguments[i])) continue;
        int n = 0;
        for (const std::string& s : target->seeds())
            std::ofstream(std::filesystem::path(arguments[i]) / ("seed-" + std::to_string(n++)),
                          std::ios::binary)
                << s;
        break;
    }
    CHECK(LLVMFuzzerRunDriver(&argument_count, &arguments, one_input) == 0);
}

int main(int argc, char** argv) {
    argument_count = argc;
    arguments = argv;
    char* session[] = {argv[0], nullptr};
    return hearth::test::run_tests(1, session);
}
