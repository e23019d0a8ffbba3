"""hearth doctor, and every command where /dev/kvm is missing or of no use."""

import os
import shutil
import subprocess
import unittest

from harness import FUNCTIONS, HEARTH, has_kvm, hearth, main, test_case


def in_namespace(setup, *arguments):
    """Runs the binary where `setup` has changed the mounts. Needs root."""
    return subprocess.run(["unshare", "--mount", "sh", "-c", f'{setup} && exec "$@"', "sh", HEARTH, *map(str, arguments)],
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def can_unshare():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode == 0


HIDE = "mount -t tmpfs none /dev && : >/dev/null"
REPLACE = "mount --bind /dev/null /dev/kvm"


class doctor(test_case):
    @unittest.skipUnless(has_kvm(), "no usable /dev/kvm")
    def test_a_good_host(self):
        done = hearth("doctor")
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 0, text)
        for word in ("kernel", "CPU", "memory", "open files", "Functions can run here."):
            self.assertIn(word, text)
        self.assertRegex(text, r"floor +[\d.]+ us \(p50\), [\d.]+ us \(p99\)")
        self.assertRegex(text, r"(hardware|software) KVM")

    @unittest.skipUnless(can_unshare(), "needs root")
    def test_no_kvm_is_a_problem_with_a_cure(self):
        done = in_namespace(HIDE, "doctor")
        text = done.stdout.decode()
        self.assertEqual(done.returncode, 1, text)
        self.assertIn("Problem: ", text)
        self.assertIn("/dev/kvm", text)
        self.assertIn("Functions cannot run here.", text)

    @unittest.skipUnless(can_unshare() and os.path.exists("/dev/kvm"), "needs root and a /dev/kvm")
    def test_a_device_that_is_not_kvm_is_a_problem(self):
        done = in_namespace(REPLACE, "doctor")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(b"Problem: ", done.stdout)

    @unittest.skipUnless(can_unshare(), "needs root")
    def test_without_kvm_every_command_says_so_in_one_sentence(self):
        package = FUNCTIONS / "socket_bootstrap.zip"
        for arguments, status in ((["invoke", package], 1), (["run", "--", "/bin/busybox", "true"], 125),
                                  (["serve", "--listen", "127.0.0.1:0", "--data", self.scratch()], 1)):
            with self.subTest(arguments[0]):
                self.assert_complaint(in_namespace(HIDE, *arguments), status, "/dev/kvm")

    @unittest.skipUnless(os.geteuid() == 0 and has_kvm() and shutil.which("setpriv") and
                         not os.stat("/dev/kvm").st_mode & 0o006, "needs root and a guarded /dev/kvm")
    def test_a_forbidden_device_names_the_cure(self):
        copy = self.scratch() / "hearth"  # the build tree may be closed to others
        shutil.copy(HEARTH, copy)
        os.chmod(copy.parent, 0o755)
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "doctor"],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"group kvm", done.stdout)


if __name__ == "__main__":
    main(needs_kvm=False)
