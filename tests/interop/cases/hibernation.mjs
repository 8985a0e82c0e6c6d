// Connections outlast the sleep of their actor; nothing of it is seen by the client.

import assert from "node:assert/strict";
import { forceToSleep, Heard, leave, putToSleep, until } from "../connected.mjs";
import { test } from "../suite.mjs";

survives("a connection outlasts the sleep its actor asks for", async (t, room) => {
    await putToSleep(t, room);
});

survives("a connection outlasts a sleep that is forced", async (t, room) => {
    await forceToSleep(t, await room.resolve());
});

survives("a connection outlasts several sleeps", async (t, room) => {
    await putToSleep(t, room);
    await room.value(1);
    await putToSleep(t, room);
    await room.value(2);
    await putToSleep(t, room);
});

function survives(sentence, sleep) {
    test(sentence, async (t) => {
        const room = t.room(t.key(), { params: { user: "Zoë" } });
        const conn = room.connect();
        const heard = new Heard(conn, "message");
        const before = await conn.whoami();
        assert.equal(await conn.count_calls(), 1);
        await sleep(t, room);
        assert.deepEqual(await conn.whoami(), before);
        assert.equal(await conn.count_calls(), 2);
        await conn.say("awake");
        assert.deepEqual(heard.events, [["message", "awake"]]);
        assert.deepEqual([heard.opens, heard.closes, heard.errors], [1, 0, []]);
        assert.equal(conn.connStatus, "connected");
        const { wakes, joined, left } = await conn.history();
        assert.ok(wakes > 1);
        assert.deepEqual([joined, left], [[before.id], []]);
        await conn.dispose();
    });
}

test("calls that arrive while the actor sleeps wake it and are answered in order", async (t) => {
    const room = t.room();
    const conn = room.connect();
    await conn.increment(1);
    await putToSleep(t, room);
    const calls = Array.from({ length: 20 }, () => conn.increment(1));
    assert.deepEqual(await Promise.all(calls), Array.from(calls, (_, n) => n + 2));
});

test("no call is lost or made twice while the actor falls asleep again and again", async (t) => {
    const room = t.room();
    const conn = room.connect();
    const calls = [];
    for (let round = 0; round < 10; round += 1) {
        calls.push(conn.increment(1), conn.fall_asleep().then(() => 0), conn.increment(1));
        await calls.at(-1);
    }
    const totals = (await Promise.all(calls)).filter((total) => total);
    assert.deepEqual(totals, Array.from(totals, (_, n) => n + 1));
    assert.equal(totals.length, 20);
});

test("an event after a sleep reaches the connections that slept along", async (t) => {
    const room = t.room();
    const conns = [room.connect(), room.connect(), room.connect()];
    const heard = conns.map((conn) => new Heard(conn, "message"));
    await Promise.all(conns.map((conn) => conn.whoami()));
    await putToSleep(t, room);
    await room.say("by HTTP");
    await until(() => heard.every(({ events }) => events.length));
    assert.deepEqual(heard.map(({ events }) => events), Array(3).fill([["message", "by HTTP"]]));
    assert.equal((await room.history()).present.length, 3);
});

test("what was unsubscribed before a sleep stays so", async (t) => {
    const room = t.room();
    const conn = room.connect();
    const heard = [];
    const unsubscribe = conn.on("message", (text) => heard.push(text));
    conn.on("count", (count) => heard.push(count));
    await conn.say("one");
    unsubscribe();
    await conn.value(0);
    await putToSleep(t, room);
    await conn.say("two");
    await conn.increment(7);
    assert.deepEqual(heard, ["one", 7]);
});

test("a client that leaves while the actor sleeps has left once", async (t) => {
    const room = t.room();
    const conn = room.connect();
    const { id } = await conn.whoami();
    await putToSleep(t, room);
    await conn.dispose();
    await until(async () => (await room.history()).left.length);
    const { joined, left, present } = await room.history();
    assert.deepEqual({ joined, left, present }, { joined: [id], left: [id], present: [] });
});

test("a connection that slept can be ended by the actor", async (t) => {
    const room = t.room();
    const conn = room.connect();
    const heard = new Heard(conn);
    const { id } = await conn.whoami();
    await putToSleep(t, room);
    await room.dismiss(id, "go.away");
    await until(() => heard.closes);
    leave(conn);
    assert.equal(heard.identities()[0], "go.away");
});
