"""Who sends messages to a generated program, and resolves its promises: each of them once.

Rule 1. One after the other, each not before its time, in the order in which the program asks.
Rule 2. Whether a message was taken when nobody answered is looked up on the disk: what was not is
        sent again.
Rule 3. A reply is checked as it comes: its message is no longer on the disk.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from stator.runtime.exact_form import encode_exact
from stator.runtime.keys import serialize_key
from stator.runtime.link.frames import (
    Answer,
    ControlWorkflow,
    Publish,
    Refusal,
    Resolution,
    Result,
)
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    decode_queue_response,
    encode_queue_request,
)
from stator.runtime.workflow_control import Verb, VerbArguments
from tests.fakes.workflow_nodes import Await, Receive

if TYPE_CHECKING:
    from tests.fakes.workflow_world import Life, World

NAME = "player"
IDS = itertools.count(1_000_000)


@dataclass
class Event:
    """A message or a resolution."""

    due: float
    """Seconds after the begin."""
    place: str
    """The queue or the key of the promise."""
    value: str
    is_message: bool
    wants_reply: bool
    state: str = "pending"
    """``pending``, ``sent`` (nobody knows more), ``done``."""


class Senders:
    """All that comes from outside."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.replies: dict[str, Any] = {}
        self.complaints: list[str] = []
        self.events: list[Event] = []
        self._is_created = False
        """Whether somebody asks for the actor, or did."""
        self._is_sure = False
        """Whether that was answered."""
        self._again = 0.0
        """Not before this time, by the clock."""
        for node, place in world.program.all():
            due = world.program.interval * len(self.events)
            if isinstance(node, Receive):
                value = f"message {len(self.events)}"
                event = Event(due, place.queue, value, True, node.mode in ("complete", "auto"))
            elif isinstance(node, Await):
                event = Event(due, place.key, f"value of {place.key}", False, False)
            else:
                continue
            self.events.append(event)

    def __str__(self) -> str:
        return "\n".join(map(str, self.events))

    @property
    def next_due(self) -> int | None:
        """The tick at which there is something to do."""
        open_events = [event for event in self.events if not self._is_over(event)]
        if not open_events or open_events[0].state == "sent":
            return None
        clock = self._world.life.clock
        at = max(open_events[0].due, self._again)
        return max(clock.ticks, clock.after(at - clock.time()))

    @property
    def are_done(self) -> bool:
        """Whether all messages are on the disk, or were."""
        return all(self._is_stored(event) for event in self.events if event.is_message)

    def look_again(self) -> None:
        """Find out what became of what was sent: another life has begun."""
        self._is_created = self._is_sure
        for event in self.events:
            if event.state == "sent":
                event.state = "done" if event.is_message and self._is_stored(event) else "pending"

    def act(self) -> bool:
        """Send what is due; whether there was something."""
        if not self._is_created:
            self._is_created = True
            self._create()
            return True
        life = self._world.life
        for event in self.events:
            if event.state == "sent" and not self._is_over(event):
                return False  # one after the other
            if event.state == "pending":
                if max(event.due, self._again) > life.clock.time():
                    return False
                self._send(event, life)
                return True
        return False

    def _is_over(self, event: Event) -> bool:
        """Whether nothing is left to do but to hear the reply."""
        is_there = event.state == "sent" and event.is_message and self._is_stored(event)
        return event.state == "done" or is_there

    def _is_stored(self, event: Event) -> bool:
        return event.value in self._world.inserted

    def _create(self) -> None:
        life = self._world.life

        def on_created(outcome: asyncio.Future[Any]) -> None:
            if not life.is_over:
                self._is_sure = not isinstance(outcome.result()[0], Refusal)
                self._is_created = self._is_sure

        life.local.send(NAME, "wake").add_done_callback(on_created)

    def _send(self, event: Event, life: Life) -> None:
        event.state = "sent"
        local, address = life.local, (Resolution.GET_OR_CREATE, "default", NAME, serialize_key(()))
        number = next(IDS)
        if event.is_message:
            request = QueueSendRequest(event.value, None, event.wants_reply, None)
            payload = encode_queue_request(Encoding.NATIVE, 0, request)
            frame: Any = Publish(
                number, 0, *address, event.place, Encoding.NATIVE, "ray", None, None
            )
        else:
            arguments = VerbArguments(event.place, encode_exact(event.value))
            payload = msgspec.msgpack.encode(arguments)
            frame = ControlWorkflow(number, 0, *address, Verb.RESOLVE)
        future = local.port.expect(number)
        future.add_done_callback(lambda outcome: self._on_answer(event, life, *outcome.result()))
        local.engine.accept(frame, payload, local.port)

    def _on_answer(self, event: Event, life: Life, header: Any, payload: bytes) -> None:
        if life.is_over:
            return
        if isinstance(header, Answer) and header.status == 200:
            event.state = "done"
            if event.wants_reply:
                self._take_reply(event, payload)
        elif isinstance(header, Result) or getattr(header, "code", "") == "already_resolved":
            event.state = "done"
        else:
            is_there = event.is_message and self._is_stored(event)
            event.state = "done" if is_there else "pending"
            self._again = life.clock.time() + 1.0

    def _take_reply(self, event: Event, payload: bytes) -> None:
        response = decode_queue_response(Encoding.NATIVE, payload)
        if event.value in self.replies:
            self.complaints.append(f"{event.value} was answered twice")
        if event.value in self._world.stored_messages():
            self.complaints.append(f"{event.value} was answered and is still there")
        self.replies[event.value] = (
            None if response.response is msgspec.UNSET else response.response
        )
