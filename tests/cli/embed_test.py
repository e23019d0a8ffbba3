"""examples/embed_in_asio: a service around a function, and its ends."""

import json
import os
import re
import signal
import socket
import subprocess

from harness import FUNCTIONS, main, test_case

PROGRAM = os.environ["HEARTH_EMBED_EXAMPLE"]


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


if __name__ == "__main__":
    main()
