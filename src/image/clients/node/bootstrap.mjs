// Lambda's runtime interface for Node functions: loads the handler and answers events.
//
// Runs as /var/runtime/bootstrap.mjs in the function's microVM, where a system call costs more than most
// lines of JavaScript: one connection for good, and the answer to an event and the request for the next
// leave in one write. What functions and callers see (error types and documents, the context object, log
// lines) is as in AWS's own client; see the Lambda guide, "Building Lambda functions with Node.js", and
// aws-lambda-nodejs-runtime-interface-client.

import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import util from "node:util";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

import { renewRandomness } from "./random.mjs";
import { HttpResponseStream, ResponseStream, STREAMING } from "./stream.mjs";

const API = "/2018-06-01/runtime/";
let requestId = "", tenantId;

class Fault extends Error {
    constructor(kind, message, stack) {
        super(message);
        this.name = kind;
        if (stack) this.stack = stack;
    }
}

// -- The connection: HTTP/1.1, as little of it as the Runtime API takes. Answers have a Content-Length.

class Connection {
    constructor(address) {
        const colon = address.lastIndexOf(":");
        this.host = address;
        this.waiting = null; // resolves with the next answer
        this.answers = [];
        this.input = Buffer.alloc(0);
        this.socket = net.connect({ host: address.slice(0, colon), port: Number(address.slice(colon + 1)) });
        this.socket.setNoDelay(true);
        this.socket.on("data", (bytes) => this.take(bytes));
        // Without its host there is nothing that this process is for.
        this.socket.on("error", () => process.exit(1));
        this.socket.on("close", () => process.exit(1));
        this.next = this.get("invocation/next");
    }

    get(what) {
        return Buffer.from(`GET ${API}${what} HTTP/1.1\r\nHost: ${this.host}\r\n\r\n`);
    }
    head(what, ...lines) {
        return Buffer.from([`POST ${API}${what} HTTP/1.1`, `Host: ${this.host}`, ...lines, "", ""].join("\r\n"));
    }
    post(what, body, errorType) {
        const bytes = Buffer.from(body);
        const lines = ["Content-Type: application/json", `Content-Length: ${bytes.length}`];
        // A header takes no line breaks; a class may be called anything.
        if (errorType) lines.push(`Lambda-Runtime-Function-Error-Type: ${errorType.replace(/[^!-~]/g, "")}`);
        return Buffer.concat([this.head(what, ...lines), bytes]);
    }

    send(...requests) {
        this.socket.write(requests.length === 1 ? requests[0] : Buffer.concat(requests));
    }

    // While nothing is awaited the socket does not keep the process's event loop alive: an event is over
    // when the loop is empty.
    receive() {
        if (this.answers.length) return Promise.resolve(this.answers.shift());
        this.socket.ref();
        return new Promise((resolve) => (this.waiting = resolve));
    }

    take(bytes) {
        this.input = this.input.length ? Buffer.concat([this.input, bytes]) : bytes;
        for (;;) {
            if (this.missing && this.input.length < this.missing) return;
            const end = this.input.indexOf("\r\n\r\n");
            if (end < 0) return;
            const lines = this.input.latin1Slice(0, end).split("\r\n");
            const headers = new Map();
            for (const line of lines.slice(1)) {
                const colon = line.indexOf(":");
                headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
            }
            const whole = end + 4 + Number(headers.get("content-length") ?? 0);
            if (this.input.length < whole) {
                this.missing = whole; // no second look before it is all there
                return;
            }
            this.missing = 0;
            const body = this.input.subarray(end + 4, whole);
            this.input = this.input.subarray(whole);
            this.answer({ status: Number(lines[0].split(" ")[1]), headers, body });
        }
    }

    answer(a) {
        if (!this.waiting) return void this.answers.push(a);
        const resolve = this.waiting;
        this.waiting = null;
        this.socket.unref();
        resolve(a);
    }
}

// -- Logging: TIMESTAMP, request, level and message, a line a call; or a JSON object, when the function wants that.

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
const jsonLines = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === "JSON";

function write(text) {
    const bytes = Buffer.from(text);
    for (let done = 0; done < bytes.length;) {
        try {
            done += fs.writeSync(1, bytes, done);
        } catch (e) {
            if (e.code !== "EAGAIN") return; // nobody reads the log
        }
    }
}

function jsonError(e) {
    return { errorType: e.constructor?.name ?? "UnknownError", errorMessage: e.message,
             stackTrace: typeof e.stack === "string" ? e.stack.split("\n") : e.stack };
}

function jsonLine(level, message) {
    const line = { timestamp: new Date().toISOString(), level, requestId: requestId || undefined, tenantId };
    if (message.length === 1) {
        try {
            return JSON.stringify({ ...line, message: message[0] }, (_, v) => (isError(v) ? { ...jsonError(v), ...v } : v));
        } catch {
            // what JSON cannot say, text can
        }
    }
    return JSON.stringify({ ...line, message: util.format(...message), ...(message.length > 1 && message.some(isError) && jsonError(message.find(isError))) });
}

