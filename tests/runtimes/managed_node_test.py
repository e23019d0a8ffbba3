"""Node functions in microVMs, deployed and invoked over HTTP as users do."""

import base64
import json
import sys
from pathlib import Path

import harness
from managed_server import first_present, managed_test

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/functions"


class managed_node(managed_test):
    runtime, handler, file = None, "index.handler", "index.mjs"

    def create(self, source, *arguments, **more):
        return super().create(source, *arguments, MemorySize=512, Timeout=20, **more)

    def test_the_example_says_hello_and_is_listed_with_its_runtime(self):
        name = self.create((EXAMPLES / "node_hello/index.mjs").read_text())
        self.assertEqual(self.responds(name, {"a": 1}), {"message": "hello from Node.js", "event": {"a": 1}})
        self.assertRegex(self.log, r"[0-9T:.-]+Z\t[0-9a-f-]{36}\tINFO\tasked by [0-9a-f-]{36}\n")
        self.assertEqual((self.configuration["Runtime"], self.configuration["Handler"]), (self.runtime, self.handler))
        print(self.log, file=sys.stderr)

    def test_imports_are_paid_once_and_clones_draw_numbers_of_their_own(self):
        name = self.create("""
import crypto from "node:crypto";
console.log("importing");
const stamp = crypto.randomUUID(), early = Math.random();
let count = 0;
export const handler = async () => [stamp, ++count, Math.random(), crypto.randomUUID(), crypto.randomInt(1e9),
    crypto.randomBytes(8).toString("hex"), globalThis.crypto.randomUUID()];
""", Environment={"Variables": {"HEARTH_ISOLATION": "invocation"}})
        replies = [self.responds(name) for _ in range(4)]
        self.assertEqual(len({r[0] for r in replies}), 1)
        self.assertEqual({r[1] for r in replies}, {1})
        for drawn in range(2, 7):
            self.assertEqual(len({r[drawn] for r in replies}), 4, drawn)

    def test_layers_bring_modules(self):
        directory = self.scratch()
        for name, text in {"f/index.js": "const m = require('m'), n = require('n'); exports.handler = async () => [m, n, process.argv.length];",
                           "layer/nodejs/node_modules/m/index.js": "module.exports = 'of all versions';",
                           f"layer/nodejs/node{self.runtime[6:8]}/node_modules/n.js": "module.exports = 'of this one';"}.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        done = harness.hearth("invoke", directory / "f", "--runtime", self.runtime, "--layer", directory / "layer", input=b"{}")
        self.assertEqual((done.returncode, done.stdout), (0, b'["of all versions","of this one",2]\n'), done.stderr)

    def test_the_heap_may_fill_the_functions_memory(self):
        name = self.create("""import v8 from "node:v8";
export const handler = async () => v8.getHeapStatistics().heap_size_limit / 2 ** 20;""")
        self.assertGreater(self.responds(name), 0.9 * 512)

    def test_an_error_in_the_midst_of_a_streamed_response_is_the_functions(self):
        name = self.create("""export const handler = awslambda.streamifyResponse(async (event, out) => {
    out.write("half of it");
    await new Promise((done) => setTimeout(done, 5));
    throw new RangeError(event);
});""")
        for message in ("bad", "long " * 5000):
            document = self.fails(name, message)
            self.assertEqual((document["errorType"], document["errorMessage"][:1000]), ("RangeError", message[:1000]))

    def test_a_stream_reaches_its_caller_as_it_is_written(self):
        name = self.create("""export const handler = awslambda.streamifyResponse(async (event, out) => {
    for (let i = 0; i < 3; ++i) {
        out.write(`part ${i}\\n`);
        await new Promise((done) => setTimeout(done, 50));
    }
    if (event === "fail") throw new RangeError("as asked");
    if (event > 0) out.write("x".repeat(event));
    out.end();
});""")
        parts = b"part 0\npart 1\npart 2\n"
        for event in (0, 20 << 20):
            status, headers, events, reads = self.server.stream(name, event)
            self.assertEqual((status, headers["Content-Type"]), (200, "application/vnd.amazon.eventstream"))
            self.assertEqual(headers["X-Amz-Executed-Version"], "$LATEST")
            self.assertEqual(b"".join(payload for kind, payload in events if kind == "PayloadChunk"), parts + b"x" * event)
            self.assertEqual(events[-1][0], "InvokeComplete")
            last = json.loads(events[-1][1])
            self.assertEqual(list(last), ["LogResult"])
            self.assertIn("REPORT RequestId", base64.b64decode(last["LogResult"]).decode())
        self.assertEqual(events[0], ("PayloadChunk", b"part 0\n"))  # not kept until the end
        _, _, events, _ = self.server.stream(name, "fail")
        self.assertEqual(b"".join(payload for kind, payload in events[:-1]), parts)
        last = json.loads(events[-1][1])
        self.assertEqual((last["ErrorCode"], json.loads(last["ErrorDetails"])["errorType"]), ("Unhandled", "RangeError"))
        # One that does not stream, and one that is not there.
        name = self.create("export const handler = async (event) => event;")
        self.assertEqual(self.server.stream(name, [1])[2][0], ("PayloadChunk", b"[1]"))
        status, _, events, _ = self.server.stream("absent")
        self.assertEqual((status, json.loads(events[0][1])["Type"]), (404, "User"))

    def test_a_function_url_streams_head_and_body_as_they_are_written(self):
        name = self.create("""export const handler = awslambda.streamifyResponse(async (event, out) => {
    if (event.rawPath === "/early") throw new RangeError("as asked");
    if (event.rawPath !== "/plain") out = awslambda.HttpResponseStream.from(out,
        {statusCode: 201, headers: {"Content-Type": "text/event-stream", "X-Mine": "a"}, cookies: ["a=b", "c=d; Secure"]});
    else out.setContentType("text/plain");
    for (let i = 0; i < 3; ++i) {
        out.write(`data: ${i}\\n\\n`);
        await new Promise((done) => setTimeout(done, 50));
    }
    if (event.rawPath === "/late") throw new RangeError("as asked");
    if (event.rawPath === "/large") out.write("x".repeat(20 << 20));
    out.end();
});""")
        parts = b"data: 0\n\ndata: 1\n\ndata: 2\n\n"
        for path, more in ("/", b""), ("/large", b"x" * (20 << 20)):
            status, headers, pieces, whole = self.server.stream_url(name, path)
            self.assertEqual((status, headers["Content-Type"], headers["X-Mine"]), (201, "text/event-stream", "a"))
            self.assertEqual(headers.get_all("Set-Cookie"), ["a=b", "c=d; Secure"])
            self.assertTrue(whole)
            self.assertEqual(pieces[0], b"data: 0\n\n")  # not kept until the end
            self.assertTrue(b"".join(pieces) == parts + more)
        status, headers, pieces, whole = self.server.stream_url(name, "/plain")
        self.assertEqual((status, headers["Content-Type"], b"".join(pieces)), (200, "text/plain", parts))
        status, headers, pieces, whole = self.server.stream_url(name, "/late")
        self.assertEqual((status, b"".join(pieces), whole), (201, parts, False))
        status, headers, pieces, whole = self.server.stream_url(name, "/early")
        self.assertEqual((status, b"".join(pieces), whole), (502, b"Internal Server Error", True))

    def test_commonjs_callbacks_and_streams(self):
        name = self.create({"index.js": """
exports.handler = (event, context, callback) => { setTimeout(() => callback(null, event), 5); };"""})
        self.assertEqual(self.responds(name, [1]), [1])
        name = self.create("""export const handler = awslambda.streamifyResponse(async (event, out) => {
    out.write("[1,"); out.write("2]"); out.end(); });""")
        self.assertEqual(self.responds(name), [1, 2])

    def test_what_keeps_a_function_from_starting_is_its_state(self):
        good = "export const handler = async () => 1;"
        for source, handler, kind in (({"index.js": "require('absent')"}, None, "Runtime.ImportModuleError"),
                                      ("export const f = (", None, "Runtime.UserCodeSyntaxError"),
                                      (good, "index.go", "Runtime.HandlerNotFound")):
            with self.subTest(kind):
                self.create(source, handler, wanted="Failed")
                self.assertIn(kind, self.configuration["StateReason"])


if __name__ == "__main__":
    if harness.has_kvm():
        managed_node.runtime = first_present("nodejs20.x", "nodejs22.x", "nodejs18.x", "nodejs24.x")
        if not managed_node.runtime:
            print("skipped: no Node that a managed runtime is made of")
            sys.exit(harness.SKIPPED)
    harness.main()
