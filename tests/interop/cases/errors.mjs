// Errors as the clients show them: group, code, message, metadata, in every encoding.

import assert from "node:assert/strict";
import { test } from "../suite.mjs";

const HIDDEN = "An internal error occurred";

test("a user error keeps its message, code and metadata", async (t) => {
    const metadata = { limit: 3, list: [1, "two", null], text: "é" };
    const error = await t.error(t.echo().fail_for_the_user(metadata), "user.not_allowed");
    assert.equal(error.message, "You may not.");
    assert.deepEqual(error.metadata, metadata);
});

test("a user error without metadata has none", async (t) => {
    const error = await t.error(t.echo().fail_for_the_user(), "user.not_allowed");
    assert.equal(error.metadata ?? undefined, undefined);
});

test("big integers and bytes in metadata arrive", async (t) => {
    const metadata = { big: 2n ** 80n, bytes: new Uint8Array([1, 2]) };
    const error = await t.error(t.echo().fail_for_the_user(metadata), "user.not_allowed");
    assert.equal(error.metadata.big, 2n ** 80n);
    assert.deepEqual([...error.metadata.bytes], [1, 2]);
});

test("an error of a group of its own arrives whole", async (t) => {
    const error = await t.error(t.echo().fail_in_a_group_of_its_own(), "billing.declined");
    assert.equal(error.message, "The card was declined.");
    assert.deepEqual(error.metadata, { left: 3 });
});

test("an unexpected exception tells nothing of itself", async (t) => {
    const error = await t.error(t.echo().fail_unexpectedly(), "rivetkit.internal_error");
    assert.equal(error.message, HIDDEN);
    assert.equal(error.metadata ?? undefined, undefined);
    assert.doesNotMatch(JSON.stringify(error) + error.stack, /swordfish|RuntimeError/);
});

test("an output that cannot be sent is an error that says so", async (t) => {
    await t.error(t.echo().fail_with_a_value_nobody_can_send(), "actor.output_not_serializable");
});

test("an unknown action is named in the error", async (t) => {
    const error = await t.error(t.echo().no_such_action(), "actor.action_not_found");
    assert.match(error.message, /no_such_action/);
});

test("an action that outlasts its time is an error", async (t) => {
    await t.error(t.echo().outlast_its_time(), "actor.action_timed_out");
});

test("an argument of the wrong type is an error that names it", async (t) => {
    const error = await t.error(t.echo().typed({ x: "three" }), "actor.validation_error");
    assert.match(error.message, /int/);
});

test("too many arguments are an error", async (t) => {
    await t.error(t.echo().identity(1, 2, 3), "actor.validation_error");
});

test("the actor goes on after each error", async (t) => {
    const counter = t.counter();
    await counter.increment(2);
    await t.error(counter.increment("a lot"), "actor.validation_error");
    await t.error(counter.no_such_action(), "actor.action_not_found");
    assert.equal(await counter.increment(1), 3);
});

test("a request that is too large is refused", async (t) => {
    const echo = t.echo();
    assert.equal(await echo.length_of("x".repeat(60_000)), 60_000);
    await t.error(echo.length_of("x".repeat(70_000)), "message.incoming_too_long");
    await t.error(echo.length_of("x".repeat(5_000_000)), "message.incoming_too_long");
});

test("an answer that is too large is refused", async (t) => {
    const echo = t.echo();
    assert.equal((await echo.text_of(1_000_000)).length, 1_000_000);
    await t.error(echo.text_of(1_100_000), "message.outgoing_too_long");
});
