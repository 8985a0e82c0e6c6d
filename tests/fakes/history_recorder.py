"""Records the histories of this version: ``python -m tests.fakes.history_recorder``."""

from __future__ import annotations

import asyncio
from pathlib import Path

from stator import setup
from stator.runtime.version import VERSION
from stator.testing import running
from stator.workflow import WorkflowHistory
from tests.fakes.recorded_workflows import RECORDED, Recorded

FOLDER = Path(__file__).parents[1] / "recorded" / "workflows"


async def record(recorded: Recorded) -> WorkflowHistory:
    """Run a workflow to where its history is taken."""
    async with running(setup(use={"recorded": recorded.actor})) as client:
        handle = client.get_or_create("recorded", ["one"])
        await handle.resolve()
        await client.testing.settle()
        await recorded.way(client, handle)
        await client.testing.settle()
        return await handle.workflow.history()


def record_all(folder: Path) -> None:
    """Write a file for each history."""
    folder.mkdir(exist_ok=True)
    for name, recorded in RECORDED.items():
        history = asyncio.run(record(recorded))
        (folder / f"{name}.history").write_bytes(history.to_bytes())
        print(f"{name}: {len(history)} entries, {history.status}")


if __name__ == "__main__":
    record_all(FOLDER / VERSION)
