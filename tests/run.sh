#!/bin/bash
# All of Hearth's tests: with address and undefined-behaviour sanitizers; without those that the sanitizers have
# no room for; the concurrent ones with the thread sanitizer; and those that run guests on the second KVM flavour,
# emulated hardware.
# Installs what it needs as root. Last line: N passed, N failed, N skipped. Fails if anything failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
. tests/support/debian.sh

usage() {
    cat <<'TEXT'
usage: tests/run.sh [PHASE]...

Phases, all by default: dev, asan, tsan, hardware. Each builds what it needs below build/.
Together with asan, dev runs only the tests that asan does not.
TEXT
}
phases=("$@")
[ $# -gt 0 ] || phases=(dev asan tsan hardware)
for phase in "${phases[@]}"; do
    case $phase in
        dev | asan | tsan | hardware) ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
done

require_packages "${build_packages[@]}" catch2 libbenchmark-dev python3 python3-boto3 awscli curl unzip busybox-static \
    musl-tools libpython3.11-testsuite stress-ng dpkg-dev qemu-system-x86 cpio xz-utils node=nodejs npm=npm perl lua5.4 ruby php-cli sqlite3 bzip2 make openssl \
    go=golang-go rustc=rustc javac=openjdk-17-jdk-headless redis-server redis-tools iproute2 chromium || exit 1

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0 failures=()
[ -r /dev/kvm ] && [ -w /dev/kvm ] || echo "No usable /dev/kvm: tests that need it are skipped."

count() {  # OUTCOME NAME
    case $1 in
        passed) passed=$((passed + 1)) ;;
        skipped) skipped=$((skipped + 1)) ;;
        *) failed=$((failed + 1)); failures+=("$2") ;;
    esac
}

# test_phase NAME PRESET CTEST-ARGUMENT...: runs ctest and counts its outcomes.
test_phase() {
    local name=$1 preset=$2 outcome test
    shift 2
    # gcc 12's sanitizers cannot place their shadow under the address randomisation of newer kernels. Tests that
    # watch the clock are marked RUN_SERIAL.
    setarch -R ctest --preset "$preset" --parallel 2 --no-tests=ignore --output-junit "$work/$name.xml" "$@" </dev/null
    while read -r outcome test; do count "$outcome" "$name: $test"; done < <(
        python3 - "$work/$name.xml" "$work/said" <<'PYTHON'
import sys
import xml.etree.ElementTree as xml

outcomes = {"run": "passed", "fail": "failed", "notrun": "skipped", "disabled": "skipped"}
try:
    tests = list(xml.parse(sys.argv[1]).getroot().iter("testcase"))
    if not tests:
        print("failed", "no test was found")
    for test in tests:
        # A test that ctest could not start is "notrun" too, without being skipped on purpose.
        skip = test.find("skipped")
        lost = skip is not None and "SKIP_RETURN_CODE" not in skip.get("message", "")
        outcome = "failed" if lost else outcomes.get(test.get("status"), "failed")
        print(outcome, test.get("name"))
        if outcome == "failed":
            with open(sys.argv[2], "a") as said:
                print("---", test.get("name"), test.findtext("system-out", ""), sep="\n", file=said)
except (OSError, xml.ParseError) as e:
    print("failed", f"ctest left no results: {e}")
PYTHON
    )
}

build() {  # PRESET [CMAKE ARGUMENT...] [-- BUILD ARGUMENT...]
    configure_and_build "$@" || { count failed "building $1"; return 1; }
}

# In batches and with line tables only: the same code in half the time.
dev_build() { build dev -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=16 "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1"; }

# With asan to come, only what that leaves out: the rest would run twice on the same flavour.
dev() {
    local only=()
    [[ " ${phases[*]} " != *" asan "* ]] || only=(-L "$unsanitized")
    dev_build && test_phase dev dev "${only[@]}"
}

# The tests labelled kvm but slow or host ones, from the dev build, in one boot of an emulated machine. Nothing else
# runs meanwhile: it is slow enough alone, and its guests have deadlines.
hardware() {
    dev_build || return
    local outcome test before=$((passed + failed + skipped))
    python3 -B tests/support/hardware_tests.py build/dev "$work/script" >"$work/files" || { count failed "hardware: listing tests"; return; }
    local arguments=()
    while IFS= read -r file; do arguments+=(-f "$file"); done <"$work/files"
    tests/support/hwkvm -t 900 -m 3072 "${arguments[@]}" -- "$work/script" | tee "$work/hardware" ||
        count failed "hardware: the emulated machine"
    while read -r _ outcome test; do count "$outcome" "hardware: $test"; done < <(tr -d '\r' <"$work/hardware" | grep -a '^RESULT ')
    # Each test's lines, up to its result.
    tr -d '\r' <"$work/hardware" |
        awk '/^--- / { text = "" } { text = text $0 "\n" } /^RESULT failed / { printf "%s", text }' >>"$work/said"
    [ $((passed + failed + skipped)) -gt "$before" ] || count failed "hardware: no test ran"
}

# Nothing of ours runs in the slow ones; tests/worker and tests/cli say why others are not for the sanitizers.
unsanitized="slow|unsanitized"
asan() {
    # A leak is a failure; the rooms' own programs are guests and are not sanitized.
    build asan -DHEARTH_BENCH=OFF || return
    export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    test_phase asan asan -LE "$unsanitized"
    unset ASAN_OPTIONS UBSAN_OPTIONS
}

tsan() {
    build tsan -DHEARTH_BENCH=OFF -- --target concurrent_tests || return
    TSAN_OPTIONS="halt_on_error=1 suppressions=$PWD/tests/support/tsan.supp" test_phase tsan tsan -L concurrent
}

for phase in "${phases[@]}"; do
    echo "=== $phase"
    SECONDS=0
    "$phase"
    echo "=== $phase took $SECONDS s"
done
if [ ${#failures[@]} -ne 0 ]; then
    # Once more, where they are found.
    [ ! -s "$work/said" ] || { echo "=== What failed, the end of it:"; tail -n 150 "$work/said"; }
    printf 'FAILED %s\n' "${failures[@]}"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
