"""Actors whose workflow is a function of the test, and a list of what its steps did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal

from stator import Actor, Queue, action, setup
from stator.runtime.handles import ActorHandle
from stator.runtime.registry import Registry
from stator.testing import TestingClient, running
from stator.workflow import Fatal, workflow

Script = Callable[..., Awaitable[Any]]
"""Takes the workflow, or the actor and the workflow."""
Handle = ActorHandle


def application(
    script: Script, *, on_failure: Literal["stop", "retry"] = "stop", **more: type[Actor]
) -> Registry:
    """Return an application whose actor ``flow`` has ``script`` as its workflow."""

    class Flow(Actor):
        state: list[str] = []  # noqa: RUF012 - every actor has one of its own
        orders = Queue[Any, Any]()
        letters = Queue[Any, Any]()
        run = workflow(script, on_failure=on_failure)

        @action
        def notes(self) -> list[str]:
            """Return the state."""
            return self.state

        @action
        async def take(self) -> Any:
            """Receive what the workflow could receive."""
            message = await self.queue.try_next(self.orders)
            return None if message is None else message.body

        @action
        async def control(self, verb: str, *args: Any) -> str:
            """Control the workflow from inside the actor; return its status."""
            return str(await getattr(self.workflow, verb)(*args))

        @action
        async def note_after(self, seconds: float, text: str) -> None:
            """Let a schedule write into the state."""
            await self.schedule.after(seconds, self.note, text)

        @action
        def note(self, text: str) -> None:
            """Write into the state."""
            self.state.append(text)

    return setup(use={"flow": Flow, **more})


@asynccontextmanager
async def flowing(
    script: Script, **options: Any
) -> AsyncGenerator[tuple[TestingClient, Handle], None]:
    """Run a workflow until the end of the block; gives the client and the actor."""
    async with running(application(script, **options)) as client:
        flow: Handle = client.get_or_create("flow")
        await flow.workflow.status()  # creates it
        await client.testing.settle()
        yield client, flow


class Deeds(list[str]):
    """What the steps of a test did, in order, whatever became of it."""

    def doing(self, name: str, output: Any = None) -> Callable[[], Awaitable[Any]]:
        """Return a body that notes ``name`` and returns ``output``."""

        async def body() -> Any:
            self.append(name)
            return output

        return body

    def hanging(self, name: str) -> Callable[[], Awaitable[None]]:
        """Return a body that notes ``name`` and does not end by itself."""

        async def body() -> None:
            self.append(name)
            await asyncio.Event().wait()

        return body

    def failing(self, name: str, times: int = 1_000_000) -> Callable[[], Awaitable[str]]:
        """Return a body that notes ``name`` and raises ``ValueError``, the first ``times``."""

        async def body() -> str:
            self.append(name)
            if self.count(name) <= times:
                raise ValueError(f"{name} does not work")
            return name

        return body

    def refusing(self, name: str) -> Callable[[], Awaitable[None]]:
        """Return a body that notes ``name`` and raises ``Fatal``."""

        async def body() -> None:
            self.append(name)
            raise Fatal(f"{name} is impossible")

        return body


async def lose_and_wait(client: TestingClient) -> None:
    """Lose the worker and wait until the next one has come as far."""
    await client.testing.crash()
    await client.testing.settle()


async def entries_of(flow: Handle) -> dict[str, str]:
    """Return the status of all entries of an actor's history, by their keys."""
    return {entry.key: entry.status for entry in await flow.workflow.history()}
