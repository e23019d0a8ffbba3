"""The client for Node functions, natively: under the node that is in PATH."""

import json
import shutil
import subprocess
import sys
import unittest

from fake_api import CLIENTS, client_test, function

NODE = next((n for n in ("/usr/bin/node", shutil.which("node"), shutil.which("nodejs")) if n and shutil.which(n)), None)


def node(source, handler="index.handler", name="index.mjs", **options):
    files = source if isinstance(source, dict) else {name: source}
    return function([NODE, CLIENTS / "node/bootstrap.mjs"], files, handler, **options)


class node_client(client_test):
    def test_events_are_answered_one_after_the_other_on_one_connection(self):
        with node("export const handler = async (event) => event;") as f:
            for event in ({}, {"a": [1, "ü", None]}, "x" * 300_000, None):
                self.assertEqual(self.responds(f.invoke(event)), event)
            self.assertEqual(f.api.connections, 1)
            self.assertEqual(f.api.requests[:2], ["restore/next", "invocation/next"])

    def test_modules_of_both_kinds_are_found(self):
        esm, cjs = "export const handler = async () => 'esm';", "exports.handler = async () => 'cjs';"
        for files, handler, expected in (
                ({"index.js": cjs}, "index.handler", "cjs"), ({"index.cjs": cjs}, "index.handler", "cjs"),
                ({"index.js": esm, "package.json": '{"type":"module"}'}, "index.handler", "esm"),
                ({"src/app.js": cjs}, "src/app.handler", "cjs"),
                ({"a.js": "exports.b = {c: async () => 'deep'};"}, "a.b.c", "deep"),
                ({"index.mjs": "import x from 'dep'; export const handler = async () => x;",
                  "node_modules/dep/index.js": "module.exports = 'dep';"}, "index.handler", "dep"),
                ({"index.js": "exports.handler = async () => require('layered');"}, "index.handler", "layer")):
            layers = {"layer/layered.js": "module.exports = 'layer';"}
            with self.subTest(handler=handler, files=list(files)):
                f = node({**files, **layers}, handler, environment={"NODE_PATH": "./layer"})
                with f:
                    self.assertEqual(self.responds(f.invoke()), expected)

    def test_callbacks_wait_for_the_event_loop_unless_told_not_to(self):
        with node("""
exports.handler = (event, context, callback) => {
    const order = [];
    if (event.quick) context.callbackWaitsForEmptyEventLoop = false;
    setTimeout(() => order.push("later"), 100);
    if (event.nothing) return;
    callback(event.error && new TypeError("no"), event.undefined ? undefined : order);
};""", name="index.js") as f:
            self.assertEqual(self.responds(f.invoke({})), ["later"])
            self.assertEqual(self.responds(f.invoke({"quick": 1})), [])
            self.assertEqual(self.responds(f.invoke({"nothing": 1})), None)
            self.assertEqual(self.responds(f.invoke({"undefined": 1})), None)
            self.fails(f.invoke({"error": 1}), "TypeError", "no")

    def test_errors_have_their_type_message_and_trace(self):
        with node("""
class Oops extends Error { constructor(m) { super(m); this.name = "Oops"; } }
export const handler = async (how) => {
    if (how === "throw") throw new Oops("bad");
    if (how === "string") throw "words";
    if (how === "null") throw null;
    if (how === "undefined") throw undefined;
    if (how === "object") throw {a: 1};
    if (how === "circular") { const a = {}; a.a = a; return a; }
    if (how === "dive") { const dive = () => dive() + 1; return dive(); }
    if (how === "never") return new Promise(() => {});
    return "fine";
};""") as f:
            document = self.fails(f.invoke("throw"), "Oops", "bad")
            self.assertEqual(document["trace"][0], "Oops: bad")
            self.assertIn("index.mjs:4", document["trace"][1])
            self.assertRegex(f.log(), r'\tERROR\tInvoke Error \t\{"errorType":"Oops","errorMessage":"bad"')
            self.fails(f.invoke("string"), "string", "words")
            for how in ("null", "undefined"):
                self.fails(f.invoke(how), "string", "handled")
            self.fails(f.invoke("object"), "object", "[object Object]")
            document = f.invoke("circular").json()
            # The class has its own name in AWS's client for Node.js 24 only.
            self.assertIn(document["errorType"], ("Error", "Runtime.JSONStringifyError"))
            self.assertEqual(document["errorMessage"], "Unable to stringify response body")
            self.assertIn("Converting circular structure to JSON", f.log())
            self.fails(f.invoke("dive"), "RangeError", "Maximum call stack size exceeded")
            self.assertEqual(f.invoke("never").json()["errorType"], "Node.js.Exit")
            self.assertEqual(f.invoke(b"{").json()["errorType"], "Runtime.UnmarshalError")
            self.assertEqual(self.responds(f.invoke("go on")), "fine")

    def test_what_nobody_catches_is_reported_and_ends_the_process(self):
        source = """export const handler = (event) => new Promise(() => {
    if (event) Promise.reject(new Error("lost")); else setTimeout(() => { throw new RangeError("far"); }, 10);
    setTimeout(() => {}, 5000);
});"""
        with node(source) as f:
            self.fails(f.invoke(1), "Runtime.UnhandledPromiseRejection", "Error: lost")
            self.assertEqual(f.ended(), 128)
            self.assertIn("Unhandled Promise Rejection", f.log())
        with node(source) as f:
            self.fails(f.invoke(0), "RangeError", "far")
            self.assertEqual(f.ended(), 129)

    def test_what_keeps_a_handler_from_being_found_is_told_at_init(self):
        good = "export const x = 1; export const handler = async () => 1;"
        for source, handler, kind, message in (
                # As AWS's client has it: only what require did not find is an ImportModuleError.
                ("import 'absent';", "index.handler", "Error", "Cannot find package 'absent' imported from "),
                ({"index.js": "require('absent')"}, "index.handler", "Runtime.ImportModuleError",
                 "Error: Cannot find module 'absent'\nRequire stack:\n- "),
                (good, "other.handler", "Runtime.ImportModuleError", "Error: Cannot find module 'other'"),
                ("export const f = (", "index.handler", "Runtime.UserCodeSyntaxError", "SyntaxError: "),
                (good, "index.go", "Runtime.HandlerNotFound", "index.go is undefined or not exported"),
                (good, "index.x", "Runtime.HandlerNotFound", "index.x is not a function"),
                (good, "handler", "Runtime.MalformedHandlerName", "Bad handler"),
                (good, "../index.handler", "Runtime.MalformedHandlerName", "is not a valid handler name"),
                ("throw new TypeError('early');", "index.handler", "TypeError", "early")):
            with self.subTest(handler=handler, kind=kind), node(source, handler) as f:
                post = f.posted()
                self.assertEqual(post.path, "init/error")
                document = post.json()
                self.assertEqual(document["errorType"], kind, document)
                self.assertIn(message, document["errorMessage"])
                self.assertEqual(f.ended(), 1)

    def test_the_context_and_the_log_are_lambdas(self):
        with node("""export const handler = async (event, c) => {
    console.log("hello", {a: 1}); console.warn("w");
    return [c.awsRequestId, c.functionName, c.functionVersion, c.memoryLimitInMB, c.invokedFunctionArn, c.logGroupName,
            c.clientContext, c.identity, c.getRemainingTimeInMillis() > 4000, process.env._X_AMZN_TRACE_ID];
};""") as f:
            post = f.invoke({}, Client_Context='{"custom":{"k":"v"}}', Cognito_Identity='{"cognitoIdentityId":"c"}',
                            Trace_Id="Root=1")
            id = post.path.split("/")[1]
            self.assertEqual(self.responds(post), [
                id, "f", "7", "256", "arn:aws:lambda:us-east-1:0:function:f", "/aws/lambda/f", {"custom": {"k": "v"}},
                {"cognitoIdentityId": "c"}, True, "Root=1"])
            stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
            self.assertRegex(f.log(), rf"^{stamp}\t{id}\tINFO\thello {{ a: 1 }}\n{stamp}\t{id}\tWARN\tw\n$")

    def test_log_lines_may_be_json_and_have_a_level(self):
        with node("""export const handler = async (event, c) => {
    console.log({ a: [1] }); console.info("n %d", 2, new RangeError("r")); console.debug("below"); console.log(1n);
    if (event) throw new TypeError("bad");
    return c.tenantId;
};""", environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}) as f:
            post = f.invoke(1, Aws_Tenant_Id="blue")
            lines = [json.loads(line) for line in f.log().splitlines()]
            for line in lines:
                self.assertRegex(line.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertEqual((line.pop("requestId"), line.pop("tenantId")), (post.path.split("/")[1], "blue"))
            self.assertEqual(lines[0], {"level": "INFO", "message": {"a": [1]}})
            self.assertEqual((lines[1]["errorType"], lines[1]["errorMessage"]), ("RangeError", "r"))
            self.assertEqual(lines[2], {"level": "INFO", "message": "1n"})
            self.assertEqual((lines[3]["level"], lines[3]["message"]["errorType"], len(lines)), ("ERROR", "TypeError", 4))
            self.assertEqual(self.responds(f.invoke(0, Aws_Tenant_Id="red")), "red")

    def test_responses_are_streamed(self):
        with node("""import { pipeline } from "node:stream/promises";
import { Readable } from "node:stream";
export const handler = awslambda.streamifyResponse(async (event, out, context) => {
    if (event === "early") throw new Error("before");
    if (event === "http") out = awslambda.HttpResponseStream.from(out, {statusCode: 201});
    else out.setContentType("text/plain");
    if (event === "pipe") return pipeline(Readable.from(["one ", "two"]), out);
    out.write("one ");
    if (event === "late") throw new Error("after");
    await new Promise((done) => setTimeout(done, 20));
    out.write("two");
    out.end();
});""") as f:
            for event, body in (("write", b"one two"), ("pipe", b"one two"),
                                ("http", b'{"statusCode":201}' + bytes(8) + b"one two")):
                post = f.invoke(event)
                self.assertEqual((post.path.rsplit("/")[-1], post.body), ("response", body))
                self.assertEqual(post.headers["lambda-runtime-function-response-mode"], "streaming")
                self.assertEqual(post.headers["content-type"], "text/plain" if event != "http" else
                                 "application/vnd.awslambda.http-integration-response")
            self.fails(f.invoke("early"), "Error", "before")
            post = f.invoke("late")
            self.assertEqual(post.body, b"one ")
            self.assertEqual(post.trailers["lambda-runtime-function-error-type"], "Error")
            self.assertEqual(f.invoke("write").body, b"one two")

    def test_after_a_restore_every_source_of_random_numbers_asks_the_kernel(self):
        source = """import crypto, { randomBytes, randomInt, randomUUID } from "node:crypto";
import fs from "node:fs";
const before = [crypto.randomBytes, crypto.randomInt, crypto.randomFillSync, crypto.randomFill,
                globalThis.crypto.getRandomValues, globalThis.crypto.randomUUID];
const r = Math.random; // ours from the start: who kept it is renewed too
export const handler = async () => {
    const now = [randomBytes, randomInt, crypto.randomFillSync, crypto.randomFill,
                 globalThis.crypto.getRandomValues, globalThis.crypto.randomUUID];
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
    return [before.map((f, i) => f !== now[i]), randomBytes(20).length, [3, 4].includes(randomInt(3, 5)),
            uuid.test(randomUUID()), uuid.test(globalThis.crypto.randomUUID()), r === Math.random, r() < 1,
            await new Promise((done) => randomBytes(7, (e, b) => done(b.length)))];
};"""
        for restore in (True, False):
            with node(source, restore=restore) as f:
                self.assertEqual(self.responds(f.invoke()), [[restore] * 6, 20, True, True, True, True, True, 7])


if __name__ == "__main__":
    if not NODE:
        print("skipped: no node")
        sys.exit(77)
    unittest.main(verbosity=2)
