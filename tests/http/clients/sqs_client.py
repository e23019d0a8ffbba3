"""sqs_client.py ENDPOINT ZIP: drives the queues with boto3 and Debian's AWS CLI, which speak the query protocol, and with
the JSON protocol's requests, signed. Exits 77 (skipped) where they are not installed."""

import hashlib
import json
import os
import ssl
import struct
import subprocess
import sys
import urllib.request
import uuid

try:
    import boto3
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.credentials import Credentials
    from botocore.exceptions import ClientError
except ImportError:
    print("skipped: install python3-boto3")
    sys.exit(77)
if not os.path.exists("/usr/bin/aws"):
    print("skipped: install awscli")
    sys.exit(77)

endpoint = sys.argv[1]
keys = dict(aws_access_key_id="test", aws_secret_access_key="test")
client = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1", config=Config(retries={"max_attempts": 0}), **keys)
name = "sqs-" + uuid.uuid4().hex[:8]
seen = set()
NEWER = {"SqsManagedSseEnabled", "DeadLetterQueueSourceArn"}  # names that Debian's model does not have yet


def check(shape, value, path):
    """Against botocore's model: only what it knows, of its types."""
    kind = shape.type_name
    if kind == "structure":
        assert isinstance(value, dict), path
        for key, each in value.items():
            assert key in shape.members, f"{path}: {key} is no member of {shape.name}"
            check(shape.members[key], each, f"{path}.{key}")
    elif kind == "list":
        assert isinstance(value, list), path
        for each in value:
            check(shape.member, each, path + "[]")
    elif kind == "map":
        assert isinstance(value, dict), path
        for key, each in value.items():
            check(shape.key, key, path + " key")
            check(shape.value, each, f"{path}[{key}]")
    elif kind == "blob":
        assert isinstance(value, (bytes, str)), path
    else:
        assert isinstance(value, {"string": str, "integer": int, "boolean": bool}[kind]), (path, value)
        assert not getattr(shape, "enum", None) or value in shape.enum or value in NEWER, (path, value)


def watch(http_response, parsed, model, **_):
    seen.add(model.name)
    if http_response.status_code >= 300:
        return
    document = {k: v for k, v in parsed.items() if k != "ResponseMetadata"}
    if model.output_shape:
        check(model.output_shape, document, model.name)
    else:
        assert not document, (model.name, document)
    assert (b"<%sResult>" % model.name.encode() in http_response.content) == bool(model.output_shape), http_response.content


client.meta.events.register("after-call.sqs", watch)


def refused(code, status, call, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        got = e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (code, status), (got, e)
        assert e.response["Error"]["Message"] and e.response["ResponseMetadata"]["RequestId"]
        return e
    raise AssertionError(f"{call} succeeded")


def md5_of(attributes):
    """AWS's algorithm ("Calculating the MD5 message digest for message attributes")."""
    out = b""
    for key in sorted(attributes):
        a = attributes[key]
        for text in (key, a["DataType"]):
            out += struct.pack(">I", len(text.encode())) + text.encode()
        binary = a["DataType"].startswith("Binary")
        value = a["BinaryValue"] if binary else a["StringValue"].encode()
        out += (b"\2" if binary else b"\1") + struct.pack(">I", len(value)) + value
    return hashlib.md5(out).hexdigest()


def ask_json(operation, document, **signer):
    body = json.dumps(document).encode()
    request = AWSRequest("POST", endpoint + "/", data=body, headers={
        "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + operation})
    SigV4Auth(Credentials(signer.get("key", "test"), signer.get("secret", "test")), "sqs", "us-east-1").add_auth(request)
    context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"]) if endpoint.startswith("https") else None
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint + "/", body, dict(request.headers)), context=context) as r:
            return r.status, json.load(r)
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)


