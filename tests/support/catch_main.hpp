#pragma once

namespace hearth::test {

/// Catch2's command line and session. Compiled once: it takes longer than most of our tests.
int run_tests(int argc, char** argv);

}  // namespace hearth::test
