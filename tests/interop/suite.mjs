// How cases are written and run. A case is `test("sentence", async (t) => ...)` at the beginning
// of a line: test_npm_clients.py reads the sentences from the files, so that pytest knows them all
// before anything runs.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

const TIMEOUT_MS = 30_000;
const AT_ONCE = 40;
const cases = new Map();
const lonely = new Map();

export function test(sentence, run) {
    assert.ok(!cases.has(sentence), `there are two cases "${sentence}"`);
    cases.set(sentence, run);
}

/** A case that ends processes of a service: it runs after all the others, one at a time. */
export function alone(sentence, run) {
    lonely.set(sentence, run);
}

/** A case: what was sent to an echo comes back as `expected`, or as `expected[t.encoding]`. */
export function roundTrip(sentence, sent, expected = sent) {
    test(sentence, async (t) => {
        const wanted = expected instanceof Different ? expected.by[t.encoding] : expected;
        assert.deepStrictEqual(await t.echo().value(sent), wanted);
    });
}

class Different {
    constructor(by) {
        this.by = by;
    }
}

/** What comes back where that differs between the encodings. */
export function differently(by) {
    return new Different(by);
}

/** What a case is given: the client under test and the services it may call. */
class Bench {
    #createClient;

    constructor(createClient, version, encoding, services) {
        this.#createClient = createClient;
        this.version = version;
        this.encoding = encoding;
        this.services = services;
        this.client = this.clientOf(services.open);
    }

    /** Another client, by default in the encoding under test. */
    clientOf(endpoint, options = {}) {
        return this.#createClient({ endpoint, encoding: this.encoding, ...options });
    }

    key(...rest) {
        return [randomUUID(), ...rest];
    }

    echo(key = this.key(), options = undefined) {
        return this.client.echo.getOrCreate(key, options);
    }

    counter(key = this.key(), options = undefined) {
        return this.client.counter.getOrCreate(key, options);
    }

    /** A handle of a room; `options` as the client takes them. */
    room(key = this.key(), options = undefined) {
        return this.clientOf(this.services.rooms).room.getOrCreate(key, options);
    }

    /** Return the error a promise is rejected with, checked for its identity ("group.code"). */
    async error(promise, identity) {
        const error = await promise.then(
            (value) => assert.fail(`there was an answer: ${JSON.stringify(value)}`),
            (reason) => reason,
        );
        assert.equal(`${error.group}.${error.code}`, identity, error.stack);
        return error;
    }

    /** GET a path of a service as JSON. */
    async get(path, endpoint = this.services.open) {
        const response = await fetch(endpoint + path);
        assert.equal(response.status, 200);
        return await response.json();
    }
}

/** Run the cases of the imported files, many at once; returns `{sentence, problem}` of each. */
export async function run(createClient, version, encoding, services) {
    const bench = new Bench(createClient, version, encoding, services);
    const reported = async ([sentence, run]) => ({ sentence, problem: await outcome(run, bench) });
    const waiting = [...cases];
    const results = [];
    const runSome = async () => {
        while (waiting.length) {
            results.push(await reported(waiting.shift()));
        }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, runSome));
    for (const one of lonely) {
        results.push(await reported(one));
    }
    return results;
}

async function outcome(run, bench) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no end within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    });
    try {
        await Promise.race([run(bench), late]);
        return null;
    } catch (error) {
        return error instanceof Error ? error.stack : String(error);
    } finally {
        clearTimeout(timer);
    }
}
