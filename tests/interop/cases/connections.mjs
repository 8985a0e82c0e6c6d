// Connections: how they open, what calls and events travel on them, how they close.

import assert from "node:assert/strict";
import { Heard, leave, until } from "../connected.mjs";
import { test } from "../suite.mjs";

const HIDDEN = "An internal error occurred";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

// ------------------------------------------------------------------------------------ opening

test("a handle of getOrCreate connects and creates the actor", async (t) => {
    const key = t.key();
    const known = await t.room(key).connect().whoami();
    assert.deepEqual(known.key, key);
    assert.match(known.id, UUID);
});

test("a handle of get connects to an actor that exists", async (t) => {
    const key = t.key();
    const { actor } = await t.room(key).connect().whoami();
    const got = t.clientOf(t.services.rooms).room.get(key);
    assert.equal((await got.connect().whoami()).actor, actor);
});

test("the handle of create connects", async (t) => {
    const key = t.key();
    const created = await t.clientOf(t.services.rooms).room.create(key);
    const known = await created.connect().whoami();
    assert.deepEqual([known.actor, known.key], [await created.resolve(), key]);
});

test("a handle of getForId connects", async (t) => {
    const room = t.room();
    const id = await room.resolve();
    const conn = t.clientOf(t.services.rooms).room.getForId(id).connect();
    assert.equal((await conn.whoami()).actor, id);
});

test("a key with everything that has to be escaped is kept", async (t) => {
    const key = t.key("é日🙂", " +&=%2F#?@:;'\"", "a/b");
    assert.deepEqual((await t.room(key).connect().whoami()).key, key);
});

test("the parameters reach the hooks and the connection", async (t) => {
    const params = { text: "é,;/=+ x日🙂", list: [1, null, { a: true }], number: 1.5 };
    const conn = t.room(t.key(), { params }).connect();
    assert.deepEqual((await conn.whoami()).params, params);
    assert.deepEqual(await conn.remembered(), { params, calls: 0 });
});

test("without parameters there are none", async (t) => {
    assert.equal((await t.room().connect().whoami()).params, null);
});

test("getParams is asked for the parameters of each connection", async (t) => {
    let asked = 0;
    const getParams = async () => ({ asked: (asked += 1) });
    const room = t.room(t.key(), { getParams });
    assert.deepEqual((await room.connect().whoami()).params, { asked: 1 });
    assert.deepEqual((await room.connect().whoami()).params, { asked: 2 });
});

test("each connection has an id and a state of its own", async (t) => {
    const room = t.room();
    const [one, other] = [room.connect(), room.connect()];
    assert.notEqual((await one.whoami()).id, (await other.whoami()).id);
    assert.deepEqual([await one.count_calls(), await one.count_calls()], [1, 2]);
    assert.equal(await other.count_calls(), 1);
});

test("the connections are present while they are open, and leave once", async (t) => {
    const room = t.room();
    const [one, other] = [room.connect(), room.connect()];
    const ids = [(await one.whoami()).id, (await other.whoami()).id];
    assert.deepEqual((await room.history()).present.sort(), [...ids].sort());
    await one.dispose();
    await until(async () => (await room.history()).left.length);
    const { joined, left, present } = await room.history();
    assert.deepEqual([left, present], [[ids[0]], [ids[1]]]);
    assert.deepEqual(joined.sort(), ids.sort());
});

test("what on_connect sends arrives", async (t) => {
    const conn = t.room(t.key(), { params: { greeting: "welcome" } }).connect();
    const heard = new Heard(conn, "greeting");
    await conn.whoami();
    assert.deepEqual(heard.events, [["greeting", "welcome"]]);
});

test("calls made before the connection is open are sent in order", async (t) => {
    const conn = t.room().connect();
    const calls = Array.from({ length: 30 }, () => conn.increment(1));
    assert.deepEqual(await Promise.all(calls), Array.from(calls, (_, n) => n + 1));
});

test("many calls in flight are answered each with its own answer", async (t) => {
    const conn = t.room().connect();
    await conn.whoami();
    const calls = Array.from({ length: 300 }, (_, n) => conn.value({ n }));
    assert.deepEqual(await Promise.all(calls), Array.from(calls, (_, n) => ({ n })));
});

// -------------------------------------------------------------------------------------- events

test("an event raised in an action arrives before its answer", async (t) => {
    const conn = t.room().connect();
    const heard = new Heard(conn, "count");
    for (const total of [1, 2, 3]) {
        assert.equal(await conn.increment(1), total);
        assert.deepEqual(heard.events.at(-1), ["count", total]);
    }
    assert.equal(heard.events.length, 3);
});

test("an event reaches all connections that listen, and no others", async (t) => {
    const room = t.room();
    const conns = [room.connect(), room.connect(), room.connect()];
    const heard = conns.map((conn, n) => new Heard(conn, ...(n < 2 ? ["message"] : ["other"])));
    await Promise.all(conns.map((conn) => conn.whoami()));
    await conns[2].say("hello");
    await until(() => heard[0].events.length && heard[1].events.length);
    await Promise.all(conns.map((conn) => conn.whoami()));
    const message = [["message", "hello"]];
    assert.deepEqual(heard.map(({ events }) => events), [message, message, []]);
});

