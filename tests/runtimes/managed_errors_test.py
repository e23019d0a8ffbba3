"""What goes wrong in functions of managed runtimes, each with what Lambda says of it: the function error, type,
message and shape of the document, and whether the environment lives on (the next start is warm) or not."""

import re

import harness
from managed_server import first_present, managed_test

PYTHON = """
import os, subprocess, sys, threading, time
count = 0
class Odd(Exception): pass
def dive(): return dive()
def until_refused(make, undo):
    made = []
    try:
        while True: made.append(make())
    finally:
        print("made", len(made))
        for each in made: undo(each)
def fork():
    child = os.fork()
    if child == 0:
        time.sleep(100)
        os._exit(0)
    return child
def end(child):
    os.kill(child, 9)
    os.waitpid(child, 0)
def threads():
    stop = threading.Event()
    def start():
        t = threading.Thread(target=stop.wait)
        t.start()
        return t
    def join(t):
        stop.set()
        t.join()
    until_refused(start, join)
def fill():
    try:
        with open("/tmp/large", "wb", 0) as f:
            while True: f.write(bytes(32 << 20))
    finally: os.unlink("/tmp/large")
def grow():
    kept = []
    while True: kept.append(bytearray(16 << 20))
def spin():
    while True: pass
def lambda_handler(event, context):
    global count
    count += 1
    if event == "count": return count
    exec(event, {**globals(), "event": event, "context": context}, scope := {})
    return scope.get("result")
"""

# (what the handler does, memory or None for the usual, error type, message, what the log says, environment kept)
# A message that ends with … is a beginning; None: no error.
PYTHON_CASES = [
    ("raise Odd('x')", "Odd", "x", r"\[ERROR\] Odd: x\nTraceback", True),
    ("raise Odd", "Odd", "", r"\[ERROR\] Odd\nTraceback", True),
    ("raise KeyError('k')", "KeyError", "'k'", r"\[ERROR\] KeyError: 'k'\n", True),
    ("dive()", "RecursionError", "maximum recursion depth exceeded", "RecursionError", True),
    ("result = {1}", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON serializable",
     "MarshalError", True),
    ("result = float('nan')", "Runtime.MarshalError",
     "Unable to marshal response: Out of range float values are not JSON compliant", "MarshalError", True),
    ("result = []\nfor _ in range(10**5): result = [result]", "Runtime.MarshalError",
     "Unable to marshal response: maximum recursion depth exceeded…", "MarshalError", True),
    ("result = 'x' * (6291556 - 1)", "Function.ResponseSizeTooLarge",
     "Response payload size exceeded maximum allowed payload size (6291556 bytes).", "START", True),
    ("result = 'x' * (6291556 - 2)", None, None, "START", True),
    ("sys.exit(0)", "Runtime.ExitError", "Runtime exited without providing a reason", "Runtime.ExitError", False),
    ("sys.exit(3)", "Runtime.ExitError", "Runtime exited with error: exit status 3", "Runtime.ExitError", False),
    ("os._exit(7)", "Runtime.ExitError", "Runtime exited with error: exit status 7", "Runtime.ExitError", False),
    ("os.abort()", "Runtime.ExitError", "Runtime exited with error: signal: aborted", "Runtime.ExitError", False),
    ("import ctypes; ctypes.string_at(0)", "Runtime.ExitError",
     "Runtime exited with error: signal: segmentation fault", "Runtime.ExitError", False),
    ("os.kill(os.getpid(), 9)", "Runtime.ExitError", "Runtime exited with error: signal: killed", "START", False),
    ("threads()", "RuntimeError", "can't start new thread", r"made 1023\n", True),
    ("until_refused(lambda: os.open('/dev/null', 0), os.close)", "OSError", "[Errno 24] Too many open files: '/dev/null'",
     r"made 10[012]\d\n", True),
    ("until_refused(fork, end)", "OSError", "[Errno 12] Cannot allocate memory", r"made \d+\n", True),
    ("fill()", "OSError", "[Errno 28] No space left on device", "Errno 28", True),
    ("grow()", "Runtime.OutOfMemory", "Runtime exited with error: signal: killed…", "Runtime.OutOfMemory", False),
    ("subprocess.Popen(['sleep', '1000'])", None, None, "START", True),
    ("threading.Thread(target=time.sleep, args=(1000,)).start()", None, None, "START", True),
    ("sys.stdout.close()", None, None, "START", True),
    ("subprocess.Popen(['yes'], stdout=subprocess.DEVNULL)", None, None, "START", True),
    ("threading.Thread(target=spin).start()", None, None, "START", True),
    ("while True: pass", "Sandbox.Timedout", "Task timed out after 2.00 seconds", "Task timed out", False),
]

NODE = """
import child_process from "node:child_process";
import fs from "node:fs";
let count = 0;
class Odd extends Error { constructor(m) { super(m); this.name = "Odd"; } }
const dive = () => dive() + 1, sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const untilRefused = (make, undo) => {
    const made = [];
    try { for (;;) made.push(make()); } finally { console.log("made", made.length); made.forEach(undo); }
};
const fill = () => {
    const f = fs.openSync("/tmp/large", "w");
    try { for (;;) fs.writeSync(f, Buffer.alloc(32 << 20)); } finally { fs.closeSync(f); fs.unlinkSync("/tmp/large"); }
};
const grow = () => { const kept = []; for (;;) kept.push(Buffer.alloc(16 << 20, 1)); };
export const handler = async (event, context) => {
    count++;
    if (event === "count") return count;
    return await eval(`(async () => { ${event} })()`);
};
"""

