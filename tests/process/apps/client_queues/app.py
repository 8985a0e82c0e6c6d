"""The actor to whose queues the Python client sends messages in the process tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import msgspec

from stator import Actor, Options, Queue, action, setup


class Job(msgspec.Struct):
    """A typed body and reply."""

    size: int


def _die_once(marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


class Mill(Actor, rename="camel"):
    """Completes jobs, leaves letters to an action, and breaks down over a marker."""

    options = Options(max_queue_size=10)

    big_jobs = Queue[Job, Job]()
    letters = Queue[Any, Any]()
    accidents = Queue[str, str]()

    async def run(self) -> None:
        queues = (self.big_jobs, self.accidents)
        async for message in self.queue.iter(*queues, completable=True):
            if isinstance(message.body, Job):
                await message.complete(Job(message.body.size * 2))
                continue
            _die_once(Path(message.body))
            await message.complete("went well")

    @action
    async def take_letters(self) -> list[Any]:
        return [letter.body for letter in await self.queue.try_next_batch(self.letters, count=99)]


registry = setup(use={"mill": Mill})
