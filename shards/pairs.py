"""``self.kv``: an actor's pairs, written through the shard's batch and read from its store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from stator.runtime.errors import StorageUnavailable
from stator.runtime.pairs import (
    Key,
    NewPairs,
    Pairs,
    Value,
    Values,
    make_query,
    pack_key,
    pack_keys,
    pack_pairs,
    pack_value,
    unpack_key,
)
from stator.runtime.storage import DeletePair, DeletePairs, PutPair

if TYPE_CHECKING:
    from .cell import Cell

T = TypeVar("T")


class KeyValues:
    """Implements ``runtime.pairs.KeyValueStore``."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    async def get(self, key: Key) -> Value | None:
        (value,) = await self.get_batch([key])
        return value

    async def put(self, key: Key, value: Value) -> None:
        await self._write([PutPair(self._pk, *pack_key(key), pack_value(value))])

    async def delete(self, key: Key) -> None:
        await self.delete_batch([key])

    async def get_batch(self, keys: Iterable[Key]) -> Values:
        packed = [key for key, _ in pack_keys(keys)]
        await self._cell.wait_committed()
        return await self._read(self._cell.shard.store.get_pairs(self._pk, packed))

    async def put_batch(self, pairs: NewPairs) -> None:
        await self._write([PutPair(self._pk, *key, value) for key, value in pack_pairs(pairs)])

    async def delete_batch(self, keys: Iterable[Key]) -> None:
        await self._write([DeletePair(self._pk, key) for key, _ in pack_keys(keys)])

    async def list(
        self,
        prefix: Key | None = None,
        start: Key | None = None,
        end: Key | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Pairs:
        query = make_query(prefix, start, end, reverse=reverse, limit=limit)
        await self._cell.wait_committed()
        found = await self._read(self._cell.shard.store.list_pairs(self._pk, query))
        return [(unpack_key(key), value) for key, value in found]

    async def delete_range(self, start: Key, end: Key) -> None:
        (first, _), (last, _) = pack_key(start), pack_key(end)
        await self._write([DeletePairs(self._pk, first, last)])

    @property
    def _pk(self) -> int:
        return self._cell.row.pk

    async def _write(self, operations: Sequence[PutPair | DeletePair | DeletePairs]) -> None:
        """Put all operations and the state so far into one commit and wait for that."""
        cell = self._cell
        if operations:
            cell.shard.capture(cell, urgent=True)
        for operation in operations:
            cell.shard.write(operation, cell)
        await cell.wait_committed()

    async def _read(self, look_up: asyncio.Future[T]) -> T:
        try:
            return await look_up
        except Exception as error:
            self._cell.log.error("look-up failed", exc_info=error)
            raise StorageUnavailable from error
