// What cases about connections share: listening, waiting for a condition, sleep of an actor.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

/** Return once `condition` holds; the case's own time limit is the deadline. */
export async function until(condition) {
    while (!(await condition())) {
        await pause(10);
    }
}

/** What happens on a connection: its events by name, its status, its callbacks, its errors. */
export class Heard {
    constructor(conn, ...names) {
        this.events = [];
        this.statuses = [];
        this.opens = 0;
        this.closes = 0;
        this.errors = [];
        for (const name of names) {
            conn.on(name, (...args) => this.events.push([name, ...args]));
        }
        conn.onStatusChange((status) => this.statuses.push(status));
        conn.onOpen(() => (this.opens += 1));
        conn.onClose(() => (this.closes += 1));
        conn.onError((error) => this.errors.push(error));
    }

    /** Return the names of the errors: "group.code". */
    identities() {
        return this.errors.map(({ group, code }) => `${group}.${code}`);
    }
}

/**
 * Dispose of a connection that may just be coming back. Nobody can wait for that: the WebSocket of
 * Node fires no "close" when it is closed before it was open.
 */
export function leave(conn) {
    conn.dispose().catch(() => {});
}

/** Put an actor to sleep by an action of it, and return once it sleeps. */
export async function putToSleep(t, handle) {
    await handle.fall_asleep();
    await asleep(t, await handle.resolve());
}

/** Put an actor to sleep by the control API. */
export async function forceToSleep(t, id) {
    const response = await fetch(`${t.services.rooms}/actors/${id}/sleep?namespace=default`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: "{}",
    });
    assert.equal(response.status, 200, await response.text());
    await asleep(t, id);
}

/** Return once an actor sleeps. */
export async function asleep(t, id, endpoint = t.services.rooms) {
    await until(async () => await sleeps(t, id, endpoint));
}

/** Whether an actor sleeps; it is not woken to find out. */
export async function sleeps(t, id, endpoint = t.services.rooms) {
    const { actors } = await t.get(`/actors?namespace=default&actor_ids=${id}`, endpoint);
    return actors[0].sleep_ts !== null;
}
