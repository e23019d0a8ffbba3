"""rules_client.py ENDPOINT ZIP: drives EventBridge's rules with boto3, every answer checked against botocore's model. Exits 77
(skipped) where it is not installed."""

import sys
import uuid

try:
    import boto3
    from botocore.config import Config

    import model_check
except ImportError:
    print("skipped: install python3-boto3")
    sys.exit(77)

settings = dict(endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
                config=Config(retries={"max_attempts": 0}))
client = boto3.client("events", **settings)
functions = boto3.client("lambda", **settings)
seen = model_check.watch(client, "events")
name = "rules-" + uuid.uuid4().hex[:8]


def refused(code, call, **kwargs):
    return model_check.refused(code, 400, call, **kwargs)


def all_of(operation, result, **kwargs):
    """By pages of one, which is what NextToken is for."""
    found, token = [], {}
    while True:
        page = getattr(client, operation)(Limit=1, **token, **kwargs)
        assert len(page[result]) <= 1, page
        found += page[result]
        if "NextToken" not in page:
            return found
        token = {"NextToken": page["NextToken"]}


with open(sys.argv[2], "rb") as package:
    function = functions.create_function(FunctionName=name, Runtime="provided.al2023", Handler="bootstrap",
                                         Role="arn:aws:iam::000000000000:role/any", Code={"ZipFile": package.read()})
arn = function["FunctionArn"]
names = [f"{name}-{i}" for i in range(3)]
try:
    for i, each in enumerate(names):
        rule = client.put_rule(Name=each, ScheduleExpression=f"rate({i + 2} hours)", State="DISABLED", Description="of the test",
                               Tags=[{"Key": "number", "Value": str(i)}])["RuleArn"]
        assert rule == f"arn:aws:events:us-east-1:000000000000:rule/{each}", rule
    assert [r["Name"] for r in all_of("list_rules", "Rules", NamePrefix=name)] == names
    client.enable_rule(Name=names[1])
    assert client.describe_rule(Name=names[1])["State"] == "ENABLED"
    client.disable_rule(Name=names[1])
    client.put_rule(Name=names[1], ScheduleExpression="cron(0 12 ? * MON-FRI *)", State="DISABLED")
    shown = client.describe_rule(Name=names[1], EventBusName="default")
    assert (shown["ScheduleExpression"], shown["State"]) == ("cron(0 12 ? * MON-FRI *)", "DISABLED"), shown

    for each in names[:2]:
        done = client.put_targets(Rule=each, Targets=[{"Id": i, "Arn": arn, "Input": "{}"} for i in ("a", "b")])
        assert done["FailedEntryCount"] == 0 and done["FailedEntries"] == [], done
    assert [t["Id"] for t in all_of("list_targets_by_rule", "Targets", Rule=names[0])] == ["a", "b"]
    assert all_of("list_rule_names_by_target", "RuleNames", TargetArn=arn) == names[:2]
    refused("ValidationException", client.delete_rule, Name=names[0])

    client.tag_resource(ResourceARN=rule, Tags=[{"Key": "colour", "Value": "red"}])
    client.untag_resource(ResourceARN=rule, TagKeys=["number"])
    assert client.list_tags_for_resource(ResourceARN=rule)["Tags"] == [{"Key": "colour", "Value": "red"}]

    refused("ResourceNotFoundException", client.describe_rule, Name=name)
    refused("ResourceNotFoundException", client.put_targets, Rule=name, Targets=[{"Id": "a", "Arn": arn}])
    refused("ResourceNotFoundException", client.put_rule, Name=name, ScheduleExpression="rate(1 day)", EventBusName="mine")
    refused("ValidationException", client.put_rule, Name=name, ScheduleExpression="now and then")
    refused("ValidationException", client.put_rule, Name=name)
    refused("UnknownOperationException", client.list_event_buses)
finally:
    for each in names:
        client.remove_targets(Rule=each, Ids=["a", "b"])
        client.delete_rule(Name=each)
    functions.delete_function(FunctionName=name)
assert client.list_rules(NamePrefix=name)["Rules"] == []

wanted = {"DeleteRule", "DescribeRule", "DisableRule", "EnableRule", "ListRuleNamesByTarget", "ListRules", "ListTagsForResource",
          "ListTargetsByRule", "PutRule", "PutTargets", "RemoveTargets", "TagResource", "UntagResource"}
assert wanted <= seen, wanted - seen
print("every operation agrees with botocore's model")
