"""logs_client.py ENDPOINT ZIP: reads the logs that hearth_test_front wrote, with boto3, whose answers are held against
botocore's model, and with Debian's AWS CLI. Exits 77 (skipped) where they are not installed."""

import json
import os
import subprocess
import sys

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    import model_check
except ImportError:
    print("skipped: install python3-boto3")
    sys.exit(77)
CLI = "/usr/bin/aws"
if not os.access(CLI, os.X_OK):
    print("skipped: install awscli")
    sys.exit(77)

endpoint = sys.argv[1]
GROUP, FIRST = "/aws/lambda/hello", 1764244800000
A = "2025/11/27/[$LATEST]0000000000000000000000000000000a"
B = "2025/11/27/[1]0000000000000000000000000000000b"
LINES = [f"line {i} {'fine' if i % 10 else 'ERROR exit status 1'} café\n" for i in range(250)]


def connect(key):
    client = boto3.client("logs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=key,
                          aws_secret_access_key=key, config=Config(retries={"max_attempts": 0}))
    return client, model_check.watch(client, "logs")


client, seen = connect("test")


def refused(code, call, text="", **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        assert text in e.response["Error"]["Message"], e
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == 400, e
    else:
        raise AssertionError(f"{call} succeeded")


def equal(what, expected, got):
    assert expected == got, f"{what}: expected {expected!r:.400}, got {got!r:.400}"


def filtered(**arguments):
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=GROUP, **arguments)
    return [event for page in pages for event in page["events"]]


def messages(events):
    return [event["message"] for event in events]


def test_groups_and_streams():
    groups = client.describe_log_groups()["logGroups"]
    equal("groups", [GROUP, "/other"], [group["logGroupName"] for group in groups])
    equal("arn", f"arn:aws:logs:us-east-1:000000000000:log-group:{GROUP}:*", groups[0]["arn"])
    pages = client.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 1})
    equal("pages", [[GROUP], ["/other"]], [[g["logGroupName"] for g in page["logGroups"]] for page in pages])
    equal("prefix", 1, len(client.describe_log_groups(logGroupNamePrefix="/aws")["logGroups"]))
    equal("pattern", 1, len(client.describe_log_groups(logGroupNamePattern="oth")["logGroups"]))
    refused("InvalidParameterException", client.describe_log_groups, logGroupNamePrefix="a", logGroupNamePattern="b")
    refused("InvalidParameterException", client.describe_log_groups, "nextToken", nextToken="none")

    streams = client.describe_log_streams(logGroupName=GROUP)["logStreams"]
    equal("streams", [A, B], [stream["logStreamName"] for stream in streams])
    equal("first", FIRST, streams[0]["firstEventTimestamp"])
    equal("last", FIRST + 249000, streams[1]["lastEventTimestamp"])
    latest = client.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True, limit=1)
    equal("the latest", B, latest["logStreams"][0]["logStreamName"])
    following = client.describe_log_streams(logGroupName=GROUP, orderBy="LastEventTime", descending=True, limit=1,
                                            nextToken=latest["nextToken"])
    equal("the one before", A, following["logStreams"][0]["logStreamName"])
    assert "nextToken" not in following
    equal("prefix", 1, len(client.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=B[:13])["logStreams"]))
    refused("ResourceNotFoundException", client.describe_log_streams, logGroupName="/aws/lambda/absent")


