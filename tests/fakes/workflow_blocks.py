"""The blocks of workflows: code within each of them, and under which key its entries are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from stator.workflow import Workflow

Code = Callable[[Workflow], Awaitable[Any]]
Block = Callable[[Workflow, str, Code], Awaitable[Any]]
"""Runs code within a block of a name, and returns what the code returns."""


async def in_scope(wf: Workflow, name: str, code: Code) -> Any:
    """Run in ``wf.scope``."""
    async with wf.scope(name):
        return await code(wf)


async def in_saga(wf: Workflow, name: str, code: Code) -> Any:
    """Run in ``wf.saga``."""
    async with wf.saga(name):
        return await code(wf)


async def in_timeout(wf: Workflow, name: str, code: Code) -> Any:
    """Run in ``wf.timeout``, with a limit that is not reached."""
    async with wf.timeout(name, 1_000_000):
        return await code(wf)


async def in_loop(wf: Workflow, name: str, code: Code) -> Any:
    """Run in the second of three turns of ``wf.loop``."""
    loop = wf.loop(name, state=None, keep=5)
    async for turn in loop:
        if turn.index == 1:
            turn.state = await code(wf)
        if turn.index == 2:
            turn.stop(turn.state)
    return loop.result


async def in_gather(wf: Workflow, name: str, code: Code) -> Any:
    """Run in one of two branches of ``wf.gather``."""

    async def other(wf: Workflow) -> None:
        await wf.sleep("short", 0.01)

    return (await wf.gather(name, it=code, other=other))["it"]


async def in_map(wf: Workflow, name: str, code: Code) -> Any:
    """Run in one of two branches of ``wf.map``."""

    async def run(wf: Workflow, item: str) -> Any:
        return await code(wf) if item == "it" else None

    return (await wf.map(name, ["it", "other"], run, key=lambda item: item))[0]


async def in_first(wf: Workflow, name: str, code: Code) -> Any:
    """Run in the branch of ``wf.first`` that wins."""

    async def other(wf: Workflow) -> None:
        await wf.promise("never")

    return (await wf.first(name, it=code, other=other)).value


async def in_run_loop(wf: Workflow, name: str, code: Code) -> Any:
    """Run in the only turn of ``wf.run_loop``."""

    async def once(wf: Workflow, turn: Any) -> None:
        turn.stop(await code(wf))

    return await wf.run_loop(name, once)


BLOCKS: dict[str, Block] = {
    "scope": in_scope,
    "saga": in_saga,
    "timeout": in_timeout,
    "loop": in_loop,
    "gather": in_gather,
    "map": in_map,
    "first": in_first,
    "run_loop": in_run_loop,
}

INNER_SCOPES = {
    "scope": "{}",
    "saga": "{}",
    "timeout": "{}",
    "loop": "{}/~1",
    "gather": "{}/it",
    "map": "{}/it",
    "first": "{}/it",
    "run_loop": "{}/~0",
}
"""By block, the scope that its code is in; ``{}`` is the name of the block."""


async def at_root(wf: Workflow, name: str, code: Code) -> Any:
    """Run in no block at all."""
    return await code(wf)


PLACES: dict[str, Block] = {"root": at_root, **BLOCKS}
"""The blocks, and the body of the workflow itself."""


def key_in(place: str, name: str, inner: str) -> str:
    """Return the key of an entry that the code in a block asks for."""
    return inner if place == "root" else INNER_SCOPES[place].format(name) + "/" + inner
