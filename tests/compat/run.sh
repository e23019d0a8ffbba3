#!/bin/bash
# Other people's test suites, natively and in microVMs, with a release build. Prints the table that the README carries.
# Installs what it needs as root. Fails if a failure is not listed in failures.txt, or a listed one passes.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1
. tests/support/debian.sh

usage() {
    cat <<'TEXT'
usage: tests/compat/run.sh [--quick] [--jobs N] [SUITE]...

Suites, all by default: cpython, busybox, stress. --quick runs what the test command runs; the whole takes many times as long.
Output of each test is kept in build/compat. One suite alone, or one test: tests/compat/cpython.py --help.
TEXT
}
options=() suites=()
while [ $# -gt 0 ]; do
    case $1 in
        --quick) options+=("$1") ;;
        --jobs) options+=("$1" "${2:?}"); shift ;;
        cpython | busybox | stress) suites+=("$1") ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done
[ ${#suites[@]} -gt 0 ] || suites=(cpython busybox stress)

require_packages "${build_packages[@]}" python3 libpython3.11-testsuite busybox-static dpkg-dev stress-ng || exit 1
configure_and_build release -- --target hearth_cli || exit 1

export HEARTH_BINARY=$PWD/build/release/hearth
status=0
for suite in "${suites[@]}"; do
    own=()
    [ "$suite" != busybox ] || own=(--sources build/compat/busybox-sources)
    mkdir -p build/compat
    python3 -B "tests/compat/$suite.py" --logs build/compat "${own[@]}" "${options[@]}" 2>"build/compat/$suite.log" ||
        { status=1; echo "FAILED $suite (build/compat/$suite.log)"; }
done
exit $status
