"""The run of a schedule: an action that the actor itself called at an earlier time.

Rule 1. Nobody calls: there is no connection, no request, and no answer to send.
Rule 2. An action that takes one more parameter by position than it was given gets a
        ``ScheduledFire`` for it (python-api, section 6), unless that parameter says that it is
        something else.
Rule 3. A run that fails is logged; it is not repeated (semantics page, section 8.2).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args, get_type_hints

from stator.runtime.error_views import ErrorView
from stator.runtime.schedule_errors import InvalidScheduleRow
from stator.runtime.schedules import ScheduledFire
from stator.runtime.storage import ScheduleKind

from .images import decode_args

if TYPE_CHECKING:
    from stator.runtime.actor import Actor
    from stator.runtime.conn import Conn
    from stator.runtime.raw_http import Request

    from ..cell import Cell
    from .book import Claim, ScheduleBook

_KINDS: dict[ScheduleKind, Literal["at", "cron", "every"]] = {
    ScheduleKind.AT: "at",
    ScheduleKind.CRON: "cron",
    ScheduleKind.EVERY: "every",
}
_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class ScheduledCall:
    """One run of a schedule; implements :class:`..actions.ActionCaller`."""

    __slots__ = ("_book", "_claim", "cell")

    def __init__(self, book: ScheduleBook, cell: Cell, claim: Claim) -> None:
        self.cell = cell
        self._book = book
        self._claim = claim

    @property
    def actor(self) -> Actor:
        return self.cell.actor

    @property
    def conn(self) -> Conn | None:
        """``None``: nobody calls from outside."""
        return None

    @property
    def request(self) -> Request | None:
        """``None``: nobody calls from outside."""
        return None

    @property
    def ray_id(self) -> str:
        """What the log calls the run by."""
        return f"schedule {self._claim.id}"

    def start(self) -> None:
        """Run the action."""
        claim, runner = self._claim, self.cell.runner
        try:
            arguments = decode_args(claim.args)
        except Exception as error:
            runner.fail(self, claim.action, InvalidScheduleRow(f"{self.ray_id}: {error}"))
            return
        action = self.cell.definition.actions.get(claim.action)
        if action is not None and takes_fire(action.method, len(arguments)):
            arguments += (self._fire(),)
        runner.run(self, claim.action, arguments)

    def encode(self, output: object) -> bytes:
        """Return nothing: nobody gets the output."""
        return b""

    def answer(self, body: bytes) -> None:
        """Note that the action ended well."""
        self._book.finish(self._claim, None)

    def reject(self, view: ErrorView) -> None:
        """Log that it failed, and note it (rule 3)."""
        claim = self._claim
        self.cell.log.error(
            "scheduled action failed",
            schedule=claim.id,
            action=claim.action,
            problem=f"{view.group}.{view.code}: {view.message}",
        )
        self._book.finish(claim, view)

    def drop(self) -> None:
        """Do nothing: the actor left memory, and its next start ends the line of this run."""

    def _fire(self) -> ScheduledFire:
        claim = self._claim
        return ScheduledFire(
            kind=_KINDS[claim.kind],
            id=claim.id,
            name=None if claim.job is None else claim.id,
            scheduled_at=claim.due_ms / 1000,
            fired_at=claim.fired_ms / 1000,
        )


@cache
def takes_fire(method: Callable[..., Any], given: int) -> bool:
    """Whether an action that is given so many arguments takes a ``ScheduledFire`` too (rule 2).

    ``*args`` takes what it is given.
    """
    parameters = list(inspect.signature(method).parameters.values())[1:]
    by_position = [each for each in parameters if each.kind in _BY_POSITION]
    if len(by_position) <= given:
        return False
    annotation = get_type_hints(method).get(by_position[given].name, Any)
    return annotation in (Any, object, ScheduledFire) or ScheduledFire in get_args(annotation)
