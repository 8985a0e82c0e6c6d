"""What a shard needs of the worker around it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from stator.runtime.clock import Clock
from stator.runtime.definition import ActorDefinition
from stator.runtime.handles import ActorClient
from stator.runtime.link.channel import Backlog

if TYPE_CHECKING:
    from .actions import ActionRunner
    from .cell import Cell
    from .connections import Connection
    from .generations import Generations
    from .pulse import Pulse
    from .workflows.threads import StepThreads


class Limits:
    """The limits a worker applies itself; the gateway applies the others before."""

    def __init__(
        self,
        *,
        max_response_bytes: int = 1 << 20,
        max_held: int = 10_000,
        max_websocket_message_bytes: int = 32 << 20,
    ) -> None:
        self.max_response_bytes = max_response_bytes
        self.max_held = max_held
        self.max_websocket_message_bytes = max_websocket_message_bytes


class Surroundings(Protocol):
    """What a shard needs of its worker."""

    counters: list[int]
    backlog: Backlog
    runner: ActionRunner
    limits: Limits
    clock: Clock
    generations: Generations
    step_threads: StepThreads

    def make_client(self, cell: Cell) -> ActorClient: ...
    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]: ...
    def find_gateway(self, connection: Connection) -> None: ...
    def pulse_of(self, definition: ActorDefinition) -> Pulse: ...
