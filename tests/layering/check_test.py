#!/usr/bin/env python3
"""The layering check can fail: each kind of wrong include, alone in a small tree, is found."""

import tempfile
import unittest
from pathlib import Path

from check import check

WRONG = {
    "src/base/a.cpp": '#include "vmm/kvm.hpp"',
    "src/vmm/a.cpp": '#include "guest/outcome.hpp"',
    "src/image/a.cpp": '  #  include "vmm/address.hpp"',
    "src/guest/kernel/a.cpp": '#include "vmm/vcpu.hpp"',
    "src/guest/abi/a.hpp": '#include "base/try.hpp"',
    "src/sandbox/a.cpp": '#include <pool/pool.hpp>',
    "src/sched/a.cpp": '#include "control/registry.hpp"',
    "src/control/a.cpp": '#include "runtime/runtime.hpp"',
    "src/http/a.cpp": '#include "base/try.hpp"',
    "src/worker/a.cpp": '#include <hearth/http/server.hpp>',
    "src/worker/b.cpp": '#include "b.hpp"',
    "src/misc/a.cpp": "#include <vector>",
    "include/hearth/a.hpp": "#include <linux/kvm.h>",
    "include/hearth/b.hpp": "#include <boost/beast/http.hpp>",
    "include/hearth/c.hpp": "#include <boost/json.hpp>",
    "include/hearth/d.hpp": "#include <fmt/format.h>",
    "include/hearth/e.hpp": '#include "base/try.hpp"',
    "include/hearth/f.hpp": "#include <hearth/http/server.hpp>",
    "include/hearth/g.h": "#include <linux/kvm.h>",
}
RIGHT = {
    "src/base/ok.cpp": '#include "base/ok.hpp"\n#include <hearth/error.hpp>',
    "src/guest/mm/ok.cpp": '#include "vmm/guest_memory.hpp"\n#include "image/elf.hpp"\n#include <sys/mman.h>',
    "src/guest/abi/ok.hpp": '#include "guest/abi/errno.hpp"\n#include <cstdint>',
    "src/runtime/ok.cpp": '#include "control/registry.hpp"\n#include "vmm/kvm.hpp"',
    "src/http/ok.cpp": '#include "http/session.hpp"\n#include <hearth/http/server.hpp>\n#include <boost/beast.hpp>',
    "include/hearth/ok.hpp": "#include <boost/asio/deferred.hpp>\n#include <boost/system/result.hpp>\n#include <map>",
    "include/hearth/guest.h": "#include <sys/socket.h>\n#include <string.h>",
}


class layering(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = Path(self.directory.name)
        for name, text in RIGHT.items():
            self.write(name, text)

    def write(self, name, text):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")

    def test_right_includes_pass(self):
        self.assertEqual(check(self.root), [])

    def test_each_wrong_include_is_found_with_its_file_and_line(self):
        for name, text in WRONG.items():
            with self.subTest(name):
                self.write(name, "\n" + text)
                faults = check(self.root)
                (self.root / name).unlink()
                self.assertEqual(len(faults), 1, faults)
                self.assertTrue(faults[0].startswith(f"{name}:2: "), faults)

    def test_an_empty_tree_is_a_fault(self):
        self.assertNotEqual(check(self.root / "nowhere"), [])


if __name__ == "__main__":
    unittest.main()
