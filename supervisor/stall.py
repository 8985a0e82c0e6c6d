"""Stalls: what a child's silence means.

A child is silent since its last heartbeat; one that starts is silent, whatever its loop does,
since it was spawned, until it says that it is ready.
"""

from __future__ import annotations

from stator.runtime.config import Workers

from .policy import Event, Phase


def limits_of(phase: Phase, workers: Workers) -> tuple[float, float] | None:
    """Return after how many seconds a silent child is reported and replaced, if at all.

    A start is reported at half of its time, with the stack: most often the application waits for
    something while it is imported.
    """
    if phase is Phase.STARTING:
        return workers.start_timeout / 2, workers.start_timeout
    if phase is Phase.READY:
        return workers.stall_warning, workers.stall_timeout
    return None


def judge(silent: float, limits: tuple[float, float]) -> Event | None:
    """Return what ``silent`` seconds mean for a child with these ``limits``."""
    warn_after, replace_after = limits
    if silent >= replace_after:
        return Event.STALLED
    return Event.FELL_SILENT if silent >= warn_after else None
