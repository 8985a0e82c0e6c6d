"""Random lives of connections: everyone gets exactly the events it listened to at the time."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stator import Actor, action
from stator.runtime.link.frames import Fanout
from stator.runtime.protocol.connection import Event, ToClient
from stator.runtime.protocol.encoding import Encoding
from tests.fakes.engine_in_process import LocalEngine, wait_until
from tests.fakes.gateway_clients import Client
from tests.fakes.linked_gateway import Gateway, linked_engine
from tests.fakes.memory_store import MemoryStore

EVENTS = ["red", "green", "blue"]
ENCODINGS = [Encoding.JSON, Encoding.BARE, Encoding.CBOR, Encoding.NATIVE]


class Painter(Actor):
    state: int = 0

    @action
    def tell(self, event: str, number: int, change: bool) -> None:
        if change:
            self.state += 1
        self.broadcast(event, number)


PLACES = len(ENCODINGS)
clients = st.integers(0, PLACES - 1)
talk = st.one_of(
    st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), clients, st.sampled_from(EVENTS)),
    st.tuples(st.just("tell"), st.sampled_from(EVENTS), st.booleans()),
)
steps = st.one_of(
    talk,
    talk,
    st.tuples(st.just("open"), clients),
    st.tuples(st.just("close"), clients),
    st.tuples(st.just("disconnect"), clients),
    st.tuples(st.just("sleep")),
    st.tuples(st.just("lose commit")),
)


class Scene:
    """The actor and its clients, beside a model of who listens to what."""

    def __init__(self, local: LocalEngine, gateway: Gateway, store: MemoryStore) -> None:
        self.local = local
        self.gateway = gateway
        self.store = store
        self.present: dict[int, Client] = {}
        self.listening: dict[int, set[str]] = {}
        self.expected: dict[Client, list[Event]] = {}
        self.received: dict[Client, list[ToClient]] = {}
        self.told = 0

    async def take(self, step: tuple[Any, ...]) -> None:
        """Do one step, if it is possible, and note what should come of it."""
        match step:
            case ("open", place) if place not in self.present:
                client = await self.gateway.connect("painter", encoding=ENCODINGS[place])
                self.present[place], self.listening[place] = client, set()
                self.expected[client], self.received[client] = [], []
            case ("close", place) if place in self.present:
                self.present.pop(place).leave()
                del self.listening[place]
            case ("disconnect", place) if place in self.present:
                client = self.present.pop(place)
                await self.local.actor("painter").conns[client.conn_id].disconnect()
                del self.listening[place]
            case ("subscribe", place, event) if place in self.present:
                await self._say(place, self.present[place].subscribe(event))
                self.listening[place].add(event)
            case ("unsubscribe", place, event) if place in self.present:
                await self._say(place, self.present[place].unsubscribe(event))
                self.listening[place].discard(event)
            case ("tell", event, change):
                await self._tell(event, change)
            case ("sleep",):
                self.local.actor("painter").sleep()
                await self._wake()
            case ("lose commit",):
                await self.local.engine.shards[0].wait_durable()
                self.store.fail_next_commit()
                self.local.send("painter", "tell", "red", -1, True)
                await self._wake()
            case _:
                pass

    def check(self) -> None:
        """Compare the actor's listeners with the model."""
        host: Any = self.local.actor("painter")._host
        listeners = {
            (connection.number, name)
            for name, topic in host.topics._topics.items()
            for connection in topic.members
        }
        assert listeners == {
            (self.present[place].number, name)
            for place, names in self.listening.items()
            for name in names
        }
        for client, expected in self.expected.items():
            frames = client.inbox.take_all()
            self.received[client] += [
                client.read(frame) for frame in frames if isinstance(frame.header, Fanout)
            ]
            assert self.received[client] == expected

    async def _say(self, place: int, index: int) -> None:
        client = self.present[place]
        await wait_until(lambda: index in client.acknowledged, "it is done")

    async def _tell(self, event: str, change: bool) -> None:
        self.told += 1
        await self.local.call("painter", "tell", event, self.told, change)
        for place, names in self.listening.items():
            if event in names:
                self.expected[self.present[place]].append(Event(event, [self.told]))

    async def _wake(self) -> None:
        await wait_until(lambda: not self.local.is_awake("painter"), "it leaves memory")
        await self.local.call("painter", "tell", "nobody", 0, False)


async def _play(moves: list[tuple[Any, ...]]) -> None:
    store = MemoryStore()
    async with linked_engine(store, use={"painter": Painter}) as (local, gateway):
        await local.call("painter", "tell", "nobody", 0, False)
        scene = Scene(local, gateway, store)
        for place in range(PLACES):
            await scene.take(("open", place))
        for move in moves:
            await scene.take(move)
            scene.check()
        assert store.failed == [] or ("lose commit",) in moves


@settings(max_examples=100, deadline=None)
@given(st.lists(steps, min_size=10, max_size=60))
def test_everyone_gets_exactly_the_events_it_listened_to(moves: list[tuple[Any, ...]]) -> None:
    asyncio.run(_play(moves))
