"""The engine of a worker: takes requests from links and from its own actors, finds the actor.

The way of a call: :meth:`Engine.accept` finds the actor's cell in its shard; a ready one runs the
action at once (``actions.py``), one that is not in memory is looked up or created and started
first (``starting.py``) while its requests wait in the cell.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from stator.runtime.clock import Clock
from stator.runtime.control import Counter
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
    ControlWorkflow,
    GivenBack,
    OpenConnection,
    Publish,
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
    InsertActor,
    ShardStorage,
)

from .actions import ActionRunner
from .batch import ReplyPort
from .calls import SingleCall
from .cell import Cell, Held, Identity
from .clock import SystemClock
from .control_api import ControlApi
from .exchanges import open_exchange
from .gateway_link import GatewayLink
from .gateways import Gateways
from .generations import Generations
from .lifecycle import HOLDS_REQUESTS, Status
from .local_calls import LocalCaller, Route, WorkerTransport
from .opening import open_connection
from .pulse import Pulse
from .queues.publications import Publication
from .refusals import refuse
from .shard import Limits, Shard
from .workflows.control import serve_control
from .workflows.looks import Looks
from .workflows.threads import StepThreads

if TYPE_CHECKING:
    from .databases import Databases


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
        self.step_threads = StepThreads()
        self.runner = ActionRunner(
            self.counters,
            self.clock,
            max_message_bytes=self.limits.max_response_bytes,
            expose=expose_errors,
        )
        self._pulses: dict[float, Pulse] = {}
        self._gateways = Gateways()
        self.find_gateway = self._gateways.find
        self.greet = self._gateways.greet
        self.miss = self._gateways.miss
        self._background: set[asyncio.Task[None]] = set()
        self.shards: dict[int, Shard] = {}
        self.generations = Generations(self, self._gateways, databases)
        self.shards |= {
            number: Shard(number, store, self, log, commit_interval=commit_interval)
            for number, store in stores.items()
        }
        self.log = log
        self._route = route
        self._control = ControlApi(self)
        self._looks = Looks(registry, log, self._bring)
        self._looking_up: dict[str, list[Held]] = {}
        self._draining = self._has_successor = False
        for shard in self.shards.values():
            shard.alarm.open()

    # -- requests

    def accept(self, request: Request, payload: bytes, port: ReplyPort) -> None:
        """Take one request; exactly one reply goes to ``port``."""
        if isinstance(request, ToActor):
            self.accept_call(request, payload, port)
        else:
            self.spawn(self._control.serve(request, port))

    def accept_call(self, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        """Take a request of an actor, which may not be in memory."""
        shard = self.shards.get(call.shard)
        if shard is None:
            refuse(port, call.id, ShardUnavailable())
            return
        if self._leaves(port):
            self._turn_away(call, payload, port)
            return
        if call.resolution is Resolution.BY_ID:
            cell = shard.by_id.get(call.key)
        else:
            cell = shard.by_identity.get((call.namespace, call.name, call.key))
        if cell is not None:
            self._deliver(cell, call, payload, port)
        elif isinstance(call, ControlWorkflow):
            self.spawn(self._looks.serve(shard, call, payload, port))
        else:
            self._bring(shard, call, payload, port)

    def _deliver(self, cell: Cell, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        if cell.status is Status.READY:
            self._serve(cell, call, payload, port)
        elif cell.status not in HOLDS_REQUESTS:
            refuse(port, call.id, ActorStopping())
        elif len(cell.held) >= self.limits.max_held:
            refuse(port, call.id, _overloaded(call, self.limits.max_held))
        else:
            cell.hold(call, payload, port)

    def _serve(self, cell: Cell, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        if isinstance(call, Call):
            SingleCall(cell, call, payload, port).start()
        elif isinstance(call, Publish):
            Publication(cell, call, payload, port).start()
        elif isinstance(call, WakeActor):
            port.send(Result(call.id))  # it is awake: that was all
        elif isinstance(call, ControlWorkflow):
            serve_control(cell, call, payload, port, self.accept_call)
        elif not isinstance(port, GatewayLink):
            raise TypeError("only a gateway has clients that open connections")
        elif isinstance(call, OpenConnection):
            open_connection(cell, call, payload, port)
        else:
            open_exchange(cell, call, port)

    # -- bringing actors into memory

    def _bring(self, shard: Shard, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        """Take a request of an actor that has to be brought into memory for it."""
        if self._leaves(port):  # since a look was begun
            self._turn_away(call, payload, port)
            return
        if call.resolution is Resolution.BY_ID:
            self._look_up_id(shard, call, payload, port)
            return
        identity = (call.namespace, call.name, call.key)
        cell = shard.by_identity.get(identity) or self._load(shard, identity)
        if cell is None:
            refuse(port, call.id, _not_configured(call.name))
        else:
            self._deliver(cell, call, payload, port)

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
            self.generations.give_up(cell, StorageUnavailable())
        elif (row := found.result()) is not None:
            self.generations.begin(cell, row)
        else:
            creators = [
                call
                for call, _, _ in cell.held
                if not isinstance(call, WakeActor) and call.resolution == Resolution.GET_OR_CREATE
            ]
            if creators:
                self.generations.begin(cell, self.create_row(cell, creators[0].input))
            else:
                self.generations.give_up(cell, ActorNotFound())

    def _look_up_id(self, shard: Shard, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        waiting = self._looking_up.get(call.key)
        if waiting is not None and len(waiting) >= self.limits.max_held:
            refuse(port, call.id, _overloaded(call, self.limits.max_held))
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
                self.deliver_held(cell, call, payload, port)

    def deliver_held(self, cell: Cell, call: ToActor, payload: bytes, port: ReplyPort) -> None:
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
        self.generations.begin(cell, row)
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

    # -- what shards and actors need of their worker

    def make_client(self, cell: Cell) -> ActorClient:
        """Return the client of one actor."""
        return ActorClient(WorkerTransport(self, cell, self._route))

    def pulse_of(self, definition: ActorDefinition) -> Pulse:
        """Return what captures the changes of long work of a class."""
        seconds = definition.settings.state_save_interval
        pulse = self._pulses.get(seconds)
        if pulse is None:
            pulse = self._pulses[seconds] = Pulse(self.clock, seconds)
        return pulse

    def _leaves(self, port: ReplyPort) -> bool:
        """Whether requests that come by ``port`` are taken no more.

        Actors that finish their work may still call one another.
        """
        return self._draining and not isinstance(port, LocalCaller)

    def _turn_away(self, call: ToActor, payload: bytes, port: ReplyPort) -> None:
        """Leave a request that was not begun to this worker's successor, if there is one.

        Who opens a connection or wakes an actor asks again when the link ends.
        """
        if not self._has_successor or not isinstance(port, GatewayLink):
            refuse(port, call.id, ServiceUnavailable())
        elif isinstance(call, GivenBack):
            port.send(call, payload)

    async def drain(self, *, has_successor: bool = False) -> None:
        """Stop all actors in an orderly way; returns when all they did is durable."""
        self._draining = True
        self._has_successor = has_successor
        for shard in self.shards.values():
            shard.alarm.close()
        await self.generations.drain(self.shards.values())

    def abandon(self) -> None:
        """Cut off everything that is under way, as the end of the process would."""
        for task in self._background:
            task.cancel()
        for shard in self.shards.values():
            for cell in [*shard.by_identity.values()]:
                shard.remove(cell)
                cell.abort()
                for action in cell.calls.values():
                    action.cancel()
                self.generations.discard(cell)
        for action in self.runner.late:
            action.cancel()

    def close(self) -> None:
        """Close the stores; blocks until their last commit is done."""
        self.generations.close()
        self.step_threads.close()
        for pulse in self._pulses.values():
            pulse.close()
        for shard in self.shards.values():
            shard.alarm.close()
            shard.store.close()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine in the background; what it raises is logged."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._on_background_done)
        return task

    def _on_background_done(self, task: asyncio.Task[None]) -> None:
        self._background.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("background work failed", exc_info=error)


def _not_configured(name: str) -> ActorNotConfigured:
    return ActorNotConfigured(f"the registry of this service has no actor named '{name}'")


def _overloaded(call: ToActor, capacity: int) -> Overloaded:
    """Return the refusal of a request that too many wait before.

    Clients repeat a message for a queue if the metadata says so (client-protocol, 9.4).
    """
    if not isinstance(call, Publish):
        return Overloaded()
    operation = {"channel": "dispatch_inbox", "operation": "dispatch_queue_send"}
    return Overloaded(metadata={**operation, "capacity": capacity})
