"""examples/embed_in_asio: a service around a function, and its ends. examples/snapshot_clone: the lower floor."""

import json
import os
import re
import signal
import socket
import subprocess

from harness import FUNCTIONS, main, test_case

PROGRAM = os.environ["HEARTH_EMBED_EXAMPLE"]
SNAPSHOT_CLONE = os.environ["HEARTH_SNAPSHOT_EXAMPLE"]


class embed_in_asio(test_case):
    def start(self):
        process = subprocess.Popen([PROGRAM, FUNCTIONS / "socket_bootstrap.zip"], stdout=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        port = int(re.search(rb":(\d+)", process.stdout.readline()).group(1))
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        lines = client.makefile("rw")
        self.addCleanup(client.close)
        self.addCleanup(lines.close)
        return process, lines

    def say(self, lines, text):
        lines.write(text + "\n")
        lines.flush()

    def test_each_line_is_answered_by_the_function(self):
        process, lines = self.start()
        for event in ({"a": 1}, [2]):
            self.say(lines, json.dumps(event))
            self.assertEqual(json.loads(lines.readline())["event"], event)
        self.say(lines, "quit")
        self.assertEqual(process.wait(10), 0)

    def test_a_signal_ends_it_while_a_client_is_connected(self):
        process, lines = self.start()
        self.say(lines, "{}")
        lines.readline()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10), 0)

    def test_a_slow_invocation_is_cancelled_and_the_next_one_answered(self):
        process, lines = self.start()
        self.say(lines, '{"sleep":2900}')
        self.assertEqual(json.loads(lines.readline()), {"error": "too slow"})
        self.say(lines, '{"after":1}')
        self.assertEqual(json.loads(lines.readline())["event"], {"after": 1})


class snapshot_clone(test_case):
    def run_it(self, *arguments):
        return subprocess.run([SNAPSHOT_CLONE, *arguments], capture_output=True, text=True, timeout=120)

    def test_clones_and_resets_answer_each_call(self):
        ended = self.run_it(FUNCTIONS / "native_hello_c" / "bootstrap", "200")
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        self.assertIn("601 calls answered", ended.stdout)
        self.assertIn('"message":"hello from native_hello_c","event":{"name":"cat"}', ended.stdout)
        for what in ("call", "reset [+] call", "new microVM, clone [+] call"):
            self.assertRegex(ended.stdout, rf"(?m)^{what} +p50 +[0-9.]+ us  p99 +[0-9.]+ us$")

    def test_what_cannot_run_is_said(self):
        ended = self.run_it("/etc/passwd")
        self.assertEqual(ended.returncode, 1)
        self.assertRegex(ended.stderr, r"^snapshot_clone: .*\n$")


if __name__ == "__main__":
    main()
