// Naming, finding, creating and destroying actors. The encoding of values does not matter here.

import assert from "node:assert/strict";
import { test } from "../suite.mjs";

test("a dotted action is called by its whole name", async (t) => {
    assert.equal(await t.echo().action({ name: "math.add", args: [2, 3] }), 5);
    assert.equal(await t.echo()["deep.er.name"](), "deep.er.name");
});

test("an action's name may hold anything that has to be escaped", async (t) => {
    const name = "odd name/with?all&kinds=of#%20 é日🙂";
    assert.equal(await t.echo().action({ name, args: ["there"] }), "there");
});

test("an actor's name may hold what has to be escaped", async (t) => {
    const key = t.key();
    const identity = await t.client["odd name+é"].getOrCreate(key).identity();
    assert.equal(identity.name, "odd name+é");
    assert.deepEqual(identity.key, key);
});

sameActor("a key of one part names one actor for actions and for resolve", []);
sameActor("a slash within a part of a key is not a separator", ["a/b", "c"]);
sameActor("a slash at the end of a part of a key is not a separator", ["a/", "/b"]);
sameActor("parts of a key stay apart", ["a", "b"]);
sameActor("a backslash in a key is kept", ["a\\b"]);
sameActor("a backslash at the end of a part is kept", ["a\\", "b"]);
sameActor("a backslash before a zero in a key is kept", ["\\0"]);
sameActor("an empty last part of a key is kept", ["a", ""]);
sameActor("an empty part within a key is kept", ["", "b"]);
sameActor("a key may hold Unicode and all that URLs escape", ["é日🙂", " +&=%2F#?@:;'\""]);

function sameActor(sentence, rest) {
    test(sentence, async (t) => {
        const key = t.key(...rest);
        const identity = await t.echo(key).identity();
        assert.deepEqual(identity.key, key);
        assert.equal(await t.echo(key).resolve(), identity.id);
        assert.equal(await t.client.echo.get(key).resolve(), identity.id);
        assert.equal((await t.client.echo.get(key).identity()).id, identity.id);
    });
}

test("keys that look alike when joined name different actors", async (t) => {
    const [part] = t.key();
    const keys = [[part, "a", "b"], [part, "a/b"], [part, "a\\/b"], [`${part}/a`, "b"]];
    const ids = await Promise.all(keys.map((key) => t.echo(key).resolve()));
    assert.equal(new Set(ids).size, keys.length);
});

test("a string is a key of one part", async (t) => {
    const [part] = t.key();
    assert.deepEqual((await t.client.echo.getOrCreate(part).identity()).key, [part]);
});

test("an actor may have no key", async (t) => {
    const identity = await t.client.echo.getOrCreate().identity();
    assert.deepEqual(identity.key, []);
    assert.equal(await t.client.echo.getOrCreate([]).resolve(), identity.id);
});

test("a key that is too long is refused", async (t) => {
    await t.error(t.echo(t.key(...Array(10).fill("k".repeat(120)))).identity(), "actor.key_too_large");
});

test("get does not create an actor", async (t) => {
    const key = t.key();
    await t.error(t.client.echo.get(key).identity(), "actor.not_found");
    assert.deepEqual((await t.get(`/actors?namespace=default&name=echo&key=${key}`)).actors, []);
});

test("get finds an actor that exists", async (t) => {
    const key = t.key();
    await t.counter(key).increment(4);
    assert.equal(await t.client.counter.get(key).get(), 4);
});

test("resolve of an actor that does not exist is an error", async (t) => {
    await t.error(t.client.echo.get(t.key()).resolve(), "actor.not_found");
});

test("an actor that the registry does not know is an error", async (t) => {
    await t.error(t.client.nobody.getOrCreate(t.key()).get(), "actor.not_registered");
    await t.error(t.client.nobody.create(t.key()), "actor.not_registered");
});

test("create returns a handle to a new actor", async (t) => {
    const key = t.key();
    const created = await t.client.counter.create(key);
    assert.equal(await created.increment(3), 3);
    assert.equal(await created.resolve(), await t.counter(key).resolve());
    assert.equal(await t.client.counter.get(key).get(), 3);
});

test("create with a key in use says which actor has it", async (t) => {
    const key = t.key("a/b");
    const first = await t.client.counter.create(key);
    const error = await t.error(t.client.counter.create(key), "actor.duplicate_key");
    assert.equal(error.metadata.existing_actor_id, await first.resolve());
    assert.deepEqual(error.metadata.key, `${key[0]}/a\\/b`);
});

test("an actor created with an input sees it", async (t) => {
    const input = { text: "é", list: [1, 2 ** 40, null], bytes: new Uint8Array([1, 2]), float: 1.5 };
    const created = await t.client.echo.create(t.key(), { input });
    const gotten = t.echo(t.key(), { createWithInput: input });
    for (const echo of [created, gotten]) {
        const seen = await echo.input();
        assert.deepEqual([...seen.bytes], [1, 2]);
        assert.deepEqual({ ...seen, bytes: input.bytes }, input);
    }
});

