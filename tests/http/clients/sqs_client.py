"""sqs_client.py ENDPOINT ZIP: drives the queues with boto3 and Debian's AWS CLI, which speak the query protocol, and with
the JSON protocol's requests, signed. Exits 77 (skipped) where they are not installed."""

import base64
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
    from botocore import xform_name
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.credentials import Credentials
    import model_check
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
seen = model_check.watch_query(client, "sqs")
seen_json = set()
refused = model_check.refused


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
            text = r.read()
            shape = client.meta.service_model.operation_model(operation).output_shape
            answer = json.loads(text or b"{}")
            if shape:
                model_check.check(shape, answer, operation, plain=True)
            else:
                assert not answer, (operation, answer)
            seen_json.add(operation)
            return r.status, answer
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
    attributes_json = {k: {n: base64.b64encode(v).decode() if n == "BinaryValue" else v for n, v in a.items()}
                       for k, a in attributes.items()}
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

    # Every error of the model that a request can bring about, in both protocols. Queues' names may be used again at once
    # here, ids have one form, and nobody waits for 120,000 messages in flight.
    never = {"QueueDeletedRecently", "InvalidIdFormat", "OverLimit"}
    spare = client.create_queue(QueueName=name + "-spare", Attributes={"VisibilityTimeout": "0"})["QueueUrl"]
    made.append(spare)
    client.purge_queue(QueueUrl=spare)
    client.send_message(QueueUrl=spare, MessageBody="x")
    in_sight = client.receive_message(QueueUrl=spare, WaitTimeSeconds=20)["Messages"][0]["ReceiptHandle"]
    entries = [{"Id": str(i), "MessageBody": "x"} for i in range(11)]
    wrong = [
        ("BatchEntryIdsNotDistinct", "SendMessageBatch", {"QueueUrl": spare, "Entries": entries[:1] * 2}),
        ("BatchRequestTooLong", "SendMessageBatch",
         {"QueueUrl": spare, "Entries": [dict(each, MessageBody="x" * 150_000) for each in entries[:2]]}),
        ("EmptyBatchRequest", "SendMessageBatch", {"QueueUrl": spare, "Entries": []}),
        ("InvalidAttributeName", "GetQueueAttributes", {"QueueUrl": spare, "AttributeNames": ["Nothing"]}),
        ("InvalidBatchEntryId", "SendMessageBatch", {"QueueUrl": spare, "Entries": [{"Id": "a b", "MessageBody": "x"}]}),
        ("InvalidMessageContents", "SendMessage", {"QueueUrl": spare, "MessageBody": "\ufffe"}),
        ("MessageNotInflight", "ChangeMessageVisibility",
         {"QueueUrl": spare, "ReceiptHandle": in_sight, "VisibilityTimeout": 0}),
        ("PurgeQueueInProgress", "PurgeQueue", {"QueueUrl": spare}),
        ("QueueDoesNotExist", "GetQueueUrl", {"QueueName": name + "-absent"}),
        ("QueueNameExists", "CreateQueue", {"QueueName": name + "-spare", "Attributes": {"VisibilityTimeout": "9"}}),
        ("ReceiptHandleIsInvalid", "DeleteMessage", {"QueueUrl": spare, "ReceiptHandle": "none"}),
        ("TooManyEntriesInBatchRequest", "SendMessageBatch", {"QueueUrl": spare, "Entries": entries}),
        ("UnsupportedOperation", "RemovePermission", {"QueueUrl": spare, "Label": "l"}),
    ]
    model = client.meta.service_model
    shapes = {each.name: each for each in model.error_shapes}
    assert {each for each, _, _ in wrong} | never == set(shapes), set(shapes) ^ ({each for each, _, _ in wrong} | never)
    for error, operation, request in wrong:
        status = shapes[error].metadata.get("error", {}).get("httpStatusCode", 400)
        refused(shapes[error].error_code, status, getattr(client, xform_name(operation)), **request)
        got, answer = ask_json(operation, request)
        assert (got, answer["__type"].rpartition("#")[2]) == (status if status != 403 else got, error), (got, answer)
        assert got in (400, 403) and answer["message"] and set(answer) == {"__type", "message"}, (got, answer)

    # Each operation in the JSON protocol too.
    other = ask_json("CreateQueue", {"QueueName": name + "-json", "Attributes": {"VisibilityTimeout": "30"}})[1]["QueueUrl"]
    for operation, request in [
            ("GetQueueUrl", {"QueueName": name + "-json"}), ("ListQueues", {"QueueNamePrefix": name}),
            ("GetQueueAttributes", {"QueueUrl": other, "AttributeNames": ["All"]}),
            ("SetQueueAttributes", {"QueueUrl": other, "Attributes": {"DelaySeconds": "0"}}),
            ("ListDeadLetterSourceQueues", {"QueueUrl": dead}), ("TagQueue", {"QueueUrl": other, "Tags": {"a": "b"}}),
            ("ListQueueTags", {"QueueUrl": other}), ("UntagQueue", {"QueueUrl": other, "TagKeys": ["a"]}),
            ("SendMessage", {"QueueUrl": other, "MessageBody": "1", "MessageAttributes": attributes_json}),
            ("SendMessageBatch", {"QueueUrl": other, "Entries": [
                {"Id": "a", "MessageBody": "2"}, {"Id": "b", "MessageBody": "3", "DelaySeconds": 901}]})]:
        assert ask_json(operation, request)[0] == 200, operation
    held = ask_json("ReceiveMessage", {"QueueUrl": other, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20,
                                       "AttributeNames": ["All"], "MessageAttributeNames": ["All"]})[1]["Messages"]
    assert [m["Body"] for m in held] == ["1", "2"] and held[0]["MessageAttributes"] == attributes_json, held
    one, two = ({"QueueUrl": other, "ReceiptHandle": m["ReceiptHandle"]} for m in held)
    for operation, request in [
            ("ChangeMessageVisibility", dict(one, VisibilityTimeout=60)),
            ("ChangeMessageVisibilityBatch", {"QueueUrl": other, "Entries": [
                {"Id": "a", "ReceiptHandle": two["ReceiptHandle"], "VisibilityTimeout": 60},
                {"Id": "b", "ReceiptHandle": "none", "VisibilityTimeout": 1}]}),
            ("DeleteMessage", one),
            ("DeleteMessageBatch", {"QueueUrl": other, "Entries": [{"Id": "a", "ReceiptHandle": two["ReceiptHandle"]},
                                                                   {"Id": "b", "ReceiptHandle": "none"}]}),
            ("PurgeQueue", {"QueueUrl": other}), ("DeleteQueue", {"QueueUrl": other})]:
        assert ask_json(operation, request)[0] == 200, operation
    unserved = {"AddPermission", "RemovePermission"}
    assert seen_json | unserved == set(model.operation_names), set(model.operation_names) - seen_json

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
