"""Workflows whose worker is rolled, killed or shut down: they go on by themselves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.service_under_fire import ServiceUnderFire, Victim, service_under_fire
from tests.fakes.running_service import wait_until

pytestmark = pytest.mark.process

CODE = """
import asyncio, os, threading, time
from stator import Actor, Options, Queue, action, setup
from stator.workflow import Step, Workflow, workflow

def note(*words):
    with open("{notes}", "a") as notes:
        notes.write(" ".join(map(str, words)) + "\\n")

class Flow(Actor):
    options = Options(sleep_grace_period=4.0)
    state: int = 0
    go = Queue[int, None]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        async for turn in wf.loop("l"):
            if self.key[0] == "parked":
                await wf.receive("r", self.go)
            elif self.key[0] == "blocked":
                await wf.step("block", self.block, timeout=None)
            else:
                await wf.step("one", self.work, turn.index, 0.3)

    async def work(self, step: Step, number: int, seconds: float) -> None:
        note("begins", number, step.attempt, os.getpid())
        self.state += 1
        await asyncio.sleep(seconds)
        note("ends", number, step.attempt, os.getpid())

    def block(self) -> None:
        note("blocks", os.getpid())
        threading.Event().wait()

    @action
    def get(self) -> int:
        return self.state

    def on_wake(self):
        note("wakes", self.key[0], os.getpid())

registry = setup(use={{"flow": Flow}})
"""


@pytest.fixture
def service(short_tmp: Path) -> Iterator[ServiceUnderFire]:
    (short_tmp / "flow_app.py").write_text(CODE.format(notes=short_tmp / "notes"))
    with service_under_fire(
        short_tmp,
        application__registry="flow_app:registry",
        application__path=short_tmp,
        server__gateways=1,
        workers__count=1,
        workers__grace_period=6,
    ) as running:
        yield running


def notes(directory: Path, *kinds: str) -> list[list[str]]:
    """Return what was noted of some kinds."""
    file = directory / "notes"
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.split() for line in lines if not kinds or line.split()[0] in kinds]


def numbers(directory: Path, kind: str) -> list[int]:
    """Return the turns that began, or ended, in order."""
    return [int(line[1]) for line in notes(directory, kind)]


def wait_for_turns(directory: Path, more: int) -> None:
    """Wait until so many more turns ended."""
    before = len(notes(directory, "ends"))
    wait_until(lambda: len(notes(directory, "ends")) >= before + more, "the workflow goes on")


def roll(service: ServiceUnderFire) -> None:
    """Replace the worker."""
    before = service.pids("worker")
    service.roll()
    wait_until(lambda: service.pids("worker") not in ([], before), "the worker was replaced")


def test_a_workflow_goes_on_in_the_successor_of_its_worker(
    service: ServiceUnderFire, short_tmp: Path
) -> None:
    service.call("flow", "busy", "get")
    wait_for_turns(short_tmp, 1)
    for _ in range(2):
        roll(service)
        wait_for_turns(short_tmp, 2)
    service.stop()
    turns = numbers(short_tmp, "ends")
    assert turns == list(range(len(turns)))
    assert numbers(short_tmp, "begins") == turns
    lines = [line[0] for line in notes(short_tmp, "begins", "ends")]
    assert lines == ["begins", "ends"] * len(turns)


def test_a_workflow_goes_on_after_its_worker_was_killed(
    service: ServiceUnderFire, short_tmp: Path
) -> None:
    service.call("flow", "busy", "get")
    wait_for_turns(short_tmp, 1)
    for _ in range(2):
        service.kill(Victim.WORKER, random.Random())
        wait_for_turns(short_tmp, 2)
    ends = numbers(short_tmp, "ends")
    assert ends == list(range(len(ends)))


def test_a_workflow_that_waits_is_left_asleep_by_a_restart_of_the_service(
    service: ServiceUnderFire, short_tmp: Path
) -> None:
    service.call("flow", "parked", "get")
    service.call("flow", "busy", "get")
    service.stop()
    service.start()
    wait_for_turns(short_tmp, 2)
    woken = [line[1] for line in notes(short_tmp, "wakes")]
    assert woken == ["parked", "busy", "busy"]


def test_a_plain_body_that_blocks_for_ever_does_not_hold_up_a_shutdown(
    service: ServiceUnderFire, short_tmp: Path
) -> None:
    service.call("flow", "blocked", "get")
    wait_until(lambda: bool(notes(short_tmp, "blocks")), "its body runs")
    assert service.stop() == 0
