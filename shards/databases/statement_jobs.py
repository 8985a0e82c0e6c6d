"""Statements of an actor as jobs: what a thread does with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stator.runtime.database import Row
from stator.runtime.database_errors import StatementFailed

from .bindings import bind, bind_many
from .lanes import Job, Lane
from .turns import Turns


def execution(
    turns: Turns, sql: str, args: tuple[Any, ...], named: dict[str, Any], owner: object = None
) -> Job:
    """Return the job of one ``execute``, in the transaction ``owner`` if there is one."""
    _check_text(sql)
    bindings = bind(args, named)
    future = turns.new_future()
    is_bound = owner is not None or turns.is_inner

    def run(lane: Lane) -> list[Row]:
        if is_bound:
            return lane.session_in_transaction().execute(sql, bindings, future.done)
        session = lane.session or lane.open()
        try:
            return session.execute(sql, bindings, future.done)
        finally:
            if session.in_transaction:
                lane.has_manual = True

    return Job(run, future, owner=owner)


def repetition(
    turns: Turns,
    sql: str,
    rows: Iterable[Sequence[Any] | Mapping[str, Any]],
    owner: object = None,
) -> Job:
    """Return the job of one ``executemany``, in the transaction ``owner`` if there is one."""
    _check_text(sql)
    bindings = bind_many(rows)
    is_bound = owner is not None or turns.is_inner

    def run(lane: Lane) -> None:
        session = lane.session_in_transaction() if is_bound else lane.session or lane.open()
        session.executemany(sql, bindings)

    return Job(run, turns.new_future(), owner=owner)


def _check_text(sql: object) -> None:
    if not isinstance(sql, str):
        raise StatementFailed(f"SQL is text, not {type(sql).__name__}")
