"""Waiting for time, and for somebody outside: ``wf.sleep`` and ``wf.promise``."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import datetime
from typing import Any

from ..workflow_errors import AlreadyResolved, EntryNotFound
from . import keys
from .entries import Entry, EntryStatus, Kind
from .history import History
from .strand import CURRENT, Strand

_EARLY = "="
"""Before the key of a promise that was resolved before it was asked for; no name begins so."""


async def sleep_until(strand: Strand, name: str, due_ms: int) -> None:
    """Wait until an instant, that of the first time it was asked for (workflow page, 4.4)."""
    with strand.doing(name) as key:
        entry = await strand.ask(key, Kind.SLEEP)
        if entry is None:
            entry = strand.make(key, Kind.SLEEP, EntryStatus.WAITING, due_ms=due_ms)
            strand.run.host.put(entry)
        if entry.status is EntryStatus.COMPLETED:
            return
        try:
            strand.check_live(key, Kind.SLEEP)
            await strand.wait(asyncio.get_running_loop().create_future(), entry.due_ms)
        except asyncio.CancelledError:
            strand.cut_off(entry)
            raise
        strand.close(entry, EntryStatus.COMPLETED)


def due_after(strand: Strand, seconds: float) -> int:
    """Return the instant so many seconds from now."""
    return strand.run.host.clock.now_ms() + max(0, round(seconds * 1000))


def instant_of(when: float | datetime) -> int:
    """Return Unix ms of Unix seconds or an aware ``datetime``. Raises ``ValueError``."""
    if not isinstance(when, datetime):
        return round(when * 1000)
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone: say which")
    return round(when.timestamp() * 1000)


class Promise:
    """A value that somebody outside gives: ``value = await wf.promise("approved")``.

    It is resolved by ``resolve(promise, value)`` of ``handle.workflow`` or ``self.workflow``, with
    its :attr:`id` or, while no other promise has the same, its name. One that is resolved before
    the workflow asks for it has its value at once.
    """

    def __init__(self, strand: Strand, name: str) -> None:
        self._run = strand.run
        with strand.doing(name) as key:
            entry = strand.ask_now(key, Kind.PROMISE)
            if entry is None:
                entry = strand.make(key, Kind.PROMISE, EntryStatus.WAITING)
                early = _take_early(self._run.history, key)
                if early is not None:
                    entry.output = early.output
                    self._run.host.remove([early])
                    strand.close(entry, EntryStatus.COMPLETED)
                else:
                    self._run.host.put(entry)
        self._entry = entry
        self._awaited: dict[str, int] = {}
        """How often each strand has awaited it."""

    @property
    def id(self) -> str:
        """What it is resolved by: its key in the history."""
        return self._entry.key

    @property
    def is_resolved(self) -> bool:
        """Whether it has its value."""
        return self._entry.status is EntryStatus.COMPLETED

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._value().__await__()

    async def _value(self) -> Any:
        strand = CURRENT.get()
        assert strand is not None, "a promise is awaited in the code of its workflow"
        entry = self._entry
        number = self._awaited.get(strand.key, 0)
        self._awaited[strand.key] = number + 1
        if [strand.key, number] in [each[:2] for each in entry.detail or ()]:
            raise asyncio.CancelledError  # its value came after this had been cut off
        if entry.status is not EntryStatus.COMPLETED:
            with strand.doing("awaiting " + keys.last_name(entry.key)):
                strand.check_live(entry.key, Kind.PROMISE)
                await self._resolved(strand, number)
        strand.see(entry)
        return strand.read(entry.output)

    async def _resolved(self, strand: Strand, number: int) -> None:
        entry = self._entry
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = self._run.promises.setdefault(entry.key, [])
        waiting.append(future)
        try:
            await strand.wait(future)
        except asyncio.CancelledError:
            if strand.scope.is_dead and not self._run.is_suspended:
                cut_off = [strand.key, number, strand.scope.key]
                entry.detail = [*(entry.detail or ()), cut_off]
                self._run.host.put(entry)
            raise
        finally:
            waiting.remove(future)


def resolve_promise(strand: Strand, history: History, name: str, image: bytes | None) -> None:
    """Give a promise its value.

    ``name`` is a key, or the name of the only promise that waits under it. Before any promise of
    that name was asked for, the value is kept for the first that will be. Raises
    ``workflow.already_resolved`` and, if several wait, ``workflow.entry_not_found``.
    """
    known = _promises_of(history, name)
    waiting = [entry for entry in known if entry.status is EntryStatus.WAITING]
    if len(waiting) > 1:
        raise EntryNotFound(
            f"{len(waiting)} promises wait under the name '{name}': resolve one by its id",
            metadata={"ids": [entry.key for entry in waiting]},
        )
    if not waiting:
        if known or history.get(_EARLY + name) is not None:
            raise AlreadyResolved(f"the promise '{keys.show(name)}' has its value already")
        early = strand.make(_EARLY + name, Kind.RESOLUTION, EntryStatus.COMPLETED, output=image)
        strand.run.host.put(early)
        return
    (entry,) = waiting
    entry.output, entry.status = image, EntryStatus.COMPLETED
    entry.finished_ms = strand.run.host.clock.now_ms()  # which no strand has seen yet
    strand.run.host.put(entry)
    for future in strand.run.promises.get(entry.key, ()):
        if not future.done():
            future.set_result(None)


def _promises_of(history: History, name: str) -> list[Entry]:
    """Return the promise with that key or, without it, all with that name."""
    exact = history.get(name)
    if exact is not None and exact.kind is Kind.PROMISE:
        return [exact]
    return [
        entry
        for entry in history
        if entry.kind is Kind.PROMISE and keys.show(keys.last_name(entry.key)) == name
    ]


def _take_early(history: History, key: str) -> Entry | None:
    for name in (key, keys.show(keys.last_name(key))):
        early = history.get(_EARLY + name)
        if early is not None:
            history.discard(early)
            return early
    return None
