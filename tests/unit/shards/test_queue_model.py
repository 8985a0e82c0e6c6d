"""The queues of one actor against a model: order, one receiver each, nothing lost, ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stator import Options
from stator.runtime.queue_errors import AlreadyCompleted, PreviousMessageNotCompleted
from stator.runtime.queues import QueueMessage
from stator.shards.queues.book import book_of
from tests.fakes.engine_in_process import turns
from tests.fakes.memory_store import MemoryDisk
from tests.fakes.queue_users import Desk, Invocation, Office, called_by, open_office

NAMES = ("a", "b")
PEOPLE = 3
Message = QueueMessage[Any, Any]

names = st.sampled_from([("a",), ("b",), NAMES])
people = st.integers(0, PEOPLE - 1)


class Roomy(Desk):
    options = Options(no_sleep=True, max_queue_size=1000)


@dataclass
class Receive:
    """A receive, and what the model says that it gets."""

    who: int
    names: tuple[str, ...]
    count: int
    completable: bool
    task: asyncio.Task[list[Message]]
    ids: list[int] = field(default_factory=list[int])


class Queues(RuleBasedStateMachine):
    """The model knows every message that must be there, and who has it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.office: Office
        self.callers: list[Invocation]
        self.available: dict[int, str] = {}
        self.in_flight: dict[int, tuple[int, str]] = {}
        """By message: who has it, and its queue."""
        self.waiting: list[Receive] = []
        """Receives that were given nothing yet, the first that came first."""
        self.served: list[Receive] = []
        """Receives that have something, and wait for a commit at most."""
        self.sending: list[tuple[asyncio.Task[int], int]] = []
        self.completing: list[tuple[asyncio.Task[None], int]] = []
        self.received: list[tuple[int, Message]] = []
        """By whom, and what was received to be completed in this life."""
        self.acknowledged: set[int] = set()
        """Messages whose senders know that they are stored."""
        self.done_with: set[int] = set()
        """Messages that somebody knows to be out of their queue."""
        self.leaving: set[int] = set()
        """Messages that somebody takes out of their queue."""
        self.last_id = 0
        self.is_holding = False
        self.run(self.open(None))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something and let the actor settle; then the model is right."""

        async def settle() -> None:
            await work
            await turns(40)

        self.runner.run(settle())

    async def open(self, disk: MemoryDisk | None) -> None:
        """Begin a life of the process."""
        self.office = await self.stack.enter_async_context(open_office(Roomy, disk))
        await book_of(self.office.cell).load()
        self.callers = [Invocation(self.office.actor) for _ in range(PEOPLE)]

    # -- the model

    def take(self, receive: Receive) -> bool:
        """Let a receive take what it gets now; whether that is anything."""
        wanted = [each for each in sorted(self.available) if self.available[each] in receive.names]
        receive.ids = wanted[: receive.count]
        for message_id in receive.ids:
            name = self.available.pop(message_id)
            if receive.completable:
                self.in_flight[message_id] = (receive.who, name)
            else:
                self.leaving.add(message_id)
        return bool(receive.ids)

    def serve(self) -> None:
        """Let those that wait take what is available, in their order."""
        for receive in list(self.waiting):
            if self.take(receive):
                self.waiting.remove(receive)
                self.served.append(receive)

    def give_back(self, receive: Receive) -> None:
        for message_id in receive.ids:
            self.in_flight.pop(message_id, None)
            self.leaving.discard(message_id)
            self.available[message_id] = self.name_of(message_id)
        self.serve()

    def name_of(self, message_id: int) -> str:
        return NAMES[message_id % 2]

    def has_something(self, who: int) -> bool:
        return any(owner == who for owner, _ in self.in_flight.values())

    # -- what may happen

    @rule()
    def send(self) -> None:
        self.last_id += 1
        number, name = self.last_id, self.name_of(self.last_id)

        async def begin() -> None:
            task = asyncio.create_task(self.office.queue.send(name, number))
            self.sending.append((task, number))

        self.run(begin())
        self.available[number] = name
        self.serve()

    @rule(
        who=people,
        names=names,
        count=st.integers(1, 3),
        completable=st.booleans(),
        waits=st.booleans(),
    )
    def receive(
        self, who: int, names: tuple[str, ...], count: int, completable: bool, waits: bool
    ) -> None:
        is_refused = self.has_something(who)

        async def begin() -> None:
            queue = self.office.queue
            receive = queue.next_batch if waits else queue.try_next_batch
            with called_by(self.callers[who]):
                task = asyncio.create_task(receive(*names, count=count, completable=completable))
            await turns(1)
            if is_refused:
                assert isinstance(task.exception(), PreviousMessageNotCompleted)
                return
            item = Receive(who, names, count, completable, task)
            if self.take(item):
                self.served.append(item)
            elif waits:
                self.waiting.append(item)
            else:
                assert await task == []

        self.run(begin())

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 99))
    def cut_off_who_waits(self, which: int) -> None:
        receive = self.waiting.pop(which % len(self.waiting))

        async def cancel() -> None:
            receive.task.cancel()

        self.run(cancel())
        assert receive.task.cancelled()

    @precondition(lambda self: self.served)
    @rule(which=st.integers(0, 99))
    def cut_off_who_waits_for_a_commit(self, which: int) -> None:
        receive = self.served.pop(which % len(self.served))

        async def cancel() -> None:
            receive.task.cancel()

        self.run(cancel())
        assert receive.task.cancelled()
        self.give_back(receive)

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 99))
    def cut_off_who_is_given_something_in_the_same_turn(self, which: int) -> None:
        receive = self.waiting[which % len(self.waiting)]
        self.last_id += 1
        number, name = self.last_id, self.name_of(self.last_id)

        async def send_and_cancel() -> None:
            task = asyncio.create_task(self.office.queue.send(name, number))
            self.sending.append((task, number))
            await turns(1)
            receive.task.cancel()

        self.run(send_and_cancel())
        assert receive.task.cancelled()
        self.waiting.remove(receive)
        self.available[number] = name
        self.serve()

    @precondition(lambda self: self.received)
    @rule(which=st.integers(0, 99))
    def complete(self, which: int) -> None:
        _, message = self.received.pop(which % len(self.received))
        is_there = message.id in self.in_flight or message.id in self.available

        async def begin() -> None:
            task = asyncio.create_task(message.complete())
            await turns(1)
            if is_there:
                self.completing.append((task, message.id))
            else:
                assert isinstance(task.exception(), AlreadyCompleted)

        self.run(begin())
        self.in_flight.pop(message.id, None)
        if self.available.pop(message.id, None) or is_there:
            self.leaving.add(message.id)

    @rule(who=people)
    def end_invocation(self, who: int) -> None:
        async def release() -> None:
            book_of(self.office.cell).release(self.callers[who])

        pending = {number for each in self.served if each.completable for number in each.ids}
        mine = [each for each, (owner, _) in self.in_flight.items() if owner == who]
        if pending.intersection(mine):
            return  # it cannot end while it still receives
        self.run(release())
        for message_id in mine:
            del self.in_flight[message_id]
            self.available[message_id] = self.name_of(message_id)
        self.serve()

    @rule()
    def hold_commits(self) -> None:
        self.office.store.hold_commits()
        self.is_holding = True

    @rule()
    def release_commits(self) -> None:
        async def release() -> None:
            self.office.store.release_commits()

        self.is_holding = False
        self.run(release())

    @precondition(lambda self: not self.is_holding)
    @rule()
    def sleep_and_wake(self) -> None:
        async def pass_on() -> None:
            await self.office.sleep()
            await self.office.wake()
            await book_of(self.office.cell).load()
            self.callers = [Invocation(self.office.actor) for _ in range(PEOPLE)]

        self.settle_up()
        self.run(pass_on())
        self.begin_life()

    @rule()
    def crash(self) -> None:
        self.settle_up()
        disk = self.office.store.disk.copy()

        async def restart() -> None:
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await turns(5)
            await self.stack.aclose()
            await self.open(disk)
            rows = await self.office.store.load_queues(self.office.cell.row.pk)
            self.last_id = rows.last_id

        self.run(restart())
        stored = set(self.office.stored_ids)
        assert self.acknowledged - self.leaving - self.done_with <= stored
        assert not self.done_with & stored
        self.available = {each: self.name_of(each) for each in stored}
        self.in_flight = {}
        assert self.last_id >= max(self.acknowledged | self.done_with, default=0)
        self.acknowledged, self.leaving, self.done_with = set(stored), set(), set()
        self.is_holding = False
        self.begin_life()

    def begin_life(self) -> None:
        for message_id in self.in_flight:
            self.available[message_id] = self.name_of(message_id)
        self.in_flight = {}
        self.waiting, self.served, self.received = [], [], []
        self.sending, self.completing = [], []

    # -- what must be so

    @invariant()
    def settle_up(self) -> None:
        """What has returned is what the model says; without held commits everything has."""
        for receive in [each for each in self.served if each.task.done()]:
            messages = receive.task.result()
            assert [message.id for message in messages] == receive.ids
            assert [message.body for message in messages] == receive.ids
            self.served.remove(receive)
            if receive.completable:
                self.received += [(receive.who, message) for message in messages]
            else:
                self.done_with.update(receive.ids)
        for task, number in [each for each in self.sending if each[0].done()]:
            assert task.result() == number
            self.acknowledged.add(number)
            self.sending.remove((task, number))
        for ending in [each for each in self.completing if each[0].done()]:
            assert ending[0].result() is None
            self.done_with.add(ending[1])
            self.completing.remove(ending)
        assert not any(each.task.done() for each in self.waiting)
        if not self.is_holding:
            assert not self.served
            assert not self.sending
            assert not self.completing

    @invariant()
    def everything_is_on_disk(self) -> None:
        if not self.is_holding:
            assert self.office.stored_ids == sorted([*self.available, *self.in_flight])

    def teardown(self) -> None:
        async def end() -> None:
            self.office.store.release_commits()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await turns(5)
            await self.stack.aclose()

        self.run(end())
        self.runner.close()


TestQueues = Queues.TestCase
