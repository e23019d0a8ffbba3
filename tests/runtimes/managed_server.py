"""A `hearth serve` with functions of managed runtimes. Over harness.py of tests/cli."""

import base64
import io
import json
import os
import re
import sys
import tempfile
import time
import zipfile

import harness

OWN = f"python{sys.version_info[0]}.{sys.version_info[1]}"


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name == "bootstrap" else 0o644) << 16
            archive.writestr(entry, text)
    return out.getvalue()


class managed_server(harness.server):
    def create(self, name, files, runtime, handler, wanted="Active", **more):
        """Creates a function from texts by name, or a zip's bytes, and waits for its end of Pending; its
        configuration. A refusal: (status, body)."""
        code, _, body = self.request("POST", "/2015-03-31/functions", json.dumps({
            "FunctionName": name, "Runtime": runtime, "Handler": handler, "Timeout": 10, "MemorySize": 256,
            "Role": "arn:aws:iam::000000000000:role/any",
            "Code": {"ZipFile": base64.b64encode(files if isinstance(files, bytes) else zipped(files)).decode()},
            **more}).encode())
        if code != 201:
            return code, json.loads(body)
        for _ in range(400):
            state = json.loads(self.request("GET", f"/2015-03-31/functions/{name}/configuration")[2])
            if state["State"] != "Pending":
                break
            time.sleep(0.05)
        assert state["State"] == wanted, state
        return state

    def invoke(self, name, event=None):
        """(function error or None, document, log)"""
        import urllib.request
        request = urllib.request.Request(f"{self.endpoint}/2015-03-31/functions/{name}/invocations",
                                         data=json.dumps(event).encode(), headers={"X-Amz-Log-Type": "Tail"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            body = reply.read()
            log = base64.b64decode(reply.headers.get("X-Amz-Log-Result", "")).decode("utf-8", "replace")
            return reply.headers.get("X-Amz-Function-Error"), json.loads(body), log


    def stream(self, name, event=None):
        """InvokeWithResponseStream: (status, headers, events as (type, payload) in order, how many reads they took).
        AWS's own decoder looks at the frames and their checksums."""
        import http.client
        from urllib.parse import urlsplit

        from botocore.eventstream import EventStreamBuffer
        connection = http.client.HTTPConnection(urlsplit(self.endpoint).netloc, timeout=60)
        connection.request("POST", f"/2021-11-15/functions/{name}/response-streaming-invocations",
                           json.dumps(event).encode(), {"X-Amz-Log-Type": "Tail"})
        reply = connection.getresponse()
        buffer, events, reads = EventStreamBuffer(), [], 0
        while data := reply.read1(65536):
            reads += 1
            if reply.status != 200:
                events.append((None, data))
                continue
            buffer.add_data(data)
            events += [(m.headers[":event-type"], m.payload) for m in buffer]
        connection.close()
        return reply.status, reply.headers, events, reads


class managed_test(harness.test_case):
    """`runtime` and `handler` are the language's."""

    @classmethod
    def setUpClass(cls):
        cls.data = tempfile.TemporaryDirectory(dir=os.getcwd())
        cls.server = managed_server("--data", cls.data.name)
        cls.count = 0

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.data.cleanup()

    def create(self, source, handler=None, wanted="Active", **more):
        """A new function; its name."""
        type(self).count += 1
        self.name = f"f{self.count}"
        files = source if isinstance(source, dict) else {self.file: source}
        self.configuration = self.server.create(self.name, files, self.runtime, handler or self.handler, wanted,
                                                **more)
        return self.name

    def responds(self, name, event=None):
        error, document, self.log = self.server.invoke(name, event)
        self.assertIsNone(error, str(document)[:2000])
        return document

    def fails(self, name, event=None):
        error, document, self.log = self.server.invoke(name, event)
        self.assertEqual(error, "Unhandled", str(document)[:2000])
        return document


def first_present(*runtimes):
    """The first that this host has, by asking Hearth."""
    for runtime in runtimes:
        with tempfile.TemporaryDirectory(dir=os.getcwd()) as directory:
            done = harness.hearth("invoke", directory, "--runtime", runtime)
            if not re.search(rb"is not on this host", done.stderr):
                return runtime
    return None
