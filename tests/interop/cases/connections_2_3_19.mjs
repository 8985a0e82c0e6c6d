// What only this client does on connections: refusals are final, errors name the actor.

import assert from "node:assert/strict";
import { Heard, until } from "../connected.mjs";
import { test } from "../suite.mjs";

refused("a connection refused by the actor says why", { deny: true }, "user.denied", "no entry", {
    why: "params",
});
refused("a refusal of another group arrives", { forbid: true }, "auth.forbidden", "Members only.");
refused(
    "a hook that fails tells nothing of itself",
    { boom: true },
    "rivetkit.internal_error",
    "An internal error occurred",
);

function refused(sentence, params, identity, message, metadata = undefined) {
    test(sentence, async (t) => {
        const conn = t.room(t.key(), { params }).connect();
        const heard = new Heard(conn);
        const error = await t.error(conn.whoami(), identity);
        assert.equal(error.message, message);
        assert.deepEqual(error.metadata ?? undefined, metadata);
        assert.doesNotMatch(JSON.stringify(error) + error.stack, /swordfish/);
        await until(() => conn.connStatus === "idle");
        assert.equal(heard.opens, 0);
    });
}

test("the parameters of connect take the place of the handle's", async (t) => {
    const room = t.room(t.key(), { params: { by: "handle" } });
    assert.deepEqual((await room.connect({ by: "connect" }).whoami()).params, { by: "connect" });
    assert.deepEqual((await room.connect().whoami()).params, { by: "handle" });
});

test("ready resolves when the connection is open", async (t) => {
    const conn = t.room().connect();
    await conn.ready;
    assert.equal(conn.connStatus, "connected");
});

test("an error on a connection names the actor", async (t) => {
    const key = t.key("a/b");
    const conn = t.room(key).connect();
    const { actor } = await conn.whoami();
    const error = await t.error(conn.fail_for_the_user(), "user.not_allowed");
    assert.equal(error.actor.actorId, actor);
    assert.equal(error.actor.key, `${key[0]}/a\\/b`);
});

test("the first call of a connection may fail alone", async (t) => {
    const conn = t.room().connect();
    const failing = t.error(conn.fail_for_the_user(), "user.not_allowed");
    assert.equal(await conn.value("second"), "second");
    await failing;
});

test("connecting to an actor that does not exist is tried until it does", async (t) => {
    const key = t.key();
    const conn = t.clientOf(t.services.rooms).room.get(key).connect();
    const call = conn.whoami();
    await until(() => conn.connStatus === "disconnected");
    await t.room(key).value(1);
    assert.deepEqual((await call).key, key);
});

test("connecting to an id that does not exist fails", async (t) => {
    const conn = t.clientOf(t.services.rooms).room.getForId("0000000000000000").connect();
    await t.error(conn.whoami(), "actor.not_found");
    assert.equal(conn.connStatus, "idle");
});

test("connecting in a namespace that does not exist fails", async (t) => {
    const client = t.clientOf(t.services.rooms, { namespace: "nowhere" });
    await t.error(client.room.getOrCreate(t.key()).connect().whoami(), "namespace.not_found");
});

test("a connection by header routing opens", async (t) => {
    const client = t.clientOf(t.services.rooms, { gateway: { skipReadyWait: true } });
    const id = await t.room().resolve();
    assert.equal((await client.room.getForId(id).connect().whoami()).actor, id);
    assert.deepEqual(
        (await client.room.getForId(id, { params: { a: 1 } }).connect().whoami()).params,
        { a: 1 },
    );
});

test("with the right token a connection opens, without it none does", async (t) => {
    const { locked: endpoint, token } = t.services;
    const key = t.key();
    const known = t.clientOf(endpoint, { token }).room.getOrCreate(key);
    const { actor } = await known.connect().whoami();
    const direct = t.clientOf(endpoint, { token }).room.getForId(actor);
    assert.equal((await direct.connect().whoami()).actor, actor);
    const nobody = t.clientOf(endpoint).room.getOrCreate(key).connect();
    await t.error(nobody.whoami(), "auth.unauthorized");
    const guesser = t.clientOf(endpoint, { token: "guessed" }).room.getOrCreate(key).connect();
    await t.error(guesser.whoami(), "auth.forbidden");
});

test("an actor that is created again is found by the connection's key", async (t) => {
    const key = t.key();
    const room = t.room(key);
    const conn = room.connect();
    const heard = new Heard(conn);
    const { actor } = await conn.whoami();
    await room.destroy();
    await until(() => heard.closes === 1);
    assert.notEqual((await conn.whoami()).actor, actor);
    assert.equal(heard.opens, 2);
});
