"""Approval: expenses that somebody has to approve, on a page, before a deadline.

The workflow waits for a promise. While it does, for minutes or for months, its actor sleeps: a
click on the page resolves the promise and wakes it, and so does the deadline. Where it was when the
service was stopped or crashed is where it goes on.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Annotated

import msgspec

from stator import Actor, Event, Options, Queue, Request, Response, UserError, action, setup
from stator.workflow import Workflow, workflow

PAGE = Path(__file__).with_name("page.html").read_text()
REMEMBERED = 20
DAY_S = 86400.0

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Expense(msgspec.Struct):
    """What somebody wants to spend."""

    id: Text
    """Chosen by whoever asks: expenses with one id are one expense."""
    title: Text
    cents: Annotated[int, msgspec.Meta(ge=1)]
    patience: Annotated[float, msgspec.Meta(gt=0)] = DAY_S
    """Seconds within which to decide; after that it is refused."""


class Answer(msgspec.Struct):
    """What a person said."""

    approved: bool
    by: str


class Decision(msgspec.Struct):
    """What became of an expense."""

    expense: Expense
    approved: bool
    by: str


class Pending(msgspec.Struct):
    """An expense that waits for a person."""

    promise: str
    """What is resolved by the answer."""
    expense: Expense
    until: float
    """Unix seconds."""


class Board(msgspec.Struct):
    """What the page shows."""

    pending: Pending | None = None
    decided: list[Decision] = []
    """The latest last."""


class Approvals(Actor, rename="camel"):
    """The expenses of one team, which is the key; one after the other."""

    options = Options(name="Approvals", icon="stamp", sleep_timeout=10.0)
    state: Board

    expenses = Queue[Expense, Decision]()
    changed = Event[Board]()

    @workflow
    async def run(self, wf: Workflow) -> None:
        """Have one expense after the other decided; who sent it may wait for the decision."""
        async for _ in wf.loop("expenses"):
            async with await wf.receive("expense", self.expenses, ack=True) as message:
                decision = await wf.step("look up", self.look_up, message.body.id)
                if decision is None:  # an expense that comes twice is decided once
                    decision = await self.have_decided(wf, message.body)
                await message.complete(decision)

    async def have_decided(self, wf: Workflow, expense: Expense) -> Decision:
        """Ask a person, until the deadline."""

        async def person(wf: Workflow) -> Answer:
            answer = wf.promise("answer")
            until = wf.now() + expense.patience
            await wf.step("show", self.show, Pending(answer.id, expense, until))
            return msgspec.convert(await answer, Answer)  # records arrive as dicts

        first = await wf.first("decision", person=person, deadline=wf.after(expense.patience))
        answer: Answer = first.value if first.name == "person" else Answer(False, "nobody")
        decision = Decision(expense, answer.approved, answer.by)
        await wf.step("close", self.close, decision)
        return decision

    # -- the steps

    async def look_up(self, expense_id: str) -> Decision | None:
        """Return what was decided about an expense before."""
        return next((each for each in self.state.decided if each.expense.id == expense_id), None)

    async def show(self, pending: Pending) -> None:
        """Put an expense on the page."""
        self.state.pending = pending
        self.broadcast(self.changed, self.state)

    async def close(self, decision: Decision) -> None:
        """Put what was decided on the page instead."""
        self.state.pending = None
        self.state.decided.append(decision)
        del self.state.decided[:-REMEMBERED]
        self.broadcast(self.changed, self.state)

    # -- the page

    def on_request(self, request: Request) -> Response:
        """Serve the page, with the board as it is now."""
        board = msgspec.json.encode(self.state).decode().replace("<", "\\u003c")
        page = PAGE.replace("{{team}}", escape("/".join(self.key))).replace("{{board}}", board)
        return Response(page, headers={"content-type": "text/html; charset=utf-8"})

    def on_wake(self) -> None:
        """Bring pages up to date that were open all the time, while the actor slept or crashed."""
        self.broadcast(self.changed, self.state)

    @action
    async def decide(self, promise: str, approved: bool, by: Text) -> None:
        """Answer. The promise says to what: an old page in some browser decides nothing else."""
        pending = self.state.pending
        if pending is None or pending.promise != promise:
            raise UserError("That was decided before", code="decided")
        await self.workflow.resolve(promise, Answer(approved, by))

    @action
    def get_board(self) -> Board:
        """Return what the page shows."""
        return self.state


registry = setup(use={"approvals": Approvals})
