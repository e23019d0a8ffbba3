/// The main of tests that need /dev/kvm: 77, "skipped" to ctest, where it cannot be opened.

#include "catch_main.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

int main(int argc, char** argv) {
    constexpr int skipped = 77;
    const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        std::printf("skipped: /dev/kvm cannot be opened: %s\n", std::strerror(errno));
        return skipped;
    }
    ::close(fd);
    return hearth::test::run_tests(argc, argv);
}
