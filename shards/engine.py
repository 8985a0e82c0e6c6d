"""The engine of a worker: takes requests from links and from its own actors, finds the actor.

The way of a call: :meth:`Engine.accept` finds the actor's cell in its shard; a ready one runs the
action at once (``actions.py``), one that is not in memory is looked up or created and started
first (``starting.py``) while its requests wait in the cell.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from stator.runtime.clock import Clock
from stator.runtime.control import Counter
from stator.runtime.database_errors import DatabaseNotConfigured
from stator.runtime.definition import ActorDefinition
from stator.runtime.errors import (
    ActorNotConfigured,
    ActorNotFound,
    ActorStopping,
    Overloaded,
    ServiceUnavailable,
    ShardUnavailable,
    StorageUnavailable,
)
from stator.runtime.handles import ActorClient
from stator.runtime.ids import RANDOM_BYTES, make_actor_id
from stator.runtime.link.channel import Backlog
from stator.runtime.link.frames import (
    Call,
    ConnectionKind,
    OpenConnection,
    OpenExchange,
    Request,
    Resolution,
    Result,
    ToActor,
    WakeActor,
)
from stator.runtime.log import Logger
from stator.runtime.registry import Registry
from stator.runtime.storage import (
    ActorRow,
    DeleteActor,
    InsertActor,
    ShardStorage,
)

from . import stopping
from .actions import ActionRunner
from .batch import ReplyPort
from .calls import SingleCall
from .cell import Cell, Held, Identity
from .clock import SystemClock
from .control_api import ControlApi
from .exchanges import open_exchange
from .gateway_link import GatewayLink
from .gateways import Gateways
from .hibernation import connections_of, suspend_connections
from .idle import IdleWatch, sleep_longest_idle
from .lifecycle import HOLDS_REQUESTS, Status
from .local_calls import LocalCaller, Route, WorkerTransport
from .opening import open_connection, serve_raw
from .pulse import Pulse
from .refusals import refuse
from .run_loop import RunLoop
from .shard import Limits, Shard
from .start_failures import StartFailures
from .starting import claim_overdue, start_plain, start_with_hooks, takes_time

if TYPE_CHECKING:
    from .databases import CellDatabase, Databases
    from .schedules import Claim


class Engine:
    """All shards of a worker and the actors in them."""

    def __init__(
        self,
        registry: Registry,
        stores: Mapping[int, ShardStorage],
        log: Logger,
        *,
        total_shards: int,
        commit_interval: float = 0.0,
        limits: Limits | None = None,
        counters: list[int] | None = None,
        route: Route | None = None,
        databases: Databases | None = None,
        clock: Clock | None = None,
        expose_errors: bool = False,
    ) -> None:
        """``stores`` are open; ``route`` reaches shards of other workers; ``databases`` is needed
        by classes that declare one."""
        self.registry = registry
        self.clock: Clock = clock or SystemClock()
        self.total_shards = total_shards
        self.counters = [0] * 16 if counters is None else counters
        self.limits = limits or Limits()
        self.backlog = Backlog()
        self.runner = ActionRunner(
            self.counters,
            self.clock,
            max_message_bytes=self.limits.max_response_bytes,
            expose=expose_errors,
        )
        self.databases = databases
        self.start_failures = StartFailures(self.clock)
        self._pulses: dict[float, Pulse] = {}
        self._gateways = Gateways()
        self.find_gateway = self._gateways.find
        self.greet = self._gateways.greet
        self.miss = self._gateways.miss
        self._background: set[asyncio.Task[None]] = set()
        self.shards = {
            number: Shard(number, store, self, log, commit_interval=commit_interval)
            for number, store in stores.items()
        }
        self._idle_watch = IdleWatch(self.clock, self.shards.__getitem__)
        self.log = log
        self._route = route
        self._control = ControlApi(self)
        self._looking_up: dict[str, list[Held]] = {}
        self._draining = False

    # -- requests

    def accept(self, request: Request, payload: bytes, port: ReplyPort) -> None:
        """Take one request; exactly one reply goes to ``port``."""
        if isinstance(request, ToActor):
            self._accept_call(request, payload, port)
        else:
            self.spawn(self._control.serve(request, port))

    def _accept_call(self, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        shard = self.shards.get(call.shard)
        if shard is None:
            refuse(port, call.id, ShardUnavailable())
            return
        if self._draining and not isinstance(port, LocalCaller):
            # Actors that finish their work may still call one another.
            refuse(port, call.id, ServiceUnavailable())
            return
        if call.resolution is Resolution.BY_ID:
            cell = shard.by_id.get(call.key)
            if cell is None:
                self._look_up_id(shard, call, payload, port)
                return
        else:
            identity = (call.namespace, call.name, call.key)
            cell = shard.by_identity.get(identity) or self._load(shard, identity)
            if cell is None:
                refuse(port, call.id, _not_configured(call.name))
                return
        self._deliver(cell, call, payload, port)

    def _deliver(self, cell: Cell, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        if cell.status is Status.READY:
            self._serve(cell, call, payload, port)
        elif cell.status not in HOLDS_REQUESTS:
            refuse(port, call.id, ActorStopping())
        elif len(cell.held) >= self.limits.max_held:
            refuse(port, call.id, Overloaded())
        else:
            cell.hold(call, payload, port)

    def _serve(self, cell: Cell, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        if type(call) is Call:
            SingleCall(cell, call, payload, port).start()
        elif not isinstance(port, GatewayLink):
            raise TypeError("only a gateway has clients that open connections")
        elif isinstance(call, OpenConnection):
            open_connection(cell, call, payload, port)
        elif isinstance(call, OpenExchange):
            open_exchange(cell, call, port)
        else:
            port.send(Result(call.id))  # it is awake: that was all

    # -- bringing actors into memory

    def _load(self, shard: Shard, identity: Identity) -> Cell | None:
        """Begin to look an actor up; ``None`` if the registry has no such name."""
        definition = self.registry.get(identity[1])
        if definition is None:
            return None
        cell = Cell(shard, definition, identity)
        shard.add(cell)
        found = shard.store.find_by_key(*identity)
        found.add_done_callback(partial(self._on_loaded, cell))
        return cell

    def _on_loaded(self, cell: Cell, found: asyncio.Future[ActorRow | None]) -> None:
        if (error := found.exception()) is not None:
            self.log.error("look-up failed", exc_info=error)
            self._give_up(cell, StorageUnavailable())
        elif (row := found.result()) is not None:
            self.begin(cell, row)
        else:
            creators = [
                call
                for call, _, _ in cell.held
                if not isinstance(call, WakeActor) and call.resolution == Resolution.GET_OR_CREATE
            ]
            if creators:
                self.begin(cell, self.create_row(cell, creators[0].input))
            else:
                self._give_up(cell, ActorNotFound())

    def _look_up_id(self, shard: Shard, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        waiting = self._looking_up.get(call.key)
        if waiting is not None and len(waiting) >= self.limits.max_held:
            refuse(port, call.id, Overloaded())
            return
        if waiting is not None:
            waiting.append((call, payload, port))
            return
        self._looking_up[call.key] = [(call, payload, port)]
        found = shard.store.find_by_id(call.key)
        found.add_done_callback(partial(self._on_id_found, shard, call.key))

    def _on_id_found(
        self, shard: Shard, actor_id: str, found: asyncio.Future[ActorRow | None]
    ) -> None:
        waiting = self._looking_up.pop(actor_id)
        problem: Exception = ActorNotFound()
        row = None
        if (error := found.exception()) is not None:
            self.log.error("look-up failed", exc_info=error)
            problem = StorageUnavailable()
        else:
            row = found.result()
        cell = None if row is None else self._cell_of(shard, row)
        for call, payload, port in waiting:
            if cell is None:
                refuse(port, call.id, problem if row is None else _not_configured(row.name))
            else:
                self._deliver_held(cell, call, payload, port)

    def _deliver_held(self, cell: Cell, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        """Deliver a request that waited: the actor of its id may have a successor by now."""
        is_by_id = call.resolution == Resolution.BY_ID
        if is_by_id and cell.status is not Status.LOADING and cell.row.actor_id != call.key:
            refuse(port, call.id, ActorNotFound())
        else:
            self._deliver(cell, call, payload, port)

    def _cell_of(self, shard: Shard, row: ActorRow) -> Cell | None:
        """Return the cell of a stored actor, starting it unless someone else just did."""
        if (cell := shard.by_id.get(row.actor_id)) is not None:
            return cell
        identity = (row.namespace, row.name, row.key)
        if (cell := shard.by_identity.get(identity)) is not None:
            return cell
        definition = self.registry.get(row.name)
        if definition is None:
            return None
        cell = Cell(shard, definition, identity)
        shard.add(cell)
        self.begin(cell, row)
        return cell

    def create_row(self, cell: Cell, given: bytes | None) -> ActorRow:
        """Put the row of a new actor into the batch and return it."""
        shard, (namespace, name, key) = cell.shard, cell.identity
        now_ms = self.clock.now_ms()
        actor_id = make_actor_id(shard.number, now_ms, os.urandom(RANDOM_BYTES))
        pk = shard.take_pk()
        shard.write(InsertActor(pk, actor_id, namespace, name, key, now_ms, given), cell)
        self.counters[Counter.ACTORS_CREATED] += 1
        return ActorRow(pk, actor_id, namespace, name, key, now_ms, 0, None, given, None)

    def begin(self, cell: Cell, row: ActorRow) -> None:
        """Start an actor whose row is known."""
        cell.row = row
        cell.shard.by_id[row.actor_id] = cell
        cell.become(Status.STARTING)
        failure = self.start_failures.blocks(row.actor_id)
        if failure is not None:
            self._give_up(cell, failure.error)
        elif takes_time(cell):
            self.spawn(self._start_with_hooks(cell))
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
        self.start_failures.forget(cell.row.actor_id)
        self._idle_watch.watch(cell)
        for connection in connections_of(cell):
            if connection.kind is ConnectionKind.RAW:
                serve_raw(connection, restored=True)
            self._gateways.settle(connection)
        if "run" in cell.definition.hooks:
            cell.run_loop = RunLoop(cell)
            cell.run_loop.start()
        if overdue:
            cell.schedule_book.dispatch(overdue)
        for call, payload, port in cell.take_held():
            self._deliver_held(cell, call, payload, port)
        if cell.wants_sleep:
            cell.sleep()

    def _fail_start(self, cell: Cell, error: BaseException) -> None:
        cell.log.error("actor did not start", exc_info=error)
        self.start_failures.note(cell.row.actor_id, error)
        if cell.database is not None:
            self.spawn(cell.database.close(0.0))
        if cell.batch is None:
            self._give_up(cell, error)
        else:
            self.spawn(self._give_up_once_stored(cell, error))

    async def _give_up_once_stored(self, cell: Cell, error: BaseException) -> None:
        """Give up when its row is on disk, where the next start must find it, or lost."""
        with suppress(StorageUnavailable):
            await cell.wait_committed()
        if cell.status is Status.STARTING:
            self._give_up(cell, error)

    def _give_up(self, cell: Cell, error: BaseException) -> None:
        """Drop an actor that cannot serve and tell those who wait for it."""
        cell.shard.remove(cell)
        for connection in connections_of(cell):
            connection.detach()
        for call, _, port in cell.take_held():
            refuse(port, call.id, error)

    # -- leaving memory

    def make_client(self, cell: Cell) -> ActorClient:
        """Return the client of one actor."""
        return ActorClient(WorkerTransport(self, cell, self._route))

    def begin_destroy(self, cell: Cell) -> None:
        """Destroy an actor in the background; its row is marked already."""
        self.spawn(self._leave(cell, stopping.destroy(cell)))

    def destroy_stored(self, shard: Shard, row: ActorRow) -> Cell | None:
        """Destroy an actor that is not in memory, without starting it (semantics page, 2.8).

        Its key is taken until that is durable. ``None`` if the registry does not know the actor:
        then nobody can start it meanwhile.
        """
        definition = self.registry.get(row.name)
        if definition is None:
            shard.write(DeleteActor(row.pk))
            return None
        cell = Cell(shard, definition, (row.namespace, row.name, row.key))
        shard.add(cell)
        cell.row = row
        shard.by_id[row.actor_id] = cell
        cell.become(Status.DELETED)
        shard.write(DeleteActor(row.pk), cell)
        self._gateways.close_stored(row.connections)
        self.spawn(self._leave(cell, cell.wait_committed()))
        return cell

    def begin_sleep(self, cell: Cell) -> None:
        """Put an actor to sleep in the background."""
        self.spawn(self._leave(cell, stopping.sleep(cell)))

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
        for call, payload, port in held:
            self._accept_call(call, payload, port)

    async def drain(self) -> None:
        """Stop all actors in an orderly way; returns when all they did is durable."""
        self._draining = True
        cells = [
            cell
            for shard in self.shards.values()
            for cell in shard.by_identity.values()
            if cell.status is Status.READY
        ]
        with_work = [cell for cell in cells if stopping.has_something_to_end(cell)]
        await asyncio.gather(*map(stopping.drain, with_work))
        for cell in cells:
            if cell not in with_work:
                cell.shard.capture_quietly(cell)
        for shard in self.shards.values():
            shard.save_deferred()
        await asyncio.gather(
            *(shard.wait_durable() for shard in self.shards.values()), return_exceptions=True
        )
        for cell in with_work:
            suspend_connections(cell)

    def open_database(self, cell: Cell) -> CellDatabase:
        """Return the database of an actor whose class declares one; opens no file yet."""
        if self.databases is None:
            raise DatabaseNotConfigured
        declaration = cell.definition.database
        assert declaration is not None
        number, actor_id = cell.shard.number, cell.row.actor_id
        return self.databases.of(number, actor_id, declaration, cell.log)

    async def delete_database(self, cell: Cell) -> None:
        """Delete the file of an actor that is destroyed."""
        if self.databases is not None:
            await self.databases.delete(cell.shard.number, cell.row.actor_id)

    def discard(self, cell: Cell) -> None:
        """Cut off what an actor whose changes were lost still does."""
        self.spawn(stopping.cut_off_evicted(cell))

    def pulse_of(self, definition: ActorDefinition) -> Pulse:
        """Return what captures the changes of long work of a class."""
        seconds = definition.settings.state_save_interval
        pulse = self._pulses.get(seconds)
        if pulse is None:
            pulse = self._pulses[seconds] = Pulse(self.clock, seconds)
        return pulse

    def sleep_longest_idle(self, count: int) -> int:
        """Put up to ``count`` idle actors to sleep; return how many."""
        cells = (cell for shard in self.shards.values() for cell in shard.by_id.values())
        return sleep_longest_idle(cells, count)

    def close(self) -> None:
        """Close the stores; blocks until their last commit is done."""
        self._idle_watch.close()
        for pulse in self._pulses.values():
            pulse.close()
        for shard in self.shards.values():
            shard.store.close()
        if self.databases is not None:
            self.databases.close()

    def spawn(self, work: Any) -> None:
        """Run a coroutine in the background; what it raises is logged."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._on_background_done)

    def _on_background_done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("background work failed", exc_info=error)


def _not_configured(name: str) -> ActorNotConfigured:
    return ActorNotConfigured(f"the registry of this service has no actor named '{name}'")
