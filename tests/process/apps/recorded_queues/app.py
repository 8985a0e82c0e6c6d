"""The actor that stood behind the recorded queue sends, written again.

Nobody takes from ``jobs``; what comes to ``work`` is answered with what it was.
"""

from __future__ import annotations

from typing import Any

from stator import Actor, Options, Queue, action, setup


class Counter(Actor):
    """The actor ``counter``; the recorded one had three seconds for actions."""

    options = Options(action_timeout=1.0)

    jobs = Queue[Any]()
    work = Queue[Any, Any]()

    async def run(self) -> None:
        async for message in self.queue.iter(self.work, completable=True):
            await message.complete({"got": message.body, "n": 1})

    @action
    def get(self) -> int:
        return 0


registry = setup(use={"counter": Counter})
