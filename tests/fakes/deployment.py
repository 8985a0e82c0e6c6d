"""A service whose application is exchanged on disk while it runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from stator.runtime.ids import shard_of
from tests.fakes.real_service import RealService

SHARDS = 4

CODE = """
import asyncio
from stator import Actor, Queue, Response, action, setup

class Counter(Actor):
    state: int = 0
    jobs = Queue[str, str]()

    @action
    async def await_job(self) -> None:
        await self.queue.wait_for_names([self.jobs])

    @action
    async def complete_job(self) -> None:
        message = await self.queue.next(self.jobs, completable=True)
        await message.complete(message.body + " done by {version}")

    async def on_wake(self):
        await asyncio.sleep(0.01)

    @action
    def increment(self) -> int:
        self.state += 1
        self.broadcast("changed", self.state)
        return self.state

    @action
    async def increment_slowly(self) -> int:
        await asyncio.sleep(0.05)
        return self.increment()

    @action
    async def increment_of(self, key: str) -> int:
        await asyncio.sleep(0.05)
        return await self.client.get_or_create("counter", [key]).call("increment")

    @action
    def connections(self) -> list[str]:
        return list(self.conns)

    async def on_request(self, request):
        async def repeat():
            async for part in request.stream():
                await asyncio.sleep(0.01)
                yield part
        return Response(repeat())

    @action
    def code(self) -> str:
        return "{version}"

registry = setup(use={{"counter": Counter}})
"""


class Deployment:
    """A service whose application can be exchanged on disk."""

    def __init__(self, root: Path, settings: Mapping[str, object] | None = None) -> None:
        self._file = root / "release" / "app.py"
        self._file.parent.mkdir()
        self._data = root / "data"
        self.deploy("one")
        chosen = {
            "application.path": self._file.parent,
            "storage.shards": SHARDS,
            **(settings or {}),
        }
        self.service = RealService(self._data, chosen)

    def deploy(self, version: str) -> None:
        """Put another version of the application on disk."""
        self._file.write_text(CODE.format(version=version))

    def deploy_broken(self, old: str, new: str) -> None:
        """Put a version on disk in which ``old`` is ``new``."""
        text = CODE.format(version="broken")
        assert old in text
        self._file.write_text(text.replace(old, new))

    def upgrade(self) -> subprocess.CompletedProcess[str]:
        """Run ``stator upgrade``."""
        upgrading = self.start_upgrade()
        output, complaint = upgrading.communicate(timeout=60)
        return subprocess.CompletedProcess(upgrading.args, upgrading.returncode, output, complaint)

    def start_upgrade(self) -> subprocess.Popen[str]:
        """Start ``stator upgrade``."""
        return subprocess.Popen(
            [sys.executable, "-m", "stator", "upgrade", "--data-directory", self._data],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def generations(self) -> list[int]:
        """Return the generations of all children by slot."""
        with closing(self.service.block()) as block:
            return [slot.generation for slot in block.slots]


def keys_by_worker() -> tuple[list[str], list[str]]:
    """Return eight keys of counters of each of two workers."""
    keys: tuple[list[str], list[str]] = ([], [])
    for number in range(200):
        shard = shard_of("default", "counter", (str(number),), SHARDS)
        keys[shard * 2 // SHARDS].append(str(number))
    return keys[0][:8], keys[1][:8]
