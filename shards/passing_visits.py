"""Visits that bring one request over HTTP or from another actor, and go with its answer.

Such a call is a visit of its own (semantics page, section 6.1). For a class without connection
hooks its connection is made only when the actor's code asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from stator.runtime.conn import Conn
from stator.runtime.error_views import ErrorView
from stator.runtime.errors import ActorRestarting
from stator.runtime.link.frames import Answer, Call, Publish
from stator.runtime.protocol.envelope import answer_version
from stator.runtime.protocol.error_bodies import ActorSpecifier, encode_error

from .batch import ReplyPort
from .refusals import refuse
from .visits import Visit, dismiss

if TYPE_CHECKING:
    from .cell import Cell

Brought = TypeVar("Brought", Call, Publish)


class PassingVisit(Visit, Generic[Brought]):
    """What all of them have in common: how they are answered."""

    is_single_call = True

    __slots__ = ("body", "brought", "port", "version")

    def __init__(self, cell: Cell, brought: Brought, body: bytes, port: ReplyPort) -> None:
        """``body`` is the client's, which comes with the frame it ``brought``."""
        super().__init__(cell, brought.params, brought.head)
        self.brought: Brought = brought
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
        ray_id: str = self.brought.ray_id
        return ray_id

    def answer(self, body: bytes) -> None:
        """Send the encoded output, behind the actor's changes."""
        self._answer(200, body)

    def reject(self, view: ErrorView) -> None:
        """Send an error, behind the actor's changes."""
        encoding, row = self.brought.encoding, self.cell.row
        specifier = ActorSpecifier(row.actor_id, row.generation, row.key)
        version = self.version or answer_version(encoding, self.body)
        self._answer(view.status, encode_error(encoding, version, view, specifier))

    def drop(self) -> None:
        """Refuse a request whose actor left memory meanwhile; only its sender may repeat it."""
        refuse(self.port, self.brought.id, ActorRestarting(metadata={"retryable": True}))

    def _answer(self, status: int, body: bytes) -> None:
        cell = self.cell
        if self.is_admitted:
            dismiss(self)
        row = cell.row
        answer = Answer(self.brought.id, status, row.actor_id, row.generation, row.key)
        cell.shard.answer(cell, self.port, answer, body)
