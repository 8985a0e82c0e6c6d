// What only this client does (client-protocol, section 12.2): it resolves an id before each
// request, so its keys are exact and its inputs travel in bodies.

import assert from "node:assert/strict";
import { test } from "../suite.mjs";

test("an array of two that begins with a dollar arrives in Python as it is", async (t) => {
    assert.deepEqual(await t.echo().described(["$x", 1]), ["list", "['$x', 1]"]);
});

test("such an array comes back, in CBOR with a second dollar", async (t) => {
    // Nothing in a CBOR body says that its reader will not revive tagged arrays (12.4).
    const back = t.encoding === "cbor" ? ["$$x", 1] : ["$x", 1];
    assert.deepEqual(await t.echo().value(["$x", 1]), back);
    assert.deepEqual(await t.echo().produced("dollar pair"), back);
});

test("a comma in a key is no separator", async (t) => {
    const key = t.key("x,y");
    const identity = await t.echo(key).identity();
    assert.deepEqual(identity.key, key);
    assert.equal(await t.echo(key).resolve(), identity.id);
});

test("a key of one empty part is a key", async (t) => {
    const identity = await t.echo([""]).identity();
    assert.deepEqual(identity.key, [""]);
    assert.notEqual(identity.id, await t.echo([]).resolve());
});

test("falsy inputs are lost by the client", async (t) => {
    for (const input of [0, "", false, null]) {
        assert.equal(await t.echo(t.key(), { createWithInput: input }).input(), null);
        assert.equal(await (await t.client.echo.create(t.key(), { input })).input(), null);
    }
});

test("a large input arrives", async (t) => {
    const echo = t.echo(t.key(), { createWithInput: "x".repeat(900_000) });
    assert.equal((await echo.input()).length, 900_000);
});

test("a pool that does not exist is an error", async (t) => {
    const client = t.clientOf(t.services.open, { runnerName: "gpu" });
    const error = await t.error(
        client.counter.getOrCreate(t.key()).get(),
        "actor.no_runner_config_configured",
    );
    assert.deepEqual(error.metadata, { namespace: "default", pool_name: "gpu" });
});
