#include "catch_main.hpp"

int main(int argc, char** argv) { return hearth::test::run_tests(argc, argv); }
