"""The example functions against a Runtime API that is not Hearth's, natively: as they would run on AWS."""

import http.server
import json
import os
import queue
import subprocess
import threading
import unittest
from pathlib import Path

FUNCTIONS = Path(os.environ["HEARTH_FUNCTIONS"])


class runtime_api(http.server.BaseHTTPRequestHandler):
    """The Runtime API 2018-06-01: one event from server.events, its outcome to server.outcomes, in turn."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        assert self.path == "/2018-06-01/runtime/invocation/next", self.path
        event = self.server.events.get()
        if event is None:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", "id-1")
        self.send_header("Lambda-Runtime-Deadline-Ms", "1700000000000")
        self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:us-east-1:0:function:f")
        if self.server.chunked:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(event), 1000):
                piece = event[at:at + 1000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(event)))
            self.end_headers()
            self.wfile.write(event)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        reply = b'{"status":"OK"}\n'
        self.send_response(202)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)
        self.server.outcomes.put((self.path.rsplit("/", 1)[1], body))


class functions(unittest.TestCase):
    def converse(self, name, events, chunked=False):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), runtime_api)
        server.events, server.outcomes, server.chunked = queue.Queue(), queue.Queue(), chunked
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = subprocess.Popen([FUNCTIONS / name / "bootstrap"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env={"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:%d" % server.server_address[1]})
        try:
            for event in events:
                server.events.put(event)
                yield server.outcomes.get(timeout=10)
        finally:
            process.kill()
            process.wait()
            server.events.put(None)
            server.shutdown()
            server.server_close()

    def names(self):
        """Those in C and C++; tests/runtimes has the other languages."""
        return sorted(p.parent.name for p in FUNCTIONS.glob("*/bootstrap")
                      if p.parent.name not in ("go_hello", "rust_hello", "shell_hello"))

    def test_each_answers_event_after_event_on_one_connection(self):
        self.assertGreaterEqual(len(self.names()), 3)
        for name in self.names():
            for chunked in (False, True):
                with self.subTest(name, chunked=chunked):
                    events = [b"{}", b'{"name":"world"}', json.dumps({"data": "x" * 300000}).encode()]
                    for event, (kind, body) in zip(events, self.converse(name, events, chunked)):
                        self.assertEqual(kind, "response", body)
                        reply = json.loads(body)
                        self.assertEqual(reply["message"], f"hello from {name}")
                        if "event" in reply:
                            self.assertEqual(reply["event"], json.loads(event))
                        else:
                            self.assertEqual(reply["bytes"], len(event))

    def test_failures_are_error_documents(self):
        for name in self.names():
            if name == "curl_bootstrap":
                continue  # its handler cannot fail
            with self.subTest(name):
                (kind, body), (kind_after, _) = self.converse(name, [b'{"fail":true}', b"{}"])
                self.assertEqual(kind, "error")
                self.assertEqual(json.loads(body), {"errorType": "ExampleError", "errorMessage": "asked to fail"})
                self.assertEqual(kind_after, "response")


if __name__ == "__main__":
    unittest.main(verbosity=2)
