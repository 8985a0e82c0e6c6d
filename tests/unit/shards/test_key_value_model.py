"""Key-value pairs do what a sorted dictionary does, whatever is asked of them."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.pair_users import pairs_on
from tests.fakes.store_media import Medium, MemoryMedium, SqliteMedium

some_keys = st.one_of(
    st.text("ab\xff", max_size=3),
    st.binary(max_size=3),
    st.sampled_from([b"\xff", b"\xff\xff", "a"]),
)
some_values = st.one_of(st.text(max_size=4), st.binary(max_size=4))
bounds = st.none() | some_keys
limits = st.none() | st.integers(0, 4)
steps: st.SearchStrategy[tuple[Any, ...]] = st.one_of(
    st.tuples(st.just("put"), some_keys, some_values),
    st.tuples(st.just("put_batch"), st.lists(st.tuples(some_keys, some_values), max_size=4)),
    st.tuples(st.just("delete"), some_keys),
    st.tuples(st.just("delete_batch"), st.lists(some_keys, max_size=3)),
    st.tuples(st.just("delete_range"), some_keys, some_keys),
    st.tuples(st.just("get_batch"), st.lists(some_keys, max_size=4)),
    st.tuples(
        st.just("list"), bounds, bounds, bounds, st.booleans(), st.none() | st.integers(0, 4)
    ),
)


def packed(key: str | bytes) -> bytes:
    """Return the bytes of a key."""
    return key.encode() if isinstance(key, str) else key


class Model:
    """What pairs do, said with a dictionary."""

    def __init__(self) -> None:
        self.pairs: dict[bytes, tuple[Any, Any]] = {}

    def put(self, key: Any, value: Any) -> None:
        self.pairs[packed(key)] = (key, value)

    def put_batch(self, pairs: Any) -> None:
        for pair in pairs:
            self.put(*pair)

    def delete(self, key: Any) -> None:
        self.pairs.pop(packed(key), None)

    def delete_batch(self, keys: Any) -> None:
        for key in keys:
            self.delete(key)

    def delete_range(self, start: Any, end: Any) -> None:
        for key in [key for key in self.pairs if packed(start) <= key < packed(end)]:
            del self.pairs[key]

    def get_batch(self, keys: Any) -> list[Any]:
        return [self.pairs.get(packed(key), (None, None))[1] for key in keys]

    def list(self, prefix: Any, start: Any, end: Any, reverse: bool, limit: Any) -> Any:
        found = [
            self.pairs[key]
            for key in sorted(self.pairs, reverse=reverse)
            if (prefix is None or key.startswith(packed(prefix)))
            and (start is None or key >= packed(start))
            and (end is None or key < packed(end))
        ]
        return found[:limit]


async def compare(medium: Medium, calls: list[tuple[Any, ...]]) -> None:
    """Make the same calls of an actor's pairs and of the model."""
    model = Model()
    async with pairs_on(medium) as kv:
        for name, *arguments in calls:
            expected = getattr(model, name)(*arguments)
            assert await getattr(kv, name)(*arguments) == expected, name
        assert await kv.list() == model.list(None, None, None, False, None)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(calls=st.lists(steps, max_size=12))
def test_pairs_do_what_a_sorted_dictionary_does(kind: str, calls: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        medium = SqliteMedium(Path(directory)) if kind == "sqlite" else MemoryMedium()
        asyncio.run(compare(medium, calls))
