"""Lambda's runtime interface for Python functions: imports the handler and answers events.

Runs as /var/runtime/bootstrap.py in the function's microVM, where a system call costs more than most
lines of Python: one connection for good, and the answer to an event and the request for the next leave
in one send. Imports nothing that functions do not pay for anyway.

What functions and callers see (error types and documents, the context object, log lines) is as in AWS's
own client; see the Lambda guide, "Building Lambda functions with Python", and aws-lambda-python-
runtime-interface-client.
"""

import sys

# Before anything else is imported from there: the function's own directory comes first, as on Lambda.
_here = sys.path[0] if sys.path else ""

import gc
import importlib
import json
import logging
import os
import random
import socket
import time

API = "/2018-06-01/runtime/"


class Fault(Exception):
    """What the caller is to be told, in Lambda's words."""

    def __init__(self, kind, message, trace=()):
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, list(trace)


class Connection:
    """HTTP/1.1 to the Runtime API, as little of it as that takes. Answers come with a Content-Length."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.host = address
        self.socket = socket.create_connection((host or address, int(port or 80)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        self.next = self.get("invocation/next")

    def get(self, path):
        return f"GET {API}{path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode()

    def post(self, path, body, error_type=None):
        head = f"POST {API}{path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
        if error_type:
            head += f"Lambda-Runtime-Function-Error-Type: {error_type}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def send(self, request):
        self.socket.sendall(request)

    def receive(self):
        """(status, headers by lower-case name, body) of the next answer."""
        data = self.rest
        while (end := data.find(b"\r\n\r\n")) < 0:
            data += self._some()
        lines = data[:end].decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        size = int(headers.get("content-length", 0))
        start = end + 4
        if len(data) - start < size:
            whole = bytearray(size)
            have = len(data) - start
            whole[:have] = data[start:]
            view = memoryview(whole)
            while have < size:
                n = self.socket.recv_into(view[have:])
                if n == 0:
                    raise ConnectionError("the Runtime API closed the connection")
                have += n
            body, self.rest = bytes(whole), b""
        else:
            body, self.rest = data[start:start + size], data[start + size:]
        return int(lines[0].split(" ", 2)[1]), headers, body

    def _some(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the Runtime API closed the connection")
        return data


# -- What handlers are given

class _Fields:
    _names = ()

    def __init__(self, values):
        for name in self._names:
            setattr(self, name, values.get(name))

    def __repr__(self):
        return f"{type(self).__name__}([{','.join(f'{n}={getattr(self, n)}' for n in self._names)}])"


class Client(_Fields):
    _names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")


class ClientContext(_Fields):
    _names = ("custom", "env", "client")

    def __init__(self, values):
        super().__init__(values)
        if isinstance(self.client, dict):
            self.client = Client(self.client)


class CognitoIdentity:
    def __init__(self, values):
        self.cognito_identity_id = values.get("cognitoIdentityId")
        self.cognito_identity_pool_id = values.get("cognitoIdentityPoolId")


class LambdaContext:
    def __init__(self, headers):
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id", "")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn", "")
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", 0))
        environment = os.environ
        self.function_name = environment.get("AWS_LAMBDA_FUNCTION_NAME")
        self.function_version = environment.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.memory_limit_in_mb = environment.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.log_group_name = environment.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environment.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.identity = CognitoIdentity(_object(headers.get("lambda-runtime-cognito-identity"), "Cognito Identity"))
        context = headers.get("lambda-runtime-client-context")
        self.client_context = ClientContext(_object(context, "Client Context")) if context else None

    def get_remaining_time_in_millis(self):
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext([" + ",".join(
            f"{name}={getattr(self, name)}" for name in (
                "aws_request_id", "log_group_name", "log_stream_name", "function_name", "memory_limit_in_mb",
                "function_version", "invoked_function_arn", "client_context", "identity", "tenant_id")) + "])"


def _object(text, name):
    """A header's JSON object. Header bytes are Latin-1 to us and UTF-8 to who wrote them."""
    if not text:
        return {}
    try:
        value = json.loads(text.encode("latin-1"))
    except Exception as e:
        raise Fault("Runtime.LambdaContextUnmarshalError", f"Unable to parse {name} JSON: {e}") from e
    return value if isinstance(value, dict) else {}


# -- Logging

