// Sleep, wake, destruction and schedules, as clients find them, in every encoding.

import assert from "node:assert/strict";
import { asleep, leave, sleeps, until } from "../connected.mjs";
import { test } from "../suite.mjs";

function life(t, key = t.key(), options = undefined) {
    return t.client.life.getOrCreate(key, options);
}

/** Put an actor to sleep and return its id once it does. */
async function sleeping(t, actor) {
    const id = await actor.resolve();
    await actor.fall_asleep();
    await asleep(t, id, t.services.open);
    return id;
}

test("an idle actor sleeps and wakes with its state", async (t) => {
    const actor = t.client.dozy.getOrCreate(t.key());
    const [, , before] = await actor.count();
    await asleep(t, await actor.resolve(), t.services.open);
    const [count, , wakes] = await actor.count();
    assert.deepEqual([count, wakes], [2, before + 1]);
});

test("vars are fresh after a wake", async (t) => {
    const actor = life(t);
    await actor.count();
    assert.equal((await actor.count())[1], 2);
    await sleeping(t, actor);
    assert.equal((await actor.count())[1], 1);
});

test("an actor that asks for sleep answers first", async (t) => {
    const actor = life(t);
    await actor.count();
    assert.equal((await actor.fall_asleep()) ?? undefined, undefined);
    assert.deepEqual(await actor.count(), [2, 1, 2]);
});

test("an actor keeps its id when it sleeps", async (t) => {
    const actor = life(t);
    const id = await sleeping(t, actor);
    await actor.count();
    assert.equal(await actor.resolve(), id);
});

test("the reply of the action that destroys its actor arrives", async (t) => {
    assert.equal(await life(t).vanish(), "farewell");
});

test("a destroyed actor is found neither by its id nor by its key", async (t) => {
    const key = t.key();
    const id = await life(t, key).resolve();
    await life(t, key).vanish();
    await t.error(t.client.life.getForId(id).count(), "actor.not_found");
    await t.error(t.client.life.get(key).count(), "actor.not_found");
});

test("the key of a destroyed actor gets a new one with fresh state", async (t) => {
    const key = t.key();
    const first = life(t, key, { createWithInput: "first" });
    const id = await first.resolve();
    await first.count();
    await first.vanish();
    const second = life(t, key, { createWithInput: "second" });
    const { input, wakes, count, rings } = await second.remembered();
    assert.deepEqual([input, wakes, count, rings], ["second", 1, 0, []]);
    assert.notEqual(await second.resolve(), id);
});

test("schedules of a destroyed actor do not reach its successor", async (t) => {
    const key = t.key();
    await life(t, key).ring_after(0.3, "old");
    await life(t, key).vanish();
    await life(t, key).ring_after(0.6, "new");
    await until(async () => (await life(t, key).remembered()).rings.length > 0);
    assert.deepEqual((await life(t, key).remembered()).rings, [["new", false]]);
});

test("what is scheduled reaches who listens", async (t) => {
    const conn = life(t).connect();
    const heard = [];
    conn.on("rang", (tone) => heard.push(tone));
    await conn.ring_after(0.2, { tone: "c" });
    await conn.ring_at(Date.now() / 1000 + 0.4, { tone: "d" });
    await until(() => heard.length === 2);
    assert.deepEqual(heard, [{ tone: "c" }, { tone: "d" }]);
    await conn.dispose();
});

test("nobody calls what was scheduled", async (t) => {
    const actor = life(t);
    await actor.ring("by hand");
    await actor.ring_after(0.1, "by schedule");
    await until(async () => (await actor.remembered()).rings.length === 2);
    assert.deepEqual((await actor.remembered()).rings, [["by hand", true], ["by schedule", false]]);
});

test("what is cancelled does not happen", async (t) => {
    const actor = life(t);
    const id = await actor.ring_after(5, "never");
    assert.equal(await actor.cancel(id), true);
    assert.equal(await actor.cancel(id), false);
    await actor.ring_after(5.2, "later");
    await until(async () => (await actor.remembered()).rings.length > 0);
    assert.deepEqual((await actor.remembered()).rings, [["later", false]]);
});

test("a schedule wakes a sleeping actor", async (t) => {
    const actor = life(t);
    await actor.ring_after(8, "morning");
    const id = await sleeping(t, actor);
    await until(async () => !(await sleeps(t, id, t.services.open)));
    await until(async () => (await actor.remembered()).rings.length > 0);
    const { rings, wakes } = await actor.remembered();
    assert.deepEqual([rings, wakes], [[["morning", false]], 2]);
});

test("an actor sleeps under an open connection and an action over it wakes it", async (t) => {
    const conn = t.client.dozy.getOrCreate(t.key()).connect();
    let closes = 0;
    conn.onClose(() => (closes += 1));
    const [, , wakes] = await conn.count();
    await asleep(t, conn.actorId, t.services.open);
    assert.deepEqual(await conn.count(), [2, 1, wakes + 1]);
    assert.equal(closes, 0);
    await conn.dispose();
});

test("what a sleeping actor has scheduled reaches who stayed connected", async (t) => {
    const conn = life(t).connect();
    const heard = [];
    conn.on("rang", (tone) => heard.push(tone));
    await conn.ring_after(2.5, "morning");
    await conn.fall_asleep();
    await asleep(t, conn.actorId, t.services.open);
    await until(() => heard.length === 1);
    assert.equal((await conn.count())[2], 2);
    leave(conn);
});
