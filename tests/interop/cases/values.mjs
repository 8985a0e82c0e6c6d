// Every kind of value there and back. What cannot survive an encoding becomes what
// client-protocol 4.1 and 4.2 say: JSON has no undefined, NaN, Date, Map and Set.

import assert from "node:assert/strict";
import { differently, roundTrip, test } from "../suite.mjs";

const DATE = new Date(1700000000123);

roundTrip("a string comes back", "plain");
roundTrip("an empty string comes back", "");
roundTrip("a string of all planes of Unicode comes back", "é 日本 🙂 \u0000 \u2028 \" \\ \uffff");
roundTrip("a string of 60,000 characters comes back", "é".repeat(30_000));
roundTrip("true comes back", true);
roundTrip("false comes back", false);
roundTrip("null comes back", null);
roundTrip("undefined comes back as null", undefined, null);
roundTrip("an empty object comes back", {});
roundTrip("an empty array comes back", []);
roundTrip("zero comes back", 0);
roundTrip("a negative integer comes back", -1);
roundTrip("an integer of 2^31 - 1 comes back", 2 ** 31 - 1);
roundTrip("an integer of 2^31 comes back", 2 ** 31);
roundTrip("an integer of -(2^31) comes back", -(2 ** 31));
roundTrip("an integer of -(2^31) - 1 comes back", -(2 ** 31) - 1);
roundTrip("an integer of 2^32 - 1 comes back", 2 ** 32 - 1);
roundTrip("an integer of 2^32 comes back", 2 ** 32);
roundTrip("an integer of -(2^32) - 1 comes back", -(2 ** 32) - 1);
roundTrip("an integer of 2^53 - 1 comes back", 2 ** 53 - 1);
roundTrip("an integer of -(2^53) + 1 comes back", -(2 ** 53) + 1);
roundTrip("a fraction comes back", 1.5);
roundTrip("a tenth comes back", 0.1);
roundTrip("the smallest float comes back", 5e-324);
roundTrip("the largest float comes back", Number.MAX_VALUE);
roundTrip("NaN comes back, as null in JSON", NaN, differently({ json: null, cbor: NaN, bare: NaN }));
roundTrip(
    "minus infinity comes back, as null in JSON",
    -Infinity,
    differently({ json: null, cbor: -Infinity, bare: -Infinity }),
);
roundTrip("a small BigInt comes back as a number", 5n, 5);
roundTrip("a BigInt of 2^53 comes back", 2n ** 53n);
roundTrip("a BigInt of 2^64 - 1 comes back", 2n ** 64n - 1n);
roundTrip("a BigInt of -(2^64) comes back", -(2n ** 64n));
roundTrip("a BigInt of 2^80 comes back", 2n ** 80n);
roundTrip("a BigInt of -(2^80) comes back", -(2n ** 80n));
roundTrip(
    "a Date comes back, as text in JSON",
    DATE,
    differently({ json: DATE.toISOString(), cbor: DATE, bare: DATE }),
);
roundTrip(
    "a Map comes back as an object, empty in JSON",
    new Map([["a", 1]]),
    differently({ json: {}, cbor: { a: 1 }, bare: { a: 1 } }),
);
roundTrip(
    "a Set comes back, as an empty object in JSON",
    new Set([1, "two"]),
    differently({ json: {}, cbor: new Set([1, "two"]), bare: new Set([1, "two"]) }),
);
roundTrip("nested objects and arrays come back", {
    list: [1, [2, [3, { four: 4 }]], null, true],
    object: { "": "empty name", "a b": { deeper: [{}] }, "日": "é" },
});
roundTrip("an object with 1,000 members comes back", numbered(1_000));
roundTrip("undefined in an array comes back as null", [1, undefined, 3], [1, null, 3]);
roundTrip(
    "an undefined member comes back as null, or not at all in JSON",
    { a: 1, b: undefined },
    differently({ json: { a: 1 }, cbor: { a: 1, b: null }, bare: { a: 1, b: null } }),
);
roundTrip("an array that begins with another word comes back", ["x", 1]);
roundTrip("an array of three that begins with a dollar comes back", ["$x", 1, 2]);
roundTrip("a lone dollar string comes back", "$x");
roundTrip("a member called constructor comes back", { constructor: 1, toString: null });

