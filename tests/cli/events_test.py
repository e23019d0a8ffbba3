"""hearth serve, killed at random moments while events are accepted and delivered: each that was answered with 202
reaches its function, at least once. HEARTH_KILLS is how often (by hand: 100), HEARTH_SEED where the moments come from."""

import http.client
import io
import json
import os
import random
import re
import signal
import socketserver
import threading
import time
import zipfile
from pathlib import Path

from harness import main, server, test_case

KILLS = int(os.environ.get("HEARTH_KILLS", "25"))
SENDERS = 6
GUEST = Path(os.environ["HEARTH_GUESTS"], "function_witness")


class witness(socketserver.ThreadingTCPServer):
    """Where the functions tell of their events; it outlives the servers."""

    daemon_threads = True
    allow_reuse_address = True

    class handler(socketserver.StreamRequestHandler):
        def handle(self):
            try:
                for line in self.rfile:
                    if line.endswith(b"\n"):
                        self.server.saw(json.loads(line))
                        self.wfile.write(b"\n")
            except OSError:
                pass  # its guest was killed

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.handler)
        self.lock, self.seen, self.repeated = threading.Lock(), set(), 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def saw(self, event):
        with self.lock:
            self.repeated += event["id"] in self.seen
            self.seen.add(event["id"])


