// Messages for durable queues: what their senders are told, in every encoding.

import assert from "node:assert/strict";
import { test } from "../suite.mjs";

const ODD = "odd name/with?all&kinds=of#%20 é日🙂";

function mill(t, options = undefined, key = t.key()) {
    return t.client.mill.getOrCreate(key, options);
}

test("a message is stored and its sender told nothing", async (t) => {
    const actor = mill(t);
    assert.equal(await actor.send("store", { id: 1 }), undefined);
    assert.deepEqual(await actor.take("store"), [{ id: 1 }]);
});

test("a sender that waits gets the reply", async (t) => {
    const result = await mill(t).send("grain", { corn: 2 }, { wait: true, timeout: 20_000 });
    assert.deepEqual(result, { status: "completed", response: { got: { corn: 2 }, id: 1 } });
});

test("a sender may wait without a limit of its own", async (t) => {
    const result = await mill(t).send("grain", "x", { wait: true });
    assert.deepEqual(result.response, { got: "x", id: 1 });
});

test("a message completed without a reply has no response", async (t) => {
    const result = await mill(t).send("grain", { nothing: true }, { wait: true });
    assert.equal(result.status, "completed");
    assert.equal(result.response ?? undefined, undefined);
});

test("a sender that waited for long enough is told so and the message stays", async (t) => {
    const actor = mill(t);
    const result = await actor.send("store", 7, { wait: true, timeout: 50 });
    assert.equal(result.status, "timedOut");
    assert.equal(result.response ?? undefined, undefined);
    assert.deepEqual(await actor.take("store"), [7]);
});

test("a sender that has no time is told so at once", async (t) => {
    const actor = mill(t);
    assert.equal((await actor.send("store", 7, { wait: true, timeout: 0 })).status, "timedOut");
    assert.deepEqual(await actor.take("store"), [7]);
});

test("a wait that outlasts the actor's time for actions is an error", async (t) => {
    const actor = t.client.impatient.getOrCreate(t.key());
    const sent = actor.send("store", 7, { wait: true, timeout: 20_000 });
    await t.error(sent, "actor.action_timed_out");
});

test("a message for a queue nobody declared is dropped without a word", async (t) => {
    const actor = mill(t);
    assert.equal(await actor.send("nowhere", 1), undefined);
    assert.deepEqual(await actor.take("nowhere"), []);
});

test("a queue may have any name", async (t) => {
    const result = await mill(t).send(ODD, { x: 3, label: "three" }, { wait: true });
    assert.deepEqual(result.response, { x: 4, label: "three" });
});

test("a message of the wrong type is an error", async (t) => {
    await t.error(mill(t).send(ODD, { x: "three" }), "actor.validation_error");
});

test("a message that is too large is refused", async (t) => {
    const actor = mill(t);
    await actor.send("store", "x".repeat(20_000));
    const error = await t.error(
        actor.send("store", "x".repeat(40_000)),
        "queue.message_too_large",
    );
    assert.equal(error.metadata.limit, 30_000);
    assert.ok(error.metadata.size > 40_000);
    await t.error(actor.send("store", "x".repeat(70_000)), "message.incoming_too_long");
    assert.equal((await actor.take("store")).length, 1);
});

test("a queue that is full refuses messages until there is room", async (t) => {
    const actor = mill(t);
    for (let number = 0; number < 20; number += 1) {
        await actor.send("store", number);
    }
    const error = await t.error(actor.send("store", 20), "queue.full");
    assert.equal(error.metadata.limit, 20);
    await actor.take("store");
    await actor.send("store", 21);
    assert.deepEqual(await actor.take("store"), [21]);
});

test("only who may publish does", async (t) => {
    const key = t.key();
    await t.error(mill(t, undefined, key).send("guarded", 1), "auth.forbidden");
    await mill(t, { params: { role: "admin" } }, key).send("guarded", 2);
    assert.deepEqual(await mill(t, undefined, key).take("guarded"), [2]);
});

test("a message may be sent by a connection", async (t) => {
    const conn = mill(t).connect();
    const result = await conn.send("grain", { z: 1 }, { wait: true, timeout: 20_000 });
    assert.deepEqual(result, { status: "completed", response: { got: { z: 1 }, id: 1 } });
    assert.equal(await conn.send("store", 1), undefined);
    assert.deepEqual(await conn.take("store"), [1]);
    await conn.dispose();
});

test("bytes and big integers arrive in messages", async (t) => {
    const actor = mill(t);
    await actor.send("store", new Uint8Array([0, 1, 255]));
    assert.deepEqual(await actor.described("store"), ["bytes", "b'\\x00\\x01\\xff'"]);
    await actor.send("store", 2n ** 80n);
    assert.deepEqual(await actor.described("store"), ["int", "1208925819614629174706176"]);
    const { response } = await actor.send("grain", [new Uint8Array([7]), 2n ** 80n], { wait: true });
    assert.deepEqual([...response.got[0]], [7]);
    assert.equal(response.got[1], 2n ** 80n);
});

test("the actor of an id gets messages too", async (t) => {
    const actor = mill(t);
    const id = await actor.resolve();
    await t.client.mill.getForId(id).send("store", 1);
    assert.deepEqual(await actor.take("store"), [1]);
});
