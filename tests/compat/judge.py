"""What the suites' scripts share: running a command with a deadline, the list of known failures, the verdict.

A subject (a module, an applet, a stressor) runs natively and in a microVM. Only what passes natively is held against
Hearth. failures.txt says of each failure that is known why it is there; the verdict fails on one that is not listed
and on a listed one that passes, so that the list stays true.
"""
import argparse
import concurrent.futures
import dataclasses
import fnmatch
import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Before a native command: what a function may have.
LIMITS = ["/usr/bin/prlimit", "--nofile=1024:1024", "--"]


@dataclasses.dataclass
class Outcome:
    state: str  # passed, failed, skipped
    detail: str = ""
    seconds: float = 0.0


def run(command, timeout, cwd="/", environment=None):
    """Exit status (None: over the time), output and seconds. Whatever it started is killed with it."""
    began = time.monotonic()
    process = subprocess.Popen(
        command, cwd=cwd, env=environment, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output, _ = process.communicate(timeout=timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        status = None
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
    return status, output.decode("utf-8", "replace"), time.monotonic() - began


def known_failures(suite):
    """failures.txt: lines `suite | subject | reason`; # begins a comment. A subject may be a pattern (fnmatch)."""
    known = {}
    for line in (HERE / "failures.txt").read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        of, subject, reason = line.split(" | ", 2)
        if of == suite:
            known[subject] = reason
    return known


def entry_for(known, subject):
    """The entry of known failures that is the subject's, or None."""
    return subject if subject in known else next((p for p in known if fnmatch.fnmatchcase(subject, p)), None)


def arguments(description, timeout, **directories):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--hearth", default=os.environ.get("HEARTH_BINARY"), metavar="FILE",
                        help="the hearth binary (default: $HEARTH_BINARY)")
    parser.add_argument("--quick", action="store_true", help="the small choice that the test command runs")
    parser.add_argument("--timeout", type=float, default=timeout, help="seconds each may take (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="how many run at once (default: 1)")
    parser.add_argument("--logs", metavar="DIR", help="keep the output of each, natively and in the guest")
    for name, purpose in directories.items():
        parser.add_argument(f"--{name}", metavar="DIR", help=purpose)
    parser.add_argument("subjects", nargs="*", help="only these")
    options = parser.parse_args()
    if not options.hearth or not os.access(options.hearth, os.X_OK):
        sys.exit("No hearth binary: give --hearth FILE or HEARTH_BINARY")
    options.hearth = os.path.abspath(options.hearth)
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print("No usable /dev/kvm: nothing was run.")
        sys.exit(77)
    if options.logs:
        pathlib.Path(options.logs).mkdir(parents=True, exist_ok=True)
    return options


def keep(options, name, side, output):
    if options.logs:
        (pathlib.Path(options.logs) / f"{name.replace('/', '_')}.{side}").write_text(output)


def compare(suite, title, subjects, options, natively, guest):
    """Runs each subject on both sides, prints the table's row and its failures; true if the list is true."""
    known = known_failures(suite)
    unlisted, cured, failed = [], [], []
    passed = skipped = 0

    def both(subject):
        native = natively(subject)
        return subject, native, guest(subject) if native.state == "passed" else None

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for subject, native, ours in pool.map(both, subjects):
            if ours is None:
                skipped += 1
                print(f"{subject}: {native.state} natively, not counted ({native.detail})", file=sys.stderr, flush=True)
                continue
            print(f"{subject}: {ours.state} in {ours.seconds:.1f} s, natively {native.seconds:.1f} s. {ours.detail}",
                  file=sys.stderr, flush=True)
            if ours.state == "passed":
                passed += 1
                if subject in known:
                    cured.append(subject)
            else:
                failed.append(subject)
                if not entry_for(known, subject):
                    unlisted.append(f"{subject}: {ours.detail}")
    print("| suite | run | passed | failed | not counted: fail or skip natively |")
    print("|---|---|---|---|---|")
    print(f"| {title} | {passed + len(failed)} | {passed} | {len(failed)} | {skipped} |")
    for entry in dict.fromkeys(filter(None, (entry_for(known, subject) for subject in failed))):
        print(f"* {suite} `{entry}`: {known[entry]}")
    for line in unlisted:
        print(f"UNLISTED FAILURE {suite} {line}")
    for subject in cured:
        print(f"LISTED BUT PASSES {suite} {subject}: take it out of failures.txt")
    return passed + len(failed) > 0 and not unlisted and not cured
