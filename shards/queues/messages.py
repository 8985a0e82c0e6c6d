"""The messages an actor has in store: which are available, in which order, and their bytes.

Rule 1. Messages are taken by id, the lowest among the wanted queues first; one that is put back
        is in its old place.
Rule 2. Available or in flight, a message counts until it is forgotten.
Rule 3. A body is kept as CBOR in which nothing is narrowed, and read again by the type that its
        queue declares. Of a queue without a declaration tuples come back as lists, records as
        dicts, and what CBOR has no form for as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

from stator.runtime.declarations import Queue
from stator.runtime.errors import ValidationFailed
from stator.runtime.protocol.cbor_dialect import NATIVE, READ_NATIVE, decode_cbor, encode_cbor
from stator.runtime.queue_errors import MessageTooLarge, QueueFull
from stator.runtime.signature import convert_value
from stator.runtime.storage import MessageRow, QueueRows

TIMESTAMP_BYTES = 8


class StoredMessages:
    """What an actor has in its queues."""

    __slots__ = ("_available", "_order", "_rows", "last_id", "recorded_id")

    def __init__(self, stored: QueueRows) -> None:
        self._rows: dict[int, MessageRow] = {}
        self._available: set[int] = set()
        self._order: dict[str, list[int]] = {}
        """By queue a heap of ids; some of them may not be available any more."""
        self.last_id = stored.last_id
        """The greatest id ever used, 0 without any."""
        for row in stored.messages:
            self.add(row)
        newest = stored.messages[-1].id if stored.messages else 0
        self.recorded_id = 0 if newest == stored.last_id else stored.last_id
        """Up to here the store knows which ids were used without their messages."""

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, message_id: int) -> bool:
        return message_id in self._rows

    @property
    def has_available(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._available)

    def add(self, row: MessageRow) -> None:
        """Make a message available: a new one, or one that goes back to its place."""
        self._rows[row.id] = row
        self._available.add(row.id)
        heappush(self._order.setdefault(row.name, []), row.id)

    def put_back(self, message_id: int) -> None:
        """Make one that was taken and not forgotten available again."""
        row = self._rows.get(message_id)
        if row is not None and message_id not in self._available:
            self.add(row)

    def take(self, names: Iterable[str] | None, count: int) -> list[MessageRow]:
        """Take up to ``count`` messages of these queues, of all if ``None``; they still count."""
        taken: list[MessageRow] = []
        while len(taken) < count and (first := self._first(names)) is not None:
            name, message_id = first
            heappop(self._order[name])
            self._available.discard(message_id)
            taken.append(self._rows[message_id])
        return taken

    def take_one(self, message_id: int) -> bool:
        """Take a message by its id; ``False`` if it is not available."""
        is_there = message_id in self._available
        self._available.discard(message_id)
        return is_there

    def is_available(self, names: Iterable[str] | None) -> bool:
        """Whether :meth:`take` would find one."""
        return self._first(names) is not None

    def forget(self, message_id: int) -> None:
        """Let a message, taken or not, be there no longer."""
        self._rows.pop(message_id, None)
        self._available.discard(message_id)

    def _first(self, names: Iterable[str] | None) -> tuple[str, int] | None:
        first: tuple[str, int] | None = None
        for name in list(self._order) if names is None else names:
            head = self._head(name)
            if head is not None and (first is None or head < first[1]):
                first = (name, head)
        return first

    def _head(self, name: str) -> int | None:
        order = self._order.get(name)
        if order is None:
            return None
        while order and order[0] not in self._available:
            heappop(order)
        if not order:
            del self._order[name]
            return None
        return order[0]


def check_room(name: str, body: bytes, count: int, *, max_size: int, max_count: int) -> None:
    """Check a new message against the limits: its size first, then how many there are.

    Its size is that of name, body and timestamp. Raises ``queue.message_too_large`` and
    ``queue.full``.
    """
    size = len(name.encode()) + len(body) + TIMESTAMP_BYTES
    if size > max_size:
        raise MessageTooLarge(
            f"the message has {size} bytes, max_queue_message_size allows {max_size}",
            metadata={"size": size, "limit": max_size},
        )
    if count >= max_count:
        raise QueueFull(
            f"{count} messages wait, max_queue_size allows {max_count}",
            metadata={"limit": max_count},
        )


def checked_body(queue: Queue[Any, Any] | None, name: str, body: Any) -> Any:
    """Return a body as its queue declares it. Raises ``actor.validation_error``."""
    expected = Any if queue is None else queue.body_type
    return body if expected is Any else convert_value(body, expected, name)


def checked_reply(queue: Queue[Any, Any] | None, name: str, reply: Any) -> Any:
    """Return a reply as its queue declares it. Raises ``actor.validation_error``.

    ``None`` always passes: it is what a message that is completed without a reply is answered.
    """
    expected = Any if queue is None else queue.reply_type
    if reply is None or expected is Any:
        return reply
    return convert_value(reply, expected, f"reply of {name}")


def encode_body(body: Any, root: str = "body") -> bytes:
    """Encode a body (rule 3). Raises ``actor.output_not_serializable`` naming the path."""
    return encode_cbor(body, NATIVE, root)


def decode_body(data: bytes) -> Any:
    """Return what :func:`encode_body` was given, as far as CBOR tells."""
    return decode_cbor(data, READ_NATIVE)


def read_body(queue: Queue[Any, Any] | None, row: MessageRow) -> Any:
    """Return the body of a stored message. Raises ``actor.validation_error``."""
    try:
        return checked_body(queue, row.name, decode_body(row.body))
    except ValidationFailed as error:
        raise ValidationFailed(
            f"message {row.id} of queue '{row.name}' is not what the queue declares: "
            f"{error.message}",
            metadata=error.metadata,
        ) from error


def wanted_names(
    declared: Sequence[str], queues: Iterable[Queue[Any, Any] | str]
) -> tuple[str, ...] | None:
    """Return the wire names a receive wants, ``None`` for all.

    Without any it wants all declared queues (python-api, section 5); an actor that declares none
    has its messages in undeclared ones, so all.
    """
    named = [queue if isinstance(queue, str) else queue.wire_name for queue in queues]
    return tuple(dict.fromkeys(named or declared)) or None
