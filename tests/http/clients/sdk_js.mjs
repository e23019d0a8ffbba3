// sdk_js.mjs ENDPOINT ZIP: drives a Lambda endpoint with the AWS SDK for JavaScript v3. ZIP holds a function that answers
// with its event.

import {
    CreateAliasCommand, CreateFunctionCommand, DeleteAliasCommand, DeleteFunctionCommand, GetAliasCommand, GetAccountSettingsCommand, GetFunctionCommand, InvokeCommand, InvokeWithResponseStreamCommand,
    LambdaClient, ListEventSourceMappingsCommand, ListVersionsByFunctionCommand, paginateListFunctions, PublishVersionCommand,
    ResourceNotFoundException, UpdateAliasCommand,
    UpdateFunctionCodeCommand, UpdateFunctionConfigurationCommand,
    waitUntilFunctionActiveV2, waitUntilPublishedVersionActive, waitUntilFunctionUpdatedV2,
} from "@aws-sdk/client-lambda";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

const [endpoint, zip] = process.argv.slice(2);
const client = new LambdaClient({
    endpoint, region: "us-east-1", credentials: { accessKeyId: "test", secretAccessKey: "test" }, maxAttempts: 1,
});
const name = "sdk-js-" + process.pid;
const code = readFileSync(zip);
const waiting = { client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
const text = (bytes) => Buffer.from(bytes).toString();

try {
    const created = await client.send(new CreateFunctionCommand({
        FunctionName: name, Runtime: "provided.al2023", Handler: "bootstrap", Timeout: 10,
        Role: "arn:aws:iam::000000000000:role/any", Code: { ZipFile: code },
    }));
    assert.equal(created.$metadata.httpStatusCode, 201);
    await waitUntilFunctionActiveV2(waiting, { FunctionName: name });

    const event = JSON.stringify({ a: ["ü", 1, null] });
    const r = await client.send(new InvokeCommand({
        FunctionName: created.FunctionArn, Payload: event, LogType: "Tail",
        ClientContext: Buffer.from('{"custom":{}}').toString("base64"),
    }));
    assert.equal(r.StatusCode, 200);
    assert.equal(r.FunctionError, undefined);
    assert.equal(r.ExecutedVersion, "$LATEST");
    assert.equal(text(r.Payload), event);
    assert.match(Buffer.from(r.LogResult, "base64").toString(), /^START RequestId: /);
    assert.equal((await client.send(new InvokeCommand({ FunctionName: name, InvocationType: "DryRun" }))).StatusCode, 204);
    const many = await Promise.all(Array.from({ length: 20 }, (_, i) =>
        client.send(new InvokeCommand({ FunctionName: name, Payload: String(i) }))));
    many.forEach((each, i) => assert.equal(text(each.Payload), String(i)));

    const streamed = await client.send(new InvokeWithResponseStreamCommand({ FunctionName: name, Payload: event, LogType: "Tail" }));
    assert.equal(streamed.StatusCode, 200);
    assert.equal(streamed.ExecutedVersion, "$LATEST");
    let streamedText = "", complete;
    for await (const each of streamed.EventStream) {
        assert.equal(complete, undefined);
        if (each.PayloadChunk) streamedText += text(each.PayloadChunk.Payload);
        complete = each.InvokeComplete;
    }
    assert.equal(streamedText, event);
    assert.equal(complete.ErrorCode, undefined);
    assert.match(Buffer.from(complete.LogResult, "base64").toString(), /^START RequestId: /);

    if (process.env.HEARTH_FAKE_WORKER) { // that server believes signatures only
        const config = { endpoint, region: "us-east-1", maxAttempts: 1 };
        for (const [accessKeyId, secretAccessKey, error] of [
            ["test", "wrong", "InvalidSignatureException"], ["unknown", "test", "UnrecognizedClientException"]]) {
            const stranger = new LambdaClient({ ...config, credentials: { accessKeyId, secretAccessKey } });
            await assert.rejects(stranger.send(new InvokeCommand({ FunctionName: name, Payload: event })),
                (e) => e.name === error && e.$metadata.httpStatusCode === 403);
        }
    }

    await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: name, MemorySize: 256 }));
    await waitUntilFunctionUpdatedV2(waiting, { FunctionName: name });
    await client.send(new UpdateFunctionCodeCommand({ FunctionName: name, ZipFile: code }));
    await waitUntilFunctionUpdatedV2(waiting, { FunctionName: name });
    const got = await client.send(new GetFunctionCommand({ FunctionName: name }));
    assert.equal(got.Configuration.MemorySize, 256);
    assert.equal(got.Configuration.CodeSha256, created.CodeSha256);
    const listed = [];
    for await (const page of paginateListFunctions({ client, pageSize: 1 }, {}))
        listed.push(...page.Functions.map((f) => f.FunctionName));
    assert.ok(listed.includes(name));
    assert.ok((await client.send(new GetAccountSettingsCommand({}))).AccountLimit.ConcurrentExecutions > 0);

    const one = await client.send(new PublishVersionCommand({ FunctionName: name, Description: "one" }));
    assert.equal(one.Version, "1");
    assert.equal(one.FunctionArn, created.FunctionArn + ":1");
    await waitUntilPublishedVersionActive(waiting, { FunctionName: name, Qualifier: "1" });
    const two = await client.send(new UpdateFunctionConfigurationCommand({ FunctionName: name, Description: "two" }))
        .then(() => waitUntilFunctionUpdatedV2(waiting, { FunctionName: name }))
        .then(() => client.send(new PublishVersionCommand({ FunctionName: name })));
    await waitUntilPublishedVersionActive(waiting, { FunctionName: name, Qualifier: two.Version });
    const versions = await client.send(new ListVersionsByFunctionCommand({ FunctionName: name }));
    assert.deepEqual(versions.Versions.map((v) => v.Version), ["$LATEST", "1", "2"]);
    await client.send(new CreateAliasCommand({
        FunctionName: name, Name: "live", FunctionVersion: "1",
        RoutingConfig: { AdditionalVersionWeights: { 2: 0.5 } },
    }));
    assert.equal((await client.send(new GetAliasCommand({ FunctionName: name, Name: "live" })))
        .RoutingConfig.AdditionalVersionWeights["2"], 0.5);
    const ran = await Promise.all(Array.from({ length: 60 }, () =>
        client.send(new InvokeCommand({ FunctionName: name, Qualifier: "live" })).then((each) => each.ExecutedVersion)));
    assert.deepEqual([...new Set(ran)].sort(), ["1", "2"]);  // either alone: one in 2^59
    await client.send(new UpdateAliasCommand({ FunctionName: name, Name: "live", FunctionVersion: "2", RoutingConfig: {} }));
    assert.equal((await client.send(new InvokeCommand({ FunctionName: created.FunctionArn + ":live" }))).ExecutedVersion, "2");
    await client.send(new DeleteAliasCommand({ FunctionName: name, Name: "live" }));

    await assert.rejects(client.send(new GetFunctionCommand({ FunctionName: name + "-absent" })),
        (e) => e instanceof ResourceNotFoundException && e.$metadata.httpStatusCode === 404 && e.message.includes("not found"));
    await assert.rejects(client.send(new InvokeCommand({ FunctionName: name, Payload: "{" })),
        { name: "InvalidRequestContentException", Type: "User" });
    assert.deepEqual((await client.send(new ListEventSourceMappingsCommand({ FunctionName: name }))).EventSourceMappings, []);
} finally {
    await client.send(new DeleteFunctionCommand({ FunctionName: name }));
}
console.log("sdk_js: all passed");
