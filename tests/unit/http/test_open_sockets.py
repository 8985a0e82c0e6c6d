"""All sockets of a gateway at once."""

from __future__ import annotations

import asyncio

from stator.http.open_sockets import OpenSockets
from tests.fakes.echo_server import MemoryTransport, RecordingOwner, open_in_memory
from tests.fakes.wire_frames import client_close, close_code, split_frames


def _open(sockets: OpenSockets, count: int) -> list[tuple[RecordingOwner, MemoryTransport]]:
    owners = [RecordingOwner() for _ in range(count)]
    return [(owner, open_in_memory(owner, sockets=sockets)) for owner in owners]


async def test_every_socket_is_closed() -> None:
    sockets = OpenSockets()
    opened = _open(sockets, 3)
    sockets.close_all(1001, "going away")
    for _, transport in opened:
        (frame,) = split_frames(bytes(transport.written))
        assert close_code(frame) == 1001


async def test_the_last_socket_to_go_ends_the_wait() -> None:
    sockets = OpenSockets()
    opened = _open(sockets, 2)
    waits = [asyncio.ensure_future(sockets.wait_empty()) for _ in range(2)]
    for owner, _ in opened:
        await asyncio.sleep(0)
        assert not any(wait.done() for wait in waits)
        owner.socket.data_received(client_close())
        owner.socket.connection_lost(None)
    await asyncio.gather(*waits)


async def test_without_sockets_there_is_nothing_to_wait_for() -> None:
    await OpenSockets().wait_empty()


async def test_a_wait_that_is_given_up_leaves_the_others() -> None:
    sockets = OpenSockets()
    ((owner, _),) = _open(sockets, 1)
    given_up = asyncio.ensure_future(sockets.wait_empty())
    wait = asyncio.ensure_future(sockets.wait_empty())
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    owner.socket.connection_lost(None)
    await wait


async def test_sockets_that_wrote_in_one_turn_are_all_flushed() -> None:
    sockets = OpenSockets()
    opened = _open(sockets, 3)
    for owner, _ in opened:
        owner.socket.ping()
        owner.socket.ping()
    await asyncio.sleep(0)
    assert [transport.writes for _, transport in opened] == [1, 1, 1]
