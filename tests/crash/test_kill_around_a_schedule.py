"""A worker that dies around the run of a schedule: before it is due, claimed, or while it runs."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.life_journal import Journal
from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.crash

SOON = 0.2
"""Seconds after which something is due: later than its own commit."""
BEFORE = ["commit.before", "commit.before_sync"]
EVERY_END = pytest.mark.parametrize(
    "victim", [Victim.WORKER, Victim.SUPERVISOR, Victim.TREE], ids=lambda victim: victim.value
)


@pytest.fixture
def service(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceUnderFire]:
    monkeypatch.setenv("STATOR_CRASH_JOURNAL", str(short_tmp))
    settings: dict[str, object] = {
        "application__registry": "life_application:registry",
        "server__gateways": 1,
        "workers__count": 1,
        "workers__grace_period": 1,
    }
    with service_under_fire(short_tmp, **settings) as running:
        yield running


@pytest.fixture
def journal(short_tmp: Path) -> Journal:
    return Journal(short_tmp)


def ring_last(service: ServiceUnderFire, journal: Journal) -> None:
    """Return when something that was scheduled after all else has run."""
    assert service.read("bell", "one", "once", 0.0, "last").status == 200
    wait_until(lambda: "last" in rung(journal), "the last one runs")


def rung(journal: Journal) -> list[str]:
    """Return the tokens for which the bell ``one`` rang."""
    return [token for _, token in journal.lines("rang", "one")]


# -- one-shots


@EVERY_END
def test_what_becomes_due_while_nobody_runs_fires_once(
    service: ServiceUnderFire, journal: Journal, victim: Victim
) -> None:
    for number in range(20):
        assert service.call("bell", "one", "once", SOON, f"token-{number}").status == 200

    service.strike(victim)

    wait_until(lambda: service.read("bell", "one", "pending") == (200, 0), "all have fired")
    ring_last(service, journal)
    tokens = rung(journal)
    assert len(tokens) == len(set(tokens)), "some fired twice"
    assert {f"token-{number}" for number in range(20)} <= set(tokens)


def test_what_was_due_and_not_claimed_fires_once(
    service: ServiceUnderFire, journal: Journal, short_tmp: Path
) -> None:
    sign = short_tmp / "blocked"
    assert service.call("bell", "one", "once", SOON, "due").status == 200
    with service.calling("bell", "one", "block", sign.name):
        wait_until(sign.exists, "the event loop is blocked, also when it is due")
        due = time.time() + SOON
        wait_until(lambda: time.time() > due, "it is due")

        service.strike(Victim.WORKER)

    wait_until(lambda: "due" in rung(journal), "it fires, and nobody asks for its actor")
    ring_last(service, journal)
    assert rung(journal) == ["due", "last"]


@pytest.mark.parametrize("point", BEFORE)
def test_one_whose_claim_was_not_committed_fires_once(
    service: ServiceUnderFire, journal: Journal, point: str
) -> None:
    service.call("bell", "one", "who")

    assert service.call("bell", "one", "once_and_arm", SOON, "struck", point).status == 200

    wait_until(lambda: "struck" in rung(journal), "the next worker fires it")
    ring_last(service, journal)
    assert rung(journal) == ["struck", "last"]


def test_one_whose_claim_was_committed_does_not_fire(
    service: ServiceUnderFire, journal: Journal
) -> None:
    service.call("bell", "one", "who")
    workers = service.pids("worker")

    service.call("bell", "one", "once_and_arm", SOON, "struck", "commit.after")
    wait_until(lambda: service.pids("worker") != workers, "the worker dies at the claim")

    assert service.read("bell", "one", "pending") == (200, 0)
    ring_last(service, journal)
    assert rung(journal) == ["last"]


def test_one_whose_worker_dies_in_its_midst_does_not_fire_again(
    service: ServiceUnderFire, journal: Journal, short_tmp: Path
) -> None:
    (short_tmp / "within-ring").touch()

    service.call("bell", "one", "once", SOON, "struck")
    wait_until(lambda: not (short_tmp / "within-ring").exists(), "it runs")

    assert service.read("bell", "one", "pending") == (200, 0)
    ring_last(service, journal)
    assert rung(journal) == ["struck", "last"]


def test_one_that_was_not_acknowledged_fires_at_most_once(
    service: ServiceUnderFire, journal: Journal
) -> None:
    service.call("bell", "one", "who")
    service.call("bell", "one", "arm_kill", "commit.after")

    assert service.call("bell", "one", "once", SOON, "unknown").status in (0, 503)

    wait_until(lambda: "unknown" in rung(journal), "it was committed, so it fires")
    ring_last(service, journal)
    assert rung(journal) == ["unknown", "last"]


# -- recurring ones


def test_a_slot_whose_worker_dies_in_its_midst_is_not_run_again_and_the_next_is(
    service: ServiceUnderFire, journal: Journal, short_tmp: Path
) -> None:
    assert service.call("bell", "one", "tick_every", "clock").status == 200
    (short_tmp / "within-tick").touch()
    first = service.read("bell", "one", "next_tick", "clock").value

    wait_until(lambda: not (short_tmp / "within-tick").exists(), "the first slot runs")
    following = service.read("bell", "one", "next_tick", "clock").value
    wait_until(lambda: len(journal.lines("ticked", "one")) == 2, "the second slot runs")

    slots = [int(slot) for _, slot in journal.lines("ticked", "one")]
    assert slots == [round(first * 1000), round(following * 1000)]
    assert service.read("bell", "one", "results", "clock") == (200, ["ok", "error"])


def test_a_slot_that_was_missed_is_run_once_and_the_grid_stays(
    service: ServiceUnderFire, journal: Journal
) -> None:
    assert service.call("bell", "one", "tick_every", "clock").status == 200
    first = service.read("bell", "one", "next_tick", "clock").value

    service.kill(Victim.TREE, random.Random())
    wait_until(lambda: time.time() > first, "its time comes while nobody runs")
    service.start()

    wait_until(lambda: len(journal.lines("ticked", "one")) == 2, "it goes on")
    slots = [int(slot) for _, slot in journal.lines("ticked", "one")]
    assert slots == [round(first * 1000), round(first * 1000) + 5_000]
