"""hearth serve: loops of invocations that real functions make come to an end, queues at another server's endpoint
invoke functions of this one, and a function says who may call another by an HTTP API."""

import datetime
import hashlib
import hmac
import json
import re
import time
import urllib.parse
import zipfile

from harness import main, server, test_case

# What AWS's SDKs do with the trace header: botocore's add_recursion_detection_header.
LOOP = """
import json, os, urllib.parse, urllib.request

def lambda_handler(event, context):
    if "Records" in event:
        event = json.loads(event["Records"][0]["body"])
    trace = os.environ["_X_AMZN_TRACE_ID"]
    if "again" in event:
        body = {"QueueUrl": event["queue"], "MessageBody": json.dumps(event)} if "queue" in event else event
        headers = dict(event["headers"], **{"X-Amzn-Trace-Id": urllib.parse.quote(trace, safe="-=;:+&[]{}\\"',")})
        urllib.request.urlopen(urllib.request.Request(event["again"], json.dumps(body).encode(), headers)).read()
    return trace
"""
PARTIAL = """
def lambda_handler(event, context):
    return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in event["Records"]
                                  if each["body"].startswith("bad")]}
"""
GUARD = """
def lambda_handler(event, context):
    who = event["identitySource"][0]
    if who == "nobody":
        raise Exception("Unauthorized")
    effect = "Allow" if who == "friend" else "Deny"
    policy = {"Version": "2012-10-17", "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": event["routeArn"]}]}
    return {"principalId": who, "policyDocument": policy, "context": {"level": 7}}
"""
CALLER = """
def lambda_handler(event, context):
    return event["requestContext"]["authorizer"]["lambda"]
"""
KEY, SECRET = "AKIAPOLLER", "3JHgeSmfnSJUuTM4YzzVPm5kFQJfo2yXX9lB4Nq7"
QUEUE = "http://localhost/000000000000/"


def sqs_headers(operation):
    return {"X-Amz-Target": "AmazonSQS." + operation, "Content-Type": "application/x-amz-json-1.0"}


