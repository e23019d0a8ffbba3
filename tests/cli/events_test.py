"""hearth serve, killed at random moments while events are accepted and delivered: each that was answered with 202
reaches its function, at least once; so do the messages of a queue and the records of a stream that are mapped to it.
HEARTH_KILLS is how often, HEARTH_SEED where the moments come from."""

import base64
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

KILLS = int(os.environ.get("HEARTH_KILLS", "100"))
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
                        self.server.answers.wait()
                        self.wfile.write(b"\n")
            except OSError:
                pass  # its guest was killed

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.handler)
        self.lock, self.seen, self.repeated = threading.Lock(), set(), 0
        self.answers = threading.Event()  # while it is clear, the functions wait
        self.answers.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def saw(self, event):
        events = [json.loads(record["body"] if "body" in record else base64.b64decode(record["kinesis"]["data"]))
                  for record in event["Records"]] if "Records" in event else [event]
        with self.lock:
            for each in events:
                self.repeated += each["id"] in self.seen
                self.seen.add(each["id"])


class sender(threading.Thread):
    """Invokes asynchronously until the server is gone; `accepted` are those it got a 202 for."""

    expected = 202

    def __init__(self, front, ids, path):
        super().__init__()
        self.address = re.match(r"http://(.*)", front.endpoint).group(1)
        self.ids, self.path, self.accepted, self.wrong = ids, path, [], []

    def request(self, event):
        return json.dumps(event), {"X-Amz-Invocation-Type": "Event"}

    def run(self):
        try:
            connection = http.client.HTTPConnection(self.address, timeout=60)
            while True:
                event = next(self.ids)
                body, headers = self.request({"id": event})
                connection.request("POST", self.path, body.encode(), headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == self.expected:
                    self.accepted.append(event)
                else:
                    self.wrong.append((event, answer.status))
        except (OSError, http.client.HTTPException):
            pass  # killed


class queue_sender(sender):
    """Sends to the queue instead."""

    expected = 200

    def request(self, event):
        return sqs("SendMessage", QueueUrl=QUEUE, MessageBody=json.dumps(event))


class stream_sender(sender):
    """Puts into the stream instead."""

    expected = 200

    def request(self, event):
        data = base64.b64encode(json.dumps(event).encode()).decode()
        return kinesis("PutRecord", StreamName="clicks", Data=data, PartitionKey=str(event["id"] % 7))


QUEUE = "http://localhost/000000000000/jobs"


def kinesis(operation, **arguments):
    return json.dumps(arguments), {"X-Amz-Target": "Kinesis_20131202." + operation, "Content-Type": "application/x-amz-json-1.1"}


def sqs(operation, **arguments):
    """Body and headers of a request of the JSON protocol."""
    return json.dumps(arguments), {"X-Amz-Target": "AmazonSQS." + operation, "Content-Type": "application/x-amz-json-1.0"}


PARTIAL = """
def lambda_handler(event, context):
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in event["Records"]
                                  if each["body"].startswith("bad")]}
"""


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

    def ask_sqs(self, front, operation, **arguments):
        body, headers = sqs(operation, **arguments)
        code, _, answer = front.request("POST", "/", body.encode(), headers=headers)
        self.assertEqual(code, 200, answer)
        return json.loads(answer or b"{}")

    def map_source(self, front, name, source, **more):
        code, _, answer = front.request("POST", "/2015-03-31/event-source-mappings", json.dumps({
            "FunctionName": name, "EventSourceArn": f"arn:aws:{source}", **more}).encode())
        self.assertEqual(code, 202, answer)

    def map_queue(self, front, name, **more):
        self.map_source(front, name, "sqs:us-east-1:000000000000:jobs", **more)

    def in_queue(self, front, url=QUEUE):
        """Messages: to be had, and with somebody."""
        got = self.ask_sqs(front, "GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return int(got["ApproximateNumberOfMessages"]), int(got["ApproximateNumberOfMessagesNotVisible"])

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
                self.ask_sqs(front, "CreateQueue", QueueName="jobs", Attributes={"VisibilityTimeout": "30"})
                self.map_queue(front, "f")
                body, headers = kinesis("CreateStream", StreamName="clicks", ShardCount=2)
                self.assertEqual(front.request("POST", "/", body.encode(), headers=headers)[0], 200)
                self.map_source(front, "f", "kinesis:us-east-1:000000000000:stream/clicks",
                                StartingPosition="TRIM_HORIZON", ParallelizationFactor=2)
                # So that what a kill leaves comes again soon.
                self.ask_sqs(front, "SetQueueAttributes", QueueUrl=QUEUE, Attributes={"VisibilityTimeout": "3"})
                self.assertEqual(front.stop(), 0)
            for kill in range(KILLS):
                with self.subTest(seed=seed, kill=kill):
                    front = server("--data", data)
                    # f:$LATEST is a queue of its own.
                    senders = [sender(front, ids, "/2015-03-31/functions/f/invocations" +
                                      ("?Qualifier=$LATEST" if i % 2 else "")) for i in range(SENDERS)]
                    senders += [queue_sender(front, ids, "/"), stream_sender(front, ids, "/")]
                    for each in senders:
                        each.start()
                    time.sleep(choose.uniform(0.0, 0.25))
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
                    if self.queued(front) == 0 and self.in_queue(front) == (0, 0) and accepted <= seen.seen:
                        break
                    time.sleep(0.1)
                self.assertEqual(self.queued(front), 0)
                self.assertEqual(self.in_queue(front), (0, 0))
                self.assertEqual(front.stop(), 0)
            lost = accepted - seen.seen
            print(f"{KILLS} kills, {len(accepted)} events accepted, {len(lost)} lost, {left} times one waited for the "
                  f"next server, {seen.repeated} deliveries were repeated")
            self.assertEqual(lost, set())
            self.assertGreater(len(accepted), KILLS)
            self.assertGreater(left, 0)  # else the kills showed nothing

    def test_messages_that_a_function_names_as_failed_end_in_the_dead_letter_queue(self):
        file = self.scratch() / "partial.zip"
        with zipfile.ZipFile(file, "w") as z:
            z.writestr("lambda_function.py", PARTIAL)
        dead = QUEUE.replace("jobs", "dead")
        with server("--data", self.scratch() / "data") as front:
            front.create("partial", file, runtime="python3.11", handler="lambda_function.lambda_handler")
            self.assertEqual(front.invoke("partial", b'{"Records": []}')[2], b'{"batchItemFailures": []}')
            self.ask_sqs(front, "CreateQueue", QueueName="dead")
            self.ask_sqs(front, "CreateQueue", QueueName="jobs", Attributes={
                "VisibilityTimeout": "3", "RedrivePolicy": json.dumps(
                    {"deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:dead", "maxReceiveCount": "2"})})
            self.map_queue(front, "partial", FunctionResponseTypes=["ReportBatchItemFailures"])
            for body in ("good", "bad", "better", "bad too", "best"):
                self.ask_sqs(front, "SendMessage", QueueUrl=QUEUE, MessageBody=body)
            for _ in range(1200):
                if self.in_queue(front) == (0, 0):
                    break
                time.sleep(0.05)
            self.assertEqual(self.in_queue(front), (0, 0))
            self.assertEqual(self.in_queue(front, dead), (2, 0))
            got = self.ask_sqs(front, "ReceiveMessage", QueueUrl=dead, MaxNumberOfMessages=10)["Messages"]
            self.assertEqual(sorted(each["Body"] for each in got), ["bad", "bad too"])
            self.assertEqual(front.stop(), 0)

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
