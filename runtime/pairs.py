"""Key-value pairs as the actor's code sees them (python-api, section 7; semantics, section 9.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

Key = str | bytes
Value = str | bytes


class KeyValueStore(Protocol):
    """``self.kv``: ordered pairs of this actor; every write is durable when it returns."""

    async def get(self, key: Key) -> Value | None: ...
    async def put(self, key: Key, value: Value) -> None: ...
    async def delete(self, key: Key) -> None: ...
    async def get_batch(self, keys: Iterable[Key]) -> list[Value | None]: ...
    async def put_batch(self, pairs: Mapping[Key, Value] | Iterable[tuple[Key, Value]]) -> None: ...
    async def delete_batch(self, keys: Iterable[Key]) -> None: ...
    async def list(
        self,
        prefix: Key | None = None,
        start: Key | None = None,
        end: Key | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[tuple[Key, Value]]: ...
    async def delete_range(self, start: Key, end: Key) -> None: ...
