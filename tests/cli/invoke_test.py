"""hearth invoke: one package, one event, no server."""

import json
import time
import zipfile

from harness import FUNCTIONS, hearth, main, test_case

SOCKETS = FUNCTIONS / "socket_bootstrap.zip"


def programs():
    """The example functions that bring their program; tests/runtimes has the others."""
    return sorted(p for p in FUNCTIONS.glob("*.zip") if "bootstrap" in zipfile.ZipFile(p).namelist())


class invoke(test_case):
    def test_every_example_function_answers(self):
        packages = programs()
        self.assertGreaterEqual(len(packages), 3)
        for package in packages:
            with self.subTest(package.name):
                done = hearth("invoke", package, input=b'{"name":"world"}')
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("hello", json.loads(done.stdout)["message"])
                self.assertRegex(done.stderr.decode(), r"REPORT RequestId: \S+\tDuration: [\d.]+ ms\tBilled Duration: ")
                self.assertIn("Init Duration: ", done.stderr.decode())

    def test_the_packages_bootstrap_is_executable(self):
        for package in programs():
            mode = zipfile.ZipFile(package).getinfo("bootstrap").external_attr >> 16
            self.assertEqual(mode & 0o777, 0o755, package)

    def test_a_program_and_a_directory_are_packages_too(self):
        for package in (FUNCTIONS / "socket_bootstrap" / "bootstrap", FUNCTIONS / "socket_bootstrap"):
            done = hearth("invoke", package, input=b"[1,2]")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)["event"], [1, 2])

    def test_the_event_comes_from_a_file_or_stdin(self):
        event = self.scratch() / "event.json"
        event.write_text('{"from":"file"}')
        done = hearth("invoke", SOCKETS, "--event", event)
        self.assertEqual(json.loads(done.stdout)["event"], {"from": "file"})
        done = hearth("invoke", SOCKETS, "--event", "-", input=b'{"from":"stdin"}')
        self.assertEqual(json.loads(done.stdout)["event"], {"from": "stdin"})

    def test_no_event_is_the_empty_object(self):
        self.assertEqual(json.loads(hearth("invoke", SOCKETS).stdout)["event"], {})

    def test_a_large_event_and_reply_go_through(self):
        event = json.dumps({"data": "x" * (5 << 20)}).encode()
        done = hearth("invoke", SOCKETS, input=event)
        self.assertEqual(done.returncode, 0, done.stderr[-500:])
        self.assertEqual(len(json.loads(done.stdout)["event"]["data"]), 5 << 20)

    def test_a_function_error_is_status_1_with_its_document(self):
        done = hearth("invoke", SOCKETS, input=b'{"fail":true}')
        self.assertEqual(done.returncode, 1)
        self.assertEqual(json.loads(done.stdout)["errorType"], "ExampleError")

    def test_a_timeout_is_enforced(self):
        start = time.monotonic()
        done = hearth("invoke", SOCKETS, "--timeout", "0.5", input=b'{"sleep":20000}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("Task timed out after 0.50 seconds", json.loads(done.stdout)["errorMessage"])
        self.assertLess(time.monotonic() - start, 5)

    def test_a_crash_says_how_the_program_ended(self):
        done = hearth("invoke", SOCKETS, input=b'{"exit":7}')
        self.assertEqual(done.returncode, 1)
        document = json.loads(done.stdout)
        self.assertEqual(document["errorType"], "Runtime.ExitError")
        self.assertIn("exit status 7", document["errorMessage"])

    def test_bad_packages_are_one_sentence(self):
        work = self.scratch()
        empty = work / "empty.zip"
        with zipfile.ZipFile(empty, "w") as z:
            z.writestr("readme", "no bootstrap here")
        self.assert_complaint(hearth("invoke", empty), 1, "bootstrap")
        truncated = work / "truncated.zip"
        truncated.write_bytes(SOCKETS.read_bytes()[:5000])
        self.assert_complaint(hearth("invoke", truncated), 1)
        escaping = work / "escaping.zip"
        with zipfile.ZipFile(escaping, "w") as z:
            z.writestr("../../etc/evil", "x")
            z.writestr("bootstrap", "x")
        self.assert_complaint(hearth("invoke", escaping), 1)

    def test_a_verbose_long_run_says_what_it_does(self):
        done = hearth("invoke", SOCKETS, "-v", "--timeout", "5", input=b'{"sleep":1500}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"hearth: running ", done.stderr)
        done = hearth("invoke", SOCKETS, "--timeout", "5", input=b'{"sleep":1500}')
        self.assertNotIn(b"hearth: running ", done.stderr)


if __name__ == "__main__":
    main()