function log(level, ...message) {
    write((jsonLines ? jsonLine(level, message) : `${new Date().toISOString()}\t${requestId || undefined}\t${level}\t${util.format(...message)}`) + "\n");
}

function setUpConsole() {
    const least = Math.max(0, LEVELS.indexOf(process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()));
    for (const level of LEVELS) {
        const wanted = LEVELS.indexOf(level) >= least || level === "FATAL";
        console[level.toLowerCase()] = wanted ? (...message) => log(level, ...message) : () => {};
    }
    console.log = console.info;
}

// -- Errors

const isError = (e) => e instanceof Error || util.types.isNativeError(e);

function describe(e) {
    try {
        if (isError(e))
            return { errorType: e.name, errorMessage: String(e.message), trace: String(e.stack ?? e).split("\n") };
        return { errorType: typeof e, errorMessage: e.toString(), trace: [] };
    } catch {
        return { errorType: "handled", errorMessage: "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack" };
    }
}

function formatted(e) {
    const { errorType, errorMessage, trace: stack } = describe(e);
    try {
        return JSON.stringify({ errorType, errorMessage, ...(e.code && { code: e.code }), ...e, stack });
    } catch {
        return JSON.stringify({ errorType, errorMessage, stack });
    }
}

function report(title, e) {
    const error = isError(e) ? e : new Error(e);
    if (jsonLines) console.error(error);
    else console.error("%s", `${title} \t${formatted(error)}`);
    return describe(e);
}

// -- The function

