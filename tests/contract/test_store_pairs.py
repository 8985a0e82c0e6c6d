"""What is kept of an actor's key-value pairs."""

import pytest

from stator.runtime.storage import (
    DeleteActor,
    DeletePair,
    DeletePairs,
    MarkDestroyed,
    PairQuery,
    PutPair,
    ShardStorage,
)
from tests.fakes.store_media import Medium, commit, new_actor, opened

KEYS = [b"", b"\0", b"a", b"a\0", b"aa", b"ab", b"b", b"\xc3\xa9", b"\xff", b"\xff\xff"]
"""By their bytes."""


def put(key: bytes, value: bytes | str = b"value", pk: int = 1) -> PutPair:
    """Return a pair with a key that was given as bytes."""
    return PutPair(pk, key, False, value)


async def keys(store: ShardStorage, pk: int = 1, query: PairQuery | None = None) -> list[bytes]:
    """Return the keys that a query finds."""
    pairs = await store.list_pairs(pk, query or PairQuery())
    return [key for (key, _), _ in pairs]


def within(start: bytes, end: bytes | None) -> list[bytes]:
    """Return which of :data:`KEYS` lie in a range."""
    return [key for key in KEYS if start <= key and (end is None or key < end)]


RANGES = [
    (b"", None),
    (b"", b""),
    (b"", b"a"),
    (b"a", b"b"),
    (b"a", b"a\0"),
    (b"a\0", None),
    (b"b", b"a"),
    (b"\xff", None),
    (b"\xff\xff\0", None),
    (b"no", b"nz"),
]

# ---------------------------------------------------------------------------------- values


async def test_an_actor_without_pairs_has_none(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor())
        assert await store.get_pairs(1, [b"a"]) == [None]
        assert await store.list_pairs(1, PairQuery()) == []


@pytest.mark.parametrize(
    "value",
    ["", "text", "é\U0001f600\0", "42", b"", b"bytes", b"\0\xff", b"42", "x" * 131_072],
    ids=repr,
)
async def test_a_value_comes_back_as_it_was(medium: Medium, value: bytes | str) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), put(b"key", value))
        ((_, listed),) = await store.list_pairs(1, PairQuery())
        (got,) = await store.get_pairs(1, [b"key"])
        assert [(type(each), each) for each in (got, listed)] == [(type(value), value)] * 2


@pytest.mark.parametrize("is_text", [True, False])
async def test_a_key_comes_back_as_it_was_given(medium: Medium, is_text: bool) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), PutPair(1, b"key", is_text, "value"))
        ((key, _),) = await store.list_pairs(1, PairQuery())
        assert key == (b"key", is_text)
        assert type(key[1]) is bool


async def test_a_pair_replaces_the_one_with_these_bytes_as_its_key(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), PutPair(1, b"key", True, "text"))
        await commit(store, PutPair(1, b"key", False, b"bytes"))
        assert await store.list_pairs(1, PairQuery()) == [((b"key", False), b"bytes")]


async def test_values_come_in_the_order_of_the_keys_asked_for(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), put(b"a", "A"), put(b"b", "B"), put(b"", "empty"))
        wanted = [b"b", b"missing", b"", b"a", b"b"]
        assert await store.get_pairs(1, wanted) == ["B", None, "empty", "A", "B"]


async def test_no_keys_have_no_values(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), put(b"a"))
        assert await store.get_pairs(1, []) == []


async def test_many_keys_are_found_at_once(medium: Medium) -> None:
    with opened(medium) as store:
        many = [b"%03d" % number for number in range(500)]
        await commit(store, new_actor(), *(put(key, key.decode()) for key in many))
        assert await store.get_pairs(1, many) == [key.decode() for key in many]


async def test_pairs_of_two_actors_are_apart(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, *(new_actor(pk, key=f"k{pk}") for pk in (1, 2, 3)))
        await commit(store, put(b"a", "one"), put(b"a", "two", pk=2), put(b"b", "three", pk=3))
        values = [(await store.get_pairs(pk, [b"a"]))[0] for pk in (1, 2, 3)]
        assert values == ["one", "two", None]


async def test_pairs_survive_reopening(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), PutPair(1, b"a", True, "text"), put(b"b", b"bytes"))
    with opened(medium) as again:
        expected = [((b"a", True), "text"), ((b"b", False), b"bytes")]
        assert await again.list_pairs(1, PairQuery()) == expected


