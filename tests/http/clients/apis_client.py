"""apis_client.py ENDPOINT ZIP: makes HTTP APIs with boto3, whose answers are held against botocore's model, and with
Debian's AWS CLI, and asks them as their users do. Exits 77 (skipped) where these are not installed."""

import http.client
import json
import os
import ssl
import subprocess
import sys
import uuid
from urllib.parse import urlsplit

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    import model_check
except ImportError:
    print("skipped: install python3-boto3")
    sys.exit(77)
CLI = "/usr/bin/aws"
if not os.access(CLI, os.X_OK):
    print("skipped: install awscli")
    sys.exit(77)

endpoint, package = sys.argv[1:3]
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
os.environ.update(KEYS)
options = dict(endpoint_url=endpoint, config=Config(retries={"max_attempts": 0}))
functions, apis = boto3.client("lambda", **options), boto3.client("apigatewayv2", **options)
seen = model_check.watch(apis, "apigatewayv2")


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call.__name__} was not refused")


def ask(base, method, path, body=None, headers={}):
    """(status, headers, document) of the API whose endpoint is `base`."""
    url, here = urlsplit(base), urlsplit(endpoint)
    connection = (http.client.HTTPSConnection(here.netloc, timeout=60, context=ssl.create_default_context())
                  if here.scheme == "https" else http.client.HTTPConnection(here.netloc, timeout=60))
    connection.request(method, url.path + path, body, {"Host": url.netloc, **headers})
    reply = connection.getresponse()
    text = reply.read()
    connection.close()
    return reply.status, reply.headers, json.loads(text) if text else None


name = "api-" + uuid.uuid4().hex[:8]
arn = functions.create_function(FunctionName=name, Runtime="provided.al2023", Handler="bootstrap", Timeout=20,
                                Role="arn:aws:iam::000000000000:role/any",
                                Code={"ZipFile": open(package, "rb").read()})["FunctionArn"]
functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})

# An API by its parts.
cors = {"AllowOrigins": ["https://page"], "AllowMethods": ["GET"], "AllowHeaders": ["x-a"], "MaxAge": 5}
made = apis.create_api(Name=name, ProtocolType="HTTP", Description="d", CorsConfiguration=cors, Tags={"k": "v"})
api, base = made["ApiId"], made["ApiEndpoint"]
assert f"//{api}.execute-api.us-east-1.localhost:" in base, base
integration = apis.create_integration(ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=arn,
                                      PayloadFormatVersion="2.0", TimeoutInMillis=20000)["IntegrationId"]
