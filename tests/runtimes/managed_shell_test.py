"""Functions in shell: a bootstrap of many processes, in microVMs, deployed and invoked over HTTP as users do."""

import threading
import time
from pathlib import Path

import harness
from managed_server import managed_test

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/functions"


class managed_shell(managed_test):
    runtime, handler, file = "provided.al2023", "bootstrap", "bootstrap"

    def test_the_example_says_hello_again_and_again(self):
        name = self.create((EXAMPLES / "shell_hello/bootstrap").read_text())
        for n in range(3):
            reply = self.responds(name, {"n": n})
            self.assertEqual(reply, {"message": "hello from a shell", "bytes": 8, "event": {"n": n}})
            self.assertRegex(self.log, r"working on [0-9a-f-]{36}\n")

    def test_every_start_is_restored_also_where_a_child_waits_in_curl(self):
        """Init forks: bash waits for curl, which waits for the event. What one environment's processes leave behind
        is in no other."""
        name = self.create((EXAMPLES / "shell_hello/bootstrap").read_text().replace(
            'count=', 'ls /tmp/mark >&2 2>/dev/null && echo seen >&2; : >/tmp/mark\n'
            '    [ "$event" = 1 ] && sleep 1\n    count='))
        results = {}

        def invoke(n):
            results[n] = self.server.invoke(name, n)

        threads = [threading.Thread(target=invoke, args=(n,)) for n in (1, 1 << 40)]
        for thread in threads:
            thread.start()
            time.sleep(0.3)
        for thread in threads:
            thread.join()
        for n, (error, document, log) in results.items():
            self.assertIsNone(error, document)
            self.assertEqual(document["event"], n)
            self.assertIn("Start: restored", log)
            self.assertNotIn("seen", log)
        error, document, log = self.server.invoke(name, 2)
        self.assertIn("Start: warm", log)
        self.assertIn("seen", log)

    def test_an_idle_environment_of_several_processes_comes_back_with_all_of_them(self):
        name = self.create((EXAMPLES / "shell_hello/bootstrap").read_text().replace(
            'while true; do', 'serial=0\nsleep 1000 &\nwhile true; do').replace(
            'count=', 'kill -0 $! && echo "alive $((++serial))" >&2\n    count='))
        for serial in (1, 2):
            self.responds(name, serial)
            self.assertIn(f"alive {serial}", self.log)
            if serial > 1:
                self.assertIn("reattached", self.log)
            else:
                time.sleep(1.5)  # it gives its microVM back after a second

    def test_every_call_may_have_a_clean_environment(self):
        name = self.create((EXAMPLES / "shell_hello/bootstrap").read_text().replace(
            'count=', 'ls /tmp/mark >&2 2>/dev/null && echo seen >&2; : >/tmp/mark\n    count='),
            Environment={"Variables": {"HEARTH_ISOLATION": "invocation"}})
        for n in range(3):
            self.assertEqual(self.responds(name, n)["event"], n)
            self.assertNotIn("seen", self.log)

    def test_a_process_left_behind_does_not_hold_up_the_reply_and_lives_on(self):
        name = self.create((EXAMPLES / "shell_hello/bootstrap").read_text().replace(
            'count=', '[ -e /tmp/pid ] && kill -0 "$(cat /tmp/pid)" && echo lives >&2\n'
            '    [ -e /tmp/pid ] || { sleep 100 & echo $! >/tmp/pid; }\n    count='))
        self.responds(name, 1)
        self.responds(name, 2)
        self.assertIn("lives", self.log)

    def test_a_fork_bomb_meets_the_limit_and_the_next_call_is_answered(self):
        name = self.create("#!/bin/bash\n" + """
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
    event=$(curl -s -D /tmp/h "$api/next")
    id=$(tr -d '\\r' </tmp/h | sed -n 's/^lambda-runtime-aws-request-id: *//Ip')
    if [ "$event" = '"bomb"' ]; then bomb() { bomb | bomb & }; bomb; sleep 60; fi
    curl -s -o /dev/null --data-binary '"fine"' "$api/$id/response"
done
""", Timeout=3)
        self.assertEqual(self.responds(name, "x"), "fine")
        self.fails(name, "bomb")
        self.assertEqual(self.responds(name, "x"), "fine")


if __name__ == "__main__":
    harness.main()
