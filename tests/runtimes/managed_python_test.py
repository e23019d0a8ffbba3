"""Python functions in microVMs, deployed and invoked over HTTP as users do."""

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import harness
from managed_server import first_present, managed_test

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

    def test_errors_of_the_handler_have_lambdas_types_and_the_environment_lives_on(self):
        name = self.create("""
import sys, os
n = 0
def dive(): return dive()
def lambda_handler(event, context):
    global n
    n += 1
    if event == "raise": raise KeyError("k")
    if event == "set": return {1}
    if event == "dive": dive()
    if event == "large": return "x" * (7 << 20)
    if event == "exit": sys.exit(3)
    if event == "kill": os.abort()
    return n
""")
        document = self.fails(name, "raise")
        self.assertEqual((document["errorType"], document["errorMessage"]), ("KeyError", "'k'"))
        self.assertIn("lambda_function.py", document["stackTrace"][0])
        self.assertIn("[ERROR] KeyError: 'k'\nTraceback (most recent call last):\n", self.log)
        self.assertEqual(self.fails(name, "set")["errorType"], "Runtime.MarshalError")
        self.assertEqual(self.fails(name, "dive")["errorType"], "RecursionError")
        self.assertEqual(self.fails(name, "large")["errorType"], "Function.ResponseSizeTooLarge")
        self.assertEqual(self.responds(name), 5)
        for how, message in (("exit", "Runtime exited with error: exit status 3"),
                             ("kill", "Runtime exited with error: signal: aborted")):
            document = self.fails(name, how)
            self.assertEqual(document["errorType"], "Runtime.ExitError")
            self.assertIn(message, document["errorMessage"])
            self.assertEqual(self.responds(name), 1)  # in a new environment

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

    def test_a_function_that_takes_too_long_is_stopped(self):
        name = self.create("import time\ndef lambda_handler(e, c): print('begun'); time.sleep(e)", Timeout=1)
        document = self.fails(name, 5)
        self.assertEqual(document["errorType"], "Sandbox.Timedout")
        self.assertIn("begun\n", self.log)

    def test_the_command_line_takes_a_runtime_and_knows_the_usual_handler(self):
        directory = self.scratch()
        (directory / "lambda_function.py").write_text("def lambda_handler(e, c): return e['a'] + 1")
        done = harness.hearth("invoke", directory, "--runtime", self.runtime, input=b'{"a": 41}')
        self.assertEqual((done.returncode, done.stdout), (0, b"42\n"), done.stderr)

    def test_a_directory_of_runtimes_comes_first_and_stands_at_var_lang(self):
        directory = self.scratch()
        program = directory / self.runtime / "bin" / self.runtime
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/usr/bin/{self.runtime}\n")
        program.chmod(0o755)
        (directory / "f").mkdir()
        (directory / "f/lambda_function.py").write_text("import os\ndef lambda_handler(e, c): return os.listdir('/var/lang/bin')")
        done = harness.hearth("invoke", directory / "f", "--runtime", self.runtime, "--runtimes", directory, input=b"{}")
        # A script whose interpreter is Python itself: it reads its own #! line as a comment and ends.
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(b"Runtime.ExitError", done.stderr)


if __name__ == "__main__":
    if harness.has_kvm():
        managed_python.runtime = first_present("python3.11", "python3.13", "python3.12", "python3.9", "python3.10")
        if not managed_python.runtime:
            print("skipped: no Python that a managed runtime is made of")
            sys.exit(harness.SKIPPED)
    harness.main()
