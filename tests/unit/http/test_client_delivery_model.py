"""Random lives of a connection: what its worker gets, whatever becomes of actor and worker."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stator.runtime.link.frames import (
    Ack,
    ClientGone,
    Message,
    OpenConnection,
    Opened,
    Result,
    Suspended,
    WakeActor,
)
from tests.fakes.held_clients import ACTOR, HeldClient, HeldClients, held_clients

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 300)),
        st.tuples(st.just("ack"), st.integers(0, 9)),
        st.tuples(st.sampled_from(["sleep", "wake", "die", "take"]), st.just(0)),
    ),
    max_size=40,
)


class Model:
    """A worker whose actor sleeps, wakes and dies, and what it has to get."""

    def __init__(self, gateway: HeldClients, client: HeldClient) -> None:
        self.gateway = gateway
        self.client = client
        self.said: list[bytes] = []
        self.acked: set[int] = set()
        self.is_awake = False
        self.got: list[int] = []
        """What the actor's last generation got."""
        self.acked_before: set[int] = set()
        """What was acknowledged before that generation began."""
        self.wakings: list[int] = []

    async def open(self) -> None:
        """Let the worker open the connection."""
        self.client.open()
        await self.gateway.link.next(OpenConnection)
        self.gateway.link.send(Opened(self.client.number, ACTOR, True))
        self.is_awake = True

    async def do(self, step: str, number: int) -> None:
        """Do one step; frames that it makes are on their way when the next is done."""
        if step == "say":
            self.client.say(bytes(number))
            self.said.append(bytes(number))
        elif step == "ack":
            self._acknowledge(number)
        elif step == "sleep" and self.is_awake:
            self.is_awake = False
            self.gateway.link.send(Suspended(self.client.number, ACTOR))
        elif step == "wake":
            await self.take()
            self._answer_wakings()
        elif step == "die":
            await self._die()
        else:
            await self.take()

    async def take(self) -> None:
        """Take what the gateway sent; an actor that sleeps takes nothing."""
        for frame, payload in await self.gateway.link.sync():
            assert not isinstance(frame, ClientGone)
            if isinstance(frame, WakeActor):
                self.wakings.append(frame.id)
            elif isinstance(frame, Message) and self.is_awake:
                assert payload == self.said[frame.index]
                assert frame.index not in self.acked_before
                assert not self.got or frame.index > self.got[-1]
                self.got.append(frame.index)

    def _acknowledge(self, number: int) -> None:
        open_indexes = [index for index in self.got if index not in self.acked]
        if self.is_awake and open_indexes:
            index = open_indexes[number % len(open_indexes)]
            self.acked.add(index)
            self.gateway.link.send(Ack(self.client.number, index))

    def _answer_wakings(self) -> None:
        for number in self.wakings:
            if not self.is_awake:
                self.is_awake = True
                self.got, self.acked_before = [], set(self.acked)
                self.gateway.link.send(self.client.revived())
            self.gateway.link.send(Result(number))
        self.wakings = []

    async def _die(self) -> None:
        self.gateway.link.close()
        self.is_awake, self.wakings = False, []
        await self.gateway.new_link()

    def check_kept(self) -> None:
        """Compare what is kept, once everything is taken."""
        kept = {index: data for index, data in enumerate(self.said) if index not in self.acked}
        assert self.client.kept() == kept


async def _live(path: Path, early: int, steps: list[tuple[str, int]]) -> None:
    async with held_clients(path) as gateway:
        client = gateway.client()
        model = Model(gateway, client)
        for size in range(early):
            await model.do("say", size)
        await model.open()
        for step, number in steps:
            await model.do(step, number)
        await model.take()
        model.check_kept()
        assert model.is_awake or model.wakings or not client.kept()
        await model.do("say", 1)
        while not model.is_awake or model.wakings:
            await model.do("wake", 0)
        await model.take()
        model.check_kept()
        wanted = [index for index in range(len(model.said)) if index not in model.acked_before]
        assert model.got == wanted
        assert (client.phase, client.heard()) == ("open", [])


@given(early=st.integers(0, 3), steps=STEPS)
def test_whatever_is_not_acknowledged_reaches_the_last_generation(
    early: int, steps: list[tuple[str, int]]
) -> None:
    with tempfile.TemporaryDirectory(prefix="st-", dir="/tmp") as folder:
        asyncio.run(asyncio.wait_for(_live(Path(folder), early, steps), 20.0))
