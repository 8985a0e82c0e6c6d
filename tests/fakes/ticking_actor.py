"""An actor whose recurring schedules a test sets, and looks at, from outside."""

from __future__ import annotations

from typing import Any

from stator import Actor, Options, UserError, action
from tests.fakes.manual_clock import ManualClock
from tests.fakes.scheduling_engine import SchedulingEngine

MIDNIGHT_MS = 1_799_971_200_000  # 2027-01-15T00:00:00Z


class Ticking(Actor):
    """Hears what its schedules call."""

    options = Options(max_schedules=4, action_timeout=3.0)
    state: dict[str, Any] = {"heard": []}  # noqa: RUF012 - copied for each actor

    returned = 0
    """How many calls that write have returned."""

    @action
    def hear(self, text: str = "tick") -> None:
        self.state["heard"].append(text)

    @action
    def fail(self, secret: bool) -> None:
        if secret:
            raise RuntimeError("a secret")
        raise UserError("No.", code="no", metadata={"why": {"not": 1}})

    @action
    async def work(self) -> None:
        self.state["heard"].append("begun")
        await self.abort_signal.wait()

    @action
    def get_heard(self) -> Any:
        return self.state["heard"]

    @action
    async def set(self, expression: str, changes: dict[str, Any]) -> None:
        given: dict[str, Any] = {"name": "job", "action": self.hear, **changes}
        await self.cron.set(expression=expression, **given)
        self.returned += 1

    @action
    async def every(self, interval: float, changes: dict[str, Any]) -> None:
        given: dict[str, Any] = {"name": "job", "action": self.hear, **changes}
        await self.cron.every(interval=interval, **given)
        self.returned += 1

    @action
    async def get(self, name: str) -> dict[str, Any] | None:
        found = await self.cron.get(name)
        if found is None:
            return None
        return {field: getattr(found, field) for field in found.__struct_fields__}

    @action
    async def names(self) -> list[str]:
        return [job.name for job in await self.cron.list()]

    @action
    async def delete(self, name: str) -> bool:
        was_there = await self.cron.delete(name)
        self.returned += 1
        return was_there

    @action
    async def history(self, name: str, limit: int = 20) -> list[dict[str, Any]]:
        lines = await self.cron.history(name, limit)
        return [{field: getattr(x, field) for field in x.__struct_fields__} for x in lines]

    @action
    async def after(self, delay: float) -> None:
        await self.schedule.after(delay, self.hear, "once")


async def results(it: SchedulingEngine, name: str = "job", limit: int = 20) -> list[str]:
    """Return the results of a schedule's runs, newest first."""
    return [line["result"] for line in await it.call("history", name, limit)]


def clock_at(hours: float = 0) -> ManualClock:
    """Return a clock that shows so many hours after a midnight in UTC."""
    return ManualClock(MIDNIGHT_MS + round(hours * 3_600_000))
