"""What the tests of the hearth binary share. ctest gives HEARTH_BINARY and HEARTH_FUNCTIONS."""

import base64
import contextlib
import http.client
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

HEARTH = os.environ["HEARTH_BINARY"]
FUNCTIONS = Path(os.environ["HEARTH_FUNCTIONS"])
SKIPPED = 77


def hearth(*arguments, timeout=60, **options):
    """Runs the binary to its end; stdout and stderr are bytes."""
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run([HEARTH, *map(str, arguments)], capture_output=True, timeout=timeout, **options)


def has_kvm():
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


class test_case(unittest.TestCase):
    maxDiff = 4000

    def scratch(self):
        """Not below /tmp: a guest of `hearth run` has one of its own."""
        directory = tempfile.TemporaryDirectory(dir=os.getcwd())
        self.addCleanup(directory.cleanup)
        return Path(directory.name)

    def assert_complaint(self, done, status, *words):
        """One clear sentence on stderr, nothing on stdout, that exit status."""
        text = done.stderr.decode()
        self.assertEqual(done.returncode, status, text)
        self.assertEqual(done.stdout, b"")
        self.assertEqual(len(text.strip().splitlines()), 1, text)
        self.assertTrue(text.startswith("hearth: "), text)
        for word in words:
            self.assertIn(word, text)


class server:
    """A `hearth serve` on a free port; a context manager."""

    def __init__(self, *arguments, prefix=()):
        self.process = subprocess.Popen([*prefix, HEARTH, "serve", "--listen", "127.0.0.1:0", *map(str, arguments)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.greeting = self.process.stdout.readline().decode()
        match = re.match(r"hearth: listening on (https?://127\.0\.0\.1:\d+), data in ", self.greeting)
        if not match:
            self.process.kill()
            raise AssertionError(f"greeting {self.greeting!r}, stderr {self.process.stderr.read().decode()!r}")
        self.endpoint = match.group(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def stop(self, number=signal.SIGTERM, timeout=30):
        """Sends the signal; returns the exit status."""
        self.process.send_signal(number)
        self.process.communicate(timeout=timeout)
        return self.process.returncode

    def request(self, method, path, body=None, timeout=30, headers={}):
        """(status, headers, body) of one request."""
        request = urllib.request.Request(self.endpoint + path, data=body, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, reply.headers, reply.read()
        except urllib.error.HTTPError as e:
            return e.code, e.headers, e.read()

    def create(self, name, zip_file=None, timeout=3, runtime="provided.al2023", handler="bootstrap"):
        """Creates a function from a zip and waits until it is Active."""
        zip_file = zip_file or FUNCTIONS / "socket_bootstrap.zip"
        code, _, body = self.request("POST", "/2015-03-31/functions", json.dumps({
            "FunctionName": name, "Runtime": runtime, "Handler": handler, "Timeout": timeout,
            "Role": "arn:aws:iam::000000000000:role/any",
            "Code": {"ZipFile": base64.b64encode(zip_file.read_bytes()).decode()}}).encode())
        assert code == 201, (code, body)
        self.wait_active(name)

    def wait_active(self, name):
        for _ in range(200):
            state = json.loads(self.request("GET", f"/2015-03-31/functions/{name}/configuration")[2])
            if state["State"] != "Pending":
                break
            time.sleep(0.05)
        assert state["State"] == "Active", state

    def invoke(self, name, event=b"{}"):
        return self.request("POST", f"/2015-03-31/functions/{name}/invocations", event)

    def stream_url(self, name, path="/"):
        """GET at the function's URL, which streams: (status, headers, pieces as they came, whether the end came)."""
        config = f"/2021-10-31/functions/{name}/url"
        code, _, body = self.request("GET", config)
        if code == 404:
            code, _, body = self.request("POST", config, b'{"AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM"}')
        connection = http.client.HTTPConnection(self.endpoint.partition("//")[2], timeout=60)
        connection.request("GET", path, headers={"Host": urllib.parse.urlsplit(json.loads(body)["FunctionUrl"]).netloc})
        reply = connection.getresponse()
        pieces = []
        try:
            while piece := reply.read1(1 << 20):
                pieces.append(piece)
            whole = True
        except http.client.IncompleteRead as broken:
            pieces.append(broken.partial)
            whole = False
        connection.close()
        return reply.status, reply.headers, pieces, whole


@contextlib.contextmanager
def changed(data, offset, replacement):
    """A temporary executable: `data` with some bytes replaced."""
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as directory:
        file = Path(directory) / "program"
        file.write_bytes(data[:offset] + replacement + data[offset + len(replacement):])
        file.chmod(0o755)
        yield file


def elf_machine(number):
    return 18, struct.pack("<H", number)  # e_machine, elf(5)


def main(needs_kvm=True):
    if needs_kvm and not has_kvm():
        print("skipped: no usable /dev/kvm")
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