test("without an input the actor sees none", async (t) => {
    assert.equal(await t.echo().input(), null);
    assert.equal(await (await t.client.echo.create(t.key())).input(), null);
});

test("the input of an actor that exists is ignored", async (t) => {
    const key = t.key();
    await t.echo(key, { createWithInput: "first" }).input();
    assert.equal(await t.echo(key, { createWithInput: "second" }).input(), "first");
});

test("getForId finds the actor", async (t) => {
    const counter = t.counter();
    await counter.increment(6);
    const id = await counter.resolve();
    const handle = t.client.counter.getForId(id);
    assert.equal(await handle.get(), 6);
    assert.equal(await handle.resolve(), id);
});

test("getForId with an id that was never given is an error", async (t) => {
    for (const id of ["nonsense", "0000000000000000", "a/b?c", "é"]) {
        await t.error(t.client.counter.getForId(id).get(), "actor.not_found");
    }
});

test("an actor knows its id, name and key", async (t) => {
    const key = t.key("part");
    const echo = t.echo(key);
    assert.deepEqual(await echo.identity(), { id: await echo.resolve(), name: "echo", key });
});

test("handles work on after they were resolved", async (t) => {
    const counter = t.counter();
    const id = await counter.resolve();
    assert.equal(await counter.increment(1), 1);
    assert.equal(await counter.resolve(), id);
});

test("getGatewayUrl leads to the actor", async (t) => {
    const counter = t.counter();
    await counter.increment(8);
    const url = new URL(await counter.getGatewayUrl());
    assert.ok(url.href.startsWith(`${t.services.open}/gateway/`), url.href);
    url.pathname += "/action/get";
    const response = await fetch(url, { method: "POST", body: '{"args":[]}' });
    assert.deepEqual([response.status, await response.json()], [200, { output: 8 }]);
});

test("concurrent first calls create one actor", async (t) => {
    const key = t.key();
    const calls = Array.from({ length: 40 }, () => t.counter(key).increment(1));
    const totals = await Promise.all(calls);
    assert.deepEqual(totals.toSorted((a, b) => a - b), Array.from(calls, (_, n) => n + 1));
    const { actors } = await t.get(`/actors?namespace=default&name=counter&key=${key}`);
    assert.equal(actors.length, 1);
});

test("of concurrent creations one succeeds", async (t) => {
    const key = t.key();
    const creations = Array.from({ length: 10 }, () => t.client.counter.create(key));
    const outcomes = await Promise.allSettled(creations);
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.equal(refused.length, 9);
    assert.ok(refused.every(({ reason }) => reason.code === "duplicate_key"));
});

test("created actors are listed", async (t) => {
    const [first, second] = [t.key(), t.key("a/b")];
    const ids = [await t.counter(first).resolve(), await t.counter(second).resolve()];
    const { actors } = await t.get("/actors?namespace=default&name=counter&limit=1000");
    const listed = new Map(actors.map((actor) => [actor.actor_id, actor.key]));
    assert.deepEqual(ids.map((id) => listed.get(id)), [first[0], `${second[0]}/a\\/b`]);
});

test("a destroyed actor is gone, and its key is free for another", async (t) => {
    const key = t.key();
    const counter = await t.client.counter.create(key);
    await counter.increment(5);
    await counter.destroy();
    await t.error(counter.get(), "actor.not_found");
    await t.error(t.client.counter.get(key).resolve(), "actor.not_found");
    const next = await t.client.counter.create(key);
    assert.notEqual(await next.resolve(), await counter.resolve());
    assert.equal(await next.get(), 0);
});

test("getOrCreate makes a new actor after the first was destroyed", async (t) => {
    const key = t.key();
    const counter = t.counter(key);
    const id = await counter.resolve();
    await counter.increment(5);
    await counter.destroy();
    const again = t.counter(key);
    assert.equal(await again.increment(1), 1);
    assert.notEqual(await again.resolve(), id);
});

test("a call can be aborted, and the actor goes on", async (t) => {
    const echo = t.echo();
    await echo.value(1);
    const abort = new AbortController();
    const call = echo.action({ name: "wait_for_the_end", args: [], signal: abort.signal });
    setImmediate(() => abort.abort());
    const error = await t.error(call, "rivetkit.internal_error");
    assert.match(error.message, /AbortError|aborted/);
    assert.equal(await echo.value(2), 2);
});

test("a call may carry parameters of any kind", async (t) => {
    for (const params of [null, 0, "", "text", { user: "Zoë", list: [1, { a: null }] }]) {
        assert.equal(await t.echo(t.key(), { params }).value("there"), "there");
    }
});

test("the region and the pool of the service may be named, others may not", async (t) => {
    const region = { createInRegion: "default" };
    assert.equal(await t.counter(t.key(), region).increment(1), 1);
    const elsewhere = t.counter(t.key(), { createInRegion: "mars" });
    await t.error(elsewhere.increment(1), "datacenter.not_found");
});
