"""The page "Use Hearth with your tools" is true: its blocks of one language are run, against a server.

usage: tools_test.py sh|python|js|hcl [COMMAND...]   COMMAND runs the file whose name is its last argument
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import HEARTH, SKIPPED, has_kvm, server

PAGE = Path(__file__).parents[2] / "examples" / "tools" / "README.md"


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def shell(script, directory, environment):
    """Runs it as one shell; what it printed."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=directory, env=environment, timeout=200,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout)
    assert done.returncode == 0, f"exit status {done.returncode}"
    return done.stdout


def terraform(environment):
    """What Terraform's AWS provider asks for its resources, in its order: creates, reads, changes, deletes them."""
    import boto3
    from botocore.exceptions import ClientError
    services = re.findall(r"^    (\w+) += \"http://127\.0\.0\.1:9000\"$", blocks("hcl")[0], re.MULTILINE)
    assert services, "the page names no endpoints"
    clients = {each: boto3.client(each, endpoint_url=environment["AWS_ENDPOINT_URL"], region_name="us-east-1",
                                  aws_access_key_id="any", aws_secret_access_key="any") for each in services}
    functions, events = clients["lambda"], clients["events"]

    code = Path("terraform.zip").read_bytes()
    made = functions.create_function(FunctionName="tf", Runtime="python3.11", Handler="lambda_function.lambda_handler",
                                     Role="arn:aws:iam::000000000000:role/tf", Code={"ZipFile": code}, Publish=False,
                                     MemorySize=128, Timeout=3, Tags={"by": "terraform"}, Architectures=["x86_64"],
                                     PackageType="Zip", TracingConfig={"Mode": "PassThrough"},
                                     EphemeralStorage={"Size": 512})
    functions.get_waiter("function_active_v2").wait(FunctionName="tf", WaiterConfig={"Delay": 1})

    def read():
        got = functions.get_function(FunctionName="tf")
        assert got["Configuration"]["FunctionArn"] == made["FunctionArn"]
        assert got["Tags"] == {"by": "terraform"}
        assert functions.list_versions_by_function(FunctionName="tf")["Versions"]
        assert functions.get_function_code_signing_config(FunctionName="tf")["FunctionName"] == "tf"
        return got["Configuration"]

    assert read()["CodeSize"] == len(code)
    functions.update_function_configuration(FunctionName="tf", Timeout=10, MemorySize=256)
    functions.get_waiter("function_updated_v2").wait(FunctionName="tf", WaiterConfig={"Delay": 1})
    functions.update_function_code(FunctionName="tf", ZipFile=code, Publish=False)
    functions.get_waiter("function_updated_v2").wait(FunctionName="tf", WaiterConfig={"Delay": 1})
    assert read()["MemorySize"] == 256

    functions.create_alias(FunctionName="tf", Name="live", FunctionVersion="$LATEST")
    assert functions.get_alias(FunctionName="tf", Name="live")["FunctionVersion"] == "$LATEST"
    functions.create_function_url_config(FunctionName="tf", AuthType="NONE")
    assert functions.get_function_url_config(FunctionName="tf")["AuthType"] == "NONE"

    rule = events.put_rule(Name="tf-rule", ScheduleExpression="rate(5 minutes)", State="ENABLED", Description="d",
                           Tags=[{"Key": "by", "Value": "terraform"}])["RuleArn"]
    described = events.describe_rule(Name="tf-rule", EventBusName="default")
    assert (described["Arn"], described["State"]) == (rule, "ENABLED")
    assert events.list_tags_for_resource(ResourceARN=rule)["Tags"] == [{"Key": "by", "Value": "terraform"}]
    put = events.put_targets(Rule="tf-rule", Targets=[{"Id": "t", "Arn": made["FunctionArn"]}])
    assert put["FailedEntryCount"] == 0
    assert [t["Id"] for t in events.list_targets_by_rule(Rule="tf-rule")["Targets"]] == ["t"]
    functions.add_permission(FunctionName="tf", StatementId="s", Action="lambda:InvokeFunction",
                             Principal="events.amazonaws.com", SourceArn=rule)
    assert "events.amazonaws.com" in functions.get_policy(FunctionName="tf")["Policy"]

    functions.remove_permission(FunctionName="tf", StatementId="s")
    assert events.remove_targets(Rule="tf-rule", Ids=["t"])["FailedEntryCount"] == 0
    events.delete_rule(Name="tf-rule")
    functions.delete_function_url_config(FunctionName="tf")
    functions.delete_alias(FunctionName="tf", Name="live")
    functions.delete_function(FunctionName="tf")
    for gone in (lambda: functions.get_function(FunctionName="tf"), lambda: events.describe_rule(Name="tf-rule")):
        try:
            gone()
        except ClientError as e:
            assert e.response["Error"]["Code"] == "ResourceNotFoundException", e
        else:
            raise AssertionError("still there")


def main():
    language, command = sys.argv[1], sys.argv[2:]
    if not has_kvm():
        print("skipped: no usable /dev/kvm")
        return SKIPPED
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as directory, server("--data", Path(directory) / "data") as one:
        os.chdir(directory)
        environment = {**os.environ, "PATH": f"{Path(HEARTH).parent}:/usr/local/bin:/usr/bin:/bin",
                       "AWS_ENDPOINT_URL": one.endpoint, "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
                       "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1", "AWS_PAGER": "",
                       "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                       "AWS_EC2_METADATA_DISABLED": "true"}
        assert blocks(language), f"the page has no {language}"
        setup, deploy, *rest = (b.replace("http://127.0.0.1:9000", one.endpoint) for b in blocks("sh"))
        if language == "sh":
            sam = Path(".aws-sam/build/HelloFunction")
            sam.mkdir(parents=True)
            (sam / "app.py").write_text("def handler(event, context):\n    return 'built by ' + event['name']\n")
            printed = shell(setup + deploy + "".join(rest), directory, environment)
            for expected in ('{"hello": "hearth"}', '{"hello": "alias"}', '"MessageId":', '"ShardId":', ' greeting alias\n',
                             '"built by sam"'):
                assert expected in printed, f"{expected} was not printed"
            assert printed.count('{"hello": "world"}') == 2, "the function's URL and the API did not both answer"
            return 0
        shell(setup + deploy, directory, environment)
        if language == "hcl":
            subprocess.run(["/usr/bin/python3", "-m", "zipfile", "-c", "terraform.zip", "hello/lambda_function.py"], check=True)
            os.environ.update(environment)
            terraform(environment)
            return 0
        file = Path(directory) / ("page." + {"python": "py", "js": "mjs"}[language])
        file.write_text("".join(blocks(language)))
        done = subprocess.run([*command, file], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              timeout=240)
        print(done.stdout)
        if done.returncode == 0:
            expected = {"python": "{'hello': 'boto3'}\n['hello']\n", "js": '{"hello": "SDK v3"}\n'}[language]
            assert done.stdout.endswith(expected), f"not {expected!r}"
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
