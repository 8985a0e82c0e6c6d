"""``on_state_change``: when it runs, what it may do, and what becomes of its mistakes."""

import asyncio
import copy
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from stator import Actor, ActorError, Event, Options, Queue, action
from stator.runtime.declarations import DefinitionError
from stator.runtime.errors import StateMutationReentrant
from stator.runtime.protocol.connection import Event as EventMessage
from stator.runtime.protocol.encoding import Encoding
from stator.runtime.state_guard import guarded_state
from tests.fakes.engine_in_process import running_engine, turns, wait_until
from tests.fakes.linked_gateway import linked_engine
from tests.fakes.memory_store import MemoryDisk, MemoryStore

SEEN: list[Any] = []


class Mail(msgspec.Struct):
    text: str
    tags: list[str] = []


class Board(msgspec.Struct):
    mails: list[Mail] = []
    total: int = 0

    def grow(self) -> None:
        self.total += 1


class Watcher(Actor):
    """Does in its hook what a test says."""

    state: Board
    vars = {}  # noqa: RUF012 - copied for each actor
    changed = Event[Board]()
    do: Callable[[Any, Any], Any]

    def on_state_change(self, state: Board) -> Any:
        SEEN.append((self.state.total, len(state.mails)))
        return type(self).do(self, state)

    @action
    def add(self, text: str) -> int:
        self.state.mails.append(Mail(text))
        self.state.total += 1
        self.state.total += 1
        return self.state.total

    @action
    def read(self) -> int:
        return self.state.total

    @action
    def replace(self) -> int:
        self.state = Board(total=7)
        return self.state.total

    @action
    def fail(self) -> None:
        self.state.total += 1
        raise RuntimeError

    @action
    def take(self, board: Board) -> None:
        SEEN.append(f"took {board.mails[0].text}")

    @action
    def put_back(self) -> None:
        self.state.mails = self.vars["mails"]

    @action
    def spoil(self) -> None:
        self.state.mails.append(object())  # type: ignore[arg-type]


class Loose(Watcher):
    options = Options(durability="interval", state_save_interval=3600.0)


class Number(Actor):
    state: int = 0

    def on_state_change(self, state: int) -> None:
        SEEN.append(state)
        self.state += 1

    @action
    def add(self) -> int:
        self.state += 1
        return self.state

    @action
    def drop(self) -> None:
        del self.state
        self.state = 5


class Told(Actor):
    """Changes its state in hooks."""

    state: int = 0

    def on_create(self, given: object) -> None:
        self.state = 1

    def on_wake(self) -> None:
        self.state += 1

    def on_state_change(self, state: int) -> None:
        SEEN.append(state)

    @action
    def touch(self) -> int:
        return self.state


