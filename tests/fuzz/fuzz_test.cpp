/// Each target for a short time, with the same inputs in every run.
///   test_fuzz [--seed N] [--seconds N] [-c TARGET]
/// The input that is being tried stands in fuzz-TARGET.input: after a crash it is what crashed.

#include "catch_main.hpp"
#include "mutation.hpp"
#include "target.hpp"

#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

using namespace hearth::fuzz;

namespace {

std::uint64_t seed = 1;
double seconds = 2;

/// Survives the process.
class kept_input {
  public:
    explicit kept_input(const std::string& name) : name_(name) {
        fd_ = ::open(name.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        REQUIRE(fd_ >= 0);
    }
    ~kept_input() {
        ::close(fd_);
        ::unlink(name_.c_str());
    }
    kept_input(const kept_input&) = delete;
    kept_input& operator=(const kept_input&) = delete;
    void set(const std::string& input) {
        REQUIRE(::pwrite(fd_, input.data(), input.size(), 0) == std::ssize(input));
        REQUIRE(::ftruncate(fd_, std::ssize(input)) == 0);
    }

  private:
    std::string name_;
    int fd_;
};

}  // namespace

TEST_CASE("bytes of strangers are refused or understood, never worse") {
    for (const auto& [name, make] : targets) {
        DYNAMIC_SECTION(name) {
            const auto one = make();
            const auto corpus = one->seeds();
            REQUIRE_FALSE(corpus.empty());
            for (const std::string& s : corpus) REQUIRE_NOTHROW(one->run(s));
            mutator random(seed);
            kept_input kept(std::string("fuzz-") + name + ".input");
            const auto end =
                std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
            std::uint64_t tried = 0;
            for (; std::chrono::steady_clock::now() < end; ++tried) {
                const std::string input = random.next(corpus);
                kept.set(input);
                try {
                    one->run(input);
                } catch (const std::exception& e) {
                    FAIL(name << ", seed " << seed << ", input " << tried << ": " << e.what()
                              << "\n"
                              << Catch::Detail::stringify(input.substr(0, 2000)));
                }
            }
            std::printf("%s: %llu inputs\n", name, static_cast<unsigned long long>(tried));
            CHECK(tried > 20);
        }
    }
}

int main(int argc, char** argv) {
    std::vector<char*> rest{argv[0]};
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = std::strtoull(argv[++i], nullptr, 0);
        else if (std::strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
            seconds = std::strtod(argv[++i], nullptr);
        else
            rest.push_back(argv[i]);
    }
    return hearth::test::run_tests(static_cast<int>(rest.size()), rest.data());
}
