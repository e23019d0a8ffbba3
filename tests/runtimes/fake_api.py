"""A Runtime API without Hearth: one connection at a time, requests one behind the other."""

import json
import os
import queue
import socket
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

CLIENTS = Path(__file__).resolve().parents[2] / "src/image/clients"
PREFIX = "/2018-06-01/runtime/"


class request:
    def __init__(self, method, path, headers, body, trailers):
        self.method, self.path, self.headers, self.body, self.trailers = method, path, headers, body, trailers

    def json(self):
        return json.loads(self.body)


class fake_api:
    """`restore`: restore/next is answered at once; else there is none. `posts` are what was posted."""

    def __init__(self, restore=True):
        self.restore = restore
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.events, self.posts, self.requests, self.received = queue.Queue(), queue.Queue(), [], 0
        self.connections = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection, connection.makefile("rb") as stream:
                try:
                    while self.exchange(connection, stream):
                        pass
                except OSError:
                    pass

    def exchange(self, connection, stream):
        line = stream.readline()
        if not line:
            return False
        method, path, _ = line.decode().split(" ")
        headers = self.fields(stream)
        trailers = {}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                assert stream.readline() == b"\r\n"
            trailers = self.fields(stream)
        else:
            body = stream.read(int(headers.get("content-length", 0)))
        assert path.startswith(PREFIX), path
        path = path[len(PREFIX):]
        self.requests.append(path)
        if path == "restore/next":
            self.answer(connection, 200 if self.restore else 404, b"" if self.restore else b"404 page not found\n")
        elif path == "invocation/next":
            event = self.events.get()
            if event is None:
                return False
            self.answer(connection, 200, *event)
        else:
            self.posts.put(request(method, path, headers, body, trailers))
            self.answer(connection, 202, b'{"status":"OK"}')
        return True

    @staticmethod
    def fields(stream):
        found = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            found[name.lower()] = value.strip()
        return found

    def answer(self, connection, status, body, headers=()):
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        # In two pieces: what a client reads need not be what was sent.
        connection.sendall(f"HTTP/1.1 {status} X\r\n".encode())
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def close(self):
        self.events.put(None)
        self.listener.close()


class function:
    """A client running `files` against a fake Runtime API; a context manager."""

    count = 0

    def __init__(self, command, files, handler, restore=True, environment=None):
        self.directory = tempfile.TemporaryDirectory()
        for name, text in files.items():
            file = Path(self.directory.name) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.api = fake_api(restore)
        self.out = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT, cwd=self.directory.name,
            env={"AWS_LAMBDA_RUNTIME_API": self.api.address, "LAMBDA_TASK_ROOT": self.directory.name,
                 "_HANDLER": handler, "AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "7",
                 "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
                 "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "TZ": ":UTC", "LANG": "C.UTF-8", **(environment or {})})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.out.close()
        self.api.close()
        self.directory.cleanup()

    def offer(self, event, **headers):
        function.count += 1
        body = event if isinstance(event, bytes) else json.dumps(event).encode()
        named = {"Lambda-Runtime-Aws-Request-Id": f"id-{function.count}",
                 "Lambda-Runtime-Deadline-Ms": int(time.time() * 1000) + 5000,
                 "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:0:function:f"}
        named.update({"Lambda-Runtime-" + k.replace("_", "-"): v for k, v in headers.items()})
        self.api.events.put((body, list(named.items())))
        return f"id-{function.count}"

    def posted(self):
        return self.api.posts.get(timeout=10)

    def invoke(self, event=None, **headers):
        """The request that answers the event: its path says response or error."""
        id = self.offer(event, **headers)
        post = self.posted()
        assert post.path.startswith(f"invocation/{id}/"), post.path
        return post

    def log(self):
        self.out.seek(0)
        return self.out.read().decode()

    def ended(self):
        return self.process.wait(timeout=10)


class client_test(unittest.TestCase):
    maxDiff = 4000

    def responds(self, post):
        self.assertTrue(post.path.endswith("/response"), (post.path, post.body[:500]))
        return post.json()

    def fails(self, post, kind, message):
        self.assertTrue(post.path.endswith("/error"), (post.path, post.body[:500]))
        document = post.json()
        self.assertEqual((document["errorType"], document["errorMessage"]), (kind, message))
        self.assertEqual(post.headers["lambda-runtime-function-error-type"], kind)
        return document
