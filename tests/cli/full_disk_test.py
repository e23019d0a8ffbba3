"""hearth serve on a disk that is full: what cannot be stored is refused in AWS's words, what was accepted before is
kept, what only reads goes on, and once there is room the same server accepts again."""

import base64
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import events_test
from events_test import kinesis, sqs
from harness import FUNCTIONS, SKIPPED, main, server, test_case

QUEUE = "http://localhost/000000000000/jobs"
BEFORE = 8  # of each kind; more than a function is given at once


class small_disk:
    """A disk that nobody but the programs run with `prefix` sees at `directory`; a context manager."""

    def __init__(self, directory, size):
        # Who is not root mounts in a user namespace, where there are any.
        own_users, their_users = ([], []) if os.geteuid() == 0 else (
            ["--map-root-user"], ["--user", "--preserve-credentials"])
        self.holder = subprocess.Popen(
            ["unshare", "--mount", *own_users, "sh", "-c", f'mount -t tmpfs -o size={size} small "$0" && echo there && exec cat',
             directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.is_there = self.holder.stdout.readline() == b"there\n"
        self.prefix = ("nsenter", "--mount", *their_users, "--target", str(self.holder.pid), "--")
        self.seen_from_here = Path(f"/proc/{self.holder.pid}/root{directory}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.why = self.holder.communicate()[1].decode().strip()

    def fill(self):
        """To the last byte."""
        with open(self.seen_from_here / "filler", "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError:
                    pass

    def make_room(self):
        (self.seen_from_here / "filler").unlink()


class full_disk(test_case):
    def ask(self, front, request):
        body, headers = request
        return front.request("POST", "/", body.encode(), headers=headers)

    def invoke_later(self, front, number):
        return front.request("POST", "/2015-03-31/functions/f/invocations", json.dumps({"id": number}).encode(),
                             headers={"X-Amz-Invocation-Type": "Event"})

    def send(self, front, text):
        return self.ask(front, sqs("SendMessage", QueueUrl=QUEUE, MessageBody=text))

    def put(self, front, text):
        return self.ask(front, kinesis("PutRecord", StreamName="clicks", PartitionKey="k",
                                       Data=base64.b64encode(text.encode()).decode()))

    def describe(self, front, text):
        return front.request("PUT", "/2015-03-31/functions/f/configuration", json.dumps({"Description": text}).encode())

    def create_function(self, front, name):
        return front.request("POST", "/2015-03-31/functions", json.dumps({
            "FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap",
            "Role": "arn:aws:iam::000000000000:role/any", "Code": {
                "ZipFile": base64.b64encode((FUNCTIONS / "socket_bootstrap.zip").read_bytes()).decode()}}).encode())

    def tag(self, front):
        return front.request("POST", "/2017-03-31/tags/arn:aws:lambda:us-east-1:000000000000:function:f",
                             b'{"Tags": {"a": "b"}}')

    def changes(self, front, word):
        """What stores something: the answer, its error's name, and where it would have been stored."""
        lambda_, amazon = "ServiceException", "InternalFailure"
        yield self.invoke_later(front, word), lambda_, "events.db"
        yield self.send(front, word), amazon, "queues.db"
        yield self.ask(front, sqs("CreateQueue", QueueName=word)), amazon, "queues.db"
        yield self.put(front, word), amazon, "streams.db"
        yield self.ask(front, kinesis("CreateStream", StreamName=word, ShardCount=1)), amazon, "streams.db"
        yield self.describe(front, word), lambda_, "hearth.db"
        yield self.tag(front), lambda_, "hearth.db"
        yield self.create_function(front, word), lambda_, ""  # the package, or the function

    def records(self, front):
        shard = json.loads(self.ask(front, kinesis("GetShardIterator", StreamName="clicks", ShardId="shardId-000000000000",
                                                   ShardIteratorType="TRIM_HORIZON"))[2])["ShardIterator"]
        got = json.loads(self.ask(front, kinesis("GetRecords", ShardIterator=shard))[2])["Records"]
        return [base64.b64decode(each["Data"]).decode() for each in got]

    def messages_there(self, front):
        got = json.loads(self.ask(front, sqs("GetQueueAttributes", QueueUrl=QUEUE, AttributeNames=["All"]))[2])
        return int(got["Attributes"]["ApproximateNumberOfMessages"])

    def check_reads(self, front, descriptions, texts):
        got = json.loads(front.request("GET", "/2015-03-31/functions/f")[2])["Configuration"]
        self.assertIn(got["Description"], descriptions)
        names = [each["FunctionName"] for each in json.loads(front.request("GET", "/2015-03-31/functions/")[2])["Functions"]]
        self.assertEqual(names, ["echo", "f"])
        self.assertEqual(self.messages_there(front), len(texts))
        self.assertEqual(self.records(front), texts)
        code, headers, body = front.invoke("echo", b'{"n": 1}')
        self.assertEqual((code, json.loads(body)["event"]), (200, {"n": 1}))

    def receive_all(self, front):
        texts = []
        while True:
            code, _, body = self.ask(front, sqs("ReceiveMessage", QueueUrl=QUEUE, MaxNumberOfMessages=10))
            self.assertEqual(code, 200, body)
            got = json.loads(body).get("Messages", [])
            if not got:
                return texts
            texts += [each["Body"] for each in got]

    def check_refused(self, front, word):
        for (code, headers, body), name, file in self.changes(front, word):
            self.assertEqual(code, 500, (file, body))
            answer = json.loads(body)
            said = headers["x-amzn-ErrorType"] or answer["__type"]
            self.assertEqual(said.rpartition("#")[2], name)
            message = answer.get("message") or answer["Message"]
            self.assertIn(file, message)
            self.assertRegex(message, "database or disk is full|No space left on device|of its disk are kept for")
            self.assertIn("; make room on its disk", message)

    def test_what_a_full_disk_refuses(self):
        texts = [str(n) for n in range(BEFORE)]
        place = self.scratch() / "disk"
        place.mkdir()
        with events_test.witness() as seen, small_disk(place, "48m") as disk:
            with server("--data", place / "data", prefix=disk.prefix) as front:
                events_test.events.create(self, front, "f", seen.server_address[1])
                front.create("echo")
                self.assertEqual(front.invoke("echo")[0], 200)
                self.assertEqual(self.ask(front, sqs("CreateQueue", QueueName="jobs"))[0], 200)
                self.assertEqual(self.ask(front, kinesis("CreateStream", StreamName="clicks", ShardCount=1))[0], 200)
                seen.answers.clear()  # what is accepted waits, most of it on disk
                for n, text in enumerate(texts):
                    self.assertEqual(self.invoke_later(front, n)[0], 202)
                    self.assertEqual(self.send(front, text)[0], 200)
                    self.assertEqual(self.put(front, text)[0], 200)

                disk.fill()
                self.check_refused(front, "refused")
                self.check_reads(front, [""], texts)
                seen.answers.set()  # that they ran cannot be written either
                for _ in range(600):
                    if seen.seen >= set(range(BEFORE)):
                        break
                    time.sleep(0.05)
                self.check_refused(front, "again")

                disk.make_room()
                for (code, _, body), _, file in self.changes(front, "room"):
                    self.assertLess(code, 300, (file, body))
                self.assertEqual(self.send(front, "last")[0], 200)
                self.assertEqual(sorted(self.receive_all(front)), sorted(texts + ["last", "room"]))
                self.assertEqual(self.records(front), texts + ["room"])
                for _ in range(600):
                    if events_test.events.queued(self, front) == 0:
                        break
                    time.sleep(0.05)
                self.assertEqual(events_test.events.queued(self, front), 0)
                self.assertEqual(seen.seen, {*range(BEFORE), "room"})
                # None was given to its function again for its end that could not be written.
                self.assertEqual(seen.repeated, 0)
                # The log tells of each change once, however much was refused.
                front.process.terminate()
                lines = front.process.communicate(timeout=30)[1].decode().splitlines()
                self.assertEqual(front.process.returncode, 0)
                for name in ("hearth.db", "events.db", "queues.db", "streams.db"):
                    said = [each for each in lines if name in each and "hearth: warning: control: the database of " in each]
                    self.assertEqual(len(said), 2, (name, lines))
                    self.assertTrue(said[0].endswith("; make room on its disk"), said)
                    self.assertTrue(said[1].endswith(" has room again"), said)
            with server("--data", place / "data", prefix=disk.prefix) as front:
                self.assertEqual(self.records(front), texts + ["room"])
                self.assertEqual(front.stop(), 0)

    def test_a_queue_that_has_filled_the_disk_is_emptied(self):
        place = self.scratch() / "disk"
        place.mkdir()
        with small_disk(place, "24m") as disk, server("--data", place / "data", prefix=disk.prefix) as front:
            self.assertEqual(self.ask(front, sqs("CreateQueue", QueueName="jobs"))[0], 200)
            for turn in range(2):  # what is taken out makes room
                sent, code = 0, 200
                while code == 200:
                    code, _, body = self.send(front, "x" * 60_000)
                    sent += code == 200
                self.assertEqual(code, 500)
                self.assertRegex(json.loads(body)["message"],
                                 "queues.db takes in nothing more: the last 6 MiB of its disk are kept for taking out")
                self.assertGreater(sent, 100)
                removed = 0
                while removed < sent:
                    code, _, body = self.ask(front, sqs("ReceiveMessage", QueueUrl=QUEUE, MaxNumberOfMessages=10))
                    self.assertEqual(code, 200, body)
                    got = json.loads(body)["Messages"]
                    code, _, body = self.ask(front, sqs("DeleteMessageBatch", QueueUrl=QUEUE, Entries=[
                        {"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(got)]))
                    self.assertEqual((code, "Failed" in json.loads(body)), (200, False), body)
                    removed += len(got)
                self.assertEqual(self.messages_there(front), 0)
            self.assertEqual(front.stop(), 0)

    def test_a_server_that_is_killed_on_a_full_disk(self):
        texts = [str(n) for n in range(BEFORE)]
        place = self.scratch() / "disk"
        place.mkdir()
        with small_disk(place, "48m") as disk:
            with server("--data", place / "data", prefix=disk.prefix) as front:
                front.create("echo"), front.create("f")
                self.assertEqual(self.ask(front, sqs("CreateQueue", QueueName="jobs"))[0], 200)
                self.assertEqual(self.ask(front, kinesis("CreateStream", StreamName="clicks", ShardCount=1))[0], 200)
                for text in texts:
                    self.assertEqual(self.send(front, text)[0], 200)
                    self.assertEqual(self.put(front, text)[0], 200)
                disk.fill()
                self.check_refused(front, "refused")
                front.process.kill()
            with server("--data", place / "data", prefix=disk.prefix) as front:
                self.check_reads(front, [""], texts)
                self.check_refused(front, "refused")
                disk.make_room()
                self.assertEqual(sorted(self.receive_all(front)), texts)
                self.assertEqual(front.stop(), 0)


if __name__ == "__main__":
    with small_disk("/tmp", "1m") as tried:
        pass
    if not tried.is_there:
        print(f"skipped: no disk of its own can be mounted here: {tried.why}")
        sys.exit(SKIPPED)
    main()
