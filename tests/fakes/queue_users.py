"""An actor with queues, and the words in which tests use them: from inside and as clients."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from stator import Actor, Options, Queue, action
from stator.runtime.calling import CALLER, Caller
from stator.runtime.errors import ActorError
from stator.runtime.keys import serialize_key
from stator.runtime.link.frames import Answer, Publish, Refusal, Resolution
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.protocol.error_bodies import decode_error
from stator.runtime.protocol.queue import (
    QueueSendRequest,
    QueueSendResponse,
    decode_queue_response,
    encode_queue_request,
)
from stator.runtime.queues import ActorQueue
from stator.shards.cell import Cell
from stator.testing.clock import VirtualClock
from tests.fakes.engine_in_process import LocalEngine, Outcome, running_engine, turns, wait_until
from tests.fakes.memory_store import MemoryDisk, MemoryStore

IDS = itertools.count(1_000_000)


class Desk(Actor):
    """Does nothing by itself: tests use its queues as its own code would."""

    options = Options(no_sleep=True, max_queue_size=8, max_queue_message_size=300)
    state: int = 0

    jobs = Queue[str, int]()
    mails = Queue[dict[str, int]]()

    @action
    def wake(self) -> None:
        """Be in memory from here on."""

    @action
    async def take(self, completable: bool) -> int | None:
        """Receive a message, do not complete it, and return its id."""
        message = await self.queue.try_next(completable=completable)
        return None if message is None else message.id

    @action
    async def wait_for_job(self) -> str | None:
        """Wait for a job and return its body."""
        message = await self.queue.next(self.jobs)
        return None if message is None else message.body


class Invocation:
    """Stands for an action or another invocation; implements ``runtime.calling.Caller``."""

    conn = None
    request = None

    def __init__(self, actor: Actor) -> None:
        self.actor = actor


@contextmanager
def called_by(caller: Caller | None) -> Generator[None]:
    """Let the block run on behalf of ``caller``."""
    token = CALLER.set(caller)
    try:
        yield
    finally:
        CALLER.reset(token)


class Office:
    """An engine with one actor of each class, on a disk and by a clock of the test."""

    def __init__(
        self, local: LocalEngine, store: MemoryStore, clock: VirtualClock, name: str
    ) -> None:
        self.local = local
        self.store = store
        self.clock = clock
        self.name = name

    @property
    def actor(self) -> Any:
        """The actor, which is in memory."""
        return self.local.actor(self.name)

    @property
    def queue(self) -> ActorQueue:
        """Its queues."""
        queue: ActorQueue = self.actor.queue
        return queue

    @property
    def cell(self) -> Cell:
        """What is in memory of the actor."""
        return self.local.engine.shards[0].by_identity[("default", self.name, serialize_key(()))]

    @property
    def stored_ids(self) -> list[int]:
        """The ids of the messages that are on disk."""
        return sorted(self.store.disk.belongings(self.cell.row.pk).messages)

    async def wake(self) -> None:
        """Bring the actor into memory."""
        await self.local.call(self.name, "wake")

    async def sleep(self) -> None:
        """Put the actor to sleep and wait until it is."""
        self.cell.sleep()
        await wait_until(lambda: not self.local.is_awake(self.name), "the actor sleeps")

    async def pass_time(self, seconds: float) -> None:
        """Move the clock."""
        until = self.clock.after(seconds)
        while self.clock.step(until):
            await turns()
        await turns()

    def publish(
        self,
        body: Any,
        queue: str = "jobs",
        *,
        wait: bool = False,
        timeout: float | None = None,
        encoding: Encoding = Encoding.NATIVE,
        version: int = 0,
        params: bytes | None = None,
    ) -> asyncio.Future[Outcome]:
        """Send a message as a client does; return the future of the answer."""
        request = QueueSendRequest(body, None, wait, timeout)
        data = encode_queue_request(encoding, version, request)
        return self.publish_bytes(data, queue, encoding=encoding, params=params)

    def publish_bytes(
        self,
        data: bytes,
        queue: str = "jobs",
        *,
        encoding: Encoding = Encoding.NATIVE,
        params: bytes | None = None,
    ) -> asyncio.Future[Outcome]:
        """Send the body of a publication as it is."""
        publish = self.frame(queue, encoding=encoding, params=params)
        future = self.local.port.expect(publish.id)
        self.local.engine.accept(publish, data, self.local.port)
        return future

    def frame(
        self,
        queue: str = "jobs",
        *,
        encoding: Encoding = Encoding.NATIVE,
        params: bytes | None = None,
    ) -> Publish:
        """Return the frame of a publication."""
        return Publish(
            next(IDS),
            0,
            Resolution.GET_OR_CREATE,
            "default",
            self.name,
            serialize_key(()),
            queue,
            encoding,
            "ray",
            None,
            params,
        )


def answer_to(outcome: Outcome, encoding: Encoding = Encoding.NATIVE) -> QueueSendResponse:
    """Return what a publication was answered or raise its error."""
    reply, payload = outcome
    if isinstance(reply, Refusal):
        raise ActorError(reply.message, group=reply.group, code=reply.code, status=reply.status)
    assert isinstance(reply, Answer)
    if reply.status != 200:
        raise decode_error(encoding, None, reply.status, payload)
    return decode_queue_response(encoding, payload)


@asynccontextmanager
async def open_office(
    kind: type[Actor] = Desk, disk: MemoryDisk | None = None, **options: Any
) -> AsyncGenerator[Office]:
    """Run an engine whose actor, of class ``kind``, is awake. Without a drain its end is a crash:
    what is on ``office.store.disk`` may be opened again."""
    store, clock = MemoryStore(disk), VirtualClock()
    async with running_engine(store, use={"desk": kind}, clock=clock, **options) as local:
        office = Office(local, store, clock, "desk")
        await office.wake()
        yield office