def aws(*words, expect=0):
    run = subprocess.run(["/usr/bin/aws", "--endpoint-url", endpoint, "--output", "json", "sqs", *words], capture_output=True,
                         text=True, env=dict(os.environ, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test",
                                             AWS_DEFAULT_REGION="us-east-1", AWS_PAGER="", AWS_CONFIG_FILE="/dev/null",
                                             AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true"))
    assert (run.returncode == 0) == (expect == 0), (words, run.stderr, run.stdout)
    return json.loads(run.stdout) if run.stdout.strip() else run.stderr


made = []
try:
    dead = client.create_queue(QueueName=name + "-dead")["QueueUrl"]
    made.append(dead)
    dead_arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert dead_arn == f"arn:aws:sqs:us-east-1:000000000000:{name}-dead", dead_arn
    policy = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": 1})
    url = client.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "0", "RedrivePolicy": policy},
                              tags={"team": "a"})["QueueUrl"]
    made.append(url)
    assert url == f"{endpoint}/000000000000/{name}", url
    assert client.get_queue_url(QueueName=name)["QueueUrl"] == url
    refused("QueueAlreadyExists", 400, client.create_queue, QueueName=name, Attributes={"VisibilityTimeout": "1"})
    refused("AWS.SimpleQueueService.NonExistentQueue", 400, client.get_queue_url, QueueName="none")
    refused("InvalidAttributeValue", 400, client.set_queue_attributes, QueueUrl=url, Attributes={"DelaySeconds": "901"})
    assert client.list_dead_letter_source_queues(QueueUrl=dead)["queueUrls"] == [url]
    assert set(client.list_queues(QueueNamePrefix=name)["QueueUrls"]) == {dead, url}
    first = client.list_queues(QueueNamePrefix=name, MaxResults=1)
    rest = client.list_queues(QueueNamePrefix=name, MaxResults=1, NextToken=first["NextToken"])
    assert first["QueueUrls"] + rest["QueueUrls"] == [url, dead], (first, rest)

    attributes = {"text": {"DataType": "String", "StringValue": "välue <&>"},
                  "number": {"DataType": "Number.int", "StringValue": "-1.5e3"},
                  "bytes": {"DataType": "Binary", "BinaryValue": b"\0\1\xff"}}
    body = 'ünïcode <tag> & "quotes"\r\n\t🔥'
    sent = client.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=attributes,
                               MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}})
    assert sent["MD5OfMessageBody"] == hashlib.md5(body.encode()).hexdigest()
    assert sent["MD5OfMessageAttributes"] == md5_of(attributes), sent
    assert sent["MD5OfMessageSystemAttributes"] == md5_of(
        {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}})
    got, = client.receive_message(QueueUrl=url, AttributeNames=["All"], MessageAttributeNames=["All"])["Messages"]
    assert got["Body"] == body and got["MessageId"] == sent["MessageId"], got
    assert got["MessageAttributes"] == attributes and got["MD5OfMessageAttributes"] == md5_of(attributes), got
    assert got["Attributes"]["AWSTraceHeader"] == "Root=1-2-3" and got["Attributes"]["SenderId"] in ("test", "000000000000"), got
    # It is visible at once, and has been received as often as it may be.
    assert "Messages" not in client.receive_message(QueueUrl=url)
    got, = client.receive_message(QueueUrl=dead, WaitTimeSeconds=20, AttributeNames=["DeadLetterQueueSourceArn"],
                                  MessageAttributeNames=["te.*", "number"])["Messages"]
    assert got["Attributes"] == {"DeadLetterQueueSourceArn": f"arn:aws:sqs:us-east-1:000000000000:{name}"}, got
    assert set(got["MessageAttributes"]) == {"text", "number"}
    assert got["MD5OfMessageAttributes"] == md5_of({k: attributes[k] for k in ("text", "number")})
    client.change_message_visibility(QueueUrl=dead, ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=100)
    client.delete_message(QueueUrl=dead, ReceiptHandle=got["ReceiptHandle"])
    refused("InvalidParameterValue", 400, client.change_message_visibility, QueueUrl=dead,
            ReceiptHandle=got["ReceiptHandle"], VisibilityTimeout=1)
    refused("ReceiptHandleIsInvalid", 400, client.delete_message, QueueUrl=dead, ReceiptHandle="none")

    client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": "", "VisibilityTimeout": "30"})
    shown = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert "RedrivePolicy" not in shown and shown["VisibilityTimeout"] == "30", shown
    batch = client.send_message_batch(QueueUrl=url, Entries=[
        {"Id": "a", "MessageBody": "1"}, {"Id": "b", "MessageBody": "2", "DelaySeconds": 901}, {"Id": "c", "MessageBody": "3"}])
    assert [e["Id"] for e in batch["Successful"]] == ["a", "c"] and batch["Failed"][0]["Code"] == "InvalidParameterValue", batch
    messages = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [m["Body"] for m in messages] == ["1", "3"], messages
    handles = [m["ReceiptHandle"] for m in messages]
    changed = client.change_message_visibility_batch(QueueUrl=url, Entries=[
        {"Id": str(i), "ReceiptHandle": h, "VisibilityTimeout": 50} for i, h in enumerate(handles)])
    assert len(changed["Successful"]) == 2 and "Failed" not in changed, changed
    gone = client.delete_message_batch(QueueUrl=url, Entries=[{"Id": "a", "ReceiptHandle": handles[0]},
                                                              {"Id": "b", "ReceiptHandle": "none"}])
    assert gone["Successful"] == [{"Id": "a"}] and gone["Failed"][0]["Id"] == "b", gone
    refused("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", 400, client.delete_message_batch, QueueUrl=url,
            Entries=[{"Id": "a", "ReceiptHandle": "x"}] * 2)
    client.tag_queue(QueueUrl=url, Tags={"stage": "dev"})
    client.untag_queue(QueueUrl=url, TagKeys=["team"])
    assert client.list_queue_tags(QueueUrl=url)["Tags"] == {"stage": "dev"}
    client.purge_queue(QueueUrl=url)
    refused("AWS.SimpleQueueService.PurgeQueueInProgress", 403, client.purge_queue, QueueUrl=url)
    for absent in (lambda: client.add_permission(QueueUrl=url, Label="l", AWSAccountIds=["1"], Actions=["*"]),
                   lambda: client.remove_permission(QueueUrl=url, Label="l")):
        e = refused("AWS.SimpleQueueService.UnsupportedOperation", 400, absent)
        assert e.operation_name in str(e), e

    line = client.create_queue(QueueName=name + ".fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    made.append(line)
    one = client.send_message(QueueUrl=line, MessageBody="1", MessageGroupId="g", MessageDeduplicationId="d")
    assert client.send_message(QueueUrl=line, MessageBody="1", MessageGroupId="g",
                               MessageDeduplicationId="d")["SequenceNumber"] == one["SequenceNumber"]
    got, = client.receive_message(QueueUrl=line, MaxNumberOfMessages=10, AttributeNames=["All"])["Messages"]
    assert got["Attributes"]["MessageGroupId"] == "g" and got["Attributes"]["SequenceNumber"] == one["SequenceNumber"], got
    refused("MissingParameter", 400, client.send_message, QueueUrl=line, MessageBody="1")

    # The JSON protocol, and who may.
    status, answer = ask_json("SendMessage", {"QueueUrl": url, "MessageBody": "by JSON"})
    assert status == 200 and answer["MD5OfMessageBody"] == hashlib.md5(b"by JSON").hexdigest(), answer
    got, = client.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
    assert got["Body"] == "by JSON", got
    if "HEARTH_FAKE_WORKER" in os.environ:  # that server believes signatures only
        status, answer = ask_json("ListQueues", {}, secret="wrong")
        assert (status, answer["__type"]) == (403, "com.amazon.coral.service#InvalidSignatureException"), answer
        status, answer = ask_json("ListQueues", {}, key="test-reader", secret="test-reader")
        assert (status, answer["__type"]) == (403, "com.amazon.coral.service#AccessDeniedException"), answer
        assert "sqs:ListQueues" in answer["message"], answer
        other = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test",
                             aws_secret_access_key="wrong", config=Config(retries={"max_attempts": 0}))
        refused("SignatureDoesNotMatch", 403, other.list_queues)

    # The CLI.
    cli = aws("create-queue", "--queue-name", name + "-cli", "--attributes", "VisibilityTimeout=50")["QueueUrl"]
    made.append(cli)
    aws("send-message", "--queue-url", cli, "--message-body", "from the CLI", "--message-attributes",
        '{"a": {"DataType": "String", "StringValue": "b"}}')
    got, = aws("receive-message", "--queue-url", cli, "--wait-time-seconds", "20", "--message-attribute-names", "All",
               "--attribute-names", "All")["Messages"]
    assert got["Body"] == "from the CLI" and got["MessageAttributes"]["a"]["StringValue"] == "b", got
    aws("delete-message", "--queue-url", cli, "--receipt-handle", got["ReceiptHandle"])
    counts = aws("get-queue-attributes", "--queue-url", cli, "--attribute-names", "All")["Attributes"]
    assert counts["ApproximateNumberOfMessages"] == counts["ApproximateNumberOfMessagesNotVisible"] == "0", counts
    assert "NonExistentQueue" in aws("get-queue-url", "--queue-name", "none", expect=1)
    operations = set(client.meta.service_model.operation_names) - {"DeleteQueue"}
    assert seen == operations, operations - seen
finally:
    for each in made:
        client.delete_queue(QueueUrl=each)
refused("AWS.SimpleQueueService.NonExistentQueue", 400, client.send_message, QueueUrl=url, MessageBody="x")
print("sqs: every operation of the model")