class sender(threading.Thread):
    """Invokes asynchronously until the server is gone; `accepted` are those it got a 202 for."""

    def __init__(self, front, ids, path):
        super().__init__()
        self.address = re.match(r"http://(.*)", front.endpoint).group(1)
        self.ids, self.path, self.accepted, self.wrong = ids, path, [], []

    def run(self):
        try:
            connection = http.client.HTTPConnection(self.address, timeout=60)
            while True:
                event = next(self.ids)
                connection.request("POST", self.path, json.dumps({"id": event}).encode(),
                                   {"X-Amz-Invocation-Type": "Event"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 202:
                    self.accepted.append(event)
                else:
                    self.wrong.append((event, answer.status))
        except (OSError, http.client.HTTPException):
            pass  # killed


class counter:
    def __init__(self):
        self.lock, self.value = threading.Lock(), 0

    def __next__(self):
        with self.lock:
            self.value += 1
            return self.value


def package():
    out = io.BytesIO()
    entry = zipfile.ZipInfo("bootstrap")
    entry.external_attr = 0o100755 << 16
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr(entry, GUEST.read_bytes())
    return out.getvalue()


class events(test_case):
    def create(self, front, name, port):
        file = self.scratch() / "witness.zip"
        file.write_bytes(package())
        front.create(name, file, timeout=30)
        code = front.request("PUT", f"/2015-03-31/functions/{name}/configuration", json.dumps({
            "Environment": {"Variables": {"PORT": str(port), "HEARTH_NETWORK": f"127.0.0.1:{port}"}}}).encode())[0]
        self.assertEqual(code, 200)
        for _ in range(600):
            if json.loads(front.request("GET", f"/2015-03-31/functions/{name}/configuration")[2]
                          )["LastUpdateStatus"] == "Successful":
                return
            time.sleep(0.05)
        self.fail("the function was never updated")

    def queued(self, front):
        return int(re.search(rb"\nhearth_async_events_queued (\d+)\n", front.request("GET", "/metrics")[2]).group(1))

    def test_no_accepted_event_is_lost(self):
        seed = int(os.environ.get("HEARTH_SEED", "1"))
        choose = random.Random(seed)
        data = self.scratch() / "data"
        ids, accepted, left = counter(), set(), 0
        with witness() as seen:
            with server("--data", data) as front:
                self.create(front, "f", seen.server_address[1])
                self.assertEqual(front.stop(), 0)
            for kill in range(KILLS):
                with self.subTest(seed=seed, kill=kill):
                    front = server("--data", data)
                    # f:$LATEST is a queue of its own.
                    senders = [sender(front, ids, "/2015-03-31/functions/f/invocations" +
                                      ("?Qualifier=$LATEST" if i % 2 else "")) for i in range(SENDERS)]
                    for each in senders:
                        each.start()
                    time.sleep(choose.uniform(0.0, 0.4))
                    front.process.send_signal(signal.SIGKILL)
                    _, told = front.process.communicate()
                    for each in senders:
                        each.join()
                        self.assertEqual(each.wrong, [])
                        accepted.update(each.accepted)
                    self.assertNotIn(b"damaged", told)
                    left += len(accepted - seen.seen)
            with server("--data", data) as front:
                for _ in range(1200):
                    if self.queued(front) == 0:
                        break
                    time.sleep(0.1)
                self.assertEqual(self.queued(front), 0)
                self.assertEqual(front.stop(), 0)
            lost = accepted - seen.seen
            print(f"{KILLS} kills, {len(accepted)} events accepted, {len(lost)} lost, {left} times one waited for the "
                  f"next server, {seen.repeated} deliveries were repeated")
            self.assertEqual(lost, set())
            self.assertGreater(len(accepted), KILLS)
            self.assertGreater(left, 0)  # else the kills showed nothing

    def test_outcomes_end_in_files(self):
        """Two retries, then the record and the dead letter; AWS's minutes are hundredths of a second."""
        data = self.scratch() / "data"
        with server("--data", data, "--event-retry-delay", "0.01") as front:
            front.create("f", timeout=30)
            for method, path, body in (
                    ("PUT", "/2015-03-31/functions/f/configuration",
                     {"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::letters"}}),
                    ("PUT", "/2019-09-25/functions/f/event-invoke-config",
                     {"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:s3:::good"},
                                            "OnFailure": {"Destination": "arn:aws:s3:::bad"}}})):
                code, _, answer = front.request(method, path, json.dumps(body).encode())
                self.assertEqual(code, 200, answer)
            for _ in range(600):  # events go by the configuration that is in force
                if b'"LastUpdateStatus":"Successful"' in front.request("GET", "/2015-03-31/functions/f/configuration")[2]:
                    break
                time.sleep(0.05)
            for event in ({"fail": "so"}, {"exit": 3}, {"n": 1}):
                code, headers, body = front.request("POST", "/2015-03-31/functions/f/invocations", json.dumps(event).encode(),
                                                    headers={"X-Amz-Invocation-Type": "Event"})
                self.assertEqual((code, body), (202, b""))
            for _ in range(600):
                if self.queued(front) == 0:
                    break
                time.sleep(0.05)
            page = front.request("GET", "/metrics")[2].decode()
            self.assertIn('\nhearth_async_events_dropped_total{function="f"} 2\n', page)
            self.assertIn('\nhearth_async_event_age_seconds_count{function="f"} 7\n', page)
            self.assertEqual(front.stop(), 0)

        def below(bucket):
            return [json.loads(each.read_bytes()) for each in (data / "destinations" / bucket).rglob("*") if each.is_file()]

        self.assertEqual([each["requestPayload"] for each in below("good")], [{"n": 1}])
        bad = {each["responsePayload"].get("errorType"): each for each in below("bad")}
        self.assertEqual(len(bad), 2, bad)
        for record in bad.values():
            self.assertEqual(record["requestContext"]["condition"], "RetriesExhausted")
            self.assertEqual(record["requestContext"]["approximateInvokeCount"], 3)
            self.assertEqual(record["responseContext"],
                             {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"})
        self.assertIn("Runtime.ExitError", bad)
        letters = [each["Records"][0] for each in below("letters")]
        self.assertEqual(sorted(each["body"] for each in letters), ['{"exit": 3}', '{"fail": "so"}'])
        for letter in letters:
            self.assertEqual(letter["messageAttributes"]["ErrorCode"], {"stringValue": "200", "dataType": "Number"})


if __name__ == "__main__":
    main()
