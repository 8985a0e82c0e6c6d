"""The pages about workflows are true: every example on them runs."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from stator import Actor, setup
from stator.testing import TestingClient, replay, running
from stator.workflow import Workflow, workflow

DOCS = Path(__file__).parents[3] / "docs"
EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DAY = 24 * 3600


def run_page(page: str, name: str) -> dict[str, Any]:
    """Run the examples of a page as one module, and return what it defines."""
    module = sys.modules[name] = ModuleType(name)
    for code in EXAMPLE.findall((DOCS / page).read_text()):
        exec(code, vars(module))
    return vars(module)


REFERENCE = run_page("reference/workflows.md", "workflows_page")
HOWTO = run_page("howto/change-a-workflow.md", "changed_workflows_page")
README = run_page("../README.md", "readme_page")


@asynccontextmanager
async def live(kind: Any) -> AsyncGenerator[tuple[TestingClient, Any]]:
    """Run a class of a page; gives the client and an actor whose workflow has begun."""
    async with running(setup(use={"it": kind})) as client:
        it = client.get_or_create(kind)
        await it.workflow.status()  # creates it
        await client.testing.settle()
        yield client, it


async def test_the_trial_of_the_readme_ends_after_a_month() -> None:
    async with live(README["Trial"]) as (client, trial):
        await client.testing.sleep(trial)
        await client.testing.advance(30 * DAY)
        keys = {entry.key for entry in await trial.workflow.history()}
        assert keys >= {"begin/account", "begin/welcome", "goodbye"}


async def test_orders_are_paid_or_given_back() -> None:
    order = REFERENCE["Order"]
    async with live(REFERENCE["Orders"]) as (client, orders):
        paid = await orders.enqueue("orders", order("1", "cup", 5.0), wait=True)
        await client.testing.crash()
        declined = await orders.enqueue("orders", order("2", "car", 5000.0), wait=True)
        assert paid.reply["payment"] == f"payment {await _id_of(orders)}/orders/~0/checkout/pay"
        assert declined.reply is None
        assert (await orders.look())["stock"] == 2


async def _id_of(handle: Any) -> str:
    return str((await handle.workflow.history()).actor_id)


async def test_three_ways_to_write_a_step() -> None:
    async with live(REFERENCE["Pages"]) as (_, pages):
        assert await pages.workflow.output() == "https://example.org/robots.txt"


async def test_a_ledger_books_once() -> None:
    async with live(REFERENCE["Ledger"]) as (client, ledger):
        for amount in (1, 2):
            await ledger.enqueue("gifts", amount)
            await client.testing.settle()
            await client.testing.crash()
        assert await ledger.check() is True


@pytest.mark.parametrize(("days", "output"), [(1, "Ada"), (8, "nobody")])
async def test_a_promise_is_waited_for_a_week(days: int, output: str) -> None:
    async with live(REFERENCE["Leave"]) as (client, leave):
        await client.testing.advance(days * DAY)
        if days < 7:
            await leave.approve("Ada")
        await client.testing.settle()
        assert await leave.workflow.output() == output


async def test_a_loop_has_a_result() -> None:
    async with live(REFERENCE["Meter"]) as (client, meter):
        for reading in (1, 2, 3):
            await meter.enqueue("readings", reading)
            await client.testing.settle()
            await client.testing.sleep(meter)
        assert await meter.workflow.output() == 6


async def test_branches_run_side_by_side() -> None:
    async with live(REFERENCE["Crawl"]) as (client, crawl):
        await client.testing.advance(3)
        sizes = {"home": 19, "news": 24, "a": 1, "bb": 2, "ccc": 3}
        assert await crawl.workflow.output() == sizes


async def test_a_trip_is_taken_back() -> None:
    async with live(REFERENCE["Trip"]) as (_, trip):
        assert await trip.workflow.output() == "car: fatal"
        undone = [entry.undo.status for entry in await trip.workflow.history() if entry.undo]
        assert undone == ["undone", "undone"]


def nothing() -> None:
    """Stand for the body of a step."""


def before(second: str) -> type[Actor]:
    """Return what a class of the page was before it got its gate."""

    class Before(Actor):
        @workflow
        async def run(self, wf: Workflow) -> None:
            await wf.step("pack", nothing)
            await wf.step(second, nothing)
            await wf.sleep("on the way", 3 * DAY)

    return Before


@pytest.mark.parametrize(("name", "second"), [("Shipment", "send"), ("Delivery", "post")])
async def test_changed_code_goes_on_with_an_old_history(name: str, second: str) -> None:
    async with live(before(second)) as (_, old):
        history = await old.workflow.history()
    report = await replay(history, HOWTO[name])
    assert (report.ok, report.replayed) == (True, 3)


@pytest.mark.parametrize(("name", "new"), [("Shipment", "weigh"), ("Delivery", "drone")])
async def test_new_runs_run_the_new_code(name: str, new: str) -> None:
    async with live(HOWTO[name]) as (_, changed):
        assert (await changed.workflow.history()).find(new) is not None


async def test_what_was_removed_is_passed_over() -> None:
    async with live(HOWTO["Shipment"]) as (_, shipment):
        history = await shipment.workflow.history()
    assert history.find("weigh") is not None
    assert (await replay(history, HOWTO["ShipmentOfToday"])).ok
