"""hearth top, and GET /metrics, against a server with a real function."""

import fcntl
import http.server
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

from harness import HEARTH, hearth, main, server, test_case

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?25h\x1b[?1049l"


def row(text, name):
    """The cells of the line that begins with that word, by the heading of its table."""
    heading = None
    for line in text.splitlines():
        # A heading like "START P50" is one column; so is a time with its unit.
        cells = re.sub(r"(START|RUN|NOW) P50", r"\1_P50", re.sub(r"(\d) (us|ms|s|MiB)\b", r"\1_\2", line)).split()
        if cells and cells[0] in ("START", "FUNCTION"):
            heading = []
            for cell in cells:
                heading.append(cell + "'" * heading.count(cell))
        elif cells and cells[0] == name and heading and len(cells) == len(heading):
            return dict(zip(heading, cells))
    raise AssertionError(f"no row {name!r} in\n{text}")


class terminal:
    """`hearth top` on a pseudoterminal of that size."""

    def __init__(self, *arguments, lines=40, columns=200):
        self.master, slave = pty.openpty()
        self.resize(lines, columns)
        self.process = subprocess.Popen([HEARTH, "top", *arguments], stdin=slave, stdout=slave, stderr=slave,
                                        env={**os.environ, "TERM": "xterm"})
        os.close(slave)
        self.seen = b""

    def resize(self, lines, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read_until(self, words, timeout=20):
        """What came since the last call, up to those words and a little more."""
        end = time.monotonic() + timeout
        start = len(self.seen)
        while words not in self.seen[start:]:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"{words!r} did not come: {self.seen[start:]!r}")
            self.seen += os.read(self.master, 65536)
        return self.seen[start:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def end(self, number=signal.SIGINT):
        self.process.send_signal(number)
        status = self.process.wait(timeout=10)
        try:
            while data := os.read(self.master, 65536):
                self.seen += data
        except OSError:
            pass  # the last one has closed it
        os.close(self.master)
        return status


class top(test_case):
    def test_once_shows_what_happened(self):
        with server("--data", self.scratch()) as one:
            one.create("hello")
            one.create("aloof")
            for i in range(3):
                self.assertEqual(one.invoke("hello", b'{"n":1}')[0], 200)
            self.assertIn("X-Amz-Function-Error", one.invoke("hello", b'{"fail":true}')[1])
            done = hearth("top", "--once", "--endpoint", one.endpoint)
            self.assertEqual((done.returncode, done.stderr), (0, b""))
            self.assertNotIn(b"\x1b", done.stdout)
            text = done.stdout.decode()
            self.assertIn(one.endpoint, text.splitlines()[0])
            self.assertRegex(text, r"(?m)^invocations +4 \(-/s\), 1 errors ")
            self.assertRegex(text, r"(?m)^memory +\d+ MiB, \d+ MiB of it snapshots, no budget$")
            f = row(text, "hello")
            self.assertEqual((f["CALLS"], f["ERRORS"], f["COLD"], f["THROTTLED"]), ("4", "1", "0", "0"), text)
            # Made Active by its init, whose environment may have stayed.
            self.assertEqual(int(f["RESTORED"]) + int(f["WARM"]), 4, text)
            self.assertEqual(int(f["IDLE"]) + int(f["DETACHED"]), 1, text)
            self.assertEqual(row(text, "aloof")["CALLS"], "0")
            self.assertEqual(row(text, "warm")["COUNT"], f["WARM"])
            self.assertEqual(row(text, "restored")["COUNT"], f["RESTORED"])
            self.assertRegex(row(text, "warm")["RUN_P50"], r"^[\d.]+_(us|ms)$")

    def test_without_a_terminal_it_prints_picture_after_picture_with_rates(self):
        with server("--data", self.scratch()) as one:
            one.create("hello")
            process = subprocess.Popen([HEARTH, "top", "--endpoint", one.endpoint + "/", "--interval", "0.5"],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)

            def picture():
                lines = []
                while (line := process.stdout.readline().decode()).strip() or not any(
                        x.startswith("FUNCTION") for x in lines):
                    lines.append(line)
                return "".join(lines)

            self.assertEqual(row(picture(), "hello")["/S"], "-")
            for _ in range(5):
                one.invoke("hello")
            rows = [row(picture(), "hello")]
            while rows[-1]["CALLS"] != "5" and len(rows) < 60:
                rows.append(row(picture(), "hello"))
            self.assertEqual(rows[-1]["CALLS"], "5")
            self.assertGreater(float(rows[-1]["/S"]), 0)
            self.assertEqual(float(row(picture(), "hello")["/S"]), 0)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
            self.assertEqual((process.returncode, err), (0, b""))
            self.assertNotIn(b"\x1b", out)

    def test_on_a_terminal_it_is_live_resizes_and_restores_the_screen(self):
        with server("--data", self.scratch()) as one:
            one.create("hello")
            with terminal("--endpoint", one.endpoint, "--interval", "0.2") as view:
                first = view.read_until(b"FUNCTION")
                self.assertIn(ENTER, first)
                self.assertNotIn(LEAVE, first)
                view.read_until(b"hello")
                view.resize(5, 30)
                view.process.send_signal(signal.SIGWINCH)
                for _ in range(4):
                    view.read_until(b"\x1b[J")
                small = view.seen.split(b"\x1b[H")[-2]  # the last whole picture
                lines = [line.rstrip(b"\r") for line in re.sub(rb"\x1b\[[KJ]", b"", small).split(b"\n")]
                self.assertLessEqual(len(lines), 5, small)
                self.assertTrue(all(len(line) <= 30 for line in lines), small)
                self.assertNotIn(b"hello", small)
                # Ctrl-Z gives the shell its screen back, fg takes it again.
                view.process.send_signal(signal.SIGTSTP)
                view.read_until(LEAVE)
                while Path(f"/proc/{view.process.pid}/stat").read_text().rsplit(")")[1].split()[0] != "T":
                    time.sleep(0.01)
                view.process.send_signal(signal.SIGCONT)
                view.read_until(ENTER)
                self.assertEqual(view.end(), 0)
                self.assertTrue(view.seen.endswith(LEAVE), view.seen[-200:])

    def test_a_server_that_goes_away_is_reported_and_waited_for(self):
        with server("--data", self.scratch()) as one:
            with terminal("--endpoint", one.endpoint, "--interval", "0.2") as view:
                view.read_until(b"invocations")
                one.stop()
                view.read_until(b"does not answer")
                self.assertIsNone(view.process.poll())
                self.assertEqual(view.end(signal.SIGTERM), 0)
                self.assertTrue(view.seen.endswith(LEAVE), view.seen[-200:])

    def test_no_server_is_one_sentence_that_says_how_to_start_one(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        for arguments in (["--once"], []):
            done = hearth("top", "--endpoint", f"http://127.0.0.1:{port}", *arguments)
            self.assert_complaint(done, 1, f"127.0.0.1:{port}", "does not answer", "hearth serve")

    def test_what_is_no_hearth_server_is_named(self):
        class other(http.server.BaseHTTPRequestHandler):
            answer = (404, b"")

            def do_GET(self):
                self.send_response(self.answer[0])
                self.end_headers()
                self.wfile.write(self.answer[1])

            def log_message(self, *_):
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), other) as them:
            threading.Thread(target=them.serve_forever, daemon=True).start()
            endpoint = "http://127.0.0.1:%d" % them.server_address[1]
            for answer in ((404, b""), (200, b"<html>"), (200, b""), (200, b"up 1\n"), (200, b'a{b="c 1\n'),
                           (200, b"a{"), (200, b'a{b="c"'), (200, b"a 1x\n")):
                other.answer = answer
                done = hearth("top", "--once", "--endpoint", endpoint)
                self.assert_complaint(done, 1, endpoint, "no Hearth server")
            # What a terminal would obey does not reach it.
            other.answer = (200, b'hearth_build_info{version="1\x1b]0;x\x07"} 1\n')
            done = hearth("top", "--once", "--endpoint", endpoint)
            self.assertEqual(done.returncode, 0)
            self.assertNotIn(b"\x1b", done.stdout)
            them.shutdown()

    def test_a_wrong_endpoint_is_named(self):
        for endpoint in ("127.0.0.1:9000", "ftp://127.0.0.1:9000", "http://", "http://h:port", "http://h:1/path"):
            self.assert_complaint(hearth("top", "--once", "--endpoint", endpoint), 1, endpoint, "http://HOST:PORT")

    def test_the_metrics_page_can_be_scraped(self):
        with server("--data", self.scratch()) as one:
            one.create("hello")
            one.invoke("hello")
            status, headers, body = one.request("GET", "/metrics")
            self.assertEqual((status, headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
            text = body.decode()
            self.assertRegex(text, r'(?m)^hearth_invocations_total\{function="hello"\} 1$')
            buckets = [int(n) for n in re.findall(
                r'(?m)^hearth_function_duration_seconds_bucket\{function="hello",le="[^"]*"\} (\d+)$', text)]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual(buckets[-1], 1)
            self.assertEqual(json.loads(one.request("GET", "/2015-03-31/functions/")[2])["Functions"][0]["FunctionName"],
                             "hello")


if __name__ == "__main__":
    main()
