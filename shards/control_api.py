"""The control requests of a worker: create, find, list, destroy, namespaces.

They never start an actor to answer a question, and their answers are durable like any other.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stator.runtime.error_views import public_view
from stator.runtime.errors import (
    ActorError,
    ActorNotConfigured,
    ActorNotFound,
    DuplicateKey,
    NamespaceNotFound,
    ServiceUnavailable,
    ShardUnavailable,
    StorageUnavailable,
)
from stator.runtime.ids import shard_of_actor_id
from stator.runtime.link.frames import (
    ActorRecord,
    CreateActor,
    Created,
    DestroyActor,
    FindActors,
    ListNames,
    ListNamespaces,
    NamespaceRecord,
    Request,
    ResolveNamespace,
    Result,
    SleepActor,
    encode_payload,
)
from stator.runtime.storage import ActorQuery, ActorRow, InsertNamespace

from .batch import ReplyPort
from .cell import Cell, Identity
from .lifecycle import ENDING, Status
from .refusals import refuse
from .shard import Shard

if TYPE_CHECKING:
    from .engine import Engine


class ControlApi:
    """Serves control requests on the shards of one worker."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def serve(self, request: Request, port: ReplyPort) -> None:
        """Answer one request."""
        try:
            answer = await self._answer(request)
        except ActorError as error:
            refuse(port, request.id, error)
        except Exception as error:
            self._engine.log.error("control request failed", exc_info=error)
            refuse(port, request.id, StorageUnavailable())
        else:
            port.send(Result(request.id), encode_payload(answer))

    async def _answer(self, request: Request) -> object:
        match request:
            case CreateActor():
                return await self._create(request)
            case FindActors():
                return await self._find(request)
            case ListNames():
                return await self._list_names(request)
            case DestroyActor():
                await self._destroy(request)
                return None
            case SleepActor():
                await self._sleep(request)
                return None
            case ResolveNamespace():
                return await self._resolve_namespace(request)
            case ListNamespaces():
                return await self._list_namespaces(self._shard(request.shard))
            case _:
                raise ServiceUnavailable(f"{type(request).__name__} is not a control request")

    def _shard(self, number: int) -> Shard:
        shard = self._engine.shards.get(number)
        if shard is None:
            raise ShardUnavailable
        return shard

    # -- create

    async def _create(self, request: CreateActor) -> Created:
        shard = self._shard(request.shard)
        row = await self._existing(shard, request)
        created = row is None
        if row is None:
            row = self._begin(shard, request)
        elif not request.reuse:
            raise DuplicateKey(
                f"Actor key '{row.key}' already in use for actor '{row.actor_id}'",
                metadata={"existing_actor_id": row.actor_id, "key": row.key},
            )
        record = self._record(row)
        await shard.wait_durable()
        return Created(record, created)

    async def _existing(self, shard: Shard, request: CreateActor) -> ActorRow | None:
        """Return the actor that has the key; it may be one that is created at this moment."""
        identity = (request.namespace, request.name, request.key)
        while True:
            while (cell := shard.by_identity.get(identity)) is not None:
                if cell.status not in ENDING and cell.status is not Status.LOADING:
                    return cell.row
                await cell.changed()
            row = await shard.store.find_by_key(*identity)
            if identity not in shard.by_identity:
                return row

    def _begin(self, shard: Shard, request: CreateActor) -> ActorRow:
        definition = self._engine.registry.get(request.name)
        if definition is None:
            raise ActorNotConfigured(
                f"the registry of this service has no actor named '{request.name}'"
            )
        cell = Cell(shard, definition, (request.namespace, request.name, request.key))
        shard.add(cell)
        row = self._engine.create_row(cell, request.input)
        self._engine.generations.begin(cell, row)
        return row

    # -- look up

    async def _find(self, request: FindActors) -> list[ActorRecord]:
        shards = [self._shard(number) for number in request.shards]
        if request.actor_ids:
            rows = [
                row
                for actor_id in request.actor_ids
                for shard in shards
                if (row := await self._by_id(shard, actor_id)) is not None
                and request.namespace in ("", row.namespace)
                and request.name in (None, row.name)
            ]
        elif request.key is not None and request.name is not None:
            identity = (request.namespace, request.name, request.key)
            rows = [
                row
                for shard in shards
                if (row := await self._by_identity(shard, identity)) is not None
            ]
        else:
            rows = await self._list(shards, request)
        return [self._record(row) for row in rows]

    async def _list(self, shards: list[Shard], request: FindActors) -> list[ActorRow]:
        query = ActorQuery(request.namespace, request.name, request.limit, request.before_ms)
        await asyncio.gather(*(shard.wait_durable() for shard in shards))
        lists = await asyncio.gather(*(shard.store.list_actors(query) for shard in shards))
        rows = [row for rows in lists for row in rows]
        return sorted(rows, key=lambda row: row.created_ms, reverse=True)[: request.limit]

    async def _by_identity(self, shard: Shard, identity: tuple[str, str, str]) -> ActorRow | None:
        cell = shard.by_identity.get(identity)
        if cell is not None and cell.status is not Status.LOADING:
            return await self._once_durable(cell)
        return await shard.store.find_by_key(*identity)

    async def _by_id(self, shard: Shard, actor_id: str) -> ActorRow | None:
        cell = shard.by_id.get(actor_id)
        if cell is not None:
            return await self._once_durable(cell)
        return await shard.store.find_by_id(actor_id)

    async def _once_durable(self, cell: Cell) -> ActorRow | None:
        """Return the row of an actor in memory: nobody is told of one that may yet be lost."""
        if cell.batch is not None:
            await cell.batch.wait()
        if cell.status is Status.GONE:
            return await cell.shard.store.find_by_id(cell.row.actor_id)
        return None if cell.status in ENDING else cell.row

    async def _list_names(self, request: ListNames) -> list[str]:
        shards = [self._shard(number) for number in request.shards]
        await asyncio.gather(*(shard.wait_durable() for shard in shards))
        lists = await asyncio.gather(
            *(shard.store.list_names(request.namespace) for shard in shards)
        )
        return sorted({name for names in lists for name in names})

    # -- destroy

    async def _destroy(self, request: DestroyActor) -> None:
        shard = self._shard(request.shard)
        cell = shard.by_id.get(request.actor_id)
        if cell is None:
            row = await shard.store.find_by_id(request.actor_id)
            if row is None or row.namespace != request.namespace:
                raise ActorNotFound
            await self._loaded(shard, (row.namespace, row.name, row.key))
            generations = self._engine.generations
            cell = shard.by_id.get(request.actor_id) or generations.destroy_stored(shard, row)
            if cell is None:
                await generations.destroy_unknown(shard, row)
                return
        elif cell.identity[0] != request.namespace:
            raise ActorNotFound
        if cell.status not in ENDING:
            cell.destroy()
        while cell.status is not Status.GONE:
            await cell.changed()
        if await shard.store.find_by_id(request.actor_id) is not None:
            raise StorageUnavailable

    async def _sleep(self, request: SleepActor) -> None:
        shard = self._shard(request.shard)
        cell = shard.by_id.get(request.actor_id)
        if cell is None:
            row = await shard.store.find_by_id(request.actor_id)
            if row is None or row.namespace != request.namespace:
                raise ActorNotFound
            return
        if cell.identity[0] != request.namespace:
            raise ActorNotFound
        while cell.status is Status.STARTING:
            await cell.changed()
        cell.sleep()
        while cell.status is not Status.GONE:
            await cell.changed()

    async def _loaded(self, shard: Shard, identity: Identity) -> None:
        """Return once nobody is looking the actor up."""
        while (cell := shard.by_identity.get(identity)) and cell.status is Status.LOADING:
            await cell.changed()

    # -- namespaces

    async def _resolve_namespace(self, request: ResolveNamespace) -> NamespaceRecord:
        shard = self._shard(request.shard)
        records = await self._list_namespaces(shard)
        for record in records:
            if record.name == request.namespace:
                return record
        if not request.create:
            raise NamespaceNotFound(f"the namespace '{request.namespace}' does not exist")
        record = NamespaceRecord(request.namespace, self._engine.clock.now_ms())
        shard.write(InsertNamespace(record.name, record.created_ms))
        await shard.wait_durable()
        return record

    async def _list_namespaces(self, shard: Shard) -> list[NamespaceRecord]:
        return [NamespaceRecord(*row) for row in await shard.store.list_namespaces()]

    # -- answers

    def _record(self, row: ActorRow) -> ActorRecord:
        """Return what the control API says of a stored actor (semantics page, section 2.12)."""
        number = shard_of_actor_id(row.actor_id)
        shard = None if number is None else self._engine.shards.get(number)
        cell = None if shard is None else shard.by_id.get(row.actor_id)
        is_asleep = cell is None and row.started_ms is not None
        failures = self._engine.generations.failures
        failure, pause = failures.find(row.actor_id), failures.blocks(row.actor_id)
        return ActorRecord(
            row.actor_id,
            row.namespace,
            row.name,
            row.key,
            row.created_ms,
            started_ms=row.started_ms,
            slept_ms=(row.slept_ms or row.started_ms) if is_asleep else None,
            connectable_ms=row.started_ms if cell and cell.status is not Status.STARTING else None,
            reschedule_ms=None if pause is None else pause.until_ms,
            error=None if failure is None else {"crashed": _describe(failure.error)},
        )


def _describe(error: BaseException) -> dict[str, Any]:
    view = public_view(error)
    return {"group": view.group, "code": view.code, "message": view.message}
