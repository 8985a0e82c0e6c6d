"""SIGKILL at random moments of actors' lives: queues, schedules, pairs, databases, sleep, destroy.

``STATOR_CRASH_SECONDS`` is how long each test kills, 6 by default; ``STATOR_CRASH_SEED`` repeats
a run's choices (not its timing, which is the machine's).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.crash.life_clients import (
    Client,
    Door,
    Filer,
    JobSender,
    LetterSender,
    Mover,
    Orderer,
    RingAsker,
    Undertaker,
)
from tests.crash.life_journal import DataDirectory, Journal
from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire

pytestmark = pytest.mark.crash

CROWD: dict[type[Client], int] = {
    JobSender: 4,
    Orderer: 4,
    LetterSender: 3,
    RingAsker: 3,
    Filer: 2,
    Mover: 2,
    Undertaker: 2,
}
"""How many clients there are of each kind."""
LONGEST_PAUSE_S = 1.5
"""Between two kills; often shorter than a restart, so that restarts are interrupted as well."""


def test_lives_go_on_after_workers_are_killed(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def disturb(campaign: Campaign) -> None:
        await campaign.kill(Victim.WORKER)

    _run_campaign(short_tmp, monkeypatch, capfd, disturb)


def test_lives_go_on_after_the_service_is_killed(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def disturb(campaign: Campaign) -> None:
        await campaign.kill(campaign.rng.choice((Victim.TREE, Victim.TREE, Victim.SUPERVISOR)))

    _run_campaign(short_tmp, monkeypatch, capfd, disturb)


def test_lives_go_on_after_workers_are_killed_in_the_middle_of_rolls(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def disturb(campaign: Campaign) -> None:
        await campaign.roll()
        await asyncio.sleep(campaign.rng.uniform(0, 1))
        await campaign.kill(Victim.WORKER)

    _run_campaign(short_tmp, monkeypatch, capfd, disturb)


class Campaign:
    """Clients at work in a service that is disturbed."""

    def __init__(self, service: ServiceUnderFire, journal: Journal, seed: int) -> None:
        self.rng = random.Random(seed)
        self.disturbances: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.clients: list[Client]
        self.door: Door
        self._service = service
        self._journal = journal
        self._seed = seed

    async def run(self, disturb: Callable[[Campaign], Awaitable[None]], seconds: float) -> None:
        """Disturb the clients for a while, then wait until all their work is done."""
        self.door = Door(self._service.endpoint)
        self.clients = [
            kind(self.door, number, self._seed) for kind in CROWD for number in range(CROWD[kind])
        ]
        over = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as tasks:
                for client in self.clients:
                    tasks.create_task(client.work(over))
                await self._disturb(disturb, seconds)
                over.set()
            settling = (client.settle(self._journal) for client in self.clients)
            for counts in await asyncio.gather(*settling):
                self.counts += counts
        finally:
            await self.door.close()

    async def kill(self, victim: Victim) -> None:
        """Kill a worker, or the service, which is started again."""
        if victim.ends_service:
            self.door.is_up.clear()
        await asyncio.to_thread(self._service.kill, victim, self.rng)
        self.door.last_kill = time.time()
        self.disturbances[f"{victim.value} killed"] += 1
        if victim.ends_service:
            await asyncio.to_thread(self._service.start)
            self.door.is_up.set()

    async def roll(self) -> None:
        """Begin to replace all workers."""
        self._service.roll()
        self.disturbances["roll"] += 1

    async def _disturb(
        self, disturb: Callable[[Campaign], Awaitable[None]], seconds: float
    ) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(self.rng.uniform(0, LONGEST_PAUSE_S))
            await disturb(self)

    def problems(self) -> list[str]:
        """Return everything that is wrong."""
        return [problem for client in self.clients for problem in client.problems]

    def report(self) -> str:
        """Return the counts as text."""
        acknowledged = sum(len(client.acknowledged) for client in self.clients)
        unknown = sum(len(client.unknown) for client in self.clients)
        return (
            f"\nlives under fire, seed {self._seed}: {_listed(self.disturbances)}\n"
            f"  {len(self.clients)} clients, {acknowledged} acknowledged, {unknown} unknown, "
            f"{len(self.problems())} otherwise wrong\n"
            f"  {_listed(self.counts)}\n"
            f"  outcomes: {_listed(self.door.outcomes)}"
        )


def _run_campaign(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    disturb: Callable[[Campaign], Awaitable[None]],
) -> None:
    seconds = float(os.environ.get("STATOR_CRASH_SECONDS", "6"))
    seed = int(os.environ.get("STATOR_CRASH_SEED", random.randrange(10**6)))
    monkeypatch.setenv("STATOR_CRASH_JOURNAL", str(directory))
    settings: dict[str, object] = {"application__registry": "life_application:registry"}

    with service_under_fire(directory, **settings) as service:
        campaign = Campaign(service, Journal(directory), seed)
        asyncio.run(campaign.run(disturb, seconds))
        exit_code = service.stop()
    for client in campaign.clients:
        if isinstance(client, Undertaker):
            client.inspect(DataDirectory(directory / "data"))

    with capfd.disabled():
        print(campaign.report(), file=sys.stderr)
    kills = campaign.disturbances.total()
    assert campaign.problems() == []
    assert exit_code == 0
    # A letter is lost between its removal and its handler, a job begun again that was not
    # completed: one for each kill and actor.
    assert campaign.counts["letters lost"] <= kills * CROWD[LetterSender]
    assert campaign.counts["jobs begun again"] <= kills * CROWD[JobSender]
    assert campaign.door.outcomes["200"] > 20 * kills, "there was hardly any load"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
