"""Who gets which message: what an actor has in store, who waits for it, and who has what.

Rule 1. Who comes first is served first. A message that becomes available is offered to the
        receives that wait, in their order, within the same turn.
Rule 2. A message that is taken to be completed is in flight: it stays stored and counts, and
        belongs to its owner until that removes it or gives it back.
Rule 3. What a workflow took before the actor left memory is its own again as soon as the messages
        are loaded, before anybody can take one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from stator.runtime.storage import MessageRow

from .receivers import Receiver, Receivers
from .storage import QueueStorage

if TYPE_CHECKING:
    from ..cell import Cell


class Distribution:
    """The messages of one actor and everybody who receives from them."""

    __slots__ = ("_in_flight", "_promised", "_receivers", "storage")

    def __init__(self, cell: Cell) -> None:
        self.storage = QueueStorage(cell)
        self._receivers = Receivers(cell)
        self._in_flight: dict[object, set[int]] = {}
        """What was taken to be completed, by who has it."""
        self._promised: tuple[tuple[object, set[int]], ...] = ()
        """What is in flight as soon as it is loaded, and for whom (rule 3)."""

    async def load(self) -> None:
        """Load what is stored, once. Raises ``storage.unavailable``."""
        await self.storage.load()
        promised, self._promised = self._promised, ()
        for owner, ids in promised:
            self.hold(owner, ids)

    def put(self, name: str, body: bytes) -> MessageRow:
        """Store an encoded message and offer it to who waits.

        Raises ``queue.message_too_large``, ``queue.full`` and ``storage.unavailable``.
        """
        row = self.storage.insert(name, body)
        self._serve()
        return row

    # -- taking

    def is_available(self, names: tuple[str, ...] | None) -> bool:
        """Whether :meth:`take` would find a message of these queues."""
        return self.storage.messages.is_available(names)

    def has_in_flight(self, owner: object) -> bool:
        """Whether somebody has a message that is to be completed."""
        return owner in self._in_flight

    def take(self, receiver: Receiver) -> list[MessageRow]:
        """Take what is there for ``receiver``; perhaps nothing."""
        messages = self.storage.messages
        rows = messages.take(receiver.names, receiver.count)
        if not receiver.is_completable:
            for row in rows:
                messages.forget(row.id)
        elif rows:
            self._in_flight.setdefault(receiver.owner, set()).update(row.id for row in rows)
        return rows

    async def wait(self, receiver: Receiver, seconds: float | None = None) -> list[MessageRow]:
        """Wait as :meth:`.receivers.Receivers.wait` does; cut off, what it was given goes back."""
        try:
            return await self._receivers.wait(receiver, seconds)
        except BaseException:
            self.put_back(receiver, receiver.taken())
            raise

    def hold(self, owner: object, ids: Iterable[int]) -> set[int]:
        """Take stored messages by their ids; return those of them that are there to be taken.

        Before :meth:`load` that is not known: all of them, and those that are not there are
        passed over when they are loaded.
        """
        wanted = set(ids)
        if not self.storage.is_loaded:
            self._promised += ((owner, wanted),)
            return wanted
        held = {each for each in wanted if self.storage.messages.take_one(each)}
        if held:
            self._in_flight.setdefault(owner, set()).update(held)
        return held

    # -- what becomes of it

    def put_back(self, receiver: Receiver, rows: Iterable[MessageRow]) -> None:
        """Make what a receiver took available again, each message in its old place."""
        if receiver.is_completable:
            self.give_back(receiver.owner, rows)
            return
        for row in rows:
            self.storage.messages.add(row)
        self._serve()

    def give_back(self, owner: object, rows: Iterable[MessageRow]) -> None:
        """Make available what ``owner`` has in flight; what it has no longer is left alone."""
        for row in rows:
            if row.id in self._in_flight.get(owner, ()):
                self._land(row.id)
                self.storage.messages.put_back(row.id)
        self._serve()

    def release(self, owner: object) -> None:
        """Make available everything that ``owner`` has in flight."""
        ids = self._in_flight.pop(owner, None)
        if ids is not None:
            for message_id in ids:
                self.storage.messages.put_back(message_id)
            self._serve()

    def remove(self, rows: list[MessageRow]) -> None:
        """Remove messages in flight, in the batch that collects. Raises ``storage.unavailable``."""
        self.storage.remove(rows)
        for row in rows:
            self.storage.messages.forget(row.id)
            self._land(row.id)

    def abort(self) -> None:
        """End the waits that a stop ends."""
        self._receivers.abort()

    def _land(self, message_id: int) -> None:
        """Note that a message is in flight no longer."""
        for owner, ids in self._in_flight.items():
            if message_id in ids:
                ids.remove(message_id)
                if not ids:
                    del self._in_flight[owner]
                return

    def _serve(self) -> None:
        """Offer what is available to the receives that wait (rule 1)."""
        if not self.storage.messages.has_available:
            return
        for receiver in self._receivers.waiting():
            if receiver.looks_only:
                if self.is_available(receiver.names):
                    self._receivers.give(receiver, [])
            elif rows := self.take(receiver):
                self._receivers.give(receiver, rows)
