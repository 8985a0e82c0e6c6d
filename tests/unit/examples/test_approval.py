"""The approvals of the examples: a person decides on a page, or the deadline does."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from typing import Any

import pytest

from examples.approval.app import Approvals, Decision, Expense, Pending, registry
from stator import ActorError
from stator.client import Handle
from stator.testing import TestingClient, running

DAY = 86400.0
CHAIRS = Expense("e1", "New chairs", 4200)


def team_of(client: TestingClient) -> Handle:
    return client.get_or_create(Approvals, ["team"])


async def asked(client: TestingClient, expense: Expense = CHAIRS) -> asyncio.Task[Any]:
    """Send an expense and return the task that waits for the decision."""
    team = team_of(client)
    waiting = asyncio.create_task(team.enqueue(Approvals.expenses, expense, wait=True))
    await client.testing.settle()
    return waiting


async def pending_of(client: TestingClient) -> Pending:
    await client.testing.settle()
    pending = (await team_of(client).call(Approvals.get_board)).pending
    assert pending is not None
    return pending


async def decided_by(client: TestingClient) -> list[Decision]:
    return (await team_of(client).call(Approvals.get_board)).decided


async def decide(client: TestingClient, approved: bool, promise: str | None = None) -> None:
    promise = promise or (await pending_of(client)).promise
    await team_of(client).call(Approvals.decide, promise, approved, "Ann")


@pytest.mark.parametrize("approved", [True, False])
async def test_a_person_decides(approved: bool) -> None:
    async with running(registry) as client:
        waiting = await asked(client)
        await decide(client, approved)
        outcome = await waiting

    assert outcome.reply == Decision(CHAIRS, approved, "Ann")


async def test_what_nobody_decides_is_refused_at_the_deadline() -> None:
    async with running(registry) as client:
        await team_of(client).enqueue(Approvals.expenses, CHAIRS)
        await client.testing.advance(DAY - 1)
        early = await decided_by(client)
        await client.testing.advance(2)

        assert early == []
        assert await decided_by(client) == [Decision(CHAIRS, False, "nobody")]


async def test_while_it_waits_its_actor_sleeps() -> None:
    async with running(registry) as client:
        await team_of(client).enqueue(Approvals.expenses, CHAIRS)
        await client.testing.advance(60)

        assert not await client.testing.is_awake(team_of(client))


async def test_a_click_a_week_later_wakes_it() -> None:
    patient = Expense("e1", "New chairs", 4200, 30 * DAY)
    async with running(registry) as client:
        await team_of(client).enqueue(Approvals.expenses, patient)
        await client.testing.advance(7 * DAY)
        await decide(client, True)
        await client.testing.settle()

        assert await decided_by(client) == [Decision(patient, True, "Ann")]


async def test_expenses_are_decided_one_after_the_other() -> None:
    async with running(registry) as client:
        first = await asked(client)
        second = await asked(client, Expense("e2", "New desks", 9900))
        await decide(client, True)
        await first
        await client.testing.settle()
        shown = await pending_of(client)
        await decide(client, False)
        await second

    assert shown.expense.id == "e2"


async def test_an_expense_that_comes_twice_is_decided_once() -> None:
    async with running(registry) as client:
        waiting = await asked(client)
        await decide(client, True)
        await waiting
        again = await (await asked(client))

    assert again.reply == Decision(CHAIRS, True, "Ann")


async def test_an_old_page_does_not_decide_the_next_expense() -> None:
    async with running(registry) as client:
        waiting = await asked(client)
        old = (await pending_of(client)).promise
        await decide(client, True)
        await waiting
        await team_of(client).enqueue(Approvals.expenses, Expense("e2", "New desks", 9900))
        await client.testing.settle()

        with pytest.raises(ActorError) as refused:
            await decide(client, True, old)

    assert refused.value.code == "decided"


async def test_a_page_hears_what_happens() -> None:
    async with running(registry) as client, team_of(client).connect() as conn:
        boards = conn.events(Approvals.changed)
        await team_of(client).enqueue(Approvals.expenses, CHAIRS)
        shown = await anext(boards)
        await decide(client, True)
        closed = await anext(boards)

    assert shown.pending is not None and shown.pending.expense == CHAIRS
    assert (closed.pending, len(closed.decided)) == (None, 1)


async def test_the_page_has_the_pending_expense() -> None:
    hostile = Expense("e1", "</script><script>alert(1)</script>", 4200)
    async with running(registry) as client:
        await team_of(client).enqueue(Approvals.expenses, hostile)
        await client.testing.settle()
        page = await (await team_of(client).fetch("/")).text()

    board = re.search(r'<script id="board" type="application/json">(.*?)</script>', page)
    assert board is not None
    assert json.loads(board[1])["pending"]["expense"]["title"] == hostile.title


# -- crashes


async def test_what_waits_goes_on_waiting_after_a_crash() -> None:
    async with running(registry) as client:
        await team_of(client).enqueue(Approvals.expenses, CHAIRS)
        before = await pending_of(client)
        await client.testing.crash()
        waiting = await asked(client)
        assert await pending_of(client) == before
        await decide(client, True)
        outcome = await waiting

    assert outcome.reply == Decision(CHAIRS, True, "Ann")


async def test_the_deadline_is_kept_after_a_crash() -> None:
    async with running(registry) as client:
        await team_of(client).enqueue(Approvals.expenses, CHAIRS)
        await client.testing.advance(DAY / 2)
        await client.testing.crash()
        await client.testing.advance(DAY / 2 + 1)

        assert await decided_by(client) == [Decision(CHAIRS, False, "nobody")]


@pytest.mark.parametrize("step", ["show", "close"])
async def test_a_crash_after_any_step_decides_once(
    step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reached = interrupt(monkeypatch, step)
    async with running(registry) as client:
        await team_of(client).enqueue(Approvals.expenses, CHAIRS)
        if step == "close":
            await client.testing.settle()
            await decide(client, True)
        await is_reached.wait()
        await client.testing.crash()
        await client.testing.settle()
        if step == "show":
            await decide(client, True)
        await client.testing.settle()
        board = await team_of(client).call(Approvals.get_board)

    assert (board.pending, board.decided) == (None, [Decision(CHAIRS, True, "Ann")])


def interrupt(monkeypatch: pytest.MonkeyPatch, step: str) -> asyncio.Event:
    """Stop a step when it has done its work, the first time; return what tells when."""
    original = getattr(Approvals, step)
    is_reached = asyncio.Event()

    @functools.wraps(original)
    async def interrupted(*args: Any) -> Any:
        output = await original(*args)
        if not is_reached.is_set():
            is_reached.set()
            await asyncio.Event().wait()
        return output

    monkeypatch.setattr(Approvals, step, interrupted)
    return is_reached
