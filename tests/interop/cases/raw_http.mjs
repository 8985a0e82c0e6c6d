// handle.fetch: what a handler sees of a request, and what comes back of its response.

import assert from "node:assert/strict";
import { until } from "../connected.mjs";
import { test } from "../suite.mjs";

function site(t, options = undefined) {
    return t.clientOf(t.services.rooms).site.getOrCreate(t.key(), options);
}

async function seen(t, path, init) {
    const response = await site(t).fetch(path, init);
    assert.equal(response.status, 200);
    return await response.json();
}

test("a request arrives with method, path, query and headers", async (t) => {
    const request = await seen(t, "/foo/bar?x=1&y=a%20b+c", { headers: { "X-Own": "one, two" } });
    assert.deepEqual(
        [request.method, request.path, request.raw_query, request.text],
        ["GET", "/foo/bar", "x=1&y=a%20b+c", ""],
    );
    assert.equal(request.headers["x-own"], "one, two");
    assert.ok(new URL(request.url).href.endsWith("/foo/bar?x=1&y=a%20b+c"), request.url);
});

withMethod("a POST with a body arrives", "POST");
withMethod("a PUT with a body arrives", "PUT");
withMethod("a PATCH with a body arrives", "PATCH");
withMethod("a DELETE with a body arrives", "DELETE");

function withMethod(sentence, method) {
    test(sentence, async (t) => {
        const request = await seen(t, "/p", { method, body: "some text" });
        assert.deepEqual([request.method, request.text], [method, "some text"]);
    });
}

test("a HEAD is answered without a body", async (t) => {
    const response = await site(t).fetch("/h", { method: "HEAD" });
    assert.deepEqual([response.status, await response.text()], [200, ""]);
});

test("bytes of a body arrive as they are", async (t) => {
    const bytes = new Uint8Array(256).map((_, n) => n);
    const request = await seen(t, "/p", { method: "POST", body: bytes });
    assert.deepEqual([...Buffer.from(request.text, "latin1")], [...bytes]);
});

test("a path without a slash, an empty one and a root mean what they say", async (t) => {
    assert.equal((await seen(t, "foo")).path, "/foo");
    assert.equal((await seen(t, "/")).path, "/");
    assert.equal((await seen(t, "")).path, "/");
    assert.equal((await seen(t, "/a/d%2Fe")).path, "/a/d%2Fe");
});

test("a large body is read in parts", async (t) => {
    const body = new Uint8Array(5_000_000);
    const response = await site(t).fetch("/upload", { method: "POST", body });
    assert.deepEqual(await response.json(), { total: 5_000_000 });
});

test("the status of a response is kept", async (t) => {
    const handle = site(t);
    for (const status of [201, 204, 400, 404, 418, 503]) {
        const response = await handle.fetch(`/status/${status}`);
        assert.equal(response.status, status);
        assert.equal(await response.text(), status === 204 ? "" : `status ${status}`);
    }
});

test("a response arrives part by part, while the handler goes on", async (t) => {
    const handle = site(t);
    const response = await handle.fetch("/parts");
    assert.equal(response.headers.get("content-type"), "text/plain");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (const number of [0, 1, 2]) {
        assert.deepEqual(await reader.read(), { done: false, value: `part ${number};` });
        await handle.go_on();
    }
    assert.ok((await reader.read()).done);
});

test("server-sent events arrive one by one until the client leaves", async (t) => {
    const handle = site(t);
    const response = await handle.fetch("/events");
    assert.equal(response.headers.get("content-type"), "text/event-stream");
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (const number of [0, 1, 2]) {
        const { value } = await reader.read();
        assert.equal(value, `id: ${number}\ndata: tick ${number}\n\n`);
        assert.equal(await handle.cancelled(), 0);
        await handle.go_on();
    }
    await reader.cancel();
    await until(async () => (await handle.cancelled()) === 1);
});

test("an actor without a handler answers 404", async (t) => {
    const plain = t.clientOf(t.services.rooms).plain.getOrCreate(t.key());
    const response = await plain.fetch("/x");
    assert.deepEqual([response.status, await response.text()], [404, ""]);
});

test("an error of a handler is an error answer, redacted where it must be", async (t) => {
    const handle = site(t);
    const user = await handle.fetch("/denied");
    const { group, code, message, metadata } = await user.json();
    assert.deepEqual(
        { group, code, message, metadata },
        { group: "user", code: "vis", message: "visible", metadata: { x: 1 } },
    );
    assert.ok(!user.ok);
    const internal = await handle.fetch("/breaks");
    const text = await internal.text();
    assert.equal(internal.status, 500);
    assert.equal(JSON.parse(text).code, "internal_error");
    assert.doesNotMatch(text, /swordfish/);
});

test("a request refused by the connection hooks is an error answer", async (t) => {
    const response = await site(t, { params: { deny: true } }).fetch("/x");
    const { group, code } = await response.json();
    assert.deepEqual([response.ok, group, code], [false, "user", "denied"]);
});

test("a request to an actor by its id arrives", async (t) => {
    const handle = site(t);
    const id = await handle.resolve();
    const direct = t.clientOf(t.services.rooms).site.getForId(id);
    const request = await (await direct.fetch("/dd?q=1")).json();
    assert.deepEqual([request.path, request.raw_query], ["/dd", "q=1"]);
});

test("many requests at once are answered each with its own answer", async (t) => {
    const handle = site(t);
    const calls = Array.from({ length: 40 }, (_, n) =>
        handle.fetch("/many", { method: "POST", body: `body ${n}` }).then((r) => r.json()),
    );
    const bodies = (await Promise.all(calls)).map(({ text }) => text);
    assert.deepEqual(bodies, Array.from(bodies, (_, n) => `body ${n}`));
});

test("the gateway URL leads to the handler", async (t) => {
    const handle = site(t);
    await handle.go_on();
    const url = new URL(await handle.getGatewayUrl());
    url.pathname += "/request/by/hand";
    const request = await (await fetch(url)).json();
    assert.deepEqual([request.path, request.raw_query], ["/by/hand", ""]);
});
