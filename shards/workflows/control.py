"""What is asked of an actor's workflow from outside, while the actor is in memory.

Rule 1. A verb that changes something counts as work of the actor and is answered once what it did
        is durable. A look does not: who looks again and again keeps nobody awake.
Rule 2. Answers and refusals go behind the actor's changes, as all that it sends.
Rule 3. A look at an actor that left memory meanwhile begins again, with what is stored
        (``looks.py``). Of a verb only its sender can know whether to repeat it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, cast

import msgspec

from stator.runtime.definition import ActorDefinition
from stator.runtime.errors import ActorRestarting, InvalidRequest, OutgoingTooLong
from stator.runtime.link.frame_codec import MAX_FRAME_BYTES
from stator.runtime.link.frames import ControlWorkflow, Result, ToActor, encode_payload
from stator.runtime.storage import WorkflowRows
from stator.runtime.workflow_control import (
    LOOKS,
    HistoryRecord,
    StatusRecord,
    Verb,
    VerbArguments,
)
from stator.runtime.workflow_errors import NoWorkflow

from ..batch import ReplyPort
from ..lifecycle import Status
from ..refusals import refusal_of, refuse

if TYPE_CHECKING:
    from stator.runtime.workflow_handle import WorkflowHandle

    from ..cell import Cell

MAX_ANSWER_BYTES = MAX_FRAME_BYTES - 65_536
"""What fits into a frame, header and all."""

Again = Callable[[ToActor, bytes, ReplyPort], None]
"""Takes a request as if it had just come."""

_decode_arguments = msgspec.msgpack.Decoder(VerbArguments).decode


class ControlledWorkflow(Protocol):
    """A workflow in memory; what changes it returns when that is durable.

    Raises errors of ``runtime/workflow_errors.py`` for what cannot be done as things are.
    """

    async def status(self) -> StatusRecord:
        """Return how far it is."""
        ...

    async def rows(self) -> WorkflowRows:
        """Return all that is stored of it, or is on its way there."""
        ...

    async def cancel(self) -> None:
        """End it and let its undo handlers run."""
        ...

    async def retry(self) -> None:
        """Go on with a run that failed or was cancelled."""
        ...

    async def fork(self, key: str | None) -> None:
        """Begin another run with the history before an entry, ``None`` for one from scratch."""
        ...

    async def resolve(self, key: str, value: bytes) -> None:
        """Give a promise its value, which is an exact form."""
        ...


def has_workflow(definition: ActorDefinition) -> bool:
    """Whether actors of a class have a workflow."""
    return definition.workflow is not None


def workflow_of(cell: Cell) -> ControlledWorkflow | None:
    """Return the workflow of an actor that is ready, if its class has one."""
    return cast(ControlledWorkflow, cell.run_loop) if has_workflow(cell.definition) else None


def read_arguments(frame: ControlWorkflow, payload: bytes) -> tuple[Verb, VerbArguments]:
    """Return what is asked. Raises ``actor.invalid_request``."""
    try:
        verb = Verb(frame.verb)
        arguments = _decode_arguments(payload) if payload else VerbArguments()
    except ValueError as error:  # msgspec's are of this kind too
        raise InvalidRequest(f"this is nothing to ask of a workflow: {error}") from error
    if verb is Verb.RESOLVE and not arguments.key:
        raise InvalidRequest("resolve needs the key of a promise")
    return verb, arguments


def encode_answer(record: object) -> bytes:
    """Return the payload of an answer. Raises ``message.outgoing_too_long``."""
    data = encode_payload(record)
    if len(data) > MAX_ANSWER_BYTES:
        raise OutgoingTooLong(
            f"the history has {len(data)} bytes, more than the {MAX_ANSWER_BYTES} that can be sent"
        )
    return data


def serve_control(
    cell: Cell, frame: ControlWorkflow, payload: bytes, port: ReplyPort, again: Again
) -> None:
    """Answer a request about the workflow of an actor that is ready."""
    if frame.verb in LOOKS:
        cell.spawn(_look(cell, frame, payload, port, again))
    else:
        cell.keep(cell.spawn(_control(cell, frame, payload, port)))


async def _look(
    cell: Cell, frame: ControlWorkflow, payload: bytes, port: ReplyPort, again: Again
) -> None:
    try:
        answer = await _answer(cell, frame, payload)
    except Exception as error:
        if cell.status is Status.GONE:
            again(frame, payload, port)
        else:
            _refuse(cell, frame, port, error)
    else:
        if cell.status is Status.GONE:
            again(frame, payload, port)
        else:
            cell.shard.answer(cell, port, Result(frame.id), answer)


async def _control(cell: Cell, frame: ControlWorkflow, payload: bytes, port: ReplyPort) -> None:
    cell.enter()
    try:
        answer = await _answer(cell, frame, payload)
        if cell.status is Status.GONE:
            raise ActorRestarting(metadata={"retryable": True})
        cell.shard.answer(cell, port, Result(frame.id), answer)
    except asyncio.CancelledError:
        # The grace period of a stop is over, or the actor lost its storage.
        refuse(port, frame.id, ActorRestarting(metadata={"retryable": True}))
    except Exception as error:
        _refuse(cell, frame, port, error)
    finally:
        cell.leave()


def _refuse(cell: Cell, frame: ControlWorkflow, port: ReplyPort, error: Exception) -> None:
    refusal = refusal_of(frame.id, error)
    if refusal.status >= 500:
        cell.log.error("control of a workflow failed", verb=frame.verb, exc_info=error)
    if cell.status is Status.GONE:
        port.send(refusal)
    else:
        cell.shard.answer(cell, port, refusal, b"")


async def _answer(cell: Cell, frame: ControlWorkflow, payload: bytes) -> bytes:
    return await _answer_verb(cell, *read_arguments(frame, payload))


async def _answer_verb(cell: Cell, verb: Verb, arguments: VerbArguments) -> bytes:
    workflow = workflow_of(cell)
    if workflow is None:
        raise NoWorkflow
    await _act(workflow, verb, arguments)
    if verb is not Verb.HISTORY:
        return encode_answer(await workflow.status())
    rows, row = await workflow.rows(), cell.row
    status = await workflow.status()
    return encode_answer(HistoryRecord(row.actor_id, row.name, row.key, status, rows))


async def _act(workflow: ControlledWorkflow, verb: Verb, arguments: VerbArguments) -> None:
    if verb is Verb.CANCEL:
        await workflow.cancel()
    elif verb is Verb.RETRY:
        await workflow.retry()
    elif verb is Verb.FORK:
        await workflow.fork(arguments.key or None)
    elif verb is Verb.RESOLVE:
        await workflow.resolve(arguments.key, arguments.value)


def handle_of(cell: Cell) -> WorkflowHandle:
    """Return ``self.workflow`` of an actor."""
    from stator.runtime.workflow_handle import WorkflowHandle  # for those who ask

    return WorkflowHandle(LocalAsker(cell))


class LocalAsker:
    """Asks about the workflow of an actor for its own code: behind ``self.workflow``."""

    __slots__ = ("_cell",)

    def __init__(self, cell: Cell) -> None:
        self._cell = cell

    async def ask(self, verb: Verb, arguments: VerbArguments) -> bytes:
        """Do what is asked and return the record. Raises ``workflow.not_enabled``."""
        return await _answer_verb(self._cell, verb, arguments)
