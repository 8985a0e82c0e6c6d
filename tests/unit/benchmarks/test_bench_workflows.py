"""The work that the workflow benchmark measures is done and counted, and by hand the same."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest

from benchmarks import errands
from benchmarks.errands import Crew, Diarist, Fan, Odometer, Plodder, Skipper, Stepper, Walker
from benchmarks.report import Target
from benchmarks.resumption import growth
from benchmarks.subjects import ROOT
from benchmarks.workflows import engine_modules
from stator.testing import TestingClient, running

IN_AN_HOUR_MS = 3_600_000


def test_units_count_between_two_instants() -> None:
    odometer = Odometer()
    now_ms = round(time.time() * 1000)
    odometer.from_ms, odometer.until_ms = now_ms - IN_AN_HOUR_MS, now_ms + IN_AN_HOUR_MS
    assert odometer.add()
    odometer.until_ms = now_ms - 1
    assert not odometer.add()
    assert (odometer.units, odometer.total) == (1, 2)


def in_service(use: Any) -> Any:
    """Return what ``use`` returns, which is given a client of the application."""

    async def run() -> Any:
        async with running(errands.registry) as client:
            return await use(client)

    return asyncio.run(run())


@pytest.mark.parametrize("actor", [Stepper, Skipper, Plodder])
def test_work_goes_on_until_its_time_is_over(
    actor: type[errands.Working], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter([True, True, False])
    monkeypatch.setattr(errands.ODOMETER, "add", lambda: next(left))

    async def work(client: TestingClient) -> Any:
        worker = client.get_or_create(actor, ["one", "0"])
        await worker.enqueue("orders", 1)
        await client.testing.settle()
        return await worker.get()

    assert in_service(work) == 3


@pytest.mark.parametrize("actor", [Fan, Crew])
def test_each_branch_or_task_does_one_unit(actor: type[errands.Working]) -> None:
    async def work(client: TestingClient) -> tuple[Any, int]:
        worker = client.get_or_create(actor, ["main"])
        answer = await worker.enqueue("orders", 7, wait=True)
        return answer.reply, await worker.get()

    seconds, units = in_service(work)
    assert seconds >= 0
    assert units == 7


@pytest.mark.parametrize(("actor", "steps"), [(Diarist, 30), (Walker, 19)])
def test_a_message_wakes_a_workflow_that_plays_what_it_kept(
    actor: type[errands.Working], steps: int
) -> None:
    async def work(client: TestingClient) -> tuple[Any, int, int]:
        worker = client.get_or_create(actor, ["main"])
        await worker.enqueue("orders", 30)
        await client.testing.settle()
        await client.testing.sleep(worker)
        answer = await worker.enqueue("orders", 5, wait=True)
        kept = [each for each in await worker.workflow.history() if each.kind == "step"]
        return answer.reply, await worker.get(), len(kept)

    assert in_service(work) == (5, 30, steps)


def test_the_growth_of_a_time_is_measured_between_the_least_and_the_most() -> None:
    row = growth("resume", {100: (0.5, 0.1), 10: (0.1, 0.1), 50: (9.0, 0.1)}, Target(5.5, True))
    assert (row.value, row.limit, row.ratio, row.met) == (0.5, 0.1, 5.0, True)


def test_records_and_errors_of_workflows_are_not_the_engine() -> None:
    loaded = ["stator.runtime.workflow.entries", "stator.runtime.workflow.run", "app.steps"]
    assert engine_modules(loaded) == ["stator.runtime.workflow.run"]


def test_a_worker_without_a_workflow_does_not_import_the_engine() -> None:
    code = "import sys, stator.shards.main, benchmarks.workshop; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert engine_modules(run.stdout.split()) == []
