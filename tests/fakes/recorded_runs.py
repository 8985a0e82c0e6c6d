"""Runs of workflows whose histories tests replay, and steps that leave a trace."""

from __future__ import annotations

from stator import Actor, setup
from stator.client import Handle
from stator.testing import TestingClient, running
from stator.workflow import Fatal, WorkflowHistory

RAN: list[str] = []
"""The steps, undo handlers and hooks that ran since the history was taken."""


async def do(what: str) -> str:
    """Leave a trace."""
    RAN.append(what)
    return what


async def fail() -> None:
    """Fail for good."""
    raise Fatal("no")


async def history_of(actor: type[Actor], *, seconds: float = 0.0) -> WorkflowHistory:
    """Return the history of a run of the actor ``subject`` after so many seconds."""
    async with running(setup(use={"subject": actor})) as client:
        return await history_after(client, client.get_or_create("subject", ["one"]), seconds)


async def history_after(client: TestingClient, handle: Handle, seconds: float) -> WorkflowHistory:
    """Return the history of an actor's run after so many seconds more."""
    await handle.resolve()
    await client.testing.settle()
    await client.testing.advance(seconds)
    history = await handle.workflow.history()
    RAN.clear()
    return history