async def test_a_pair_without_its_actor_is_refused(medium: Medium) -> None:
    with opened(medium) as store, pytest.raises(Exception, match=r"(?i)foreign key|not there"):
        await commit(store, put(b"a", pk=9))


# ---------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize(("start", "end"), RANGES)
async def test_a_range_is_listed_by_the_bytes_of_its_keys(
    medium: Medium, start: bytes, end: bytes | None
) -> None:
    with opened(medium) as store:
        await commit(store, *(new_actor(pk, key=f"k{pk}") for pk in (1, 2, 3)))
        everything = [put(key, pk=pk) for key in reversed(KEYS) for pk in (1, 2, 3)]
        await commit(store, *everything)
        forward = await keys(store, 2, PairQuery(start, end))
        backward = await keys(store, 2, PairQuery(start, end, reverse=True))
        assert (forward, backward) == (within(start, end), within(start, end)[::-1])


@pytest.mark.parametrize(
    ("reverse", "limit", "expected"),
    [
        (False, 2, [b"a", b"a\0"]),
        (True, 2, [b"ab", b"aa"]),
        (False, 0, []),
        (False, 99, [b"a", b"a\0", b"aa", b"ab"]),
    ],
)
async def test_a_limit_counts_from_where_the_list_begins(
    medium: Medium, reverse: bool, limit: int, expected: list[bytes]
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), *map(put, KEYS))
        query = PairQuery(b"a", b"b", reverse=reverse, limit=limit)
        assert await keys(store, query=query) == expected


# -------------------------------------------------------------------------------- deletion


async def test_a_deleted_pair_is_gone_and_the_others_stay(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), put(b"a"), put(b"aa"), put(b"b"))
        await commit(store, DeletePair(1, b"aa"))
        assert await keys(store) == [b"a", b"b"]


@pytest.mark.parametrize("pk", [1, 9], ids=["unknown key", "unknown actor"])
async def test_deleting_a_pair_that_is_not_there_changes_nothing(medium: Medium, pk: int) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), put(b"a"))
        await commit(store, DeletePair(pk, b"other"), DeletePairs(pk, b"b", None))
        assert await keys(store) == [b"a"]


@pytest.mark.parametrize(("start", "end"), RANGES)
async def test_a_deleted_range_is_gone_and_the_others_stay(
    medium: Medium, start: bytes, end: bytes | None
) -> None:
    with opened(medium) as store:
        await commit(store, *(new_actor(pk, key=f"k{pk}") for pk in (1, 2, 3)))
        await commit(store, *(put(key, pk=pk) for key in KEYS for pk in (1, 2, 3)))
        await commit(store, DeletePairs(2, start, end))
        left = [key for key in KEYS if key not in within(start, end)]
        assert [await keys(store, pk) for pk in (1, 2, 3)] == [KEYS, left, KEYS]


async def test_operations_on_pairs_are_applied_in_the_order_given(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(
            store,
            new_actor(),
            put(b"a", "1"),
            put(b"b", "1"),
            DeletePair(1, b"a"),
            put(b"a", "2"),
            DeletePairs(1, b"", None),
            put(b"b", "3"),
        )
        assert await store.get_pairs(1, [b"a", b"b"]) == [None, "3"]


async def test_nothing_of_a_failed_commit_is_kept_of_pairs(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), put(b"a", "old"), put(b"b"), put(b"c"))
        with pytest.raises(Exception, match=r"(?i)actor"):
            await commit(
                store,
                put(b"a", "new"),
                DeletePair(1, b"b"),
                DeletePairs(1, b"c", None),
                put(b"d"),
                new_actor(2),  # a second live actor of this key
            )
        assert await keys(store) == [b"a", b"b", b"c"]
        assert await store.get_pairs(1, [b"a"]) == ["old"]


async def test_a_deleted_actor_takes_its_pairs_with_it(medium: Medium) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(1), new_actor(2, key="l"), put(b"a"), put(b"a", pk=2))
        await commit(store, MarkDestroyed(1), DeleteActor(1))
        await commit(store, new_actor(1))
        assert [await keys(store, pk) for pk in (1, 2)] == [[], [b"a"]]


async def test_pairs_of_an_actor_whose_destruction_was_interrupted_are_gone(
    medium: Medium,
) -> None:
    with opened(medium) as store:
        await commit(store, new_actor(), put(b"a"), MarkDestroyed(1))
    with opened(medium) as again:
        await commit(again, new_actor())
        assert await keys(again) == []