def test_get_log_events():
    arguments = dict(logGroupName=GROUP, logStreamName=A, limit=50)
    page = client.get_log_events(**arguments)
    equal("the last ones", LINES[150::2], messages(page["events"]))
    back = client.get_log_events(nextToken=page["nextBackwardToken"], **arguments)
    equal("those before", LINES[50:150:2], messages(back["events"]))
    equal("and back", LINES[150::2],
          messages(client.get_log_events(nextToken=back["nextForwardToken"], **arguments)["events"]))
    first = client.get_log_events(nextToken=back["nextBackwardToken"], **arguments)
    equal("the first ones", LINES[0:50:2], messages(first["events"]))
    edge = client.get_log_events(nextToken=first["nextBackwardToken"], **arguments)
    equal("before all", ([], first["nextBackwardToken"]), (edge["events"], edge["nextBackwardToken"]))

    read, token = [], None
    while True:
        page = client.get_log_events(startFromHead=True, **arguments, **({"nextToken": token} if token else {}))
        read += messages(page["events"])
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    equal("from the head", LINES[::2], read)
    page = client.get_log_events(logGroupName=GROUP, logStreamName=A, startTime=FIRST + 2000, endTime=FIRST + 6000)
    equal("between", [LINES[2], LINES[4]], messages(page["events"]))
    refused("ResourceNotFoundException", client.get_log_events, "stream", logGroupName=GROUP, logStreamName="absent")
    refused("ResourceNotFoundException", client.get_log_events, "group", logGroupName="absent", logStreamName="absent")
    refused("InvalidParameterException", client.get_log_events, "nextToken", nextToken="x/1", **arguments)


def test_filter_log_events():
    equal("all", LINES, messages(filtered()))
    equal("in pages", LINES, messages(filtered(PaginationConfig={"PageSize": 33})))
    events = filtered(filterPattern='ERROR "exit status"')
    equal("errors", LINES[::10], messages(events))
    equal("times", [FIRST + i * 10000 for i in range(25)], [event["timestamp"] for event in events])
    equal("ids", 25, len({event["eventId"] for event in events}))
    equal("excluded", 225, len(filtered(filterPattern="line -ERROR")))
    equal("either", [LINES[0], LINES[7]], messages(filtered(filterPattern='?"line 0" ?"line 7 "')))
    equal("a stream", LINES[1::2], messages(filtered(logStreamNames=[B])))
    equal("a prefix", LINES[::2], messages(filtered(logStreamNamePrefix="2025/11/27/[$LATEST]")))
    equal("from to", LINES[3:6], messages(filtered(startTime=FIRST + 3000, endTime=FIRST + 5000)))
    for pattern, text in (("{ $.level = ERROR }", "JSON patterns"), ("[a, b]", "columns"), ("%e.*%", "regular"),
                          ('"open', "quote"), ("a.b", "double quotes")):
        refused("InvalidParameterException", client.filter_log_events, text, logGroupName=GROUP, filterPattern=pattern)
    refused("InvalidParameterException", client.filter_log_events, logGroupName=GROUP, logStreamNames=[A],
            logStreamNamePrefix="x")
    refused("UnknownOperationException", client.delete_log_group, "DeleteLogGroup", logGroupName=GROUP)


def test_keys():
    limited, _ = connect("test-reader")
    equal("allowed", 1, len(limited.filter_log_events(logGroupName=GROUP, limit=1)["events"]))
    for call, arguments in ((limited.filter_log_events, {"logGroupName": "/other"}),
                            (limited.get_log_events, {"logGroupName": GROUP, "logStreamName": A}),
                            (limited.describe_log_groups, {})):
        refused("AccessDeniedException", call, "user/reader is not authorized to perform: logs:", **arguments)
    unknown, _ = connect("nobody")
    refused("UnrecognizedClientException", unknown.describe_log_groups)


def aws(*arguments):
    env = {**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
           "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
           "AWS_EC2_METADATA_DISABLED": "true", "PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8"}
    done = subprocess.run([CLI, "--endpoint-url", endpoint, "logs", *arguments], capture_output=True, text=True, env=env,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_cli():
    since = ["--since", "2025-11-27T12:00:00Z", "--format", "short"]
    lines = aws("tail", GROUP, *since).splitlines()
    equal("tail", ["2025-11-27T12:00:00 line 0 ERROR exit status 1 café", 250], [lines[0], len(lines)])
    equal("tail filtered", 25, len(aws("tail", GROUP, *since, "--filter-pattern", "ERROR").splitlines()))
    streams = json.loads(aws("describe-log-streams", "--log-group-name", GROUP, "--output", "json"))
    equal("describe-log-streams", [A, B], [stream["logStreamName"] for stream in streams["logStreams"]])


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
equal("operations", {"DescribeLogGroups", "DescribeLogStreams", "GetLogEvents", "FilterLogEvents", "DeleteLogGroup"}, seen)
print("logs: all passed")
