"""The stage on which a history is played: a host that stores nothing and runs nothing.

What the code of a workflow is given there is its actor without a service: it has an id, a name, a
key and a logger, and no state, since no hook and no step is run.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NoReturn

from stator.runtime.actor import Actor
from stator.runtime.definition import ActorDefinition
from stator.runtime.keys import Key
from stator.runtime.log import Logger, get_logger
from stator.runtime.storage import MessageRow
from stator.runtime.workflow.entries import Entry, Run
from stator.runtime.workflow.guard import BODY
from stator.shards.queues.messages import read_body, wanted_names


class Lodging:
    """What an actor on the stage lives in; of ``runtime.actor.Host`` only what does nothing."""

    region = ""
    aborted = False

    def __init__(self, actor_id: str, name: str, key: Key) -> None:
        self.actor_id = actor_id
        self.name = name
        self.key = key
        self.abort_signal = asyncio.Event()
        self.log = get_logger("stator.testing").bind(actor=name, key=key, actor_id=actor_id)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"`self.{name}` is not there in a replay: it belongs into a step")

    def sleep(self) -> None:
        """Do nothing."""

    def destroy(self) -> None:
        """Do nothing."""

    def wait_until(self, awaitable: Awaitable[Any]) -> None:
        """Run nothing."""
        _drop(awaitable)

    def keep_awake(self, awaitable: Awaitable[Any]) -> asyncio.Future[Any]:
        """Run nothing; what it returns is never done."""
        _drop(awaitable)
        return asyncio.get_running_loop().create_future()


class Player:
    """On whose behalf the code runs: its actor may be used as in the body of a workflow."""

    conn = None
    request = None
    workflow_scope = BODY

    def __init__(self, actor: Actor) -> None:
        self.actor = actor


class StandingClock:
    """Time that stands, at the last thing that happened; implements ``runtime.clock.Clock``."""

    may_be_set = False

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return Unix ms."""
        return self._now_ms

    def time(self) -> float:
        """Return the same, in seconds."""
        return self._now_ms / 1000

    def call_later(self, seconds: float, callback: Callable[..., None], *args: Any) -> _NoTimer:
        """Never call."""
        return _NoTimer()


class _NoTimer:
    def cancel(self) -> None:
        """Do nothing."""


class Received:
    """The messages of a history; implements ``runtime.workflow.host.Inbox``."""

    def __init__(self, definition: ActorDefinition) -> None:
        self._queues = definition.queues

    async def load(self) -> None:
        """Load nothing."""

    def take(self, names: tuple[str, ...] | None, count: int, *, ack: bool) -> list[MessageRow]:
        """Not reached: nothing new is received."""
        raise _nothing_runs()

    async def wait(
        self, names: tuple[str, ...] | None, count: int, *, ack: bool
    ) -> list[MessageRow]:
        """Not reached."""
        raise _nothing_runs()

    def complete(self, row: MessageRow, reply: Any) -> None:
        """Not reached."""
        raise _nothing_runs()

    def remove(self, rows: Iterable[MessageRow]) -> None:
        """Remove nothing."""

    def put_back(self, rows: Iterable[MessageRow]) -> None:
        """Put nothing back."""

    def hold(self, ids: Iterable[int]) -> set[int]:
        """Return all of them: they are there as far as history goes."""
        return set(ids)

    def names_of(self, queues: Sequence[Any]) -> tuple[str, ...] | None:
        """Return the wire names of declarations or names."""
        return wanted_names(tuple(self._queues), queues)

    def read_body(self, row: MessageRow) -> Any:
        """Return the body as its queue declares it now. Raises ``actor.validation_error``."""
        return read_body(self._queues.get(row.name), row)


class Stage:
    """Implements ``runtime.workflow.host.Host``."""

    def __init__(
        self, definition: ActorDefinition, actor_id: str, key: Key, clock: StandingClock
    ) -> None:
        lodging: Any = Lodging(actor_id, definition.name, key)
        self.actor_id = actor_id
        self.actor: Actor = object.__new__(definition.cls)
        self.actor._host = lodging  # pyright: ignore[reportPrivateUsage] - as the worker does
        self.actor.__init__()
        self.log: Logger = lodging.log
        self.clock = clock
        self.inbox = Received(definition)

    def put(self, *entries: Entry) -> None:
        """Store nothing."""

    def remove(self, entries: Iterable[Entry]) -> None:
        """Remove nothing."""

    def put_run(self, run: Run) -> None:
        """Store nothing."""

    def forget_checkpoint(self, entry: Entry) -> None:
        """Do nothing."""

    async def committed(self) -> None:
        """Wait for nothing."""

    def set_busy(self, busy: bool) -> None:
        """Do nothing."""

    def begin(self, function: Callable[[], Any], scope: object, *, in_thread: bool) -> NoReturn:
        """Not reached: no body is run."""
        raise _nothing_runs()

    def draft(self) -> NoReturn:
        """Not reached."""
        raise _nothing_runs()

    async def open_transaction(self, seconds: float | None) -> None:
        """Not reached."""
        raise _nothing_runs()


def _drop(awaitable: Awaitable[Any]) -> None:
    if inspect.iscoroutine(awaitable):
        awaitable.close()


def _nothing_runs() -> AssertionError:
    return AssertionError("a replay does nothing new")
