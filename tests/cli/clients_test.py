"""Real AWS clients against `hearth serve`, whose functions run in microVMs.

usage: clients_test.py COMMAND...   runs COMMAND with the endpoint and the zip of an echo function as its last arguments
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from harness import SKIPPED, has_kvm, server


def echo_package(directory):
    """A function that answers with its event: `bootstrap` speaks the Runtime API over plain sockets."""
    package = directory / "echo.zip"
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr(entry, Path(os.environ["HEARTH_GUESTS"], "function_http").read_bytes())
    return package


def main():
    if not has_kvm():
        print("skipped: no usable /dev/kvm")
        return SKIPPED
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as directory:
        package = echo_package(Path(directory))
        with server("--data", Path(directory) / "data") as one:
            done = subprocess.run([*sys.argv[1:], one.endpoint, package], stdin=subprocess.DEVNULL, timeout=240)
            stopped = one.stop()
    return done.returncode or (0 if stopped == 0 else 1)


if __name__ == "__main__":
    sys.exit(main())
