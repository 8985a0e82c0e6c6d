"""State: deep changes, types kept, what cannot be stored, saving, the two kinds of durability."""

import asyncio
import datetime as dt
from dataclasses import dataclass, field
from typing import Any, TypedDict

import msgspec
import pytest

from stator import Actor, ActorError, Options, action
from stator.runtime.link.frames import FindActors
from tests.fakes.engine_in_process import LocalEngine, running_engine, turns
from tests.fakes.memory_store import MemoryDisk, MemoryStore


class Message(msgspec.Struct):
    text: str
    tags: list[str] = []


class Room(msgspec.Struct):
    messages: list[Message] = []
    by_name: dict[str, dict[str, int]] = {}


@dataclass
class Account:
    balance: int = 0
    history: list[int] = field(default_factory=list[int])


class Settings(TypedDict, total=False):
    theme: str


class Anything(Actor):
    state = {}  # noqa: RUF012 - copied for each actor

    @action
    def put(self, kind: str) -> None:
        self.state["value"] = VALUES[kind]

    @action
    def is_kept(self, kind: str) -> bool:
        value = self.state["value"]
        return type(value) is type(VALUES[kind]) and bool(value == VALUES[kind])

    @action
    def spoil(self) -> None:
        self.state["good"] = "lost too"
        self.state["list"] = [1, {"deep": object()}]

    @action
    async def spoil_and_wait(self) -> None:
        self.state["list"] = object()
        await gate.event.wait()
        self.state["list"] = None

    @action
    def get(self) -> Any:
        return self.state

    @action
    def replace(self, value: Any) -> None:
        self.state = value


class Typed(Actor):
    state: Room

    @action
    def say(self, text: str) -> int:
        self.state.messages.append(Message(text))
        return len(self.state.messages)

    @action
    def tag(self, tag: str) -> list[str]:
        self.state.messages[-1].tags.append(tag)
        return self.state.messages[-1].tags

    @action
    def count(self, name: str) -> None:
        self.state.by_name.setdefault(name, {"n": 0})["n"] += 1

    @action
    def shown(self) -> list[Any]:
        return [
            type(self.state).__name__,
            [m.tags for m in self.state.messages],
            self.state.by_name,
        ]


class Banked(Actor):
    state: Account

    @action
    def pay(self, amount: int) -> list[Any]:
        self.state.balance += amount
        self.state.history.append(amount)
        return [type(self.state).__name__, self.state.balance, self.state.history]


class Themed(Actor):
    state: Settings

    @action
    def set_theme(self, theme: str | None) -> Any:
        if theme is not None:
            self.state["theme"] = theme
        return self.state


class Stateless(Actor):
    @action
    def read(self) -> Any:
        return self.state

    @action
    def write(self) -> None:
        self.state = 1

    @action
    def read_vars(self) -> Any:
        return self.vars


class Saving(Actor):
    options = Options(durability="interval", state_save_interval=3600.0)
    state: int = 0

    @action
    async def add_and_save(self, amount: int) -> int:
        self.state += amount
        await self.save_state()
        return self.state

    @action
    async def save(self) -> None:
        await self.save_state()

    @action
    def add(self, amount: int) -> int:
        self.state += amount
        return self.state


class LooseAnything(Anything):
    options = Options(durability="interval", state_save_interval=3600.0)


VALUES: dict[str, Any] = {
    "none": None,
    "big integer": 2**200,
    "negative": -(2**64),
    "float": 1.5,
    "bytes": b"\x00\xff",
    "naive datetime": dt.datetime(2026, 1, 2, 3, 4, 5, 6),
    "aware datetime": dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
    "set": {1, "a", (2, b"b")},
    "tuple": (1, (2, [3])),
    "nested": {"a": [{"b": {"c": (1, 2)}}]},
    "dollar": ["$BigInt", "1"],
}


class Gate:
    """What ``spoil_and_wait`` waits for."""

    event = asyncio.Event()


gate = Gate()
USE: dict[str, type[Actor]] = {
    "any": Anything,
    "typed": Typed,
    "banked": Banked,
    "themed": Themed,
    "stateless": Stateless,
    "saving": Saving,
    "loose": LooseAnything,
}


@pytest.fixture(autouse=True)
def not_told() -> None:
    gate.event = asyncio.Event()


async def _error(local: LocalEngine, *arguments: Any) -> ActorError:
    with pytest.raises(ActorError) as caught:
        await local.call(*arguments)
    return caught.value


