"""Actors that are on their way out of memory, or into it, when their worker is rolled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.service_under_fire import Answer, ServiceUnderFire, service_under_fire
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.process

CODE = """
import asyncio
from stator import Actor, Options, action, setup

def note(word):
    with open("{notes}", "a") as notes:
        notes.write(word + " ")

class Slow(Actor):
    options = Options(sleep_grace_period=5.0)
    state: list = []

    @action
    def append(self, text: str) -> list:
        self.state.append(text)
        return self.state

    @action
    def doze(self) -> None:
        self.sleep()

    @action
    def vanish(self) -> None:
        self.destroy()

    async def on_wake(self):
        if self.key[0] == "wakes slowly":
            note("begins")
            await asyncio.sleep(1)

    async def on_sleep(self):
        note("begins")
        await asyncio.sleep(1)
        self.state.append("slept")
        note("ends")

    async def on_destroy(self):
        note("begins")
        await asyncio.sleep(1)
        note("ends")

registry = setup(use={{"slow": Slow}})
"""


@pytest.fixture
def service(short_tmp: Path) -> Iterator[ServiceUnderFire]:
    (short_tmp / "slow_app.py").write_text(CODE.format(notes=short_tmp / "notes"))
    with service_under_fire(
        short_tmp,
        application__registry="slow_app:registry",
        application__path=short_tmp,
        server__gateways=1,
        workers__count=1,
        workers__grace_period=6,
    ) as running:
        yield running


def notes(directory: Path) -> list[str]:
    """Return what the actors noted."""
    file = directory / "notes"
    return file.read_text().split() if file.exists() else []


def roll(service: ServiceUnderFire) -> None:
    """Replace the worker."""
    before = service.pids("worker")
    service.roll()
    wait_until(lambda: service.pids("worker") not in ([], before), "the worker was replaced")


@pytest.mark.parametrize("how", ["doze", "vanish"])
def test_a_roll_waits_for_an_actor_that_is_leaving(
    service: ServiceUnderFire, short_tmp: Path, how: str
) -> None:
    service.call("slow", "one", "append", "x")
    service.call("slow", "one", how)
    wait_until(lambda: notes(short_tmp) == ["begins"], "its hook runs")
    roll(service)
    assert notes(short_tmp) == ["begins", "ends"]


def test_what_an_actor_changed_on_its_way_out_is_there_after_a_roll(
    service: ServiceUnderFire, short_tmp: Path
) -> None:
    service.call("slow", "one", "append", "x")
    service.call("slow", "one", "doze")
    wait_until(lambda: notes(short_tmp) == ["begins"], "its hook runs")
    roll(service)
    assert service.read("slow", "one", "append", "y").value == ["x", "slept", "y"]


@pytest.mark.parametrize("key", ["sleeps slowly", "wakes slowly"])
def test_a_request_that_waits_for_an_actor_in_between_waits_through_a_roll(
    service: ServiceUnderFire, short_tmp: Path, key: str
) -> None:
    if key == "sleeps slowly":
        service.call("slow", key, "append", "x")
        service.call("slow", key, "doze")
        wait_until(lambda: bool(notes(short_tmp)), "its hook runs")
    with ThreadPoolExecutor(1) as threads:
        answer: Future[Answer] = threads.submit(service.call, "slow", key, "append", "held")
        wait_until(lambda: bool(notes(short_tmp)), "its hook runs")
        roll(service)
        assert answer.result().status == 200
