"""A client's message for a queue: who may send it, and what the sender is told.

Rule 1. It is a visit of its own, as a single call is (semantics page, section 6.1). For a class
        without connection hooks and a queue without ``can_publish`` it is stored, and its answer
        put behind the commit, within the link's read callback.
Rule 2. One that waits is answered when the message is completed, when its own ``timeout`` is over
        (the message stays) or the actor's ``action_timeout`` is, whatever comes first. It counts
        as a request under way, but holds up no stop.
Rule 3. One that still waits when its actor sleeps is handed to the next generation, which asks
        no hook again and goes on waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from stator.runtime.awaiting import result_of
from stator.runtime.calling import CALLER
from stator.runtime.clock import Timer
from stator.runtime.declarations import Gate
from stator.runtime.errors import (
    ActionTimedOut,
    ActorError,
    ActorStopping,
    Forbidden,
    OutgoingTooLong,
)
from stator.runtime.link.frames import Publish
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    decode_queue_request,
    encode_queue_response,
)

from ..batch import ReplyPort
from ..gateway_link import GatewayLink
from ..hook_budget import Budget
from ..lifecycle import ENDING
from ..passing_visits import PassingVisit
from ..refusals import refuse
from ..visits import admit, dismiss
from .book import book_of
from .messages import checked_body, encode_body

if TYPE_CHECKING:
    from ..cell import Cell, Held

COMPLETED = QueueSendResponse("completed")
TIMED_OUT = QueueSendResponse("timedOut")


class Publication(PassingVisit[Publish]):
    """One message from a client; implements :class:`.waiters.Waiter` while it waits."""

    __slots__ = (
        "_began",
        "_book",
        "_is_counted",
        "_message_id",
        "_timer",
    )

    def __init__(self, cell: Cell, publish: Publish, body: bytes, port: ReplyPort) -> None:
        super().__init__(cell, publish, body, port)
        self._book = book_of(cell)
        self._began = cell.shard.clock.time() - publish.waited_ms / 1000
        self._message_id = publish.stored_id
        """The message it became; 0 before."""
        self._timer: Timer | None = None
        self._is_counted = False
        """Whether the actor is kept awake for it."""

    # -- on its way into the queue

    def start(self) -> None:
        """Store the message, after the connection hooks and ``can_publish`` if there are any."""
        definition = self.cell.definition
        declared = definition.queues.get(self.brought.queue)
        gate = None if declared is None else declared.publish_gate
        is_known = self.brought.stored_id > 0  # it waits at once: the actor may complete it at once
        if not is_known and (gate or definition.is_guarded or not self._book.is_loaded):
            self.cell.spawn(self._start_later(gate))
            return
        try:
            self._take()
        except Exception as error:
            self._fail(error)

    async def _start_later(self, gate: Gate | None) -> None:
        cell = self.cell
        cell.enter()
        try:
            if cell.definition.is_guarded:
                await admit(self)
            if gate is not None:
                await self._ask(gate)
            await self._book.load()
            self._take()
        except BaseException as error:  # user code must not end the worker
            self._fail(error)
        finally:
            cell.leave()

    async def _ask(self, gate: Gate) -> None:
        """Let the queue's gate decide. Raises ``auth.forbidden``, or what is wrong with it."""
        cell = self.cell
        budget = Budget(cell.shard.clock, self._time_left())
        token = CALLER.set(self)
        self.shown_request = self.make_request()
        try:
            async with budget:
                verdict: Any = await result_of(gate(cell.actor, self.conn))
        except TimeoutError as error:
            if not budget.expired():
                raise  # the gate's own
            raise self._over_time() from error
        finally:
            self.shown_request = None
            CALLER.reset(token)
        if verdict is False:
            raise Forbidden(f"can_publish of queue '{self.brought.queue}' says no")
        if verdict is not True:
            raise TypeError(f"can_publish gave {verdict!r}, no bool")
        cell.shard.capture(cell)

    def _take(self) -> None:
        """Store the message and answer, or begin to wait. Raises what is wrong with it."""
        cell, publish = self.cell, self.brought
        if cell.status in ENDING:
            raise ActorStopping
        request, self.version = decode_queue_request(publish.encoding, self.body)
        if not self._message_id:
            declared = cell.definition.queues.get(publish.queue)
            if declared is None:
                cell.log.warning("message for an undeclared queue dropped", queue=publish.queue)
                self._reply(COMPLETED)
                return
            body = encode_body(checked_body(declared, publish.queue, request.body))
            self._message_id = self._book.put(publish.queue, body).id
        if request.wait:
            self._wait(request)
        else:
            self._reply(COMPLETED)

    def _wait(self, request: QueueSendRequest) -> None:
        cell = self.cell
        bound = self._time_left()
        waited = self.brought.waited_ms / 1000
        timeout = None if request.timeout is None else request.timeout / 1000 - waited
        self._book.await_completion(self._message_id, self)
        if timeout is not None and timeout <= bound:
            on_time_over, seconds = self._on_timeout, max(0.0, timeout)
        else:
            on_time_over, seconds = self._on_time_over, bound
        self._timer = cell.shard.clock.call_later(seconds, on_time_over)
        if isinstance(self.port, GatewayLink):
            self.port.publications[self.brought.id] = self
        if not cell.is_aborted:
            self._is_counted = True
            cell.enter()

    # -- while it waits: waiters.Waiter

    def prepare(self, reply: Any) -> bytes:
        """Encode the answer.

        Raises ``actor.output_not_serializable`` and ``message.outgoing_too_long``.
        """
        value = msgspec.UNSET if reply is None else reply
        answer = QueueSendResponse("completed", value)
        data = encode_queue_response(self.brought.encoding, self.version, answer)
        limit = self.cell.runner.max_message_bytes
        if len(data) > limit:
            raise OutgoingTooLong(
                f"the reply has {len(data)} bytes, limits.max_outgoing_message_size allows {limit}"
            )
        return data

    def complete(self, reply: bytes) -> None:
        """Answer the client, behind the commit of the message's removal."""
        self._wait_no_longer()
        self.answer(reply)

    def let_stop(self) -> None:
        """No longer count as a request under way."""
        if self._is_counted:
            self._is_counted = False
            self.cell.leave()

    def hand_over(self, message_id: int) -> Held | None:
        """Return the request with which the next generation goes on waiting (rule 3)."""
        self._wait_no_longer()
        if self.is_admitted:
            dismiss(self)
        waited_ms = round((self.cell.shard.clock.time() - self._began) * 1000)
        publish = msgspec.structs.replace(self.brought, stored_id=message_id, waited_ms=waited_ms)
        return publish, self.body, self.port

    def fail(self, error: BaseException) -> None:
        """Tell the client that the actor will not answer any more."""
        self._wait_no_longer()
        if self.is_admitted:
            dismiss(self)
        refuse(self.port, self.brought.id, error)

    def client_gone(self) -> None:
        """Give up: the client left. Its message stays in the queue."""
        self._wait_no_longer()
        if self.is_admitted:
            dismiss(self)

    def _on_timeout(self) -> None:
        self._wait_no_longer()
        self._reply(TIMED_OUT)

    def _on_time_over(self) -> None:
        self._wait_no_longer()
        self._fail(self._over_time())

    def _wait_no_longer(self) -> None:
        self._book.forget_waiter(self._message_id)
        if isinstance(self.port, GatewayLink):
            self.port.publications.pop(self.brought.id, None)
        if self._timer is not None:
            self._timer.cancel()
        self.let_stop()

    def _time_left(self) -> float:
        elapsed = self.cell.shard.clock.time() - self._began
        return max(0.0, self.cell.definition.settings.action_timeout - elapsed)

    def _over_time(self) -> ActorError:
        seconds = self.cell.definition.settings.action_timeout
        return ActionTimedOut(
            f"the message for {self.brought.queue} was not answered within {seconds:g} s"
        )

    # -- answering: actions.ActionCaller

    def _reply(self, response: QueueSendResponse) -> None:
        self.answer(encode_queue_response(self.brought.encoding, self.version, response))

    def _fail(self, error: BaseException) -> None:
        self.cell.runner.fail(self, f"publish to {self.brought.queue}", error)

    def encode(self, output: object) -> bytes:
        """Encode a reply, as :meth:`prepare` does."""
        return self.prepare(output)
