// Where a service is and who may use it: endpoints, namespaces, tokens, metadata.

import assert from "node:assert/strict";
import { test } from "../suite.mjs";

const TOKEN = "a token/with=odd&parts";

test("the service is also below /api/rivet", async (t) => {
    const client = t.clientOf(`${t.services.open}/api/rivet`);
    const key = t.key();
    assert.equal(await client.counter.getOrCreate(key).increment(2), 2);
    assert.equal(await (await client.counter.create(t.key())).increment(1), 1);
    assert.equal(await client.counter.get(key).resolve(), await t.counter(key).resolve());
});

test("an endpoint may end with a slash", async (t) => {
    const client = t.clientOf(`${t.services.open}/`);
    assert.equal(await client.counter.getOrCreate(t.key()).increment(2), 2);
});

test("the same key in two namespaces names two actors", async (t) => {
    const other = t.clientOf(t.services.open, { namespace: "other" });
    const key = t.key();
    assert.equal(await t.counter(key).increment(1), 1);
    assert.equal(await other.counter.getOrCreate(key).increment(10), 10);
    assert.notEqual(await other.counter.get(key).resolve(), await t.counter(key).resolve());
});

test("get does not find an actor of another namespace", async (t) => {
    const other = t.clientOf(t.services.open, { namespace: "other" });
    const key = t.key();
    await t.counter(key).increment(1);
    await t.error(other.counter.get(key).get(), "actor.not_found");
});

test("a namespace that does not exist is an error", async (t) => {
    const client = t.clientOf(t.services.open, { namespace: "nowhere" });
    await t.error(client.counter.getOrCreate(t.key()).get(), "namespace.not_found");
    await t.error(client.counter.get(t.key()).get(), "namespace.not_found");
    await t.error(client.counter.create(t.key()), "namespace.not_found");
});

test("the namespace may stand in the endpoint", async (t) => {
    const endpoint = t.services.open.replace("http://", "http://other@");
    const key = t.key();
    await t.clientOf(endpoint).counter.getOrCreate(key).increment(3);
    const other = t.clientOf(t.services.open, { namespace: "other" });
    assert.equal(await other.counter.get(key).get(), 3);
});

test("with the right token everything is allowed", async (t) => {
    await useEverything(t, t.clientOf(t.services.closed, { token: t.services.token }));
});

test("the token may stand in the endpoint", async (t) => {
    const token = encodeURIComponent(t.services.token);
    await useEverything(
        t,
        t.clientOf(t.services.closed.replace("http://", `http://default:${token}@`)),
    );
});

test("with a wrong token nothing is allowed", async (t) => {
    await failEverywhere(t, t.clientOf(t.services.closed, { token: "guessed" }), "auth.forbidden");
});

test("without a token nothing is allowed", async (t) => {
    await failEverywhere(t, t.clientOf(t.services.closed), "auth.unauthorized");
});

test("a token is no trouble where none is needed", async (t) => {
    await useEverything(t, t.clientOf(t.services.open, { token: TOKEN }));
});

test("the metadata leads clients to the public endpoint", async (t) => {
    const key = t.key();
    const client = t.clientOf(t.services.redirecting);
    assert.equal(await client.counter.getOrCreate(key).increment(7), 7);
    assert.equal(await t.client.counter.get(key).get(), 7);
    const url = await client.counter.get(key).getGatewayUrl();
    assert.ok(url.startsWith(`${t.services.open}/`), url);
});

test("a client need not ask for the metadata", async (t) => {
    const client = t.clientOf(t.services.redirecting, { disableMetadataLookup: true });
    const key = t.key();
    assert.equal(await client.counter.getOrCreate(key).increment(7), 7);
    await t.error(t.client.counter.get(key).resolve(), "actor.not_found");
});

test("a client's own headers are no trouble", async (t) => {
    const client = t.clientOf(t.services.open, { headers: { "x-own": "1", "x-rivet-ray-id": "r" } });
    assert.equal(await client.counter.getOrCreate(t.key()).increment(7), 7);
});

test("the metadata names the actors of the service", async (t) => {
    const metadata = await t.get("/metadata?namespace=default");
    assert.equal(metadata.runtime, "rivetkit");
    const names = ["bakery", "counter", "dozy", "echo", "impatient", "life", "mill", "odd name+é"];
    assert.deepEqual(Object.keys(metadata.actorNames).sort(), names);
});

async function useEverything(t, client) {
    const key = t.key();
    const counter = client.counter.getOrCreate(key);
    assert.equal(await counter.increment(1), 1);
    const id = await counter.resolve();
    assert.equal(await client.counter.get(key).get(), 1);
    assert.equal(await client.counter.getForId(id).get(), 1);
    const created = await client.counter.create(t.key(), { input: 4 });
    assert.equal(await created.get(), 4);
    await created.destroy();
    await t.error(created.get(), "actor.not_found");
}

async function failEverywhere(t, client, identity) {
    const owner = t.clientOf(t.services.closed, { token: t.services.token });
    const key = t.key();
    const id = await owner.counter.getOrCreate(key).resolve();
    await t.error(client.counter.getOrCreate(key).increment(1), identity);
    await t.error(client.counter.get(key).get(), identity);
    await t.error(client.counter.get(key).resolve(), identity);
    await t.error(client.counter.getForId(id).get(), identity);
    await t.error(client.counter.create(t.key()), identity);
    assert.equal(await owner.counter.get(key).get(), 0);
}
