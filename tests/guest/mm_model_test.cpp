#include "mm_machine.hpp"

using namespace mm_test;

TEST_CASE("thousands of random operations agree with a simple model") {
    for (unsigned seed = 1; seed <= 12; ++seed) {
        machine m(seed, 16_MiB, 2048);
        m.run(1500);
        REQUIRE(!m.w.frames.exhausted());
    }
}

TEST_CASE("random operations short of memory end in exhaustion, never in a broken invariant") {
    int exhausted = 0;
    for (unsigned seed = 100; seed < 110; ++seed) {
        machine m(seed, 2_MiB, 120);
        m.run(1500);
        exhausted += m.w.frames.exhausted() ? 1 : 0;
    }
    REQUIRE(exhausted > 0);
}
