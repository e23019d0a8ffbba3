#!/bin/sh
# awscli.sh ENDPOINT ZIP: drives a Lambda endpoint with Debian's AWS CLI. ZIP holds a function that answers with its
# event. Exits 77 (skipped) where the CLI is not installed.
set -eu
endpoint=$1 zip=$2
cli=/usr/bin/aws
[ -x $cli ] || { echo "skipped: install awscli"; exit 77; }
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 AWS_PAGER=
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
work=$(mktemp -d)
name=awscli-$$
lambda() { $cli --endpoint-url "$endpoint" --output text lambda "$@"; }
sqs() { $cli --endpoint-url "$endpoint" --output text sqs "$@"; }
trap 'lambda delete-function --function-name $name >/dev/null 2>&1 || true; rm -rf "$work"' EXIT
equal() { [ "$2" = "$3" ] || { echo "FAILED: $1: expected '$2', got '$3'"; exit 1; }; }
refused() { # WHAT CLASS COMMAND…: the command must fail with that AWS error
    what=$1 class=$2; shift 2
    if "$@" >"$work/out" 2>"$work/err"; then echo "FAILED: $what succeeded"; exit 1; fi
    grep -q "($class)" "$work/err" || { echo "FAILED: $what: not $class:"; cat "$work/err"; exit 1; }
}

arn=$(lambda create-function --function-name $name --runtime provided.al2023 --handler bootstrap \
    --role arn:aws:iam::000000000000:role/any --zip-file "fileb://$zip" --timeout 10 \
    --environment 'Variables={STAGE=test}' --tags team=a --query FunctionArn)
lambda wait function-active-v2 --function-name $name
equal state Active "$(lambda get-function --function-name $name --query Configuration.State)"
equal tags a "$(lambda get-function --function-name "$arn" --query Tags.team)"

meta=$(lambda invoke --function-name $name --cli-binary-format raw-in-base64-out --payload '{"a": [1, "ü"]}' \
    --log-type Tail --query '[StatusCode, ExecutedVersion, FunctionError, LogResult]' "$work/reply")
equal reply '{"a": [1, "ü"]}' "$(cat "$work/reply")"
equal status 200 "$(echo "$meta" | cut -f1)"
equal version '$LATEST' "$(echo "$meta" | cut -f2)"
equal error None "$(echo "$meta" | cut -f3)"
echo "$meta" | cut -f4 | base64 -d | grep -q '^START RequestId: ' || { echo "FAILED: no START in the log"; exit 1; }
equal event 202 "$(lambda invoke --function-name $name --cli-binary-format raw-in-base64-out --payload '{"a": 1}' \
    --invocation-type Event --query StatusCode "$work/none")"
equal 'the event answers' '' "$(cat "$work/none")"
equal 'dry run' 204 "$(lambda invoke --function-name $name --invocation-type DryRun --query StatusCode "$work/none")"

if [ -n "${HEARTH_FAKE_WORKER-}" ]; then  # that server believes signatures only
    refused 'a wrong secret' InvalidSignatureException env AWS_SECRET_ACCESS_KEY=wrong \
        $cli --endpoint-url "$endpoint" lambda invoke --function-name $name "$work/none"
    refused 'an unknown key' UnrecognizedClientException env AWS_ACCESS_KEY_ID=unknown \
        $cli --endpoint-url "$endpoint" lambda get-account-settings
fi

lambda update-function-configuration --function-name $name --memory-size 256 >/dev/null
lambda wait function-updated-v2 --function-name $name
lambda update-function-code --function-name $name --zip-file "fileb://$zip" >/dev/null
lambda wait function-updated --function-name $name
equal memory 256 "$(lambda get-function-configuration --function-name $name --query MemorySize)"
lambda list-functions --query 'Functions[].FunctionName' | tr '\t' '\n' | grep -qx $name
equal limit 262144000 "$(lambda get-account-settings --query AccountLimit.CodeSizeUnzipped)"

# Versions and a weighted alias.
equal 'a version' 1 "$(lambda publish-version --function-name $name --description one --query Version)"
lambda wait published-version-active --function-name $name --qualifier 1
lambda update-function-configuration --function-name $name --timeout 20 >/dev/null
lambda wait function-updated-v2 --function-name $name
equal 'the next' 2 "$(lambda update-function-code --function-name $name --zip-file "fileb://$zip" --publish --query Version)"
lambda wait published-version-active --function-name $name --qualifier 2
lambda wait function-updated-v2 --function-name $name
equal versions '$LATEST 1 2' "$(lambda list-versions-by-function --function-name $name --query 'Versions[].Version' | tr '\t' ' ')"
equal 'its timeout' 10 "$(lambda get-function-configuration --function-name "$name:1" --query Timeout)"
equal alias "$arn:live" "$(lambda create-alias --function-name $name --name live --function-version 1 \
    --routing-config 'AdditionalVersionWeights={2=1.0}' --query AliasArn)"
equal 'the weighted version' 2 "$(lambda invoke --function-name "$arn:live" --query ExecutedVersion "$work/reply")"
lambda update-alias --function-name $name --name live --routing-config 'AdditionalVersionWeights={}' >/dev/null
equal 'the alias' 1 "$(lambda invoke --function-name $name --qualifier live --query ExecutedVersion "$work/reply")"
equal aliases live "$(lambda list-aliases --function-name $name --query 'Aliases[].Name')"
refused 'deleting what an alias names' ResourceConflictException lambda delete-function --function-name $name --qualifier 1
lambda delete-alias --function-name $name --name live
lambda delete-function --function-name $name --qualifier 1

# A queue that invokes it.
url="$(sqs create-queue --queue-name $name --query QueueUrl)"
mapping="$(lambda create-event-source-mapping --function-name $name --batch-size 5 \
    --event-source-arn "arn:aws:sqs:us-east-1:000000000000:$name" --query UUID)"
sqs send-message --queue-url "$url" --message-body hello >/dev/null
tries=0
until [ "$(lambda get-event-source-mapping --uuid "$mapping" --query LastProcessingResult)" = OK ]; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || { echo 'the message never came to the function' >&2; exit 1; }
done
equal mappings "$mapping" "$(lambda list-event-source-mappings --function-name $name --query 'EventSourceMappings[].UUID')"
equal deleting Deleting "$(lambda delete-event-source-mapping --uuid "$mapping" --query State)"
sqs delete-queue --queue-url "$url"

# The CLI itself refuses what is no zip at all.
/usr/bin/python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w").writestr("../evil", "x")' "$work/bad.zip"
refused 'a bad zip' InvalidParameterValueException lambda update-function-code --function-name $name \
    --zip-file "fileb://$work/bad.zip"
refused 'an absent function' ResourceNotFoundException lambda get-function --function-name $name-absent
lambda delete-function --function-name $name
refused 'a deleted function' ResourceNotFoundException lambda invoke --function-name $name "$work/none"
echo "awscli: all passed"
