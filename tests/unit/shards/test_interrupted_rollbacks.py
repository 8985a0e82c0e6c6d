"""Rolling back goes on after a crash: the handlers of the code are found again, wherever they are.

A run that was rolling back is played once more to find its undo handlers, and does nothing new:
all the code that its earlier life had run is run again, none that it had not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from stator import Actor, setup
from stator.testing import running
from stator.workflow import Fatal, Workflow, workflow


class Undoing:
    """Undo handlers, the first of which is interrupted."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget everything."""
        self.is_interrupted = asyncio.Event()
        self.undone: list[str] = []

    def of(self, name: str) -> Callable[[object], Awaitable[None]]:
        """Return a closure, which only the code of the workflow can give again."""

        async def undo(output: object) -> None:
            if not self.is_interrupted.is_set():
                self.is_interrupted.set()
                await asyncio.Event().wait()
            self.undone.append(name)

        return undo


UNDOING = Undoing()


class Mapped(Actor):
    """Fails when all of a map of more items than run at once was done."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        async def do(wf: Workflow, number: int) -> None:
            await wf.step("do", nothing, undo=UNDOING.of(str(number)))

        await wf.map("all", range(5), do, concurrency=2)
        await wf.step("fail", fail)


class TimedOut(Actor):
    """Fails after a time limit was over."""

    @workflow
    async def run(self, wf: Workflow) -> None:
        try:
            async with wf.timeout("limit", 10):
                await wf.step("early", nothing, undo=UNDOING.of("early"))
                await wf.sleep("long", 20)
        except TimeoutError:
            await wf.step("late", nothing, undo=UNDOING.of("late"))
        await wf.step("fail", fail)


async def nothing() -> None:
    """Do nothing."""


async def fail() -> None:
    """Fail for good."""
    raise Fatal("as asked for")


async def undone_by(actor: type[Actor], seconds: float) -> list[str]:
    """Return what was undone by a workflow whose first undo handler a crash interrupted."""
    UNDOING.begin()
    async with running(setup(use={"actor": actor})) as client:
        handle = client.get_or_create("actor")
        await handle.resolve()
        client.testing.advance(seconds)
        await UNDOING.is_interrupted.wait()
        await client.testing.crash()
        await client.testing.settle()
        assert await handle.workflow.status() == "failed"
    return UNDOING.undone


async def test_all_items_of_a_map_are_undone_after_a_crash() -> None:
    assert sorted(await undone_by(Mapped, 0)) == ["0", "1", "2", "3", "4"]


async def test_what_came_after_a_time_limit_is_undone_after_a_crash() -> None:
    assert await undone_by(TimedOut, 11) == ["late", "early"]
