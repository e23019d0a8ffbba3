"""Holds every answer a botocore client gets against botocore's own model of the service: each member of the document is
one of the operation's output shape, of its type, pattern, range and enumeration, and what is required is there; an error
is one of the operation's, with its status and its members' spelling. botocore's parser by itself passes over all that."""

import base64
import json
import re
import xml.etree.ElementTree as xml

from botocore.exceptions import ClientError

# What the service has beside the model's errors: of every operation, or this server's own.
COMMON_ERRORS = {"ValidationException", "SerializationException", "InvalidRequestContentException", "NotImplementedException",
                 "UnknownOperationException", "AccessDeniedException", "RequestEntityTooLargeException",
                 "RequestTooLargeException", "UnrecognizedClientException"}
# Members that are younger than Debian's model.
NEWER = {"FunctionConfiguration": {"LoggingConfig"}}
NEWER["EventSourceMappingConfiguration"] = {"EventSourceMappingArn", "ScalingConfig"}
NEWER["ListStreamsOutput"] = {"NextToken"}
NEWER["UpdateShardCountOutput"] = {"StreamARN"}
NEWER |= {shape: {"InvokeMode"} for shape in ("CreateFunctionUrlConfigResponse", "UpdateFunctionUrlConfigResponse",
                                              "GetFunctionUrlConfigResponse", "FunctionUrlConfig")}
# Enumerations that have grown since.
NEWER_VALUES = {"Runtime", "StateReasonCode", "LastUpdateStatusReasonCode"}

# Errors that AWS answers with and its model leaves out.
UNMODELLED = {("DeleteIntegration", "ConflictException"), ("DeleteAuthorizer", "ConflictException")}
# Members that AWS answers with beyond the range of its model: no failures are zero, where that begins with 1.
WRONG_RANGES = {"PutRecords.FailedRecordCount"}


# Of services whose model names few of an operation's errors, by their codes on the wire. botocore's newer models name them.
SERVICE_ERRORS = {"sqs": {"AWS.SimpleQueueService.NonExistentQueue", "AWS.SimpleQueueService.UnsupportedOperation",
                          "InvalidParameterValue", "MissingParameter", "InvalidAttributeValue", "InvalidAttributeName",
                          "SignatureDoesNotMatch", "AccessDenied", "InvalidMessageContents", "ReceiptHandleIsInvalid"}}
NEWER_VALUES |= {"QueueAttributeName", "MessageSystemAttributeName"}


class Mismatch(AssertionError):
    pass


def check(shape, value, path, plain=False):
    """`plain`: members are called by their names, whatever they are on a wire."""
    def wrong(why):
        raise Mismatch(f"{path}: {value!r:.200} {why} (shape {shape.name})")

    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            wrong("is no object")
        members = {name if plain else member.serialization.get("name", name): member for name, member in shape.members.items()
                   if member.serialization.get("location") not in ("header", "headers", "statusCode")}
        for name, each in value.items():
            if name in members:
                check(members[name], each, f"{path}.{name}", plain)
            elif name not in NEWER.get(shape.name, ()):
                raise Mismatch(f"{path}: {name} is no member of {shape.name}")
        for name in shape.required_members:
            if (name if plain else shape.members[name].serialization.get("name", name)) not in value:
                raise Mismatch(f"{path}: {name} is missing")
    elif kind == "list":
        if not isinstance(value, list):
            wrong("is no list")
        for i, each in enumerate(value):
            check(shape.member, each, f"{path}[{i}]", plain)
    elif kind == "map":
        if not isinstance(value, dict):
            wrong("is no map")
        for key, each in value.items():
            check(shape.key, key, f"{path} key", plain)
            check(shape.value, each, f"{path}[{key}]", plain)
    elif kind == "string":
        if not isinstance(value, str):
            wrong("is no string")
        if shape.enum and value not in shape.enum and shape.name not in NEWER_VALUES:
            wrong("is none of the enumeration")
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            wrong(f"does not match {pattern}")
        if not shape.metadata.get("min", 0) <= len(value) <= shape.metadata.get("max", len(value)):
            wrong("has a wrong length")
    elif kind == "timestamp" and shape.serialization.get("timestampFormat") == "iso8601":
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value):
            wrong("is no time of ISO 8601")
    elif kind in ("integer", "long", "double", "float", "timestamp"):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or (kind in ("integer", "long") and not isinstance(value, int)):
            wrong(f"is no {kind}")
        in_range = shape.metadata.get("min", value) <= value <= shape.metadata.get("max", value)
        if not in_range and path not in WRONG_RANGES:
            wrong("is out of range")
    elif kind == "boolean":
        if not isinstance(value, bool):
            wrong("is no boolean")
    elif kind == "blob":
        try:
            base64.b64decode(value, validate=True)
        except (TypeError, ValueError):
            wrong("is no base64")


