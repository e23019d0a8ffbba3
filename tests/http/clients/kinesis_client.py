"""kinesis_client.py ENDPOINT ZIP: drives the streams with boto3 and Debian's AWS CLI, every answer checked against botocore's
model. Exits 77 (skipped) where they are not installed."""

import base64
import datetime
import hashlib
import json
import os
import subprocess
import sys
import uuid

try:
    import boto3
    from botocore.config import Config

    import model_check
except ImportError:
    print("skipped: install python3-boto3")
    sys.exit(77)
if not os.path.exists("/usr/bin/aws"):
    print("skipped: install awscli")
    sys.exit(77)

endpoint = sys.argv[1]
keys = dict(aws_access_key_id="test", aws_secret_access_key="test")
client = boto3.client("kinesis", endpoint_url=endpoint, region_name="us-east-1", config=Config(retries={"max_attempts": 0}), **keys)
name = "kinesis-" + uuid.uuid4().hex[:8]
seen = model_check.watch(client, "kinesis")


def refused(code, call, **kwargs):
    return model_check.refused(code, 400, call, **kwargs)


def aws(*words, expect=0):
    run = subprocess.run(["/usr/bin/aws", "--endpoint-url", endpoint, "--output", "json", "kinesis", *words], capture_output=True,
                         text=True, env=dict(os.environ, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test",
                                             AWS_DEFAULT_REGION="us-east-1", AWS_PAGER="", AWS_CONFIG_FILE="/dev/null",
                                             AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true"))
    assert (run.returncode == 0) == (expect == 0), (words, run.stderr, run.stdout)
    return json.loads(run.stdout) if run.stdout.strip() else run.stderr


def shard_of(key, shards):
    """By the algorithm that AWS documents."""
    n = int.from_bytes(hashlib.md5(key.encode()).digest(), "big")
    return next(s["ShardId"] for s in shards if "EndingSequenceNumber" not in s["SequenceNumberRange"] and
                int(s["HashKeyRange"]["StartingHashKey"]) <= n <= int(s["HashKeyRange"]["EndingHashKey"]))


def is_recent(time):
    return abs(time.timestamp() - datetime.datetime.now().timestamp()) < 3600


def read(shard, **start):
    """All there is in a shard."""
    at = client.get_shard_iterator(StreamName=name, ShardId=shard, **(start or {"ShardIteratorType": "TRIM_HORIZON"}))
    at, records = at["ShardIterator"], []
    while at:
        page = client.get_records(ShardIterator=at, Limit=7)
        records += page["Records"]
        assert all(is_recent(r["ApproximateArrivalTimestamp"]) for r in page["Records"]), page
        at = page.get("NextShardIterator")
        if page["MillisBehindLatest"] == 0:
            return records, page
    return records, page


made = []
try:
    client.create_stream(StreamName=name, ShardCount=3)
    made.append(name)
    client.get_waiter("stream_exists").wait(StreamName=name)
    refused("ResourceInUseException", client.create_stream, StreamName=name, ShardCount=1)
    refused("ResourceNotFoundException", client.describe_stream, StreamName="none")
    refused("InvalidArgumentException", client.create_stream, StreamName=name + "-x")
    description = client.describe_stream(StreamName=name)["StreamDescription"]
    assert description["StreamARN"] == f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}", description
    assert is_recent(description["StreamCreationTimestamp"]), description
    assert description["RetentionPeriodHours"] == 24 and not description["HasMoreShards"], description
    assert client.describe_stream(StreamName=name, Limit=2)["StreamDescription"]["HasMoreShards"]
    shards = client.list_shards(StreamName=name)["Shards"]
    assert shards == description["Shards"] and len(shards) == 3, shards
    assert [s["HashKeyRange"]["EndingHashKey"] for s in shards][::2] == [
        "113427455640312821154458202477256070484", str(2 ** 128 - 1)], shards
    limits = client.describe_limits()
    assert limits["OpenShardCount"] >= 3, limits

    # Records: each in its shard, in order.
    put, bytes_of = {}, {}
    for i in range(12):
        key = f"schlüssel-{i % 4}"
        stored = client.put_record(StreamName=name, PartitionKey=key, Data=bytes([i, 0, 255]))
        assert stored["ShardId"] == shard_of(key, shards), stored
        put.setdefault(stored["ShardId"], []).append((stored["SequenceNumber"], bytes([i, 0, 255]), key))
    many = client.put_records(StreamName=name, Records=[
        dict(Data=b"batch %d" % i, PartitionKey=f"k{i}", **({"ExplicitHashKey": "0"} if i % 2 else {})) for i in range(20)])
    assert many["FailedRecordCount"] == 0 and len(many["Records"]) == 20, many
    for i, stored in enumerate(many["Records"]):
        assert stored["ShardId"] == (shards[0]["ShardId"] if i % 2 else shard_of(f"k{i}", shards)), stored
        put.setdefault(stored["ShardId"], []).append((stored["SequenceNumber"], b"batch %d" % i, f"k{i}"))
    for s in shards:
        records, _ = read(s["ShardId"])
        got = [(r["SequenceNumber"], r["Data"], r["PartitionKey"]) for r in records]
        assert got == put.get(s["ShardId"], []), (got, put)
        assert [int(r[0]) for r in got] == sorted(int(r[0]) for r in got)
    first = shards[0]["ShardId"]
    numbers = [n for n, _, _ in put[first]]
    since = lambda **start: [r["SequenceNumber"] for r in read(first, **start)[0]]
    assert since(ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[3]) == numbers[3:]
    assert since(ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[3]) == numbers[4:]
    assert since(ShardIteratorType="LATEST") == []
    assert since(ShardIteratorType="AT_TIMESTAMP", Timestamp=datetime.datetime(2020, 1, 1)) == numbers
    refused("InvalidArgumentException", client.get_shard_iterator, StreamName=name, ShardId=first,
            ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber="1")
    refused("ResourceNotFoundException", client.get_shard_iterator, StreamName=name, ShardId="shardId-000000000099",
            ShardIteratorType="LATEST")
    later = client.put_record(StreamName=name, PartitionKey="x", Data=b"", ExplicitHashKey="0", SequenceNumberForOrdering=numbers[-1])
    assert int(later["SequenceNumber"]) > int(numbers[-1])
    refused("InvalidArgumentException", client.put_record, StreamName=name, PartitionKey="x", Data=b"x" * (2 ** 20 + 1))

    # Shards are split and merged.
    client.split_shard(StreamName=name, ShardToSplit=first, NewStartingHashKey="1000")
    records, end = read(first)
    assert "NextShardIterator" not in end and [c["ShardId"] for c in end["ChildShards"]] == [
        "shardId-000000000003", "shardId-000000000004"], end
    client.merge_shards(StreamName=name, ShardToMerge="shardId-000000000004", AdjacentShardToMerge=shards[1]["ShardId"])
    page = client.list_shards(StreamName=name, MaxResults=4)
    # As AWS says it, though botocore's paginator of 1.29 does just that.
    refused("InvalidArgumentException", client.list_shards, StreamName=name, NextToken=page["NextToken"])
    rest = client.list_shards(NextToken=page["NextToken"])
    assert len(page["Shards"]) == 4 and "NextToken" not in rest, (page, rest)
    paged = [s["ShardId"] for s in page["Shards"] + rest["Shards"]]
    assert paged == [f"shardId-{i:012}" for i in range(6)], paged
    is_open = client.list_shards(StreamName=name, ShardFilter={"Type": "AT_LATEST"})["Shards"]
    assert [s["ShardId"][-1] for s in is_open] == ["2", "3", "5"], is_open
    assert client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["OpenShardCount"] == 3

    client.increase_stream_retention_period(StreamName=name, RetentionPeriodHours=48)
    refused("InvalidArgumentException", client.increase_stream_retention_period, StreamName=name, RetentionPeriodHours=24)
    client.decrease_stream_retention_period(StreamName=name, RetentionPeriodHours=30)
    client.update_stream_mode(StreamARN=description["StreamARN"], StreamModeDetails={"StreamMode": "ON_DEMAND"})
    summary = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]
    assert is_recent(summary["StreamCreationTimestamp"]), summary
    assert summary["RetentionPeriodHours"] == 30 and summary["StreamModeDetails"]["StreamMode"] == "ON_DEMAND", summary
    client.add_tags_to_stream(StreamName=name, Tags={"a": "1", "b": "2", "c": ""})
    client.remove_tags_from_stream(StreamName=name, TagKeys=["b"])
    tags = client.list_tags_for_stream(StreamName=name, Limit=1)
    assert tags["Tags"] == [{"Key": "a", "Value": "1"}] and tags["HasMoreTags"], tags
    tags = client.list_tags_for_stream(StreamName=name, ExclusiveStartTagKey="a")
    assert tags["Tags"] == [{"Key": "c", "Value": ""}] and not tags["HasMoreTags"], tags
    refused("ValidationException", client.update_shard_count, StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    client.update_stream_mode(StreamARN=description["StreamARN"], StreamModeDetails={"StreamMode": "PROVISIONED"})
    shards = client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["OpenShardCount"]
    counted = client.update_shard_count(StreamName=name, TargetShardCount=2 * shards, ScalingType="UNIFORM_SCALING")
    assert (counted["StreamName"], counted["CurrentShardCount"], counted["TargetShardCount"]) == (name, shards, 2 * shards), counted
    assert client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["OpenShardCount"] == 2 * shards
    refused("LimitExceededException", client.update_shard_count, StreamName=name, TargetShardCount=4 * shards + 1,
            ScalingType="UNIFORM_SCALING")
    refused("UnknownOperationException", client.disable_enhanced_monitoring, StreamName=name, ShardLevelMetrics=["ALL"])

    # Registered consumers, and their subscriptions.
    arn = description["StreamARN"]
    one = client.register_stream_consumer(StreamARN=arn, ConsumerName="one")["Consumer"]
    assert is_recent(one["ConsumerCreationTimestamp"]) and one["ConsumerStatus"] == "ACTIVE", one
    refused("ResourceInUseException", client.register_stream_consumer, StreamARN=arn, ConsumerName="one")
    refused("ResourceNotFoundException", client.register_stream_consumer, StreamARN=arn + "-none", ConsumerName="one")
    for i in range(19):
        client.register_stream_consumer(StreamARN=arn, ConsumerName=f"more-{i}")
    refused("LimitExceededException", client.register_stream_consumer, StreamARN=arn, ConsumerName="too-many")
    assert client.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["ConsumerCount"] == 20
    described = client.describe_stream_consumer(StreamARN=arn, ConsumerName="one")["ConsumerDescription"]
    assert described == one | {"StreamARN": arn}, described
    assert client.describe_stream_consumer(ConsumerARN=one["ConsumerARN"])["ConsumerDescription"] == described
    refused("ResourceNotFoundException", client.describe_stream_consumer, StreamARN=arn, ConsumerName="none")
    pages = list(client.get_paginator("list_stream_consumers").paginate(StreamARN=arn, PaginationConfig={"PageSize": 7}))
    assert [len(p["Consumers"]) for p in pages] == [7, 7, 6] and one in pages[2]["Consumers"], pages
    refused("InvalidArgumentException", client.list_stream_consumers, StreamARN=arn, NextToken="x")
    refused("ResourceInUseException", client.delete_stream, StreamName=name)
    shard = client.list_shards(StreamName=name, ShardFilter={"Type": "AT_LATEST"})["Shards"][0]
    key = shard["HashKeyRange"]["StartingHashKey"]

    def subscribe(events, **start):
        """The first events with records, or the last of the shard's, and where it goes on."""
        stream = client.subscribe_to_shard(ConsumerARN=one["ConsumerARN"], ShardId=shard["ShardId"], StartingPosition=start)["EventStream"]
        data, last = [], None
        for event in stream:
            last = event["SubscribeToShardEvent"]
            data += [r["Data"] for r in last["Records"]]
            if len(data) >= events or last.get("ChildShards"):
                break
        stream.close()
        return data, last

    client.put_record(StreamName=name, PartitionKey="x", Data=b"first", ExplicitHashKey=key)
    got, event = subscribe(1, Type="TRIM_HORIZON")
    assert got == [b"first"] and event["MillisBehindLatest"] == 0 and is_recent(event["Records"][0]["ApproximateArrivalTimestamp"]), event
    assert event["ContinuationSequenceNumber"] == event["Records"][-1]["SequenceNumber"], event
    live = client.subscribe_to_shard(ConsumerARN=one["ConsumerARN"], ShardId=shard["ShardId"], StartingPosition={"Type": "LATEST"})["EventStream"]
    client.put_record(StreamName=name, PartitionKey="x", Data=b"second", ExplicitHashKey=key)
    pushed = next(e["SubscribeToShardEvent"]["Records"] for e in live if e["SubscribeToShardEvent"]["Records"])
    assert [r["Data"] for r in pushed] == [b"second"], pushed
    live.close()
    got, _ = subscribe(1, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=event["ContinuationSequenceNumber"])
    assert got == [b"second"], got
    middle = str((int(key) + int(shard["HashKeyRange"]["EndingHashKey"])) // 2)
    client.split_shard(StreamName=name, ShardToSplit=shard["ShardId"], NewStartingHashKey=middle)
    got, event = subscribe(3, Type="TRIM_HORIZON")
    assert got == [b"first", b"second"] and [c["ParentShards"] for c in event["ChildShards"]] == [[shard["ShardId"]]] * 2, event
    refused("ResourceNotFoundException", client.subscribe_to_shard, ConsumerARN=one["ConsumerARN"] + "0", ShardId=shard["ShardId"],
            StartingPosition={"Type": "LATEST"})
    listed = aws("list-stream-consumers", "--stream-arn", arn)["Consumers"]
    assert len(listed) == 20 and one["ConsumerARN"] in [c["ConsumerARN"] for c in listed], listed
    aws("deregister-stream-consumer", "--stream-arn", arn, "--consumer-name", "more-0")
    client.deregister_stream_consumer(ConsumerARN=one["ConsumerARN"])
    refused("ResourceNotFoundException", client.deregister_stream_consumer, ConsumerARN=one["ConsumerARN"])

    # The CLI.
    aws("create-stream", "--stream-name", name + "-cli", "--shard-count", "1")
    made.append(name + "-cli")
    names = [n for page in client.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 1}) for n in page["StreamNames"]]
    assert {name, name + "-cli"} <= set(names) and names == sorted(names), names
    stored = aws("put-record", "--stream-name", name + "-cli", "--partition-key", "k", "--data", base64.b64encode(b"hi").decode())
    at = aws("get-shard-iterator", "--stream-name", name + "-cli", "--shard-id", stored["ShardId"], "--shard-iterator-type", "TRIM_HORIZON")
    got = aws("get-records", "--shard-iterator", at["ShardIterator"])["Records"]
    assert [base64.b64decode(r["Data"]) for r in got] == [b"hi"] and got[0]["SequenceNumber"] == stored["SequenceNumber"], got
    assert "ResourceNotFoundException" in aws("describe-stream", "--stream-name", "none", expect=1)
    aws("delete-stream", "--stream-name", name + "-cli")
    made.remove(name + "-cli")
finally:
    for each in made:
        client.delete_stream(StreamName=each, EnforceConsumerDeletion=True)
refused("ResourceNotFoundException", client.describe_stream, StreamName=name)

wanted = {"AddTagsToStream", "CreateStream", "DecreaseStreamRetentionPeriod", "DeleteStream", "DescribeLimits", "DescribeStream",
          "DeregisterStreamConsumer", "DescribeStreamConsumer", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "IncreaseStreamRetentionPeriod", "ListShards", "ListStreamConsumers", "ListStreams",
          "ListTagsForStream", "MergeShards", "PutRecord", "PutRecords", "RegisterStreamConsumer", "RemoveTagsFromStream",
          "SplitShard", "SubscribeToShard", "UpdateShardCount",
          "UpdateStreamMode"}
assert wanted <= seen, wanted - seen
print("every operation agrees with botocore's model")
