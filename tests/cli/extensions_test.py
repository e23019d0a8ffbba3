"""Extensions of a layer beside functions, the credentials functions sign their own requests with, and the traces they
are part of, on a server."""

import base64
import io
import json
import os
import signal
import subprocess
import zipfile

from harness import hearth, main, server, test_case

# As the guide's examples: any program, here a shell and curl.
EXTENSION = r"""#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2020-01-01/extension"
id=$(curl -sS -D - -o /dev/null "$api/register" -H "Lambda-Extension-Name: $(basename "$0")" \
    -d '{"events":["INVOKE","SHUTDOWN"]}' | tr -d '\r' | sed -n 's/^Lambda-Extension-Identifier: //Ip')
echo "[extension] ${_HANDLER-no} handler, $STAGE"
while event=$(curl -sS "$api/event/next" -H "Lambda-Extension-Identifier: $id"); do
    echo "[extension] saw $event"
    case $event in *SHUTDOWN*) exit 0 ;; esac
done
"""
HANDLER = """\
def lambda_handler(event, context):
    return event
"""
SHELL = r"""#!/bin/bash
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
    event=$(curl -sS -D /tmp/head "$api/next")
    id=$(tr -d '\r' < /tmp/head | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //Ip')
    curl -sS -o /dev/null "$api/$id/response" -d "$event"
done
"""
SIGNING = """\
import os

import boto3
from botocore.exceptions import ClientError


def lambda_handler(event, context):
    client = boto3.client("lambda", endpoint_url=event["endpoint"], region_name="us-east-1")

    def attempt(what, **arguments):
        try:
            answer = getattr(client, what)(**arguments)
            return [f["FunctionName"] for f in answer["Functions"]]
        except ClientError as e:
            return str(e)

    return {"listed": attempt("list_functions"), "deleted": attempt("delete_function", FunctionName="signing"),
            "variable": os.environ.get("AWS_ACCESS_KEY_ID")}
"""


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name.replace("__", "/"))
            entry.external_attr = 0o100755 << 16
            z.writestr(entry, text)
    return base64.b64encode(out.getvalue()).decode()


def environment(**variables):
    return {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **variables}


class extensions(test_case):
    def written(self, data):
        return "".join(file.read_text() for file in sorted((data / "logs").rglob("*")) if file.is_file())

    def test_an_extension_of_a_layer_sees_a_functions_invocations_and_its_end(self):
        data = self.scratch()
        functions = {"snake": ("python3.11", "main.lambda_handler", zipped(**{"main.py": HANDLER})),
                     "shell": ("provided.al2023", "bootstrap", zipped(bootstrap=SHELL))}
        with server("--data", data) as one:
            code, _, body = one.request("POST", "/2018-10-31/layers/watching/versions", json.dumps(
                {"Content": {"ZipFile": zipped(extensions__watcher=EXTENSION)}}).encode())
            self.assertEqual(code, 201, body)
            layer = json.loads(body)["LayerVersionArn"]
            for name, (runtime, handler, code) in functions.items():
                status, _, body = one.request("POST", "/2015-03-31/functions", json.dumps({
                    "FunctionName": name, "Runtime": runtime, "Handler": handler, "Timeout": 20, "MemorySize": 512,
                    "Role": "arn:aws:iam::000000000000:role/any", "Layers": [layer],
                    "Environment": {"Variables": {"STAGE": name}}, "Code": {"ZipFile": code}}).encode())
                self.assertEqual(status, 201, body)
                one.wait_active(name)
                for event in (b'{"n":1}', b'{"n":2}'):
                    status, headers, body = one.invoke(name, event)
                    self.assertEqual((status, json.loads(body)), (200, json.loads(event)), headers)
            self.assertEqual(one.stop(), 0)
        text = self.written(data)
        for name in functions:
            self.assertIn(f"[extension] no handler, {name}", text)
            self.assertEqual(text.count(f'\\"invokedFunctionArn\\":\\"arn:aws:lambda:us-east-1:000000000000:function:{name}\\"'),
                             2, text)
        self.assertIn("EXTENSION\\tName: watcher\\tState: Ready\\tEvents: [INVOKE,SHUTDOWN]", text)
        self.assertIn('\\"eventType\\":\\"SHUTDOWN\\",\\"shutdownReason\\":\\"spindown\\"', text)

        # From the stored snapshots, in which the extensions wait.
        with server("--data", data) as one:
            for name in functions:
                self.assertEqual(json.loads(one.invoke(name, b'{"n":3}')[2]), {"n": 3})
            self.assertEqual(one.stop(), 0)
        text = self.written(data)
        self.assertEqual(text.count("[extension] no handler, snake"), 1)
        self.assertEqual(text.count('\\"eventType\\":\\"INVOKE\\"'), 6, text)

    def test_an_extension_that_cannot_start_is_why_its_function_failed(self):
        with server("--data", self.scratch()) as one:
            body = one.request("POST", "/2018-10-31/layers/broken/versions", json.dumps(
                {"Content": {"ZipFile": zipped(extensions__broken="#!/bin/sh\nexit 3\n")}}).encode())[2]
            status, _, body = one.request("POST", "/2015-03-31/functions", json.dumps({
                "FunctionName": "f", "Runtime": "python3.11", "Handler": "main.lambda_handler",
                "Role": "arn:aws:iam::000000000000:role/any", "Layers": [json.loads(body)["LayerVersionArn"]],
                "Code": {"ZipFile": zipped(**{"main.py": HANDLER})}}).encode())
            self.assertEqual(status, 201, body)
            with self.assertRaises(AssertionError) as failed:
                one.wait_active("f")
            state = failed.exception.args[0]
            self.assertEqual((state["StateReasonCode"], state["StateReason"]),
                             ("FunctionError.ExtensionInitError", "Extension.Crash: extension broken: exit status 3"))


