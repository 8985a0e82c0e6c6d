"""A single call over HTTP or from another actor: who gets the outcome of its action.

Such a call is a visit of its own (semantics page, section 6.1). For a class without connection
hooks its connection is made only when the actor's code asks for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from stator.runtime.conn import Conn
from stator.runtime.error_views import ErrorView
from stator.runtime.errors import ActorRestarting
from stator.runtime.link.frames import Answer, Call
from stator.runtime.protocol.actions import decode_action_request, encode_action_response
from stator.runtime.protocol.envelope import answer_version
from stator.runtime.protocol.error_bodies import ActorSpecifier, encode_error

from .batch import ReplyPort
from .refusals import refuse
from .visits import Visit, admit, dismiss

if TYPE_CHECKING:
    from .cell import Cell


class SingleCall(Visit):
    """An action called by itself; implements :class:`.actions.ActionCaller`."""

    is_single_call = True

    __slots__ = ("body", "call", "port", "version")

    def __init__(self, cell: Cell, call: Call, body: bytes, port: ReplyPort) -> None:
        super().__init__(cell, call.params, call.head)
        self.call = call
        self.body = body
        self.port = port
        self.version = 0
        """The BARE version to answer in."""

    @property
    def conn(self) -> Conn | None:
        if self._conn is None and not self.cell.definition.is_guarded:
            return self.make_conn()
        return self._conn

    @property
    def ray_id(self) -> str:
        """What the log calls the request by."""
        return self.call.ray_id

    def arguments(self) -> list[Any]:
        """Decode the arguments. Raises ``actor.invalid_request``."""
        call = self.call
        arguments, self.version = decode_action_request(call.encoding, self.body)
        return arguments

    def start(self) -> None:
        """Run the action, after the connection hooks if the class has any."""
        cell = self.cell
        if cell.definition.is_guarded:
            cell.keep(cell.spawn(self._start_guarded()))
            return
        try:
            arguments = self.arguments()
        except Exception as error:
            cell.runner.fail(self, self.call.action, error)
        else:
            cell.runner.run(self, self.call.action, arguments)

    async def _start_guarded(self) -> None:
        cell, action = self.cell, self.call.action
        cell.enter()
        try:
            await admit(self)
            arguments = self.arguments()
        except BaseException as error:  # user code must not end the worker
            if cell.is_aborted and isinstance(error, asyncio.CancelledError):
                self.drop()  # the grace period of a stop is over
            else:
                cell.runner.fail(self, action, error)
        else:
            cell.runner.run(self, action, arguments)
        finally:
            cell.leave()

    def encode(self, output: object) -> bytes:
        """Encode the output. Raises ``actor.output_not_serializable``."""
        return encode_action_response(self.call.encoding, self.version, output)

    def answer(self, body: bytes) -> None:
        """Send the encoded output, behind the actor's changes."""
        self._answer(200, body)

    def reject(self, view: ErrorView) -> None:
        """Send an error, behind the actor's changes."""
        call, row = self.call, self.cell.row
        specifier = ActorSpecifier(row.actor_id, row.generation, row.key)
        version = self.version or answer_version(call.encoding, self.body)
        self._answer(view.status, encode_error(call.encoding, version, view, specifier))

    def drop(self) -> None:
        """Refuse a call whose actor left memory meanwhile; only the caller may repeat it."""
        refuse(self.port, self.call.id, ActorRestarting(metadata={"retryable": True}))

    def _answer(self, status: int, body: bytes) -> None:
        cell = self.cell
        if self.is_admitted:
            dismiss(self)
        row = cell.row
        answer = Answer(self.call.id, status, row.actor_id, row.generation, row.key)
        cell.shard.answer(cell, self.port, answer, body)
