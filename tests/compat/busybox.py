#!/usr/bin/env python3
"""BusyBox's testsuite (Debian's source package) against busybox-static, natively and under hearth run."""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import judge

QUICK = "cp ln mv rm touch".split()
SOURCES = """deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
"""


def fetch(place):
    """Debian's source package by lists of its own below place: the machine's stay as they are."""
    shutil.rmtree(place, ignore_errors=True)
    (place / "lists/partial").mkdir(parents=True)
    (place / "sources.list").write_text(SOURCES)
    own = ["-o", f"Dir::Etc::sourcelist={place}/sources.list", "-o", "Dir::Etc::sourceparts=-",
           "-o", f"Dir::State::lists={place}/lists", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=",
           "-o", "APT::Sandbox::User=root"]
    for command in (["update"], ["source", "--download-only", "busybox"]):
        done = subprocess.run(["apt-get", "-q", *own, *command], cwd=place, capture_output=True, text=True)
        if done.returncode:
            print(f"BusyBox's sources could not be had: apt-get {' '.join(command)}:\n{done.stdout}{done.stderr}")
            sys.exit(77)
    for archive in [*place.glob("*.orig.tar.*"), *place.glob("*.debian.tar.*")]:
        subprocess.run(["tar", "-xf", archive, "-C", place], check=True)


def stage(place, sources):
    """place/testsuite beside the binary and its configuration, as BusyBox's own build directory has them."""
    tree = next(sources.glob("busybox-*/"))
    shutil.copytree(tree / "testsuite", place / "testsuite")
    shutil.copy("/bin/busybox", place / "busybox")
    shutil.copy(sources / "debian/config/pkg/static", place / ".config")
    subprocess.run(["gcc", "-Os", "-o", place / "testsuite/echo-ne", tree / "scripts/echo.c"], check=True,
                   stderr=subprocess.DEVNULL)


def results(output):
    said = {"PASS": "passed", "FAIL": "failed", "SKIPPED": "skipped", "UNTESTED": "skipped"}
    return {name: said[word] for word, name in re.findall(r"^(PASS|FAIL|SKIPPED|UNTESTED): (.*)$", output, re.M)}


def main():
    options = judge.arguments(__doc__, 900, sources="keep BusyBox's sources in DIR, and find them there")
    for tool in ("apt-get", "gcc", "/bin/busybox"):
        if not shutil.which(tool):
            sys.exit(f"Missing {tool}: apt-get install gcc busybox-static")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as work:  # the guest has a /tmp of its own
        place = pathlib.Path(work, "staged")
        place.mkdir()
        sources = pathlib.Path(options.sources or f"{work}/sources")
        if not (sources / "debian").exists():
            fetch(sources)
        stage(place, sources)
        suite = place / "testsuite"
        applets = options.subjects or (QUICK if options.quick else sorted(
            {entry.stem if entry.suffix == ".tests" else entry.name for entry in suite.iterdir()
             if entry.suffix == ".tests" or entry.is_dir()}))
        environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/tmp", "LC_ALL": "C"}
        script = 'cp -a "$1" "$2/suite" && cd "$2/suite/testsuite" && ECHO=$PWD/echo-ne ./runtest -v "$3"'
        native, ours = {}, {}
        for applet in applets:
            with tempfile.TemporaryDirectory() as own:
                command = ["/bin/sh", "-c", script, "sh", str(place)]
                status, output, seconds = judge.run([*judge.LIMITS, *command, own, applet], options.timeout, own, environment)
                judge.keep(options, f"busybox-{applet}", "native", output)
                native.update({f"{applet}/{name}": judge.Outcome(state, "", seconds)
                               for name, state in results(output).items()})
                if not results(output):
                    continue
                status, output, seconds = judge.run(
                    [options.hearth, "run", "--", *command, "/tmp", applet], options.timeout, "/", environment)
                judge.keep(options, f"busybox-{applet}", "guest", output)
                why = "over the time" if status is None else f"exit status {status}"
                ours.update({f"{applet}/{name}": judge.Outcome(state, why, seconds)
                             for name, state in results(output).items()})
    lost = judge.Outcome("failed", "it did not run to its end")
    true = judge.compare("busybox", "BusyBox 1.35 testsuite", list(native), options, native.get,
                         lambda name: ours.get(name, lost))
    sys.exit(0 if true else 1)


main()
