"""The client for Python functions, natively: under whatever Python runs this."""

import json
import re
import sys
import unittest

from fake_api import CLIENTS, client_test, function


def python(source, handler="lambda_function.lambda_handler", **options):
    files = source if isinstance(source, dict) else {"lambda_function.py": source}
    return function([sys.executable, CLIENTS / "python/bootstrap.py"], files, handler, **options)


class python_client(client_test):
    def test_events_are_answered_one_after_the_other_on_one_connection(self):
        with python("def lambda_handler(event, context): return event") as f:
            for event in ({}, {"a": [1, "ü", None]}, "x" * 300_000, None):
                self.assertEqual(self.responds(f.invoke(event)), event)
            self.assertEqual(f.api.connections, 1)
            self.assertEqual(f.api.requests[:2], ["restore/next", "invocation/next"])

    def test_a_host_without_snapshots_will_do(self):
        with python("def lambda_handler(event, context): return 1", restore=False) as f:
            self.assertEqual(self.responds(f.invoke()), 1)

    def test_the_context_is_lambdas(self):
        source = """
def lambda_handler(event, c):
    return [c.aws_request_id, c.function_name, c.function_version, c.memory_limit_in_mb, c.invoked_function_arn,
            c.log_group_name, c.log_stream_name, c.client_context.custom, c.client_context.client.app_title,
            c.identity.cognito_identity_id, 4000 < c.get_remaining_time_in_millis() <= 5000, "LambdaContext" in repr(c)]
"""
        with python(source) as f:
            post = f.invoke({}, Client_Context='{"custom":{"k":"v"},"client":{"app_title":"t"}}',
                            Cognito_Identity='{"cognitoIdentityId":"c"}')
            self.assertEqual(self.responds(post), [
                post.path.split("/")[1], "f", "7", "256", "arn:aws:lambda:us-east-1:0:function:f", "/aws/lambda/f", None,
                {"k": "v"}, "t", "c", True, True])
            # Without the headers there is no client context, and what has passed is not negative.
            with python("def lambda_handler(e, c): return [c.client_context, c.get_remaining_time_in_millis()]") as g:
                self.assertEqual(self.responds(g.invoke({}, Deadline_Ms=1)), [None, 0])

    def test_a_handler_may_stand_in_a_package(self):
        files = {"pkg/__init__.py": "", "pkg/module.py": "from pkg import other\ndef go(e, c): return other.x",
                 "pkg/other.py": "x = 5"}
        for handler in ("pkg/module.go", "pkg.module.go"):
            with python(files, handler) as f:
                self.assertEqual(self.responds(f.invoke()), 5)

    def test_an_error_of_the_handler_has_its_type_message_and_own_frames(self):
        with python("""
class Oops(Exception): pass
def inner(): raise Oops("bad\\nthing")
def lambda_handler(event, context): inner()
""") as f:
            post = f.invoke({})
            document = self.fails(post, "Oops", "bad\nthing")
            self.assertEqual(document["requestId"], post.path.split("/")[1])
            self.assertEqual(len(document["stackTrace"]), 2)
            self.assertRegex(document["stackTrace"][0], r'^  File ".*/lambda_function\.py", line 4, in lambda_handler\n')
            self.assertIn('raise Oops("bad', document["stackTrace"][1])
            self.assertIn("[ERROR] Oops: bad\nthing\nTraceback (most recent call last):\n  File", f.log())
            self.fails(f.invoke({}), "Oops", "bad\nthing")  # and it goes on

    def test_what_json_cannot_say_is_a_marshal_error(self):
        with python("def lambda_handler(event, context): return eval(event)") as f:
            self.fails(f.invoke("{1}"), "Runtime.MarshalError",
                       "Unable to marshal response: Object of type set is not JSON serializable")
            self.fails(f.invoke("[b'']"), "Runtime.MarshalError",
                       "Unable to marshal response: Object of type bytes is not JSON serializable")
            self.assertEqual(f.invoke("b'\\xff as it is'").body, b"\xff as it is")
            numbers = "[D('1.50'), D('-3'), D('1e30')] if (D := __import__('decimal').Decimal) else 0"
            self.assertEqual(f.invoke(numbers).body, b"[1.5, -3, 1000000000000000000000000000000]")
            self.fails(f.invoke("__import__('decimal').Decimal('NaN')"), "Runtime.MarshalError",
                       "Unable to marshal response: Out of range float values are not JSON compliant")
            self.assertIn("Runtime.MarshalError", f.invoke("float('nan')").json()["errorType"])
            self.fails(f.invoke(b"{"), "Runtime.UnmarshalError",
                       "Unable to unmarshal input: Expecting property name enclosed in double quotes: "
                       "line 1 column 2 (char 1)")

    def test_infinite_recursion_is_an_error_and_no_end(self):
        with python("""
def dive(n): return dive(n + 1)
def lambda_handler(event, context): return dive(0) if event else "fine"
""") as f:
            document = self.fails(f.invoke(1), "RecursionError", "maximum recursion depth exceeded")
            self.assertLess(len(document["stackTrace"]), 20)
            self.assertEqual(self.responds(f.invoke(0)), "fine")

    def test_sys_exit_ends_the_process_with_its_status(self):
        with python("import sys\ndef lambda_handler(event, context): sys.exit(event)") as f:
            f.offer(3)
            self.assertEqual(f.ended(), 3)
            self.assertTrue(f.api.posts.empty())
        with python("import sys; sys.exit(4)") as f:
            self.assertEqual(f.ended(), 4)
            self.assertTrue(f.api.posts.empty())

    def init_fails(self, source, kind, message, handler="lambda_function.lambda_handler"):
        with python(source, handler) as f:
            post = f.posted()
            self.assertEqual(post.path, "init/error")
            document = self.fails(post, kind, message) if isinstance(message, str) else post.json()
            if not isinstance(message, str):
                self.assertEqual(document["errorType"], kind)
                self.assertRegex(document["errorMessage"], message)
            self.assertEqual(f.ended(), 1)
            self.assertIn(f"[ERROR] {kind}: ", f.log())
            return document

    def test_what_keeps_a_handler_from_being_found_is_told_at_init(self):
        good = "x = 1\ndef lambda_handler(event, context): pass"
        self.init_fails("import absent", "Runtime.ImportModuleError",
                        "Unable to import module 'lambda_function': No module named 'absent'")
        self.init_fails(good, "Runtime.ImportModuleError", "Unable to import module 'other': No module named 'other'",
                        "other.handler")
        document = self.init_fails("def f(:", "Runtime.UserCodeSyntaxError",
                                   re.compile(r"^Syntax error in module 'lambda_function': .* \(lambda_function.py, line 1\)$"))
        self.assertRegex(document["stackTrace"][0], r'^  File ".*lambda_function.py" Line 1\n    def f\(:')
        self.init_fails(good, "Runtime.HandlerNotFound", "Handler 'go' missing on module 'lambda_function'",
                        "lambda_function.go")
        self.init_fails(good, "Runtime.MalformedHandlerName",
                        "Bad handler 'handler': not enough values to unpack (expected 2, got 1)", "handler")
        self.init_fails(good, "Runtime.BuiltInModuleConflict",
                        "Cannot use built-in module sys as a handler module", "sys.exit")
        self.init_fails(good, "ValueError", "Empty module name", ".go")
        with python(good, "lambda_function.x") as f:  # seen when it is called, as on Lambda
            self.fails(f.invoke(), "TypeError", "'int' object is not callable")
        document = self.init_fails("int('x')", "ValueError", "invalid literal for int() with base 10: 'x'")
        self.assertEqual(len(document["stackTrace"]), 1)

    def test_log_lines_are_lambdas_and_whole_at_once(self):
        with python("""
import logging
def lambda_handler(event, context):
    print("plain")
    logging.warning("careful %s", 1)
    logging.getLogger("x").info("not at this level")
    if event: import os; os._exit(9)
""") as f:
            id = f.invoke(0).path.split("/")[1]
            self.assertRegex(f.log(), r"^plain\n\[WARNING\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t%s\tcareful 1\n$" % id)
            f.offer(1)  # dies without a flush
            self.assertEqual(f.ended(), 9)
            self.assertEqual(f.log().count("plain\n"), 2)

    def test_after_a_restore_random_numbers_are_new_and_hooks_have_run(self):
        source = """
import random, snapshot_restore_py as hooks
random.seed(1)
drawn, order = random.Random(1).random(), []
hooks.register_before_snapshot(order.append, "b1")
hooks.register_before_snapshot(order.append, "b2")
hooks.register_after_restore(order.append, "a1")
hooks.register_after_restore(order.append, "a2")
def lambda_handler(event, context): return [random.random() == drawn, order]
"""
        with python(source) as f:
            self.assertEqual(self.responds(f.invoke()), [False, ["b2", "b1", "a1", "a2"]])
        with python(source, restore=False) as f:
            self.assertEqual(self.responds(f.invoke()), [True, ["b2", "b1"]])
        with python(source.replace('order.append, "a1"', "int, 'x'")) as f:
            post = f.posted()
            self.assertEqual(post.path, "restore/error")
            self.assertEqual(post.headers["lambda-runtime-function-error-type"], "Runtime.AfterRestoreError")
            self.assertEqual((post.json()["errorType"], post.json()["errorMessage"]),
                             ("ValueError", "invalid literal for int() with base 10: 'x'"))
            self.assertEqual(f.ended(), 65)
        with python(source.replace('order.append, "b1"', "int, 'x'")) as f:
            post = f.posted()
            self.assertEqual(post.path, "init/error")
            self.assertEqual(post.headers["lambda-runtime-function-error-type"], "Runtime.BeforeSnapshotError")
            self.assertEqual(f.ended(), 64)

    def test_log_lines_may_be_json_and_have_a_level(self):
        with python("""
import logging
log = logging.getLogger("own")
def lambda_handler(event, context):
    print("plain")
    log.info("hello %s", event, extra={"order": 7})
    log.debug("below the level")
    try: 1 / 0
    except ZeroDivisionError: log.exception("oops")
    raise KeyError("k")
""", environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"}) as f:
            post = f.invoke("ü", Aws_Tenant_Id="blue")
            lines = f.log().splitlines()
            self.assertEqual((len(lines), lines[0]), (4, "plain"))
            info, error, raised = map(json.loads, lines[1:])
            for line in (info, error, raised):
                self.assertRegex(line.pop("timestamp"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
                self.assertEqual(line.pop("requestId"), post.path.split("/")[1])
            self.assertEqual(info, {"level": "INFO", "message": "hello ü", "logger": "own", "order": 7, "tenantId": "blue"})
            self.assertEqual((error["errorType"], error["errorMessage"], error["message"], error["level"]),
                             ("ZeroDivisionError", "division by zero", "oops", "ERROR"))
            self.assertIn("lambda_function.py:lambda_handler:9", error["location"])
            self.assertIn("lambda_function.py", error["stackTrace"][0])
            self.assertEqual((raised["level"], raised["errorType"], raised["errorMessage"]), ("ERROR", "KeyError", "'k'"))

    def test_a_function_may_change_its_logs_format_and_close_it(self):
        with python("""
import logging, sys
logging.getLogger().handlers[0].setFormatter(logging.Formatter("mine: %(message)s"))
def lambda_handler(event, context):
    logging.error("first")
    logging.error("second")
    if event: sys.stdout.close()
    return context.tenant_id
""") as f:
            self.assertEqual(self.responds(f.invoke(0, Aws_Tenant_Id="t")), "t")
            self.assertEqual(f.log(), "mine: first\nmine: second\n")
            self.assertEqual(self.responds(f.invoke(1)), None)
            self.assertEqual(self.responds(f.invoke(0)), None)

    def test_the_trace_id_is_in_the_environment_of_its_event_only(self):
        with python("import os\ndef lambda_handler(e, c): return os.environ.get('_X_AMZN_TRACE_ID')") as f:
            self.assertEqual(self.responds(f.invoke({}, Trace_Id="Root=1")), "Root=1")
            self.assertEqual(self.responds(f.invoke({})), None)

    def test_layers_come_before_the_interpreters_own_and_after_the_function(self):
        with python("import sys\ndef lambda_handler(e, c): return sys.path") as f:
            paths = self.responds(f.invoke())
            version = "python%d.%d" % sys.version_info[:2]
            self.assertEqual(paths[1:3], [f"/opt/python/lib/{version}/site-packages", "/opt/python"])
            self.assertEqual(paths[0], f.directory.name)
            self.assertEqual(paths[-1], str(CLIENTS / "python"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
