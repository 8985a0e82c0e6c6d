"""Many clients that came and went: nothing of them is left, without the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from stator.http.connections import ClientConnection
from stator.http.switchboard import Waking
from stator.http.web_socket import WebSocket
from stator.runtime.config import Config, Limits
from stator.runtime.link.frames import (
    ClientGone,
    CloseConnection,
    ConnectionKind,
    OpenConnection,
    Opened,
    Refusal,
    Result,
    Suspended,
    WakeActor,
)
from tests.fakes.held_clients import ACTOR, HeldClients, held_clients
from tests.fakes.public_port import DIRECT, public_port

COUNT = 50
Life = Callable[[HeldClients], Awaitable[None]]


async def _leave(gateway: HeldClients) -> None:
    client = await gateway.opened()
    client.say("hello")
    client.leave()
    client.drop()


async def _are_closed(gateway: HeldClients) -> None:
    client = await gateway.opened()
    gateway.link.send(CloseConnection(client.number, 1000, ""))
    await gateway.link.sync()
    client.drop()


async def _are_refused(gateway: HeldClients) -> None:
    client = gateway.client()
    client.open()
    gateway.link.send(Refusal(client.number, "actor", "not_found", "No.", 404))
    await gateway.link.sync()
    client.drop()


async def _leave_while_they_are_opened(gateway: HeldClients) -> None:
    client = gateway.client()
    client.open()
    client.say("hello")
    client.drop()
    gateway.link.send(Opened(client.number, ACTOR, True))
    await gateway.link.sync()


async def _leave_without_an_answer(gateway: HeldClients) -> None:
    client = gateway.client()
    client.open()
    await gateway.link.next(OpenConnection)
    client.drop()
    await gateway.link.sync()


async def _are_never_answered(gateway: HeldClients) -> None:
    client = gateway.client()
    client.open()
    await client.until_ending()
    client.drop()


async def _lose_their_worker(gateway: HeldClients) -> None:
    client = await gateway.opened(ConnectionKind.RAW)
    gateway.link.close()
    await gateway.new_link()
    client.drop()


async def _leave_sleeping_actors(gateway: HeldClients) -> None:
    client = await gateway.opened()
    gateway.link.send(Suspended(client.number, ACTOR))
    await gateway.link.sync()
    client.drop()
    request = await gateway.link.next(WakeActor)
    gateway.link.send(client.revived(), Result(request.id))
    await gateway.link.sync()


async def _wake_in_vain(gateway: HeldClients) -> None:
    client = await gateway.opened()
    gateway.link.send(Suspended(client.number, ACTOR))
    await gateway.link.sync()
    client.say("hello")
    request = await gateway.link.next(WakeActor)
    gateway.link.send(Refusal(request.id, "actor", "not_found", "No.", 404))
    await gateway.link.sync()
    client.drop()


async def _wait_in_vain(gateway: HeldClients) -> None:
    client = gateway.client()
    client.open()
    gateway.link.send(Opened(client.number, ACTOR, True))
    client.say("hello")
    gateway.link.send(Suspended(client.number, ACTOR))
    await gateway.link.next(WakeActor)
    await client.until_ending()
    client.drop()


@pytest.fixture(autouse=True)
def collector_off() -> Iterator[None]:
    """Show cycles: nothing frees them."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _left_over() -> list[object]:
    kinds = (ClientConnection, WebSocket, Waking, asyncio.Task)
    current = asyncio.current_task()
    return [it for it in gc.get_objects() if isinstance(it, kinds) and it is not current]


@pytest.mark.parametrize(
    "life",
    [
        _leave,
        _are_closed,
        _are_refused,
        _leave_while_they_are_opened,
        _leave_without_an_answer,
        _lose_their_worker,
        _leave_sleeping_actors,
        _wake_in_vain,
    ],
)
async def test_nothing_is_left_of_clients_who(short_tmp: Path, life: Life) -> None:
    await _show_nothing_left(short_tmp, life, timeout_s=20.0)


@pytest.mark.parametrize("life", [_are_never_answered, _wait_in_vain])
async def test_nothing_is_left_of_clients_whose_time_is_over(short_tmp: Path, life: Life) -> None:
    await _show_nothing_left(short_tmp, life, timeout_s=0.01)


async def _show_nothing_left(path: Path, life: Life, timeout_s: float) -> None:
    async with held_clients(path, wake_timeout_s=timeout_s, open_timeout_s=timeout_s) as gateway:
        await life(gateway)
        await gateway.link.sync()
        before = len(_left_over())
        for _ in range(COUNT):
            await life(gateway)
        await gateway.link.sync()
        assert len(_left_over()) <= before + 2
        assert (gateway.switchboard.connections, len(gateway.sockets)) == ({}, 0)
        assert gateway.backends.in_flight == 0


async def test_nothing_is_left_of_clients_of_the_public_port(short_tmp: Path) -> None:
    config = Config(limits=Limits(max_in_flight_per_client=1))
    async with public_port(short_tmp, config) as port:
        for is_opened in (True, False) * 10:
            client = await port.client()
            client.upgrade(f"{DIRECT}/connect", "rivet")
            await client.head()
            opening = await port.link.next(OpenConnection)
            if is_opened:
                port.link.send(Opened(opening.id, ACTOR, True))
                await port.link.sync()
            client.leave()
            await port.link.next(ClientGone)
        await port.sockets.wait_empty()
        await port.link.sync()
        assert [it for it in _left_over() if not isinstance(it, asyncio.Task)] == []
        assert (port.switchboard.connections, port.counted, port.backends.in_flight) == ({}, 0, 0)
