"""boto3_client.py ENDPOINT ZIP: drives a Lambda endpoint with boto3. ZIP holds a function that answers with its event.
Exits 77 (skipped) where boto3 is not installed."""

import base64
import datetime
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
import zipfile

try:
    import boto3
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.credentials import Credentials

    import model_check
except ImportError:
    print("skipped: install python3-boto3")
    sys.exit(77)

endpoint, zip_path = sys.argv[1:3]
fake = "HEARTH_FAKE_WORKER" in os.environ  # no limits, no environments
client = boto3.client("lambda", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test",
                      aws_secret_access_key="test", config=Config(retries={"max_attempts": 0}))
seen = model_check.watch(client)
name = "boto3-" + uuid.uuid4().hex[:8]
role = "arn:aws:iam::000000000000:role/any"
code = open(zip_path, "rb").read()


def create(function_name=name, **changes):
    arguments = dict(FunctionName=function_name, Runtime="provided.al2023", Handler="bootstrap", Role=role,
                     Code={"ZipFile": code}, Timeout=10)
    arguments.update(changes)
    return client.create_function(**{k: v for k, v in arguments.items() if v is not None})


refused = model_check.refused


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for file, content in files.items():
            z.writestr(file, content)
    return out.getvalue()


try:
    made = create(Description="d", MemorySize=512, Environment={"Variables": {"STAGE": "test"}}, Tags={"team": "a"},
                  EphemeralStorage={"Size": 1024}, TracingConfig={"Mode": "Active"},
                  VpcConfig={"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
                  DeadLetterConfig={"TargetArn": "arn:aws:s3:::letters"})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    arn = made["FunctionArn"]
    assert arn == f"arn:aws:lambda:us-east-1:000000000000:function:{name}", arn
    assert made["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    assert made["CodeSize"] == len(code) and made["State"] in ("Pending", "Active")
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    client.get_waiter("function_exists").wait(FunctionName=name)

    got = client.get_function(FunctionName=name)
    c = got["Configuration"]
    assert (c["State"], c["LastUpdateStatus"], c["Version"], c["PackageType"], c["Architectures"]) == \
        ("Active", "Successful", "$LATEST", "Zip", ["x86_64"]), c
    assert (c["MemorySize"], c["Timeout"], c["EphemeralStorage"], c["Description"]) == (512, 10, {"Size": 1024}, "d"), c
    assert c["Environment"]["Variables"] == {"STAGE": "test"} and got["Tags"] == {"team": "a"}
    assert c["TracingConfig"] == {"Mode": "Active"} and c["VpcConfig"]["SubnetIds"] == ["subnet-1"]
    assert c["DeadLetterConfig"]["TargetArn"] == "arn:aws:s3:::letters"
    assert urllib.request.urlopen(got["Code"]["Location"]).read() == code

    # Names.
    account = arn.split(":")[4]
    for other in (arn, f"{account}:function:{name}", f"{name}:$LATEST", arn + ":$LATEST"):
        assert client.get_function_configuration(FunctionName=other)["FunctionName"] == name, other
    assert client.get_function(FunctionName=name, Qualifier="$LATEST")["Configuration"]["FunctionArn"] == arn + ":$LATEST"
    refused("ResourceNotFoundException", 404, client.get_function, FunctionName=name, Qualifier="7", text=name + ":7")
    refused("ResourceNotFoundException", 404, client.get_function, FunctionName=name + "-absent",
            text=f"Function not found: {arn}-absent")

    # Invoke.
    event = json.dumps({"text": "grüße \U0001f600", "list": list(range(1000))}).encode()
    r = client.invoke(FunctionName=arn, Payload=event, LogType="Tail",
                      ClientContext=base64.b64encode(b'{"custom":{"k":"v"}}').decode())
    assert r["StatusCode"] == 200 and r["ExecutedVersion"] == "$LATEST" and "FunctionError" not in r, r
    assert json.loads(r["Payload"].read()) == json.loads(event)
    log = base64.b64decode(r["LogResult"]).decode()
    assert log.startswith("START RequestId: " + r["ResponseMetadata"]["RequestId"]), log
    assert client.invoke(FunctionName=name)["Payload"].read() == b"{}"
    assert client.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    big = json.dumps("x" * (6 * 1024 * 1024 - 2)).encode()
    assert len(big) == 6 * 1024 * 1024
    assert client.invoke(FunctionName=name, Payload=big)["Payload"].read() == big
    refused("RequestTooLargeException", 413, client.invoke, FunctionName=name, Payload=big + b" ", text="6291456")
    refused("InvalidRequestContentException", 400, client.invoke, FunctionName=name, Payload=b"{nonsense",
            text="Could not parse request body into json")
    refused("InvalidRequestContentException", 400, client.invoke, FunctionName=name, ClientContext="!!!")
    # Events: accepted, and delivered in the background.
    r = client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"e": 1}')
    assert r["StatusCode"] == 202 and r["Payload"].read() == b"" and "FunctionError" not in r, r
    assert client.invoke_async(FunctionName=name, InvokeArgs=b'{"e": 2}')["Status"] == 202
    refused("RequestEntityTooLargeException", 413, client.invoke, FunctionName=name, InvocationType="Event",
            Payload=b'"' + b"x" * (1 << 20) + b'"', text="1048578 byte payload is too large for the Event invocation type")
    refused("InvalidRequestContentException", 400, client.invoke, FunctionName=name, InvocationType="Event", Payload=b"{")
    refused("ResourceNotFoundException", 404, client.invoke, FunctionName=name + "-absent", InvocationType="Event")
    refused("ResourceNotFoundException", 404, client.invoke_async, FunctionName=name + "-absent", InvokeArgs=b"{}")
    for _ in range(1000):
        page = urllib.request.urlopen(urllib.request.Request(
            endpoint + "/metrics", headers={"Authorization": "Basic dGVzdDp0ZXN0"})).read().decode()
        if "\nhearth_async_events_queued 0\n" in page:
            break
        time.sleep(0.05)
    assert "\nhearth_async_events_queued 0\n" in page, page
    assert f'\nhearth_async_events_received_total{{function="{name}"}} 2\n' in page, page
    assert f'\nhearth_async_events_dropped_total{{function="{name}"}} 0\n' in page, page
    refused("ResourceNotFoundException", 404, client.invoke, FunctionName=name, Qualifier="live")

    # Refused creations.
    refused("ResourceConflictException", 409, create, text="already exist")
    refused("ValidationException", 400, create, "a b", text="at 'functionName'")
    refused("ValidationException", 400, create, name + "x", Timeout=901, text="less than or equal to 900")
    refused("ValidationException", 400, create, name + "x", MemorySize=20000, text="10240")
    refused("InvalidParameterValueException", 400, create, name + "x", Runtime="python3.8", text="The runtime python3.8 is not on this host")
    refused("InvalidParameterValueException", 400, create, name + "x", Handler=None, text="mandatory")
    refused("InvalidParameterValueException", 400, create, name + "x", Architectures=["arm64"], text="arm64")
    refused("InvalidParameterValueException", 400, create, name + "x", Code={"S3Bucket": "abc", "S3Key": "k"}, text="S3")
    refused("InvalidParameterValueException", 400, create, name + "x", PackageType="Image", Runtime=None, Handler=None,
            Code={"ImageUri": "x"}, text="Image")
    refused("InvalidParameterValueException", 400, create, name + "x", text="4KB",
            Environment={"Variables": {"BIG": "x" * 4096}})
    for bad in (b"no zip", code[:-10], zip_of({"../evil": "x"}), zip_of({"/etc/passwd": "x"})):
        refused("InvalidParameterValueException", 400, create, name + "x", Code={"ZipFile": bad},
                text="Could not unzip uploaded file")

    # A package that cannot start: Pending, then Failed with the reason.
    broken = name + "-broken"
    create(broken, Code={"ZipFile": zip_of({"main.py": "x"})})
    try:
        try:
            client.get_waiter("function_active_v2").wait(FunctionName=broken)
            raise AssertionError("a package without bootstrap became Active")
        except Exception as e:
            assert "terminal failure" in str(e), e
        c = client.get_function_configuration(FunctionName=broken)
        assert c["State"] == "Failed" and "bootstrap" in c["StateReason"], c
        assert c["StateReasonCode"] == "FunctionError.InvalidEntryPoint", c
        refused("ResourceConflictException", 409, client.invoke, FunctionName=broken, text="Failed")
    finally:
        client.delete_function(FunctionName=broken)

    # Updates.
    revision = client.get_function_configuration(FunctionName=name)["RevisionId"]
    client.update_function_configuration(FunctionName=name, Timeout=20, Environment={"Variables": {"STAGE": "two"}},
                                         RevisionId=revision)
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    c = client.get_function_configuration(FunctionName=name)
    assert (c["Timeout"], c["MemorySize"], c["Environment"]["Variables"]) == (20, 512, {"STAGE": "two"}), c
    refused("PreconditionFailedException", 412, client.update_function_configuration, FunctionName=name, Timeout=5,
            RevisionId=revision, text="RevisionId")
    dry = client.update_function_code(FunctionName=name, ZipFile=code, DryRun=True)
    assert dry["RevisionId"] == c["RevisionId"]
    client.update_function_code(FunctionName=name, ZipFile=code)
    client.get_waiter("function_updated").wait(FunctionName=name, WaiterConfig={"Delay": 1})

    # Listing.
    listed = [f["FunctionName"] for page in client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 1})
              for f in page["Functions"]]
    assert name in listed and listed == sorted(listed), listed
    settings = client.get_account_settings()
    assert settings["AccountUsage"]["FunctionCount"] == len(listed)
    assert settings["AccountLimit"]["CodeSizeZipped"] == 52428800

    # Versions.
    latest = client.get_function_configuration(FunctionName=name)
    one = client.publish_version(FunctionName=name, Description="one", CodeSha256=latest["CodeSha256"],
                                 RevisionId=latest["RevisionId"])
    assert (one["Version"], one["FunctionArn"], one["Description"]) == ("1", arn + ":1", "one"), one
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="1", WaiterConfig={"Delay": 1})
    assert client.publish_version(FunctionName=name)["Version"] == "1"  # nothing has changed
    refused("InvalidParameterValueException", 400, client.publish_version, FunctionName=name, CodeSha256="x", text="$LATEST")
    refused("PreconditionFailedException", 412, client.publish_version, FunctionName=name, RevisionId="x")
    client.update_function_configuration(FunctionName=name, Description="changed", Timeout=30)
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    two = client.update_function_code(FunctionName=name, ZipFile=code, Publish=True)
    assert (two["Version"], two["FunctionArn"], two["Timeout"]) == ("2", arn + ":2", 30), two
    client.get_waiter("published_version_active").wait(FunctionName=name, Qualifier="2", WaiterConfig={"Delay": 1})
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    listed = [v for page in client.get_paginator("list_versions_by_function").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}) for v in page["Versions"]]
    assert [(v["Version"], v["Timeout"]) for v in listed] == [("$LATEST", 30), ("1", 20), ("2", 30)], listed
    assert [v["FunctionArn"] for v in listed] == [arn + ":$LATEST", arn + ":1", arn + ":2"]
    every = [f["FunctionArn"] for page in client.get_paginator("list_functions").paginate(FunctionVersion="ALL")
             for f in page["Functions"] if f["FunctionName"] == name]
    assert every == [arn + ":$LATEST", arn + ":1", arn + ":2"], every
    got = client.get_function(FunctionName=arn + ":1")
    assert (got["Configuration"]["Version"], got["Configuration"]["FunctionArn"]) == ("1", arn + ":1"), got
    assert urllib.request.urlopen(got["Code"]["Location"]).read() == code
    r = client.invoke(FunctionName=name, Qualifier="1", Payload=b"1", LogType="Tail")
    assert (r["ExecutedVersion"], r["Payload"].read()) == ("1", b"1"), r
    assert "Version: 1\n" in base64.b64decode(r["LogResult"]).decode()
    refused("InvalidParameterValueException", 400, client.update_function_code, FunctionName=arn + ":1", ZipFile=code)

    # Aliases.
    live = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="d",
                               RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}})
    assert (live["AliasArn"], live["FunctionVersion"]) == (arn + ":live", "1"), live
    assert live["RoutingConfig"]["AdditionalVersionWeights"] == {"2": 0.5}, live
    got = client.get_alias(FunctionName=name, Name="live")
    assert {k: got[k] for k in live if k != "ResponseMetadata"} == {k: v for k, v in live.items() if k != "ResponseMetadata"}
    ran = [client.invoke(FunctionName=arn + ":live", Payload=b"1")["ExecutedVersion"] for _ in range(60)]
    assert set(ran) == {"1", "2"}, ran  # either alone: one in 2^59
    c = client.get_function_configuration(FunctionName=name, Qualifier="live")
    assert (c["FunctionArn"], c["Version"]) == (arn + ":live", "1"), c
    refused("ResourceConflictException", 409, client.create_alias, FunctionName=name, Name="live", FunctionVersion="1",
            text=arn + ":live")
    refused("ValidationException", 400, client.create_alias, FunctionName=name, Name="7", FunctionVersion="1", text="'name'")
    refused("ResourceNotFoundException", 404, client.create_alias, FunctionName=name, Name="x", FunctionVersion="9")
    refused("InvalidParameterValueException", 400, client.create_alias, FunctionName=name, Name="x", FunctionVersion="1",
            RoutingConfig={"AdditionalVersionWeights": {"1": 0.5}}, text="already included")
    refused("ResourceConflictException", 409, client.delete_function, FunctionName=name, Qualifier="2", text="[live]")
    refused("PreconditionFailedException", 412, client.update_alias, FunctionName=name, Name="live", RevisionId="x")
    live = client.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig={},
                               RevisionId=live["RevisionId"])
    assert live["FunctionVersion"] == "2" and "RoutingConfig" not in live, live
    assert client.invoke(FunctionName=name, Qualifier="live")["ExecutedVersion"] == "2"
    client.create_alias(FunctionName=name, Name="another", FunctionVersion="$LATEST")
    listed = [a["Name"] for page in client.get_paginator("list_aliases").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}) for a in page["Aliases"]]
    assert listed == ["another", "live"], listed
    assert [a["Name"] for a in client.list_aliases(FunctionName=name, FunctionVersion="2")["Aliases"]] == ["live"]
    # Concurrency.
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)
    assert client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)["ReservedConcurrentExecutions"] == 0
    if not fake:
        e = refused("TooManyRequestsException", 429, client.invoke, FunctionName=name)
        assert e.response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded", e.response
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=50)
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 50}
    assert client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"] == 950
    assert client.invoke(FunctionName=name)["StatusCode"] == 200
    refused("InvalidParameterValueException", 400, client.put_function_concurrency, FunctionName=name,
            ReservedConcurrentExecutions=901, text="below its minimum value of [100]")
    given = client.put_provisioned_concurrency_config(FunctionName=name, Qualifier="live", ProvisionedConcurrentExecutions=2)
    assert (given["Status"], given["RequestedProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 2), given
    for _ in range(200):
        given = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
        if given["Status"] != "IN_PROGRESS":
            break
        time.sleep(0.05)
    assert (given["Status"], given["AvailableProvisionedConcurrentExecutions"]) == ("READY", 2), given
    assert client.invoke(FunctionName=name, Qualifier="live", Payload=b"3")["Payload"].read() == b"3"
    listed = client.list_provisioned_concurrency_configs(FunctionName=name)["ProvisionedConcurrencyConfigs"]
    assert [each["FunctionArn"] for each in listed] == [arn + ":live"], listed
    refused("InvalidParameterValueException", 400, client.put_provisioned_concurrency_config, FunctionName=name,
            Qualifier="$LATEST", ProvisionedConcurrentExecutions=2, text="unpublished")
    refused("ResourceConflictException", 409, client.put_provisioned_concurrency_config, FunctionName=name,
            Qualifier="2", ProvisionedConcurrentExecutions=2)
    client.delete_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    refused("ProvisionedConcurrencyConfigNotFoundException", 404, client.get_provisioned_concurrency_config,
            FunctionName=name, Qualifier="live")
    client.delete_function_concurrency(FunctionName=name)

    client.delete_function(FunctionName=name, Qualifier="1")
    refused("ResourceNotFoundException", 404, client.invoke, FunctionName=name, Qualifier="1", text=arn + ":1")
    client.delete_alias(FunctionName=name, Name="live")
    refused("ResourceNotFoundException", 404, client.get_alias, FunctionName=name, Name="live", text=arn + ":live")
    refused("ResourceNotFoundException", 404, client.update_alias, FunctionName=name, Name="live")

    # Tags and what becomes of events.
    client.tag_resource(Resource=arn, Tags={"stage": "test", "ü": "v w"})
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "a", "stage": "test", "ü": "v w"}
    client.untag_resource(Resource=arn, TagKeys=["team", "ü"])
    assert client.get_function(FunctionName=name)["Tags"] == {"stage": "test"}
    refused("ResourceNotFoundException", 404, client.list_tags, Resource=arn + "-absent")
    refused("InvalidParameterValueException", 400, client.list_tags, Resource=arn + ":2", text="not supported")
    queue = "arn:aws:s3:::failures"
    for unserved in ("arn:aws:sqs:us-east-1:000000000000:q.fifo", "arn:aws:sns:us-east-1:000000000000:t",
                     "arn:aws:events:us-east-1:000000000000:event-bus/b"):
        refused("InvalidParameterValueException", 400, client.put_function_event_invoke_config, FunctionName=name,
                DestinationConfig={"OnFailure": {"Destination": unserved}}, text="not served here")
        refused("InvalidParameterValueException", 400, client.update_function_configuration, FunctionName=name,
                DeadLetterConfig={"TargetArn": unserved}, text="not served here")
    put = client.put_function_event_invoke_config(FunctionName=name, MaximumRetryAttempts=1,
                                                  DestinationConfig={"OnFailure": {"Destination": queue}})
    assert (put["FunctionArn"], put["MaximumRetryAttempts"]) == (arn + ":$LATEST", 1), put
    assert put["DestinationConfig"] == {"OnSuccess": {}, "OnFailure": {"Destination": queue}}, put
    put = client.update_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=120)
    got = client.get_function_event_invoke_config(FunctionName=name)
    assert (got["MaximumRetryAttempts"], got["MaximumEventAgeInSeconds"], got["LastModified"]) == (1, 120, put["LastModified"])
    client.put_function_event_invoke_config(FunctionName=name, Qualifier="2", MaximumRetryAttempts=0)
    listed = [each["FunctionArn"] for page in client.get_paginator("list_function_event_invoke_configs").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}) for each in page["FunctionEventInvokeConfigs"]]
    assert listed == [arn + ":$LATEST", arn + ":2"], listed
    refused("ValidationException", 400, client.put_function_event_invoke_config, FunctionName=name, MaximumRetryAttempts=3)
    refused("InvalidParameterValueException", 400, client.put_function_event_invoke_config, FunctionName=name)
    client.delete_function_event_invoke_config(FunctionName=name)
    refused("ResourceNotFoundException", 404, client.get_function_event_invoke_config, FunctionName=name,
            text="doesn't have an EventInvokeConfig")

    # Function URLs.
    cors = {"AllowCredentials": False, "AllowOrigins": ["*"], "AllowMethods": ["GET"], "MaxAge": 60}
    made = client.create_function_url_config(FunctionName=name, AuthType="NONE", Cors=cors)
    assert (made["FunctionArn"], made["AuthType"], made["Cors"]) == (arn, "NONE", cors), made
    url = made["FunctionUrl"]
    event = json.loads(subprocess.run(["curl", "-sS", "--fail", "--insecure", url + "a/b?c=d"], capture_output=True, check=True).stdout)
    assert (event["rawPath"], event["queryStringParameters"]) == ("/a/b", {"c": "d"}), event
    refused("ResourceConflictException", 409, client.create_function_url_config, FunctionName=name, AuthType="NONE",
            text="FunctionUrlConfig exists")
    refused("ResourceNotFoundException", 404, client.create_function_url_config, FunctionName=name + "x", AuthType="NONE")
    changed = client.update_function_url_config(FunctionName=name, AuthType="AWS_IAM", Cors={})
    assert (changed["AuthType"], changed["FunctionUrl"], "Cors" in changed) == ("AWS_IAM", url, False), changed
    got = client.get_function_url_config(FunctionName=name)
    assert (got["CreationTime"], got["LastModifiedTime"]) == (made["CreationTime"], changed["LastModifiedTime"]), got
    refused("ValidationException", 400, client.create_function_url_config, FunctionName=name, Qualifier="2", AuthType="NONE")
    client.create_function_url_config(FunctionName=name, Qualifier="another", AuthType="NONE")
    listed = [each["FunctionArn"] for page in client.get_paginator("list_function_url_configs").paginate(
        FunctionName=name, PaginationConfig={"PageSize": 1}) for each in page["FunctionUrlConfigs"]]
    assert listed == [arn, arn + ":another"], listed
    client.delete_function_url_config(FunctionName=name)
    refused("ResourceNotFoundException", 404, client.get_function_url_config, FunctionName=name)
    refused("ResourceNotFoundException", 404, client.delete_function_url_config, FunctionName=name)

    # Permissions.
    refused("ResourceNotFoundException", 404, client.get_policy, FunctionName=name)
    given = client.add_permission(FunctionName=name, StatementId="s3", Action="lambda:InvokeFunction",
                                  Principal="s3.amazonaws.com", SourceArn="arn:aws:s3:::bucket")
    statement = json.loads(given["Statement"])
    assert (statement["Sid"], statement["Effect"], statement["Resource"]) == ("s3", "Allow", arn), statement
    assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}}, statement
    refused("ResourceConflictException", 409, client.add_permission, FunctionName=name, StatementId="s3",
            Action="lambda:InvokeFunction", Principal="*", text="already exists")
    policy = client.get_policy(FunctionName=name)
    assert json.loads(policy["Policy"])["Statement"] == [statement], policy
    refused("PreconditionFailedException", 412, client.remove_permission, FunctionName=name, StatementId="s3", RevisionId="x")
    refused("ValidationException", 400, client.add_permission, FunctionName=name, StatementId="a b",
            Action="lambda:InvokeFunction", Principal="*", text="'statementId'")
    for i in range(200):
        try:
            client.add_permission(FunctionName=name, StatementId="x" * 90 + str(i), Action="lambda:InvokeFunction", Principal="*")
        except client.exceptions.PolicyLengthExceededException as e:
            assert "20480" in e.response["Error"]["Message"], e
            break
    else:
        raise AssertionError("a policy without end")
    client.add_permission(FunctionName=name, Qualifier="another", StatementId="a", Action="lambda:*", Principal="*")
    client.remove_permission(FunctionName=name, Qualifier="another", StatementId="a")
    refused("ResourceNotFoundException", 404, client.get_policy, FunctionName=name, Qualifier="another")
    client.remove_permission(FunctionName=name, StatementId="s3",
                             RevisionId=client.get_policy(FunctionName=name)["RevisionId"])
    refused("ResourceNotFoundException", 404, client.remove_permission, FunctionName=name, StatementId="s3", text="s3")

    # Layers.
    layer = name + "-layer"
    content = zip_of({"python/layered.py": "x = 1"})
    refused("ResourceNotFoundException", 404, client.get_layer_version, LayerName=layer, VersionNumber=1)
    one = client.publish_layer_version(LayerName=layer, Content={"ZipFile": content}, Description="d", LicenseInfo="MIT",
                                       CompatibleRuntimes=["nodejs18.x", "provided.al2"], CompatibleArchitectures=["x86_64"])
    layer_arn = f"arn:aws:lambda:us-east-1:000000000000:layer:{layer}"
    assert (one["LayerVersionArn"], one["LayerArn"], one["Version"]) == (layer_arn + ":1", layer_arn, 1), one
    assert one["Content"]["CodeSha256"] == base64.b64encode(hashlib.sha256(content).digest()).decode(), one
    assert urllib.request.urlopen(one["Content"]["Location"]).read() == content
    two = client.publish_layer_version(LayerName=layer, Content={"ZipFile": zip_of({"bin/x": "y"})})
    got = client.get_layer_version(LayerName=layer, VersionNumber=1)
    assert urllib.request.urlopen(got["Content"].pop("Location")).read() == content  # each link has its own time
    del one["Content"]["Location"], one["ResponseMetadata"], got["ResponseMetadata"]
    assert got == one, (got, one)
    assert client.get_layer_version_by_arn(Arn=two["LayerVersionArn"])["Version"] == 2
    listed = [each["Version"] for page in client.get_paginator("list_layer_versions").paginate(
        LayerName=layer, PaginationConfig={"PageSize": 1}) for each in page["LayerVersions"]]
    assert listed == [2, 1], listed
    client.publish_layer_version(LayerName=layer + "2", Content={"ZipFile": content}, CompatibleRuntimes=["nodejs18.x"])
    listed = [(each["LayerName"], each["LatestMatchingVersion"]["Version"]) for page in client.get_paginator(
        "list_layers").paginate(PaginationConfig={"PageSize": 1}) for each in page["Layers"]]
    assert [each for each in listed if each[0].startswith(layer)] == [(layer, 2), (layer + "2", 1)], listed
    listed = client.list_layer_versions(LayerName=layer, CompatibleRuntime="java11")["LayerVersions"]
    assert [each["Version"] for each in listed] == [2], listed  # the one that says nothing
    updated = client.update_function_configuration(FunctionName=name, Layers=[two["LayerVersionArn"], layer_arn + "2:1"])
    assert [(each["Arn"], each["CodeSize"]) for each in updated["Layers"]] == [
        (layer_arn + ":2", two["Content"]["CodeSize"]), (layer_arn + "2:1", len(content))], updated
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    refused("InvalidParameterValueException", 400, client.update_function_configuration, FunctionName=name,
            Layers=[layer_arn + ":1", layer_arn + ":2"], text="Two different versions")
    refused("InvalidParameterValueException", 400, client.update_function_configuration, FunctionName=name,
            Layers=[layer_arn + ":9"], text="does not exist")
    refused("InvalidParameterValueException", 400, client.publish_layer_version, LayerName=layer, Content={"ZipFile": b"x"},
            text="Could not unzip")
    given = client.add_layer_version_permission(LayerName=layer, VersionNumber=1, StatementId="a",
                                                Action="lambda:GetLayerVersion", Principal="*")
    policy = client.get_layer_version_policy(LayerName=layer, VersionNumber=1)
    assert json.loads(policy["Policy"])["Statement"] == [json.loads(given["Statement"])], policy
    client.remove_layer_version_permission(LayerName=layer, VersionNumber=1, StatementId="a", RevisionId=policy["RevisionId"])
    refused("ResourceNotFoundException", 404, client.get_layer_version_policy, LayerName=layer, VersionNumber=1)
    client.delete_layer_version(LayerName=layer, VersionNumber=2)
    client.delete_layer_version(LayerName=layer, VersionNumber=2)
    assert client.publish_layer_version(LayerName=layer, Content={"ZipFile": content})["Version"] == 3
    assert len(client.get_function_configuration(FunctionName=name)["Layers"]) == 2  # kept, though one is deleted
    cleared = client.update_function_configuration(FunctionName=name, Layers=[])
    assert "Layers" not in cleared, cleared
    client.get_waiter("function_updated_v2").wait(FunctionName=name)

    # Code signing configurations: kept and shown.
    publisher = "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/v"
    made = client.create_code_signing_config(AllowedPublishers={"SigningProfileVersionArns": [publisher]})["CodeSigningConfig"]
    assert made["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}, made
    signing = made["CodeSigningConfigArn"]
    changed = client.update_code_signing_config(CodeSigningConfigArn=signing, Description="d")["CodeSigningConfig"]
    assert client.get_code_signing_config(CodeSigningConfigArn=signing)["CodeSigningConfig"] == changed
    assert (changed["Description"], changed["AllowedPublishers"]) == ("d", made["AllowedPublishers"]), changed
    assert client.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=signing)["FunctionName"] == name
    assert client.get_function_code_signing_config(FunctionName=name)["CodeSigningConfigArn"] == signing
    assert client.list_functions_by_code_signing_config(CodeSigningConfigArn=signing)["FunctionArns"] == [arn]
    refused("ResourceConflictException", 409, client.delete_code_signing_config, CodeSigningConfigArn=signing)
    client.delete_function_code_signing_config(FunctionName=name)
    assert signing in [each["CodeSigningConfigArn"] for each in client.list_code_signing_configs()["CodeSigningConfigs"]]
    client.delete_code_signing_config(CodeSigningConfigArn=signing)
    refused("ResourceNotFoundException", 404, client.get_code_signing_config, CodeSigningConfigArn=signing)
    refused("CodeSigningConfigNotFoundException", 404, client.put_function_code_signing_config, FunctionName=name,
            CodeSigningConfigArn=signing)

    def signed_get(path):
        signed = AWSRequest("GET", endpoint + path)
        SigV4Auth(Credentials("test", "test"), "lambda", "us-east-1").add_auth(signed)
        return urllib.request.Request(endpoint + path, headers=dict(signed.headers))

    def until(holds):
        for _ in range(600):
            if holds():
                return
            time.sleep(0.05)
        raise AssertionError("it never came to that")

    # What the model of 1.29 does not know goes as plain HTTP.
    def plain(method, path, body=None):
        data = json.dumps(body).encode() if body else None
        signed = AWSRequest(method, endpoint + path, data=data)
        SigV4Auth(Credentials("test", "test"), "lambda", "us-east-1").add_auth(signed)
        request = urllib.request.Request(endpoint + path, method=method, data=data, headers=dict(signed.headers))
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)

    management = f"/2021-07-20/functions/{name}/runtime-management-config"
    assert plain("GET", management) == (200, {"UpdateRuntimeOn": "Auto", "FunctionArn": arn + ":$LATEST", "RuntimeVersionArn": None})
    assert plain("PUT", management + "?Qualifier=2", {"UpdateRuntimeOn": "FunctionUpdate"})[1]["FunctionArn"] == arn + ":2"
    assert plain("GET", management + "?Qualifier=2")[1]["UpdateRuntimeOn"] == "FunctionUpdate"
    recursion = f"/2024-08-31/functions/{name}/recursion-config"
    assert plain("GET", recursion) == (200, {"RecursiveLoop": "Terminate"})
    assert plain("PUT", recursion, {"RecursiveLoop": "Allow"}) == plain("GET", recursion) == (200, {"RecursiveLoop": "Allow"})
    scaling = f"/2025-11-30/functions/{name}/function-scaling-config?Qualifier=2"
    wanted = {"MinExecutionEnvironments": 1, "MaxExecutionEnvironments": 4}
    assert plain("PUT", scaling, {"FunctionScalingConfig": wanted}) == (202, {"FunctionState": "Active"})
    until(lambda: plain("GET", scaling) == (200, {"FunctionArn": arn + ":2", "AppliedFunctionScalingConfig": wanted}))
    assert plain("PUT", scaling, {"FunctionScalingConfig": {}})[0] == 202
    assert plain("GET", f"/2020-06-30/functions/{name}/code-signing-config") == (200, {"FunctionName": name})
    url = f"/2021-10-31/functions/{name}/url"
    assert plain("POST", url, {"AuthType": "NONE", "InvokeMode": "RESPONSE_STREAM"})[1]["InvokeMode"] == "RESPONSE_STREAM"
    client.delete_function_url_config(FunctionName=name)

    # Operations that come later are refused by name.
    try:
        raise AssertionError(plain("GET", "/2025-11-30/capacity-providers"))
    except urllib.error.HTTPError as e:
        assert e.code == 501 and "ListCapacityProviders" in json.load(e)["message"]

    # Queues that invoke the function.
    sqs = boto3.client("sqs", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    jobs, short = (sqs.create_queue(QueueName=name + kind, Attributes={"VisibilityTimeout": seconds})["QueueUrl"]
                   for kind, seconds in (("-jobs", "60"), ("-short", "9")))
    jobs_arn = sqs.get_queue_attributes(QueueUrl=jobs, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = json.dumps({"body": {"kind": [{"prefix": "a"}]}})
    mapping = client.create_event_source_mapping(
        EventSourceArn=jobs_arn, FunctionName=name, BatchSize=20, MaximumBatchingWindowInSeconds=1,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        FilterCriteria={"Filters": [{"Pattern": pattern}]})
    assert (mapping["State"], mapping["StateTransitionReason"]) == ("Creating", "USER_INITIATED"), mapping
    assert mapping["FunctionArn"] == arn and mapping["EventSourceArn"] == jobs_arn
    uid = mapping["UUID"]

    def state():
        return client.get_event_source_mapping(UUID=uid)["State"]

    def left():
        counts = sqs.get_queue_attributes(QueueUrl=jobs, AttributeNames=["All"])["Attributes"]
        return int(counts["ApproximateNumberOfMessages"]) + int(counts["ApproximateNumberOfMessagesNotVisible"])

    until(lambda: state() == "Enabled")
    path = f"/2015-03-31/event-source-mappings/{uid}"
    code, changed = plain("PUT", path, {"ScalingConfig": {"MaximumConcurrency": 5}})
    assert (code, changed["State"], changed["ScalingConfig"]) == (202, "Updating", {"MaximumConcurrency": 5}), changed
    got = client.get_event_source_mapping(UUID=uid)
    assert got["FilterCriteria"] == {"Filters": [{"Pattern": pattern}]}
    assert plain("GET", path)[1]["ScalingConfig"] == {"MaximumConcurrency": 5}  # younger than that model
    assert (got["BatchSize"], got["MaximumBatchingWindowInSeconds"]) == (20, 1)
    assert got["LastModified"].year >= 2020
    sqs.send_message_batch(QueueUrl=jobs, Entries=[
        {"Id": str(i), "MessageBody": json.dumps({"kind": kind})} for i, kind in enumerate(("a1", "a2", "b"))])
    until(lambda: left() == 0)
    until(lambda: client.get_event_source_mapping(UUID=uid)["LastProcessingResult"] == "OK")
    page = urllib.request.urlopen(signed_get("/metrics")).read().decode()
    for what, times in (("polled", 3), ("filtered_out", 1), ("invoked", 2), ("failed", 0)):
        assert re.search(f'\nhearth_event_source_{what}_total{{uuid="{uid}",.*}} {times}\n', page), (what, page)

    refused("ResourceConflictException", 409, client.create_event_source_mapping, EventSourceArn=jobs_arn, FunctionName=name,
            text=f"Please update or delete the existing mapping with UUID {uid}")
    refused("InvalidParameterValueException", 400, client.create_event_source_mapping, FunctionName=name,
            EventSourceArn=jobs_arn + "-absent", text="The specified queue does not exist")
    refused("InvalidParameterValueException", 400, client.create_event_source_mapping, FunctionName=name,
            EventSourceArn="arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1", StartingPosition="LATEST", text="Amazon DynamoDB")
    refused("InvalidParameterValueException", 400, client.create_event_source_mapping, FunctionName=name,
            EventSourceArn=jobs_arn.replace("-jobs", "-short"), text="Queue visibility timeout: 9 seconds is less than Function timeout")
    refused("InvalidParameterValueException", 400, client.update_event_source_mapping, UUID=uid,
            FilterCriteria={"Filters": [{"Pattern": "{"}]}, text="Invalid filter pattern definition.")
    refused("InvalidParameterValueException", 400, client.update_event_source_mapping, UUID=uid, BisectBatchOnFunctionError=True,
            text="Unsupported BisectBatchOnFunctionError parameter for given event source mapping type.")
    for call in (client.get_event_source_mapping, client.update_event_source_mapping, client.delete_event_source_mapping):
        refused("ResourceNotFoundException", 404, call, UUID=str(uuid.uuid4()))

    other = client.create_event_source_mapping(EventSourceArn=jobs_arn, FunctionName=arn + ":2", Enabled=False)
    assert other["FunctionArn"] == arn + ":2"
    pages = client.get_paginator("list_event_source_mappings")
    listed = [each["UUID"] for page in pages.paginate(EventSourceArn=jobs_arn, PaginationConfig={"PageSize": 1})
              for each in page["EventSourceMappings"]]
    assert sorted(listed) == sorted([uid, other["UUID"]]), listed
    assert [each["UUID"] for each in client.list_event_source_mappings(FunctionName=arn)["EventSourceMappings"]] == [uid]
    assert client.update_event_source_mapping(UUID=uid, BatchSize=1, MaximumBatchingWindowInSeconds=0, FunctionResponseTypes=[],
                                              FilterCriteria={})["State"] == "Updating"
    assert "ScalingConfig" not in plain("PUT", path, {"ScalingConfig": {}})[1]
    got = client.get_event_source_mapping(UUID=uid)
    assert got["BatchSize"] == 1 and "FilterCriteria" not in got, got
    assert client.update_event_source_mapping(UUID=uid, Enabled=False)["State"] == "Disabling"
    until(lambda: state() == "Disabled")
    sqs.send_message(QueueUrl=jobs, MessageBody="kept")
    assert left() == 1
    assert client.update_event_source_mapping(UUID=uid, Enabled=True)["State"] == "Enabling"
    until(lambda: left() == 0)
    tagged = plain("GET", path)[1]["EventSourceMappingArn"]
    client.tag_resource(Resource=tagged, Tags={"k": "v"})
    assert client.list_tags(Resource=tagged)["Tags"] == {"k": "v"}
    for each in (uid, other["UUID"]):
        assert client.delete_event_source_mapping(UUID=each)["State"] == "Deleting"
        until(lambda: each not in [m["UUID"] for m in client.list_event_source_mappings()["EventSourceMappings"]])

    # Streams that invoke it.
    kinesis = boto3.client("kinesis", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test")
    kinesis.create_stream(StreamName=name, ShardCount=2)
    clicks = kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamARN"]
    for i in range(3):
        kinesis.put_record(StreamName=name, Data=json.dumps({"kind": "ab"[i % 2]}).encode(), PartitionKey=str(i))
    start = datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc)
    mapping = client.create_event_source_mapping(
        EventSourceArn=clicks, FunctionName=name, StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=start,
        ParallelizationFactor=2, MaximumRetryAttempts=3, MaximumRecordAgeInSeconds=3600, BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": jobs_arn}},
        FilterCriteria={"Filters": [{"Pattern": json.dumps({"data": {"kind": ["a"]}})}]})
    uid = mapping["UUID"]
    shown = {"BatchSize": 100, "StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": start, "ParallelizationFactor": 2,
             "MaximumRetryAttempts": 3, "MaximumRecordAgeInSeconds": 3600, "BisectBatchOnFunctionError": True,
             "DestinationConfig": {"OnFailure": {"Destination": jobs_arn}}, "TumblingWindowInSeconds": 0}
    assert shown.items() <= mapping.items(), mapping
    until(lambda: state() == "Enabled")
    until(lambda: client.get_event_source_mapping(UUID=uid)["LastProcessingResult"] == "OK")

    def counted(what):
        page = urllib.request.urlopen(signed_get("/metrics")).read().decode()
        return float(re.search(f'\nhearth_event_source_{what}{{uuid="{uid}",.*}} (.*)\n', page).group(1))

    until(lambda: counted("invoked_total") == 2)
    assert (counted("polled_total"), counted("filtered_out_total"), counted("dropped_total")) == (3, 1, 0)
    assert counted("iterator_age_seconds") >= 0
    changed = client.update_event_source_mapping(UUID=uid, MaximumRetryAttempts=-1, MaximumRecordAgeInSeconds=-1, BatchSize=10_000,
                                                 BisectBatchOnFunctionError=False, DestinationConfig={"OnFailure": {}})
    assert (changed["MaximumRetryAttempts"], changed["BatchSize"], changed["DestinationConfig"]) == (-1, 10_000, {"OnFailure": {}}), changed
    refused("ResourceConflictException", 409, client.create_event_source_mapping, EventSourceArn=clicks, FunctionName=name,
            StartingPosition="LATEST", text=f"Please update or delete the existing mapping with UUID {uid}")
    refused("InvalidParameterValueException", 400, client.create_event_source_mapping, EventSourceArn=clicks, FunctionName=name,
            text="StartingPosition must not be null")
    refused("InvalidParameterValueException", 400, client.create_event_source_mapping, EventSourceArn=clicks + "-absent",
            FunctionName=name, StartingPosition="LATEST", text="Stream not found")
    refused("InvalidParameterValueException", 400, client.create_event_source_mapping, EventSourceArn=clicks, FunctionName=name,
            StartingPosition="LATEST", TumblingWindowInSeconds=30, ParallelizationFactor=2, text="A tumbling window goes with")
    refused("InvalidParameterValueException", 400, client.create_event_source_mapping, EventSourceArn=jobs_arn, FunctionName=name,
            TumblingWindowInSeconds=30, text="Unsupported TumblingWindowInSeconds parameter")
    windowed = client.update_event_source_mapping(UUID=uid, TumblingWindowInSeconds=30, ParallelizationFactor=1)
    assert windowed["TumblingWindowInSeconds"] == 30, windowed
    refused("InvalidParameterValueException", 400, client.create_event_source_mapping, EventSourceArn=clicks, FunctionName=name,
            StartingPosition="LATEST", DestinationConfig={"OnFailure": {"Destination": arn}}, text="names a function")
    assert client.delete_event_source_mapping(UUID=uid)["State"] == "Deleting"
    until(lambda: uid not in [m["UUID"] for m in client.list_event_source_mappings()["EventSourceMappings"]])
    kinesis.delete_stream(StreamName=name)
    for each in (jobs, short):
        sqs.delete_queue(QueueUrl=each)
finally:
    deleted = client.delete_function(FunctionName=name)
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
refused("ResourceNotFoundException", 404, client.delete_function, FunctionName=name)
# All that the model has; what models newer than Debian's add, of which some is not served, may stay out.
newer = re.compile("CapacityProvider|Durable|Recursion|ResponseStream|Scaling")
wanted = {each for each in client.meta.service_model.operation_names if not newer.search(each)}
assert wanted <= seen, wanted - seen
print("boto3: all passed, held against the model:", len(seen), "operations")
