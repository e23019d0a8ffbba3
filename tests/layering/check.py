#!/usr/bin/env python3
"""Reads the #include lines of src/ and include/ and fails on an arrow drawn backwards.

  base <- {image, vmm} <- guest <- net <- sandbox <- pool <- worker <- control <- runtime      http

An arrow means "may be included by": a room sees what stands left of it. Exceptions, all narrower:
`sched` and `logs` see base only (and worker, control and runtime may see them); `queue` and `stream` see base only (and
control and runtime may see them); `auth` sees base and image; `guest/abi` depends on
nothing; of `vmm`, `guest` sees
only the headers that hold no ioctl, so that the personality is tested without KVM; `http` sees public
headers only. Public headers name the standard library, Asio and Boost.System, nothing more.

usage: check.py ROOT
"""

import re
import sys
from pathlib import Path

BASE = {"base"}
HARDWARE = BASE | {"image", "vmm"}
SEES = {
    "base": set(),
    "sched": BASE,
    "logs": BASE,
    "queue": BASE,
    "stream": BASE,
    "image": BASE,
    "vmm": BASE,
    "auth": BASE | {"image"},
    "guest": HARDWARE,
    "net": HARDWARE | {"guest"},
    "sandbox": HARDWARE | {"guest"},
    "pool": HARDWARE | {"guest", "sandbox"},
    "worker": HARDWARE | {"guest", "net", "sandbox", "pool", "sched", "logs"},
    "control": HARDWARE | {"guest", "net", "sandbox", "pool", "worker", "sched", "logs", "queue", "stream"},
    "runtime": HARDWARE | {"guest", "net", "sandbox", "pool", "worker", "sched", "logs", "queue", "stream", "control"},
    "http": set(),
}
VMM_FOR_GUEST = {
    "vmm/guest_memory.hpp",
    "vmm/vcpu_state.hpp",
    "vmm/vm_exit.hpp",
    "vmm/address.hpp",
    "vmm/x86_64/layout.hpp",
    "vmm/x86_64/vvar.hpp",
}
# What a public C++ header may name; the C SDK (guest.h) may name C headers, and is only for guests.
PUBLIC = re.compile(r"hearth/.*|boost/(asio|system|assert)(/.*|\.hpp)|[a-z_]+")
PUBLIC_C = re.compile(r"[a-z_]+(/[a-z_]+)*\.h")
SOURCES = {".hpp", ".cpp", ".h", ".c", ".S", ".inc", ".ipp"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def includes(file):
    """(line number, "<" or '"', path) of every include in the file."""
    text = file.read_text(errors="replace")
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start(2)) + 1, match.group(1), match.group(2)


def sources(directory):
    return sorted(f for f in directory.rglob("*") if f.is_file() and f.suffix in SOURCES)


def private_fault(own, kind, path):
    """What is wrong with `own` (a path below src) including `path`; None if nothing."""
    room, target = own.parts[0], path.split("/")[0]
    if room not in SEES:
        return f"src/{room} is not a room; add it to SEES with what it may see"
    if target == "hearth":
        if path.startswith("hearth/http/") and room != "http":
            return "the core does not see the HTTP front"
        return None
    if target not in SEES:
        if kind == '"':
            return "private includes are rooted at src: \"room/file.hpp\""
        return None
    if own.parts[:2] == ("guest", "abi"):
        return None if path.startswith("guest/abi/") else "guest/abi depends on nothing"
    if target == room:
        return None
    if target not in SEES[room]:
        seen = ", ".join(sorted(SEES[room])) or "no other room"
        return f"{room} may not see {target} (it sees {seen})"
    if room == "guest" and target == "vmm" and path not in VMM_FOR_GUEST:
        return "of vmm, guest sees only the headers without ioctls"
    return None


def public_fault(own, kind, path):
    if kind == '"':
        return "public headers include each other as <hearth/...>"
    if "http" not in own.parts and path.startswith("hearth/http/"):
        return "the core does not see the HTTP front"
    allowed = PUBLIC.fullmatch(path) or (own.suffix == ".h" and PUBLIC_C.fullmatch(path))
    # A C header could still be the kernel's: no public header shows KVM.
    if not allowed or path.startswith("linux/kvm"):
        return "public headers name the standard library, Asio and Boost.System only"
    return None


def check(root):
    """Sentences, one per fault."""
    faults = []
    for directory, rule in (("src", private_fault), ("include/hearth", public_fault)):
        base = root / directory
        files = sources(base)
        if not files:
            faults.append(f"{base}: no source file found")
        for file in files:
            for line, kind, path in includes(file):
                if fault := rule(file.relative_to(base), kind, path):
                    faults.append(f"{file.relative_to(root)}:{line}: {path}: {fault}")
    return faults


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    faults = check(Path(sys.argv[1]))
    print("\n".join(faults) or "layering: every arrow points the right way")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
