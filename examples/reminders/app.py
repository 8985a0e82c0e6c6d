"""Reminders: one actor for each person, asleep until the next reminder is due.

What is where, and why:

* what is still to come is in the runtime's own schedules: they are on disk, and wake the actor
  when their time has come;
* what has rung is state, for those who were not there when it rang;
* who is there hears it at once, by an event.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from stator import (
    Actor,
    CronJob,
    Event,
    HistoryEntry,
    Options,
    ScheduledFire,
    UserError,
    action,
    setup,
)

KEPT = 100
"""How many reminders that rang a person can look up."""

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""With an offset from UTC: 2026-08-05T09:00:00+02:00."""


class Rung(msgspec.Struct):
    """A reminder that rang. Instants are Unix seconds."""

    text: str
    due_at: float
    rang_at: float
    """Later than ``due_at`` if the service was not running then."""


class Pending(msgspec.Struct):
    """A reminder that is still to come."""

    id: str
    """To cancel it by; of a repeating one its name."""
    text: str
    due_at: float
    """Unix seconds; when it rings next."""
    every: str | None = None
    """How it repeats: ``0 9 * * 1-5 Europe/Berlin`` or ``90 s``."""


class Diary(msgspec.Struct):
    """What is remembered about a person."""

    rung: list[Rung] = []


class Reminders(Actor, rename="camel"):
    """The reminders of one person, who is the key."""

    options = Options(name="Reminders", icon="bell", sleep_timeout=5.0, max_schedules=200)
    state: Diary

    rang = Event[Rung]()

    # -- once

    @action
    async def remind_in(self, text: Text, seconds: float) -> str:
        """Ring after so many seconds; return an id to cancel it by."""
        return await self.schedule.after(seconds, self.ring, text)

    @action
    async def remind_at(self, text: Text, when: Moment) -> str:
        """Ring at a point in time, at once if that is past; return an id to cancel it by."""
        return await self.schedule.at(when, self.ring, text)

    # -- again and again

    @action
    async def repeat(self, name: str, text: Text, cron: str, time_zone: str = "UTC") -> None:
        """Ring by a cron expression of five fields, on the clocks of a time zone.

        The same name again replaces the earlier one.
        """
        await self.cron.set(
            name=name,
            expression=cron,
            timezone=time_zone,
            action=self.ring,
            args=(text,),
            max_history=20,
        )

    @action
    async def repeat_every(self, name: str, text: Text, seconds: float) -> None:
        """Ring in steady intervals, of 5 seconds or more."""
        await self.cron.every(
            name=name, interval=seconds, action=self.ring, args=(text,), max_history=20
        )

    @action
    async def get_runs(self, name: str, limit: int = 20) -> list[HistoryEntry]:
        """Return the last times a repeating reminder rang, the latest first."""
        return await self.cron.history(name, limit)

    # -- what will be and what was

    @action
    async def get_upcoming(self) -> list[Pending]:
        """Return all that is still to come, the earliest first."""
        once = [Pending(each.id, each.args[0], each.run_at) for each in await self.schedule.list()]
        again = [
            Pending(job.name, job.args[0], job.next_run_at, _describe(job))
            for job in await self.cron.list()
        ]
        return sorted(once + again, key=lambda each: each.due_at)

    @action
    async def cancel(self, reminder_id: str) -> bool:
        """Cancel what would ring once or again and again; say whether it was still to come."""
        return await self.schedule.cancel(reminder_id) or await self.cron.delete(reminder_id)

    @action
    def get_rung(self, after: float = 0.0) -> list[Rung]:
        """Return what rang after an instant: what one missed."""
        return [rung for rung in self.state.rung if rung.rang_at > after]

    @action
    def ring(self, text: str, fire: ScheduledFire) -> None:
        """Ring. Schedules call actions, and the runtime adds why it calls: a ``ScheduledFire``.

        A client could call it too, since it is an action; only calls from outside have a ``conn``.
        """
        if self.conn is not None:
            raise UserError("A reminder rings by itself", code="not_for_callers")
        rung = Rung(text, fire.scheduled_at, fire.fired_at)
        self.state.rung.append(rung)
        del self.state.rung[:-KEPT]
        self.broadcast(self.rang, rung)


def _describe(job: CronJob) -> str:
    return f"{job.expression} {job.timezone}" if job.kind == "cron" else f"{job.interval:g} s"


registry = setup(use={"reminders": Reminders})
