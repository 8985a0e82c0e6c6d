"""Identities: which shard an actor belongs to, and the ids that name actors, connections, calls.

Rule 1. An actor is (namespace, name, key); its shard is
        ``blake2b-64(namespace NUL name NUL serialised key) mod N``, stable for ever.
Rule 2. An actor id is 30 characters ``[0-9a-z]``, like the peer's (client-protocol, 2.5):
        9 of time, 16 random, 4 of shard, 1 of version, so that anyone can route by id.
        The time comes first so that ids of one shard are inserted at the end of its index.
Rule 3. An id of another form is no error: it names no actor (``actor.not_found``).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from .keys import serialize_key

MAX_SHARDS = 4096
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_VERSION = "s"
_TIME_DIGITS, _RANDOM_DIGITS, _SHARD_DIGITS = 9, 16, 4
_RANDOM_SPACE = 36**_RANDOM_DIGITS
ID_LENGTH = _TIME_DIGITS + _RANDOM_DIGITS + _SHARD_DIGITS + len(_VERSION)
RANDOM_BYTES = 16
"""How many random bytes :func:`make_actor_id` wants."""


def shard_of(namespace: str, name: str, key: Sequence[str], shards: int) -> int:
    """Return the shard of an actor's identity among ``shards`` (rule 1)."""
    identity = f"{namespace}\0{name}\0{serialize_key(key)}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(identity, digest_size=8).digest(), "big") % shards


def _base36(number: int, digits: int) -> str:
    text = ""
    for _ in range(digits):
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text


def make_actor_id(shard: int, now_ms: int, randomness: bytes) -> str:
    """Return a fresh actor id; ``randomness`` is at least 16 random bytes (rule 2)."""
    random = int.from_bytes(randomness, "big") % _RANDOM_SPACE
    return (
        _base36(now_ms, _TIME_DIGITS)
        + _base36(random, _RANDOM_DIGITS)
        + _base36(shard, _SHARD_DIGITS)
        + _VERSION
    )


def shard_of_actor_id(actor_id: str) -> int | None:
    """Return the shard an actor id carries, or ``None`` if it is not one of ours (rule 3)."""
    if len(actor_id) != ID_LENGTH or actor_id[-1] != _VERSION:
        return None
    if not actor_id.isascii() or not actor_id.isalnum() or not actor_id.islower():
        return None
    shard = int(actor_id[-5:-1], 36)
    return shard if shard < MAX_SHARDS else None


class RaySource:
    """Makes ids of single requests, shown to users and written to logs; unique per process."""

    __slots__ = ("_count", "_prefix")

    def __init__(self, randomness: bytes) -> None:
        """``randomness`` is at least 8 random bytes: it tells processes and runs apart."""
        self._prefix = _base36(int.from_bytes(randomness, "big"), 10)
        self._count = 0

    def next(self) -> str:
        """Return a fresh id, 10 characters or more."""
        self._count += 1
        return f"{self._prefix}{self._count:x}"
