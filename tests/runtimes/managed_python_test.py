"""Python functions in microVMs, deployed and invoked over HTTP as users do."""

import base64
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness
from managed_server import first_present, managed_test, zipped

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/functions"


class managed_python(managed_test):
    runtime, handler, file = None, "lambda_function.lambda_handler", "lambda_function.py"

    def test_the_example_says_hello_and_is_listed_with_its_runtime(self):
        name = self.create((EXAMPLES / "python_hello/lambda_function.py").read_text())
        self.assertEqual(self.responds(name, {"a": 1}), {"message": "hello from Python", "event": {"a": 1}})
        self.assertRegex(self.log, r"\[INFO\]\t[0-9T:.-]+Z\t[0-9a-f-]{36}\tasked by [0-9a-f-]{36}\n")
        self.assertEqual((self.configuration["Runtime"], self.configuration["Handler"]), (self.runtime, self.handler))

    def test_a_runtime_that_is_not_there_is_refused_with_those_that_are(self):
        absent = next(r for r in ("python3.8", "python3.14") if r != self.runtime)
        status, body = self.server.create("absent", {self.file: ""}, absent, self.handler)
        self.assertEqual((status, body["Type"]), (400, "User"))
        text = body.get("message") or body.get("Message")
        for words in (f"The runtime {absent} is not on this host", self.runtime, "apt install", "--runtimes"):
            self.assertIn(words, text)
        status, body = self.server.create("unknown", {self.file: ""}, "python2.7", self.handler)
        self.assertEqual(status, 400)

    def test_imports_are_paid_once_and_clones_draw_numbers_of_their_own(self):
        name = self.create("""
import os, random, tempfile, uuid
print("importing")
stamp, count, early = os.urandom(8).hex(), 0, random.random()
def lambda_handler(event, context):
    global count
    count += 1
    return [stamp, count, random.random(), str(uuid.uuid4()), next(tempfile._get_candidate_names())]
""", Environment={"Variables": {"HEARTH_ISOLATION": "invocation"}})
        replies, starts = [], ""
        for _ in range(4):
            replies.append(self.responds(name))
            starts += self.log
        self.assertEqual(len({r[0] for r in replies}), 1)
        self.assertEqual({r[1] for r in replies}, {1})
        for drawn in (2, 3, 4):
            self.assertEqual(len({r[drawn] for r in replies}), 4)
        self.assertLessEqual(starts.count("importing"), 1)
        times = re.findall(r"Start: restored \(([^)]*)\)", starts)
        print("restored:", times, re.findall(r"\tDuration: ([0-9.]+ ms)", starts), file=sys.stderr)
        self.assertTrue(times, starts)

    def test_environments_are_warm_and_keep_what_they_know(self):
        name = self.create("n = 0\ndef lambda_handler(event, context):\n    global n\n    n += 1\n    return n")
        self.assertEqual([self.responds(name) for _ in range(5)], [1, 2, 3, 4, 5])
        print("warm:", re.findall(r"\tDuration: ([0-9.]+ ms)", self.log), file=sys.stderr)
        with ThreadPoolExecutor(4) as pool:
            self.assertEqual(len([*pool.map(lambda _: self.responds(name), range(8))]), 8)

    def test_what_keeps_a_function_from_starting_is_its_state(self):
        good = "def lambda_handler(event, context): pass"
        for source, handler, kind, message in (
                ("import absent", None, "Runtime.ImportModuleError", "No module named 'absent'"),
                ("def f(:", None, "Runtime.UserCodeSyntaxError", "Syntax error in module 'lambda_function'"),
                (good, "lambda_function.go", "Runtime.HandlerNotFound", "Handler 'go' missing on module"),
                (good, "handler", "Runtime.MalformedHandlerName", "Bad handler 'handler'"),
                ("import sys; sys.exit(5)", None, "Runtime.ExitError", "exit status 5")):
            with self.subTest(kind):
                self.create(source, handler, wanted="Failed")
                self.assertEqual(self.configuration["StateReasonCode"], "FunctionError.RuntimeInitError")
                self.assertIn(kind, self.configuration["StateReason"])
                self.assertIn(message, self.configuration["StateReason"])

    def test_the_world_of_a_function_is_lambdas(self):
        name = self.create("""
import os, sys, time
def lambda_handler(event, c):
    before = c.get_remaining_time_in_millis()
    time.sleep(0.05)
    e = os.environ
    try: open("/var/runtime/bootstrap.py", "w"); writable = True
    except OSError: writable = False
    open("/tmp/x", "w").write("y")
    return {"passed": before - c.get_remaining_time_in_millis(), "left": before, "env": e["AWS_EXECUTION_ENV"],
            "runtime": sorted(os.listdir(e["LAMBDA_RUNTIME_DIR"])), "task": os.listdir(e["LAMBDA_TASK_ROOT"]),
            "handler": e["_HANDLER"], "name": c.function_name, "memory": c.memory_limit_in_mb, "tz": e["TZ"],
            "arn": c.invoked_function_arn, "root": sorted(os.listdir("/")), "writable": writable, "var": sorted(os.listdir("/var"))}
""")
        world = self.responds(name)
        self.assertTrue(50 <= world.pop("passed") < 5000)
        self.assertTrue(5000 < world.pop("left") <= 10000)
        root = world.pop("root")
        self.assertFalse({"home", "work", "srv", "mnt"} & set(root), root)
        self.assertEqual(world, {
            "env": f"AWS_Lambda_{self.runtime}", "runtime": ["bootstrap.py", "snapshot_restore_py.py"],
            "task": ["lambda_function.py"], "handler": self.handler, "name": name, "memory": "256", "tz": ":UTC",
            "arn": f"arn:aws:lambda:us-east-1:000000000000:function:{name}", "writable": False,
            "var": ["runtime", "task"]})

    def test_the_logging_that_was_asked_for_reaches_the_function(self):
        name = self.create("""
import logging, os
def lambda_handler(event, context):
    logging.info("below")
    logging.warning("hello")
    return [os.environ[n] for n in ("AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL", "AWS_LAMBDA_LOG_GROUP_NAME")]
""", LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "/mine"})
        self.assertEqual(self.responds(name), ["JSON", "WARN", "/mine"])
        lines = [json.loads(line) for line in self.log.splitlines() if line.startswith("{")]
        self.assertEqual([(line["level"], line["message"], len(line["requestId"])) for line in lines],
                         [("WARNING", "hello", 36)])

    def test_a_tenants_name_is_in_the_context(self):
        name = self.create("def lambda_handler(event, context): return context.tenant_id",
                           Environment={"Variables": {"HEARTH_ISOLATION": "tenant"}})
        for tenant in ("blue", "red", "blue"):
            status, _, body = self.server.request("POST", f"/2015-03-31/functions/{name}/invocations", b"{}",
                                                  headers={"X-Amz-Tenant-Id": tenant})
            self.assertEqual((status, body), (200, b'"%s"' % tenant.encode()))

    def test_layers_stand_at_opt_in_their_order(self):
        directory = self.scratch()
        sources = {
            "f/lambda_function.py": """
import both, ctypes.util, os, second, site_package, subprocess, sys
def lambda_handler(e, c):
    tool = subprocess.run(["tool"], capture_output=True, text=True).stdout
    return [both.whose, second.whose, site_package.whose, tool, open("/opt/data.txt").read(), sorted(os.listdir("/opt")),
            "/opt/lib" in os.environ["LD_LIBRARY_PATH"].split(":")]
""",
            "one/python/both.py": "whose = 'the first'", "one/data.txt": "one", "one/bin/tool": "#!/bin/sh\necho a tool",
            f"one/python/lib/{self.runtime}/site-packages/site_package.py": "whose = 'site-packages'",
        }
        for name, text in sources.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        (directory / "one/bin/tool").chmod(0o755)
        (directory / "two.zip").write_bytes(zipped({"python/both.py": "whose = 'the second'", "python/second.py": "whose = 2"}))
        done = harness.hearth("invoke", directory / "f", "--runtime", self.runtime, "--layer", directory / "one",
                              "--layer", directory / "two.zip", input=b"{}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), ["the second", 2, "site-packages", "a tool\n", "one",
                                                   ["bin", "data.txt", "python"], True])
        refused = harness.hearth("invoke", directory / "f", "--runtime", self.runtime, *["--layer", directory / "one"] * 6)
        self.assert_complaint(refused, 1, "You cannot reference more than 5 layers")
        refused = harness.hearth("invoke", directory / "f", "--runtime", self.runtime, "--layer", directory / "absent.zip")
        self.assert_complaint(refused, 1, "absent.zip")

    def test_the_command_line_takes_a_runtime_and_knows_the_usual_handler(self):
        directory = self.scratch()
        (directory / "lambda_function.py").write_text("def lambda_handler(e, c): return e['a'] + 1")
        done = harness.hearth("invoke", directory, "--runtime", self.runtime, input=b'{"a": 41}')
        self.assertEqual((done.returncode, done.stdout), (0, b"42\n"), done.stderr)

    def runtimes_of(self, runtime, script):
        """A directory of runtimes with one interpreter, which is a script."""
        directory = self.scratch()
        program = directory / runtime / "bin" / runtime
        program.parent.mkdir(parents=True)
        program.write_text(script)
        program.chmod(0o755)
        (directory / "f").mkdir()
        (directory / "f/lambda_function.py").write_text("import os\ndef lambda_handler(e, c): return os.listdir('/var/lang/bin')")
        return directory

    def test_a_directory_of_runtimes_comes_first_and_stands_at_var_lang(self):
        directory = self.runtimes_of(self.runtime, f'#!/bin/sh\nexec /usr/bin/{self.runtime} "$@"\n')
        done = harness.hearth("invoke", directory / "f", "--runtime", self.runtime, "--runtimes", directory, input=b"{}")
        self.assertEqual((done.returncode, json.loads(done.stdout)), (0, [self.runtime]), done.stderr)

    def test_an_interpreter_of_another_version_is_refused_with_what_it_says(self):
        absent = next(r for r in ("python3.8", "python3.14") if r != self.runtime)
        for script, says in ((f'#!/bin/sh\nexec /usr/bin/{self.runtime} "$@"\n', f'says that it is "{self.runtime.capitalize().replace("n", "n ")}.'),
                             ("#!/bin/sh\nexit 3\n", "does not run: exit status 3."),
                             ("#!/bin/sh\necho no such library >&2; exit 127\n", "does not run: no such library.")):
            directory = self.runtimes_of(absent, script)
            done = harness.hearth("invoke", directory / "f", "--runtime", absent, "--runtimes", directory, input=b"{}")
            self.assert_complaint(done, 1, f"The runtime {absent} is not on this host: {directory / absent}/bin/{absent} {says}", self.runtime)
        with harness.server("--runtimes", directory) as server:
            status, _, body = server.request("POST", "/2015-03-31/functions", json.dumps({
                "FunctionName": "f", "Runtime": absent, "Handler": self.handler, "Role": "arn:aws:iam::000000000000:role/any",
                "Code": {"ZipFile": base64.b64encode(zipped({self.file: ""})).decode()}}).encode())
        self.assertEqual((status, json.loads(body)["Type"]), (400, "User"))
        self.assertIn("no such library", json.loads(body)["message"])


if __name__ == "__main__":
    if harness.has_kvm():
        managed_python.runtime = first_present("python3.11", "python3.13", "python3.12", "python3.9", "python3.10")
        if not managed_python.runtime:
            print("skipped: no Python that a managed runtime is made of")
            sys.exit(harness.SKIPPED)
    harness.main()
