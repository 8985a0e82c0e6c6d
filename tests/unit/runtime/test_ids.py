"""Shards and actor ids. What is recorded here is promised for ever: data lies where it says."""

import string
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.ids import (
    ID_LENGTH,
    MAX_SHARDS,
    RANDOM_BYTES,
    RaySource,
    make_actor_id,
    shard_of,
    shard_of_actor_id,
)

RECORDED = Path(__file__).parents[2] / "recorded" / "shards.json"
DIGITS = string.digits + string.ascii_lowercase
NOW_MS = 1_790_000_000_000

shards = st.integers(0, MAX_SHARDS - 1)
instants = st.integers(0, 36**9 - 1)
randomness = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


class Identity(msgspec.Struct):
    namespace: str
    name: str
    key: list[str]
    shards: dict[int, int]
    """Its shard by the number of shards."""


class Recording(msgspec.Struct):
    identities: list[Identity]


RECORDED_IDENTITIES = msgspec.json.decode(RECORDED.read_bytes(), type=Recording).identities


@pytest.mark.parametrize("recorded", RECORDED_IDENTITIES, ids=lambda row: ascii(row.key)[:20])
def test_an_identity_stays_on_the_shard_it_was_given_once(recorded: Identity) -> None:
    key = recorded.key
    now = {n: shard_of(recorded.namespace, recorded.name, key, n) for n in recorded.shards}
    assert now == recorded.shards


def test_actors_spread_evenly_over_shards() -> None:
    total, actors = 16, 16_000
    found = Counter(shard_of("default", "room", (f"user-{n}",), total) for n in range(actors))
    assert len(found) == total
    assert all(850 < count < 1150 for count in found.values())


@given(st.text(max_size=5), st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3), shards)
def test_any_identity_has_a_shard(namespace: str, name: str, key: list[str], last: int) -> None:
    assert 0 <= shard_of(namespace, name, key, last + 1) <= last


def test_namespace_name_and_key_all_count() -> None:
    identities = [("a", "b", ("c",)), ("b", "a", ("c",)), ("a", "c", ("b",)), ("ab", "", ("c",))]
    assert len({shard_of(*identity, 2**60) for identity in identities}) == len(identities)


@given(shards, instants, randomness)
def test_an_actor_id_carries_its_shard(shard: int, now_ms: int, random: bytes) -> None:
    actor_id = make_actor_id(shard, now_ms, random)
    assert len(actor_id) == ID_LENGTH == 30
    assert set(actor_id) <= set(DIGITS)
    assert shard_of_actor_id(actor_id) == shard


@given(shards, instants, instants, randomness)
def test_later_ids_sort_after_earlier_ones(
    shard: int, one_ms: int, other_ms: int, random: bytes
) -> None:
    one = make_actor_id(shard, one_ms, random)
    other = make_actor_id(shard, other_ms, random)
    assert (one[:9] < other[:9]) == (one_ms < other_ms)


def test_different_randomness_makes_different_ids() -> None:
    ids = {make_actor_id(0, NOW_MS, n.to_bytes(RANDOM_BYTES, "big")) for n in range(1000)}
    assert len(ids) == 1000


@given(st.text(max_size=32) | st.text(alphabet=DIGITS, min_size=30, max_size=30))
def test_a_foreign_id_has_no_shard_or_a_possible_one(text: str) -> None:
    shard = shard_of_actor_id(text)
    assert shard is None or (text[-1] == "s" and 0 <= shard < MAX_SHARDS)


OWN = make_actor_id(7, NOW_MS, bytes(RANDOM_BYTES))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s" * 29,
        OWN[:-1],
        OWN + "s",
        OWN.upper(),
        OWN[:-1] + "1",
        OWN[:-5] + "-007s",
        OWN[:-5] + "+007s",
        OWN[:-5] + " 007s",
        OWN[:-5] + "0_07s",
        OWN[:-5] + "\u0660\u0660\u0660\u0667s",
        OWN[:-5] + "zzzzs",
        "é" + OWN[1:],
        "e8q2m4x0v1c3b5n7a9s8d6f4g2h0j1",
    ],
)
def test_an_id_of_another_form_has_no_shard(text: str) -> None:
    assert shard_of_actor_id(text) is None


def test_ray_ids_never_repeat() -> None:
    one, other = RaySource(b"12345678"), RaySource(b"87654321")
    rays = [source.next() for source in (one, other) for _ in range(5000)]
    assert len(set(rays)) == len(rays)
    assert all(len(ray) >= 10 and set(ray) <= set(DIGITS) for ray in rays)
