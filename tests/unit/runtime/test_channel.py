"""One end of a link: writes are gathered, order is kept, a broken protocol ends the stream."""

import asyncio
from asyncio.trsock import TransportSocket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from stator.runtime.link.channel import FRAMES_AT_ONCE, Backlog, Channel
from stator.runtime.link.frame_codec import FrameDecoder, LinkProtocolError, encode_frame
from stator.runtime.link.frames import (
    AnyFrame,
    Hello,
    Result,
)

Received = list[tuple[AnyFrame, bytes]]


class RecordingTransport(asyncio.Transport):
    """Remembers what is written to it; it never sends."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closing = False
        self.aborted = False

    def write(self, data: Any) -> None:
        assert not self.closing
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def frames(self) -> Received:
        return list(FrameDecoder().feed(b"".join(self.writes)))


Scenario = Callable[[Channel, RecordingTransport, Received], Awaitable[None]]


def on_channel(scenario: Scenario) -> None:
    """Run ``scenario`` with an open channel, its transport and the frames it receives."""

    async def main() -> None:
        received: Received = []
        channel = Channel(lambda frame, body: received.append((frame, body)), lambda _, __: None)
        transport = RecordingTransport()
        channel.connection_made(transport)
        await scenario(channel, transport, received)

    asyncio.run(main())


def test_frames_of_one_turn_leave_in_one_write() -> None:
    async def scenario(channel: Channel, transport: RecordingTransport, _: Received) -> None:
        for number in range(FRAMES_AT_ONCE - 1):
            channel.send(Result(number), b"x")
        assert transport.writes == []
        await asyncio.sleep(0)
        assert len(transport.writes) == 1
        assert transport.frames() == [(Result(n), b"x") for n in range(FRAMES_AT_ONCE - 1)]
        channel.send(Result(100))
        await asyncio.sleep(0)
        assert len(transport.writes) == 2
        await asyncio.sleep(0)
        assert len(transport.writes) == 2

    on_channel(scenario)


def test_many_frames_do_not_wait_for_the_end_of_the_turn() -> None:
    async def scenario(channel: Channel, transport: RecordingTransport, _: Received) -> None:
        for number in range(2 * FRAMES_AT_ONCE + 1):
            channel.send(Result(number))
        assert len(transport.writes) == 2
        await asyncio.sleep(0)
        assert transport.frames() == [(Result(n), b"") for n in range(2 * FRAMES_AT_ONCE + 1)]

    on_channel(scenario)


def test_flush_does_not_wait_for_the_end_of_the_turn() -> None:
    async def scenario(channel: Channel, transport: RecordingTransport, _: Received) -> None:
        channel.flush()
        channel.send(Result(1))
        channel.flush()
        channel.send(Result(2))
        assert len(transport.writes) == 1
        await asyncio.sleep(0)
        assert transport.frames() == [(Result(1), b""), (Result(2), b"")]

    on_channel(scenario)


def test_close_sends_what_is_queued_and_nothing_more() -> None:
    async def scenario(channel: Channel, transport: RecordingTransport, _: Received) -> None:
        assert channel.is_open
        channel.send(Result(1))
        channel.close()
        assert not channel.is_open
        channel.send(Result(2))
        await asyncio.sleep(0)
        assert transport.frames() == [(Result(1), b"")]
        channel.close()

    on_channel(scenario)


def test_a_channel_that_was_never_open_sends_nothing() -> None:
    async def main() -> None:
        channel = Channel(lambda _, __: None, lambda _, __: None)
        assert not channel.is_open
        assert channel.transport_info("socket") is None
        channel.send(Result(1))
        channel.close()
        await asyncio.sleep(0)

    asyncio.run(main())


def test_a_frame_too_large_to_send_leaves_the_channel_usable() -> None:
    async def scenario(channel: Channel, transport: RecordingTransport, _: Received) -> None:
        with pytest.raises(LinkProtocolError):
            channel.send(Result(1), bytes(65 * 2**20))
        channel.send(Result(2))
        await asyncio.sleep(0)
        assert transport.frames() == [(Result(2), b"")]

    on_channel(scenario)


def test_received_frames_are_handed_on_in_order() -> None:
    async def scenario(channel: Channel, _: RecordingTransport, received: Received) -> None:
        data = b"".join(encode_frame(Result(number), b"x") for number in range(3))
        channel.data_received(data[:20])
        channel.data_received(data[20:])
        assert received == [(Result(number), b"x") for number in range(3)]

    on_channel(scenario)


def test_a_broken_protocol_ends_the_stream_and_is_reported() -> None:
    async def scenario(channel: Channel, transport: RecordingTransport, received: Received) -> None:
        reported: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: reported.append(told))
        channel.data_received(encode_frame(Result(1)) + b"\xff" * 9)
        assert received == [(Result(1), b"")]
        assert transport.aborted
        (told,) = reported
        assert isinstance(told["exception"], LinkProtocolError)
        assert "link" in told["message"]

    on_channel(scenario)


def test_a_frame_that_the_owner_refuses_ends_the_stream() -> None:
    async def main() -> None:
        def refuse(frame: AnyFrame, _: bytes) -> None:
            raise LinkProtocolError(f"unexpected {frame}")

        channel, transport = Channel(refuse, lambda _, __: None), RecordingTransport()
        channel.connection_made(transport)
        asyncio.get_running_loop().set_exception_handler(lambda _, __: None)
        channel.data_received(encode_frame(Result(1)))
        assert transport.aborted

    asyncio.run(main())


async def _answer_into(backlog: Backlog, size: int, requests: int) -> tuple[Channel, list[int]]:
    """Return a channel that answered some of so many requests with ``size`` bytes each."""
    taken: list[int] = []

    def answer(frame: AnyFrame, _: bytes) -> None:
        assert isinstance(frame, Result)
        taken.append(frame.id)
        channel.send(frame, bytes(size))

    channel = Channel(answer, lambda _, __: None, backlog=backlog)
    channel.connection_made(RecordingTransport())
    channel.data_received(b"".join(encode_frame(Result(number)) for number in range(requests)))
    return channel, taken


def test_requests_wait_while_the_backlog_is_full() -> None:
    async def main() -> None:
        channel, taken = await _answer_into(Backlog(limit=2500), 1000, 10)
        assert taken == [0, 1, 2]
        channel.close()

    asyncio.run(main())


def test_requests_that_waited_are_taken_in_order_once_there_is_room() -> None:
    async def main() -> None:
        backlog = Backlog(limit=2500)
        channel, taken = await _answer_into(backlog, 1000, 10)
        channel.data_received(encode_frame(Result(10)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert taken == list(range(11))
        assert backlog.size == 0
        channel.close()

    asyncio.run(main())


def test_what_a_slow_reader_is_sent_counts_until_it_has_read() -> None:
    async def main() -> None:
        backlog = Backlog(limit=2500)
        channel, taken = await _answer_into(backlog, 1000, 10)
        channel.pause_writing()
        for _ in range(20):
            await asyncio.sleep(0)
        assert taken == [0, 1, 2]
        channel.resume_writing()
        for _ in range(20):
            await asyncio.sleep(0)
        assert taken == list(range(10))
        channel.close()

    asyncio.run(main())


def test_a_lost_channel_leaves_nothing_in_the_backlog() -> None:
    async def main() -> None:
        backlog = Backlog(limit=2500)
        channel, _ = await _answer_into(backlog, 1000, 10)
        channel.pause_writing()
        channel.connection_lost(None)
        assert backlog.size == 0

    asyncio.run(main())


def test_two_ends_talk_over_a_unix_socket(short_tmp: Path) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        lost: asyncio.Queue[str] = asyncio.Queue()
        arrived: asyncio.Queue[tuple[AnyFrame, bytes]] = asyncio.Queue()
        accepted: list[Channel] = []

        def make_server_end() -> Channel:
            def echo(frame: AnyFrame, payload: bytes) -> None:
                accepted[-1].send(frame, payload)

            channel = Channel(echo, lambda _, __: lost.put_nowait("server"))
            accepted.append(channel)
            return channel

        path = str(short_tmp / "link")
        server = await loop.create_unix_server(make_server_end, path)
        _, client = await loop.create_unix_connection(
            lambda: Channel(
                lambda frame, payload: arrived.put_nowait((frame, payload)),
                lambda _, __: lost.put_nowait("client"),
                on_open=lambda channel, _: channel.send(Hello("gateway", 0, 1)),
            ),
            path,
        )
        connected = client.transport_info("socket")
        assert isinstance(connected, TransportSocket)
        assert connected.getpeername() == path
        payload = bytes(3 * 2**20)
        client.send(Result(1), payload)
        assert await arrived.get() == (Hello("gateway", 0, 1), b"")
        assert await arrived.get() == (Result(1), payload)
        client.close()
        assert {await lost.get(), await lost.get()} == {"client", "server"}
        assert not client.is_open
        assert not accepted[0].is_open
        server.close()
        await server.wait_closed()

    asyncio.run(asyncio.wait_for(main(), 20))
