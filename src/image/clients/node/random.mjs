// Environments restored from one snapshot must not draw one another's random numbers. The kernel's are
// new in each, but V8's generator behind Math.random and OpenSSL's behind node:crypto live in memory that
// the clones share, and JavaScript can seed neither: so Math.random is ours from the start, and after a
// restore node:crypto's functions read the kernel. What stays is what native code draws by itself: keys
// that crypto generates and TLS makes, and V8's hash seed.

import crypto from "node:crypto";
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

// xoshiro128** (Blackman, Vigna), 53 bits from two draws.
let [a, b, c, d] = crypto.getRandomValues(new Uint32Array(4));
function draw() {
    const mixed = Math.imul(b, 5);
    const result = Math.imul((mixed << 7) | (mixed >>> 25), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
}
Math.random = function random() {
    return ((draw() >>> 5) * 67108864 + (draw() >>> 6)) / 9007199254740992;
};

let device = -1;
function fill(bytes) {
    for (let done = 0; done < bytes.byteLength;) done += fs.readSync(device, bytes, done, bytes.byteLength - done, null);
    return bytes;
}
const view = (b) => (ArrayBuffer.isView(b) ? new Uint8Array(b.buffer, b.byteOffset, b.byteLength) : new Uint8Array(b));

const original = { ...crypto };

function randomBytes(size, callback) {
    const bytes = fill(Buffer.alloc(size));
    if (callback === undefined) return bytes;
    setImmediate(callback, null, bytes);
}
function range(size, offset = 0, length = size - offset) {
    if (!(offset >= 0 && length >= 0 && offset + length <= size))
        throw new RangeError("The value of \"size + offset\" is out of range.");
    return [offset, offset + length];
}
function part(buffer, offset, length) {
    const unit = buffer.BYTES_PER_ELEMENT ?? 1;
    const bytes = view(buffer);
    return bytes.subarray(...range(bytes.byteLength, (offset ?? 0) * unit, length === undefined ? undefined : length * unit));
}
function randomFillSync(buffer, offset, length) {
    fill(part(buffer, offset, length));
    return buffer;
}
function randomFill(buffer, ...rest) {
    const callback = rest.pop();
    if (typeof callback !== "function") throw new TypeError("The \"callback\" argument must be of type function.");
    fill(part(buffer, ...rest));
    setImmediate(callback, null, buffer);
}
function randomUUID() {
    const bytes = fill(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Buffer.from(bytes).toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
function randomInt(min, max, callback) {
    if (max === undefined || typeof max === "function") [min, max, callback] = [0, min, max];
    original.randomInt(min, max); // for its complaints
    const span = max - min;
    const limit = 2 ** 48 - (2 ** 48 % span);
    let x;
    do x = Buffer.from(fill(new Uint8Array(6))).readUIntBE(0, 6);
    while (x >= limit);
    if (callback === undefined) return min + (x % span);
    setImmediate(callback, undefined, min + (x % span));
}
function getRandomValues(array) {
    if (!ArrayBuffer.isView(array) || array instanceof DataView || array instanceof Float32Array || array instanceof Float64Array)
        throw new DOMException("The data argument must be an integer-type TypedArray", "TypeMismatchError");
    if (array.byteLength > 65536)
        throw new DOMException("The requested length exceeds 65,536 bytes", "QuotaExceededError");
    fill(view(array));
    return array;
}

export function renewRandomness() {
    device = fs.openSync("/dev/urandom", "r");
    [a, b, c, d] = new Uint32Array(fill(new Uint8Array(16)).buffer);
    Object.assign(crypto, { randomBytes, pseudoRandomBytes: randomBytes, randomFillSync, randomFill, randomUUID, randomInt });
    const web = Object.getPrototypeOf(crypto.webcrypto);
    for (const [name, value] of Object.entries({ getRandomValues, randomUUID }))
        Object.defineProperty(web, name, { value, writable: true, enumerable: true, configurable: true });
    try {
        crypto.getRandomValues = getRandomValues;
    } catch {
        // read-only in some versions: it asks webcrypto's, which is ours now
    }
    syncBuiltinESMExports();
}
