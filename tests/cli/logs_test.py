"""hearth logs and `aws logs` against a server whose functions run in microVMs."""

import json
import os
import signal
import subprocess
import threading

from harness import HEARTH, hearth, main, server, test_case

HANDLER = """\
import json, os
print("init output")
def lambda_handler(event, context):
    print("seen", json.dumps(event))
    return [context.log_group_name, context.log_stream_name]
"""
CREDENTIALS = """\
[reader]
aws_access_key_id = AKIAREADER
aws_secret_access_key = the-secret-of-the-reader
allow = logs:Filter* on /aws/lambda/hello
allow = GetFunctionConfiguration on hello

[deployer]
aws_access_key_id = AKIADEPLOYER
aws_secret_access_key = the-secret-of-the-deployer
allow = *
"""
AWS = "/usr/bin/aws"


def environment(**variables):
    return {**{k: v for k, v in os.environ.items() if not k.startswith("AWS_")}, **variables}


def keys(name):
    return {"AWS_ACCESS_KEY_ID": f"AKIA{name.upper()}", "AWS_SECRET_ACCESS_KEY": f"the-secret-of-the-{name}"}


class follower:
    """A command that goes on writing lines."""

    def __init__(self, *command, env):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=env, text=True)
        # A line that never comes ends the test, not the machine's patience.
        self.watch = threading.Timer(120, self.process.kill)
        self.watch.start()

    def until(self, text):
        """The lines up to the one with that text in it."""
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if text in line:
                return lines
        raise AssertionError(f"{text!r} did not come after {lines}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.watch.cancel()
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)


class logs(test_case):
    def deploy(self, one, env, name="hello"):
        directory = self.scratch() / name
        directory.mkdir()
        (directory / "lambda_function.py").write_text(HANDLER)
        done = hearth("deploy", directory, "--timeout", "20", env=env)
        self.assertEqual(done.returncode, 0, done.stderr)

    def call(self, event, env, name="hello"):
        done = hearth("invoke", "--remote", name, input=json.dumps(event).encode(), env=env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def lines(self, *arguments, env):
        done = hearth("logs", *arguments, env=env)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout.decode().splitlines()

    def test_what_a_function_wrote_is_shown_filtered_and_followed_and_outlives_a_kill(self):
        data = self.scratch()
        with server("--data", data) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint)
            self.deploy(one, env)
            group, stream = self.call("first", env)
            self.assertEqual(group, "/aws/lambda/hello")
            lines = self.lines("hello", env=env)
            words = [line.split(" ", 2)[1] for line in lines]
            self.assertEqual(words, ["init", "INIT_REPORT", "START", "seen", "END", "REPORT"], lines)
            for line in lines:
                self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")
            self.assertEqual(len(self.lines("hello", "--filter", 'seen "first"', env=env)), 1)
            self.assertEqual(self.lines("hello", "--since", "0s", env=env), [])
            with follower(HEARTH, "logs", "hello", "--follow", env=env) as follow:
                follow.until('seen "first"')
                self.call("second", env)
                self.assertEqual([line.split(" ")[1] for line in follow.until('seen "second"')],
                                 ["END", "REPORT", "START", "seen"])
            one.process.kill()
        with server("--data", data) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint)
            self.assertEqual(self.call("third", env), [group, stream])  # the snapshot's, which was kept
            seen = [line.split(" ", 1)[1] for line in self.lines("/aws/lambda/hello", "--filter", "seen", env=env)]
            self.assertEqual(seen, ['seen "first"', 'seen "second"', 'seen "third"'])
            self.assertIn(stream, (data / "logs/+aws+lambda+hello/00000001.log").read_text())
            metrics = one.request("GET", "/metrics")[2].decode()
            self.assertIn("\nhearth_log_lost_total 0\n", metrics)
            self.assertEqual(one.stop(), 0)

    def test_aws_logs_tail_and_its_like(self):
        if not os.access(AWS, os.X_OK):
            self.skipTest("install awscli")
        with server("--data", self.scratch()) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint, AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", AWS_PAGER="",
                              AWS_DEFAULT_REGION="us-east-1", AWS_CONFIG_FILE="/dev/null", AWS_EC2_METADATA_DISABLED="true",
                              PYTHONUNBUFFERED="1")
            self.deploy(one, env)
            group, stream = self.call("first", env)
            command = [AWS, "--endpoint-url", one.endpoint, "logs"]
            streams = json.loads(subprocess.check_output(
                [*command, "describe-log-streams", "--log-group-name", group, "--output", "json"], env=env, timeout=60))
            self.assertEqual([each["logStreamName"] for each in streams["logStreams"]], [stream])
            with follower(*command, "tail", group, "--follow", "--format", "short", env=env) as follow:
                follow.until("REPORT RequestId: ")
                self.call("second", env)
                follow.until('seen "second"')

    def test_the_format_and_the_levels_are_the_configurations(self):
        with server("--data", self.scratch()) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint)
            self.deploy(one, env)
            code, _, body = one.request("PUT", "/2015-03-31/functions/hello/configuration", json.dumps({"LoggingConfig": {
                "LogFormat": "JSON", "ApplicationLogLevel": "ERROR", "SystemLogLevel": "DEBUG",
                "LogGroup": "/my/group"}}).encode())
            self.assertEqual(code, 200, body)
            for _ in range(600):
                state = json.loads(one.request("GET", "/2015-03-31/functions/hello/configuration")[2])
                if state["LastUpdateStatus"] != "InProgress":
                    break
                threading.Event().wait(0.05)
            self.assertEqual(self.call("x", env)[0], "/my/group")
            records = [json.loads(line.split(" ", 1)[1]) for line in self.lines("hello", env=env)]
            self.assertEqual([r["type"] for r in records],
                             ["platform.initReport", "platform.start", "platform.runtimeDone", "platform.report"])

    def test_keys_are_asked_for_and_what_is_in_the_way_is_one_sentence(self):
        credentials = self.scratch() / "credentials"
        credentials.touch(0o600)
        credentials.write_text(CREDENTIALS)
        with server("--data", self.scratch(), "--credentials", credentials) as one:
            env = environment(AWS_ENDPOINT_URL=one.endpoint)
            self.deploy(one, {**env, **keys("deployer")})
            self.assertEqual(len(self.lines("hello", "--filter", "init output", env={**env, **keys("reader")})), 1)
            self.assert_complaint(hearth("logs", "/other", env={**env, **keys("reader")}), 1, "AccessDeniedException",
                                  "user/reader is not authorized to perform: logs:FilterLogEvents", "/other")
            self.assert_complaint(hearth("logs", "/other", env=env), 1, "MissingAuthenticationTokenException")
            self.assert_complaint(hearth("logs", "absent", env={**env, **keys("deployer")}), 1, "ResourceNotFoundException")
        self.assert_complaint(hearth("logs", "hello", "--endpoint", "http://127.0.0.1:1", env=environment()), 1,
                              "does not answer")
        self.assert_complaint(hearth("logs", "hello", "--since", "soon", env=environment()), 1, "'soon' is no age")


if __name__ == "__main__":
    main()
