#!/bin/sh
# Python and Node.js functions in microVMs, where there is no more than a shell: in tests/support/hwkvm.
# usage: hardware_managed.sh HEARTH PYTHON-RUNTIME NODE-RUNTIME
set -u
hearth=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
mkdir "$work/python" "$work/node"

cat >"$work/python/lambda_function.py" <<'PYTHON'
import hashlib, subprocess, threading

def lambda_handler(event, context):
    told = []
    thread = threading.Thread(target=lambda: told.append(event["n"] ** 2))
    thread.start()
    thread.join()
    told.append(subprocess.run(["/bin/busybox", "echo", "from a child"], capture_output=True, text=True).stdout.strip())
    told.append(hashlib.sha256(b"hearth").hexdigest()[:8])
    told.append(sum(i * i for i in range(10_000)))
    return told
PYTHON
cat >"$work/node/index.mjs" <<'NODE'
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
export const handler = async (event) => {
    await new Promise((done) => setTimeout(done, 5));
    let sum = 0;
    for (let i = 0; i < 10000; i++) sum += i * i;
    const name = (await readFile("/proc/self/comm", "utf8")).trim();
    return [event.n ** 2, name, createHash("sha256").update("hearth").digest("hex").slice(0, 8), sum];
};
NODE

failed=0
expect() {  # RUNTIME DIRECTORY RESPONSE
    got=$(echo '{"n": 12}' | "$hearth" invoke "$work/$2" --runtime "$1" --memory 512 --timeout 120)
    [ "$got" = "$3" ] && return
    echo "$1 answered $got, not $3" >&2
    failed=1
}
expect "$2" python '[144, "from a child", "fe586323", 333283335000]'
expect "$3" node '[144,"node","fe586323",333283335000]'
exit $failed