function numbered(count) {
    return Object.fromEntries(Array.from({ length: count }, (_, n) => [`name ${n}`, n]));
}

test("a number of 2^53 comes back with its value", async (t) => {
    assert.equal(Number(await t.echo().value(2 ** 53)), 2 ** 53);
});

test("bytes come back as bytes", async (t) => {
    const sent = new Uint8Array([0, 1, 127, 128, 255]);
    assertBytes(await t.echo().value(sent), sent);
});

test("empty bytes come back as bytes", async (t) => {
    assertBytes(await t.echo().value(new Uint8Array(0)), new Uint8Array(0));
});

test("an ArrayBuffer comes back as bytes", async (t) => {
    const sent = new Uint8Array([1, 2, 3]);
    assertBytes(await t.echo().value(sent.buffer), sent);
});

test("bytes and BigInts within a structure come back", async (t) => {
    const sent = { parts: [new Uint8Array([9]), 2n ** 70n], same: ["again", new Uint8Array([8])] };
    const back = await t.echo().value(sent);
    assertBytes(back.parts[0], sent.parts[0]);
    assert.equal(back.parts[1], 2n ** 70n);
    assertBytes(back.same[1], sent.same[1]);
});

test("Python is given bytes as bytes and a BigInt as an int", async (t) => {
    const echo = t.echo();
    assert.deepEqual(await echo.described(new Uint8Array([1, 255])), ["bytes", "b'\\x01\\xff'"]);
    assert.deepEqual(await echo.described(2n ** 80n), ["int", String(2n ** 80n)]);
    assert.deepEqual(await echo.described(5n), ["int", "5"]);
});

test("Python is given whole numbers up to 2^53 - 1 as int and fractions as float", async (t) => {
    const echo = t.echo();
    for (const number of [0, -1, 2 ** 31, 2 ** 32, 2 ** 53 - 1]) {
        assert.deepEqual(await echo.described(number), ["int", String(number)]);
    }
    assert.deepEqual(await echo.described(1.5), ["float", "1.5"]);
});

test("Python is given undefined and null as None", async (t) => {
    assert.deepEqual(await t.echo().described(undefined), ["NoneType", "None"]);
    assert.deepEqual(await t.echo().described(null), ["NoneType", "None"]);
});

test("what Python produces arrives as what JavaScript has for it", async (t) => {
    const echo = t.echo();
    const isJson = t.encoding === "json";
    const expected = {
        none: null,
        "2**32": 2 ** 32,
        "2**53 - 1": 2 ** 53 - 1,
        "2**53": 2n ** 53n,
        "-(2**63)": -(2n ** 63n),
        "2**80": 2n ** 80n,
        datetime: isJson ? DATE.toISOString() : DATE,
        set: isJson ? [7] : new Set([7]),
        tuple: [1, "two"],
        "number keys": { 1: "one", 2: "two" },
        struct: { x: 3, label: "three" },
        nan: isJson ? null : NaN,
    };
    for (const [name, value] of Object.entries(expected)) {
        assert.deepStrictEqual(await echo.produced(name), value, name);
    }
    assertBytes(await echo.produced("bytes"), new Uint8Array([0, 1, 255]));
});

test("an action is called without arguments", async (t) => {
    assert.deepEqual(await t.echo().several(), []);
    assert.equal(await t.echo().value(), "nothing was sent");
});

test("several arguments keep their order", async (t) => {
    const sent = [1, "two", { three: 3 }, [4], null, false];
    assert.deepEqual(await t.echo().several(...sent), sent);
});

test("an argument that is an array stays one argument", async (t) => {
    assert.deepEqual(await t.echo().several([1, 2]), [[1, 2]]);
});

test("a record is read and written by its fields", async (t) => {
    assert.deepEqual(await t.echo().typed({ x: 1 }), { x: 2, label: "none" });
});

function assertBytes(actual, expected) {
    assert.ok(actual instanceof Uint8Array, `not bytes but ${actual?.constructor?.name}`);
    assert.deepEqual([...actual], [...expected]);
}
