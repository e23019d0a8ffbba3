// awslambda.streamifyResponse: a response that leaves as it is written (Lambda guide, "Response streaming
// for Lambda functions"; custom runtimes: "Lambda-Runtime-Function-Response-Mode").

import { Writable } from "node:stream";

export const STREAMING = Symbol.for("aws.lambda.runtime.handler.streaming");

/** What a streaming handler writes to: a chunked POST, begun with the first byte. */
export class ResponseStream extends Writable {
    #connection;
    #path;
    #contentType = "application/octet-stream";
    begun = false;

    constructor(connection, path) {
        super();
        this.#connection = connection;
        this.#path = path;
        this.ended = new Promise((resolve, reject) => {
            this.once("finish", resolve);
            this.once("error", reject);
        });
        this.ended.catch(() => {}); // told by whoever waits for it
    }

    setContentType(type) {
        if (this.begun) throw new Error("Cannot set content-type, too late.");
        this.#contentType = String(type).replace(/[^\x20-\x7e]/g, "");
    }
    // The name it had before.
    _onBeforeFirstWrite(first) {
        this.beforeFirstWrite = first;
    }

    #begin() {
        if (this.begun) return;
        this.begun = true;
        this.#connection.socket.write(this.#connection.head(
            this.#path, `Content-Type: ${this.#contentType}`, "Lambda-Runtime-Function-Response-Mode: streaming",
            "Transfer-Encoding: chunked", "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"));
        if (this.beforeFirstWrite) this.beforeFirstWrite((bytes) => this.#chunk(Buffer.from(bytes)));
    }
    #chunk(bytes, done) {
        if (!bytes.length) return done?.();
        const socket = this.#connection.socket;
        socket.cork();
        socket.write(`${bytes.length.toString(16)}\r\n`);
        socket.write(bytes);
        socket.write("\r\n", done);
        socket.uncork();
    }

    _write(chunk, encoding, done) {
        this.#begin();
        if (typeof chunk === "string") chunk = Buffer.from(chunk, encoding);
        this.#chunk(chunk, done);
    }
    _final(done) {
        this.#begin();
        this.#connection.socket.write("0\r\n\r\n", done);
    }

    fail(error) {
        this.destroy(error);
    }
    /** Ends what was begun, with the error in the trailers. */
    abort({ errorType, ...rest }) {
        let body = JSON.stringify({ errorType, ...rest });
        // A trailer has the length of a head at most.
        if (Buffer.byteLength(body) > 8000) body = JSON.stringify({ errorType, errorMessage: String(rest.errorMessage).slice(0, 1000), trace: [] });
        body = Buffer.from(body).toString("base64");
        this.#connection.socket.write(
            `0\r\nLambda-Runtime-Function-Error-Type: ${errorType.replace(/[^!-~]/g, "")}\r\n` +
            `Lambda-Runtime-Function-Error-Body: ${body}\r\n\r\n`);
        this.destroy();
    }
}

/** Status, headers and cookies of a function URL's answer, in front of the body. */
export class HttpResponseStream {
    static from(stream, prelude) {
        stream.setContentType("application/vnd.awslambda.http-integration-response");
        stream._onBeforeFirstWrite((write) => {
            write(JSON.stringify(prelude));
            write(Buffer.alloc(8));
        });
        return stream;
    }
}
