"""Changing the code of workflows that have a history (workflow page, section 4.9)."""

from __future__ import annotations

from ..workflow_errors import Diverged
from . import keys
from .entries import EntryStatus, Kind
from .strand import Strand


def resolve_version(strand: Strand, name: str, latest: int) -> int:
    """Return the version that the scope is run with: ``latest``, or 1 if it began before the gate.

    It is decided once in each scope and stored. Raises ``ValueError`` if ``latest`` is no version.
    """
    if latest < 1:
        raise ValueError(f"the latest version is a number from 1 on, not {latest!r}")
    run = strand.run
    with strand.doing(name) as key:
        with run.watched():
            entry = run.history.find(key, Kind.VERSION)
        if entry is None:
            is_old = run.history.has_more(strand.key, strand.scope.key)
            if not is_old:
                strand.check_live(key, Kind.VERSION)
            detail = [1 if is_old else latest, latest]
            entry = strand.make(key, Kind.VERSION, EntryStatus.COMPLETED, detail=detail)
            run.host.put(entry)
        resolved: int = entry.detail[0]
        if resolved > latest:
            with run.watched():
                raise Diverged(
                    f"'{keys.show(key)}' runs version {resolved}, the code knows versions up to "
                    f"{latest}: start the application that knew it"
                )
    return resolved


def skip_removed(strand: Strand, name: str, kind: str) -> None:
    """Pass over what history has of a call that the code no longer has.

    Raises ``ValueError`` for a kind there is not.
    """
    if kind not in set(Kind):
        raise ValueError(f"'{kind}' is no kind of entry: one of {', '.join(sorted(Kind))}")
    run = strand.run
    with strand.doing(name) as key:
        with run.watched():
            is_there = run.history.skip_removed(strand.key, key, kind)
        if not is_there and run.is_live and not strand.scope.is_dead:
            entry = strand.make(key, Kind.REMOVED, EntryStatus.COMPLETED, detail=kind)
            run.host.put(entry)