def signature(front, body, headers):
    """The headers of a request for Amazon SQS, signed (AWS Signature Version 4)."""
    time_now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = dict(headers, **{"Host": urllib.parse.urlsplit(front.endpoint).netloc, "X-Amz-Date": time_now})
    names = sorted(each.lower() for each in headers)
    lower = {k.lower(): v for k, v in headers.items()}
    canonical = "\n".join(["POST", "/", "", *(f"{n}:{lower[n]}" for n in names), "", ";".join(names),
                           hashlib.sha256(body).hexdigest()])
    scope = f"{time_now[:8]}/us-east-1/sqs/aws4_request"
    key = ("AWS4" + SECRET).encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join(["AWS4-HMAC-SHA256", time_now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    return dict(headers, Authorization=f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={';'.join(names)}, "
                                       f"Signature={hmac.new(key, text.encode(), 'sha256').hexdigest()}")


class triggers(test_case):
    def package(self, source):
        file = self.scratch() / "function.zip"
        with zipfile.ZipFile(file, "w") as z:
            z.writestr("lambda_function.py", source)
        return file

    def until(self, holds):
        for _ in range(1200):
            if holds():
                return
            time.sleep(0.05)
        self.fail("it never came to that")

    def counted(self, front, name, function="loop"):
        page = front.request("GET", "/metrics")[2].decode()
        return int(re.search(rf'\n{name}{{function="{function}"}} (\d+)\n', page).group(1))

    def ask_sqs(self, front, operation, is_signed=False, **arguments):
        body = json.dumps(arguments).encode()
        headers = sqs_headers(operation)
        code, _, answer = front.request("POST", "/", body, headers=signature(front, body, headers) if is_signed else headers)
        self.assertEqual(code, 200, answer)
        return json.loads(answer or b"{}")

    def make_queues(self, front, region, seconds, is_signed=False, receives="1"):
        self.ask_sqs(front, "CreateQueue", is_signed, QueueName="dead")
        self.ask_sqs(front, "CreateQueue", is_signed, QueueName="jobs", Attributes={
            "VisibilityTimeout": seconds, "RedrivePolicy": json.dumps(
                {"deadLetterTargetArn": f"arn:aws:sqs:{region}:000000000000:dead", "maxReceiveCount": receives})})

    def map(self, front, **request):
        code, _, answer = front.request("POST", "/2015-03-31/event-source-mappings", json.dumps(request).encode())
        return code, json.loads(answer)

    def test_loops_come_to_an_end(self):
        invocations = "/2015-03-31/functions/loop/invocations"
        with server("--data", self.scratch() / "data") as front:
            front.create("loop", self.package(LOOP), runtime="python3.11", handler="lambda_function.lambda_handler")
            port = urllib.parse.urlsplit(front.endpoint).port
            self.assertEqual(front.request("PUT", "/2015-03-31/functions/loop/configuration", json.dumps(
                {"Environment": {"Variables": {"HEARTH_NETWORK": f"127.0.0.1:{port}"}}}).encode())[0], 200)
            self.until(lambda: b'"LastUpdateStatus":"Successful"' in front.request(
                "GET", "/2015-03-31/functions/loop/configuration")[2])

            # Whoever hands the header on.
            trace = "Root=1-2"
            for _ in range(16):
                code, _, body = front.request("POST", invocations, b"{}", headers={"X-Amzn-Trace-Id": trace})
                self.assertEqual(code, 200, body)
                trace = json.loads(body)
            self.assertRegex(trace, r"^Root=1-2;Lineage=1:[0-9a-f]{8}:15$")
            code, headers, body = front.request("POST", invocations, b"{}", headers={"X-Amzn-Trace-Id": trace})
            self.assertEqual((code, headers["x-amzn-ErrorType"]), (400, "RecursiveInvocationException"))
            self.assertEqual(json.loads(body)["Type"], "User")
            self.assertIn("RecursiveLoop", json.loads(body)["Message"])

            # A function that invokes itself, and one that sends to its queue.
            headers = {"X-Amz-Invocation-Type": "Event"}
            event = {"again": front.endpoint + invocations, "headers": headers}
            self.assertEqual(front.request("POST", invocations, json.dumps(event).encode(), headers=headers)[0], 202)
            self.until(lambda: self.counted(front, "hearth_recursive_invocations_dropped_total") == 2)
            self.assertEqual(self.counted(front, "hearth_invocations_total"), 32)
            self.make_queues(front, "us-east-1", "3")
            code, made = self.map(front, EventSourceArn="arn:aws:sqs:us-east-1:000000000000:jobs", FunctionName="loop")
            self.assertEqual(code, 202, made)
            event = {"again": front.endpoint + "/", "headers": sqs_headers("SendMessage"), "queue": QUEUE + "jobs"}
            self.ask_sqs(front, "SendMessage", QueueUrl=QUEUE + "jobs", MessageBody=json.dumps(event))
            self.until(lambda: "Messages" in self.ask_sqs(front, "ReceiveMessage", QueueUrl=QUEUE + "dead"))
            self.assertEqual(self.counted(front, "hearth_invocations_total"), 48)
            self.assertEqual(self.counted(front, "hearth_recursive_invocations_dropped_total"), 3)
            self.assertEqual(front.stop(), 0)

    def test_an_authorizer_says_whose_requests_reach_a_function(self):
        with server("--data", self.scratch()) as front:
            for name, code in (("guard", GUARD), ("caller", CALLER)):
                front.create(name, self.package(code), runtime="python3.11", handler="lambda_function.lambda_handler")

            def ask(method, path, status, **body):
                code, _, answer = front.request(method, "/v2/apis" + path, json.dumps(body).encode() if body else None)
                self.assertEqual(code, status, answer)
                return json.loads(answer)

            arn = "arn:aws:lambda:us-east-1:000000000000:function:"
            api = ask("POST", "", 201, name="a", protocolType="HTTP", target=arn + "caller")["apiId"]
            guard = ask("POST", f"/{api}/authorizers", 201, name="g", authorizerType="REQUEST", authorizerUri=arn + "guard",
                        authorizerPayloadFormatVersion="2.0", identitySource=["$request.header.Authorization"])["authorizerId"]
            route = ask("GET", f"/{api}/routes", 200)["items"][0]["routeId"]
            ask("PATCH", f"/{api}/routes/{route}", 200, authorizationType="CUSTOM", authorizerId=guard)

            def by(headers):
                code, _, body = front.request("GET", f"/_hearth/apis/{api}/x", headers=headers)
                return code, json.loads(body)

            self.assertEqual(by({}), (401, {"message": "Unauthorized"}))
            self.assertEqual(by({"Authorization": "nobody"}), (401, {"message": "Unauthorized"}))
            self.assertEqual(by({"Authorization": "stranger"}), (403, {"message": "Forbidden"}))
            for _ in range(2):
                self.assertEqual(by({"Authorization": "friend"}), (200, {"principalId": "friend", "level": 7}))
            # What it said of the friend was kept.
            self.assertEqual([self.counted(front, "hearth_invocations_total", each) for each in ("guard", "caller")], [3, 2])
            self.assertEqual(front.stop(), 0)

    def test_queues_of_another_server_invoke_functions(self):
        credentials = self.scratch() / "credentials"
        credentials.touch(0o600)
        credentials.write_text(f"[poller]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\nallow = *\n")
        arn = "arn:aws:sqs:eu-west-1:000000000000:jobs"

        def with_queues_at(other, secret=SECRET):
            return server("--data", self.scratch() / "data", "--queues-at", f"eu-west-1={other.endpoint}",
                          prefix=("env", "AWS_ACCESS_KEY_ID=" + KEY, "AWS_SECRET_ACCESS_KEY=" + secret))

        with server("--data", self.scratch() / "data", "--credentials", credentials) as other:
            self.assertEqual(other.request("POST", "/", b"{}", headers=sqs_headers("ListQueues"))[0], 403)
            self.make_queues(other, "us-east-1", "3", is_signed=True, receives="2")
            with with_queues_at(other, "wrong") as front:
                front.create("partial", self.package(PARTIAL), runtime="python3.11", handler="lambda_function.lambda_handler")
                code, refused = self.map(front, EventSourceArn=arn, FunctionName="partial")
                self.assertEqual(code, 400)
                self.assertIn("InvalidSignatureException", refused["message"])
            with with_queues_at(other) as front:
                front.create("partial", self.package(PARTIAL), runtime="python3.11", handler="lambda_function.lambda_handler")
                for absent in (arn + "-absent", arn.replace("eu-west-1", "eu-west-2")):
                    code, refused = self.map(front, EventSourceArn=absent, FunctionName="partial")
                    self.assertEqual(code, 400)
                    self.assertIn("NonExistentQueue", refused["message"])
                code, made = self.map(front, EventSourceArn=arn, FunctionName="partial",
                                      FunctionResponseTypes=["ReportBatchItemFailures"],
                                      FilterCriteria={"Filters": [{"Pattern": '{"messageAttributes": {"skip": [{"exists": false}]}}'}]})
                self.assertEqual(code, 202, made)
                for body in ("good", "bad", "better", "bad too", "best"):
                    self.ask_sqs(other, "SendMessage", True, QueueUrl=QUEUE + "jobs", MessageBody=body)
                self.ask_sqs(other, "SendMessage", True, QueueUrl=QUEUE + "jobs", MessageBody="nobody's",
                             MessageAttributes={"skip": {"DataType": "Binary", "BinaryValue": "AAH/"}})

                def left(queue):
                    got = self.ask_sqs(other, "GetQueueAttributes", True, QueueUrl=QUEUE + queue,
                                       AttributeNames=["All"])["Attributes"]
                    return int(got["ApproximateNumberOfMessages"]) + int(got["ApproximateNumberOfMessagesNotVisible"])

                self.until(lambda: left("jobs") == 0)
                got = self.ask_sqs(other, "ReceiveMessage", True, QueueUrl=QUEUE + "dead", MaxNumberOfMessages=10)["Messages"]
                self.assertEqual(sorted(each["Body"] for each in got), ["bad", "bad too"])
                page = front.request("GET", "/metrics")[2].decode()
                self.assertRegex(page, rf'hearth_event_source_filtered_out_total{{uuid="{made["UUID"]}",.*}} 1\n')
                self.assertRegex(page, rf'hearth_event_source_deleted_total{{uuid="{made["UUID"]}",.*}} 4\n')
                self.assertEqual(front.stop(), 0)  # its long poll over there ends with it
            self.assertEqual(other.stop(), 0)


if __name__ == "__main__":
    main()
