#!/bin/bash
# Hearth end to end: builds the release, starts the server, creates a function from a zip through the Lambda API
# (once without snapshots, for comparison), restarts the server, invokes it cold, restored and warm, and stops
# the server. As root on Debian 12 it installs what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/support/debian.sh

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
fail() { echo "quickstart: $*" >&2; exit 1; }

require_packages "${build_packages[@]}" curl ca-certificates unzip python3 node=nodejs || exit 1
# The AWS CLI is the natural client; without it (and without root) curl does.
type -P aws >/dev/null || [ "$(id -u)" != 0 ] || require_packages awscli || exit 1

say "Building build/release"
configure_and_build release -DHEARTH_TESTS=OFF -DHEARTH_BENCH=OFF

work=$(mktemp -d)
data=build/quickstart-data  # stays, to be looked at
[ ! -e "$data/lock" ] || flock --nonblock "$data/lock" true || fail "a server runs on $data: stop it first"
rm -rf "$data"
server=
stop() {
    [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

start_server() {  # sets server and endpoint
    : >"$work/server"
    build/release/hearth serve --listen 127.0.0.1:0 --data "$data" >"$work/server" 2>&1 &
    server=$!
    endpoint=
    for _ in $(seq 100); do
        endpoint=$(sed -n 's/^hearth: listening on \(http:[^,]*\).*/\1/p' "$work/server")
        [ -z "$endpoint" ] || break
        kill -0 "$server" 2>/dev/null || { cat "$work/server" >&2; server=; fail "the server did not start; try build/release/hearth doctor"; }
        sleep 0.1
    done
    [ -n "$endpoint" ] || fail "the server did not say where it listens"
    cat "$work/server"
}
stop_server() {  # it finishes what runs, and ends well
    local status=0
    kill -TERM "$server"
    wait "$server" || status=$?
    server=
    [ "$status" -eq 0 ] || { cat "$work/server" >&2; fail "the server ended with status $status"; }
}

say "Starting hearth serve"
start_server

zip=build/release/functions/socket_bootstrap.zip
echo '{"name":"world"}' >"$work/event.json"

if type -P aws >/dev/null; then
    export AWS_ACCESS_KEY_ID=hearth AWS_SECRET_ACCESS_KEY=hearth AWS_DEFAULT_REGION=us-east-1 AWS_PAGER='' \
        AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
    lambda() { aws --endpoint-url "$endpoint" lambda "$@"; }
    create() {  # NAME SNAPSHOT [RUNTIME HANDLER ZIP]
        lambda create-function --function-name "$1" --runtime "${3:-provided.al2023}" --handler "${4:-bootstrap}" \
            --environment "Variables={HEARTH_SNAPSHOT=$2}" --memory-size 256 --timeout 10 \
            --role arn:aws:iam::000000000000:role/any --zip-file "fileb://${5:-$zip}" --query '[FunctionArn,State]' --output text
        lambda wait function-active-v2 --function-name "$1"
    }
    invoke() {  # NAME REPLY-FILE; prints the log
        lambda invoke --function-name "$1" --payload "fileb://$work/event.json" --log-type Tail \
            --query LogResult --output text "$2" | base64 -d
    }
else
    api() { echo "$endpoint/2015-03-31/functions"; }
    http() { curl --silent --show-error --fail-with-body --max-time 30 "$@"; }
    create() {  # NAME SNAPSHOT [RUNTIME HANDLER ZIP]
        { printf '{"FunctionName":"%s","Environment":{"Variables":{"HEARTH_SNAPSHOT":"%s"}},' "$1" "$2"
          printf '"Runtime":"%s","Handler":"%s","MemorySize":256,"Timeout":10,' "${3:-provided.al2023}" "${4:-bootstrap}"
          printf '"Role":"arn:aws:iam::000000000000:role/any","Code":{"ZipFile":"%s"}}' "$(base64 -w 0 "${5:-$zip}")"; } |
            http -H 'Content-Type: application/json' --data-binary @- "$(api)" >/dev/null
        for _ in $(seq 100); do
            ! http "$(api)/$1/configuration" | grep -q '"State" *: *"Active"' || return 0
            sleep 0.1
        done
        return 1
    }
    invoke() {  # NAME REPLY-FILE; prints the log
        http -H 'X-Amz-Log-Type: Tail' -D "$work/headers" -o "$2" --data-binary "@$work/event.json" "$(api)/$1/invocations"
        tr -d '\r' <"$work/headers" | sed -n 's/^x-amz-log-result: *//Ip' | base64 -d
    }
fi

say "Creating the functions hello and hello-without-snapshot from $zip"
create hello on || fail "the function did not become active"
create hello-without-snapshot off || fail "the function did not become active"

python=python$(/usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
node=nodejs$(node -p 'process.versions.node.split(".")[0]').x
say "Creating a $python and a $node function"
/usr/bin/python3 -m zipfile -c "$work/python.zip" examples/functions/python_hello/lambda_function.py
/usr/bin/python3 -m zipfile -c "$work/node.zip" examples/functions/node_hello/index.mjs
create python-hello on "$python" lambda_function.lambda_handler "$work/python.zip" || fail "the Python function did not become active"
create node-hello on "$node" index.handler "$work/node.zip" || fail "the Node.js function did not become active"

# Creating a function runs its init once. What it left, the snapshot, is on disk with the function: a new process
# starts it from there.
say "Restarting the server"
stop_server
start_server

call() {  # START NAME
    say "Invoking $2 ($1)"
    invoke "$2" "$work/reply" >"$work/log-$1"
    cat "$work/reply"; echo
    grep -Eq '"event": ?\{"name": ?"world"\}' "$work/reply" || fail "not the reply expected"
    grep -q "^REPORT .*Start: $1" "$work/log-$1" || { cat "$work/log-$1" >&2; fail "not a $1 start"; }
}
call cold hello-without-snapshot
call restored hello
call warm hello
cat "$work"/log-{cold,restored,warm} >"$work/logs"
call restored python-hello
cat "$work/log-restored" >>"$work/logs"
call restored node-hello
cat "$work/log-restored" >>"$work/logs"

say "What they cost"
grep '^REPORT' "$work/logs"

say "Stopping the server"
stop_server

printf '\n\033[32mOK: an unmodified Lambda package was deployed, and answered cold, restored and warm from a microVM;\nPython and Node.js functions too, their imports paid once.\033[0m\n'
printf '\nTo look at them: build/release/hearth serve --data %s, and open http://127.0.0.1:9000/ in a browser.\n' "$data"