@pytest.mark.parametrize("kind", VALUES)
async def test_what_comes_back_equals_what_went_in_types_included(kind: str) -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("any", "put", kind)
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("any", "is_kept", kind)


async def test_a_change_is_noticed_however_deep_it_is_made() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("typed", "say", "hello")
        await local.call("typed", "tag", "a")
        await local.call("typed", "tag", "b")
        await local.call("typed", "count", "x")
        await local.call("typed", "count", "x")
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("typed", "shown") == ["Room", [["a", "b"]], {"x": {"n": 2}}]


async def test_dataclasses_and_typed_dictionaries_come_back_as_themselves() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("banked", "pay", 3)
        await local.call("themed", "set_theme", "dark")
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("banked", "pay", 4) == ["Account", 7, [3, 4]]
        assert await again.call("themed", "set_theme", None) == {"theme": "dark"}


@pytest.mark.parametrize("value", [None, 0, [], {"x": [1]}, "text"])
async def test_the_whole_state_may_be_replaced(value: Any) -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("any", "replace", value)
        assert await local.call("any", "get") == value
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("any", "get") == value


async def test_a_state_that_cannot_be_stored_is_an_error_naming_the_path() -> None:
    async with running_engine(use=USE) as local:
        error = await _error(local, "any", "spoil")
        assert (error.group, error.code) == ("actor", "state_not_serializable")
        assert "['list'][1]['deep']" in error.message
        assert "object" in error.message


async def test_the_last_good_state_stays_in_memory_and_on_disk() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("any", "replace", {"good": "yes"})
        await _error(local, "any", "spoil")
        assert await local.call("any", "get") == {"good": "yes"}
        await local.call("any", "replace", {"good": "again"})
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("any", "get") == {"good": "again"}


async def test_another_actor_is_not_concerned_by_a_state_that_cannot_be_stored() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        results = await asyncio.gather(
            _error(local, "any", "spoil"), local.call("typed", "say", "hello")
        )
        assert results[1] == 1
        assert store.failed == []


async def test_an_actor_without_state_or_vars_says_so_when_they_are_touched() -> None:
    async with running_engine(use=USE) as local:
        assert (await _error(local, "stateless", "read")).code == "state_not_enabled"
        assert (await _error(local, "stateless", "write")).code == "state_not_enabled"
        assert (await _error(local, "stateless", "read")).code == "state_not_enabled"
        assert (await _error(local, "stateless", "read_vars")).code == "vars_not_enabled"


async def test_save_state_returns_once_the_change_is_durable() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("saving", "add", 1)
        store.hold_commits()
        saved = local.send("saving", "add_and_save", 2)
        await turns()
        assert not saved.done()
        store.release_commits()
        await saved
        (row,) = store.disk.live()
        assert row.state == b"\x00\x03"


async def test_save_state_saves_what_earlier_actions_left_for_the_interval() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("saving", "add", 1)
        await local.call("saving", "add", 4)
        await local.call("saving", "save")
        (row,) = store.disk.live()
        assert row.state == b"\x00\x05"


async def test_saving_an_unchanged_state_writes_nothing() -> None:
    store = MemoryStore()
    async with running_engine(store, use=USE) as local:
        await local.call("saving", "save")
        commits = len(store.commits)
        await local.call("saving", "save")
        assert len(store.commits) == commits


async def test_a_drain_saves_what_was_left_for_the_interval() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        for _ in range(3):
            await local.call("saving", "add", 1)
        await local.engine.drain()
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("saving", "add", 0) == 3


async def test_a_bad_state_of_one_actor_does_not_keep_others_from_being_listed() -> None:
    async with running_engine(use=USE) as local:
        await local.call("loose", "replace", {"first": 1})
        await local.call("loose", "replace", {"second": 2})
        waiting = local.send("loose", "spoil_and_wait")
        await turns()
        await local.ask(lambda number: FindActors(number, (0,), "default", name="typed"))
        gate.event.set()
        await waiting


async def test_a_bad_state_of_one_actor_does_not_keep_a_drain_from_saving_others() -> None:
    disk = MemoryDisk()
    async with running_engine(MemoryStore(disk), use=USE) as local:
        await local.call("loose", "replace", {"kept": 1})
        local.actor("loose").state["spoilt"] = object()
        await local.call("saving", "add", 1)
        await local.call("saving", "add", 1)
        await local.engine.drain()
    async with running_engine(MemoryStore(disk), use=USE) as again:
        assert await again.call("saving", "add", 0) == 2
        assert await again.call("loose", "get") == {"kept": 1}
