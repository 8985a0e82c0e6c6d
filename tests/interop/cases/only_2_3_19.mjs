// What only this client does (client-protocol, section 12.2): keys in URLs, inputs in URLs,
// tagged arrays, the actor behind an error, header routing.

import assert from "node:assert/strict";
import { roundTrip, test } from "../suite.mjs";

roundTrip("an array of two that begins with a dollar comes back", ["$x", 1]);
roundTrip("an array that looks like a tagged one comes back", ["$BigInt", "5"]);
roundTrip("an array that looks like an escaped one comes back", [["$$x", 1], { a: ["$", null] }]);

test("an array that begins with a dollar arrives from Python", async (t) => {
    assert.deepEqual(await t.echo().produced("dollar pair"), ["$x", 1]);
});

test("falsy inputs arrive where the client sends them", async (t) => {
    for (const input of [0, "", false, null]) {
        assert.equal(await t.echo(t.key(), { createWithInput: input }).input(), input);
    }
});

test("falsy inputs of create are lost by the client", async (t) => {
    for (const input of [0, "", false, null]) {
        assert.equal(await (await t.client.echo.create(t.key(), { input })).input(), null);
    }
});

test("an input that is too large for a URL is refused by the client", async (t) => {
    const handle = t.echo(t.key(), { createWithInput: "x".repeat(5_000) });
    await assert.rejects(handle.input(), /maxInputSize|exceeds|too large/i);
});

test("a large input of create arrives", async (t) => {
    const created = await t.client.echo.create(t.key(), { input: "x".repeat(900_000) });
    assert.equal((await created.input()).length, 900_000);
});

test("an input may hold what only CBOR has", async (t) => {
    const input = { big: 2n ** 80n, set: new Set([1]), date: new Date(1700000000123) };
    const seen = await t.echo(t.key(), { createWithInput: input }).input();
    assert.equal(seen.big, input.big);
    if (t.encoding !== "json") {
        assert.deepEqual(seen, input);
    }
});

test("a comma in a key is a separator for actions, not for resolve", async (t) => {
    const [part] = t.key();
    const identity = await t.echo([part, "x,y"]).identity();
    assert.deepEqual(identity.key, [part, "x", "y"]);
    const resolved = t.client.echo.getForId(await t.echo([part, "x,y"]).resolve());
    assert.deepEqual((await resolved.identity()).key, [part, "x,y"]);
});

test("a key of one empty part is no key for actions, but one for resolve", async (t) => {
    const identity = await t.echo([""]).identity();
    assert.deepEqual(identity.key, []);
    const resolved = t.client.echo.getForId(await t.echo([""]).resolve());
    assert.deepEqual((await resolved.identity()).key, [""]);
});

test("an error names the actor and the request", async (t) => {
    const key = t.key("a/b");
    const echo = t.echo(key);
    const error = await t.error(echo.fail_for_the_user(), "user.not_allowed");
    const actor = { actorId: await echo.resolve(), generation: error.actor.generation };
    assert.deepEqual(error.actor, { ...actor, key: `${key[0]}/a\\/b` });
    assert.ok(Number.isInteger(error.actor.generation));
    assert.ok(error.rayId);
});

test("an error of the gateway names the request", async (t) => {
    const error = await t.error(t.client.nobody.getOrCreate(t.key()).get(), "actor.not_registered");
    assert.ok(error.rayId);
});

test("a client need not wait until an actor is ready", async (t) => {
    const client = t.clientOf(t.services.open, { gateway: { skipReadyWait: true } });
    const counter = client.counter.getOrCreate(t.key());
    assert.equal(await counter.increment(1), 1);
    const direct = client.counter.getForId(await counter.resolve());
    assert.equal(await direct.increment(1), 2);
});

test("a pool that does not exist is an error", async (t) => {
    const identity = "actor.no_runner_config_configured";
    const error = await t.error(t.counter(t.key(), { poolName: "gpu" }).get(), identity);
    assert.deepEqual(error.metadata, { namespace: "default", pool_name: "gpu" });
    await t.error(t.client.counter.create(t.key(), { poolName: "gpu" }), identity);
});

test("messages of one handle come in order", async (t) => {
    const actor = t.client.mill.getOrCreate(t.key());
    const numbers = Array.from({ length: 20 }, (_, number) => number);
    await Promise.all(numbers.map((number) => actor.send("store", number)));
    assert.deepEqual(await actor.take("store"), numbers);
});

test("a connection publishes with its own parameters", async (t) => {
    const actor = t.client.mill.getOrCreate(t.key());
    const conn = actor.connect({ role: "admin" });
    await conn.send("guarded", 1);
    assert.deepEqual(await actor.take("guarded"), [1]);
    await conn.dispose();
});

test("a message for an actor that does not exist is an error", async (t) => {
    await t.error(t.client.mill.get(t.key()).send("store", 1), "actor.not_found");
});
