"""Rolling the workers: a trial, then the roll, and what is told of both.

Which worker leaves when is decided in ``roll.py``. A request that comes while one is under way, its
trial included, makes one more after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from stator.runtime.log import get_logger

from . import notify
from .child_process import describe_exit
from .policy import Event
from .roll import Roll
from .service import Service
from .trial import TellTrial, Trial
from .ward import Tell, Ward

NOTHING_CHANGED = "every worker keeps what it has loaded"
OTHERS_KEEP = "the workers after it keep what they have loaded"
TRIED_AGAIN = f"it is tried again and again, {OTHERS_KEEP}"

Notify = Callable[..., None]
"""Tells systemd some lines."""

_log = get_logger("stator.supervisor")


class Rolling:
    """The rolls of a service, one after the other."""

    def __init__(
        self,
        service: Service,
        workers: Sequence[Ward],
        loop: asyncio.AbstractEventLoop,
        *,
        tell: Tell,
        tell_trial: TellTrial,
        notify: Notify,
    ) -> None:
        """What ``tell_trial`` is told is to come back by :meth:`end_trial`, through the queue."""
        self._service = service
        self._workers = workers
        self._loop = loop
        self._tell = tell
        self._tell_trial = tell_trial
        self._notify = notify
        self._is_wanted = False
        self._trial: Trial | None = None
        self._roll: Roll | None = None

    def ask(self) -> None:
        """Want a roll, after the one that is under way."""
        self._is_wanted = True

    def go_on(self) -> None:
        """See whether a worker is to be replaced now, after whatever happened."""
        if self._trial is not None:
            return
        if self._roll is not None:
            self._see_to(self._roll)
        if self._roll is None and self._is_wanted:
            self._begin_trial()

    def cancel(self) -> None:
        """Roll no more: the service stops."""
        self._roll = None
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None

    def end_trial(self, problem: str) -> None:
        """Begin the roll, or leave everything as it is if there is a ``problem``."""
        if self._trial is None:
            return  # it was cancelled when its end had been told already
        self._trial = None
        if problem:
            self._stop("trial", problem, NOTHING_CHANGED)
            return
        _log.info("roll begins", workers=len(self._workers))
        self._roll = Roll(
            [ward.generation for ward in self._workers], self._service.config.workers.roll_watch
        )
        for ward in self._workers:
            self._tell(ward, Event.PAUSE_OVER)  # who waits for a start need not wait

    def note_end(self, ward: Ward) -> None:
        """Stop the roll if the process of this child that ended should not have."""
        if self._roll is None or ward not in self._workers:
            return
        ready_for = ward.ready_for if ward.was_ready else None
        if self._roll.is_stopped_by(ward.plan.index, ward.generation, ready_for):
            when = "soon after" if ward.was_ready else "before"
            reason = (
                f"{ward.plan.name} ended with {describe_exit(ward.last_exit)} {when} it was ready"
            )
            self._stop(ward.plan.name, reason, TRIED_AGAIN)

    def _begin_trial(self) -> None:
        self._is_wanted = False
        clock = notify.clock(time.monotonic_ns())
        self._notify(notify.RELOADING, clock, notify.status("rolling workers"))
        self._trial = Trial(self._service, self._loop, self._tell_trial)

    def _see_to(self, roll: Roll) -> None:
        progress = [ward.progress() for ward in self._workers]
        if roll.is_over(progress):
            _log.info("roll done")
            self._end(f"serving on {self._service.endpoint}")
        elif (failing := roll.who_fails(progress)) is not None:
            name = self._workers[failing].plan.name
            count = progress[failing].failures
            actors = "actor" if count == 1 else "actors"
            self._stop(
                name, f"{count} {actors} failed to start in {name}, none started", OTHERS_KEEP
            )
        elif (turn := roll.whose_turn(progress)) is not None:
            self._tell(self._workers[turn], Event.ROLL)

    def _stop(self, child: str, reason: str, consequence: str) -> None:
        _log.error("roll stopped", child=child, reason=reason)
        self._service.complaint.write(f"{reason}; {consequence}")
        if not self._is_wanted:
            self._service.block.count_stopped_roll()
        self._end(f"serving; the last roll of the workers was stopped: {reason}")

    def _end(self, status: str) -> None:
        self._roll = None
        self._notify(notify.READY, notify.status(status))
