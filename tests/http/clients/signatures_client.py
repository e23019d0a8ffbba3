"""signatures_client.py ENDPOINT ZIP: what boto3 is told when its signature, its key or its rules are wrong. The endpoint
takes the keys test and test-reader, each its own secret, the latter only to invoke and read signatures-*. Exits 77
(skipped) where boto3 is not installed."""

import sys
import urllib.error
import urllib.request

try:
    import boto3
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest
    from botocore.config import Config
    from botocore.credentials import Credentials
    from botocore.exceptions import ClientError
except ImportError:
    print("skipped: install python3-boto3")
    sys.exit(77)

endpoint, zip_path = sys.argv[1:3]
arn = "arn:aws:lambda:us-east-1:000000000000:function:"


def client(key, secret, token=None, region="us-east-1"):
    return boto3.client("lambda", endpoint_url=endpoint, region_name=region, aws_access_key_id=key,
                        aws_secret_access_key=secret, aws_session_token=token,
                        config=Config(retries={"max_attempts": 0}))


def refused(code, call, *words, **kwargs):
    try:
        call(**kwargs)
    except ClientError as e:
        error, status = e.response["Error"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert (error["Code"], status) == (code, 403), e
        for word in words:
            assert word in error["Message"], (word, error)
        return
    raise AssertionError(f"{call} succeeded")


def presigned(path, secret="test", expires=60):
    """What botocore's own signer makes of a GET."""
    request = AWSRequest("GET", endpoint + path)
    SigV4QueryAuth(Credentials("test", secret), "lambda", "us-east-1", expires=expires).add_auth(request)
    return request.url


def status_of(url):
    try:
        with urllib.request.urlopen(url) as reply:
            return reply.status
    except urllib.error.HTTPError as e:
        return e.code


test, reader = client("test", "test"), client("test-reader", "test-reader")
for name in "signatures-a", "other":
    test.create_function(FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Timeout=10,
                         Role="arn:aws:iam::000000000000:role/any", Code={"ZipFile": open(zip_path, "rb").read()})
    test.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

# Odd names and bytes in paths, queries and bodies are signed alike.
for payload in b"{}", '"ü \\u0000"'.encode(), b'"' + b"x" * 1_000_000 + b'"':
    reply = test.invoke(FunctionName=arn + "signatures-a", Qualifier="$LATEST", Payload=payload)
    assert reply["Payload"].read() == payload
assert client("test", "test", region="ap-southeast-2").list_functions(MaxItems=1, Marker="")["Functions"]
refused("InvalidSignatureException", client("test", "wrong").list_functions,
        "The request signature we calculated does not match the signature you provided.")
refused("InvalidSignatureException", client("test", "wrong").invoke, FunctionName="other", Payload=b"{}")
refused("UnrecognizedClientException", client("unknown", "test").list_functions, "security token")
refused("UnrecognizedClientException", client("test", "test", "token").list_functions, "AWS_SESSION_TOKEN")

assert reader.invoke(FunctionName="signatures-a", Payload=b"1")["Payload"].read() == b"1"
assert reader.get_function(FunctionName=arn + "signatures-a")["Configuration"]["State"] == "Active"
refused("AccessDeniedException", reader.invoke, "user/reader is not authorized to perform: lambda:InvokeFunction on "
        f"resource: {arn}other because", FunctionName="other", Payload=b"1")
refused("AccessDeniedException", reader.delete_function, "lambda:DeleteFunction", FunctionName="signatures-a")
refused("AccessDeniedException", reader.list_functions, "lambda:ListFunctions on resource: * because")

assert status_of(presigned("/2015-03-31/functions/?MaxItems=5&FunctionVersion=ALL")) == 200
assert status_of(presigned("/2015-03-31/functions/", secret="wrong")) == 403
assert status_of(presigned("/2015-03-31/functions/").replace("functions/", "functions/other", 1)) == 403
assert status_of(endpoint + "/2015-03-31/functions/") == 403
assert status_of(reader.get_function(FunctionName="signatures-a")["Code"]["Location"]) == 200
print("ok")
