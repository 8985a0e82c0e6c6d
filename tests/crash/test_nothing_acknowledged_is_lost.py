"""SIGKILL at random moments under load: nothing acknowledged is lost, nothing is there twice.

``STATOR_CRASH_ROUNDS`` is the number of kills, 50 by default; ``STATOR_CRASH_SEED`` repeats a
run's choices (not its timing, which is the machine's).
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.crash.books import Book, Findings
from tests.crash.crowd import Crowd
from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire

pytestmark = pytest.mark.crash

CLIENTS = 12
SHARES = {Victim.WORKER: 40, Victim.GATEWAY: 25, Victim.SUPERVISOR: 20, Victim.TREE: 15}
"""How often each victim is chosen, in percent."""
LONGEST_PAUSE_S = 0.8
"""Between two kills; often shorter than a restart, so that restarts are interrupted as well."""


def test_nothing_acknowledged_is_lost(short_tmp: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rounds = int(os.environ.get("STATOR_CRASH_ROUNDS", "50"))
    seed = int(os.environ.get("STATOR_CRASH_SEED", random.randrange(10**6)))

    with service_under_fire(short_tmp) as service:
        campaign = Campaign(service, rounds, seed)
        findings = asyncio.run(campaign.run())
        exit_code = service.stop()

    with capfd.disabled():
        print(campaign.report(findings), file=sys.stderr)
    assert not findings, findings
    assert exit_code == 0
    assert campaign.crowd.outcomes["200"] > 20 * rounds, "there was hardly any load"


class Campaign:
    """Kills under load, with a look at the books after each restart of the service."""

    def __init__(self, service: ServiceUnderFire, rounds: int, seed: int) -> None:
        self.kills: Counter[Victim] = Counter()
        self.crowd: Crowd
        self._service = service
        self._rounds = rounds
        self._seed = seed
        self._rng = random.Random(seed)

    async def run(self) -> Findings:
        """Kill ``rounds`` times; return what is wrong afterwards."""
        self.crowd = Crowd(self._service.endpoint, clients=CLIENTS, seed=self._seed)
        self.crowd.service_is_up.set()
        checked = 0
        while self.kills.total() < self._rounds:
            await self._kill_until_it_is_down()
            recent = self.crowd.ledgers[checked:]
            checked = len(self.crowd.ledgers)
            if findings := await asyncio.to_thread(self._audit, recent):
                return findings
        return await asyncio.to_thread(self._audit, self.crowd.ledgers)

    async def _kill_until_it_is_down(self) -> None:
        crowd, service = self.crowd, self._service
        async with crowd.at_work():
            while self.kills.total() < self._rounds:
                crowd.open_ledgers()
                await asyncio.sleep(self._rng.uniform(0, LONGEST_PAUSE_S))
                (victim,) = self._rng.choices(list(SHARES), list(SHARES.values()))
                if victim.ends_service:
                    crowd.service_is_up.clear()
                await asyncio.to_thread(service.kill, victim, self._rng)
                self.kills[victim] += 1
                if victim.ends_service:
                    await asyncio.to_thread(service.start)
                    crowd.service_is_up.set()
                    await asyncio.to_thread(service.wait_orphans_gone)
                    return

    def _audit(self, ledgers: list[Book]) -> Findings:
        findings = Findings()
        for book in ledgers:
            findings.check_ledger(book, self._read(book, "tokens", []))
        for book in self.crowd.tallies:
            findings.check_tally(book, self._read(book, "get", 0))
        return findings

    def _read(self, book: Book, action: str, absent: Any) -> Any:
        """Return what an actor holds; ``absent`` if it was never created."""
        status, value = self._service.read(book.actor, book.key, action)
        assert status in (200, 404), value
        return value if status == 200 else absent

    def report(self, findings: Findings) -> str:
        """Return the counts as text."""
        books = self.crowd.ledgers + self.crowd.tallies
        kills = ", ".join(f"{victim.value} {self.kills[victim]}" for victim in Victim)
        outcomes = ", ".join(f"{times} x {name}" for name, times in self.crowd.outcomes.items())
        return (
            f"\ncrash test, seed {self._seed}: {self.kills.total()} kills ({kills})\n"
            f"  {len(books)} actors, {sum(len(book.acknowledged) for book in books)} changes "
            f"acknowledged, {sum(len(book.unknown) for book in books)} unknown, "
            f"{len(findings.lost)} lost, {len(findings.duplicated)} duplicated, "
            f"{len(findings.violations)} otherwise wrong\n"
            f"  outcomes: {outcomes}"
        )