class credentials(test_case):
    def file(self, key, file=None):
        file = file or self.scratch() / "credentials"
        file.touch(0o600)
        file.write_text(f"""\
[deployer]
aws_access_key_id = AKIADEPLOYER
aws_secret_access_key = the-secret-of-the-deployer
allow = *

[guests]
aws_access_key_id = {key}
aws_secret_access_key = the-secret-of-{key}
allow = List*
functions = sign*
""")
        return file

    def invoke(self, one, env, name):
        done = hearth("invoke", "--remote", name, input=json.dumps({"endpoint": one.endpoint}).encode(), env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def deploy(self, one, env, name, *variables):
        directory = self.scratch() / name
        directory.mkdir()
        (directory / "lambda_function.py").write_text(SIGNING)
        extra = [word for v in ("HEARTH_NETWORK=127.0.0.1", *variables) for word in ("--env", v)]
        done = hearth("deploy", directory, "--memory", "512", "--timeout", "60", *extra, env=env)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_function_signs_its_requests_with_the_key_that_names_it(self):
        data = self.scratch()
        deployer = {"AWS_ACCESS_KEY_ID": "AKIADEPLOYER", "AWS_SECRET_ACCESS_KEY": "the-secret-of-the-deployer"}
        file = self.file("AKIAFIRST")
        with server("--data", data, "--credentials", file) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint, **deployer)
            self.deploy(one, env, "signing")
            answer = self.invoke(one, env, "signing")
            self.assertEqual(answer["listed"], ["signing"])
            self.assertIn("AccessDeniedException", answer["deleted"])
            self.assertIn("guests", answer["deleted"])
            self.assertIsNone(answer["variable"])
            # Without a snapshot they are variables.
            self.deploy(one, env, "signing-cold", "HEARTH_SNAPSHOT=off")
            answer = self.invoke(one, env, "signing-cold")
            self.assertEqual((answer["listed"], answer["variable"]), (["signing", "signing-cold"], "AKIAFIRST"))
            # Whom no key names has none; not even the deployer's.
            self.deploy(one, env, "other")
            answer = self.invoke(one, env, "other")
            self.assertIn("UnrecognizedClientException", answer["listed"])
            # A key that comes while the server runs is given to environments that start then.
            self.file("AKIALATER", file)
            one.process.send_signal(signal.SIGHUP)
            self.assertIn(b"2 access keys", one.process.stderr.readline())
            self.deploy(one, env, "signing-later", "HEARTH_SNAPSHOT=off")
            answer = self.invoke(one, env, "signing-later")
            self.assertEqual((len(answer["listed"]), answer["variable"]), (4, "AKIALATER"))
            self.assertEqual(one.stop(), 0)

        # Another key since: the snapshot from before has the new one.
        with server("--data", data, "--credentials", self.file("AKIASECOND")) as one:
            env["AWS_ENDPOINT_URL"] = one.endpoint
            answer = self.invoke(one, env, "signing")
            self.assertEqual(answer["listed"], ["other", "signing", "signing-cold", "signing-later"])

    def test_where_no_keys_are_verified_any_function_may_sign(self):
        with server("--data", self.scratch()) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint)
            self.deploy(one, env, "any", "HEARTH_SNAPSHOT=off")
            answer = self.invoke(one, env, "any")
            self.assertEqual((answer["listed"], answer["variable"]), (["any"], "HEARTHNOCREDENTIALS"))


class traces(test_case):
    def test_a_function_knows_the_trace_it_is_part_of(self):
        python = "import os\ndef lambda_handler(event, context):\n    return os.environ['_X_AMZN_TRACE_ID']\n"
        node = "exports.handler = async () => process.env._X_AMZN_TRACE_ID;\n"
        with server("--data", self.scratch()) as one:
            runtimes = {"python3.11": ("main.lambda_handler", zipped(**{"main.py": python}))}
            if os.path.exists("/usr/bin/node"):
                version = subprocess.run(["/usr/bin/node", "--version"], capture_output=True, text=True).stdout
                runtimes[f"nodejs{version[1:].partition('.')[0]}.x"] = ("index.handler", zipped(**{"index.js": node}))
            for runtime, (handler, code) in runtimes.items():
                name = runtime.partition(".")[0]
                status, _, body = one.request("POST", "/2015-03-31/functions", json.dumps({
                    "FunctionName": name, "Runtime": runtime, "Handler": handler, "Timeout": 20, "MemorySize": 512,
                    "Role": "arn:aws:iam::000000000000:role/any", "Code": {"ZipFile": code}}).encode())
                self.assertEqual(status, 201, body)
                one.wait_active(name)

                def traced(**headers):
                    path = f"/2015-03-31/functions/{name}/invocations"
                    _, answered, body = one.request("POST", path, b"{}", headers=headers)
                    trace, lineage, _ = json.loads(body).partition(";Lineage=1:")
                    self.assertEqual(trace, answered["X-Amzn-Trace-Id"])
                    self.assertTrue(lineage, body)  # its place in the chain of requests
                    return trace

                form = r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0"
                first, second = traced(), traced()
                self.assertRegex(first, f"^{form}$")
                self.assertRegex(second, f"^{form}$")
                self.assertNotEqual(first, second)
                self.assertEqual(traced(**{"X-Amzn-Trace-Id": "Root=1-a-b"}), "Root=1-a-b")
                self.assertEqual(traced(traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                                 "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1")


if __name__ == "__main__":
    main()
