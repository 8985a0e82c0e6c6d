"""Key-value pairs of an actor, against the engine with both kinds of store."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from stator.runtime.storage import DeletePairs, PutPair
from tests.fakes.engine_in_process import running_engine, turns
from tests.fakes.memory_store import MemoryStore
from tests.fakes.pair_users import SEEN, USE, engine_on, pairs_in, pairs_on, refusal
from tests.fakes.store_media import Medium, MemoryMedium, SqliteMedium


@pytest.fixture(params=["memory", "sqlite"])
def medium(request: pytest.FixtureRequest, tmp_path: Path) -> Medium:
    """Where the pairs are kept."""
    return SqliteMedium(tmp_path) if request.param == "sqlite" else MemoryMedium()


# ------------------------------------------------------------------------------ pair by pair


@pytest.mark.parametrize("value", ["", "text", "nul \0 in it", "ü€😀", b"", b"\x00\xff", b"text"])
async def test_a_value_comes_back_as_it_was_put(medium: Medium, value: str | bytes) -> None:
    async with pairs_on(medium) as kv:
        await kv.put("k", value)
        found = await kv.get("k")
        assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("key", ["", "key", "ü", "a\0b", b"", b"\x00\xff", b"key"])
async def test_a_key_comes_back_as_it_was_put(medium: Medium, key: str | bytes) -> None:
    async with pairs_on(medium) as kv:
        await kv.put(key, "v")
        ((found, _),) = await kv.list()
        assert (type(found), found) == (type(key), key)


async def test_the_same_bytes_are_the_same_key(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        await kv.put("ü", "text")
        assert await kv.get("ü".encode()) == "text"
        await kv.put("ü".encode(), "bytes")
        assert await kv.get("ü") == "bytes"
        assert await kv.list() == [("ü".encode(), "bytes")]


async def test_a_missing_key_is_none(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        assert await kv.get("no") is None


async def test_deleting_is_idempotent(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        await kv.put("a", "1")
        await kv.delete("a")
        await kv.delete("a")
        assert await kv.get("a") is None


async def test_batches_and_single_calls_share_one_key_space(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        await kv.put_batch([("a", "1"), (b"b", b"2")])
        assert await kv.get(b"a") == "1"
        await kv.put("c", "3")
        assert await kv.get_batch(["c", "no", "b", "a", "c"]) == ["3", None, b"2", "1", "3"]
        await kv.delete_batch([b"a", "no", "c"])
        assert await kv.list() == [(b"b", b"2")]


async def test_of_equal_keys_in_a_batch_the_last_wins(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        await kv.put_batch([("a", "1"), (b"a", "2"), ("a", "3")])
        assert await kv.list() == [("a", "3")]


async def test_empty_batches_do_nothing(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        await kv.put_batch({})
        await kv.delete_batch([])
        assert await kv.get_batch(iter(())) == []


async def test_a_batch_of_any_size_is_one_commit() -> None:
    store = MemoryStore()
    async with pairs_in(store) as kv:
        commits = len(store.commits)
        await kv.put_batch((f"k{number}", "v") for number in range(5_000))
        (writes,) = store.commits[commits:]
        assert len(writes.operations) == 5_000


async def test_a_large_batch_comes_back_whole(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        names = [f"k{number:05}" for number in range(3_000)]
        await kv.put_batch((name, name) for name in names)
        assert await kv.get_batch(names) == names
        assert [value for _, value in await kv.list()] == names


# ------------------------------------------------------------------------------------- ranges


async def test_a_list_is_in_the_order_of_the_bytes(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        for key in ("b", b"\xff", "a", "Z", "ü", "", "aa"):
            await kv.put(key, "v")
        assert [key for key, _ in await kv.list()] == ["", "Z", "a", "aa", "b", "ü", b"\xff"]


RANGES: list[tuple[dict[str, Any], str]] = [
    ({}, "a ab abc b ba c"),
    ({"prefix": ""}, "a ab abc b ba c"),
    ({"prefix": "a"}, "a ab abc"),
    ({"prefix": b"ab"}, "ab abc"),
    ({"prefix": "x"}, ""),
    ({"start": "ab"}, "ab abc b ba c"),
    ({"end": "b"}, "a ab abc"),
    ({"start": "ab", "end": "ba"}, "ab abc b"),
    ({"start": "b", "end": "b"}, ""),
    ({"start": "c", "end": "a"}, ""),
    ({"prefix": "a", "start": "aa"}, "ab abc"),
    ({"prefix": "a", "end": "abc"}, "a ab"),
    ({"prefix": "a", "start": "ab", "end": "zz"}, "ab abc"),
    ({"prefix": "b", "start": "a", "end": "ba"}, "b"),
    ({"prefix": "b", "end": "a"}, ""),
    ({"prefix": "b", "start": "c"}, ""),
    ({"limit": 2}, "a ab"),
    ({"limit": 0}, ""),
    ({"limit": 99}, "a ab abc b ba c"),
    ({"limit": 2**70}, "a ab abc b ba c"),
    ({"reverse": True}, "c ba b abc ab a"),
    ({"reverse": True, "limit": 2}, "c ba"),
    ({"prefix": "a", "reverse": True, "limit": 1}, "abc"),
]


@pytest.mark.parametrize(("options", "expected"), RANGES)
async def test_a_list_may_be_narrowed(
    medium: Medium, options: dict[str, Any], expected: str
) -> None:
    async with pairs_on(medium) as kv:
        await kv.put_batch({key: "v" for key in ("a", "ab", "abc", "b", "ba", "c")})
        assert [key for key, _ in await kv.list(**options)] == expected.split()


async def test_a_prefix_of_greatest_bytes_has_no_end(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        await kv.put_batch({b"\xfe\xff": "1", b"\xff": "2", b"\xff\xff": "3", b"\xff\xff\x00": "4"})
        assert [value for _, value in await kv.list(prefix=b"\xff\xff")] == ["3", "4"]
        assert [value for _, value in await kv.list(prefix=b"\xfe\xff")] == ["1"]


async def test_deleting_a_range_leaves_its_end(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        await kv.put_batch({key: "v" for key in "abcd"})
        await kv.delete_range("b", b"d")
        assert [key for key, _ in await kv.list()] == ["a", "d"]
        await kv.delete_range("d", "a")
        assert [key for key, _ in await kv.list()] == ["a", "d"]


# --------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("key", ["x" * 2_048, "ü" * 1_024, b"x" * 2_048])
async def test_a_key_beyond_2047_bytes_is_refused_everywhere(key: str | bytes) -> None:
    async with pairs_in(MemoryStore()) as kv:
        for call in (
            kv.get(key),
            kv.put(key, "v"),
            kv.delete(key),
            kv.get_batch(["a", key]),
            kv.put_batch({"a": "v", key: "v"}),
            kv.delete_batch(["a", key]),
            kv.list(prefix=key),
            kv.list(start=key),
            kv.list(end=key),
            kv.delete_range("a", key),
        ):
            error = await refusal(call)
            assert (error.group, error.code) == ("kv", "key_too_large")
            assert error.metadata == {"size": 2_048, "limit": 2_047}
        assert await kv.list() == []


@pytest.mark.parametrize("value", ["x" * 131_073, "ü" * 65_537, b"x" * 131_073])
async def test_a_value_beyond_128_kib_is_refused(value: str | bytes) -> None:
    async with pairs_in(MemoryStore()) as kv:
        for call in (kv.put("a", value), kv.put_batch([("b", "1"), ("a", value)])):
            error = await refusal(call)
            assert (error.group, error.code) == ("kv", "value_too_large")
            assert error.metadata == {
                "size": len(value.encode() if isinstance(value, str) else value),
                "limit": 131_072,
            }
        assert await kv.list() == []


async def test_the_largest_pair_is_kept(medium: Medium) -> None:
    async with pairs_on(medium) as kv:
        await kv.put("k" * 2_047, b"v" * 131_072)
        assert await kv.get("k" * 2_047) == b"v" * 131_072


WRONG: list[Callable[[Any], Awaitable[Any]]] = [
    lambda kv: kv.get(1),
    lambda kv: kv.get(None),
    lambda kv: kv.get("\ud800"),
    lambda kv: kv.put("a", 1),
    lambda kv: kv.put("a", None),
    lambda kv: kv.put("a", "\ud800"),
    lambda kv: kv.put("a", bytearray(b"1")),
    lambda kv: kv.put(("a",), "1"),
    lambda kv: kv.delete(1.5),
    lambda kv: kv.get_batch("ab"),
    lambda kv: kv.get_batch(b"ab"),
    lambda kv: kv.get_batch(1),
    lambda kv: kv.get_batch([1]),
    lambda kv: kv.delete_batch("ab"),
    lambda kv: kv.put_batch([("a", "1"), ("b",)]),
    lambda kv: kv.put_batch([("a", "1"), "bc"]),
    lambda kv: kv.put_batch({"a": "1", "b": 2}),
    lambda kv: kv.put_batch(None),
    lambda kv: kv.list(prefix=1),
    lambda kv: kv.list(limit=-1),
    lambda kv: kv.list(limit=1.0),
    lambda kv: kv.list(limit=True),
    lambda kv: kv.delete_range("a", None),
]


@pytest.mark.parametrize("call", WRONG)
async def test_what_is_no_key_or_value_is_refused_and_nothing_is_written(
    call: Callable[[Any], Awaitable[Any]],
) -> None:
    async with pairs_in(MemoryStore()) as kv:
        error = await refusal(call(kv))
        assert (error.group, error.code) == ("actor", "validation_error")
        assert await kv.list() == []


# ------------------------------------------------------------------------------- durability


async def test_a_write_returns_once_it_is_durable() -> None:
    store = MemoryStore()
    async with pairs_in(store) as kv:
        store.hold_commits()
        put = asyncio.ensure_future(kv.put("a", "1"))
        await turns()
        assert not put.done()
        store.release_commits()
        await put
        assert [type(operation) for operation in store.commits[-1].operations] == [PutPair]


async def test_every_kind_of_write_waits_for_its_commit() -> None:
    store = MemoryStore()
    async with pairs_in(store) as kv:
        store.hold_commits()
        calls = [kv.put_batch({"a": "1"}), kv.delete("a"), kv.delete_batch(["a"])]
        writes = [asyncio.ensure_future(call) for call in (*calls, kv.delete_range("a", "b"))]
        await turns()
        assert not any(write.done() for write in writes)
        store.release_commits()
        await asyncio.gather(*writes)
        assert isinstance(store.commits[-1].operations[-1], DeletePairs)


async def test_a_read_sees_what_was_written_before_it() -> None:
    store = MemoryStore()
    async with pairs_in(store) as kv:
        store.hold_commits()
        put = asyncio.ensure_future(kv.put("a", "1"))
        await turns()
        reads = [asyncio.ensure_future(call) for call in (kv.get("a"), kv.list())]
        await turns()
        assert not any(read.done() for read in reads)
        store.release_commits()
        await put
        assert await asyncio.gather(*reads) == ["1", [("a", "1")]]


async def test_the_state_so_far_is_in_the_same_commit() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("loose", "touch")
        await local.call("loose", "count")
        with_pair = next(
            writes for writes in store.commits if PutPair in map(type, writes.operations)
        )
        assert list(with_pair.states.values()) == [b"\x00\x01"]


async def test_a_state_that_cannot_be_stored_refuses_the_write() -> None:
    async with running_engine(use=USE) as local:
        await local.call("notes", "touch")
        error = await refusal(local.call("notes", "spoil"))
        assert error.code == "state_not_serializable"
        assert await local.actor("notes").kv.list() == []


async def test_a_failed_commit_is_told_and_nothing_of_it_is_there() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("notes", "touch")
        kv = local.actor("notes").kv
        store.fail_next_commit()
        error = await refusal(kv.put_batch({"a": "1", "b": "2"}))
        assert (error.group, error.code) == ("storage", "unavailable")
        await local.call("notes", "touch")
        assert await local.actor("notes").kv.list() == []


async def test_a_failed_look_up_is_told_and_logged() -> None:
    class Broken(MemoryStore):
        def get_pairs(self, pk: int, keys: Any) -> asyncio.Future[Any]:
            future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            future.set_exception(OSError("disk on fire"))
            return future

    async with running_engine(Broken(), use=USE) as local:
        await local.call("notes", "touch")
        error = await refusal(local.actor("notes").kv.get("a"))
        assert (error.group, error.code) == ("storage", "unavailable")
        assert "disk on fire" not in str(error)
        assert "look-up failed" in local.log.events()


# ------------------------------------------------------------------------------------- lives


async def test_pairs_outlive_the_process(medium: Medium) -> None:
    async with engine_on(medium) as local:
        assert await local.call("notes", "note", "a", "1") == "1"
    async with engine_on(medium) as again:
        await again.call("notes", "touch")
        assert await again.actor("notes").kv.list() == [("a", "1")]


async def test_actors_do_not_see_one_another(medium: Medium) -> None:
    async with engine_on(medium) as local:
        await local.call("notes", "note", "a", "1", key="one")
        await local.call("notes", "note", "b", "2", key="two")
        assert await local.actor("notes", "one").kv.list() == [("a", "1")]
        await local.actor("notes", "two").kv.delete_range("", b"\xff")
        assert await local.actor("notes", "one").kv.list() == [("a", "1")]


async def test_pairs_work_in_hooks_from_creation_to_destruction(medium: Medium) -> None:
    SEEN.clear()
    async with engine_on(medium) as local:
        assert await local.call("hooked", "made") == "yes"
        await local.destroy(local.actor("hooked").actor_id)
        assert SEEN == ["yes", "words"]


async def test_a_new_actor_of_the_same_key_has_no_pairs(medium: Medium) -> None:
    async with engine_on(medium) as local:
        await local.call("notes", "note", "a", "1")
        await local.destroy(await local.call("notes", "touch"))
        await local.call("notes", "touch")
        assert await local.actor("notes").kv.list() == []


async def test_an_actor_that_left_memory_writes_nothing_any_more() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        actor_id = await local.call("notes", "touch")
        kv = local.actor("notes").kv
        await local.destroy(actor_id)
        commits = len(store.commits)
        for call in (kv.put("a", "1"), kv.delete("a"), kv.get("a"), kv.list()):
            assert (await refusal(call)).code == "unavailable"
        assert (len(store.commits), store.failed) == (commits, [])