old = apis.create_integration(ApiId=api, IntegrationType="AWS_PROXY", PayloadFormatVersion="1.0",
                              IntegrationUri=f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{arn}/invocations")
route = apis.create_route(ApiId=api, RouteKey="GET /pets/{id}", Target="integrations/" + integration)["RouteId"]
apis.create_route(ApiId=api, RouteKey="ANY /{proxy+}", Target="integrations/" + integration)
apis.create_route(ApiId=api, RouteKey="GET /old", Target="integrations/" + old["IntegrationId"])
apis.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
apis.create_stage(ApiId=api, StageName="dev", AutoDeploy=True, StageVariables={"table": "pets"})

status, headers, event = ask(base, "GET", "/pets/7?a=b")
assert (status, headers["Content-Type"]) == (200, "application/json"), (status, event)
assert (event["routeKey"], event["pathParameters"], event["rawPath"]) == ("GET /pets/{id}", {"id": "7"}, "/pets/7"), event
assert event["requestContext"]["apiId"] == api and event["requestContext"]["domainName"] == urlsplit(base).hostname, event
assert "stageVariables" not in event, event
status, _, event = ask(base, "POST", "/dev/a/b", b"text", {"Content-Type": "text/plain", "Cookie": "c=d"})
assert (status, event["routeKey"], event["pathParameters"], event["body"], event["cookies"], event["stageVariables"]) == \
    (200, "ANY /{proxy+}", {"proxy": "a/b"}, "text", ["c=d"], {"table": "pets"}), event
status, _, event = ask(base, "GET", "/old")  # an event is no answer of format 1.0
assert (status, event) == (502, {"message": "Internal server error"}), (status, event)
status, _, event = ask(base, "GET", "/")
assert (status, event) == (404, {"message": "Not Found"}), (status, event)
status, headers, _ = ask(base, "OPTIONS", "/pets/7", None, {"Origin": "https://page", "Access-Control-Request-Method": "GET"})
assert (status, headers["Access-Control-Allow-Origin"], headers["Access-Control-Max-Age"]) == (204, "https://page", "5"), status
here = urlsplit(endpoint)
status, _, event = ask(f"{here.scheme}://{here.netloc}/_hearth/apis/{api}", "GET", "/dev/pets/8")
assert (status, event["requestContext"]["stage"]) == (200, "dev"), (status, event)

# What is there, changed and taken away again.
assert apis.get_api(ApiId=api)["CorsConfiguration"] == cors | {"AllowCredentials": False}
assert apis.update_api(ApiId=api, Description="other")["Name"] == name
assert api in [each["ApiId"] for page in apis.get_paginator("get_apis").paginate(PaginationConfig={"PageSize": 1})
               for each in page["Items"]]
assert len([each for page in apis.get_paginator("get_routes").paginate(ApiId=api, PaginationConfig={"PageSize": 2})
            for each in page["Items"]]) == 3
assert apis.get_route(ApiId=api, RouteId=route)["AuthorizationType"] == "NONE"
assert apis.update_route(ApiId=api, RouteId=route, RouteKey="GET /cats/{id}")["Target"] == "integrations/" + integration
assert ask(base, "GET", "/cats/1")[2]["routeKey"] == "GET /cats/{id}"
assert apis.get_integration(ApiId=api, IntegrationId=integration)["TimeoutInMillis"] == 20000
assert len(apis.get_integrations(ApiId=api)["Items"]) == 2
assert apis.update_integration(ApiId=api, IntegrationId=integration, Description="i")["PayloadFormatVersion"] == "2.0"
assert apis.get_stage(ApiId=api, StageName="$default")["AutoDeploy"] is True
assert apis.update_stage(ApiId=api, StageName="dev", StageVariables={"a": "b"})["StageVariables"] == {"a": "b"}
assert [each["StageName"] for each in apis.get_stages(ApiId=api)["Items"]] == ["$default", "dev"]
resource = f"arn:aws:apigateway:us-east-1::/apis/{api}"
apis.tag_resource(ResourceArn=resource, Tags={"l": "w"})
apis.untag_resource(ResourceArn=resource, TagKeys=["k"])
assert apis.get_tags(ResourceArn=resource)["Tags"] == {"l": "w"}
assert "is referenced by the Route" in refused("ConflictException", apis.delete_integration, ApiId=api, IntegrationId=integration)
refused("ConflictException", apis.create_route, ApiId=api, RouteKey="GET /old")
refused("BadRequestException", apis.create_route, ApiId=api, RouteKey="old")
refused("NotFoundException", apis.get_route, ApiId=api, RouteId="absent")
# An authorizer; this function's answer is none.
assert "JWT" in refused("BadRequestException", apis.create_authorizer, ApiId=api, AuthorizerType="JWT", IdentitySource=["a"], Name="n")
guard = apis.create_authorizer(ApiId=api, AuthorizerType="REQUEST", Name="guard", AuthorizerUri=arn, AuthorizerPayloadFormatVersion="2.0",
                               EnableSimpleResponses=True, IdentitySource=["$request.header.Authorization"])
assert (guard["AuthorizerType"], guard["AuthorizerResultTtlInSeconds"], guard["EnableSimpleResponses"]) == ("REQUEST", 300, True), guard
guard = guard["AuthorizerId"]
assert apis.update_authorizer(ApiId=api, AuthorizerId=guard, AuthorizerResultTtlInSeconds=0)["Name"] == "guard"
assert apis.get_authorizer(ApiId=api, AuthorizerId=guard)["IdentitySource"] == ["$request.header.Authorization"]
assert [each["AuthorizerId"] for each in apis.get_authorizers(ApiId=api)["Items"]] == [guard]
changed = apis.update_route(ApiId=api, RouteId=route, AuthorizationType="CUSTOM", AuthorizerId=guard)
assert (changed["AuthorizationType"], changed["AuthorizerId"]) == ("CUSTOM", guard), changed
assert ask(base, "GET", "/cats/1")[::2] == (401, {"message": "Unauthorized"})
assert ask(base, "GET", "/cats/1", None, {"Authorization": "me"})[::2] == (500, {"message": "Internal Server Error"})
assert "is referenced by the Route" in refused("ConflictException", apis.delete_authorizer, ApiId=api, AuthorizerId=guard)
refused("BadRequestException", apis.update_route, ApiId=api, RouteId=route, AuthorizationType="CUSTOM")
refused("BadRequestException", apis.update_route, ApiId=api, RouteId=route, AuthorizationType="AWS_IAM")
assert "AuthorizerId" not in apis.update_route(ApiId=api, RouteId=route, AuthorizationType="NONE")
assert ask(base, "GET", "/cats/1")[0] == 200
apis.delete_authorizer(ApiId=api, AuthorizerId=guard)
assert "ResetAuthorizersCache" in refused("NotImplementedException", apis.reset_authorizers_cache, ApiId=api, StageName="dev")
apis.delete_cors_configuration(ApiId=api)
assert "CorsConfiguration" not in apis.get_api(ApiId=api)
apis.delete_route(ApiId=api, RouteId=route)
apis.delete_stage(ApiId=api, StageName="dev")
assert ask(base, "GET", "/dev/x")[2]["pathParameters"] == {"proxy": "dev/x"}
for each in apis.get_routes(ApiId=api)["Items"]:
    apis.delete_route(ApiId=api, RouteId=each["RouteId"])
apis.delete_integration(ApiId=api, IntegrationId=integration)
apis.delete_api(ApiId=api)
refused("NotFoundException", apis.get_api, ApiId=api)
assert ask(base, "GET", "/old")[0] == 404


# The quick way, with the AWS CLI.
def aws(*words):
    done = subprocess.run([CLI, "apigatewayv2", *words, "--endpoint-url", endpoint, "--output", "json"], capture_output=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout or b"null")


made = aws("create-api", "--name", name, "--protocol-type", "HTTP", "--target", arn)
status, _, event = ask(made["ApiEndpoint"], "PUT", "/any/where")
assert (status, event["routeKey"], event["requestContext"]["http"]["method"]) == (200, "$default", "PUT"), (status, event)
assert [each["RouteKey"] for each in aws("get-routes", "--api-id", made["ApiId"])["Items"]] == ["$default"]
aws("delete-api", "--api-id", made["ApiId"])
functions.delete_function(FunctionName=name)
assert len(seen) == 30, sorted(seen)  # 29 that are served, and one that is not
