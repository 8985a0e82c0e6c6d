// Workflows, as clients meet them: replies to messages, events of steps, promises.

import assert from "node:assert/strict";
import { asleep, Heard, leave, until } from "../connected.mjs";
import { test } from "../suite.mjs";

function bakery(t) {
    return t.client.bakery.getOrCreate(t.key());
}

test("a workflow replies to a message", async (t) => {
    const actor = bakery(t);
    for (const [index, bread] of ["rye", "spelt"].entries()) {
        const result = await actor.send("orders", bread, { wait: true, timeout: 20_000 });
        assert.deepEqual(result, { status: "completed", response: { bread, loaf: index + 1 } });
    }
});

test("a workflow goes on after its actor slept", async (t) => {
    const actor = bakery(t);
    await actor.send("orders", "rye", { wait: true, timeout: 20_000 });
    const id = await actor.resolve();
    await actor.fall_asleep();
    await asleep(t, id, t.services.open);
    const result = await actor.send("orders", "oat", { wait: true, timeout: 20_000 });
    assert.deepEqual(result.response, { bread: "oat", loaf: 2 });
});

test("the events of steps arrive", async (t) => {
    const actor = bakery(t);
    const conn = actor.connect();
    try {
        const heard = new Heard(conn, "baked");
        await conn.taste(0);
        await actor.send("orders", "rye", { wait: true, timeout: 20_000 });
        await until(() => heard.events.length === 1);
        assert.deepEqual(heard.events, [["baked", "rye"]]);
    } finally {
        leave(conn);
    }
});

test("an action resolves what a workflow waits for", async (t) => {
    const actor = bakery(t);
    const sent = actor.send("orders", "sourdough", { wait: true, timeout: 20_000 });
    await until(() => actor.taste(7));
    assert.deepEqual((await sent).response, { bread: "sourdough", loaf: 1, taste: 7 });
});

test("a message whose workflow failed stays in its queue", async (t) => {
    const actor = bakery(t);
    const result = await actor.send("orders", "stone", { wait: true, timeout: 300 });
    assert.equal(result.status, "timedOut");
    assert.deepEqual(await actor.left(), ["stone"]);
});