def from_xml(shape, element, path):
    """What an element says, by the members' names; it may say nothing else."""
    kind = shape.type_name
    text = element.text or ""
    if kind == "structure":
        tags = {}
        for name, member in shape.members.items():
            flat = member.serialization.get("flattened")
            inner = member.member.serialization if flat and member.type_name == "list" else {}
            tags[inner.get("name") or member.serialization.get("name", name)] = (name, member, flat)
        value = {}
        for each in element:
            tag = each.tag.rpartition("}")[2]
            if tag not in tags:
                raise Mismatch(f"{path}: <{tag}> is nothing of {shape.name}")
            name, member, flat = tags[tag]
            if not flat:
                if name in value:
                    raise Mismatch(f"{path}: <{tag}> comes twice")
                value[name] = from_xml(member, each, f"{path}.{name}")
            elif member.type_name == "list":
                value.setdefault(name, []).append(from_xml(member.member, each, f"{path}.{name}"))
            else:
                pair = {child.tag.rpartition("}")[2]: child for child in each}
                at = member.key.serialization.get("name", "key"), member.value.serialization.get("name", "value")
                if set(pair) != set(at):
                    raise Mismatch(f"{path}.{name}: an entry of {sorted(pair)}, not {at}")
                value.setdefault(name, {})[pair[at[0]].text] = from_xml(member.value, pair[at[1]], f"{path}.{name}")
        for name in shape.required_members:
            if shape.members[name].serialization.get("flattened"):
                value.setdefault(name, [])  # an empty one has no element
        return value
    if len(element):
        raise Mismatch(f"{path}: <{element[0].tag}> within a {kind}")
    if kind in ("integer", "long"):
        return int(text)
    if kind == "boolean":
        return {"true": True, "false": False}[text]
    return text


def watch_query(client, service):
    """The same of the query protocol: in the service's XML there is what the model has, and nothing beside it."""
    seen = set()
    namespace = "{%s}" % client.meta.service_model.metadata["xmlNamespace"]

    def after_call(http_response, parsed, model, **_):
        seen.add(model.name)
        root = xml.fromstring(http_response.content)
        parts = {each.tag.removeprefix(namespace): each for each in root}
        if http_response.status_code < 300:
            wrapper = model.output_shape and model.output_shape.serialization.get("resultWrapper")
            wanted = {"ResponseMetadata"} | ({wrapper} if wrapper else set())
            if root.tag != f"{namespace}{model.name}Response" or set(parts) != wanted or len(root) != len(wanted):
                raise Mismatch(f"{model.name}: <{root.tag}> of {[each.tag for each in root]}, not {wanted}")
            if wrapper:
                check(model.output_shape, from_xml(model.output_shape, parts[wrapper], model.name), model.name, plain=True)
            return
        error = {each.tag.removeprefix(namespace): each.text for each in parts["Error"]}
        if not {"Type", "Code", "Message"} <= set(error) <= {"Type", "Code", "Message", "Detail"} or "RequestId" not in parts:
            raise Mismatch(f"{model.name}: an error of {error} and {sorted(parts)}")
        if error["Type"] != ("Sender" if http_response.status_code < 500 else "Receiver"):
            raise Mismatch(f"{model.name}: whose fault? {error}")
        codes = {shape.error_code: shape.metadata.get("error", {}) for shape in model.error_shapes}
        if error["Code"] not in codes:
            if error["Code"] not in SERVICE_ERRORS.get(service, ()):
                raise Mismatch(f"{model.name} has no error {error['Code']}")
        elif codes[error["Code"]].get("httpStatusCode", http_response.status_code) != http_response.status_code:
            raise Mismatch(f"{model.name}: {error['Code']} with status {http_response.status_code}")

    client.meta.events.register(f"after-call.{service}", after_call)
    return seen


def watch(client, service="lambda"):
    """Raises Mismatch from the call whose answer is wrong. Returns the set of operations seen, to be filled."""
    seen = set()

    def after_call(http_response, parsed, model, **_):
        seen.add(model.name)
        if (model.has_streaming_output or model.has_event_stream_output) and http_response.status_code < 300:
            return
        body = json.loads(http_response.content or b"{}")
        if http_response.status_code < 300:
            if http_response.status_code != model.http.get("responseCode", 200) and model.name != "Invoke":
                raise Mismatch(f"{model.name}: status {http_response.status_code}, not {model.http['responseCode']}")
            if model.output_shape is None:
                if body:
                    raise Mismatch(f"{model.name} answers nothing, but did {body}")
            else:
                check(model.output_shape, body, model.name)
            return
        code = parsed["Error"]["Code"]
        shapes = {shape.name: shape for shape in model.error_shapes}
        if code in shapes:
            body.pop("__type", None)  # of the JSON protocols, beside the members
            if not shapes[code].members:
                body.pop("message", None)  # some models leave it out
            status = shapes[code].metadata.get("error", {}).get("httpStatusCode", 400)
            if status != http_response.status_code:
                raise Mismatch(f"{model.name}: {code} with status {http_response.status_code}, not {status}")
            check(shapes[code], body, f"{model.name}: {code}")
        elif code not in COMMON_ERRORS and (model.name, code) not in UNMODELLED:
            raise Mismatch(f"{model.name} has no error {code}")

    client.meta.events.register(f"after-call.{service}", after_call)
    return seen


def refused(code, status, call, *args, text="", **kwargs):
    """What botocore raises for a call that is to be refused so."""
    try:
        call(*args, **kwargs)
    except ClientError as e:
        got = e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"]
        assert got == (code, status), (got, e)
        message = e.response["Error"]["Message"]
        assert message and text in message, message
        assert e.response["ResponseMetadata"]["RequestId"]
        return e
    raise AssertionError(f"{call} succeeded")
