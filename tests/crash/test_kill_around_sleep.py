"""A worker that dies while an actor goes to sleep, sleeps, or wakes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.life_journal import Journal
from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.crash

SOON = 1.0
"""Seconds after which something is due: later than its own commit and a sleep."""


@pytest.fixture
def service(short_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServiceUnderFire]:
    monkeypatch.setenv("STATOR_CRASH_JOURNAL", str(short_tmp))
    settings: dict[str, object] = {
        "application__registry": "life_application:registry",
        "server__gateways": 1,
        "workers__count": 1,
    }
    with service_under_fire(short_tmp, **settings) as running:
        yield running


@pytest.fixture
def journal(short_tmp: Path) -> Journal:
    return Journal(short_tmp)


def put_to_sleep(service: ServiceUnderFire, journal: Journal) -> None:
    """Let the sleeper ``one`` sleep; return when its hook has run."""
    times = len(journal.lines("slept", "one"))
    service.call("sleeper", "one", "doze")
    wait_until(lambda: len(journal.lines("slept", "one")) > times, "it goes to sleep")


def test_a_sleep_that_is_cut_off_loses_nothing_acknowledged(
    service: ServiceUnderFire, journal: Journal, short_tmp: Path
) -> None:
    assert service.call("sleeper", "one", "append", "kept").status == 200
    (short_tmp / "within-sleep").touch()

    put_to_sleep(service, journal)

    assert service.read("sleeper", "one", "tokens") == (200, ["kept"])


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("commit.before", ["kept"]),
        ("commit.before_sync", ["kept"]),
        ("commit.after", ["kept", "slept"]),
    ],
)
def test_what_a_sleep_stores_is_whole_or_absent(
    service: ServiceUnderFire, journal: Journal, point: str, left: list[str]
) -> None:
    assert service.call("sleeper", "one", "append", "kept").status == 200
    workers = service.pids("worker")
    service.call("sleeper", "one", "arm_kill", point)

    put_to_sleep(service, journal)
    wait_until(lambda: service.pids("worker") != workers, "the worker dies")

    assert service.read("sleeper", "one", "tokens") == (200, left)


@pytest.mark.parametrize("victim", [Victim.WORKER, Victim.TREE], ids=lambda victim: victim.value)
def test_an_actor_that_sleeps_keeps_everything(
    service: ServiceUnderFire, journal: Journal, victim: Victim
) -> None:
    assert service.call("sleeper", "one", "append", "kept").status == 200
    put_to_sleep(service, journal)
    service.call("tray", "other", "who")  # a turn later, so that the sleep is on disk

    service.strike(victim)

    tokens = service.read("sleeper", "one", "tokens").value
    assert tokens[0] == "kept"


def test_an_actor_that_is_to_be_awake_at_a_time_is_woken_by_the_next_worker(
    service: ServiceUnderFire, journal: Journal, short_tmp: Path
) -> None:
    assert service.call("sleeper", "one", "once", SOON, "due").status == 200
    put_to_sleep(service, journal)
    (short_tmp / "within-wake").touch()

    wait_until(lambda: bool(journal.lines("rang", "one")), "it fires, and nobody asked for it")

    assert not (short_tmp / "within-wake").exists()
    service.read("sleeper", "one", "once", 0.0, "last")
    wait_until(lambda: journal.lines("rang", "one")[-1][1] == "last", "all have fired")
    assert [token for _, token in journal.lines("rang", "one")] == ["due", "last"]


def test_a_wake_that_is_cut_off_is_repeated(
    service: ServiceUnderFire, journal: Journal, short_tmp: Path
) -> None:
    assert service.call("sleeper", "one", "append", "kept").status == 200
    put_to_sleep(service, journal)
    (short_tmp / "within-wake").touch()

    assert service.call("sleeper", "one", "append", "struck").status in (0, 503)

    assert service.read("sleeper", "one", "tokens") == (200, ["kept", "slept"])
