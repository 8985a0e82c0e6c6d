"""A txn that was committed is undone with the others, whenever the process ended."""

from __future__ import annotations

from typing import Any

import pytest

from stator import Actor, Database, action, setup
from stator.runtime.workflow import txns
from stator.runtime.workflow.steps import StepCall
from stator.testing import running
from stator.workflow import Workflow, workflow


class Booked(Actor):
    """Books in a transaction, waits and fails."""

    state: list[str] = []  # noqa: RUF012 - every actor has one of its own
    db = Database(migrations=["create table bookings (place int)"])

    @workflow
    async def run(self, wf: Workflow) -> None:
        await wf.txn("book", self.book, undo=self.cancel_booking)
        await wf.sleep("pause", 60)
        raise ValueError("too late")

    async def book(self) -> int:
        """Book a place."""
        self.state.append("booked")
        await self.db.execute("insert into bookings values (7)")
        return 7

    async def cancel_booking(self, place: int) -> None:
        """Give the place back."""
        await self.db.execute("delete from bookings where place = ?", place)

    @action
    async def places(self) -> list[Any]:
        """Return what is booked."""
        return [row[0] for row in await self.db.execute("select place from bookings")]


async def test_a_txn_of_which_only_its_database_knew_at_a_crash_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lose_it(call: StepCall, image: bytes | None) -> None:
        monkeypatch.undo()
        raise RuntimeError("as if the process had ended here")

    monkeypatch.setattr(txns, "close_completed", lose_it)
    async with running(setup(use={"booked": Booked})) as client:
        booked = client.get_or_create(Booked)
        await booked.workflow.status()
        await client.testing.advance(1)
        assert await booked.places() == [7]
        await client.testing.advance(60)
        assert await booked.workflow.status() == "failed"
        assert await booked.places() == []
