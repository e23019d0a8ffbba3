#!/usr/bin/env python3
"""Turns the ctest tests that run guests into one script for tests/support/hwkvm.

usage: hardware_tests.py BUILD_DIRECTORY SCRIPT

Takes the programs labelled `kvm`, but not `slow` or `host` (what needs this host's own tools), and Python and
Node.js functions; writes SCRIPT, which runs each and prints "RESULT passed|failed|skipped NAME", and prints the
files that must be copied into the emulated machine.
"""

import json
import shlex
import subprocess
import sys
from pathlib import Path

build, script = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
listing = json.loads(subprocess.run(["ctest", "--test-dir", build, "--show-only=json-v1"],
                                    check=True, capture_output=True).stdout)
lines, files = ["#!/bin/sh"], []


def add(name, *commands):
    lines.extend([f"echo '--- {name}'", *commands,
                  "case $? in 0) outcome=passed;; 77) outcome=skipped;; *) outcome=failed;; esac",
                  f"echo \"RESULT $outcome {name}\""])


for test in listing["tests"]:
    properties = {p["name"]: p["value"] for p in test.get("properties", [])}
    labels = set(properties.get("LABELS", []))
    command = test.get("command", [])
    if "kvm" not in labels or labels & {"slow", "host"} or not command:
        continue
    if not Path(command[0]).is_relative_to(build):
        continue  # a script of the host's
    files.append(command[0])
    files += properties.get("REQUIRED_FILES", [])
    environment = " ".join(shlex.quote(e) for e in properties.get("ENVIRONMENT", []))
    directory = properties.get("WORKING_DIRECTORY", str(build))
    add(test["name"], f"mkdir -p {shlex.quote(directory)}; cd {shlex.quote(directory)}",
        f"env {environment} {shlex.join(command)}")

# Functions of managed runtimes, with the interpreters that are here.
python = Path("/usr/bin/python3").resolve()
node = Path("/usr/bin/node")
if python.exists() and node.exists():
    major = subprocess.run([node, "--version"], check=True, capture_output=True, text=True).stdout.strip("v").split(".")[0]
    program = [Path(__file__).parent / "hardware_managed.sh", build / "hearth", python.name, f"nodejs{major}.x"]
    add("managed_runtimes", shlex.join(map(str, program)))
    unused = ("test", "idlelib", "lib2to3", "ensurepip", "distutils", "dist-packages")
    # The header tells Node's version.
    files += [*program[:2], python, node, "/usr/include/node/node_version.h",
              *(p for p in Path("/usr/lib", python.name).iterdir() if p.name not in unused)]
else:
    add("managed_runtimes", "false # neither Python nor Node.js is here")
script.write_text("\n".join(lines) + "\n")
script.chmod(0o755)
# What tests expect of any host, and the emulated machine does not have by itself.
files += [tool for tool in ("/usr/bin/true", "/usr/bin/env", "/bin/busybox", "/etc/passwd") if Path(tool).exists()]
# The programs that tests run as guests.
guests = build / "tests" / "guests"
if guests.is_dir():
    files.append(str(guests))
print("\n".join(dict.fromkeys(map(str, files))))
