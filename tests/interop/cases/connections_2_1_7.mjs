// What only this client does on connections: it tries refused ones again and again.

import assert from "node:assert/strict";
import { Heard, leave, until } from "../connected.mjs";
import { test } from "../suite.mjs";

test("a connection refused by the actor says why, and is tried again", async (t) => {
    const conn = t.room(t.key(), { params: { deny: true } }).connect();
    const heard = new Heard(conn);
    const call = conn.whoami().catch((error) => error);
    await until(() => heard.errors.length >= 2);
    leave(conn);
    await call;
    assert.ok(heard.identities().every((identity) => identity === "user.denied"));
    assert.equal(heard.opens, 0);
});

test("a connection that is let in at last opens", async (t) => {
    let asked = 0;
    const getParams = async () => ({ deny: (asked += 1) < 3 });
    const conn = t.room(t.key(), { getParams }).connect();
    await until(() => conn.connStatus === "connected"); // each refusal fails the calls that wait
    assert.deepEqual((await conn.whoami()).params, { deny: false });
    assert.equal(asked, 3);
});

test("a hook that fails tells nothing of itself", async (t) => {
    const conn = t.room(t.key(), { params: { boom: true } }).connect();
    const heard = new Heard(conn);
    const call = conn.whoami().catch((error) => error);
    await until(() => heard.errors.length);
    leave(conn);
    await call;
    assert.equal(heard.identities()[0], "rivetkit.internal_error");
    assert.doesNotMatch(heard.errors.map(({ stack }) => stack).join(), /swordfish/);
});

test("a token in the path opens a connection", async (t) => {
    const { locked: endpoint, token } = t.services;
    const room = t.clientOf(endpoint, { token }).room.getOrCreate(t.key());
    assert.equal((await room.connect().whoami()).actor, await room.resolve());
});