test("an event may have any number of arguments of any kind", async (t) => {
    const conn = t.room().connect();
    const heard = new Heard(conn, "multi");
    const args = [1, "two", { three: 3 }, null, ["$esc", 1], 2n ** 80n, new Uint8Array([4])];
    await conn.fire("multi", ...args);
    await conn.fire("multi");
    const [[, ...first], second] = heard.events;
    assert.deepEqual(first.slice(0, 4), args.slice(0, 4));
    // A client 2.1 leaves the second dollar of CBOR where it is (client-protocol, 12.4).
    const dollars = t.version === "2.1.7" && t.encoding === "cbor" ? ["$$esc", 1] : ["$esc", 1];
    assert.deepEqual(first[4], dollars);
    assert.equal(first[5], args[5]);
    assert.deepEqual([...first[6]], [4]);
    assert.deepEqual(second, ["multi"]);
});

test("events and answers keep the order in which they were produced", async (t) => {
    const conn = t.room().connect();
    const order = [];
    conn.on("count", (count) => order.push(`event ${count}`));
    const numbers = Array.from({ length: 50 }, (_, n) => n + 1);
    const calls = numbers.map(async () => order.push(`answer ${await conn.increment(1)}`));
    await Promise.all(calls);
    const events = order.filter((entry) => entry.startsWith("event"));
    assert.deepEqual(events, numbers.map((n) => `event ${n}`));
    for (const n of numbers) {
        assert.ok(order.indexOf(`event ${n}`) < order.indexOf(`answer ${n}`), `answer ${n}`);
    }
});

test("a once listener hears one event", async (t) => {
    const conn = t.room().connect();
    const heard = [];
    conn.once("message", (text) => heard.push(text));
    for (const text of ["one", "two", "three"]) {
        await conn.say(text);
    }
    assert.deepEqual(heard, ["one"]);
});

test("after unsubscribing no event arrives", async (t) => {
    const conn = t.room().connect();
    const heard = [];
    const unsubscribe = conn.on("message", (text) => heard.push(text));
    await conn.say("one");
    unsubscribe();
    await conn.say("two");
    assert.deepEqual(heard, ["one"]);
    conn.on("message", (text) => heard.push(text));
    await conn.say("three");
    assert.deepEqual(heard, ["one", "three"]);
});

test("one listener of two may leave", async (t) => {
    const conn = t.room().connect();
    const heard = [];
    const unsubscribe = conn.on("message", (text) => heard.push(`first ${text}`));
    conn.on("message", (text) => heard.push(`second ${text}`));
    await conn.say("a");
    unsubscribe();
    await conn.say("b");
    assert.deepEqual(heard, ["first a", "second a", "second b"]);
});

test("a message to one connection reaches it alone, subscribed or not", async (t) => {
    const room = t.room();
    const [one, other] = [room.connect(), room.connect()];
    const heard = [new Heard(one, "note"), new Heard(other, "note")];
    const [{ id }] = await Promise.all([one.whoami(), other.whoami()]);
    await other.tell(id, "note", 1, "two");
    await until(() => heard[0].events.length);
    assert.deepEqual([heard[0].events, heard[1].events], [[["note", 1, "two"]], []]);
});

test("an event raised by a call over HTTP reaches the connections", async (t) => {
    const room = t.room();
    const conn = room.connect();
    const heard = new Heard(conn, "message");
    await conn.whoami();
    await room.say("by HTTP");
    await until(() => heard.events.length);
    assert.deepEqual(heard.events, [["message", "by HTTP"]]);
});

test("an event that may be subscribed to is heard", async (t) => {
    const conn = t.room(t.key(), { params: { role: "admin" } }).connect();
    const heard = new Heard(conn, "secret");
    await conn.fire("secret", "sesame");
    assert.deepEqual(heard.events, [["secret", "sesame"]]);
});

test("a subscription that is refused closes the connection", async (t) => {
    const conn = t.room().connect();
    await conn.whoami();
    const heard = new Heard(conn, "secret");
    await until(() => heard.closes);
    leave(conn);
    assert.equal(heard.identities()[0], "auth.forbidden");
    assert.deepEqual(heard.events, []);
});

// --------------------------------------------------------------------------- status and closing

test("the callbacks follow the connection", async (t) => {
    const conn = t.room().connect();
    const heard = new Heard(conn);
    await conn.whoami();
    assert.equal(conn.connStatus, "connected");
    assert.deepEqual([heard.opens, heard.closes], [1, 0]);
    await conn.dispose();
    assert.equal(conn.connStatus, "idle");
    assert.deepEqual([heard.opens, heard.closes, heard.errors], [1, 1, []]);
    assert.deepEqual(heard.statuses.slice(-2), ["connected", "idle"]);
});

test("after dispose calls fail", async (t) => {
    const conn = t.room().connect();
    await conn.whoami();
    await conn.dispose();
    await assert.rejects(conn.whoami(), /disposed/i);
});