class Strict(Watcher):
    """Has a ``__setattr__`` of its own."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "state":
            SEEN.append("assigned")
        super().__setattr__(name, value)


USE: dict[str, type[Actor]] = {
    "watcher": Watcher,
    "loose": Loose,
    "number": Number,
    "told": Told,
    "strict": Strict,
}


@pytest.fixture(autouse=True)
def nothing_seen() -> Iterator[None]:
    SEEN.clear()
    Watcher.do = lambda self, state: None
    yield
    Watcher.do = lambda self, state: None


def note(result: Any) -> None:
    """Note what a hook saw."""
    SEEN.append(result)


async def test_it_is_called_once_for_all_that_an_action_changed() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("watcher", "add", "a") == 2
        assert SEEN == [(2, 1)]


async def test_it_is_not_called_for_reading() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("watcher", "read") == 0
        assert SEEN == []


async def test_it_is_called_for_another_state() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("watcher", "replace") == 7
        assert SEEN == [(7, 0)]


async def test_it_is_called_for_what_a_failing_action_changed() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError):
            await local.call("watcher", "fail")
        assert SEEN == [(1, 0)]


async def test_it_is_not_called_for_a_state_that_cannot_be_stored() -> None:
    async with running_engine(use=USE) as local:
        with pytest.raises(ActorError):
            await local.call("watcher", "spoil")
        assert SEEN == []


async def test_it_is_called_with_durability_interval_too() -> None:
    async with running_engine(use=USE) as local:
        await local.call("loose", "add", "a")
        await local.call("loose", "add", "b")
        assert SEEN == [(2, 1), (4, 2)]


async def test_creation_and_restoring_are_no_changes_but_what_on_wake_does_is() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        assert await local.call("told", "touch") == 2
        assert SEEN == [2]
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("told", "touch") == 3
        assert SEEN == [2, 3]


# ----------------------------------------------------------------- what it may not do

CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "argument": lambda actor, state: setattr(state, "total", 0),
    "own state": lambda actor, state: setattr(actor.state, "total", 0),
    "deep": lambda actor, state: state.mails[0].tags.append("x"),
    "method": lambda actor, state: state.grow(),
    "another state": lambda actor, state: setattr(actor, "state", Board()),
    "no state": lambda actor, state: delattr(actor, "state"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_is_refused_and_logged_and_the_action_answered(change: str) -> None:
    disk = MemoryDisk()
    Watcher.do = lambda self, state: CHANGES[change](self, state)
    async with running_engine(MemoryStore(disk), use=USE) as local:
        assert await local.call("watcher", "add", "a") == 2
        (line,) = [line for line in local.log.lines if line["level"] == "error"]
        assert (line["event"], line["hook"]) == ("hook failed", "on_state_change")
        assert isinstance(line["exc_info"], StateMutationReentrant)
        assert local.actor("watcher").state == Board([Mail("a")], 2)
    Watcher.do = lambda self, state: None
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("watcher", "read") == 2


async def test_a_change_that_the_hook_catches_has_not_happened() -> None:
    def try_to(self: Any, state: Any) -> None:
        with pytest.raises(StateMutationReentrant):
            self.state = Board()
        note(self.state == state)

    Watcher.do = try_to
    async with running_engine(use=USE) as local:
        assert await local.call("watcher", "add", "a") == 2
        assert SEEN[1:] == [True]


async def test_an_immutable_state_cannot_be_counted_up() -> None:
    async with running_engine(use=USE) as local:
        assert await local.call("number", "add") == 1
        assert await local.call("number", "add") == 2
        assert SEEN == [1, 2]
        assert local.log.events().count("hook failed") == 2


async def test_outside_the_hook_the_state_is_as_free_as_ever() -> None:
    async with running_engine(use=USE) as local:
        await local.call("number", "drop")
        actor = local.actor("number")
        actor.state = 9
        assert actor.state == 9


async def test_a_class_with_an_assignment_of_its_own_is_guarded_as_well() -> None:
    Watcher.do = CHANGES["another state"]
    async with running_engine(use=USE) as local:
        assert await local.call("strict", "replace") == 7
        assert SEEN == ["assigned", "assigned", (7, 0)]
        assert "hook failed" in local.log.events()


async def test_what_the_hook_keeps_of_the_state_stays_read_only() -> None:
    Watcher.do = lambda self, state: self.vars.update(mails=state.mails)
    async with running_engine(use=USE) as local:
        await local.call("watcher", "add", "a")
        with pytest.raises(StateMutationReentrant):
            local.actor("watcher").vars["mails"].append(1)


# -------------------------------------------------------------------- what it may do


async def test_it_may_keep_a_copy() -> None:
    Watcher.do = lambda self, state: self.vars.update(last=copy.deepcopy(state))
    async with running_engine(use=USE) as local:
        await local.call("watcher", "add", "a")
        kept = local.actor("watcher").vars["last"]
        await local.call("watcher", "add", "b")
        assert kept == Board([Mail("a")], 2)
        assert type(kept) is Board


@pytest.mark.parametrize("encoding", [Encoding.JSON, Encoding.CBOR, Encoding.BARE])
async def test_it_may_broadcast_what_it_reads(encoding: Encoding) -> None:
    def tell(self: Any, state: Any) -> None:
        self.broadcast("part", state.mails, [state.mails[0]], {"first": state.mails[0].tags})
        self.broadcast(self.changed, state)

    Watcher.do = tell
    async with linked_engine(use=USE) as (local, gateway):
        client = await gateway.connect("watcher", encoding=encoding)
        client.subscribe("part")
        client.subscribe("changed")
        while len(client.acknowledged) < 2:
            await turns(1)
        await local.call("watcher", "add", "a")
        await turns()
        mail: dict[str, Any] = {"text": "a", "tags": []}
        assert [each.args for each in client.heard() if isinstance(each, EventMessage)] == [
            [[mail], [mail], {"first": []}],
            [{"mails": [mail], "total": 2}],
        ]


async def test_it_may_give_what_it_reads_to_other_actors() -> None:
    def give(self: Any, state: Any) -> None:
        if state.total < 100:
            self.keep_awake(self.client.get_or_create("loose", "other").take(state))

    Watcher.do = give
    async with running_engine(use=USE) as local:
        await local.call("watcher", "add", "a")
        await turns(40)
        assert SEEN[-1] == "took a"


async def test_what_it_read_is_no_part_of_a_state() -> None:
    Watcher.do = lambda self, state: self.vars.update(mails=state.mails)
    async with running_engine(use=USE) as local:
        await local.call("watcher", "add", "a")
        with pytest.raises(ActorError) as caught:
            await local.call("watcher", "put_back")
        assert caught.value.code == "state_not_serializable"
        assert "state.mails is a ListView" in caught.value.message


async def test_nobody_is_its_caller() -> None:
    Watcher.do = lambda self, state: note((self.conn, self.request))
    async with running_engine(use=USE) as local:
        await local.call("watcher", "add", "a")
        assert SEEN[1:] == [(None, None)]


async def test_it_may_destroy_its_actor() -> None:
    Watcher.do = lambda self, state: self.destroy()
    async with running_engine(use=USE) as local:
        assert await local.call("watcher", "add", "a") == 2
        await turns()
        assert not local.is_awake("watcher")
        assert "hook failed" not in local.log.events()


async def test_it_may_start_work_that_changes_the_state_later() -> None:
    async def later(self: Any) -> None:
        self.state.total = 100

    def start(self: Any, state: Any) -> None:
        if state.total < 100:
            self.keep_awake(later(self))

    Watcher.do = start
    async with running_engine(use=USE) as local:
        await local.call("watcher", "add", "a")
        await turns()
        assert SEEN == [(2, 1), (100, 1)]


# --------------------------------------------------------------------- its mistakes


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, asyncio.CancelledError])
async def test_what_it_raises_is_logged_and_fails_nothing(error: type[BaseException]) -> None:
    def fail(self: Any, state: Any) -> None:
        raise error

    Watcher.do = fail
    async with running_engine(use=USE) as local:
        assert await local.call("watcher", "add", "a") == 2
        assert await local.call("watcher", "add", "b") == 4
        assert local.log.events().count("hook failed") == 2


async def test_an_awaitable_that_it_returns_is_not_awaited_but_logged() -> None:
    async def later() -> None:
        note("ran")

    Watcher.do = lambda self, state: later()
    async with running_engine(use=USE) as local:
        await local.call("watcher", "add", "a")
        await turns()
        assert SEEN == [(2, 1)]
        (line,) = [line for line in local.log.lines if line["level"] == "error"]
        assert line["hook"] == "on_state_change"


async def test_a_task_that_it_returns_goes_on() -> None:
    async def later() -> None:
        note("ran")

    Watcher.do = lambda self, state: self.keep_awake(later())
    async with running_engine(use=USE) as local:
        await local.call("watcher", "add", "a")
        await turns()
        assert SEEN[1:] == ["ran"]


def test_it_cannot_be_async() -> None:
    async def hook(self: Any, state: Any) -> None: ...

    with pytest.raises(DefinitionError, match="on_state_change must be a plain `def`"):
        type("Late", (Actor,), {"state": 0, "on_state_change": hook})


def test_it_cannot_be_a_generator() -> None:
    def hook(self: Any, state: Any) -> Iterator[int]:
        yield 1

    with pytest.raises(DefinitionError, match="on_state_change must be a plain `def`"):
        type("Late", (Actor,), {"state": 0, "on_state_change": hook})


def test_the_state_is_given_back_whatever_happens() -> None:
    class Holder:
        def __init__(self) -> None:
            self.state = [1]

    holder = Holder()
    state = holder.state
    with pytest.raises(RuntimeError), guarded_state(holder) as view:
        assert holder.state is view
        raise RuntimeError
    assert holder.state is state
    assert list(vars(holder)) == ["state"]


class Busy(Actor):
    """Notes what it is told of while one action and one loop go on."""

    state: int = 0
    jobs = Queue[int]()

    def __init__(self) -> None:
        self.told: list[int] = []

    def on_state_change(self, state: int) -> None:
        self.told.append(state)

    @action
    async def store_on_the_way(self) -> list[int]:
        for _ in range(3):
            self.state += 1
            await self.kv.put("n", str(self.state))
        return list(self.told)

    @action
    def tell_told(self) -> list[int]:
        return self.told

    @action
    async def send(self, by: int) -> None:
        await self.queue.send(self.jobs, by)

    async def run(self) -> None:
        async for message in self.queue.iter(self.jobs, completable=True):
            self.state += message.body
            await self.kv.put("n", str(self.state))
            await message.complete()


async def test_changes_that_are_stored_on_the_way_are_told_of_once_at_the_end() -> None:
    async with running_engine(use={"busy": Busy}) as local:
        assert await local.call("busy", "store_on_the_way") == []
        assert await local.call("busy", "tell_told") == [3]


async def test_the_change_of_each_queue_message_is_told_of() -> None:
    async with running_engine(use={"busy": Busy}) as local:
        for by in (5, 2):
            await local.call("busy", "send", by)
        busy = local.actor("busy")
        await wait_until(lambda: busy.state == 7 and len(busy.told) == 2, "both are done")
        assert busy.told == [5, 7]
