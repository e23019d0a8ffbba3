#!/bin/sh
# sdk_js.sh DIRECTORY ENDPOINT ZIP: installs npm's @aws-sdk/client-lambda into DIRECTORY once and runs sdk_js.mjs with it.
# sdk_js.sh DIRECTORY SCRIPT: the same with another script.
# Exits 77 (skipped) without node and npm, or where the npm registry cannot be reached.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
directory=$1
shift
script=$here/sdk_js.mjs
[ $# -gt 1 ] || { script=$1; shift; }
version=3.726.1
command -v node >/dev/null && command -v npm >/dev/null || { echo "skipped: install nodejs and npm"; exit 77; }
mkdir -p "$directory"
if ! [ -d "$directory/node_modules/@aws-sdk/client-lambda" ]; then
    echo '{"private": true}' >"$directory/package.json"
    npm install --prefix "$directory" --no-audit --no-fund --ignore-scripts "@aws-sdk/client-lambda@$version" \
        >"$directory/npm.log" 2>&1 || { echo "skipped: npm cannot install @aws-sdk/client-lambda:"; tail -3 "$directory/npm.log"; exit 77; }
fi
# npm is to trust what it always trusts, the test its own server.
[ -z "${HEARTH_CA_FILE:-}" ] || export NODE_EXTRA_CA_CERTS="$HEARTH_CA_FILE"
cp "$script" "$directory/"
exec node "$directory/$(basename "$script")" "$@"