NODE_CASES = [
    ("throw new Odd('x')", "Odd", "x", r'\tERROR\tInvoke Error \t\{"errorType":"Odd","errorMessage":"x"', True),
    ("throw 'words'", "string", "words", "Invoke Error", True),
    ("throw 5", "number", "5", "Invoke Error", True),
    ("throw {a: 1}", "object", "[object Object]", "Invoke Error", True),
    ("throw null", "string", "handled", "Invoke Error", True),
    ("dive()", "RangeError", "Maximum call stack size exceeded", "RangeError", True),
    ("const a = {}; a.a = a; return a", ("Error", "Runtime.JSONStringifyError"), "Unable to stringify response body",
     "Converting circular structure", True),
    ("return 1n", ("Error", "Runtime.JSONStringifyError"), "Unable to stringify response body", "BigInt", True),
    ("return 'x'.repeat(6291556 - 1)", "Function.ResponseSizeTooLarge",
     "Response payload size exceeded maximum allowed payload size (6291556 bytes).", "START", True),
    ("Promise.reject(new Odd('lost')); await sleep(1000)", "Runtime.UnhandledPromiseRejection", "Odd: lost",
     "Unhandled Promise Rejection", False),
    ("setTimeout(() => { throw new Odd('late') }, 1); await sleep(1000)", "Odd", "late", "Uncaught Exception", False),
    ("await new Promise(() => {})", "Node.js.Exit", "The Lambda runtime client detected an unexpected Node.js exit code…",
     "Node.js.Exit", True),
    ("process.exit(0)", "Runtime.ExitError", "Runtime exited without providing a reason", "Runtime.ExitError", False),
    ("process.exit(3)", "Runtime.ExitError", "Runtime exited with error: exit status 3", "Runtime.ExitError", False),
    ("process.abort()", "Runtime.ExitError", "Runtime exited with error: signal: aborted", "START", False),
    ("process.kill(process.pid, 'SIGKILL'); await sleep(1000)", "Runtime.ExitError",
     "Runtime exited with error: signal: killed", "START", False),
    ("untilRefused(() => fs.openSync('/dev/null'), fs.closeSync)", "Error",
     "EMFILE: too many open files, open '/dev/null'", r"made (9[89]|10[01])\d\n", True),
    ("fill()", "Error", "ENOSPC: no space left on device, write", "ENOSPC", True),
    ("grow()", "Runtime.OutOfMemory", "Runtime exited with error: signal: killed…", "Runtime.OutOfMemory", False),
    ("child_process.spawn('sleep', ['1000'], {stdio: 'ignore'}).unref()", None, None, "START", True),
    ("child_process.spawn('yes', [], {stdio: 'ignore'}).unref()", None, None, "START", True),
    ("await sleep(100000)", "Sandbox.Timedout", "Task timed out after 2.00 seconds", "Task timed out after 2.00 seconds", False),
]

# Of the platform, not of the runtime: the message begins with the request.
PLATFORMS = {"Runtime.ExitError", "Runtime.OutOfMemory", "Sandbox.Timedout"}


class managed_errors(managed_test):
    def go_through(self, runtimes, handler, files, cases, stack):
        runtime = first_present(*runtimes)
        if not runtime:
            self.skipTest("no such interpreter")
        name = runtime.split(".")[0]
        for each, timeout in ((name, 30), (name + "-short", 2)):
            self.assertIn("State", self.server.create(each, files, runtime, handler, Timeout=timeout))
        patient = name
        for does, kind, message, logged, kept in cases:
            name = patient + "-short" if kind == "Sandbox.Timedout" else patient
            with self.subTest(runtime=runtime, does=does):
                self.assertIsNone(self.server.invoke(name, "count")[0])
                error, document, log = self.server.invoke(name, does)
                self.assertRegex(log, logged)
                if kind is None:
                    self.assertIsNone(error, str(document)[:1000])
                else:
                    self.assertEqual(error, "Unhandled", str(document)[:1000])
                    self.assertIn(document["errorType"], kind if isinstance(kind, tuple) else (kind,), document)
                    del document["errorType"]
                    said = document.pop("errorMessage")
                    if kind in PLATFORMS:
                        id = re.search(r"START RequestId: (\S+) ", log).group(1)
                        self.assertTrue(said.startswith(f"RequestId: {id} Error: "), said)
                        said = said.split(" Error: ", 1)[1]
                    if message.endswith("…"):
                        said, message = said[:len(message) - 1], message[:-1]
                    self.assertEqual(said, message)
                    own = kind not in PLATFORMS and kind != "Function.ResponseSizeTooLarge"
                    self.assertEqual(set(document), stack if own else set())
                error, count, log = self.server.invoke(name, "count")
                self.assertIsNone(error, count)
                self.assertRegex(log, r"\tStart: warm" if kept else r"\tStart: restored ")
                self.assertEqual(count == 1, not kept, "a new environment counts anew")

    def test_python(self):
        self.go_through(("python3.11", "python3.13", "python3.12", "python3.10", "python3.9"),
                        "lambda_function.lambda_handler", {"lambda_function.py": PYTHON}, PYTHON_CASES,
                        {"requestId", "stackTrace"})

    def test_node(self):
        self.go_through(("nodejs20.x", "nodejs22.x", "nodejs18.x", "nodejs24.x"), "index.handler", {"index.mjs": NODE},
                        NODE_CASES, {"trace"})


if __name__ == "__main__":
    harness.main()
