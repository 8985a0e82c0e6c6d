"""Actors of many kinds, for tests of a running service."""

import asyncio
from typing import Any

import msgspec

from stator import Actor, ActorError, Options, UserError, action, setup

SECRET = "the text of an exception nobody may see"


class Basket(msgspec.Struct):
    """A state with a type."""

    items: list[str] = []
    prices: dict[str, int] = {}


class Counter(Actor):
    """Counts; plain and asynchronous actions."""

    options = Options(name="Counter", icon="hashtag")
    state: int = 0

    @action
    def increment(self, amount: int = 1) -> int:
        self.state += amount
        return self.state

    @action
    async def increment_later(self, amount: int = 1) -> int:
        await asyncio.sleep(0)
        self.state += amount
        return self.state

    @action
    def get(self) -> int:
        return self.state

    @action(name="math.double")
    def double(self) -> int:
        self.state *= 2
        return self.state

    @action
    def whoami(self) -> dict[str, Any]:
        return {"id": self.actor_id, "name": self.name, "key": list(self.key)}

    @action
    def vanish(self) -> str:
        self.destroy()
        return "gone"


class Echo(Actor):
    """Says back what it is told; no state."""

    @action
    def echo(self, *values: Any) -> Any:
        return values[0] if len(values) == 1 else list(values)

    @action
    def big(self, size: int) -> str:
        return "x" * size


class WithInput(Actor):
    """Keeps the input it was created with."""

    def create_state(self, given: Any) -> dict[str, Any]:
        return {"input": given}

    @action
    def input(self) -> Any:
        return self.state["input"]


class Shop(Actor, rename="camel"):
    """A typed state and validated arguments."""

    state: Basket

    @action
    def add_item(self, name: str, price: int) -> int:
        self.state.items.append(name)
        self.state.prices[name] = price
        return sum(self.state.prices.values())

    @action
    def all_items(self) -> list[str]:
        return self.state.items


class Faulty(Actor):
    """Fails in every way."""

    options = Options(action_timeout=0.1, sleep_grace_period=0.1)
    state: dict[str, Any] = {}  # noqa: RUF012 - a state, which every actor gets a copy of

    @action
    def user_error(self) -> None:
        raise UserError("You may not", code="denied", metadata={"why": [1, None]})

    @action
    def own_error(self) -> None:
        raise ActorError("Sold out", group="shop", code="sold_out", status=409)

    @action
    def unexpected(self) -> None:
        raise RuntimeError(SECRET)

    @action
    async def hang(self) -> None:
        await asyncio.Event().wait()

    @action
    def spoil_state(self) -> None:
        self.state["bad"] = object()

    @action
    def unsendable(self) -> object:
        return object()

    @action
    def get(self) -> dict[str, Any]:
        return self.state


class NeverStarts(Actor):
    """Its creation fails."""

    def on_create(self, given: Any) -> None:
        raise RuntimeError(SECRET)

    @action
    def get(self) -> int:
        return 1


class Caller(Actor):
    """Calls other actors."""

    @action
    async def call(self, name: str, key: list[str], action: str, *arguments: Any) -> Any:
        return await self.client.get_or_create(name, key).call(action, *arguments)


class Loose(Actor):
    """Nothing waits for its changes; a graceful stop saves them."""

    options = Options(durability="interval", state_save_interval=3600.0)
    state: int = 0

    @action
    def increment(self) -> int:
        self.state += 1
        return self.state


class Sleeper(Actor):
    """Notes its stop in its state."""

    state: list[str] = []  # noqa: RUF012 - a state, which every actor gets a copy of

    def on_wake(self) -> None:
        self.state.append("wake")

    async def on_sleep(self) -> None:
        await asyncio.sleep(0)
        self.state.append("sleep")

    @action
    def seen(self) -> list[str]:
        return self.state

    @action
    async def work_until_stopped(self) -> str:
        self.state.append("working")
        await self.save_state()
        await self.abort_signal.wait()
        return "finished"


registry = setup(
    use={
        "counter": Counter,
        "echo": Echo,
        "input": WithInput,
        "shop": Shop,
        "faulty": Faulty,
        "neverStarts": NeverStarts,
        "caller": Caller,
        "loose": Loose,
        "sleeper": Sleeper,
    }
)