const exists = (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile();

// A .js file is an ES module if the nearest package.json above it says so.
function isModulePackage(file, root) {
    for (let at = path.dirname(file); ; at = path.dirname(at)) {
        const description = path.join(at, "package.json");
        if (exists(description)) {
            try {
                return JSON.parse(fs.readFileSync(description, "utf8")).type === "module";
            } catch {
                return false;
            }
        }
        if (at === root || at === path.dirname(at)) return false;
    }
}

async function loadModule(root, name) {
    const file = path.resolve(root, name);
    const require = createRequire(path.join(root, "bootstrap"));
    if (exists(file)) return require(file);
    if (exists(file + ".js")) {
        if (!isModulePackage(file + ".js", root)) return require(file + ".js");
        return import(pathToFileURL(file + ".js"));
    }
    if (exists(file + ".mjs")) return import(pathToFileURL(file + ".mjs"));
    if (exists(file + ".cjs")) return require(file + ".cjs");
    return require(require.resolve(name, { paths: [root, path.dirname(file)] }));
}

async function findHandler(root, handler) {
    if (handler.includes("..")) throw new Fault("Runtime.MalformedHandlerName", `'${handler}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
    const base = path.basename(handler);
    const dot = base.indexOf(".");
    if (dot <= 0 || dot === base.length - 1) throw new Fault("Runtime.MalformedHandlerName", "Bad handler");
    const name = handler.slice(0, handler.length - base.length) + base.slice(0, dot);
    const inner = base.slice(dot + 1);
    let loaded;
    try {
        loaded = await loadModule(root, name);
    } catch (e) {
        if (e instanceof SyntaxError) throw new Fault("Runtime.UserCodeSyntaxError", String(e), e.stack);
        if (e?.code === "MODULE_NOT_FOUND")
            throw new Fault("Runtime.ImportModuleError", String(e), e.stack);
        throw e;
    }
    const found = inner.split(".").reduce((at, key) => at?.[key], loaded) ?? inner.split(".").reduce((at, key) => at?.[key], loaded?.default);
    if (!found) throw new Fault("Runtime.HandlerNotFound", `${handler} is undefined or not exported`);
    if (typeof found !== "function") throw new Fault("Runtime.HandlerNotFound", `${handler} is not a function`);
    return found;
}

// -- An event

// AWS's client has a name for it since Node.js 24.
const UNSERIALISABLE = Number(process.versions.node.split(".")[0]) < 24 ? "Error" : "Runtime.JSONStringifyError";

const json = (text) => (text ? JSON.parse(Buffer.from(text, "latin1").toString()) : undefined);

function makeContext(headers) {
    const deadline = Number(headers.get("lambda-runtime-deadline-ms") ?? 0);
    const environment = process.env;
    return {
        callbackWaitsForEmptyEventLoop: true,
        functionVersion: environment.AWS_LAMBDA_FUNCTION_VERSION,
        functionName: environment.AWS_LAMBDA_FUNCTION_NAME,
        memoryLimitInMB: environment.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
        logGroupName: environment.AWS_LAMBDA_LOG_GROUP_NAME,
        logStreamName: environment.AWS_LAMBDA_LOG_STREAM_NAME,
        clientContext: json(headers.get("lambda-runtime-client-context")),
        identity: json(headers.get("lambda-runtime-cognito-identity")),
        tenantId,
        invokedFunctionArn: headers.get("lambda-runtime-invoked-function-arn"),
        awsRequestId: requestId,
        getRemainingTimeInMillis: () => deadline - Date.now(),
    };
}

let whenEmpty = null; // what to do when the event loop has nothing left to wait for
process.on("beforeExit", () => {
    const act = whenEmpty;
    whenEmpty = null;
    act?.();
});

/** Resolves with what to post: {value} or {error}. */
function run(handler, event, context) {
    return new Promise((resolve) => {
        let done = false;
        const settle = (outcome) => {
            if (done) return;
            done = true;
            resolve(outcome);
        };
        const wait = (outcome) => {
            if (done) return;
            if (!context.callbackWaitsForEmptyEventLoop || "error" in outcome) return settle(outcome);
            whenEmpty = () => settle(outcome); // the first answer stands
        };
        const outcomeOf = (error, value) => (error === undefined || error === null ? { value } : { error });
        const callback = (error, value) => wait(outcomeOf(error, value));
        // These do not wait for the event loop to be empty.
        context.done = (error, value) => settle(outcomeOf(error, value));
        context.succeed = (value) => settle({ value });
        context.fail = (error) => settle({ error: error ?? "handled" });
        let called = false;
        const once = (error, value) => {
            if (called) return;
            called = true;
            callback(error, value);
        };
        whenEmpty = () => settle({ value: null });
        try {
            const result = handler(event, context, once);
            if (typeof result?.then !== "function") return;
            whenEmpty = () =>
                settle({ error: new Fault("Node.js.Exit", "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#process_exit_codes") });
            result.then(context.succeed, context.fail);
        } catch (error) {
            callback(error);
        }
    });
}

async function stream(connection, handler, event, context, id) {
    const out = new ResponseStream(connection, `invocation/${id}/response`);
    try {
        whenEmpty = () => out.fail(new Error("the event loop was empty before the response stream had ended"));
        await handler(event, out, context);
        // The stream may be ended after the handler has returned.
        await out.ended;
    } catch (error) {
        const described = report("Invoke Error", error);
        if (out.begun) out.abort(described);
        else connection.send(connection.post(`invocation/${id}/error`, JSON.stringify(described), described.errorType));
    }
    whenEmpty = null;
}

async function answer(connection, handler, { headers, body }) {
    requestId = headers.get("lambda-runtime-aws-request-id") ?? "";
    tenantId = headers.get("lambda-runtime-aws-tenant-id");
    const id = requestId;
    const trace = headers.get("lambda-runtime-trace-id");
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    let outcome;
    try {
        const context = makeContext(headers);
        const event = JSON.parse(body.toString());
        if (handler[STREAMING]) {
            await stream(connection, handler, event, context, id);
            return connection.next;
        }
        outcome = await run(handler, event, context);
    } catch (e) {
        outcome = { error: new Fault("Runtime.UnmarshalError", `Unable to unmarshal input: ${e.message}`) };
    }
    whenEmpty = null;
    if (!("error" in outcome)) {
        try {
            const text = JSON.stringify(outcome.value === undefined ? null : outcome.value);
            return Buffer.concat([connection.post(`invocation/${id}/response`, text ?? "null"), connection.next]);
        } catch (e) {
            outcome = { error: new Fault(UNSERIALISABLE, "Unable to stringify response body") };
            outcome.error.cause = String(e); // for the log
        }
    }
    const described = report("Invoke Error", outcome.error);
    return Buffer.concat([
        connection.post(`invocation/${id}/error`, JSON.stringify(described), described.errorType), connection.next]);
}

async function main() {
    setUpConsole();
    const connection = new Connection(process.env.AWS_LAMBDA_RUNTIME_API);
    const root = process.env.LAMBDA_TASK_ROOT ?? "/var/task";
    globalThis.awslambda = {
        streamifyResponse(handler, options) {
            handler[STREAMING] = true;
            if (options?.highWaterMark) handler.highWaterMark = options.highWaterMark;
            return handler;
        },
        HttpResponseStream,
    };

    // What nobody caught ends the process, as on Lambda; who is called is told first.
    let running = false;
    const last = (title, status, kind) => (thrown) => {
        const error = kind ? new Fault(kind, String(thrown), thrown?.stack) : thrown;
        const described = report(title, error);
        const where = running ? `invocation/${requestId}/error` : "init/error";
        connection.socket.write(
            connection.post(where, JSON.stringify(described), described.errorType), () => process.exit(status));
    };
    process.on("uncaughtException", last("Uncaught Exception", 129));
    process.on("unhandledRejection", last("Unhandled Promise Rejection", 128, "Runtime.UnhandledPromiseRejection"));

    let handler;
    try {
        handler = await findHandler(root, process.env._HANDLER ?? "");
    } catch (e) {
        const described = report("Uncaught Exception", e);
        connection.send(connection.post("init/error", JSON.stringify(described), described.errorType));
        await connection.receive();
        process.exit(1);
    }

    connection.send(connection.get("restore/next"));
    if ((await connection.receive()).status === 200) renewRandomness();

    connection.send(connection.next);
    for (;;) {
        const event = await connection.receive();
        if (event.status !== 200) process.exit(1);
        running = true;
        const reply = await answer(connection, handler, event);
        running = false;
        connection.send(reply);
        await connection.receive(); // says nothing that could be acted on
    }
}

main();
