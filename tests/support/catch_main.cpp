#include "catch_main.hpp"

#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

int hearth::test::run_tests(int argc, char** argv) { return Catch::Session().run(argc, argv); }