_request_id = ""
_tenant_id = None
_json_lines = os.environ.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON"


def write_line(text):
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        pass  # the function has closed its log


class LambdaLoggerHandler(logging.Handler):
    def emit(self, record):
        try:
            write_line(self.format(record).removesuffix("\n"))  # a formatter of the function's own may end it
        except Exception:
            self.handleError(record)


class LambdaLoggerFilter(logging.Filter):
    def filter(self, record):
        record.aws_request_id = _request_id
        record.tenant_id = _tenant_id
        return True


def timestamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


class JsonFormatter(logging.Formatter):
    """A JSON object a line; what a call gave as `extra` stands beside Lambda's own names."""

    _own = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "aws_request_id", "tenant_id"}

    def format(self, record):
        level = min(50, max(0, record.levelno)) // 10 * 10
        line = {"timestamp": timestamp(record.created), "level": logging.getLevelName(level),
                "message": record.getMessage(), "logger": record.name}
        if record.exc_info and record.exc_info[0]:
            import traceback
            kind, error, trace = record.exc_info
            line.update(stackTrace=traceback.format_tb(trace), errorType=kind.__name__, errorMessage=str(error))
        line["requestId"] = record.aws_request_id
        if record.exc_info:
            line["location"] = f"{record.pathname}:{record.funcName}:{record.lineno}"
        if record.tenant_id is not None:
            line["tenantId"] = record.tenant_id
        for name, value in vars(record).items():
            if name not in self._own and value is not None:
                line.setdefault(name, value)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logging():
    # A line reaches the log when it is whole: one call each, and none is lost when the function dies.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    handler.setFormatter(JsonFormatter() if _json_lines else logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s", "%Y-%m-%dT%H:%M:%S"))
    handler.addFilter(LambdaLoggerFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper().replace("TRACE", "DEBUG")
    if isinstance(logging.getLevelName(level), int):
        root.setLevel(level)


# -- Errors

def frames_of(error):
    """The function's own part of a traceback, a string for each frame as traceback prints them."""
    import traceback
    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename == __file__:
        del frames[0]
    frames[:] = [f for f in frames if not f.filename.startswith("<frozen importlib") and f.filename != importlib.__file__]
    return frames.format()


def describe(error):
    """(errorType, errorMessage, stackTrace)"""
    if isinstance(error, Fault):
        return error.kind, error.message, error.trace
    try:
        message = str(error)
    except Exception:
        message = "<unprintable>"
    return type(error).__name__, message, frames_of(error)


def report(error, request_id):
    """Logs the error; its document and type for the Runtime API."""
    kind, message, trace = describe(error)
    document = {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": trace}
    if _json_lines:
        write_line(json.dumps({"timestamp": timestamp(time.time()), "level": "ERROR", **document}))
    else:
        lines = [f"[ERROR] {kind}: {message}" if message else f"[ERROR] {kind}", "Traceback (most recent call last):"]
        for frame in trace:
            lines += frame.splitlines()
        write_line("\n".join(lines))
    body = json.dumps(document)
    # A header takes no line breaks; a class may be called anything.
    return body.encode("utf-8", "replace"), "".join(c for c in kind if "!" <= c <= "~")


# -- The function

def find_handler(name):
    module_name, dot, attribute = name.rpartition(".")
    if not dot:
        raise Fault("Runtime.MalformedHandlerName",
                    f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)")
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault("Runtime.BuiltInModuleConflict",
                    f"Cannot use built-in module {module_name} as a handler module")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as e:
        raise Fault("Runtime.ImportModuleError",
                    f"Unable to import module '{module_name}': {e}", frames_of(e)) from e
    except SyntaxError as e:
        raise Fault("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {e}",
                    [f'  File "{e.filename}" Line {e.lineno}\n    {e.text}']) from e
    try:
        return getattr(module, attribute)  # whether it can be called is seen when it is
    except AttributeError:
        raise Fault("Runtime.HandlerNotFound",
                    f"Handler '{attribute}' missing on module '{module_name}'") from None


def number(value):
    """What json has no word for. A Decimal is a number to who reads it; beyond a float's 17 digits it is rounded."""
    if (decimal := sys.modules.get("decimal")) and isinstance(value, decimal.Decimal):
        whole = value.is_finite() and value.adjusted() < 400 and value == value.to_integral_value()
        return int(value) if whole else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


encode = json.JSONEncoder(allow_nan=False, default=number).encode


def renew_randomness():
    """A clone must not draw the numbers that its siblings draw. What comes from the kernel is new anyway."""
    random.seed()
    if tempfile := sys.modules.get("tempfile"):
        tempfile._name_sequence = None
    if ssl := sys.modules.get("ssl"):
        ssl.RAND_add(os.urandom(32), 32.0)  # OpenSSL's generators reseed when their parent was


def wait_for_restore(connection, hooks):
    """Offers this process to be snapshotted, here, before it has seen an event."""
    warm_up(connection)
    gc.collect()
    gc.freeze()  # the collector does not touch, and so copy, what the snapshot holds
    run_hooks(connection, reversed(hooks.before) if hooks else (), "init/error", "Runtime.BeforeSnapshotError", 64)
    connection.send(connection.get("restore/next"))
    status, _, _ = connection.receive()
    if status != 200:
        return  # no snapshots here
    renew_randomness()
    run_hooks(connection, hooks.after if hooks else (), "restore/error", "Runtime.AfterRestoreError", 65)


def run_hooks(connection, hooks, where, kind, status):
    try:
        for hook, arguments, named in hooks:
            hook(*arguments, **named)
    except BaseException as e:
        body, _ = report(e, "")
        connection.send(connection.post(where, body, kind))
        connection.receive()
        sys.exit(status)


def answer(handler, headers, body):
    """(path, body, error type) of what to post for an event."""
    global _request_id, _tenant_id
    context = None
    _tenant_id = headers.get("lambda-runtime-aws-tenant-id")
    request_id = _request_id = headers.get("lambda-runtime-aws-request-id", "")
    trace_id = headers.get("lambda-runtime-trace-id")
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        context = LambdaContext(headers)
        try:
            event = json.loads(body)
        except Exception as e:
            raise Fault("Runtime.UnmarshalError", f"Unable to unmarshal input: {e}") from e
        result = handler(event, context)
        if isinstance(result, bytes):
            return "response", result, None  # as it is, whatever it is
        try:
            reply = encode(result).encode()
        except Exception as e:
            raise Fault("Runtime.MarshalError", f"Unable to marshal response: {e}") from e
        return "response", reply, None
    except Exception as e:
        reply, kind = report(e, request_id)
        return "error", reply, kind


def warm_up(connection):
    """Takes the way of an event once, without one: in a clone of the snapshot, code and data that were never
    touched cost a page fault each."""
    global _request_id
    body = b'{"warm": [1, 2.5, "up", null, true]}'
    connection.rest = (b"HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: \r\nLambda-Runtime-Deadline-Ms: 1\r\n"
                       b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    _, headers, body = connection.receive()
    _, reply, _ = answer(lambda event, context: (event, context.get_remaining_time_in_millis()), headers, body)
    connection.post("invocation/0/response", reply)
    handler = logging.getLogger().handlers[0]
    record = logging.getLogger().makeRecord("", logging.INFO, "", 0, "%s", ("",), None)
    handler.filter(record)
    handler.format(record)
    state = random.getstate()
    random.seed()
    random.setstate(state)


def main():
    root = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
    layers = f"/opt/python/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    own = [p for p in sys.path if p != _here]
    sys.path[:] = [root, layers, "/opt/python"] + own + ([_here] if _here else [])
    set_up_logging()
    connection = Connection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = find_handler(os.environ.get("_HANDLER", ""))
    except Exception as e:
        body, kind = report(e, "")
        connection.send(connection.post("init/error", body, kind))
        connection.receive()
        sys.exit(1)
    wait_for_restore(connection, sys.modules.get("snapshot_restore_py"))
    connection.send(connection.next)
    while True:
        status, headers, body = connection.receive()
        if status != 200:
            sys.exit(f"the Runtime API answered {status} to next")
        request_id = headers.get("lambda-runtime-aws-request-id", "")
        path, reply, error_type = answer(handler, headers, body)
        del headers, body
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass  # closed by the function
        # What comes back for the post says nothing that could be acted on.
        connection.send(connection.post(f"invocation/{request_id}/{path}", reply, error_type) + connection.next)
        del reply
        connection.receive()


if __name__ == "__main__":
    main()
