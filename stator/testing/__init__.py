"""Testing actors: a whole service within a test (python-api, section 10)::

    from stator.testing import running

    async def test_room() -> None:
        async with running(registry) as client:
            room = client.get_or_create(Room, ["general"])
            assert await room.send("hi") == 1
            await client.testing.sleep(room)
            client.testing.advance(3600)

running     opens the service and gives its client
replay      plays the history of a workflow against the code of the day, without a service
client      :class:`TestingClient`, and what tests do with the service: ``client.testing``
service     the gateway and the worker; ``worker`` is what crashes and is reloaded
clock       time that stands; ``timekeeper`` moves it and waits until all is at rest
stage       where a history is replayed
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from stator.client.client import EncodingName
from stator.runtime.registry import Registry

from .client import Controls, TestingClient
from .replay import FrontierEntry, ReplayReport, replay
from .service import Service
from .timekeeper import Passing

__all__ = [
    "Controls",
    "FrontierEntry",
    "Passing",
    "ReplayReport",
    "TestingClient",
    "replay",
    "running",
]


@asynccontextmanager
async def running(
    registry: Registry, *, encoding: EncodingName = "cbor"
) -> AsyncGenerator[TestingClient]:
    """Run an application in this process until the end of the block; gives its client.

    One shard in a temporary directory, no open port, on the event loop of the caller. The clock of
    the actors stands until ``client.testing.advance`` moves it. At the end all actors are stopped
    in an orderly way; work that does not end by itself is cut off.
    """
    service = Service(registry)
    try:
        await service.open()
        async with TestingClient(service, encoding) as client:
            try:
                yield client
                await service.timekeeper.wait_still()
            finally:
                await service.timekeeper.stop()
        await service.timekeeper.settle()  # the actors have noticed that the client is gone
    finally:
        await service.close()
