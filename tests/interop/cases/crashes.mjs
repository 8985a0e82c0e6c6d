// Gateways and workers are killed under open connections.
//
// The client 2.3.19 is kept from using HTTP: Node's WebSocket takes an idle HTTP connection for its
// handshake, and if that is one of the gateway just killed the client never tries again
// (client-protocol, 7.8, point 3).

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { get } from "node:http";
import { json } from "node:stream/consumers";
import { Heard, until } from "../connected.mjs";
import { alone } from "../suite.mjs";

/** Kill all children of a supervisor of one role: "gateway" or "worker". */
function kill(supervisor, role) {
    const tasks = readdirSync(`/proc/${supervisor}/task`);
    const children = tasks.flatMap((task) =>
        readFileSync(`/proc/${supervisor}/task/${task}/children`, "utf8").trim().split(" "),
    );
    const chosen = children.filter((pid) => pid && roleOf(pid) === role);
    assert.ok(chosen.length, `no ${role} among ${children}`);
    chosen.forEach((pid) => process.kill(Number(pid), "SIGKILL"));
}

function roleOf(pid) {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split(/[\0 :]+/);
    return words.find((word) => word === "gateway" || word === "worker");
}

function fragile(t) {
    const endpoint = t.services[`fragile ${t.version}`];
    const client = t.clientOf(endpoint, { disableMetadataLookup: true });
    return {
        room: client.room.getOrCreate(t.key()),
        kill: (role) => kill(t.services[`supervisor ${t.version}`], role),
        sleep: async (conn) => {
            const { actor } = await conn.whoami();
            await conn.fall_asleep();
            await until(() => sleeps(endpoint, actor));
        },
    };
}

/** Ask whether an actor sleeps, over a connection that is not kept. */
async function sleeps(endpoint, id) {
    const url = `${endpoint}/actors?namespace=default&actor_ids=${id}`;
    const { actors } = await new Promise((resolve, reject) => {
        const answered = (response) => resolve(json(response));
        get(url, { agent: false }, answered).on("error", reject);
    });
    return actors[0].sleep_ts !== null;
}

alone("a connection comes back after its gateway was killed", async (t) => {
    const { room, kill } = fragile(t);
    const conn = room.connect();
    const heard = new Heard(conn, "message");
    const { id, actor } = await conn.whoami();
    kill("gateway");
    await until(() => heard.closes === 1);
    const again = await conn.whoami();
    assert.equal(again.actor, actor);
    assert.notEqual(again.id, id);
    await conn.say("after");
    assert.deepEqual(heard.events, [["message", "after"]]);
    assert.equal(heard.opens, 2);
    await until(async () => (await conn.history()).left.includes(id));
    await conn.dispose();
});

alone("calls made while the gateway is away are sent when it is back", async (t) => {
    const { room, kill } = fragile(t);
    const conn = room.connect();
    const heard = new Heard(conn);
    await conn.increment(1);
    kill("gateway");
    await until(() => heard.closes === 1);
    const calls = Array.from({ length: 10 }, () => conn.increment(1));
    assert.deepEqual(await Promise.all(calls), Array.from(calls, (_, n) => n + 2));
    await conn.dispose();
});

alone("a connection outlasts the crash of its worker", async (t) => {
    const { room, kill } = fragile(t);
    const conn = room.connect();
    const heard = new Heard(conn, "message");
    const { id } = await conn.whoami();
    assert.equal(await conn.count_calls(), 1);
    kill("worker");
    assert.equal((await conn.whoami()).id, id);
    assert.equal(await conn.count_calls(), 2);
    await conn.say("after");
    assert.deepEqual(heard.events, [["message", "after"]]);
    assert.deepEqual([heard.opens, heard.closes], [1, 0]);
    await conn.dispose();
});

alone("an event after a crash of the worker reaches connections that say nothing", async (t) => {
    const { room, kill } = fragile(t);
    const silent = [room.connect(), room.connect()];
    const heard = silent.map((conn) => new Heard(conn, "count"));
    const talker = room.connect();
    await Promise.all([...silent, talker].map((conn) => conn.whoami()));
    kill("worker");
    await until(async () => {
        await talker.increment(1);
        return heard.every(({ events }) => events.length);
    });
    assert.deepEqual(heard.map(({ closes }) => closes), [0, 0]);
    await Promise.all([...silent, talker].map((conn) => conn.dispose()));
});

alone("calls in flight while the worker crashes are answered, none is lost", async (t) => {
    const { room, kill } = fragile(t);
    const conn = room.connect();
    await conn.whoami();
    const calls = Array.from({ length: 200 }, () => conn.increment(1));
    await Promise.race(calls);
    kill("worker");
    const totals = await Promise.all(calls);
    assert.deepEqual(totals, totals.toSorted((a, b) => a - b));
    assert.equal(new Set(totals).size, totals.length);
    assert.ok((await conn.increment(0)) >= 200);
    await conn.dispose();
});

alone("a connection of a sleeping actor outlasts the crash of the worker", async (t) => {
    const { room, kill, sleep } = fragile(t);
    const conn = room.connect();
    const heard = new Heard(conn, "message");
    const before = await conn.whoami();
    assert.equal(await conn.count_calls(), 1);
    await sleep(conn);
    kill("worker");
    assert.deepEqual(await conn.whoami(), before);
    assert.equal(await conn.count_calls(), 2);
    await conn.say("after");
    assert.deepEqual(heard.events, [["message", "after"]]);
    assert.deepEqual([heard.opens, heard.closes], [1, 0]);
    const { joined, left } = await conn.history();
    assert.deepEqual([joined, left], [[before.id], []]);
    await conn.dispose();
});

alone("a client that was lost with its gateway while the actor slept has left once", async (t) => {
    const { room, kill, sleep } = fragile(t);
    const conn = room.connect();
    const heard = new Heard(conn);
    const { id } = await conn.whoami();
    await sleep(conn);
    kill("gateway");
    await until(() => heard.opens === 2);
    const known = await conn.whoami();
    await until(async () => (await conn.history()).left.length);
    const { left, present } = await conn.history();
    assert.deepEqual([left, present], [[id], [known.id]]);
    await conn.dispose();
});
