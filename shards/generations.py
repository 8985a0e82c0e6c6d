"""The lives of actors in memory, one after the other: how each begins and how it ends.

A generation is one life of an actor between a start and a stop (semantics page, section 2). What
happens at its beginning is in ``starting.py``, at its end in ``stopping.py``; here is who begins
it, what becomes of the requests that wait meanwhile, and what is done when it goes wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from stator.runtime.clock import Clock
from stator.runtime.control import Counter
from stator.runtime.database_errors import DatabaseNotConfigured
from stator.runtime.errors import (
    ActorError,
    ActorNotConfigured,
    ActorNotFound,
    ActorRestarting,
    StorageUnavailable,
)
from stator.runtime.link.dialer import Outcome
from stator.runtime.link.frames import (
    ConnectionKind,
    Publish,
    Refusal,
    Resolution,
    ToActor,
    WakeActor,
)
from stator.runtime.registry import Registry
from stator.runtime.storage import ActorRow, DeleteActor, MarkDestroyed

from . import stopping
from .batch import ReplyPort
from .cell import Cell
from .gateways import Gateways
from .hibernation import connections_of, suspend_connections
from .hook_budget import Budget
from .idle import IdleWatch, sleep_longest_idle
from .lifecycle import Status
from .local_calls import LocalCaller
from .opening import serve_raw
from .refusals import refuse
from .run_loop import RunLoop
from .shard import Shard
from .start_failures import StartFailures
from .starting import claim_overdue, start_plain, start_with_hooks, takes_time

if TYPE_CHECKING:
    from .databases import CellDatabase, Databases
    from .schedules.book import Claim


class Requests(Protocol):
    """What generations need of the engine."""

    registry: Registry
    clock: Clock
    shards: dict[int, Shard]
    counters: list[int]

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def accept_call(self, call: ToActor, payload: bytes, port: ReplyPort) -> None: ...
    def deliver_held(self, cell: Cell, call: ToActor, payload: bytes, port: ReplyPort) -> None: ...


class Generations:
    """Begins and ends the generations of one worker's actors."""

    def __init__(self, requests: Requests, gateways: Gateways, databases: Databases | None) -> None:
        """``databases`` is needed by classes that declare one."""
        self._requests = requests
        self._gateways = gateways
        self._databases = databases
        self._shards: Mapping[int, Shard] = requests.shards
        self._spawn = requests.spawn
        self.failures = StartFailures(requests.clock)
        self._idle_watch = IdleWatch(requests.clock, self._shards.__getitem__)

    # -- the beginning

    def begin(self, cell: Cell, row: ActorRow) -> None:
        """Start an actor whose row is known."""
        cell.row = row
        cell.shard.by_id[row.actor_id] = cell
        cell.become(Status.STARTING)
        failure = self.failures.blocks(row.actor_id)
        if failure is not None:
            self.give_up(cell, failure.error)
        elif takes_time(cell):
            self._spawn(self._start_with_hooks(cell))
        else:
            self._start_plain(cell)

    def _start_plain(self, cell: Cell) -> None:
        try:
            start_plain(cell)
        except BaseException as error:
            self._fail_start(cell, error)
        else:
            self._become_ready(cell, [])

    async def _start_with_hooks(self, cell: Cell) -> None:
        cell.enter()
        try:
            await start_with_hooks(cell)
            overdue = await claim_overdue(cell)
        except BaseException as error:
            # SystemExit and CancelledError of user code too: neither may end the worker or leave
            # those who wait for the actor without an answer.
            self._fail_start(cell, error)
        else:
            self._become_ready(cell, overdue)
        finally:
            cell.leave()

    def _become_ready(self, cell: Cell, overdue: list[Claim]) -> None:
        if cell.status is not Status.STARTING:
            return  # destroyed by its own hook, or its storage was lost meanwhile
        cell.become(Status.READY)
        self._requests.counters[Counter.STARTS] += 1
        self.failures.forget(cell.row.actor_id)
        self._idle_watch.watch(cell)
        for connection in connections_of(cell):
            if connection.kind is ConnectionKind.RAW:
                serve_raw(connection, restored=True)
            self._gateways.settle(connection)
        if "run" in cell.definition.hooks:
            # A workflow was opened with the start: it has records.
            cell.run_loop = cell.run_loop or RunLoop(cell)
            cell.run_loop.start()
        if overdue:
            cell.schedule_book.dispatch(overdue)
        for call, payload, port in cell.take_held():
            self._requests.deliver_held(cell, call, payload, port)
        if cell.wants_sleep:
            cell.sleep()

    def _fail_start(self, cell: Cell, error: BaseException) -> None:
        cell.log.error("actor did not start", exc_info=error)
        self._requests.counters[Counter.START_FAILURES] += 1
        if cell.status is not Status.STARTING:
            return  # destroyed by its own hook, which goes on, or its storage was lost meanwhile
        self.failures.note(cell.row.actor_id, error)
        self._spawn(stopping.cut_off(cell))  # what its hooks began
        if cell.batch is None:
            self.give_up(cell, error)
        else:
            self._spawn(self._give_up_once_stored(cell, error))

    async def _give_up_once_stored(self, cell: Cell, error: BaseException) -> None:
        """Give up when its row is on disk, where the next start must find it, or lost."""
        with suppress(StorageUnavailable):
            await cell.wait_committed()
        if cell.status is Status.STARTING:
            self.give_up(cell, error)

    def give_up(self, cell: Cell, error: BaseException) -> None:
        """Drop an actor that cannot serve and tell those who wait for it."""
        cell.shard.remove(cell)
        for connection in connections_of(cell):
            connection.detach()
        for call, _, port in cell.take_held():
            refuse(port, call.id, error)
        cell.let_go()

    # -- alarms

    async def wake(self, shard: Shard, actor_id: str) -> None:
        """Bring a stored actor into memory; return when it is ready.

        Raises ``actor.not_found``, ``actor.not_registered``, or why it does not start.
        """
        reply: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        request = WakeActor(0, shard.number, Resolution.BY_ID, "", "", actor_id)
        self._requests.accept_call(request, b"", LocalCaller(reply))
        header, _ = await reply
        if isinstance(header, Refusal):
            for kind in (ActorNotFound, ActorNotConfigured):
                if (header.group, header.code) == kind.known[:2]:
                    raise kind(header.message)
            raise ActorError(header.message, group=header.group, code=header.code)

    def is_blocked(self, actor_id: str) -> bool:
        """Whether an actor may not be started now, as its starts fail."""
        return self.failures.blocks(actor_id) is not None

    # -- the end

    def begin_destroy(self, cell: Cell) -> None:
        """Destroy an actor in the background; its row is marked already."""
        self._spawn(self._leave(cell, stopping.destroy(cell)))

    def destroy_stored(self, shard: Shard, row: ActorRow) -> Cell | None:
        """Destroy an actor that is not in memory, without starting it (semantics page, 2.8).

        Its key is taken until that is durable. ``None`` if the registry does not know the actor:
        then nobody can start it meanwhile.
        """
        definition = self._requests.registry.get(row.name)
        if definition is None:
            return None
        cell = Cell(shard, definition, (row.namespace, row.name, row.key))
        shard.add(cell)
        cell.row = row
        shard.by_id[row.actor_id] = cell
        cell.become(Status.DESTROYING)
        shard.write(MarkDestroyed(row.pk), cell)
        self._gateways.close_stored(row.connections)
        self._spawn(self._leave(cell, stopping.delete(cell)))
        return cell

    async def destroy_unknown(self, shard: Shard, row: ActorRow) -> None:
        """Destroy a stored actor that the registry does not know, as far as it is known here.

        Raises ``storage.unavailable``.
        """
        shard.write(MarkDestroyed(row.pk))
        await shard.wait_durable()
        if self._databases is not None:
            await self._databases.delete(shard.number, row.actor_id)
        shard.write(DeleteActor(row.pk))
        await shard.wait_durable()

    def begin_sleep(self, cell: Cell) -> None:
        """Put an actor to sleep in the background."""
        self._spawn(self._leave(cell, stopping.sleep(cell)))

    async def _leave(self, cell: Cell, work: Coroutine[Any, Any, None]) -> None:
        status = cell.status
        try:
            await work
        except StorageUnavailable:
            # A mark of destruction is not on disk: the actor lives on, as its caller was told. Or
            # it is, and the next opening of the shard deletes the rows.
            cell.log.error("actor could not be stopped in an orderly way", status=status.value)
        held = cell.take_held()
        cell.shard.remove(cell)
        cell.let_go()
        for call, payload, port in held:
            self._requests.accept_call(call, payload, port)

    async def drain(self, shards: Collection[Shard]) -> None:
        """End the generations of all actors; returns when all is durable.

        Those that are starting have their grace period for it; those that leave memory already
        go on with that.
        """
        cells = [cell for shard in shards for cell in shard.by_identity.values()]
        at_rest = [cell for cell in cells if self._is_at_rest(cell)]
        _save(at_rest, shards)  # first: nothing of the others may cost them what they changed
        ended = await asyncio.gather(
            *(self._drain_one(cell) for cell in cells if not self._is_at_rest(cell))
        )
        _save(at_rest, shards)
        await asyncio.gather(*(shard.wait_durable() for shard in shards), return_exceptions=True)
        for cell in ended:
            if cell is not None:
                _hand_back_publications(cell)
                suspend_connections(cell)

    def _is_at_rest(self, cell: Cell) -> bool:
        return cell.status is Status.READY and not stopping.has_something_to_end(cell)

    async def _drain_one(self, cell: Cell) -> Cell | None:
        """Let an actor leave memory; return it if that ends with the last commit."""
        with suppress(TimeoutError):
            async with Budget(self._requests.clock, cell.definition.settings.sleep_grace_period):
                while cell.status in (Status.LOADING, Status.STARTING):
                    await cell.changed()
        if cell.status is Status.READY:
            if await stopping.drain(cell):
                return cell
            await self._leave(cell, stopping.destroy(cell))
            return None
        while cell.status in (Status.SLEEPING, Status.DESTROYING, Status.DELETED):
            await cell.changed()
        return None

    # -- what belongs to a generation

    def open_database(self, cell: Cell) -> CellDatabase:
        """Return the database of an actor whose class declares one; opens no file yet."""
        if self._databases is None:
            raise DatabaseNotConfigured
        declaration = cell.definition.database
        assert declaration is not None
        number, actor_id = cell.shard.number, cell.row.actor_id
        return self._databases.of(number, actor_id, declaration, cell.log)

    async def delete_database(self, cell: Cell) -> None:
        """Delete the file of an actor that is destroyed."""
        if self._databases is not None:
            await self._databases.delete(cell.shard.number, cell.row.actor_id)

    def discard(self, cell: Cell) -> None:
        """Cut off what an actor whose changes were lost still does; a workflow goes on without
        being asked, from what is stored."""
        if cell.run_loop is not None and cell.run_loop.goes_on_by_itself:
            cell.shard.alarm.bring_up(cell.row.actor_id)
        self._spawn(stopping.cut_off(cell))

    def sleep_longest_idle(self, count: int) -> int:
        """Put up to ``count`` idle actors to sleep; return how many."""
        cells = (cell for shard in self._shards.values() for cell in shard.by_id.values())
        return sleep_longest_idle(cells, count)

    def close(self) -> None:
        """Look after nobody any more."""
        self._idle_watch.close()


def _save(cells: list[Cell], shards: Collection[Shard]) -> None:
    """Put into the batch what actors changed, at once also what may wait."""
    for cell in cells:
        if cell.status is Status.READY:
            cell.shard.capture_quietly(cell)
    for shard in shards:
        shard.save_deferred()


def _hand_back_publications(cell: Cell) -> None:
    """Let those who wait for the completion of a message ask this worker's successor."""
    for publish, body, port in cell.queues.hand_over() if cell.queues is not None else ():
        if isinstance(port, LocalCaller):
            refuse(port, publish.id, ActorRestarting(metadata={"retryable": True}))
        else:
            assert isinstance(publish, Publish)
            port.send(publish, body)
