"""hearth serve: start, stop and what stands in its way."""

import json
import os
import signal
import socket
import threading
import time
import zipfile
from pathlib import Path

from harness import hearth, main, server, test_case


class serve(test_case):
    def test_a_function_is_created_invoked_and_survives_a_restart(self):
        data = self.scratch() / "data"
        with server("--data", data) as one:
            self.assertIn(str(data), one.greeting)
            one.create("hello")
            status, _, body = one.invoke("hello", b'{"a":1}')
            self.assertEqual((status, json.loads(body)["event"]), (200, {"a": 1}))
            self.assertEqual(one.stop(), 0)
        with server("--data", data) as two:
            status, _, body = two.invoke("hello", b'{"a":2}')
            self.assertEqual((status, json.loads(body)["event"]), (200, {"a": 2}))
            self.assertEqual(two.stop(signal.SIGINT), 0)

    def test_a_function_sees_its_version_and_the_alias_it_was_called_by(self):
        code = ("import os\n"
                "def handler(event, context):\n"
                "    return [os.environ['AWS_LAMBDA_FUNCTION_VERSION'], context.function_version,\n"
                "            context.invoked_function_arn]\n")
        package = self.scratch() / "code.zip"
        with zipfile.ZipFile(package, "w") as out:
            out.writestr("app.py", code)
        data = self.scratch()
        base = "/2015-03-31/functions/f"

        def seen(one, name):
            status, headers, body = one.invoke(name)
            self.assertEqual((status, headers.get("X-Amz-Function-Error")), (200, None), body)
            return [headers["X-Amz-Executed-Version"], *json.loads(body)]

        with server("--data", data) as one:
            one.create("f", package, timeout=20, runtime="python3.11", handler="app.handler")
            code, _, body = one.request("POST", base + "/versions", b"{}")
            self.assertEqual((code, json.loads(body)["State"]), (201, "Pending"))
            one.wait_active("f:1")
            code, _, body = one.request("POST", base + "/aliases", b'{"Name": "live", "FunctionVersion": "1"}')
            arn = json.loads(body)["AliasArn"]
            for _ in range(2):  # started, then reused
                self.assertEqual(seen(one, "f:live"), ["1", "1", "1", arn])
                self.assertEqual(seen(one, "f"), ["$LATEST", "$LATEST", "$LATEST", arn[:-len(":live")]])
            self.assertEqual(seen(one, "f:1"), ["1", "1", "1", arn[:-len("live")] + "1"])
            self.assertEqual(one.stop(), 0)
        with server("--data", data) as two:
            self.assertEqual(seen(two, "f:live"), ["1", "1", "1", arn])

    def test_a_function_url_streams_what_a_program_writes(self):
        package = self.scratch() / "streams.zip"
        with zipfile.ZipFile(package, "w") as out:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o100755 << 16
            out.writestr(entry, Path(os.environ["HEARTH_GUESTS"], "function_http").read_bytes())
        with server("--data", self.scratch()) as one:
            one.create("f", package, timeout=20)
            status, headers, pieces, whole = one.stream_url("f", "/stream/slow")
            self.assertEqual((status, headers["Content-Type"], whole), (200, "text/x-parts", True))
            self.assertEqual((pieces[0], b"".join(pieces)), (b"part 1\n", b"part 1\n" * 3))
            _, _, pieces, whole = one.stream_url("f", "/stream/20480")
            self.assertTrue(whole and b"".join(pieces) == b"".join(bytes([97 + i % 26]) * 1024 for i in range(20480)))
            for how in "late", "exit":
                status, _, pieces, whole = one.stream_url("f", "/stream/" + how)
                self.assertEqual((status, b"".join(pieces), whole), (200, b"part", False))

    def test_a_watched_directory_invokes_its_function(self):
        directory, data = self.scratch() / "photos", self.scratch()
        directory.mkdir()
        (directory / "old.jpg").write_bytes(b"old")
        package = self.scratch() / "code.zip"
        with zipfile.ZipFile(package, "w") as out:
            out.writestr("app.py", "import json\ndef handler(event, context):\n    print('told', json.dumps(event))\n")
        watch = ("--data", data, "--watch", f"{directory}=f,suffix=.jpg")

        def told(one, wanted, act=lambda: None):
            """All that the function was told, once that is among it; `act` comes before each look."""
            for _ in range(400):
                act()
                done = hearth("logs", "f", "--endpoint", one.endpoint)
                events = [json.loads(line.partition("told ")[2])["Records"][0] for line in done.stdout.decode().splitlines()
                          if "told " in line]
                seen = {(e["eventName"], e["s3"]["object"]["key"], e["s3"]["object"].get("size")) for e in events}
                if wanted in seen:
                    return seen
                time.sleep(0.05)
            self.fail(f"{events} at last; {done.stderr.decode()}")

        def write():
            (directory / "a.txt").write_bytes(b"new")
            (directory / "a.txt").rename(directory / "a b.jpg")

        with server(*watch) as one:
            one.create("f", package, timeout=20, runtime="python3.11", handler="app.handler")
            # Again and again: before the directory has been taken down nothing is told.
            new = ("ObjectCreated:Put", "a+b.jpg", 3)
            self.assertEqual(told(one, new, write), {new})
            self.assertEqual(one.stop(), 0)
        (directory / "old.jpg").unlink()
        with server(*watch) as two:
            gone = ("ObjectRemoved:Delete", "old.jpg", None)
            self.assertEqual(told(two, gone), {new, gone})
        done = hearth("serve", "--data", data, "--watch", "/absent=f")
        self.assert_complaint(done, 1, "/absent")

    def test_starts_in_ten_seconds_may_be_limited(self):
        package = self.scratch() / "exits.zip"
        with zipfile.ZipFile(package, "w") as out:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o100755 << 16
            out.writestr(entry, Path(os.environ["HEARTH_GUESTS"], "function_http").read_bytes())
        with server("--data", self.scratch(), "--scale-up-starts", "1") as one:
            one.create("f", package, timeout=20)
            for _ in range(100):  # each ends its environment; on a slow machine ten seconds may pass
                status, _, body = one.invoke("f", b'"exit"')
                if status != 200:
                    break
            self.assertEqual(status, 429, body)
            self.assertTrue(json.loads(body)["message"].startswith("FunctionInvocationRateLimitExceeded"), body)

    def test_a_stop_lets_a_running_invocation_finish(self):
        with server("--data", self.scratch()) as one:
            one.create("slow", timeout=20)
            replies = []
            caller = threading.Thread(target=lambda: replies.append(one.invoke("slow", b'{"sleep":2000}')))
            caller.start()
            time.sleep(0.7)
            start = time.monotonic()
            self.assertEqual(one.stop(), 0)
            caller.join()
            self.assertEqual(replies[0][0], 200, replies)
            self.assertEqual(json.loads(replies[0][2])["event"], {"sleep": 2000})
            self.assertGreater(time.monotonic() - start, 0.5)

    def test_a_second_signal_stops_at_once(self):
        with server("--data", self.scratch()) as one:
            one.create("slow", timeout=60)

            def call():
                try:
                    one.invoke("slow", b'{"sleep":50000}')
                except OSError:
                    pass  # the server hung up

            caller = threading.Thread(target=call)
            caller.start()
            time.sleep(0.7)
            one.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            self.assertEqual(one.stop(timeout=10), 128 + signal.SIGTERM)
            caller.join()

    def test_a_port_in_use_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            done = hearth("serve", "--listen", address, "--data", self.scratch())
            self.assert_complaint(done, 1, address, "in use")

    def test_a_data_directory_that_cannot_be_written_is_named(self):
        done = hearth("serve", "--listen", "127.0.0.1:0", "--data", "/proc/hearth")
        self.assert_complaint(done, 1, "/proc/hearth")
        file = self.scratch() / "file"
        file.write_text("")
        done = hearth("serve", "--listen", "127.0.0.1:0", "--data", file / "data")
        self.assert_complaint(done, 1, str(file))

    def test_a_data_directory_in_use_by_another_server_is_refused(self):
        data = self.scratch()
        with server("--data", data):
            done = hearth("serve", "--listen", "127.0.0.1:0", "--data", data)
            self.assert_complaint(done, 1, str(data))

    def test_a_damaged_database_is_named_and_left_as_it_is(self):
        data = self.scratch()
        with server("--data", data) as one:
            self.assertEqual(one.stop(), 0)
        for name in ("hearth.db", "events.db", "queues.db", "streams.db"):
            with self.subTest(name=name):
                file = data / name
                whole = file.read_bytes()
                damaged = b"x" * 4096 + whole[4096:]
                file.write_bytes(damaged)
                done = hearth("serve", "--listen", "127.0.0.1:0", "--data", data)
                self.assert_complaint(done, 1, str(file), "; restore it from a copy")
                self.assertEqual(file.read_bytes(), damaged)
                file.write_bytes(whole)
        with server("--data", data) as one:
            self.assertEqual(one.stop(), 0)

    def test_pages_that_are_lost_under_a_server_are_told_of_and_end_nothing_else(self):
        data, url = self.scratch(), "http://localhost/000000000000/jobs"

        def ask(one, operation, **arguments):
            return one.request("POST", "/", json.dumps(arguments).encode(), headers={
                "X-Amz-Target": "AmazonSQS." + operation, "Content-Type": "application/x-amz-json-1.0"})

        with server("--data", data) as one:
            one.create("f")
            self.assertEqual(ask(one, "CreateQueue", QueueName="jobs")[0], 200)
            for _ in range(120):
                code, _, body = ask(one, "SendMessageBatch", QueueUrl=url, Entries=[
                    {"Id": str(n), "MessageBody": "x" * 3000} for n in range(10)])
                self.assertEqual(code, 200, body)
            self.assertEqual(one.stop(), 0)
        with server("--data", data) as one:
            file = data / "queues.db"
            whole = file.read_bytes()
            with open(file, "r+b") as pages:
                pages.seek(4096)
                pages.write(b"lost" * (len(whole) // 4 - 1024))
            code = 200
            while code == 200:
                code, _, body = ask(one, "ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)
            self.assertEqual(code, 500)
            self.assertTrue(json.loads(body)["__type"].endswith("#InternalFailure"), body)
            self.assertRegex(json.loads(body)["message"], "queues.db cannot be .* malformed; restore it from a copy")
            self.assertEqual(one.invoke("f")[0], 200)
            self.assertEqual(one.stop(), 0)

    def test_the_server_survives_nonsense(self):
        with server("--data", self.scratch()) as one:
            host, port = one.endpoint[len("http://"):].split(":")
            for bytes_sent in (b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n", b"POST /2015-03-31/functions HTTP/1.1\r\n"
                               b"Content-Length: 99999999999999999999\r\n\r\n", b"A" * 100000):
                with socket.create_connection((host, int(port)), timeout=10) as s:
                    try:
                        s.sendall(bytes_sent)
                        s.shutdown(socket.SHUT_WR)
                        while s.recv(65536):
                            pass
                    except OSError:
                        pass  # hung up on
            status, _, body = one.request("POST", "/2015-03-31/functions", b"{not json")
            self.assertEqual(status, 400, body)
            self.assertEqual(one.request("GET", "/2015-03-31/functions/")[0], 200)


if __name__ == "__main__":
    main()
