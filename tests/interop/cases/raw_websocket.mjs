// handle.webSocket: frames, close codes and paths pass through unchanged.

import assert from "node:assert/strict";
import { asleep, until } from "../connected.mjs";
import { test } from "../suite.mjs";

function wire(t, options = undefined) {
    return t.clientOf(t.services.rooms).wire.getOrCreate(t.key(), options);
}

/** A raw WebSocket, what it received and how it was closed. */
class Socket {
    static async open(handle, path) {
        const socket = await handle.webSocket(path);
        socket.binaryType = "arraybuffer";
        return new Socket(socket);
    }

    constructor(socket) {
        this.socket = socket;
        this.received = [];
        this.closed = null;
        this.opens = socket.readyState === 1 ? 1 : 0;
        socket.addEventListener("open", () => (this.opens += 1));
        socket.addEventListener("message", ({ data }) => {
            this.received.push(typeof data === "string" ? data : [...new Uint8Array(data)]);
        });
        socket.addEventListener("close", ({ code, reason }) => (this.closed = [code, reason]));
    }

    async send(message) {
        await until(() => this.socket.readyState !== 0);
        this.socket.send(message);
    }

    async until(count) {
        await until(() => this.received.length >= count || this.closed);
        return this.received;
    }

    async end(code = 1000, reason = "client bye") {
        await until(() => this.socket.readyState !== 0);
        this.socket.close(code, reason);
        await until(() => this.closed);
        return this.closed;
    }
}

test("text and bytes come back as text and bytes", async (t) => {
    const socket = await Socket.open(wire(t), "/echo");
    await socket.send("héllo 日🙂");
    await socket.send(new Uint8Array([0, 1, 255]));
    await socket.send("");
    await socket.send(new Uint8Array(0));
    assert.deepEqual(await socket.until(4), ["héllo 日🙂", [0, 1, 255], "", []]);
    assert.deepEqual(await socket.end(), [1000, "client bye"]);
});

test("the selected subprotocol is that of the service", async (t) => {
    const socket = await Socket.open(wire(t), "/echo");
    await socket.send("x");
    await socket.until(1);
    assert.equal(socket.socket.protocol, "rivet");
    await socket.end();
});

test("messages sent at once keep their order", async (t) => {
    const socket = await Socket.open(wire(t), "/echo");
    const sent = Array.from({ length: 200 }, (_, n) => `message ${n}`);
    await until(() => socket.socket.readyState === 1);
    sent.forEach((message) => socket.socket.send(message));
    assert.deepEqual(await socket.until(sent.length), sent);
    await socket.end();
});

test("a message of a mebibyte comes back", async (t) => {
    const socket = await Socket.open(wire(t), "/echo");
    await socket.send("x".repeat(1_048_576));
    assert.equal((await socket.until(1))[0]?.length, 1_048_576);
    await socket.end();
});

test("the handler sees the path, the query and the parameters", async (t) => {
    const params = { tok: "é b" };
    const socket = await Socket.open(wire(t, { params }), "/greets/some/path?x=1&y=2");
    const greeting = JSON.parse((await socket.until(1))[0]);
    assert.deepEqual(
        [greeting.path, greeting.params, greeting.restored],
        ["/greets/some/path", params, false],
    );
    assert.ok(greeting.url.endsWith("/greets/some/path?x=1&y=2"), greeting.url);
    await socket.end();
});

test("a path may lack its slash", async (t) => {
    const socket = await Socket.open(wire(t), "greets");
    assert.equal(JSON.parse((await socket.until(1))[0]).path, "/greets");
    await socket.end();
});

test("a socket may have no path", async (t) => {
    const socket = await Socket.open(wire(t));
    await socket.send("a");
    assert.deepEqual(await socket.until(1), ["a"]);
    await socket.end();
});

test("a handler that closes says with what", async (t) => {
    const socket = await Socket.open(wire(t), "/goodbye");
    await until(() => socket.closed);
    assert.deepEqual(socket.closed, [4321, "bye.now"]);
});

test("a handler may close in answer to a message", async (t) => {
    const socket = await Socket.open(wire(t), "/echo");
    await socket.send("one");
    await socket.send("leave");
    await until(() => socket.closed);
    assert.deepEqual([socket.received, socket.closed], [["one"], [4321, "bye.now"]]);
});

test("the handler learns how the client closed", async (t) => {
    const handle = wire(t);
    const socket = await Socket.open(handle, "/echo");
    await socket.send("x");
    await socket.until(1);
    assert.deepEqual(await socket.end(4000, "enough"), [4000, "enough"]);
    await until(async () => (await handle.closed()).length);
    assert.deepEqual(await handle.closed(), [[4000, "enough"]]);
});

test("a socket refused by the connection hooks closes and says why", async (t) => {
    const socket = await Socket.open(wire(t, { params: { deny: true } }), "/echo");
    await until(() => socket.closed);
    assert.deepEqual([socket.received, socket.closed], [[], [1011, "user.denied"]]);
});

test("a handler that fails closes the socket and tells nothing of itself", async (t) => {
    const socket = await Socket.open(wire(t), "/breaks");
    await until(() => socket.closed);
    assert.deepEqual(socket.closed, [1011, "rivetkit.internal_error"]);
});

test("an actor without a handler leaves the socket open and silent", async (t) => {
    const plain = t.clientOf(t.services.rooms).plain.getOrCreate(t.key());
    const socket = await Socket.open(plain, "/x");
    await socket.send("anybody?");
    await plain.get();
    assert.deepEqual([socket.received, socket.closed], [[], null]);
    assert.deepEqual(await socket.end(), [1000, "client bye"]);
});

test("a socket to an actor by its id arrives", async (t) => {
    const id = await wire(t).resolve();
    const socket = await Socket.open(t.clientOf(t.services.rooms).wire.getForId(id), "/d?q=1");
    await socket.send("z");
    assert.deepEqual(await socket.until(1), ["z"]);
    await socket.end();
});

test("a raw socket outlasts the sleep of its actor if the actor wants it", async (t) => {
    const handle = wire(t);
    const id = await handle.resolve();
    const socket = await Socket.open(handle, "/kept");
    await socket.send("restored?");
    const [before] = await socket.until(1);
    await handle.fall_asleep();
    await asleep(t, id);
    await socket.send("restored?");
    await socket.send("and an echo");
    const [, after, echo] = await socket.until(3);
    assert.match(before, /^False /);
    assert.equal(after, before.replace("False", "True"));
    assert.equal(echo, "and an echo");
    assert.deepEqual([socket.opens, socket.closed], [1, null]);
    await socket.end();
});

test("a raw socket that does not outlast a sleep is closed by it", async (t) => {
    const handle = wire(t);
    const socket = await Socket.open(handle, "/echo");
    await socket.send("x");
    await socket.until(1);
    await handle.fall_asleep();
    await until(() => socket.closed);
    assert.deepEqual(socket.closed, [1000, "actor.stopped"]);
});