test("disposing the client closes its connections", async (t) => {
    const key = t.key();
    const client = t.clientOf(t.services.rooms);
    const { id } = await client.room.getOrCreate(key).connect().whoami();
    await client.dispose();
    const room = t.room(key);
    await until(async () => (await room.history()).left.length);
    assert.deepEqual((await room.history()).left, [id]);
});

test("a connection that the actor ends says why, and the client comes back", async (t) => {
    const room = t.room();
    const conn = room.connect();
    const heard = new Heard(conn, "message");
    const { id } = await conn.whoami();
    await room.dismiss(id, "go.away");
    await until(() => heard.opens === 2);
    const again = await conn.whoami();
    assert.notEqual(again.id, id);
    assert.deepEqual(heard.identities(), ["go.away"]);
    await conn.say("still here");
    assert.deepEqual(heard.events, [["message", "still here"]]);
    assert.deepEqual((await room.history()).left, [id]);
});

test("calls in flight fail when the connection ends", async (t) => {
    const room = t.room();
    const conn = room.connect();
    const { id } = await conn.whoami();
    const call = conn.wait_for_the_end();
    const outcome = t.error(call, "go.away");
    await room.dismiss(id, "go.away");
    await outcome;
    leave(conn);
});

test("a destroyed actor closes its connections", async (t) => {
    const room = await t.clientOf(t.services.rooms).room.create(t.key());
    const conn = room.connect();
    const heard = new Heard(conn);
    await conn.whoami();
    await room.destroy();
    await until(() => heard.closes === 1);
    leave(conn);
});

// -------------------------------------------------------------------------------------- errors

test("a user error on a connection keeps message, code and metadata", async (t) => {
    const conn = t.room().connect();
    await conn.whoami();
    const metadata = { limit: 3, list: [1, "two", null], text: "é" };
    const error = await t.error(conn.fail_for_the_user(metadata), "user.not_allowed");
    assert.equal(error.message, "You may not.");
    assert.deepEqual(error.metadata, metadata);
});

test("an unexpected exception on a connection tells nothing of itself", async (t) => {
    const conn = t.room().connect();
    await conn.whoami();
    const error = await t.error(conn.fail_unexpectedly(), "rivetkit.internal_error");
    assert.equal(error.message, HIDDEN);
    assert.doesNotMatch(JSON.stringify(error) + error.stack, /swordfish|RuntimeError/);
});

test("failing calls do no harm to the connection and to other calls", async (t) => {
    const conn = t.room().connect();
    const { id } = await conn.whoami();
    const failures = [
        t.error(conn.no_such_action(), "actor.action_not_found"),
        t.error(conn.typed({ x: "three" }), "actor.validation_error"),
        t.error(conn.whoami(1, 2), "actor.validation_error"),
        t.error(conn.outlast_its_time(), "actor.action_timed_out"),
        t.error(conn.fail_for_the_user(), "user.not_allowed"),
    ];
    assert.equal(await conn.value("between"), "between");
    await Promise.all(failures);
    assert.equal((await conn.whoami()).id, id);
});

test("a message of almost 64 KiB is taken", async (t) => {
    const conn = t.room().connect();
    assert.equal(await conn.length_of("x".repeat(65_000)), 65_000);
});

test("a message that is too large closes the connection, and the client comes back", async (t) => {
    const conn = t.room().connect();
    const heard = new Heard(conn);
    const { id } = await conn.whoami();
    await t.error(conn.length_of("x".repeat(70_000)), "message.incoming_too_long");
    assert.notEqual((await conn.whoami()).id, id);
    assert.deepEqual(heard.identities(), ["message.incoming_too_long"]);
});

test("an answer that is too large is an error of its call alone", async (t) => {
    const conn = t.room().connect();
    const { id } = await conn.whoami();
    assert.equal((await conn.text_of(1_000_000)).length, 1_000_000);
    await t.error(conn.text_of(1_100_000), "message.outgoing_too_long");
    assert.equal((await conn.whoami()).id, id);
});

test("an event that is too large closes the connections that would hear it", async (t) => {
    const room = t.room();
    const [one, other] = [room.connect(), room.connect()];
    const heard = new Heard(one, "large");
    const bystander = new Heard(other, "small");
    await Promise.all([one.whoami(), other.whoami()]);
    await room.fire_text_of("large", 1_100_000);
    await until(() => heard.closes);
    assert.equal(heard.identities()[0], "message.outgoing_too_long");
    await other.whoami();
    assert.equal(bystander.closes, 0);
    leave(one);
});

test("big integers and bytes travel on a connection", async (t) => {
    const conn = t.room().connect();
    assert.equal(await conn.value(2n ** 80n), 2n ** 80n);
    assert.equal(await conn.value(-(2n ** 63n)), -(2n ** 63n));
    assert.deepEqual(await conn.described(5n), ["int", "5"]);
    assert.deepEqual([...(await conn.value(new Uint8Array([0, 255])))], [0, 255]);
    assert.deepEqual(await conn.described(new Uint8Array([1])), ["bytes", "b'\\x01'"]);
    assert.equal(await conn.value(null), null);
});
