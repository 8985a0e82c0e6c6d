"""Key-value pairs as the actor's code sees them (python-api, section 7; semantics, section 9.1).

Rule 1. A key is bytes; text is its UTF-8 bytes. The same bytes are the same key, however they
        were given, and every call shares one key space.
Rule 2. What was put as text comes back as text, bytes as bytes, keys and values alike. A key is
        what it was when its value was last put.
Rule 3. Order is the order of the bytes. Ranges are half-open: ``start`` is in, ``end`` is not.
Rule 4. One call is one commit, whole or not at all, together with the changes of the state made
        before it. It is on disk when the call returns, also with durability "interval".
Rule 5. A read sees everything that this actor wrote before.
Rule 6. What is too large or of the wrong type is refused before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from .errors import ValidationFailed
from .pair_errors import PairKeyTooLarge, PairValueTooLarge
from .protocol.kinds import kind_of
from .storage import PairKey, PairQuery

Key = str | bytes
Value = str | bytes
NewPairs = (
    Mapping[str, Value] | Mapping[bytes, Value] | Mapping[Key, Value] | Iterable[tuple[Key, Value]]
)
"""Pairs to store; a mapping's type says exactly what its keys are, so each kind is named."""
Values = list[Value | None]
"""In the order asked; ``None`` where there is no such pair."""
Pairs = list[tuple[Key, Value]]
"""In the order of the keys."""

MAX_KEY_BYTES = 2_047
"""Rivet's limit is 2,048 with one internal byte (semantics page, section 1.4)."""

MAX_VALUE_BYTES = 131_072

_MAX_LIMIT = 2**63 - 1
"""The most that a store can count."""


class KeyValueStore(Protocol):
    """``self.kv``: ordered pairs of this actor; every write is durable when it returns.

    Keys are text or bytes of at most 2,047 bytes, also those of look-ups, prefixes and ranges;
    values text or bytes of at most 131,072 bytes. Every call raises ``kv.key_too_large``,
    ``kv.value_too_large`` (both with ``size`` and ``limit`` in bytes as metadata),
    ``actor.validation_error`` for any other type, and ``storage.unavailable``. Writes raise
    ``actor.state_not_serializable`` as well: the state so far is in the same commit.
    """

    async def get(self, key: Key) -> Value | None:
        """Return the value of a key, ``None`` without one."""
        ...

    async def put(self, key: Key, value: Value) -> None:
        """Store a pair, in place of the one that has this key."""
        ...

    async def delete(self, key: Key) -> None:
        """Remove the pair of a key; none is fine too."""
        ...

    async def get_batch(self, keys: Iterable[Key]) -> Values:
        """Return the values of ``keys`` as of one moment, in their order."""
        ...

    async def put_batch(self, pairs: NewPairs) -> None:
        """Store all of ``pairs`` or, if one of them is refused, none; of equal keys the last."""
        ...

    async def delete_batch(self, keys: Iterable[Key]) -> None:
        """Remove the pairs of ``keys``, all in one commit."""
        ...

    async def list(
        self,
        prefix: Key | None = None,
        start: Key | None = None,
        end: Key | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Pairs:
        """Return the pairs whose keys begin with ``prefix`` and lie from ``start`` to ``end``.

        Keys are whole, with the prefix. Each condition may be left out; an empty prefix lists
        everything. ``reverse`` begins at the greatest key. ``limit`` is how many at most, counted
        after reversing; ``None`` is all.
        """
        ...

    async def delete_range(self, start: Key, end: Key) -> None:
        """Remove the pairs whose keys lie from ``start`` up to, not including, ``end``."""
        ...


def pack_key(key: object) -> PairKey:
    """Return a key as stores take it. Raises ``kv.key_too_large``, ``actor.validation_error``."""
    packed = _pack(key, "a key")
    if len(packed) > MAX_KEY_BYTES:
        raise PairKeyTooLarge(
            f"a key of {len(packed)} bytes is larger than {MAX_KEY_BYTES}",
            metadata={"size": len(packed), "limit": MAX_KEY_BYTES},
        )
    return packed, isinstance(key, str)


def unpack_key(key: PairKey) -> Key:
    """Return a key as the actor gave it."""
    packed, is_text = key
    return packed.decode() if is_text else packed


def pack_value(value: object) -> Value:
    """Return a value that may be stored.

    Raises ``kv.value_too_large`` or ``actor.validation_error``.
    """
    packed = _pack(value, "a value")
    if len(packed) > MAX_VALUE_BYTES:
        raise PairValueTooLarge(
            f"a value of {len(packed)} bytes is larger than {MAX_VALUE_BYTES}",
            metadata={"size": len(packed), "limit": MAX_VALUE_BYTES},
        )
    return str.__str__(value) if isinstance(value, str) else packed


def _pack(value: object, what: str) -> bytes:
    if isinstance(value, bytes):
        return bytes(value)
    if not isinstance(value, str):
        raise ValidationFailed(f"{what} is str or bytes, not {type(value).__name__}")
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise ValidationFailed(f"{what} holds a lone surrogate, which UTF-8 cannot") from None


def pack_keys(keys: Iterable[Key]) -> list[PairKey]:
    """Return :func:`pack_key` of each; a single key is no list of keys and refused."""
    return [pack_key(key) for key in _items(keys, "keys")]


def pack_pairs(pairs: NewPairs) -> list[tuple[PairKey, Value]]:
    """Return pairs as stores take them. Raises as :func:`pack_key` and :func:`pack_value` do."""
    packed: list[tuple[PairKey, Value]] = []
    given: Any = pairs
    for pair in _items(given.items() if isinstance(pairs, Mapping) else given, "pairs"):
        if not isinstance(pair, (tuple, list)) or len(cast(list[Any], pair)) != 2:
            raise ValidationFailed("a pair is a key and a value")
        key, value = cast(list[Any], pair)
        packed.append((pack_key(key), pack_value(value)))
    return packed


def _items(given: Any, what: str) -> list[Any]:
    if isinstance(given, (str, bytes)) or not hasattr(given, "__iter__"):
        raise ValidationFailed(f"{what} are a list, not {kind_of(given).__name__}")
    return list(given)


def make_query(
    prefix: Key | None, start: Key | None, end: Key | None, *, reverse: bool, limit: int | None
) -> PairQuery:
    """Return the range of keys that satisfies every condition that is given.

    Raises ``kv.key_too_large`` or ``actor.validation_error``.
    """
    if limit is not None and (type(limit) is not int or limit < 0):
        raise ValidationFailed(f"limit is a number from 0 on or None, not {limit!r}")
    first, last = b"", None
    if prefix is not None:
        first, _ = pack_key(prefix)
        last = after_prefix(first)
    if start is not None:
        first = max(first, pack_key(start)[0])
    if end is not None:
        bound, _ = pack_key(end)
        last = bound if last is None else min(last, bound)
    most = None if limit is None else min(limit, _MAX_LIMIT)
    return PairQuery(first, last, bool(reverse), most)


def after_prefix(prefix: bytes) -> bytes | None:
    """Return the smallest key after all that begin with ``prefix``; ``None`` if there is none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None
